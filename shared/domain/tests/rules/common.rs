//! Things to decide about.

use chrono::Duration;
use domain::ids::timed_uuid;
use domain::input::{FieldError, Fields};
use domain::models::actor::Actor;
use domain::models::device::{Device, DeviceAttachments};
use domain::models::event::Event;
use domain::models::message_limits::{DailyQuota, MessageLimits, MessagePolicy};
use domain::models::offer::{Channel, NewOffer, Offer, Purpose};
use domain::models::user::{NewUser, User};
use domain::rules::change::{ChangeSet, RowChange};
use domain::rules::context::EventContext;
use domain::rules::offers::create_offer;
use domain::rules::registration::{RegistrationRequest, RegistrationState};
use domain::{DomainError, EventId, InvitationId, KeyId, Time, UserId, WorkspaceId};
use serde_json::Value;
use uuid::Uuid;

pub fn at(minutes: i64) -> Time {
    Time::parse("2026-11-23T08:00:00Z").unwrap().plus(Duration::minutes(minutes))
}

pub fn context(minutes: i64) -> EventContext {
    EventContext {
        event_id: EventId(timed_uuid(at(minutes), [1; 10])),
        workspace_id: WorkspaceId(Uuid::from_u128(1)),
        at: at(minutes),
        actor: Actor::Key(KeyId(Uuid::from_u128(9))),
        token_id: None,
        operation: "test",
        request_id: "request".to_owned(),
        source_ip: Some("203.0.113.7".to_owned()),
        job_id: None,
    }
}

pub fn user() -> User {
    let new = NewUser {
        username: "ada".to_owned(),
        first_name: Some("Ada".to_owned()),
        last_name: Some("Adler".to_owned()),
        email: Some("ada@example.com".to_owned()),
        mobile: Some("+491701234567".to_owned()),
        ..NewUser::default()
    };
    User::create(new, UserId(Uuid::from_u128(2)), &context(0)).0
}

/// The limits of a message when none was sent.
pub fn message_limits(channel: Channel) -> MessageLimits {
    let context = context(0);
    MessageLimits {
        policy: MessagePolicy { emails_per_day: 100, texts_per_day: 100, calling_codes: vec!["+49".to_owned()] },
        quota: DailyQuota { workspace_id: context.workspace_id, channel, day: context.at.day(), per_day: 100 },
        shards: vec![0],
        counts: Vec::new(),
        history: None,
    }
}

pub fn invitation(user: &User, devices: u32) -> Offer {
    let new = NewOffer {
        purpose: Purpose::Invite,
        invitation_id: InvitationId(Uuid::from_u128(3)),
        code: "code".to_owned(),
        channel: Channel::Email,
        devices,
        lifetime: Duration::days(7),
        limits: message_limits(Channel::Email),
    };
    create_offer(user, None, new, &context(0)).unwrap().new_offer().unwrap().clone()
}

pub fn application(identifier: &str) -> RegistrationRequest {
    RegistrationRequest {
        code: "code".to_owned(),
        device_identifier: identifier.to_owned(),
        platform: domain::states::Platform::Ios,
        model_name: "iPhone 17".to_owned(),
        os_version: "26.1".to_owned(),
        app_version: Some("4.2.0".to_owned()),
        push_token: Some(format!("token-{identifier}")),
        nickname: None,
    }
}

/// A user with an invitation and nothing else, and what a registration would find.
pub fn found(devices: u32) -> RegistrationState {
    let mut user = user();
    let invitation = invitation(&user, devices);
    user.invitation_id = Some(invitation.invitation_id);
    RegistrationState {
        offer: invitation,
        user,
        claim: None,
        claimed_device: None,
        commands: Vec::new(),
        held: Vec::new(),
    }
}

/// The fields of a body.
pub fn fields(body: Value) -> Fields {
    match body {
        Value::Object(fields) => Fields::from_json(fields),
        other => panic!("a body is an object, not {other}"),
    }
}

/// The faults, as the caller is told of them: fields and codes.
pub fn named(faults: &[FieldError]) -> Vec<(String, &'static str)> {
    faults.iter().map(|fault| (fault.field.clone(), fault.code)).collect()
}

/// The faults of a body that was refused.
pub fn faults<T: std::fmt::Debug>(read: Result<T, DomainError>) -> Vec<(String, &'static str)> {
    match read {
        Err(DomainError::Invalid(faults)) => named(&faults),
        other => panic!("the body has faults: {other:?}"),
    }
}

/// What the world outside sees of an event, without what only the audit shows.
pub fn published(event: &Event) -> String {
    event.to_public_json().to_string()
}

/// The only row of a kind that a change has, and its only event.
fn only<T>(rows: Vec<RowChange<T>>, events: Vec<Event>) -> (T, Event) {
    assert_eq!((rows.len(), events.len()), (1, 1));
    let mut pairs = rows.into_iter().map(|row| row.after).zip(events);
    pairs.next().unwrap()
}

/// What a change of one device's own row leaves, and its event.
pub fn device_of(change: ChangeSet) -> (Device, Event) {
    let expected = ChangeSet { devices: change.devices.clone(), events: change.events.clone(), ..ChangeSet::default() };
    assert_eq!(change, expected, "nothing else changes");
    only(change.devices, change.events)
}

/// What a change of what is attached to one device leaves, and its event. The device stays as it is.
pub fn attachments_of(change: ChangeSet) -> (DeviceAttachments, Event) {
    let device = &change.devices[0];
    assert_eq!(device.before.as_ref(), Some(&device.after));
    only(change.attachments, change.events)
}

/// What an edit of a device leaves of it, and of what is attached to it if that changes, and its event.
pub fn edit_of(change: ChangeSet) -> (Device, Option<DeviceAttachments>, Event) {
    let attachments = change.attachments.into_iter().next().map(|attached| attached.after);
    let (device, event) = only(change.devices, change.events);
    (device, attachments, event)
}

/// What a change of one user's own row leaves, and its event.
pub fn user_of(change: ChangeSet) -> (User, Event) {
    let expected = ChangeSet { user: change.user.clone(), events: change.events.clone(), ..ChangeSet::default() };
    assert_eq!(change, expected, "nothing else changes");
    only(change.user.into_iter().collect(), change.events)
}

/// What a change of one invitation's own row leaves, and its event.
pub fn invitation_of(change: ChangeSet) -> (Offer, Event) {
    let (offers, events) = (change.offers.clone(), change.events.clone());
    assert_eq!(change, ChangeSet { offers, events, ..ChangeSet::default() }, "nothing else changes");
    only(change.offers, change.events)
}
