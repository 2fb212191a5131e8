//! Reads a text word by word, for the rules of the grammar.

use super::lexer::{Mistake, Token, tokens};
use crate::secret::credentials::MAX_NAME_BYTES;

/// A text and how far it was read.
pub(super) struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    next: usize,
    /// The end of the text, counted like [`Token::at`].
    end: usize,
}

impl<'a> Parser<'a> {
    /// A parser at the beginning of a text.
    pub(super) fn new(text: &'a str) -> Result<Self, Mistake> {
        Ok(Self { tokens: tokens(text)?, next: 0, end: text.chars().count() + 1 })
    }

    /// Skips a word.
    pub(super) fn skip(&mut self) {
        self.next += 1;
    }

    pub(super) fn peek(&self) -> Option<&Token<'a>> {
        self.tokens.get(self.next)
    }

    pub(super) fn peek_word(&self, word: &str) -> bool {
        self.peek().is_some_and(|token| token.is(word))
    }

    pub(super) fn has_word(&self, word: &str) -> bool {
        self.tokens[self.next..].iter().any(|token| token.is(word))
    }

    /// Skips these words if they come next; whether they did.
    pub(super) fn take(&mut self, words: &[&str]) -> bool {
        let come = words
            .iter()
            .enumerate()
            .all(|(n, word)| self.tokens.get(self.next + n).is_some_and(|token| token.is(word)));
        self.next += if come { words.len() } else { 0 };
        come
    }

    pub(super) fn expect(&mut self, word: &str) -> Result<(), Mistake> {
        if self.take(&[word]) { Ok(()) } else { Err(self.mistake(&format!("expected {word}"))) }
    }

    pub(super) fn mistake(&self, expected: &str) -> Mistake {
        match self.peek() {
            Some(token) => Mistake::new(token.text, token.at, expected),
            None => Mistake::new("", self.end, expected),
        }
    }

    pub(super) fn at(&self) -> usize {
        self.peek().map_or(self.end, |token| token.at)
    }

    pub(super) fn name(&mut self) -> Result<String, Mistake> {
        let Some(name) = self.peek().and_then(Token::name) else {
            return Err(self.mistake("expected a name"));
        };
        if name.is_empty() || name.len() > MAX_NAME_BYTES {
            return Err(self.mistake(&format!("expected a name of 1 to {MAX_NAME_BYTES} bytes")));
        }
        self.next += 1;
        Ok(name)
    }

    pub(super) fn list<T>(
        &mut self,
        mut one: impl FnMut(&mut Self) -> Result<T, Mistake>,
    ) -> Result<Vec<T>, Mistake> {
        let mut list = vec![one(self)?];
        while self.take(&[","]) {
            list.push(one(self)?);
        }
        Ok(list)
    }
}
