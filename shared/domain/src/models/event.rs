//! Events: the audit record, the outbox and the public feed in one row.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::Time;
use crate::ids::{
    CommandId, DeviceId, EventId, InvitationId, JobId, KeyId, MemberId, ProfileId, SourceId, TokenId, UserId,
    WebhookId, WorkspaceId,
};
use crate::models::actor::Actor;
use crate::models::command::CommandKind;
use crate::stored::Stored;
use crate::string_enum::string_enum;

string_enum! {
    /// Types of events.
    stored EventType {
        /// A workspace was created.
        WorkspaceCreated = "workspace.created",
        /// A workspace's settings were changed.
        WorkspaceUpdated = "workspace.updated",
        /// A key was created.
        KeyCreated = "key.created",
        /// A key was revoked.
        KeyRevoked = "key.revoked",
        /// A personal access token for the workspace was created.
        TokenCreated = "token.created",
        /// A personal access token lost access to the workspace.
        TokenRevoked = "token.revoked",
        /// A person was added as a member and has yet to accept.
        MemberAdded = "member.added",
        /// A person accepted a membership.
        MemberChanged = "member.changed",
        /// A member was removed, or declined.
        MemberRemoved = "member.removed",
        /// A user was created.
        UserCreated = "user.created",
        /// A user's data was changed.
        UserUpdated = "user.updated",
        /// A user was activated, or a suspension or a lock was lifted.
        UserActivated = "user.activated",
        /// A user was suspended.
        UserSuspended = "user.suspended",
        /// A user was locked by too many wrong PINs.
        UserLocked = "user.locked",
        /// A user was locked, and their phones get a wipe command.
        UserLockedAndWiped = "user.locked_and_wiped",
        /// A user's phones were told to ask for a new PIN; a lock was lifted.
        UserPinReset = "user.pin_reset",
        /// A user was deleted.
        UserDeleted = "user.deleted",
        /// A user's carrier network has changed.
        UserNetworkChanged = "user.network_changed",
        /// A phone reported its user's usage. Earlier releases made this event.
        UserUsageReported = "user.usage_reported",
        /// A user was invited.
        UserInvited = "user.invited",
        /// A deleted user's rows were purged.
        UserPurged = "user.purged",
        /// An invitation's message was sent.
        InvitationSent = "invitation.sent",
        /// An invitation's message could not be sent or delivered.
        InvitationFailed = "invitation.failed",
        /// An invitation's message was delivered.
        InvitationDelivered = "invitation.delivered",
        /// An invitation's message bounced.
        InvitationBounced = "invitation.bounced",
        /// An invitation's message was marked as spam.
        InvitationComplained = "invitation.complained",
        /// The button on the page of an invitation's link was used.
        InvitationOpened = "invitation.opened",
        /// An invitation expired.
        InvitationExpired = "invitation.expired",
        /// An invitation was revoked.
        InvitationRevoked = "invitation.revoked",
        /// A device was registered.
        DeviceRegistered = "device.registered",
        /// A registered device was registered again with a new code.
        DeviceReEnrolled = "device.re_enrolled",
        /// A registration was refused, since another user holds the device identifier.
        DeviceRefused = "device.refused",
        /// A device checked in for the first time since its registration.
        DeviceConfirmed = "device.confirmed",
        /// A device's versions, push token, nickname or metadata changed.
        DeviceUpdated = "device.updated",
        /// A device was blocked.
        DeviceBlocked = "device.blocked",
        /// A device was unblocked.
        DeviceUnblocked = "device.unblocked",
        /// A device was deleted.
        DeviceDeleted = "device.deleted",
        /// A deleted device's rows were purged.
        DevicePurged = "device.purged",
        /// Push notifications started or stopped working.
        DevicePushChanged = "device.push_changed",
        /// An access credential was issued to a device.
        DeviceCredentialIssued = "device.credential_issued",
        /// An access credential of a device was revoked.
        DeviceCredentialRevoked = "device.credential_revoked",
        /// A credential service reported a change on a device.
        DeviceServiceReported = "device.service_reported",
        /// A command was created.
        CommandQueued = "command.queued",
        /// A command was delivered to the device.
        CommandDelivered = "command.delivered",
        /// A device deferred a command.
        CommandDeferred = "command.deferred",
        /// A command was canceled after its delivery.
        CommandCancelRequested = "command.cancel_requested",
        /// A command was canceled.
        CommandCanceled = "command.canceled",
        /// A command expired.
        CommandTimedOut = "command.timed_out",
        /// A device carried out a command.
        CommandSucceeded = "command.succeeded",
        /// A device failed to carry out a command.
        CommandFailed = "command.failed",
        /// A device or its user rejected a command.
        CommandRejected = "command.rejected",
        /// A device does not know a command.
        CommandNotSupported = "command.not_supported",
        /// A command was dropped, since its device was enrolled again.
        CommandRemoved = "command.removed",
        /// A profile was created.
        ProfileCreated = "profile.created",
        /// A profile was changed, or made the workspace's default.
        ProfileUpdated = "profile.updated",
        /// A profile was deleted.
        ProfileDeleted = "profile.deleted",
        /// A user was deployed to.
        DeploymentStarted = "deployment.started",
        /// A deployment's message was sent.
        DeploymentSent = "deployment.sent",
        /// A deployment's message could not be sent.
        DeploymentFailed = "deployment.failed",
        /// A deployment's message was delivered.
        DeploymentDelivered = "deployment.delivered",
        /// A deployment's message bounced.
        DeploymentBounced = "deployment.bounced",
        /// A deployment's message was marked as spam.
        DeploymentComplained = "deployment.complained",
        /// A deployment expired.
        DeploymentExpired = "deployment.expired",
        /// A deployment was revoked.
        DeploymentRevoked = "deployment.revoked",
        /// A deployment's QR code was shown to an admin.
        DeploymentQrShown = "deployment.qr_shown",
        /// A user was removed from client deployment.
        UserUndeployed = "user.undeployed",
        /// A user's phones were told to download their configuration at their next check-in.
        UserConfigForced = "user.config_forced",
        /// A user's secrets were set.
        UserSecretsSet = "user.secrets_set",
        /// A user is no longer in their source.
        UserVanished = "user.vanished",
        /// A user is in their source again.
        UserReappeared = "user.reappeared",
        /// A device received its configuration.
        DeviceConfigServed = "device.config_served",
        /// A device installed its configuration.
        DeviceConfigInstalled = "device.config_installed",
        /// A source was created.
        SourceCreated = "source.created",
        /// A source was changed.
        SourceUpdated = "source.updated",
        /// A source was deleted; its users stay.
        SourceDeleted = "source.deleted",
        /// A source could not be read, or its data was invalid.
        SourceFailed = "source.failed",
        /// The first part of an export was downloaded.
        ExportStarted = "export.started",
        /// A further part of an export was downloaded.
        ExportContinued = "export.continued",
        /// A job was created.
        JobCreated = "job.created",
        /// A job has finished.
        JobFinished = "job.finished",
        /// A job was canceled.
        JobCanceled = "job.canceled",
        /// A webhook was created.
        WebhookCreated = "webhook.created",
        /// A webhook was changed, or enabled or disabled by an admin.
        WebhookUpdated = "webhook.updated",
        /// A webhook was deleted.
        WebhookDeleted = "webhook.deleted",
        /// A webhook's secret was rotated.
        WebhookSecretRotated = "webhook.secret_rotated",
        /// A webhook was disabled, since its deliveries fail.
        WebhookDisabled = "webhook.disabled",
    }
}

