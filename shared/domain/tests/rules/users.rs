//! What users are made from, what is told of them, and by what they are found.

use std::collections::BTreeMap;

use domain::error::HeldDevice;
use domain::models::actor::Actor;
use domain::models::client_account::OVERRIDES_LIMIT;
use domain::models::device::{Device, IdentifierClaim, PushToken};
use domain::models::provenance::Field;
use domain::models::restriction::Deleted;
use domain::models::user::{LEFT_DEVICES_LIMIT, NewUser, Source, User, UserEdit, is_username};
use domain::permission::Permission;
use domain::rules::change::RowChange;
use domain::rules::context::EventContext;
use domain::rules::lifecycle::require_rename_allowed;
use domain::rules::registration::simulate;
use domain::{DeviceId, DomainError, MemberId, ProfileId, TokenId};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::common::{application, at, context, faults, fields, user, user_of};
use crate::fixture::Fixture;

fn new(body: Value) -> Result<NewUser, DomainError> {
    NewUser::read(fields(body))
}

/// Settings of so many bytes as JSON.
fn bytes(count: usize) -> Value {
    json!({"k": "x".repeat(count - json!({"k": ""}).to_string().len())})
}

/// Settings nested so deep.
fn deep(depth: usize) -> Value {
    (0..depth).fold(json!(1), |within, _| json!({"k": within}))
}

#[test]
fn a_new_user_may_say_which_configuration_their_phones_get() {
    let profile = json!({"username": "ada", "profile_id": Uuid::from_u128(30)});
    for (body, deploying) in [
        (json!({"username": "ada"}), false),
        (json!({"username": "ada", "overrides": {}}), false),
        (profile, true),
        (json!({"username": "ada", "overrides": {"theme": "dark"}}), true),
    ] {
        assert_eq!(new(body.clone()).unwrap().sets_configuration(), deploying, "{body}");
    }
}

#[test]
fn a_users_own_settings_are_an_object_of_a_size_and_a_depth() {
    assert_eq!(OVERRIDES_LIMIT, 4096);
    let told = |settings: &Value| {
        let made = new(json!({"username": "ada", "overrides": settings}));
        let edited = UserEdit::read(fields(json!({"overrides": settings})));
        match (made, edited) {
            (Ok(made), Ok(edited)) => {
                assert_eq!(
                    (&Value::from(made.overrides), edited.overrides.map(Value::from).as_ref()),
                    (settings, Some(settings))
                );
                None
            }
            (made, edited) => {
                let told = faults(made);
                assert_eq!(faults(edited), told, "an edit is held to the same");
                Some(told[0].1)
            }
        }
    };
    for (settings, fault) in [
        (json!({}), None),
        (bytes(4096), None),
        (bytes(4097), Some("too_long")),
        (deep(32), None),
        (deep(33), Some("too_deep")),
        (json!([1]), Some("wrong_type")),
        (json!("x"), Some("wrong_type")),
    ] {
        assert_eq!(told(&settings), fault, "{settings:.60}");
    }
    let taken_away = UserEdit::read(fields(json!({"overrides": null, "profile_id": null}))).unwrap();
    assert_eq!((taken_away.overrides, taken_away.profile_id), (Some(serde_json::Map::new()), Some(None)));
    let left = UserEdit::read(fields(json!({}))).unwrap();
    assert_eq!(left, UserEdit::default());
    let given = UserEdit::read(fields(json!({"profile_id": Uuid::from_u128(3)}))).unwrap();
    assert_eq!(given.profile_id, Some(Some(ProfileId(Uuid::from_u128(3)))));
}

#[test]
fn what_can_be_looked_up_as_a_username_is_not_empty_and_fits_a_key() {
    for (text, fits) in [
        (String::new(), false),
        ("a".to_owned(), true),
        ("two words".to_owned(), true),
        ("a".repeat(1024), true),
        ("a".repeat(1025), false),
    ] {
        assert_eq!(is_username(&text), fits, "{} bytes", text.len());
    }
}

#[test]
fn a_user_is_known_with_the_devices_that_they_hold_and_those_they_left_behind() {
    let id = |number| DeviceId(Uuid::from_u128(number));
    let user = User { device_ids: [id(1), id(2)].into(), left_device_ids: [id(2), id(3)].into(), ..user() };
    assert_eq!(user.all_device_ids(), [id(1), id(2), id(3)].into());
}

