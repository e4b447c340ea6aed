//! Why something is not done: the one enumeration of errors.

use std::error::Error as StdError;

use schemars::JsonSchema;
use serde::Serialize;
use thiserror::Error as ThisError;

use crate::clock::Time;
use crate::ids::DeviceId;
use crate::input::FieldError;
use crate::limits::{MAKERS_LIMIT, SOURCE_LIMIT, WEBHOOK_LIMIT};
use crate::permission::Permission;
use crate::states::{CommandState, InvitationStatus, JobState, Platform};
use crate::string_enum::string_enum;

/// A device that a refusal names: enough to tell it from the user's others.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct HeldDevice {
    /// The device.
    pub device_id: DeviceId,
    /// Its nickname, or else its model.
    pub display_name: String,
    /// Its model.
    pub model_name: String,
    /// Its platform.
    pub platform: Platform,
    /// Time of its registration.
    pub created_at: Time,
    /// Time of its last check-in.
    pub last_login_at: Option<Time>,
}

/// A rule's reason not to do what was asked. The `Display` text is meant for people and holds
/// nothing personal.
#[derive(Clone, Debug, PartialEq, ThisError)]
pub enum DomainError {
    /// The body could not be read at all.
    #[error("The body is not valid JSON: {0}.")]
    Malformed(String),
    /// The body is of another media type.
    #[error("The body must be JSON, with Content-Type: application/json.")]
    ContentType,
    /// The body is larger than [`crate::limits::BODY_LIMIT`].
    #[error("The body is larger than 256 KiB.")]
    TooLarge,
    /// Something in the input breaks a rule; every fault is named.
    #[error("{}", invalid(.0.len()))]
    Invalid(Vec<FieldError>),
    /// No credential was sent, or none of a kind that this operation takes.
    #[error("Send a credential: Authorization: Bearer …")]
    CredentialMissing,
    /// The credential is not one of ours, or is not of the kind that this operation takes.
    #[error("The credential is not valid.")]
    CredentialInvalid,
    /// The credential's time is over.
    #[error("The credential has expired.")]
    CredentialExpired,
    /// The credential was taken back.
    #[error("The credential has been revoked.")]
    CredentialRevoked,
    /// The device was wiped or registered anew since; it must be registered with a fresh code.
    #[error("This credential has ended because the device was wiped or registered again. Register it with a new code.")]
    ReEnrol,
    /// The caller lacks a permission.
    #[error("You need the permission {0}.")]
    PermissionMissing(Permission),
    /// The caller lacks each of several permissions, of which one is enough.
    #[error("You need one of the permissions {}.", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    PermissionsMissing(&'static [Permission]),
    /// A key may only be given what its maker holds.
    #[error("You cannot grant {0}, which you do not hold yourself.")]
    PermissionNotHeld(Permission),
    /// What is for a person alone, whom neither a key nor a token stands for.
    #[error("Sign in to do this. Keys and personal access tokens cannot.")]
    MemberOnly,
    /// A key would outlive the token that made it.
    #[error("A personal access token cannot create keys. Sign in, or use a key.")]
    TokenMakesNoKeys,
    /// A key that was made by a key that was made by a key, and so on.
    #[error(
        "This key cannot create keys: it comes from a chain of {MAKERS_LIMIT} keys. Use an earlier one of them, or sign in."
    )]
    TooManyMakers,
    /// So much was made by a member that it cannot end in the commit that removes them.
    #[error("This member created {0} keys and webhooks, more than can end at once. Revoke some of them first.")]
    TooManyMade(usize),
    /// What was accepted cannot be declined.
    #[error("You have accepted this membership. An admin of the workspace can remove you.")]
    MembershipAccepted,
    /// The workspace has no such thing.
    #[error("{}", not_found(.0))]
    NotFound(&'static str),
    /// No operation has this address.
    #[error("Not found. Check the address.")]
    RouteNotFound,
    /// The address exists, but not with this method.
    #[error("Method not allowed here.")]
    MethodNotAllowed,
    /// The address takes these methods only.
    #[error("only {0} accepted")]
    OnlyMethods(String),
    /// What was asked for cannot be shown in any of the ways that the caller takes.
    #[error("Available only as {0}.")]
    NotAcceptable(String),
    /// The thing has changed since it was read.
    #[error("This has changed since it was read. Read it again, then retry.")]
    VersionMismatch,
    /// No invitation has this code.
    #[error("This code is not valid. Check it, or ask for a new invitation.")]
    CodeUnknown,
    /// The code's time is over.
    #[error("This code has expired. Ask for a new invitation.")]
    CodeExpired,
    /// The code was good for a number of devices, and they are registered.
    #[error("This code has been used. Ask for a new invitation.")]
    CodeUsed,
    /// A newer invitation has taken its place.
    #[error("A newer invitation has replaced this code. Use the newest message.")]
    CodeSuperseded,
    /// Its invitation was taken back.
    #[error("This code was revoked. Ask for a new invitation.")]
    CodeRevoked,
    /// An invitation that is over stays as it is.
    #[error("The invitation is already {0}.")]
    InvitationOver(InvitationStatus),
    /// The user holds as many devices as one may.
    #[error("The user already has {} devices. Delete one first.", .0.len())]
    DeviceLimitReached(Vec<HeldDevice>),
    /// Another user holds this device.
    #[error("This device is registered to another user.")]
    IdentifierHeld,
    /// The device is blocked.
    #[error("This device is blocked.")]
    DeviceBlocked,
    /// A deleted device stays deleted.
    #[error("This device is deleted.")]
    DeviceDeleted,
    /// There is no app any more that could do it.
    #[error("This device was wiped. Register it again with a new code.")]
    DeviceErased,
    /// An installation that is told to erase itself does so before it is registered.
    #[error("This device has yet to erase itself. Let the app check in and finish, then use the code again.")]
    ErasurePending,
    /// A command that is over stays as it is.
    #[error("{}", command_over(*.0))]
    CommandOver(CommandState),
    /// Before a user is deleted, their phones are to be wiped.
    #[error("{}", wipe_first(.0.len()))]
    WipeFirst(Vec<HeldDevice>),
    /// A job that is over stays as it is.
    #[error("{}", job_over(*.0))]
    JobOver(JobState),
    /// The user is suspended.
    #[error("The user is suspended.")]
    UserSuspended,
    /// The user is locked.
    #[error("The user is locked.")]
    UserLocked,
    /// The user is deleted.
    #[error("The user is deleted.")]
    UserDeleted,
    /// The user was taken out of client deployment.
    #[error("The user is not in client deployment. Deploy to them first.")]
    NotDeployed,
    /// The device was enrolled by an invitation, and nobody has deployed to its user since.
    #[error("Nothing has been deployed to this device's user since the device was registered.")]
    DeviceNotDeployed,
    /// An e-mail cannot be sent to a user without an address.
    #[error("The user has no e-mail address.")]
    EmailMissing,
    /// A text cannot be sent to a user without a number.
    #[error("The user has no mobile number.")]
    MobileMissing,
    /// The operator has named no calling codes.
    #[error("Texts are off: the operator of this deployment has allowed no calling codes.")]
    TextsOff,
    /// The operator has not named the number's calling code.
    #[error("Texts to this calling code are not allowed.")]
    CallingCodeNotAllowed,
    /// As many messages went out as may.
    #[error("{}", too_many(.0))]
    TooManyMessages(RetryAfter),
    /// Another user has this username.
    #[error("Another user has this username.")]
    UsernameTaken,
    /// Another user has this key.
    #[error("Another user has this user_identity_key.")]
    IdentityKeyTaken,
    // sources
    /// The user follows another source, or an identity provider.
    #[error("The user comes from another source, or from an identity provider.")]
    HeldByOtherSource,
    /// Another user has this name in the source, or with the identity provider.
    #[error("Another user has this external id.")]
    ExternalIdTaken,
    /// The rows of this source are not uploaded.
    #[error("This source takes no uploads.")]
    SourceNotUploaded,
    /// An identity provider pushes the users of this source.
    #[error("An identity provider manages the users of this source.")]
    SourcePushed,
    /// There is nothing to take in.
    #[error("There is no complete, unused upload. Upload every part first.")]
    NothingUploaded,
    /// The workspace has as many sources as it may.
    #[error("A workspace has at most {SOURCE_LIMIT} sources.")]
    TooManySources,
    /// A source is taken in by one job at a time.
    #[error("A sync of this source is still running.")]
    SyncRunning,
    /// This person is a member already.
    #[error("This person is a member already.")]
    MemberExists,
    /// A workspace keeps at least one admin.
    #[error("The last admin cannot be removed.")]
    LastAdmin,
    // profiles
    /// Another profile has this name.
    #[error("Another profile has this name.")]
    ProfileNameTaken,
    /// Users have this profile.
    #[error("Users have this profile. Give them another one first.")]
    ProfileInUse,
    /// Whether users have this profile is known for certain only after a while.
    #[error("This profile was given to a user within the last two minutes. Try again in two minutes.")]
    ProfileJustGiven,
    /// A workspace with profiles has a default.
    #[error("This is the workspace's default profile. Make another one the default first.")]
    ProfileIsDefault,
    /// The call was made before with this idempotency key, and what it made shows only once.
    #[error("This was already created; its secret is shown only once.")]
    AlreadyCreated(String),
    /// The idempotency key belongs to a call with another body.
    #[error("This idempotency key was used with a different request.")]
    IdempotencyMismatch,
    /// The cursor is altered, or belongs to another list.
    #[error("The cursor is not valid for this list.")]
    CursorInvalid,
    // webhooks
    /// The workspace has as many webhooks as it may.
    #[error("A workspace has at most {WEBHOOK_LIMIT} webhooks.")]
    TooManyWebhooks,
    // scim
    /// Something that the protocol knows and that is not offered.
    #[error("Not supported here.")]
    NotOffered,
    /// What a server knows is told as a whole (RFC 7644, 4).
    #[error("This does not take a filter.")]
    FilterNotTaken,
    /// What SCIM has a word of its own for.
    #[error("{1}")]
    Scim(ScimType, String),
}

