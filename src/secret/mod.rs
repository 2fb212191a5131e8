//! A secret: its document, its password, and the store that holds its versions.

mod connection_string;
pub(crate) mod credentials;
pub(crate) mod document;
mod occurrence;
pub(crate) mod password;
pub(crate) mod store;
mod verifier;
