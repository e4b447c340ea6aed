//! Adding and removing members; accepting and declining.

use crate::error::DomainError;
use crate::models::event::{Event, EventType};
use crate::models::key::Key;
use crate::models::member::{CREATED_LIMIT, CreatedByMember, Member};
use crate::models::webhook;
use crate::models::webhook::Webhook;
use crate::models::workspace::Workspace;
use crate::permission::Role;
use crate::rules::context::EventContext;
use crate::rules::keys;

/// The event when a workspace adds a person, who has yet to accept it.
#[must_use]
pub fn add(member: &Member, context: &EventContext) -> Event {
    event(EventType::MemberAdded, member, context)
}

/// The membership once its person accepts it, the workspace with one admin more if it makes one, and the event;
/// `None` if it was accepted before.
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

/// The event when a person declines a membership, which then is gone.
///
/// # Errors
/// `MembershipAccepted` if they have accepted it: then it is for an admin of the workspace to remove them.
pub fn decline(member: &Member, context: &EventContext) -> Result<Event, DomainError> {
    if member.pending {
        Ok(event(EventType::MemberRemoved, member, context))
    } else {
        Err(DomainError::MembershipAccepted)
    }
}

/// What a member's removal changes besides their own row.
#[derive(Clone, Debug, PartialEq)]
pub struct Removal {
    /// The workspace.
    pub workspace: Workspace,
    /// The keys that end, before and after it.
    pub keys: Vec<(Key, Key)>,
    /// The webhooks that are switched off, before and after it.
    pub webhooks: Vec<(Webhook, Webhook)>,
    /// The events.
    pub events: Vec<Event>,
}

/// A member leaves. With `revoke`, what they have made ends with them: their keys are revoked, and their webhooks
/// switched off, which whoever is left may switch on again with another secret.
///
/// # Errors
/// `LastAdmin` if nobody would be left to manage the workspace; `TooManyMade` if more would end than a commit holds.
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
