//! The message of a server or a library, kept apart from our own text until it is printed.

use std::fmt;

use super::clean::{MOST_OF_A_MESSAGE, line};

/// The length of a SQLSTATE.
const SQLSTATE: usize = 5;

/// What a server or a library said about a failure, cleaned and cut where it comes in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Detail {
    sqlstate: Option<String>,
    message: String,
}

impl Detail {
    /// The server's answer: five characters of SQLSTATE, and its message.
    pub(crate) fn of_server(sqlstate: &str, message: String) -> Self {
        Self {
            sqlstate: Some(line(sqlstate, SQLSTATE)),
            message: line(&message, MOST_OF_A_MESSAGE),
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

    /// Replaces every occurrence of a text in the message.
    pub(crate) fn replacing(self, text: &str, by: &str) -> Self {
        Self { message: self.message.replace(text, by), ..self }
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
