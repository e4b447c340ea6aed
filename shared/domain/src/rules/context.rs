//! The context of an operation: who, where, when, and in which request.

use std::collections::BTreeMap;

use crate::clock::Time;
use crate::ids::{EventId, JobId, TokenId, WorkspaceId};
use crate::models::actor::{Actor, Creator};
use crate::models::event::{Event, EventType, Private};
use crate::models::restriction::Restriction;
use crate::stored::Stored;

/// The context of an operation that its event records.
#[derive(Clone, Debug, PartialEq)]
pub struct EventContext {
    /// Identifier of the event.
    pub event_id: EventId,
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// Time of the operation.
    pub at: Time,
    /// Who does it.
    pub actor: Actor,
    /// The personal access token that a member uses, if any.
    pub token_id: Option<TokenId>,
    /// Name of the operation.
    pub operation: &'static str,
    /// Identifier of the request.
    pub request_id: String,
    /// Address of the request's sender.
    pub source_ip: Option<String>,
    /// The job that executes the operation, if any.
    pub job_id: Option<JobId>,
}

impl EventContext {
    /// The creator, as recorded with what the operation creates.
    #[must_use]
    pub fn creator(&self) -> Creator {
        Creator { actor: self.actor, token_id: self.token_id }
    }

    /// An event of this operation.
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
            private: Private { address: self.source_ip.clone(), ..Private::default() },
            stored: Stored::default(),
        }
    }
}

impl Restriction {
    /// A restriction that starts with the operation.
    #[must_use]
    pub fn by(context: &EventContext, reason: Option<String>) -> Self {
        Self { at: context.at, by: context.actor, reason }
    }
}
