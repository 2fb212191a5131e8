//! What Secrets Manager holds: the document, the password in it, and the store that keeps its
//! versions.

pub(crate) mod credentials;
pub(crate) mod document;
pub(crate) mod password;
pub(crate) mod store;
mod verifier;