fn too_many(wait: &RetryAfter) -> String {
    match wait.limit {
        MessageLimit::Recipient => {
            "One recipient gets at most one such message a minute and five a day. Try again later.".to_owned()
        }
        MessageLimit::Workspace => {
            "The workspace has reached today's limit of such messages. Try again tomorrow.".to_owned()
        }
    }
}

fn invalid(count: usize) -> String {
    if count == 1 { "One field is invalid.".to_owned() } else { format!("{count} fields are invalid.") }
}

/// `user_identity` becomes "User identity not found."
fn not_found(kind: &str) -> String {
    let kind = kind.replace('_', " ");
    let (first, rest) = kind.split_at(kind.len().min(1));
    format!("{}{rest} not found.", first.to_uppercase())
}

fn wipe_first(count: usize) -> String {
    let (devices, them) = if count == 1 {
        ("1 device of the user was".to_owned(), "it")
    } else {
        (format!("{count} devices of the user were"), "them")
    };
    format!("{devices} never wiped. Wipe {them} first, or delete without a wipe and give a reason.")
}

fn command_over(state: CommandState) -> String {
    let how = match state {
        CommandState::Succeeded => "has already succeeded",
        CommandState::Failed => "has already failed",
        CommandState::Rejected => "was already rejected",
        CommandState::NotSupported => "is not supported by the app",
        CommandState::Canceled => "is already canceled",
        CommandState::TimedOut => "has timed out",
        CommandState::Removed => "was removed when the device was registered again",
        state => return format!("The command is {state}."),
    };
    format!("The command {how}.")
}

