//! What is wrong with an input, before it is known whose input it is.

use std::fmt;

/// A sentence that says what is wrong with an input and what to do. It shows no value of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem(String);

impl From<String> for Problem {
    fn from(sentence: String) -> Self {
        Self(sentence)
    }
}

impl From<&str> for Problem {
    fn from(sentence: &str) -> Self {
        Self(sentence.to_owned())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
