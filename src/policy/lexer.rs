//! Splits SQL text into words with their places, so that an error can point at one.

use std::fmt;

/// A word, a quoted name, or a sign.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Token<'a> {
    pub(crate) text: &'a str,
    /// The position of its first character, counted from 1.
    pub(crate) at: usize,
    /// Whether it is a name in double quotes.
    pub(crate) quoted: bool,
}

/// What is wrong with a text, and where.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mistake {
    found: String,
    at: usize,
    expected: String,
}

impl Mistake {
    pub(super) fn new(found: &str, at: usize, expected: &str) -> Self {
        Self { found: found.to_owned(), at, expected: expected.to_owned() }
    }

    /// The place and what was expected, without the text itself, which may be a secret's value.
    pub(crate) fn place(&self) -> String {
        format!("character {}: {}", self.at, self.expected)
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.found.is_empty() {
            write!(f, "at its end (character {}): {}", self.at, self.expected)
        } else {
            write!(f, "at {:?} (character {}): {}", self.found, self.at, self.expected)
        }
    }
}

impl Token<'_> {
    /// Whether it is this keyword or sign.
    pub(super) fn is(&self, word: &str) -> bool {
        !self.quoted && self.text.eq_ignore_ascii_case(word)
    }

    /// The name that it stands for. PostgreSQL folds unquoted ASCII letters to lower case.
    pub(super) fn name(&self) -> Option<String> {
        if self.quoted {
            return Some(self.text[1..self.text.len() - 1].replace("\"\"", "\""));
        }
        self.text
            .chars()
            .next()
            .filter(|first| !first.is_ascii() || first.is_ascii_alphabetic() || *first == '_')
            .map(|_| self.text.to_ascii_lowercase())
    }
}

/// Splits a text into words. It must hold no literals, which a grant never does.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, Mistake> {
    let mut tokens = Vec::new();
    let mut rest =
        text.char_indices().enumerate().map(|(n, (byte, c))| (n + 1, byte, c)).peekable();
    while let Some((at, byte, c)) = rest.next() {
        if c.is_ascii_whitespace() {
            continue;
        }
        let mut end = byte + c.len_utf8();
        if c == '\0' {
            return Err(Mistake::new("", at, "expected no NUL character"));
        }
        if c == '"' {
            loop {
                match rest.next() {
                    Some((_, quote, '"')) if rest.next_if(|(_, _, c)| *c == '"').is_none() => {
                        end = quote + 1;
                        break;
                    }
                    Some((at, _, '\0')) => {
                        return Err(Mistake::new("", at, "expected no NUL character"));
                    }
                    Some(_) => {}
                    None => {
                        return Err(Mistake::new(
                            &text[byte..],
                            at,
                            "expected a closing quotation mark",
                        ));
                    }
                }
            }
        } else if is_word(c) {
            while let Some((_, byte, c)) = rest.next_if(|(_, _, c)| is_word(*c)) {
                end = byte + c.len_utf8();
            }
        }
        tokens.push(Token { text: &text[byte..end], at, quoted: c == '"' });
    }
    Ok(tokens)
}

fn is_word(c: char) -> bool {
    !c.is_ascii() || c.is_ascii_alphanumeric() || c == '_' || c == '$'
}