/// The change of one field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct FieldChange {
    /// Value before.
    pub before: Value,
    /// Value after.
    pub after: Value,
}

/// The private part of an event, shown in the audit log only: never published, and removed when a person's data
/// is erased.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Private {
    /// IP address of the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Reason that was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Custom metadata that was set; a removed key is `null`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, Value>,
    /// Private data of another release: shown as it is, and removed with the rest.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// An event: something that happened in a workspace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its identifier, which contains its time.
    pub event_id: EventId,
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// Type of the event.
    pub event_type: EventType,
    /// Creation time.
    pub created_at: Time,
    /// Who caused it.
    pub actor: Actor,
    /// The personal access token that a member used, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor_token_id: Option<TokenId>,
    /// Name of the operation.
    pub operation: String,
    /// Identifier of the request.
    pub request_id: String,
    /// The device that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<DeviceId>,
    /// The user that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The invitation that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invitation_id: Option<InvitationId>,
    /// The command that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_id: Option<CommandId>,
    /// The kind of that command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_kind: Option<CommandKind>,
    /// The job that it is about, or that caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<JobId>,
    /// The deployment that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_id: Option<InvitationId>,
    /// The profile that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile_id: Option<ProfileId>,
    /// The source that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_id: Option<SourceId>,
    /// The key that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<KeyId>,
    /// The member that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member_id: Option<MemberId>,
    /// The personal access token that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_id: Option<TokenId>,
    /// The webhook that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_id: Option<WebhookId>,
    /// Changed fields that are not personal, with their old and new values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub changes: BTreeMap<String, FieldChange>,
    /// Names of changed fields that are personal or secret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed_fields: Vec<String>,
    /// The private part.
    #[serde(default)]
    pub private: Private,
    /// The row as read from the store.
    #[serde(skip)]
    pub stored: Stored,
}

impl Event {
    /// The event with its device and user set.
    #[must_use]
    pub fn with_device(mut self, device_id: DeviceId, user_id: UserId) -> Self {
        self.device_id = Some(device_id);
        self.user_id = Some(user_id);
        self
    }

    /// The event with its user set.
    #[must_use]
    pub fn with_user(mut self, user_id: UserId) -> Self {
        self.user_id = Some(user_id);
        self
    }

    /// True if the private part is empty.
    #[must_use]
    pub fn is_private_empty(&self) -> bool {
        self.private == Private::default()
    }

    /// The event without its private part, as erasure leaves it.
    #[must_use]
    pub fn without_private(&self) -> Self {
        Self { private: Private::default(), ..self.clone() }
    }

    /// Records the change of a field that is not personal; does nothing if the value is the same.
    pub fn add_change(&mut self, field: &str, before: impl Into<Value>, after: impl Into<Value>) {
        let change = FieldChange { before: before.into(), after: after.into() };
        if change.before != change.after {
            self.changes.insert(field.to_owned(), change);
        }
    }

    /// Records the change of a personal or secret field by name only.
    pub fn add_changed_field(&mut self, field: &str) {
        self.changed_fields.push(field.to_owned());
    }

    /// The event as it is published: without its private part.
    #[must_use]
    pub fn to_public_json(&self) -> Value {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if let Some(fields) = value.as_object_mut() {
            fields.remove("private");
        }
        value
    }
}
