//! What is wrong with an input. The caller adds where the input comes from.

use std::fmt;

/// A sentence that says what is wrong with an input and what to do. It holds no value of a secret.
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
