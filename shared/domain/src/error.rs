//! The errors of the domain: one enumeration for all of them.

use std::error::Error as StdError;

use schemars::JsonSchema;
use serde::Serialize;
use thiserror::Error as ThisError;

use crate::clock::Time;
use crate::ids::DeviceId;
use crate::input::FieldError;
use crate::limits::{MAKERS_LIMIT, SOURCE_LIMIT, WEBHOOK_LIMIT};
use crate::listing::SORT_LIMIT;
use crate::permission::Permission;
use crate::states::{CommandState, InvitationStatus, JobState, Platform};
use crate::string_enum::string_enum;

/// A device that an error names, with enough to distinguish it from the user's others.
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

/// A rule's reason to reject a request. The `Display` text is written for people and contains no personal data.
#[derive(Clone, Debug, PartialEq, ThisError)]
pub enum DomainError {
    /// The body is not valid JSON.
    #[error("The body is not valid JSON: {0}.")]
    Malformed(String),
    /// The body has another media type than JSON.
    #[error("The body must be JSON, with Content-Type: application/json.")]
    ContentType,
    /// The body is larger than [`crate::limits::BODY_LIMIT`].
    #[error("The body is larger than 256 KiB.")]
    TooLarge,
    /// The input breaks rules; every invalid field is listed.
    #[error("{}", invalid(.0.len()))]
    Invalid(Vec<FieldError>),
    /// No credential was sent, or none of a kind that this operation accepts.
    #[error("Send a credential: Authorization: Bearer …")]
    CredentialMissing,
    /// The credential is unknown, or not of the kind that this operation accepts.
    #[error("The credential is not valid.")]
    CredentialInvalid,
    /// The credential has expired.
    #[error("The credential has expired.")]
    CredentialExpired,
    /// The credential was revoked.
    #[error("The credential has been revoked.")]
    CredentialRevoked,
    /// The device was wiped or registered again, which ended this credential; a new code is needed.
    #[error("This credential has ended because the device was wiped or registered again. Register it with a new code.")]
    ReEnrol,
    /// The caller lacks a permission.
    #[error("You need the permission {0}.")]
    PermissionMissing(Permission),
    /// The caller has none of several permissions, of which one would be enough.
    #[error("You need one of the permissions {}.", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    PermissionsMissing(&'static [Permission]),
    /// A key can only be granted permissions that its creator has.
    #[error("You cannot grant {0}, which you do not hold yourself.")]
    PermissionNotHeld(Permission),
    /// Only a signed-in person can do this, not a key or a token.
    #[error("Sign in to do this. Keys and personal access tokens cannot.")]
    MemberOnly,
    /// A key could outlive the token that created it.
    #[error("A personal access token cannot create keys. Sign in, or use a key.")]
    TokenMakesNoKeys,
    /// The key is the last of a chain of keys that each created the next, which has the maximum length.
    #[error(
        "This key cannot create keys: it comes from a chain of {MAKERS_LIMIT} keys. Use an earlier one of them, or sign in."
    )]
    TooManyMakers,
    /// The member created more keys and webhooks than can be ended in the commit that removes the member.
    #[error("This member created {0} keys and webhooks, more than can end at once. Revoke some of them first.")]
    TooManyMade(usize),
    /// An accepted membership cannot be declined.
    #[error("You have accepted this membership. An admin of the workspace can remove you.")]
    MembershipAccepted,
    /// The workspace has no such object.
    #[error("{}", not_found(.0))]
    NotFound(&'static str),
    /// No operation has this address.
    #[error("Not found. Check the address.")]
    RouteNotFound,
    /// The address exists, but not with this method.
    #[error("Method not allowed here.")]
    MethodNotAllowed,
    /// The address accepts only these methods.
    #[error("only {0} accepted")]
    OnlyMethods(String),
    /// The response is not available in any media type that the caller accepts.
    #[error("Available only as {0}.")]
    NotAcceptable(String),
    /// The object has changed since it was read.
    #[error("This has changed since it was read. Read it again, then retry.")]
    VersionMismatch,
    /// No invitation has this code.
    #[error("This code is not valid. Check it, or ask for a new invitation.")]
    CodeUnknown,
    /// The code has expired.
    #[error("This code has expired. Ask for a new invitation.")]
    CodeExpired,
    /// The code has been used for as many devices as it allows.
    #[error("This code has been used. Ask for a new invitation.")]
    CodeUsed,
    /// A newer invitation has replaced this one.
    #[error("A newer invitation has replaced this code. Use the newest message.")]
    CodeSuperseded,
    /// The invitation was revoked.
    #[error("This code was revoked. Ask for a new invitation.")]
    CodeRevoked,
    /// The invitation has already ended.
    #[error("The invitation is already {0}.")]
    InvitationOver(InvitationStatus),
    /// The user has the maximum number of devices.
    #[error("The user already has {} devices. Delete one first.", .0.len())]
    DeviceLimitReached(Vec<HeldDevice>),
    /// The device is registered to another user.
    #[error("This device is registered to another user.")]
    IdentifierHeld,
    /// The device is blocked.
    #[error("This device is blocked.")]
    DeviceBlocked,
    /// The device is deleted, which is final.
    #[error("This device is deleted.")]
    DeviceDeleted,
    /// The device was erased, so no app is left that could do it.
    #[error("This device was wiped. Register it again with a new code.")]
    DeviceErased,
    /// The installation has a pending command to erase itself, and must finish it before it is registered again.
    #[error("This device has yet to erase itself. Let the app check in and finish, then use the code again.")]
    ErasurePending,
    /// The command has already ended.
    #[error("{}", command_over(*.0))]
    CommandOver(CommandState),
    /// The user has phones that must be wiped before the user is deleted.
    #[error("{}", wipe_first(.0.len()))]
    WipeFirst(Vec<HeldDevice>),
    /// The job has already ended.
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
    /// The user was removed from client deployment.
    #[error("The user is not in client deployment. Deploy to them first.")]
    NotDeployed,
    /// The device was registered by an invitation, and no deployment to its user followed.
    #[error("Nothing has been deployed to this device's user since the device was registered.")]
    DeviceNotDeployed,
    /// The user has no e-mail address to send to.
    #[error("The user has no e-mail address.")]
    EmailMissing,
    /// The user has no mobile number to send a text to.
    #[error("The user has no mobile number.")]
    MobileMissing,
    /// The operator has allowed no calling codes.
    #[error("Texts are off: the operator of this deployment has allowed no calling codes.")]
    TextsOff,
    /// The operator has not allowed the number's calling code.
    #[error("Texts to this calling code are not allowed.")]
    CallingCodeNotAllowed,
    /// A message limit is reached.
    #[error("{}", too_many(.0))]
    TooManyMessages(RetryAfter),
    /// Another user has this username.
    #[error("Another user has this username.")]
    UsernameTaken,
    /// Another user has this key.
    #[error("Another user has this user_identity_key.")]
    IdentityKeyTaken,
    // sources
    /// The user comes from another source, or from an identity provider.
    #[error("The user comes from another source, or from an identity provider.")]
    HeldByOtherSource,
    /// Another user has this external id in the source or at the identity provider.
    #[error("Another user has this external id.")]
    ExternalIdTaken,
    /// The source's rows are not uploaded but fetched or pushed.
    #[error("This source takes no uploads.")]
    SourceNotUploaded,
    /// An identity provider pushes this source's users.
    #[error("An identity provider manages the users of this source.")]
    SourcePushed,
    /// There is no complete, unused upload.
    #[error("There is no complete, unused upload. Upload every part first.")]
    NothingUploaded,
    /// The workspace has the maximum number of sources.
    #[error("A workspace has at most {SOURCE_LIMIT} sources.")]
    TooManySources,
    /// Another sync of the source is still running.
    #[error("A sync of this source is still running.")]
    SyncRunning,
    /// The person is a member already.
    #[error("This person is a member already.")]
    MemberExists,
    /// The change would leave the workspace without an admin.
    #[error("The last admin cannot be removed.")]
    LastAdmin,
    // profiles
    /// Another profile has this name.
    #[error("Another profile has this name.")]
    ProfileNameTaken,
    /// Users have this profile.
    #[error("Users have this profile. Give them another one first.")]
    ProfileInUse,
    /// The profile was given to a user so recently that the index of its users may not show it yet.
    #[error("This profile was given to a user within the last two minutes. Try again in two minutes.")]
    ProfileJustGiven,
    /// A workspace that has profiles must have a default.
    #[error("This is the workspace's default profile. Make another one the default first.")]
    ProfileIsDefault,
    /// The object was already created with this idempotency key; its secret is shown only once.
    #[error("This was already created; its secret is shown only once.")]
    AlreadyCreated(String),
    /// The idempotency key was used with another body.
    #[error("This idempotency key was used with a different request.")]
    IdempotencyMismatch,
    /// The cursor was altered or belongs to another list.
    #[error("The cursor is not valid for this list.")]
    CursorInvalid,
    /// A list that is filtered cannot be sorted, since the filter leaves too many.
    #[error(
        "A filtered list can be sorted if at most {SORT_LIMIT} match. Narrow the filter, or leave out one of the two."
    )]
    SortNotAvailable,
    // webhooks
    /// The workspace has the maximum number of webhooks.
    #[error("A workspace has at most {WEBHOOK_LIMIT} webhooks.")]
    TooManyWebhooks,
    // scim
    /// Part of the SCIM protocol that is not supported.
    #[error("Not supported here.")]
    NotOffered,
    /// SCIM's discovery endpoints take no filter (RFC 7644, section 4).
    #[error("This does not take a filter.")]
    FilterNotTaken,
    /// An error with a SCIM `scimType`, and its detail.
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
    /// An error for one invalid field.
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
            Self::SortNotAvailable => "sort_not_available",
            // webhooks
            Self::TooManyWebhooks => "too_many_webhooks",
            Self::NotOffered => "not_offered",
            Self::FilterNotTaken => "filter_not_taken",
            Self::Scim(scim_type, _) => scim_type.as_str(),
        };
        code.to_owned()
    }
}

