//! Events, as the audit shows them.

use std::collections::BTreeMap;

use domain::models::command::CommandKind;
use domain::models::event::{self, EventType, FieldChange};
use domain::{
    CommandId, DeviceId, EventId, InvitationId, JobId, KeyId, MemberId, ProfileId, SourceId, Time, TokenId, UserId,
    WebhookId, WorkspaceId,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::Value;

use crate::views::Actor;

/// Who did what, to what, when, and in which request.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Event {
    /// Identifier of the event. Identifiers sort by time.
    event_id: EventId,
    /// Workspace in which it happened.
    workspace_id: WorkspaceId,
    /// Kind of event.
    event_type: EventType,
    /// Time of the event.
    created_at: Time,
    /// Who did it.
    actor: Actor,
    /// Operation that did it; `run-due` for what a job does after the reply to its request.
    operation: String,
    /// Identifier of the request, as `x-request-id` had it, or of the scheduled run.
    request_id: String,
    /// What only the audit shows. Erasing a person blanks it.
    private: Private,
    /// Device that the event concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "DeviceId")]
    device_id: Option<DeviceId>,
    /// User whom the event concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "UserId")]
    user_id: Option<UserId>,
    /// Invitation that the event concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "InvitationId")]
    invitation_id: Option<InvitationId>,
    /// Command that the event concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "CommandId")]
    command_id: Option<CommandId>,
    /// Kind of that command.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "CommandKind")]
    command_kind: Option<CommandKind>,
    /// Job that the event concerns, or that did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "JobId")]
    job_id: Option<JobId>,
    /// Deployment that the event concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "InvitationId")]
    deployment_id: Option<InvitationId>,
    /// Profile that the event concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ProfileId")]
    profile_id: Option<ProfileId>,
    /// Source that the event concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SourceId")]
    source_id: Option<SourceId>,
    /// Key that the event concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "KeyId")]
    key_id: Option<KeyId>,
    /// Member whom the event concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "MemberId")]
    member_id: Option<MemberId>,
    /// Personal access token that the event concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TokenId")]
    token_id: Option<TokenId>,
    /// Personal access token with which a member did it, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TokenId")]
    actor_token_id: Option<TokenId>,
    /// Webhook that the event concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "WebhookId")]
    webhook_id: Option<WebhookId>,
    /// Changes of fields that are not personal, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    changes: BTreeMap<String, FieldChange>,
    /// Names of the personal or secret fields that changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changed_fields: Vec<String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct Private {
    /// IP address of the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    address: Option<String>,
    /// Reason that was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    reason: Option<String>,
    /// Custom metadata as it was set; a removed key is `null`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "metadata")]
    metadata: BTreeMap<String, Value>,
    /// What another release keeps here.
    #[serde(flatten)]
    #[schemars(skip)]
    other: BTreeMap<String, Value>,
}

impl From<&event::Event> for Event {
    fn from(event: &event::Event) -> Self {
        let event = event.clone();
        Self {
            event_id: event.event_id,
            workspace_id: event.workspace_id,
            event_type: event.event_type,
            created_at: event.created_at,
            actor: event.actor.into(),
            operation: event.operation,
            request_id: event.request_id,
            private: event.private.into(),
            device_id: event.device_id,
            user_id: event.user_id,
            invitation_id: event.invitation_id,
            command_id: event.command_id,
            command_kind: event.command_kind,
            job_id: event.job_id,
            deployment_id: event.deployment_id,
            profile_id: event.profile_id,
            source_id: event.source_id,
            key_id: event.key_id,
            member_id: event.member_id,
            token_id: event.token_id,
            actor_token_id: event.actor_token_id,
            webhook_id: event.webhook_id,
            changes: event.changes,
            changed_fields: event.changed_fields,
        }
    }
}

impl From<event::Private> for Private {
    fn from(private: event::Private) -> Self {
        Self { address: private.address, reason: private.reason, metadata: private.metadata, other: private.other }
    }
}

fn metadata(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "additionalProperties": {"type": ["string", "boolean", "null"]}})
}
