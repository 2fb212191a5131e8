//! The message of a server or a library, kept apart from our own text until it is printed.

use std::fmt;

use super::clean::{CUT, MOST_OF_A_MESSAGE, line};

/// The length of a SQLSTATE.
const SQLSTATE: usize = 5;

/// What a server or a library said about a failure, cleaned and cut where it comes in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Detail {
    sqlstate: Option<Box<str>>,
    message: String,
}

impl Detail {
    /// The server's answer: five characters of SQLSTATE, and its message.
    pub(crate) fn of_server(sqlstate: &str, message: &str) -> Self {
        Self {
            sqlstate: Some(line(sqlstate, SQLSTATE).into()),
            message: line(message, MOST_OF_A_MESSAGE),
        }
    }

    /// The SQLSTATE, if the server answered.
    pub(crate) fn sqlstate(&self) -> Option<&str> {
        self.sqlstate.as_deref()
    }

    /// Drops the message, which may quote a value.
    pub(crate) fn without_message(self) -> Self {
        Self { message: String::new(), ..self }
    }

    /// Adds to the message, cleaned and cut like the message.
    pub(crate) fn with_addition(self, text: &str) -> Self {
        let message = format!("{}{}", self.message, line(text, MOST_OF_A_MESSAGE));
        Self { message, ..self }
    }

    /// Replaces every occurrence of a text in the message, and the beginning of one where the
    /// message was cut.
    pub(crate) fn replacing(self, text: &str, by: &str) -> Self {
        let message = self.message.replace(text, by);
        let cut = message.strip_suffix(CUT).and_then(|kept| {
            let mut parts = (1..text.len()).rev().filter_map(|length| text.get(..length));
            parts.find_map(|part| kept.strip_suffix(part)).map(|kept| format!("{kept}{by}"))
        });
        Self { message: cut.unwrap_or(message), ..self }
    }
}

impl From<String> for Detail {
    fn from(message: String) -> Self {
        Self { sqlstate: None, message: line(&message, MOST_OF_A_MESSAGE) }
    }
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.sqlstate, self.message.as_str()) {
            (Some(sqlstate), "") => f.write_str(sqlstate),
            (Some(sqlstate), message) => write!(f, "{sqlstate}: {message}"),
            (None, message) => f.write_str(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_that_was_cut_is_not_shown_in_part() {
        let hash = "SCRAM-SHA-256$4096:salt$stored:server";
        for before in [0, 100, MOST_OF_A_MESSAGE - 10, MOST_OF_A_MESSAGE - 1, MOST_OF_A_MESSAGE] {
            let message = format!("{}{hash}", ":".repeat(before));
            let shown = Detail::of_server("42601", &message).replacing(hash, "[hash]").to_string();
            assert!(!shown.contains('S') && !shown.contains('$'), "{before}: {shown}");
        }
    }
}
