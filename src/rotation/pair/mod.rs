//! The two users that take turns: what makes them equal, what one of them lacks, and what corrects
//! that.

pub(crate) mod equality;
pub(crate) mod owner_role;
pub(crate) mod plan;
mod remedies;
mod rights;
pub(crate) mod script;
mod warnings;
