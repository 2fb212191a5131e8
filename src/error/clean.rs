//! Text that comes from outside, made safe for a log and a terminal.

use std::fmt::Write;

/// The end of a text that was cut.
pub(super) const CUT: &str = "...";
/// What a server or a library says about one failure.
pub(super) const MOST_OF_A_MESSAGE: usize = 500;
/// A name in PostgreSQL has up to 63 bytes. An object's full name has several of them.
const MOST_OF_A_NAME: usize = 300;
/// A few names, and a statement with them.
const MOST_OF_A_CLAUSE: usize = 1500;

/// An error with all the rights that it names.
const MOST_OF_A_TEXT: usize = 100_000;

/// The characters that stand for the bytes 0x80 to 0xFF of a name that is not UTF-8. No name has
/// them: they are the last of Unicode's private use.
const BYTES: std::ops::RangeInclusive<char> = '\u{10ff80}'..='\u{10ffff}';

/// The character that stands for a byte that is not UTF-8.
pub(crate) fn byte_as_char(byte: u8) -> char {
    char::from_u32(0x0010_ff00 + u32::from(byte)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Whether a name from the server can be sent to it again.
pub(crate) fn is_utf8(name: &str) -> bool {
    !name.contains(|c| BYTES.contains(&c))
}

/// The text with `\xNN` in place of such characters, also where a quoted text has escaped them.
fn with_bytes(text: &str) -> Option<String> {
    const QUOTED: &str = "\\u{10ff";
    let mut shown = String::new();
    for (n, part) in text.split(QUOTED).enumerate() {
        let quoted = (n > 0).then(|| part.split_once('}')).flatten();
        let rest = if let Some((digits, rest)) = quoted {
            shown.push_str("\\x");
            shown.push_str(digits);
            rest
        } else {
            shown.push_str(if n > 0 { QUOTED } else { "" });
            part
        };
        for c in rest.chars() {
            if BYTES.contains(&c) {
                let _ = write!(shown, "\\x{:02x}", u32::from(c) & 0xff);
            } else {
                shown.push(c);
            }
        }
    }
    (shown != text).then_some(shown)
}

/// The text as one line of at most `most` characters. Control characters become spaces, and so do
/// those that turn the direction of the text. So none acts on a terminal or begins a line.
pub(super) fn line(text: &str, most: usize) -> String {
    let shown = with_bytes(text);
    let text = shown.as_deref().unwrap_or(text);
    let mut characters = text.chars().map(|c| if is_plain(c) { c } else { ' ' });
    let mut line: String = characters.by_ref().take(most).collect();
    if characters.next().is_some() {
        line.push_str(CUT);
    }
    line
}

/// A name from a secret, an event or a catalog, as it may be shown.
pub(crate) fn name(text: &str) -> String {
    line(text, MOST_OF_A_NAME)
}

/// Our own clause, with names from a catalog in it.
pub(crate) fn clause(text: &str) -> String {
    line(text, MOST_OF_A_CLAUSE)
}

/// Whether cleaning would change the text. A statement would then be about another name.
pub(crate) fn changes(text: &str) -> bool {
    !text.chars().all(is_plain)
}

/// Our own text, with names in it. It is cut only where it is longer than any honest one.
pub(crate) fn whole(text: String) -> String {
    let shown = with_bytes(&text);
    if shown.is_none() && text.len() <= MOST_OF_A_TEXT && !changes(&text) {
        return text;
    }
    line(shown.as_deref().unwrap_or(&text), MOST_OF_A_TEXT)
}

fn is_plain(c: char) -> bool {
    let turns_direction = matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    let ends_line = matches!(c, '\u{2028}' | '\u{2029}');
    !(c.is_control() || turns_direction || ends_line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_acts_on_a_terminal_or_begins_a_line() {
        for bad in ["\u{1b}[2J", "\r", "\n", "\0", "\u{9b}2J", "\u{202e}", "\u{2028}", "\u{7f}"] {
            let clean = line(&format!("a{bad}b"), 100);
            assert!(clean.starts_with("a ") && clean.ends_with('b'), "{clean:?}");
            assert_eq!(whole(format!("a{bad}b")), clean);
        }
        assert_eq!(line("Größe 🍕", 100), "Größe 🍕");
        assert_eq!(line("ééé", 2), "éé...");
        assert_eq!(line("éé", 2), "éé");
    }
}
