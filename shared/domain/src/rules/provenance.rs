//! Who may change which field of a user: an admin, a source, or an identity provider.

use serde_json::json;

use crate::error::DomainError;
use crate::ids::SourceId;
use crate::models::event::Event;
use crate::models::provenance::{Field, Holder};
use crate::models::user::{Source, User, UserEdit};

/// The owner of a user. A user with an external id but no source belongs to an identity provider, whoever created the
/// user.
#[must_use]
pub fn holder(user: &User) -> Holder {
    match user.provenance.source_id {
        Some(id) => Holder::Source(id),
        None if user.source.follows_source() || user.provenance.external_id.is_some() => Holder::Provider,
        None => Holder::Nobody,
    }
}

/// Checks that no source holds the user, so that an identity provider may write. `is_there` is true if the user's
/// source still exists.
///
/// # Errors
/// `HeldByOtherSource`.
pub fn require_no_source(user: &User, is_there: bool) -> Result<(), DomainError> {
    match holder(user) {
        Holder::Source(_) if is_there => Err(DomainError::HeldByOtherSource),
        Holder::Source(_) | Holder::Provider | Holder::Nobody => Ok(()),
    }
}

/// A user taken over by a source or an identity provider. Fields with a value that differs from the new owner's count
/// as set by hand, so that nothing that somebody entered is overwritten.
#[must_use]
pub fn taken_over(user: &User, source: Source, source_id: Option<SourceId>, says: &UserEdit) -> User {
    let mut after = user.clone();
    after.source = source;
    if user.provenance.source_id.is_some() {
        after.provenance.external_id = None;
    }
    after.provenance.source_id = source_id;
    after.provenance.source_username = None;
    after.provenance.vanished_at = None;
    let differs =
        |field: &Field| user.field(*field).is_some_and(|has| says.get(*field).is_some_and(|to| to != Some(has)));
    after.provenance.by_hand.extend(Field::ALL.iter().copied().filter(differs));
    after
}

/// Records in an event that a user was taken over.
pub fn tell_taken_over(event: &mut Event, before: &User, after: &User) {
    event.add_change("source", before.source.as_str(), after.source.as_str());
    let shown = |id: Option<SourceId>| id.map(String::from);
    event.add_change("source_id", shown(before.provenance.source_id), shown(after.provenance.source_id));
    event.add_change("by_hand", json!(before.provenance.by_hand), json!(after.provenance.by_hand));
}
