//! Commits what a rule has decided.

use aws::{Commit, Committed, Table};
use domain::error::Error;
use domain::rules::change::ChangeSet;
use domain::rules::context::EventContext;

/// Commits a change, if there is one. [`Committed::with_new_version`] gives each row with its new version.
///
/// # Errors
/// See [`Table::commit`].
pub(crate) async fn commit_change(
    table: &Table,
    change: Option<&ChangeSet>,
    context: &EventContext,
) -> Result<Committed, Error> {
    match change {
        Some(change) => table.commit(Commit::from_changes(context.event_id, change)).await,
        None => Ok(Committed::default()),
    }
}
