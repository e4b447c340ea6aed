//! Creating, opening, revoking and expiring offers (invitations and deployments), and the delivery of their messages.

use crate::error::DomainError;
use crate::models::event::{Event, EventType};
use crate::models::offer::{
    ADDRESS_WARNING_PERIOD, Channel, Delivery, DeliveryState, NewOffer, Offer, Purpose, REFUSED_REGISTRATIONS,
    precedence,
};
use crate::models::user::User;
use crate::rules::change::{ChangeSet, RowChange, SecretChanges};
use crate::rules::context::EventContext;
use crate::secret::Hash;
use crate::states::InvitationStatus;
use crate::stored::Stored;
use crate::text::{masked_email, masked_number};

impl Offer {
    /// Adds the invitation to an event.
    #[must_use]
    pub fn named_in(&self, mut event: Event) -> Event {
        match self.purpose {
            Purpose::Invite | Purpose::Unknown(_) => event.invitation_id = Some(self.invitation_id),
            Purpose::Deploy => event.deployment_id = Some(self.invitation_id),
        }
        event
    }

    fn event(&self, step: OfferEvent, context: &EventContext) -> Event {
        self.named_in(context.event(step.of(self.purpose)).with_user(self.user_id))
    }
}

/// A step in the lifecycle of an invitation.
#[derive(Clone, Copy)]
enum OfferEvent {
    Created,
    Sent,
    Failed,
    Delivered,
    Bounced,
    Complained,
    Expired,
    Revoked,
}

impl OfferEvent {
    fn of(self, purpose: Purpose) -> EventType {
        use EventType as E;
        let (invitation, deployment) = match self {
            Self::Created => (E::UserInvited, E::DeploymentStarted),
            Self::Sent => (E::InvitationSent, E::DeploymentSent),
            Self::Failed => (E::InvitationFailed, E::DeploymentFailed),
            Self::Delivered => (E::InvitationDelivered, E::DeploymentDelivered),
            Self::Bounced => (E::InvitationBounced, E::DeploymentBounced),
            Self::Complained => (E::InvitationComplained, E::DeploymentComplained),
            Self::Expired => (E::InvitationExpired, E::DeploymentExpired),
            Self::Revoked => (E::InvitationRevoked, E::DeploymentRevoked),
        };
        match purpose {
            Purpose::Invite | Purpose::Unknown(_) => invitation,
            Purpose::Deploy => deployment,
        }
    }
}

/// A change of an invitation's own row only.
fn changed(before: &Offer, after: Offer, event: Event) -> ChangeSet {
    ChangeSet { offers: vec![RowChange::from(before.clone(), after)], ..ChangeSet::with_event(event) }
}

/// Creates an invitation or deployment for a user, and makes its message due: [`ChangeSet::new_offer`] returns it.
/// It supersedes an older one of the same purpose, `previous`, whose code then ends.
///
/// # Errors
/// `UserSuspended`, `UserLocked`, `UserDeleted`; those of
/// [`MessageLimits::admit`](crate::models::message_limits::MessageLimits::admit).
pub fn create_offer(
    user: &User,
    previous: Option<&Offer>,
    new: NewOffer,
    context: &EventContext,
) -> Result<ChangeSet, DomainError> {
    user.require_app_access()?;
    let (sent_to, changed_at) = match new.channel {
        Channel::Email => {
            (masked_email(user.email.as_deref().ok_or(DomainError::EmailMissing)?), user.email_changed_at)
        }
        Channel::Sms => {
            (masked_number(user.mobile.as_deref().ok_or(DomainError::MobileMissing)?), user.mobile_changed_at)
        }
        Channel::Unknown(_) => return Err(DomainError::field("channel", "unknown_value", "must be email or sms")),
    };
    let message_counters = new.limits.admit(user, new.purpose, new.channel, context.at)?;
    let superseded = previous.filter(|previous| previous.needs_code()).map(|previous| {
        let superseded = Offer { superseded_at: Some(context.at), ..previous.clone() };
        RowChange::from(previous.clone(), superseded)
    });
    let invitation = Offer {
        workspace_id: user.workspace_id,
        user_id: user.user_id,
        invitation_id: new.invitation_id,
        purpose: new.purpose,
        channel: new.channel,
        sent_to: Some(sent_to),
        address_changed_at: changed_at.filter(|changed| context.at < changed.plus(ADDRESS_WARNING_PERIOD)),
        devices: new.devices,
        used: 0,
        refused_registrations: 0,
        code_hash: Hash::of(&new.code),
        created_at: context.at,
        expires_at: context.at.plus(new.lifetime),
        opened_at: None,
        opened: 0,
        used_at: None,
        expired_at: None,
        superseded_at: None,
        revoked_at: None,
        sent_at: None,
        delivery: Delivery { state: DeliveryState::Queued, at: context.at, message_id: None, reason: None },
        version: 1,
        stored: Stored::default(),
    };
    let mut after = user.clone();
    match new.purpose {
        Purpose::Invite => after.invitation_id = Some(new.invitation_id),
        Purpose::Deploy => after.client.deployment_id = Some(new.invitation_id),
        Purpose::Unknown(_) => {}
    }
    let mut event = invitation.event(OfferEvent::Created, context);
    event.add_change("devices", serde_json::Value::Null, new.devices);
    event.add_change("channel", serde_json::Value::Null, new.channel.as_str());
    Ok(ChangeSet {
        user: Some(RowChange::from(user.clone(), after)),
        offers: superseded.into_iter().chain([RowChange::new(invitation)]).collect(),
        message_counters: Some(message_counters),
        secrets: SecretChanges { code: Some(new.code), ..SecretChanges::default() },
        ..ChangeSet::with_event(event)
    })
}