#[test]
fn a_device_is_called_and_found_by_its_nickname_and_its_model() {
    let words = |device: &Device| device.search_words().into_iter().collect::<Vec<_>>().join(" ");
    let device = Fixture::new(1).register("phone-7", 0).unwrap().device.after;
    assert_eq!((device.display_name(), words(&device).as_str()), ("iPhone 17", "17 7 iphone phone"));
    let named = Device { nickname: Some("Ada's Second".to_owned()), ..device };
    assert_eq!((named.display_name(), words(&named).as_str()), ("Ada's Second", "17 7 ada iphone phone s second"));
}

#[test]
fn a_push_token_is_looked_after_five_minutes_from_when_it_came_until_it_is_settled() {
    let device = Fixture::new(1).register("phone", 0).unwrap().device.after;
    let first = PushToken::new_for(&device, "token".to_owned(), None, at(1));
    assert_eq!((first.token.as_str(), first.mend_at, first.version), ("token", Some(at(6)), 1));
    let known = PushToken { mend_at: None, version: 7, ..first };
    assert_eq!(PushToken::new_for(&device, "newer".to_owned(), Some(&known), at(2)).version, 7, "in the other's place");
    assert_eq!(known.clone().with_check_due(at(10)), PushToken { mend_at: Some(at(15)), ..known });
}

#[test]
fn a_simulated_phone_stands_where_a_real_one_would_and_takes_nobodys_place() {
    let fixture = Fixture::with_phones(2);
    let id = DeviceId(Uuid::from_u128(50));
    let simulated = |user: &User, claim: Option<&IdentifierClaim>| {
        simulate(user, &fixture.held(), claim, &application("phone-9"), id, BTreeMap::new(), &context(2))
    };
    let (device, change) = simulated(&fixture.user, None).unwrap();
    let (claim, user, event) = (change.claims[0].clone(), change.user.unwrap().after, &change.events[0]);
    assert_eq!((&change.devices, &change.attachments), (&vec![RowChange::new(device.clone())], &Vec::new()));
    assert_eq!((device.device_id, device.user_id, device.epoch), (id, fixture.user.user_id, 1));
    assert_eq!(device.device_identifier, "phone-9");
    assert_eq!((claim.before, claim.after), (None, IdentifierClaim::of(&device)));
    assert!(user.device_ids.contains(&id) && user.device_ids.len() == 3);
    assert_eq!((event.device_id, event.user_id), (Some(id), Some(user.user_id)));
    let full = simulated(&user, None).unwrap_err();
    assert_eq!(full, DomainError::DeviceLimitReached(fixture.held().iter().map(HeldDevice::from).collect()));

    let held = fixture.claims["phone-0"].clone();
    assert_eq!(faults(simulated(&fixture.user, Some(&held))), [("custom_sdk_installation_id".to_owned(), "taken")]);
    let others = IdentifierClaim { user_id: domain::UserId(Uuid::from_u128(99)), ..held };
    assert_eq!(simulated(&fixture.user, Some(&others)).unwrap_err(), DomainError::IdentifierHeld);
    let free = IdentifierClaim { held: false, epoch: 4, version: 6, ..others };
    let (again, change) = simulated(&fixture.user, Some(&free)).unwrap();
    let claim = &change.claims[0];
    assert_eq!((again.epoch, claim.after.epoch, claim.after.version), (5, 5, 6));
    assert_eq!(claim.before, Some(free));
    let suspended = fixture.suspend(1).unwrap().unwrap().user_after().unwrap().clone();
    assert_eq!(simulated(&suspended, None).unwrap_err(), DomainError::UserSuspended);
}

