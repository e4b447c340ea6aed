//! Creating and revoking API keys.

use crate::error::DomainError;
use crate::ids::KeyId;
use crate::limits::MAKERS_LIMIT;
use crate::models::event::{Event, EventType};
use crate::models::key::{ApiKey, NewKey, Revoked};
use crate::permission::Permissions;
use crate::rules::access::Caller;
use crate::rules::context::EventContext;
use crate::secret::ApiKeySecret;
use crate::stored::Stored;

/// Checks that a caller may grant these permissions: nobody can grant more than they hold.
///
/// # Errors
/// `PermissionNotHeld`, with the first permission that the caller lacks.
pub fn may_grant(caller: &Caller, permissions: &Permissions) -> Result<(), DomainError> {
    match permissions.difference(&caller.permissions).next() {
        Some(permission) => Err(DomainError::PermissionNotHeld(*permission)),
        None => Ok(()),
    }
}

/// A new key of a caller, with its event. It has at most the caller's permissions. A key that was created with a key
/// expires no later than that one, and ends with it. `creator` is the key that the caller uses, if any.
///
/// # Errors
/// `TokenMakesNoKeys`; `PermissionNotHeld`; `TooManyMakers`; a field error of `expires_at` if it is later than the
/// creator's.
pub fn create(
    new: NewKey,
    key_id: KeyId,
    secret: &ApiKeySecret,
    caller: &Caller,
    creator: Option<&ApiKey>,
    context: &EventContext,
) -> Result<(ApiKey, Event), DomainError> {
    if caller.token_id.is_some() {
        return Err(DomainError::TokenMakesNoKeys);
    }
    may_grant(caller, &new.permissions)?;
    let ancestors: Vec<String> =
        creator.map(|key| [key.ancestors.as_slice(), std::slice::from_ref(&key.short)].concat()).unwrap_or_default();
    if ancestors.len() > MAKERS_LIMIT {
        return Err(DomainError::TooManyMakers);
    }
    let makers_end = creator.and_then(|key| key.expires_at);
    if let (Some(wanted), Some(end)) = (new.expires_at, makers_end)
        && wanted > end
    {
        let detail = format!("must not be after {end}, when the key that creates it expires");
        return Err(DomainError::field("expires_at", "out_of_range", detail));
    }
    let key = ApiKey {
        workspace_id: caller.workspace_id,
        key_id,
        short: secret.short.clone(),
        secret_hash: secret.hash(),
        name: new.name,
        permissions: new.permissions,
        created_at: context.at,
        created_by: context.creator(),
        ancestors,
        expires_at: new.expires_at.or(makers_end),
        revoked: None,
        version: 1,
        stored: Stored::default(),
    };
    let permissions: Vec<_> = key.permissions.iter().map(|permission| permission.as_str()).collect();
    let mut event = context.event(EventType::KeyCreated);
    event.key_id = Some(key.key_id);
    event.add_change("permissions", serde_json::Value::Null, permissions);
    event.add_change("expires_at", serde_json::Value::Null, serde_json::json!(key.expires_at));
    Ok((key, event))
}

/// Revokes a key: returns it with the event; `None` if it is already revoked.
#[must_use]
pub fn revoke(key: &ApiKey, context: &EventContext) -> Option<(ApiKey, Event)> {
    if key.revoked.is_some() {
        return None;
    }
    let mut revoked = key.clone();
    revoked.revoked = Some(Revoked { at: context.at, by: context.actor });
    let mut event = context.event(EventType::KeyRevoked);
    event.key_id = Some(key.key_id);
    Some((revoked, event))
}
