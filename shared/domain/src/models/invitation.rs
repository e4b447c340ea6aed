//! Invitations: a code that lets a user register devices.
//!
//! There are two purposes. An invitation in the narrow sense asks a user to use the app on one to
//! three phones. A deployment offers the user's configuration, and so registers one phone. All that
//! becomes of a code and of the message that carries it is the same for both.

use chrono::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::error::DomainError;
use crate::ids::{InvitationId, UserId, WorkspaceId};
use crate::models::actor::Actor;
use crate::secret::Hash;
use crate::states::InvitationStatus;
use crate::stored::Stored;
use crate::string_enum::string_enum;

string_enum! {
    /// How an invitation reaches its user.
    stored Channel {
        /// By e-mail.
        Email = "email",
        /// By a text to the user's mobile.
        Sms = "sms",
    }
}

string_enum! {
    /// What a code is for.
    #[derive(Default)]
    stored Purpose {
        /// To use the app.
        #[default]
        Invite = "invite",
        /// To have one's configuration on a phone.
        Deploy = "deploy",
    }
}

impl Purpose {
    /// True for an invitation in the narrow sense, which is what is stored unless told otherwise.
    fn is_invite(&self) -> bool {
        *self == Self::Invite
    }
}

string_enum! {
    /// What became of an invitation's message.
    stored DeliveryState {
        /// It is on its way to be sent.
        Queued = "queued",
        /// It was sent.
        Sent = "sent",
        /// It arrived.
        Delivered = "delivered",
        /// It came back.
        Bounced = "bounced",
        /// It was taken for spam.
        Complained = "complained",
        /// It was not sent; or it is a text, and the network could not deliver it.
        Failed = "failed",
        /// The mail service took it, and then did not send it.
        Rejected = "rejected",
        /// The invitation ended before it was sent. Never stored: see [`Invitation::delivery_at`].
        Canceled = "canceled",
    }
}

/// What became of an invitation's message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// What.
    pub state: DeliveryState,
    /// Its time.
    pub at: Time,
    /// The identifier that the service gave it which sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// Why it failed or came back: a word of that service, nothing personal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// So long after a user's address or number was changed, what is deployed to it carries a warning.
pub const ADDRESS_IS_NEW_FOR: Duration = Duration::days(7);

/// Something that was done, and that whoever did it should look at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Warning {
    /// Stable code for programs, such as `address_changed_recently`.
    pub code: String,
    /// What it warns of, for people.
    pub detail: String,
    /// Time of what it warns of.
    pub at: Time,
}

/// One offer to register devices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Invitation {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The user.
    pub user_id: UserId,
    /// Its identifier.
    pub invitation_id: InvitationId,
    /// What it is for: registering, or deploying.
    #[serde(default, skip_serializing_if = "Purpose::is_invite")]
    pub purpose: Purpose,
    /// How it is sent.
    pub channel: Channel,
    /// The address or number that its message goes to, masked; rows of earlier releases have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_to: Option<String>,
    /// When that address or number was changed, if that was less than [`ADDRESS_IS_NEW_FOR`] before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address_changed_at: Option<Time>,
    /// How many devices it is good for.
    pub devices: u32,
    /// How many have been registered with it.
    pub used: u32,
    /// How many registrations were refused because another user holds the device.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub refused_registrations: u32,
    /// What is kept of the code.
    pub code_hash: Hash,
    /// Time of its creation.
    pub created_at: Time,
    /// Time of its expiry.
    pub expires_at: Time,
    /// When its button was first used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_at: Option<Time>,
    /// How often its button was used.
    #[serde(default)]
    pub opened: u32,
    /// When the last of its registrations was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_at: Option<Time>,
    /// When it was found to have expired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expired_at: Option<Time>,
    /// When a newer one took its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded_at: Option<Time>,
    /// When an admin took it back, its user was deleted or got another address or number, or its code was
    /// refused too often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Time>,
    /// When its message went out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Time>,
    /// What became of its message.
    pub delivery: Delivery,
    /// Goes up by one with each change.
    pub version: u64,
    /// The row that it was read as.
    #[serde(skip)]
    pub stored: Stored,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// After so many registrations that were refused because another user holds the device, a code is
/// spent: each such refusal tells whoever has the code that somebody holds that identifier.
pub const REFUSED_REGISTRATIONS: u32 = 5;

impl Invitation {
    /// Whether it can be used.
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

    /// What became of its message by a time: what was not sent before the invitation ended will not be.
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

    /// Lets pass an invitation that can be used.
    ///
    /// # Errors
    /// `CodeUsed`, `CodeSuperseded`, `CodeRevoked` or `CodeExpired`; `CodeUnknown` if only another release knows what
    /// it is for.
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

    /// What whoever made it should look at.
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

    /// True while its code must be kept, so that its message can be made.
    #[must_use]
    pub fn keeps_code(&self) -> bool {
        self.used < self.devices
            && self.superseded_at.is_none()
            && self.revoked_at.is_none()
            && self.expired_at.is_none()
    }

    /// Its user, as whom the act of somebody who has its code is recorded.
    #[must_use]
    pub fn actor(&self) -> Actor {
        match self.purpose {
            Purpose::Invite | Purpose::Unknown(_) => Actor::Invitation(self.invitation_id),
            Purpose::Deploy => Actor::Deployment(self.invitation_id),
        }
    }
}

/// What an invitation is made from.
#[derive(Clone, Debug, PartialEq)]
pub struct NewInvitation {
    /// Its identifier.
    pub invitation_id: InvitationId,
    /// What is kept of its code.
    pub code_hash: Hash,
    /// What it is for: registering, or deploying.
    pub purpose: Purpose,
    /// How it is sent.
    pub channel: Channel,
    /// How many devices it is good for.
    pub devices: u32,
    /// How long it counts.
    pub life: Duration,
}

/// A mail service may report in any order: a bounce can follow a delivery, and a complaint both.
/// What has an identifier was sent, so that its failure is the network's last word, as a delivery
/// is: of the two, the first counts.
pub(crate) fn rank(delivery: &Delivery) -> u8 {
    match delivery.state {
        DeliveryState::Queued | DeliveryState::Canceled => 0,
        DeliveryState::Failed if delivery.message_id.is_none() => 1,
        // What another release knows of it comes before what is final.
        DeliveryState::Sent | DeliveryState::Unknown(_) => 2,
        DeliveryState::Delivered | DeliveryState::Failed => 3,
        DeliveryState::Rejected => 4,
        DeliveryState::Bounced => 5,
        DeliveryState::Complained => 6,
    }
}
