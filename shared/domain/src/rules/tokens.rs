//! Creating and revoking personal access tokens.

use serde_json::Value;

use crate::clock::Time;
use crate::ids::TokenId;
use crate::models::event::{Event, EventType};
use crate::models::member::{Identity, Member};
use crate::models::token::{LostAccess, NewToken, Token};
use crate::rules::context::EventContext;
use crate::secret::AccessToken;
use crate::stored::Stored;

/// A person's new token, with an event for each workspace that it gives access to. `context` is the context as that
/// member.
#[must_use]
pub fn create(
    new: NewToken,
    token_id: TokenId,
    text: &AccessToken,
    person: &Identity,
    now: Time,
    context: impl Fn(&Member) -> EventContext,
) -> (Token, Vec<Event>) {
    let token = Token {
        token_id,
        short: text.short.clone(),
        secret_hash: text.hash(),
        issuer: person.issuer.clone(),
        subject: person.subject.clone(),
        name: new.name,
        workspace_ids: new.workspace_ids,
        permissions: new.permissions,
        created_at: now,
        expires_at: new.expires_at,
        revoked_at: None,
        shut_out: Vec::new(),
        version: 1,
        stored: Stored::default(),
    };
    let created = |member: &Member| {
        let mut event = about(EventType::TokenCreated, &token, member, &context(member));
        if let Some(permissions) = &token.permissions {
            let permissions: Vec<_> = permissions.iter().map(|permission| permission.as_str()).collect();
            event.add_change("permissions", Value::Null, permissions);
        }
        event.add_change("expires_at", Value::Null, token.expires_at.to_string());
        event
    };
    let events = token.memberships(&person.memberships).iter().map(created).collect();
    (token, events)
}

/// Revokes a person's own token: returns it with an event for each workspace that it still gives access to; `None` if
/// it is already revoked.
#[must_use]
pub fn revoke(
    token: &Token,
    person: &Identity,
    now: Time,
    context: impl Fn(&Member) -> EventContext,
) -> Option<(Token, Vec<Event>)> {
    if token.revoked_at.is_some() {
        return None;
    }
    let revoked = |member: &Member| about(EventType::TokenRevoked, token, member, &context(member));
    let events = token.memberships(&person.memberships).iter().map(revoked).collect();
    Some((Token { revoked_at: Some(now), ..token.clone() }, events))
}

/// Blocks a token in one workspace, for a manager of it: returns the token with the event; `None` if it has no access
/// there. `member` is its person as a member of the workspace.
#[must_use]
pub fn shut_out(token: &Token, member: &Member, context: &EventContext) -> Option<(Token, Event)> {
    if !token.gives_access_to(context.workspace_id) {
        return None;
    }
    let mut after = token.clone();
    after.shut_out.push(LostAccess { workspace_id: context.workspace_id, at: context.at, by: context.actor });
    Some((after, about(EventType::TokenRevoked, token, member, context)))
}

fn about(event_type: EventType, token: &Token, member: &Member, context: &EventContext) -> Event {
    let mut event = context.event(event_type);
    event.token_id = Some(token.token_id);
    event.member_id = Some(member.member_id);
    event
}
