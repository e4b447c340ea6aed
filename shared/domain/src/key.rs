//! API keys.

use serde::{Deserialize, Serialize};

use crate::access::{Caller, Permissions};
use crate::clock::Time;
use crate::event::{Act, Actor, Event, EventType};
use crate::ids::{KeyId, WorkspaceId};
use crate::refusal::Refusal;
use crate::secret::Hash;
use crate::stored::Stored;
use crate::text::{Form, TextRule};

/// A key's name.
pub const NAME: TextRule = TextRule::new(Form::Line, 1, 100);

/// A key; the secret itself is shown once and not kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Key {
    /// The workspace that it opens.
    pub workspace_id: WorkspaceId,
    /// Its identifier.
    pub key_id: KeyId,
    /// The part of the key that names it.
    pub short: String,
    /// What is kept of the key.
    pub secret_hash: Hash,
    /// A name for people.
    pub name: String,
    /// What it may do.
    pub permissions: Permissions,
    /// Since when.
    pub created_at: Time,
    /// By whom.
    pub created_by: Actor,
    /// Until when; for ever if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// When and by whom it was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Revoked>,
    /// Goes up by one with each change.
    pub version: u64,
    /// The row that it was read as.
    #[serde(skip)]
    pub stored: Stored,
}

/// A key's end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Revoked {
    /// When.
    pub at: Time,
    /// By whom.
    pub by: Actor,
}

/// Lets a caller make a key with these permissions: nobody can hand out more than they hold.
///
/// # Errors
/// `PermissionNotHeld`, with the first that the caller lacks.
pub fn may_grant(caller: &Caller, permissions: &Permissions) -> Result<(), Refusal> {
    match permissions.difference(&caller.permissions).next() {
        Some(permission) => Err(Refusal::PermissionNotHeld(*permission)),
        None => Ok(()),
    }
}

/// The event of a new key.
#[must_use]
pub fn created(key: &Key, act: &Act) -> Event {
    let permissions: Vec<_> = key.permissions.iter().map(|permission| permission.as_str()).collect();
    let mut event = act.event(EventType::KeyCreated);
    event.key_id = Some(key.key_id);
    event.change("permissions", serde_json::Value::Null, permissions);
    event
}

/// The key taken back, with the event; `None` if it was before.
#[must_use]
pub fn revoke(key: &Key, act: &Act) -> Option<(Key, Event)> {
    if key.revoked.is_some() {
        return None;
    }
    let mut revoked = key.clone();
    revoked.revoked = Some(Revoked { at: act.at, by: act.actor });
    let mut event = act.event(EventType::KeyRevoked);
    event.key_id = Some(key.key_id);
    Some((revoked, event))
}