fn job_over(state: JobState) -> String {
    match state {
        JobState::Finished => "The job has already finished.".to_owned(),
        JobState::Failed => "The job has already failed.".to_owned(),
        state => format!("The job is {state}."),
    }
}

impl DomainError {
    /// A refusal for one fault of one field.
    #[must_use]
    pub fn field(field: &str, code: &'static str, detail: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError::new(field, code, detail)])
    }

    /// The stable code that programs read.
    #[must_use]
    pub fn code(&self) -> String {
        let code = match self {
            Self::Malformed(_) => "malformed_body",
            Self::ContentType => "invalid_content_type",
            Self::TooLarge => "body_too_large",
            Self::Invalid(_) => "invalid_input",
            Self::CredentialMissing => "credential_missing",
            Self::CredentialInvalid => "credential_invalid",
            Self::CredentialExpired => "credential_expired",
            Self::CredentialRevoked => "credential_revoked",
            Self::ReEnrol => "re_enrol",
            Self::PermissionMissing(_) | Self::PermissionsMissing(_) => "permission_missing",
            Self::PermissionNotHeld(_) => "permission_not_held",
            Self::MemberOnly => "member_only",
            Self::TokenMakesNoKeys => "token_makes_no_keys",
            Self::MembershipAccepted => "membership_accepted",
            Self::TooManyMakers => "too_many_makers",
            Self::TooManyMade(_) => "too_many_made",
            Self::NotFound(kind) => return format!("{kind}_not_found"),
            Self::RouteNotFound => "route_not_found",
            Self::MethodNotAllowed | Self::OnlyMethods(_) => "method_not_allowed",
            Self::NotAcceptable(_) => "not_acceptable",
            Self::VersionMismatch => "version_mismatch",
            Self::CodeUnknown => "code_unknown",
            Self::CodeExpired => "code_expired",
            Self::CodeUsed => "code_used",
            Self::CodeSuperseded => "code_superseded",
            Self::CodeRevoked => "code_revoked",
            Self::InvitationOver(_) => "invitation_over",
            Self::DeviceLimitReached(_) => "device_limit_reached",
            Self::IdentifierHeld => "identifier_held",
            Self::DeviceBlocked => "device_blocked",
            Self::DeviceDeleted => "device_deleted",
            Self::DeviceErased => "device_erased",
            Self::ErasurePending => "erasure_pending",
            Self::CommandOver(_) => "command_over",
            Self::WipeFirst(_) => "wipe_first",
            Self::JobOver(_) => "job_over",
            Self::UserSuspended => "user_suspended",
            Self::UserLocked => "user_locked",
            Self::UserDeleted => "user_deleted",
            Self::NotDeployed => "not_deployed",
            Self::DeviceNotDeployed => "device_not_deployed",
            Self::EmailMissing => "email_missing",
            Self::MobileMissing => "mobile_missing",
            Self::TextsOff => "texts_off",
            Self::CallingCodeNotAllowed => "calling_code_not_allowed",
            Self::TooManyMessages(wait) => wait.limit.as_str(),
            Self::UsernameTaken => "username_taken",
            Self::IdentityKeyTaken => "user_identity_key_taken",
            Self::HeldByOtherSource => "held_by_other_source",
            Self::ExternalIdTaken => "external_id_taken",
            Self::SourceNotUploaded => "source_not_uploaded",
            Self::SourcePushed => "source_pushed",
            Self::NothingUploaded => "nothing_uploaded",
            Self::TooManySources => "too_many_sources",
            Self::SyncRunning => "sync_running",
            Self::MemberExists => "member_exists",
            Self::LastAdmin => "last_admin",
            // profiles
            Self::ProfileNameTaken => "profile_name_taken",
            Self::ProfileInUse => "profile_in_use",
            Self::ProfileJustGiven => "profile_just_given",
            Self::ProfileIsDefault => "profile_is_default",
            Self::AlreadyCreated(_) => "already_created",
            Self::IdempotencyMismatch => "idempotency_mismatch",
            Self::CursorInvalid => "cursor_invalid",
            // webhooks
            Self::TooManyWebhooks => "too_many_webhooks",
            Self::NotOffered => "not_offered",
            Self::FilterNotTaken => "filter_not_taken",
            Self::Scim(scim_type, _) => scim_type.as_str(),
        };
        code.to_owned()
    }
}

