//! What Secrets Manager holds: the document, the password in it, and the store that keeps its
//! versions.

pub mod credentials;
pub mod document;
pub mod password;
pub mod store;
