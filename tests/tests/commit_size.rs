//! The largest commit of each kind fits into one transaction, and the largest row of each kind into
//! what DynamoDB takes of a row.

use std::collections::BTreeMap;

use aws::rows::{self, RememberedCall};
use aws::{Commit, Row};
use chrono::Duration;
use domain::device::{
    self, Device, Edit, IDENTIFIER, IdentifierClaim, METADATA_KEY_LENGTH, METADATA_KEYS, METADATA_VALUE_LENGTH,
    MODEL_NAME, Metadata, NICKNAME, PUSH_TOKEN, Platform, PushToken, REASON, VERSION,
};
use domain::event::{Act, Actor, EventType};
use domain::idempotency::Remembered;
use domain::ids::timed_uuid;
use domain::invitation::{Channel, NewInvitation, invite};
use domain::push::Push;
use domain::registration::{Application, Drawn, Found, Registration, register};
use domain::secret::Hash;
use domain::text::{Form, TextRule};
use domain::user::{EMAIL, MOBILE, NAME, NUMBER, NewUser, USERNAME, User};
use domain::{DeviceId, EventId, InvitationId, Time, UserId, WorkspaceId};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

/// "Amazon DynamoDB Developer Guide", Quotas: items of a transaction, and bytes of a row.
const ITEMS: usize = 100;
const ROW_BYTES: usize = 400 * 1024;
/// What one write unit writes.
const UNIT_BYTES: usize = 1024;
/// As long as the name of an endpoint gets in the longest region, but for its application's name.
const ENDPOINT: &str =
    "arn:aws:sns:ap-southeast-1:123456789012:endpoint/APNS_SANDBOX/handset/0190f3c4-7b5e-7a11-8c1d-3f2a9b6c5d4e";

/// The size of a row as DynamoDB counts it ("Item sizes and formats", same guide).
fn bytes<R: Row>(row: &R) -> usize {
    let fields = serde_json::to_value(row).unwrap();
    let stored = fields.as_object().unwrap().iter().filter(|(name, _)| !R::TOLD.contains(&name.as_str()));
    let stored: usize = stored.map(|(name, value)| name.len() + value_bytes(value)).sum();
    let indexes: usize = row.indexes().iter().map(|(name, value)| name.len() + value.len()).sum();
    let key = row.key();
    stored + indexes + "pk".len() + key.pk.len() + "sk".len() + key.sk.len()
}

fn value_bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 1,
        Value::Number(number) => number.to_string().len().div_ceil(2) + 1,
        Value::String(text) => text.len(),
        Value::Array(items) => 3 + items.iter().map(|item| 1 + value_bytes(item)).sum::<usize>(),
        Value::Object(fields) => {
            3 + fields.iter().map(|(name, value)| 1 + name.len() + value_bytes(value)).sum::<usize>()
        }
    }
}

fn now() -> Time {
    Time::parse("2026-11-21T08:00:00Z").unwrap()
}

fn id(number: u8) -> Uuid {
    timed_uuid(now(), [number; 10])
}

fn act() -> Act {
    Act {
        event_id: EventId(id(1)),
        workspace_id: WorkspaceId(id(2)),
        at: now(),
        actor: Actor::System,
        operation: "update-device",
        request_id: "x".repeat(36),
        address: Some("2001:0db8:85a3:0000:0000:8a2e:0370:7334".to_owned()),
    }
}

/// Texts that a rule takes, of many short words, of long ones, and of letters of four bytes.
fn text(rule: TextRule) -> BoxedStrategy<String> {
    let max = rule.max;
    let of = move |pattern: &str| {
        let strategy = proptest::string::string_regex(&format!("({pattern}){{{},{max}}}", rule.min)).unwrap();
        strategy.prop_map(move |text| cut(&text, rule))
    };
    let most = Just(words(max)).boxed();
    let texts = match rule.form {
        Form::Line => prop_oneof![of("[a-z ]"), of("[\u{10400}-\u{1044f}]"), most].boxed(),
        Form::Word => prop_oneof![of("[a-z.-]"), of("[\u{10400}-\u{1044f}.]")].boxed(),
        Form::Ascii => prop_oneof![of("[!-~]"), of("[a-z-]"), most].boxed(),
        _ => unreachable!("made by hand"),
    };
    texts.prop_filter_map("not a text of this rule", move |text| rule.read(&text).ok()).boxed()
}

