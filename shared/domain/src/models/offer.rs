//! Offers: invitations and deployments, by whose codes a user registers devices.
//!
//! An invitation asks a user to use the app on one to three phones. A deployment offers the user's configuration, and
//! so registers one phone. Codes and messages work in the same way for both.

use chrono::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::error::DomainError;
use crate::ids::{InvitationId, UserId, WorkspaceId};
use crate::models::actor::Actor;
use crate::models::message_limits::MessageLimits;
use crate::secret::Hash;
use crate::states::InvitationStatus;
use crate::stored::Stored;
use crate::string_enum::string_enum;

string_enum! {
    /// How an invitation is sent.
    stored Channel {
        /// By e-mail.
        Email = "email",
        /// By SMS to the user's mobile number.
        Sms = "sms",
    }
}

string_enum! {
    /// The purpose of a code.
    #[derive(Default)]
    stored Purpose {
        /// Invitation: to use the app.
        #[default]
        Invite = "invite",
        /// Deployment: to get a configuration on a phone.
        Deploy = "deploy",
    }
}

impl Purpose {
    /// True for an invitation in the narrow sense, the default in stored rows.
    fn is_invite(&self) -> bool {
        *self == Self::Invite
    }
}

string_enum! {
    /// Delivery state of an invitation's message.
    stored DeliveryState {
        /// Waiting to be sent.
        Queued = "queued",
        /// It was sent.
        Sent = "sent",
        /// Delivered.
        Delivered = "delivered",
        /// Bounced.
        Bounced = "bounced",
        /// Marked as spam.
        Complained = "complained",
        /// It could not be sent, or the network could not deliver the text.
        Failed = "failed",
        /// The mail service accepted it but did not send it.
        Rejected = "rejected",
        /// The invitation ended before the message was sent. Never stored: see [`Offer::delivery_at`].
        Canceled = "canceled",
    }
}

/// The delivery of an invitation's message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// Its state.
    pub state: DeliveryState,
    /// Time of that state.
    pub at: Time,
    /// Message identifier of the service that sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// The service's reason for a failure or a bounce; nothing personal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// For this long after a change of a user's address or number, what is sent to it carries a warning.
pub const ADDRESS_WARNING_PERIOD: Duration = Duration::days(7);

/// A warning to the person who made a change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Warning {
    /// Stable code for programs, such as `address_changed_recently`.
    pub code: String,
    /// What it warns of, for people.
    pub detail: String,
    /// Time of what it warns of.
    pub at: Time,
}

/// An invitation or a deployment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The user.
    pub user_id: UserId,
    /// Its identifier.
    pub invitation_id: InvitationId,
    /// Invitation or deployment.
    #[serde(default, skip_serializing_if = "Purpose::is_invite")]
    pub purpose: Purpose,
    /// How it is sent.
    pub channel: Channel,
    /// The masked address or number that its message goes to; rows of earlier releases have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_to: Option<String>,
    /// When that address or number was changed, if less than [`ADDRESS_WARNING_PERIOD`] before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address_changed_at: Option<Time>,
    /// How many devices can be registered with it.
    pub devices: u32,
    /// How many devices have been registered with it.
    pub used: u32,
    /// How many registrations were refused because another user holds the device identifier.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub refused_registrations: u32,
    /// Hash of the code.
    pub code_hash: Hash,
    /// Creation time.
    pub created_at: Time,
    /// Expiry time.
    pub expires_at: Time,
    /// When the button on its link's page was first used. A phone that opens the link in the app at once does not
    /// count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_at: Option<Time>,
    /// How often that button was used.
    #[serde(default)]
    pub opened: u32,
    /// When the last possible device was registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_at: Option<Time>,
    /// When its expiry was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expired_at: Option<Time>,
    /// When a newer invitation replaced it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded_at: Option<Time>,
    /// When it was revoked: by an admin, because its user was deleted or got another address or number, or
    /// because its code was refused too often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Time>,
    /// When its message was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Time>,
    /// Delivery of its message.
    pub delivery: Delivery,
    /// Version for optimistic locking: increases by one with each change.
    pub version: u64,
    /// The row as read from the store.
    #[serde(skip)]
    pub stored: Stored,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// After this many registrations that were refused because another user holds the device identifier, a code is
/// revoked: each refusal tells the holder of the code that the identifier exists.
pub const REFUSED_REGISTRATIONS: u32 = 5;

