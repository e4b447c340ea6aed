//! How invitations go out, and what becomes of their messages.

use chrono::Duration;
use domain::error::DomainError;
use domain::models::event::EventType;
use domain::models::offer::{Channel, Delivery, DeliveryState, NewOffer, Offer, Purpose};
use domain::models::user::User;
use domain::rules::offers::{count_opening, create_offer, record_delivery};
use domain::text::{masked_email, masked_number};
use domain::{InvitationId, Time};
use uuid::Uuid;

use crate::common::{at, context, invitation_of, message_limits, user};

fn by(channel: Channel) -> NewOffer {
    NewOffer {
        purpose: Purpose::Invite,
        invitation_id: InvitationId(Uuid::from_u128(3)),
        code: "code".to_owned(),
        channel,
        devices: 1,
        lifetime: Duration::days(7),
        limits: message_limits(channel),
    }
}

fn texted() -> Offer {
    create_offer(&user(), None, by(Channel::Sms), &context(0)).unwrap().new_offer().unwrap().clone()
}

fn report(state: DeliveryState, message_id: Option<&str>) -> Delivery {
    let at = Time::parse("2026-11-23T08:00:01Z").unwrap();
    let reason = (state == DeliveryState::Failed).then(|| "phone_unreachable".to_owned());
    Delivery { state, at, message_id: message_id.map(str::to_owned), reason }
}

#[test]
fn each_channel_asks_for_what_it_reaches_the_user_by_and_for_nothing_else() {
    let reached = User { email: None, ..user() };
    let unreached = User { mobile: None, ..user() };
    assert_eq!(create_offer(&reached, None, by(Channel::Email), &context(0)), Err(DomainError::EmailMissing));
    assert_eq!(create_offer(&unreached, None, by(Channel::Sms), &context(0)), Err(DomainError::MobileMissing));
    let invited = create_offer(&reached, None, by(Channel::Sms), &context(0)).unwrap();
    assert_eq!(invited.new_offer().unwrap().channel, Channel::Sms);
    assert_eq!(invited.events[0].changes["channel"].after, "sms");
    assert!(!format!("{:?}", invited.events[0]).contains("1701234567"), "an event holds no number");
    assert!(create_offer(&unreached, None, by(Channel::Email), &context(0)).is_ok());
}

#[test]
fn a_text_that_was_sent_can_still_fail_and_the_first_last_word_counts() {
    let (sent, _) =
        invitation_of(record_delivery(&texted(), report(DeliveryState::Sent, Some("m-1")), &context(1)).unwrap());
    let (failed, event) =
        invitation_of(record_delivery(&sent, report(DeliveryState::Failed, Some("m-1")), &context(2)).unwrap());
    assert_eq!(event.event_type, EventType::InvitationFailed);
    assert_eq!(failed.delivery, report(DeliveryState::Failed, Some("m-1")));
    for late in [DeliveryState::Failed, DeliveryState::Delivered, DeliveryState::Sent] {
        assert_eq!(record_delivery(&failed, report(late, Some("m-1")), &context(3)), None, "{late} after the failure");
    }
    let (arrived, _) =
        invitation_of(record_delivery(&sent, report(DeliveryState::Delivered, Some("m-1")), &context(2)).unwrap());
    assert_eq!(record_delivery(&arrived, report(DeliveryState::Failed, Some("m-1")), &context(3)), None);
}

#[test]
fn what_was_never_sent_fails_only_while_nothing_better_is_known() {
    let (failed, _) =
        invitation_of(record_delivery(&texted(), report(DeliveryState::Failed, None), &context(1)).unwrap());
    let (sent, _) =
        invitation_of(record_delivery(&failed, report(DeliveryState::Sent, Some("m-1")), &context(2)).unwrap());
    assert_eq!(record_delivery(&sent, report(DeliveryState::Failed, None), &context(3)), None);
}