/// What can end an operation before it has done its work.
#[derive(Debug, ThisError)]
pub enum Error {
    /// A rule refused. The caller is told why.
    #[error("refused: {0}")]
    Refused(#[from] DomainError),
    /// A row changed between the read and the commit; the operation starts over from its read.
    #[error("another change came first")]
    Conflict,
    /// A service is not reachable, is throttling, or did not say what became of the call. The
    /// caller may try again.
    #[error("{what} is not available")]
    Unavailable {
        /// The service.
        what: &'static str,
        /// The cause.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// A fault of ours.
    #[error("{what} failed")]
    Internal {
        /// What was being done.
        what: &'static str,
        /// The cause.
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl Error {
    /// A fault of ours, with its cause.
    pub fn internal(what: &'static str, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Internal { what, source: source.into() }
    }

    /// A service that did not answer, with its cause.
    pub fn unavailable(what: &'static str, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Unavailable { what, source: source.into() }
    }
}

string_enum! {
    /// Which limit a message has met.
    MessageLimit {
        /// That of its recipient.
        Recipient = "too_many_messages",
        /// That of the workspace's day.
        Workspace = "daily_quota_reached",
    }
}

/// Why a message has to wait, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfter {
    /// The limit.
    pub limit: MessageLimit,
    /// When it may be tried again.
    pub until: Time,
    /// The same in seconds from now, rounded up.
    pub seconds: i64,
}

impl RetryAfter {
    /// A wait that begins now.
    #[must_use]
    pub fn new(limit: MessageLimit, until: Time, now: Time) -> Self {
        let millis = until.millis() - now.millis();
        Self { limit, until, seconds: (millis.max(0) + 999) / 1000 }
    }
}

string_enum! {
    /// SCIM's own words for what is wrong with a request (RFC 7644, table 9).
    ScimType {
        /// The filter cannot be read, or compares what cannot be compared.
        InvalidFilter = "invalidFilter",
        /// More things would have to be looked at than one request may.
        TooMany = "tooMany",
        /// Another one has this name.
        Uniqueness = "uniqueness",
        /// The attribute cannot be changed so.
        Mutability = "mutability",
        /// The body is not built as it must be.
        InvalidSyntax = "invalidSyntax",
        /// The path leads to no attribute that there is.
        InvalidPath = "invalidPath",
        /// The path leads to no value that is there.
        NoTarget = "noTarget",
        /// A value is missing, or is not one of the attribute.
        InvalidValue = "invalidValue",
    }
}