/// As much of a text as a rule takes.
fn cut(text: &str, rule: TextRule) -> String {
    let mut cut = String::new();
    for c in text.chars() {
        let length = if rule.in_bytes { cut.len() + c.len_utf8() } else { cut.chars().count() + 1 };
        if length > rule.max {
            break;
        }
        cut.push(c);
    }
    cut
}

/// As many different words as fit.
fn words(length: usize) -> String {
    let letters = ('a'..='z').chain('0'..='9').map(String::from).collect::<Vec<_>>().join(" ");
    letters.chars().take(length).collect::<String>().trim().to_owned()
}

fn new_user() -> impl Strategy<Value = NewUser> {
    let email = format!("{}@{}.example", "a.".repeat(31) + "a", "b.".repeat(40) + "b");
    let email = EMAIL.read(&email).unwrap();
    let mobile = MOBILE.read("+491701234567890").unwrap();
    let number = NUMBER.read("1 2 3 4 5 6 7 8 9 0").unwrap();
    (text(USERNAME), text(NAME), text(NAME)).prop_map(move |(username, first, last)| NewUser {
        username,
        first_name: Some(first),
        last_name: Some(last),
        email: Some(email.clone()),
        mobile: Some(mobile.clone()),
        number: Some(number.clone()),
    })
}

fn application() -> impl Strategy<Value = Application> {
    (text(IDENTIFIER), text(MODEL_NAME), text(VERSION), text(VERSION), text(NICKNAME)).prop_map(
        |(device_identifier, model_name, os_version, app_version, nickname)| Application {
            code: "c".repeat(22),
            device_identifier,
            platform: Platform::Android,
            model_name,
            os_version,
            app_version: Some(app_version),
            push_token: Some("t".repeat(PUSH_TOKEN.max)),
            nickname: Some(nickname),
        },
    )
}

fn user(new: NewUser) -> User {
    User::create(new, UserId(id(3)), &act()).0
}

fn device(user: &User, application: &Application) -> Device {
    Device {
        workspace_id: act().workspace_id,
        device_id: DeviceId(id(4)),
        user_id: user.user_id,
        device_identifier: application.device_identifier.clone(),
        platform: application.platform,
        model_name: application.model_name.clone(),
        os_version: application.os_version.clone(),
        app_version: application.app_version.clone(),
        nickname: application.nickname.clone(),
        created_at: now(),
        epoch: 999,
        credential_hash: Hash::of("credential"),
        enrolment: None,
        replaced: false,
        user_status: domain::user::UserStatus::Active,
        commands: Vec::new(),
        last_login_at: Some(now()),
        blocked: None,
        deleted: None,
        push: Push { reason: domain::push::PushReason::EndpointDisabled, since: now() },
        push_endpoint: Some(ENDPOINT.to_owned()),
        push_token_hash: Some(Hash::of("token")),
        version: 999_999,
    }
}

fn claim(device: &Device, held: bool) -> IdentifierClaim {
    IdentifierClaim {
        workspace_id: device.workspace_id,
        device_identifier: device.device_identifier.clone(),
        device_id: device.device_id,
        user_id: device.user_id,
        epoch: device.epoch,
        held,
        version: 1,
    }
}

fn new_invitation(number: u8) -> NewInvitation {
    NewInvitation {
        invitation_id: InvitationId(id(number)),
        code_hash: Hash::of([number]),
        channel: Channel::Email,
        devices: 1,
        life: Duration::days(7),
    }
}

fn remembered() -> RememberedCall {
    let pk = rows::call(act().workspace_id, "principal", "operation", "key");
    let remembered = Remembered { body_hash: Hash::of("body"), made: id(5).to_string(), expires_at: now() };
    RememberedCall { pk, remembered }
}

