//! What happened, by whom: the audit record, the outbox and the public feed in one row.

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
    /// The kind of an event.
    stored EventType {
        /// A workspace was made.
        WorkspaceCreated = "workspace.created",
        /// A workspace's settings were changed.
        WorkspaceUpdated = "workspace.updated",
        /// A key was made.
        KeyCreated = "key.created",
        /// A key was taken back.
        KeyRevoked = "key.revoked",
        /// A personal access token that opens the workspace was made.
        TokenCreated = "token.created",
        /// A personal access token opens the workspace no more.
        TokenRevoked = "token.revoked",
        /// A person was added as a member, who has yet to accept it.
        MemberAdded = "member.added",
        /// A person has accepted a membership.
        MemberChanged = "member.changed",
        /// A person is no longer a member, or has declined to be one.
        MemberRemoved = "member.removed",
        /// A user was made.
        UserCreated = "user.created",
        /// Something about a user was changed by an admin.
        UserUpdated = "user.updated",
        /// A user was made active, or what kept them out was lifted.
        UserActivated = "user.activated",
        /// A user was suspended.
        UserSuspended = "user.suspended",
        /// A user was locked by too many wrong PINs.
        UserLocked = "user.locked",
        /// A user was locked, and their phones are to be wiped.
        UserLockedAndWiped = "user.locked_and_wiped",
        /// A user's phones are to ask for a new PIN; a lock was lifted.
        UserPinReset = "user.pin_reset",
        /// A user was deleted.
        UserDeleted = "user.deleted",
        /// A carrier's network of a user has changed.
        UserNetworkChanged = "user.network_changed",
        /// A phone reported what its user has used.
        UserUsageReported = "user.usage_reported",
        /// A user was invited.
        UserInvited = "user.invited",
        /// A deleted user's rows were removed.
        UserPurged = "user.purged",
        /// An invitation's message went out.
        InvitationSent = "invitation.sent",
        /// An invitation's message could not be sent.
        InvitationFailed = "invitation.failed",
        /// An invitation's message arrived.
        InvitationDelivered = "invitation.delivered",
        /// An invitation's message came back.
        InvitationBounced = "invitation.bounced",
        /// An invitation's message was taken for spam.
        InvitationComplained = "invitation.complained",
        /// An invitation's button was used.
        InvitationOpened = "invitation.opened",
        /// An invitation's time is over.
        InvitationExpired = "invitation.expired",
        /// An invitation was taken back.
        InvitationRevoked = "invitation.revoked",
        /// A device was registered.
        DeviceRegistered = "device.registered",
        /// A registered device was registered again with a fresh code.
        DeviceReEnrolled = "device.re_enrolled",
        /// A device was refused, since another user holds its identifier.
        DeviceRefused = "device.refused",
        /// A device came for the first time since it was registered.
        DeviceConfirmed = "device.confirmed",
        /// Something about the device changed: its versions, its push token, its name, its metadata.
        DeviceUpdated = "device.updated",
        /// A device was blocked.
        DeviceBlocked = "device.blocked",
        /// A block was lifted.
        DeviceUnblocked = "device.unblocked",
        /// A device was deleted.
        DeviceDeleted = "device.deleted",
        /// A deleted device's rows were removed.
        DevicePurged = "device.purged",
        /// Push notifications came into use, or fell out of use.
        DevicePushChanged = "device.push_changed",
        /// An access credential was issued to a device.
        DeviceCredentialIssued = "device.credential_issued",
        /// An access credential was taken from a device.
        DeviceCredentialRevoked = "device.credential_revoked",
        /// A credential service said something new of a device.
        DeviceServiceReported = "device.service_reported",
        /// A device was given something to do.
        CommandQueued = "command.queued",
        /// A device was told of a command.
        CommandDelivered = "command.delivered",
        /// A device put a command off.
        CommandDeferred = "command.deferred",
        /// A command was taken back after the device was told.
        CommandCancelRequested = "command.cancel_requested",
        /// A command was taken back.
        CommandCanceled = "command.canceled",
        /// A command's time was over.
        CommandTimedOut = "command.timed_out",
        /// A device has done a command.
        CommandSucceeded = "command.succeeded",
        /// A device could not do a command.
        CommandFailed = "command.failed",
        /// A device would not do a command.
        CommandRejected = "command.rejected",
        /// A device knows no such command.
        CommandNotSupported = "command.not_supported",
        /// A command's device was enrolled anew before it was done.
        CommandRemoved = "command.removed",
        /// A profile was made.
        ProfileCreated = "profile.created",
        /// A profile was changed, or made the workspace's default.
        ProfileUpdated = "profile.updated",
        /// A profile was deleted.
        ProfileDeleted = "profile.deleted",
        /// A user was offered their configuration.
        DeploymentStarted = "deployment.started",
        /// A deployment's message went out.
        DeploymentSent = "deployment.sent",
        /// A deployment's message could not be sent.
        DeploymentFailed = "deployment.failed",
        /// A deployment's message arrived.
        DeploymentDelivered = "deployment.delivered",
        /// A deployment's message came back.
        DeploymentBounced = "deployment.bounced",
        /// A deployment's message was taken for spam.
        DeploymentComplained = "deployment.complained",
        /// A deployment's time is over.
        DeploymentExpired = "deployment.expired",
        /// A deployment was taken back.
        DeploymentRevoked = "deployment.revoked",
        /// A deployment's QR code was shown to an admin.
        DeploymentQrShown = "deployment.qr_shown",
        /// A user was taken out of client deployment.
        UserUndeployed = "user.undeployed",
        /// A user's phones are to download their configuration at their next contact.
        UserConfigForced = "user.config_forced",
        /// A user's secrets were set.
        UserSecretsSet = "user.secrets_set",
        /// A user's source knows them no more.
        UserVanished = "user.vanished",
        /// A user's source knows them again.
        UserReappeared = "user.reappeared",
        /// A device was given its configuration.
        DeviceConfigServed = "device.config_served",
        /// A device has put its configuration in place.
        DeviceConfigInstalled = "device.config_installed",
        /// A source was set up.
        SourceCreated = "source.created",
        /// A source was changed.
        SourceUpdated = "source.updated",
        /// A source was removed; its users stay.
        SourceDeleted = "source.deleted",
        /// A source could not be read, or held garbage.
        SourceFailed = "source.failed",
        /// The first part of an export was given out.
        ExportStarted = "export.started",
        /// Another part of an export was given out.
        ExportContinued = "export.continued",
        /// Work over many things was begun.
        JobCreated = "job.created",
        /// Work over many things is done.
        JobFinished = "job.finished",
        /// Work over many things was stopped.
        JobCanceled = "job.canceled",
        /// A webhook was made.
        WebhookCreated = "webhook.created",
        /// A webhook was changed, or switched on or off by an admin.
        WebhookUpdated = "webhook.updated",
        /// A webhook was removed.
        WebhookDeleted = "webhook.deleted",
        /// A webhook was given another secret.
        WebhookSecretRotated = "webhook.secret_rotated",
        /// A webhook was switched off, since it takes nothing any more.
        WebhookDisabled = "webhook.disabled",
    }
}