impl Offer {
    /// Its status: whether it can be used.
    #[must_use]
    pub fn status(&self, now: Time) -> InvitationStatus {
        if self.used >= self.devices {
            InvitationStatus::Used
        } else if self.revoked_at.is_some() {
            InvitationStatus::Revoked
        } else if self.superseded_at.is_some() {
            InvitationStatus::Superseded
        } else if self.expired_at.is_some() || self.expires_at <= now {
            InvitationStatus::Expired
        } else {
            InvitationStatus::Open
        }
    }

    /// The delivery of its message at a time: a message that was not sent before the invitation ended is canceled.
    #[must_use]
    pub fn delivery_at(&self, now: Time) -> Delivery {
        let ended_at = match self.status(now) {
            InvitationStatus::Open => None,
            InvitationStatus::Used => self.used_at,
            InvitationStatus::Revoked => self.revoked_at,
            InvitationStatus::Superseded => self.superseded_at,
            InvitationStatus::Expired => Some(self.expires_at),
        };
        match (&self.delivery.state, ended_at) {
            (DeliveryState::Queued, Some(at)) => {
                Delivery { state: DeliveryState::Canceled, at, ..self.delivery.clone() }
            }
            _ => self.delivery.clone(),
        }
    }

    /// Checks that the invitation can be used.
    ///
    /// # Errors
    /// `CodeUsed`, `CodeSuperseded`, `CodeRevoked` or `CodeExpired`; `CodeUnknown` for a purpose of another release.
    pub fn require_open(&self, now: Time) -> Result<(), DomainError> {
        if !self.purpose.is_known() {
            return Err(DomainError::CodeUnknown);
        }
        match self.status(now) {
            InvitationStatus::Open => Ok(()),
            InvitationStatus::Used => Err(DomainError::CodeUsed),
            InvitationStatus::Superseded => Err(DomainError::CodeSuperseded),
            InvitationStatus::Revoked => Err(DomainError::CodeRevoked),
            InvitationStatus::Expired => Err(DomainError::CodeExpired),
        }
    }

    /// Warnings to the person who created it.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        let recently = |at| Warning {
            code: "address_changed_recently".to_owned(),
            detail: match self.channel {
                Channel::Email => "The e-mail address was changed less than 7 days before this was sent to it.",
                Channel::Sms => "The mobile number was changed less than 7 days before this was sent to it.",
                Channel::Unknown(_) => "The address was changed less than 7 days before this was sent to it.",
            }
            .to_owned(),
            at,
        };
        self.address_changed_at.map(recently).into_iter().collect()
    }

    /// True while its code must be kept for its message: until its end is recorded. The clock alone does not end it
    /// here, so an expired invitation whose expiry was not recorded yet still becomes superseded by a newer one.
    #[must_use]
    pub fn needs_code(&self) -> bool {
        self.used < self.devices
            && self.superseded_at.is_none()
            && self.revoked_at.is_none()
            && self.expired_at.is_none()
    }

    /// The actor for changes by somebody who has its code.
    #[must_use]
    pub fn actor(&self) -> Actor {
        match self.purpose {
            Purpose::Invite | Purpose::Unknown(_) => Actor::Invitation(self.invitation_id),
            Purpose::Deploy => Actor::Deployment(self.invitation_id),
        }
    }
}

/// The data of a new invitation.
#[derive(Clone)]
pub struct NewOffer {
    /// Its identifier.
    pub invitation_id: InvitationId,
    /// Its code, which only its message has.
    pub code: String,
    /// Invitation or deployment.
    pub purpose: Purpose,
    /// How it is sent.
    pub channel: Channel,
    /// How many devices can be registered with it.
    pub devices: u32,
    /// How long it is valid.
    pub lifetime: Duration,
    /// What limits its message.
    pub limits: MessageLimits,
}

/// The precedence of a delivery report. A mail service may report in any order: a bounce can follow a delivery,
/// and a complaint both. A failure with a message identifier is final, as a delivery is: of the two, the first
/// one counts.
pub(crate) fn precedence(delivery: &Delivery) -> u8 {
    match delivery.state {
        DeliveryState::Queued | DeliveryState::Canceled => 0,
        DeliveryState::Failed if delivery.message_id.is_none() => 1,
        // A state of another release ranks below the final ones.
        DeliveryState::Sent | DeliveryState::Unknown(_) => 2,
        DeliveryState::Delivered | DeliveryState::Failed => 3,
        DeliveryState::Rejected => 4,
        DeliveryState::Bounced => 5,
        DeliveryState::Complained => 6,
    }
}