fn metadata(device: &Device) -> Metadata {
    let key = |at: usize| format!("{at:02}{}", "\u{10400}".repeat(METADATA_KEY_LENGTH - 2));
    let value = json!("\u{10400}".repeat(METADATA_VALUE_LENGTH));
    let values = (0..METADATA_KEYS).map(|at| (key(at), value.clone())).collect();
    Metadata { workspace_id: device.workspace_id, device_id: device.device_id, values, version: 1 }
}

/// As the operation commits it.
fn registered(registration: &Registration, token_before: Option<&PushToken>) -> Commit {
    let mut commit = Commit::of(registration.event.as_ref().unwrap())
        .edited(&registration.device)
        .edited(&registration.claim)
        .edited(&registration.user)
        .edited(&registration.invitation)
        .forget_code(&registration.invitation.after);
    if let Some(replaced) = &registration.replaced {
        commit = commit.edited(replaced);
    }
    let device = &registration.device.after;
    let token = PushToken::given(device, registration.token.clone().unwrap(), token_before, now());
    match token_before {
        Some(before) => commit.edit(before, &token),
        None => commit.put(&token),
    }
}

fn fits(commit: &Commit) {
    assert!((2..=ITEMS).contains(&commit.len()), "{} items", commit.len());
}

fn small<R: Row>(row: &R) {
    assert!(bytes(row) <= ROW_BYTES, "{} bytes", bytes(row));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn making_a_user_fits_into_one_commit(new in new_user()) {
        let (user, event) = User::create(new, UserId(id(3)), &act());
        fits(&Commit::of(&event).put(&user).remember(&remembered(), false));
        small(&user);
        small(&event);
    }

    #[test]
    fn an_invitation_in_place_of_another_fits_into_one_commit(new in new_user()) {
        let user = user(new);
        let first = invite(&user, None, new_invitation(6), &act()).unwrap();
        let second = invite(&first.user, Some(&first.invitation), new_invitation(7), &act()).unwrap();
        let superseded = second.superseded.unwrap();
        let commit = Commit::of(&second.event)
            .edit(&first.user, &second.user)
            .put(&second.invitation)
            .keep_code(&second.invitation, "code")
            .edit(&first.invitation, &superseded)
            .forget_code(&superseded)
            .remember(&remembered(), false);
        fits(&commit);
        small(&superseded);
    }

    #[test]
    fn a_registration_fits_into_one_commit(new in new_user(), application in application(), again in application()) {
        let user = user(new);
        let invited = invite(&user, None, new_invitation(6), &act()).unwrap();
        let old = device(&user, &again);
        let drawn = Drawn { device_id: DeviceId(id(9)) };
        // A device that was deleted comes back, and one that is there is enrolled anew as something else.
        for held in [false, true] {
            let found = Found {
                invitation: invited.invitation.clone(),
                user: invited.user.clone(),
                claim: Some(claim(&old, held)),
                claimed: Some(old.clone()),
                held: Vec::new(),
            };
            let registration = register(&found, &application, &drawn, &act()).unwrap();
            let token = PushToken::given(&old, "t".repeat(PUSH_TOKEN.max), None, now());
            fits(&registered(&registration, held.then_some(&token)));
            small(&registration.device.after);
            small(&token);
        }
    }

    #[test]
    fn a_renaming_with_all_the_metadata_fits_into_one_commit(new in new_user(), application in application(), name in text(NICKNAME)) {
        let before = device(&user(new), &application);
        let none = Metadata { values: BTreeMap::new(), ..metadata(&before) };
        let edit = Edit { nickname: Some(Some(format!("{name}x"))), metadata: metadata(&before).values };
        let (after, metadata, event) = device::edit(&before, &none, &edit, &act()).unwrap().unwrap();
        fits(&Commit::of(&event).touch(&before, &after).put(&metadata));
        small(&metadata);
        small(&event);
    }

    #[test]
    fn a_deletion_and_a_purge_fit_into_one_commit_each(new in new_user(), application in application()) {
        let mut user = user(new);
        let device = device(&user, &application);
        user.device_ids.insert(device.device_id);
        let deletion = device::delete(&device, &user, &claim(&device, true), Duration::days(30), &act()).unwrap();
        let commit = Commit::of(&deletion.event)
            .edit(&device, &deletion.device)
            .edit(&user, &deletion.user)
            .edit(&claim(&device, true), &deletion.claim);
        fits(&commit);
        let late = Act { at: now().plus(Duration::days(30)), ..act() };
        let event = device::purge(&deletion.device, &late).unwrap();
        let token = PushToken::given(&device, "t".repeat(PUSH_TOKEN.max), None, now());
        let commit =
            Commit::of(&event).delete(&deletion.device).delete(&metadata(&device)).delete(&token).delete(&deletion.claim);
        fits(&commit);
        small(&deletion.device);
        small(&deletion.claim);
    }

    #[test]
    fn a_device_that_checks_in_is_a_row_of_one_unit(new in new_user(), application in application()) {
        let device = device(&user(new), &application);
        prop_assert!(bytes(&device) <= UNIT_BYTES, "{} bytes: {device:?}", bytes(&device));
    }
}