/// Counts a use of the button on the page of an invitation's link.
#[must_use]
pub fn count_opening(invitation: &Offer, context: &EventContext) -> ChangeSet {
    let mut opened = invitation.clone();
    opened.opened += 1;
    opened.opened_at.get_or_insert(context.at);
    let event = context.event(EventType::InvitationOpened).with_user(invitation.user_id);
    changed(invitation, opened, invitation.named_in(event))
}

/// Revokes an invitation; `None` if it is already revoked.
///
/// # Errors
/// `InvitationOver` if it has ended in another way.
pub fn revoke(invitation: &Offer, context: &EventContext) -> Result<Option<ChangeSet>, DomainError> {
    match invitation.status(context.at) {
        InvitationStatus::Open => {}
        InvitationStatus::Revoked => return Ok(None),
        over => return Err(DomainError::InvitationOver(over)),
    }
    let mut revoked = invitation.clone();
    revoked.revoked_at = Some(context.at);
    let mut event = invitation.event(OfferEvent::Revoked, context);
    event.add_change("status", InvitationStatus::Open.as_str(), InvitationStatus::Revoked.as_str());
    Ok(Some(changed(invitation, revoked, event)))
}

/// Revokes the open ones of a user's `offers`, as part of a change.
pub fn revoke_open<'a>(change: &mut ChangeSet, offers: impl IntoIterator<Item = &'a Offer>, context: &EventContext) {
    for offer in offers {
        if let Ok(Some(revoked)) = revoke(offer, context) {
            change.offers.extend(revoked.offers);
            change.events.extend(revoked.events);
        }
    }
}

/// Counts a registration with an open code that was refused because another user's device has the identifier; the last
/// of [`REFUSED_REGISTRATIONS`] revokes the code. Must be committed with the refusal, guarded by the invitation's
/// version, so that concurrent requests cannot exceed the limit.
#[must_use]
pub fn refuse_registration(invitation: &Offer, context: &EventContext) -> ChangeSet {
    let refused = Offer { refused_registrations: invitation.refused_registrations + 1, ..invitation.clone() };
    let event = context.event(EventType::DeviceRefused).with_user(invitation.user_id);
    let mut change = changed(invitation, refused.clone(), event);
    let spent = refused.refused_registrations >= REFUSED_REGISTRATIONS;
    if spent && let Ok(Some(revoked)) = revoke(&refused, context) {
        change = change.then(revoked);
        change.events[1].private.reason = Some("its code was refused too often".to_owned());
    }
    change
}

/// Marks an invitation as expired, so that its code can be deleted; `None` if it has ended in another way, or has not
/// expired yet.
#[must_use]
pub fn expire(invitation: &Offer, context: &EventContext) -> Option<ChangeSet> {
    if !invitation.needs_code() || invitation.expires_at > context.at {
        return None;
    }
    let mut expired = invitation.clone();
    expired.expired_at = Some(context.at);
    let event = invitation.event(OfferEvent::Expired, context);
    Some(changed(invitation, expired, event))
}

/// Records the delivery state of an invitation's message; `None` if it is not news: a later state is never overwritten
/// by an earlier one, and a repeated report changes nothing.
#[must_use]
pub fn record_delivery(invitation: &Offer, report: Delivery, context: &EventContext) -> Option<ChangeSet> {
    let before = &invitation.delivery;
    if precedence(&report) <= precedence(before) {
        return None;
    }
    let step = match report.state {
        DeliveryState::Queued | DeliveryState::Canceled | DeliveryState::Unknown(_) => return None,
        DeliveryState::Sent => OfferEvent::Sent,
        DeliveryState::Delivered => OfferEvent::Delivered,
        DeliveryState::Bounced => OfferEvent::Bounced,
        DeliveryState::Complained => OfferEvent::Complained,
        DeliveryState::Failed | DeliveryState::Rejected => OfferEvent::Failed,
    };
    let mut event = invitation.event(step, context);
    event.add_change("delivery", before.state.as_str(), report.state.as_str());
    let mut after = invitation.clone();
    // A delivered, bounced or complained message was sent, whichever report arrives first.
    if !matches!(report.state, DeliveryState::Queued | DeliveryState::Failed | DeliveryState::Rejected) {
        after.sent_at.get_or_insert(report.at);
    }
    after.delivery = Delivery { message_id: report.message_id.or_else(|| before.message_id.clone()), ..report };
    Some(changed(invitation, after, event))
}