#[test]
fn where_a_message_goes_is_kept_masked() {
    assert_eq!(texted().sent_to.as_deref(), Some("+49…4567"));
    let mailed = create_offer(&user(), None, by(Channel::Email), &context(0)).unwrap().new_offer().unwrap().clone();
    assert_eq!(mailed.sent_to.as_deref(), Some("a…a@example.com"));
    let addresses = [("alice@example.com", "a…e@example.com"), ("ab@x.org", "a…@x.org"), ("a@x.org", "…@x.org")];
    for (address, masked) in addresses {
        assert_eq!(masked_email(address), masked);
    }
    for (number, masked) in [("+12025550123", "+12…0123"), ("+3531234", "+35…34"), ("+1234567", "+12…67")] {
        assert_eq!(masked_number(number), masked);
    }
}

#[test]
fn what_goes_to_an_address_that_was_changed_within_a_week_says_so() {
    let week = 7 * 24 * 60;
    let user = User { email_changed_at: Some(at(0)), ..user() };
    let made_for = |user: &User, channel, minutes| {
        create_offer(user, None, by(channel), &context(minutes)).unwrap().new_offer().unwrap().clone()
    };
    let made = |channel, minutes| made_for(&user, channel, minutes);
    let recent = made(Channel::Email, week - 1).warnings();
    assert_eq!((recent.len(), recent[0].code.as_str(), recent[0].at), (1, "address_changed_recently", at(0)));
    assert_eq!(made(Channel::Email, week).warnings(), []);
    assert_eq!(made(Channel::Sms, 1).warnings(), [], "the number is the one that it was");
    let changed = User { mobile_changed_at: Some(at(0)), ..user.clone() };
    assert_eq!(made_for(&changed, Channel::Sms, 1).warnings().len(), 1);
}

#[test]
fn what_was_not_sent_before_an_invitation_ended_is_shown_as_canceled_since_then() {
    let queued = texted();
    let ended = [
        Offer { revoked_at: Some(at(3)), ..queued.clone() },
        Offer { superseded_at: Some(at(3)), ..queued.clone() },
        Offer { used: queued.devices, used_at: Some(at(3)), ..queued.clone() },
        Offer { expires_at: at(3), ..queued.clone() },
    ];
    for over in ended {
        let shown = over.delivery_at(at(5));
        assert_eq!((shown.state, shown.at), (DeliveryState::Canceled, at(3)), "{:?}", over.status(at(5)));
        // What went out at the very last is told all the same.
        let (sent, _) =
            invitation_of(record_delivery(&over, report(DeliveryState::Sent, Some("m-1")), &context(4)).unwrap());
        assert_eq!(sent.delivery_at(at(5)), sent.delivery);
    }
    assert_eq!(queued.delivery_at(at(5)), queued.delivery, "it may still be sent");
}

#[test]
fn every_opening_is_counted_and_the_first_is_remembered() {
    let (once, event) = invitation_of(count_opening(&texted(), &context(1)));
    assert_eq!((once.opened, once.opened_at), (1, Some(at(1))));
    assert_eq!((event.event_type, event.invitation_id), (EventType::InvitationOpened, Some(once.invitation_id)));
    let (twice, _) = invitation_of(count_opening(&once, &context(2)));
    assert_eq!(twice, Offer { opened: 2, ..once });
}

#[test]
fn an_invitation_keeps_its_code_until_it_is_used_up_or_has_ended() {
    let open = Offer { devices: 2, ..texted() };
    for (invitation, keeps) in [
        (Offer { used: 1, ..open.clone() }, true),
        (Offer { used: 2, ..open.clone() }, false),
        (Offer { superseded_at: Some(at(1)), ..open.clone() }, false),
        (Offer { revoked_at: Some(at(1)), ..open.clone() }, false),
        (Offer { expired_at: Some(at(1)), ..open.clone() }, false),
        (open, true),
    ] {
        assert_eq!(invitation.needs_code(), keeps, "{invitation:?}");
    }
}

#[test]
fn a_message_keeps_the_identifier_that_its_service_gave_it() {
    let (sent, _) =
        invitation_of(record_delivery(&texted(), report(DeliveryState::Sent, Some("m-1")), &context(1)).unwrap());
    let (arrived, event) =
        invitation_of(record_delivery(&sent, report(DeliveryState::Delivered, None), &context(2)).unwrap());
    assert_eq!(arrived.delivery, report(DeliveryState::Delivered, Some("m-1")));
    let told = &event.changes["delivery"];
    assert_eq!((&told.before, &told.after), (&"sent".into(), &"delivered".into()));
}