#[test]
fn a_device_whose_texts_are_all_as_long_as_may_be_is_a_row_of_one_unit() {
    let application = Application {
        code: "c".repeat(22),
        device_identifier: "d".repeat(IDENTIFIER.max),
        platform: Platform::Android,
        model_name: "m".repeat(MODEL_NAME.max),
        os_version: "1".repeat(VERSION.max),
        app_version: Some("1".repeat(VERSION.max)),
        push_token: None,
        nickname: Some("n".repeat(NICKNAME.max)),
    };
    let new =
        NewUser { username: "a".into(), first_name: None, last_name: None, email: None, mobile: None, number: None };
    let device = device(&user(new), &application);
    assert!(bytes(&device) <= UNIT_BYTES, "{} bytes", bytes(&device));
}

#[test]
fn the_largest_of_all_commits_is_a_registration_that_renames_everything() {
    let new = NewUser {
        username: "a".into(),
        first_name: None,
        last_name: None,
        email: Some("a@b.de".into()),
        mobile: None,
        number: None,
    };
    let of = |letters: &str, alphabet: &str| Application {
        code: "c".repeat(22),
        device_identifier: "d".to_owned(),
        platform: Platform::Ios,
        model_name: letters.to_owned(),
        os_version: "1".to_owned(),
        app_version: None,
        push_token: Some("token".to_owned()),
        nickname: Some(alphabet.to_owned()),
    };
    let user = user(new);
    let invited = invite(&user, None, new_invitation(6), &act()).unwrap();
    let old = device(&user, &of("a b c e f g h i j k l m n o p", "q"));
    let found = Found {
        invitation: invited.invitation,
        user: invited.user,
        claim: Some(claim(&old, true)),
        claimed: Some(old),
        held: Vec::new(),
    };
    let drawn = Drawn { device_id: DeviceId(id(9)) };
    let application = of("1 2 3 4 5 6 7 8 9 0 r s t u v", "w");
    let registration = register(&found, &application, &drawn, &act()).unwrap();
    let commit = registered(&registration, None);
    // The event, four rows and the code, a token, and fifteen words that go for fifteen that come.
    assert_eq!(commit.len(), 37);
    assert_eq!(registration.event.unwrap().event_type, EventType::DeviceReEnrolled);
}

#[test]
fn a_block_with_the_longest_reason_leaves_a_small_row() {
    let application = Application {
        code: "c".repeat(22),
        device_identifier: "d".repeat(IDENTIFIER.max),
        platform: Platform::ThirdParty,
        model_name: cut(&"\u{10400}".repeat(MODEL_NAME.max), MODEL_NAME),
        os_version: "1".repeat(VERSION.max),
        app_version: Some("1".repeat(VERSION.max)),
        push_token: None,
        nickname: Some(cut(&"\u{10400}".repeat(NICKNAME.max), NICKNAME)),
    };
    let new =
        NewUser { username: "a".into(), first_name: None, last_name: None, email: None, mobile: None, number: None };
    let device = device(&user(new), &application);
    let (blocked, event) = device::block(&device, Some("\u{10400}".repeat(REASON.max)), &act()).unwrap().unwrap();
    small(&blocked);
    small(&event);
}
