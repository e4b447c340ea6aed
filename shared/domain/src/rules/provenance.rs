//! Who may change which field of a user: an admin, a source, or an identity provider.

use serde_json::json;

use crate::error::DomainError;
use crate::ids::SourceId;
use crate::models::event::Event;
use crate::models::provenance::{Field, Holder};
use crate::models::user::{Source, User, UserEdit};

/// Who holds a user. A name that an identity provider has given shows its hand, whoever made the user.
#[must_use]
pub fn holder(user: &User) -> Holder {
    match user.provenance.source_id {
        Some(id) => Holder::Source(id),
        None if user.source.follows_source() || user.provenance.external_id.is_some() => Holder::Provider,
        None => Holder::Nobody,
    }
}

/// Lets an identity provider write to a user whom no source holds. `is_there` tells whether the data
/// set that the user comes from still is.
///
/// # Errors
/// `HeldByOtherSource`.
pub fn require_no_source(user: &User, is_there: bool) -> Result<(), DomainError> {
    match holder(user) {
        Holder::Source(_) if is_there => Err(DomainError::HeldByOtherSource),
        Holder::Source(_) | Holder::Provider | Holder::Nobody => Ok(()),
    }
}

/// A user as a source, or an identity provider, takes them over: what they have, and it says otherwise,
/// counts as set by hand, so nothing that somebody typed is overwritten.
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

/// Tells in an event that a user was taken over.
pub fn tell_taken_over(event: &mut Event, before: &User, after: &User) {
    event.add_change("source", before.source.as_str(), after.source.as_str());
    let shown = |id: Option<SourceId>| id.map(String::from);
    event.add_change("source_id", shown(before.provenance.source_id), shown(after.provenance.source_id));
    event.add_change("by_hand", json!(before.provenance.by_hand), json!(after.provenance.by_hand));
}
