//! Adding and removing members; accepting and declining memberships.

use crate::error::DomainError;
use crate::models::event::{Event, EventType};
use crate::models::key::ApiKey;
use crate::models::member::{CREATED_LIMIT, CreatedByMember, Member};
use crate::models::webhook;
use crate::models::webhook::Webhook;
use crate::models::workspace::Workspace;
use crate::permission::Role;
use crate::rules::context::EventContext;
use crate::rules::keys;

/// The event when a workspace adds a person, who must still accept.
#[must_use]
pub fn add(member: &Member, context: &EventContext) -> Event {
    event(EventType::MemberAdded, member, context)
}

/// Accepts a membership: returns the workspace, with one more admin if the role is admin, the member and the event;
/// `None` if it is already accepted.
#[must_use]
pub fn accept(workspace: &Workspace, member: &Member, context: &EventContext) -> Option<(Workspace, Member, Event)> {
    if !member.pending {
        return None;
    }
    let mut workspace = workspace.clone();
    if member.role == Role::Admin {
        workspace.admin_count += 1;
    }
    let after = Member { pending: false, accepted_at: Some(context.at), ..member.clone() };
    let mut event = context.event(EventType::MemberChanged);
    event.member_id = Some(member.member_id);
    event.add_change("status", member.status().as_str(), after.status().as_str());
    Some((workspace, after, event))
}

/// The event when a person declines a membership, which is then deleted.
///
/// # Errors
/// `MembershipAccepted` if they have already accepted: then only an admin of the workspace can remove them.
pub fn decline(member: &Member, context: &EventContext) -> Result<Event, DomainError> {
    if member.pending {
        Ok(event(EventType::MemberRemoved, member, context))
    } else {
        Err(DomainError::MembershipAccepted)
    }
}

/// The changes of a member's removal, besides their own row.
#[derive(Clone, Debug, PartialEq)]
pub struct Removal {
    /// The workspace.
    pub workspace: Workspace,
    /// The revoked keys, before and after.
    pub keys: Vec<(ApiKey, ApiKey)>,
    /// The disabled webhooks, before and after.
    pub webhooks: Vec<(Webhook, Webhook)>,
    /// The events.
    pub events: Vec<Event>,
}

/// Removes a member. With `revoke`, the keys that they created are revoked and their webhooks are disabled; remaining
/// members can enable a webhook again with a new secret.
///
/// # Errors
/// `LastAdmin` if nobody would be left to manage the workspace; `TooManyMade` if there are more keys and webhooks than
/// fit in one commit ([`CREATED_LIMIT`]).
pub fn remove(
    workspace: &Workspace,
    member: &Member,
    made: &CreatedByMember,
    revoke: bool,
    context: impl Fn() -> EventContext,
) -> Result<Removal, DomainError> {
    let mut workspace = workspace.clone();
    if member.role == Role::Admin && !member.pending {
        if workspace.admin_count <= 1 {
            return Err(DomainError::LastAdmin);
        }
        workspace.admin_count -= 1;
    }
    let mut removal = Removal {
        workspace,
        keys: Vec::new(),
        webhooks: Vec::new(),
        events: vec![event(EventType::MemberRemoved, member, &context())],
    };
    if !revoke {
        return Ok(removal);
    }
    let count = made.keys.len() + made.webhooks.len();
    if count > CREATED_LIMIT {
        return Err(DomainError::TooManyMade(count));
    }
    for key in &made.keys {
        if let Some((after, event)) = keys::revoke(key, &context()) {
            removal.keys.push((key.clone(), after));
            removal.events.push(event);
        }
    }
    for webhook in &made.webhooks {
        if let Some((after, event)) = webhook.update(webhook::Edit::disable(), &context()) {
            removal.webhooks.push((webhook.clone(), after));
            removal.events.push(event);
        }
    }
    Ok(removal)
}

fn event(event_type: EventType, member: &Member, context: &EventContext) -> Event {
    let mut event = context.event(event_type);
    event.member_id = Some(member.member_id);
    event.add_change("role", serde_json::Value::Null, member.role.as_str());
    event
}
