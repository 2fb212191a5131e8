//! A secret: its document, its password, and the store that holds its versions.

pub(crate) mod credentials;
pub(crate) mod document;
pub(crate) mod password;
pub(crate) mod store;
mod verifier;