#[test]
fn a_new_user_has_what_was_read_and_is_whose_who_made_them() {
    let body = json!({
        "username": "ada", "first_name": "Ada", "last_name": "Adler", "email": "ada@example.com",
        "mobile": "+49 170 1234567", "number": "4711", "user_identity_key": "E-1", "service_level": "gold",
        "sip_user_name": "ada.sip", "service_account": "ada at work", "profile_id": Uuid::from_u128(30),
        "overrides": {"theme": "dark"},
    });
    let read = new(body.clone()).unwrap();
    let (user, change) = User::create(read, user().user_id, &context(0));
    let (made, event) = user_of(change);
    assert_eq!(made, user);
    let row = json!(user);
    for (name, value) in body.as_object().unwrap() {
        let held = row.get(name).or_else(|| row["client"].get(name)).unwrap();
        let expected = match name.as_str() {
            "mobile" => json!("+491701234567"),
            "overrides" => json!(r#"{"theme":"dark"}"#),
            _ => value.clone(),
        };
        assert_eq!(held, &expected, "{name}");
    }
    assert_eq!(
        (&event.changes["profile_id"].after, event.changed_fields),
        (&json!(Uuid::from_u128(30)), vec!["overrides".to_owned()])
    );
    let (_, change) = User::create(new(json!({"username": "ada"})).unwrap(), user.user_id, &context(0));
    let (_, plain) = user_of(change);
    assert!(plain.changes.is_empty() && plain.changed_fields.is_empty());

    let member = Actor::Member(MemberId(Uuid::from_u128(5)));
    let token_id = Some(TokenId(Uuid::from_u128(6)));
    for (actor, token_id, source) in
        [(member, None, Source::Console), (member, token_id, Source::Api), (context(0).actor, None, Source::Api)]
    {
        let context = EventContext { actor, token_id, ..context(0) };
        let (made, _) = User::create(new(json!({"username": "ada"})).unwrap(), user.user_id, &context);
        assert_eq!(made.source, source, "{actor:?}");
    }
}

#[test]
fn a_username_is_as_long_as_the_form_that_earlier_releases_keep_has_room() {
    // Each of these signs stands for 33 bytes of letters there.
    let name = |rest: &str| json!({"username": format!("{}{rest}", "\u{FDFA}".repeat(31))});
    assert!(new(name("a")).is_ok(), "1024 bytes");
    assert_eq!(faults(new(name("ab"))), [("username".to_owned(), "too_long")]);
    assert_eq!(faults(UserEdit::read(fields(name("ab")))), [("username".to_owned(), "too_long")]);
}

#[test]
fn what_follows_a_source_again_is_named_field_by_field() {
    let edit = UserEdit::read(fields(json!({"release": ["email", "username", "email"]}))).unwrap();
    assert_eq!(edit.release, [Field::Username, Field::Email].into());
    let wrong = json!({"release": ["email", "shoe_size"], "username": null});
    let expected = [("username", "missing"), ("release.1", "unknown_value")];
    assert_eq!(faults(UserEdit::read(fields(wrong))), expected.map(|(field, code)| (field.to_owned(), code)));
}

#[test]
fn a_user_keeps_the_newest_of_the_devices_that_were_left_behind_and_stays_as_long_as_they_do() {
    let device = Fixture::new(1).register("phone", 0).unwrap().device.after;
    let left = |number: u128| Device { device_id: DeviceId(Uuid::from_u128(number)), ..device.clone() };
    let mut ada = user();
    let limit = u128::try_from(LEFT_DEVICES_LIMIT).unwrap();
    (0..limit).for_each(|number| ada.leave_behind(&left(number)));
    assert_eq!(ada.left_device_ids.len(), LEFT_DEVICES_LIMIT);
    ada.leave_behind(&left(limit));
    assert_eq!(ada.left_device_ids, (1..=limit).map(|number| left(number).device_id).collect());
    let end = |minutes| Some(Deleted { at: at(0), by: context(0).actor, purge_after: at(minutes) });
    for (own, of_device, stays) in [(5, 9, 9), (9, 5, 9)] {
        let mut gone = User { deleted: end(own), ..user() };
        gone.leave_behind(&Device { deleted: end(of_device), ..left(1) });
        assert_eq!(gone.deleted, end(stays));
    }
}

#[test]
fn renaming_a_user_who_holds_phones_needs_the_right_to_wipe() {
    for (is_renamed, holds_phones, may_wipe) in [(true, true, true), (true, false, false), (false, true, false)] {
        assert_eq!(require_rename_allowed(is_renamed, holds_phones, may_wipe), Ok(()));
    }
    let refused = DomainError::PermissionMissing(Permission::UsersWipe);
    assert_eq!(require_rename_allowed(true, true, false), Err(refused));
}
