//! Attacks, each with the attacker's own means only: a write to one secret, SQL as the role or the
//! database's owner, a server, an event. What the attacker did not get is asserted.

mod admin_password;
mod advice;
mod server;

use serde_json::{Value, json};

use crate::world::application::Application;
use crate::world::lambda::Function;

/// A function with that policy for one secret, and nothing else.
fn function(application: &Application, fields: &Value) -> Function {
    let policy = json!({"secrets": {&application.secret: fields}}).to_string();
    Function::start_exactly(&[("ROTATION_POLICY", &policy)])
}