/// One field's change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct FieldChange {
    /// Value before.
    pub before: Value,
    /// Value after.
    pub after: Value,
}

/// What only the audit shows: no publication holds it, and erasing a person blanks it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Private {
    /// Where the request came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The reason that was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Custom metadata as it was set; a removed key is `null`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, Value>,
    /// What another release keeps here: shown as it is, and blanked with the rest.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its identifier, which holds its time.
    pub event_id: EventId,
    /// Where it happened.
    pub workspace_id: WorkspaceId,
    /// The kind of event.
    pub event_type: EventType,
    /// Time of its creation.
    pub created_at: Time,
    /// Who did it.
    pub actor: Actor,
    /// The personal access token by which a member did it, if they did it by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor_token_id: Option<TokenId>,
    /// The operation that did it.
    pub operation: String,
    /// The request under which it was done.
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
    /// What that command is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_kind: Option<CommandKind>,
    /// The job that it is about, or that did it.
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
    /// What changed of what is not personal, before and after.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub changes: BTreeMap<String, FieldChange>,
    /// Names of the fields that changed and are personal, or secret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed_fields: Vec<String>,
    /// What only the audit shows.
    #[serde(default)]
    pub private: Private,
    /// The row that it was read as.
    #[serde(skip)]
    pub stored: Stored,
}

impl Event {
    /// The event, about a device and its user.
    #[must_use]
    pub fn about_device(mut self, device_id: DeviceId, user_id: UserId) -> Self {
        self.device_id = Some(device_id);
        self.user_id = Some(user_id);
        self
    }

    /// The event, about a user.
    #[must_use]
    pub fn about_user(mut self, user_id: UserId) -> Self {
        self.user_id = Some(user_id);
        self
    }

    /// True if there is nothing in the private part.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.private == Private::default()
    }

    /// The event without its private part, as erasing a person leaves it.
    #[must_use]
    pub fn blanked(&self) -> Self {
        Self { private: Private::default(), ..self.clone() }
    }

    /// Records a change of a field that is not personal; nothing if it is the same.
    pub fn change(&mut self, field: &str, before: impl Into<Value>, after: impl Into<Value>) {
        let change = FieldChange { before: before.into(), after: after.into() };
        if change.before != change.after {
            self.changes.insert(field.to_owned(), change);
        }
    }

    /// Records that a personal or secret field changed, by its name alone.
    pub fn change_of(&mut self, field: &str) {
        self.changed_fields.push(field.to_owned());
    }

    /// The event as the world outside sees it: without its private part.
    #[must_use]
    pub fn public(&self) -> Value {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if let Some(fields) = value.as_object_mut() {
            fields.remove("private");
        }
        value
    }
}
