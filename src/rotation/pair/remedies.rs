//! The script that gives the next user of a pair all that it lacks.

use std::collections::{BTreeMap, BTreeSet};

use postgres_protocol::escape::escape_identifier;

use super::equality::Equality;
use super::script::Script;
use crate::database::advice::RightRemedy;
use crate::database::parity::Lack;

/// A script moves more objects than these of one owner by one statement.
const MOVED_ONE_BY_ONE: usize = 20;

impl Equality {
    /// Adds what gives the next user all that it lacks. Many objects of one owner are moved by one
    /// statement. Rights come before ownership: a new owner needs CREATE on the schema.
    pub(crate) fn script(&self, script: &mut Script) {
        let Lack { total, missing } = &self.parity.lacking;
        let moved = self.moved_as_a_whole();
        let mut missing: Vec<_> = missing.iter().collect();
        missing.sort_by_key(|missing| (missing.database.as_deref(), missing.owner().is_some()));
        let mut written = BTreeSet::new();
        for missing in &missing {
            let database = missing.database.as_deref();
            match missing.owner().filter(|owner| moved.contains(&(database, *owner))) {
                Some(owner) if written.insert((database, owner)) => {
                    let (from, to) = (escape_identifier(owner), escape_identifier(&self.acts_as));
                    script.statement(database, &format!("REASSIGN OWNED BY {from} TO {to}"));
                }
                Some(_) => {}
                None => match missing.remedy(self.lacking()) {
                    Some(RightRemedy::Statement(statement)) => {
                        script.statement(database, &statement);
                    }
                    _ => script.advice(database, &missing.text(self.lacking())),
                },
            }
        }
        let more = total.saturating_sub(missing.len() as u64);
        if more > 0 {
            script.advice(None, &format!("And {more} more. Run this first, and ask again."));
        }
    }

    /// The owners of many objects, or of one that no other statement moves, by database. Empty if
    /// an object may belong only to a superuser: REASSIGN OWNED would fail for all objects of its
    /// owner.
    fn moved_as_a_whole(&self) -> BTreeSet<(Option<&str>, &str)> {
        let mut counts: BTreeMap<(Option<&str>, &str), usize> = BTreeMap::new();
        for missing in &self.parity.lacking.missing {
            let Some(owner) = missing.owner() else { continue };
            let objects = counts.entry((missing.database.as_deref(), owner)).or_default();
            *objects = match missing.remedy(self.lacking()) {
                Some(RightRemedy::Advice(_)) => return BTreeSet::new(),
                _ if missing.is_extension() => usize::MAX,
                _ => objects.saturating_add(1),
            };
        }
        counts.retain(|_, objects| *objects > MOVED_ONE_BY_ONE);
        counts.into_keys().collect()
    }
}
