//! Under what an act happens: who does it, where, when, and by which request.

use std::collections::BTreeMap;

use crate::clock::Time;
use crate::ids::{EventId, JobId, TokenId, WorkspaceId};
use crate::models::actor::{Actor, Creator};
use crate::models::event::{Event, EventType, Private};
use crate::models::restriction::Restriction;
use crate::stored::Stored;

/// An act about to be done: everything that its event says of who, when and where.
#[derive(Clone, Debug, PartialEq)]
pub struct EventContext {
    /// The identifier that the event will have.
    pub event_id: EventId,
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// Its time.
    pub at: Time,
    /// Who did it.
    pub actor: Actor,
    /// The personal access token by which a member does it, if they do it by one.
    pub token_id: Option<TokenId>,
    /// The operation.
    pub operation: &'static str,
    /// The request.
    pub request_id: String,
    /// Where the request came from.
    pub address: Option<String>,
    /// The job that does it, if one does.
    pub job_id: Option<JobId>,
}

impl EventContext {
    /// Who does it, as what they make remembers them.
    #[must_use]
    pub fn creator(&self) -> Creator {
        Creator { actor: self.actor, token_id: self.token_id }
    }

    /// The event of this act.
    #[must_use]
    pub fn event(&self, event_type: EventType) -> Event {
        Event {
            event_id: self.event_id,
            workspace_id: self.workspace_id,
            event_type,
            created_at: self.at,
            actor: self.actor,
            actor_token_id: self.token_id,
            operation: self.operation.to_owned(),
            request_id: self.request_id.clone(),
            device_id: None,
            user_id: None,
            invitation_id: None,
            command_id: None,
            command_kind: None,
            job_id: self.job_id,
            deployment_id: None,
            profile_id: None,
            source_id: None,
            key_id: None,
            member_id: None,
            token_id: None,
            webhook_id: None,
            changes: BTreeMap::new(),
            changed_fields: Vec::new(),
            private: Private { address: self.address.clone(), ..Private::default() },
            stored: Stored::default(),
        }
    }
}

impl Restriction {
    /// A hold that begins with an act.
    #[must_use]
    pub fn by(context: &EventContext, reason: Option<String>) -> Self {
        Self { at: context.at, by: context.actor, reason }
    }
}