/// Why an operation did not complete.
#[derive(Debug, ThisError)]
pub enum Error {
    /// A rule rejected the request. The caller gets the reason.
    #[error("refused: {0}")]
    Refused(#[from] DomainError),
    /// A row changed between the read and the commit; the operation starts over from its read.
    #[error("another change came first")]
    Conflict,
    /// A service is not reachable, is throttling, or left the call's outcome unknown. The caller may retry.
    #[error("{what} is not available")]
    Unavailable {
        /// The service.
        what: &'static str,
        /// The cause.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// An internal error.
    #[error("{what} failed")]
    Internal {
        /// The step that failed.
        what: &'static str,
        /// The cause.
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl Error {
    /// An internal error with its cause.
    pub fn internal(what: &'static str, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Internal { what, source: source.into() }
    }

    /// An error for a service that did not answer, with its cause.
    pub fn unavailable(what: &'static str, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Unavailable { what, source: source.into() }
    }
}

string_enum! {
    /// The message limit that was reached.
    MessageLimit {
        /// The recipient's limit.
        Recipient = "too_many_messages",
        /// The workspace's daily limit.
        Workspace = "daily_quota_reached",
    }
}

/// The message limit that was reached, and when to retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfter {
    /// The limit.
    pub limit: MessageLimit,
    /// Earliest time of a retry.
    pub until: Time,
    /// Seconds from now until then, rounded up.
    pub seconds: i64,
}

impl RetryAfter {
    /// The wait from now until a time.
    #[must_use]
    pub fn new(limit: MessageLimit, until: Time, now: Time) -> Self {
        let millis = until.millis() - now.millis();
        Self { limit, until, seconds: (millis.max(0) + 999) / 1000 }
    }
}

string_enum! {
    /// SCIM's error types, `scimType` (RFC 7644, table 9).
    ScimType {
        /// The filter is invalid, or compares values that cannot be compared.
        InvalidFilter = "invalidFilter",
        /// The request would have to read more objects than one request may.
        TooMany = "tooMany",
        /// The name is taken.
        Uniqueness = "uniqueness",
        /// The attribute cannot be changed in this way.
        Mutability = "mutability",
        /// The body has the wrong structure.
        InvalidSyntax = "invalidSyntax",
        /// The path names no known attribute.
        InvalidPath = "invalidPath",
        /// The path matches no existing value.
        NoTarget = "noTarget",
        /// A value is missing or invalid for the attribute.
        InvalidValue = "invalidValue",
    }
}
