//! Deployments, and what a configuration is made of.

use std::collections::BTreeMap;

use chrono::Duration;
use domain::error::DomainError;
use domain::models::client_account::{ClientAccount, SecretKind, UserSecrets};
use domain::models::device::{CONFIG_VERSION, Device};
use domain::models::event::EventType;
use domain::models::offer::{Channel, Delivery, DeliveryState, NewOffer, Offer, Purpose};
use domain::models::profile::Profile;
use domain::models::restriction::Restriction;
use domain::models::user::User;
use domain::rules::change::{ChangeSet, RowChange};
use domain::rules::deployments::{
    AutoDeployment, Configuration, auto_deployment, configuration, deploy, follows_rename, force, has_downloaded,
    qr_shown, read_secrets, remove, require_fitting, serve, set_secrets,
};
use domain::rules::lifecycle::set_due_by_deployer;
use domain::rules::offers::record_delivery;
use domain::states::InvitationStatus;
use domain::states::UserStatus;
use domain::{InvitationId, ProfileId};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::common::{at, context, faults, fields, invitation_of, message_limits, published, user};
use crate::fixture::Fixture;

fn new(number: u128) -> NewOffer {
    NewOffer {
        purpose: Purpose::Deploy,
        invitation_id: InvitationId(Uuid::from_u128(number)),
        code: number.to_string(),
        channel: Channel::Email,
        devices: 1,
        lifetime: Duration::days(7),
        limits: message_limits(Channel::Email),
    }
}

/// A user with an open deployment, and the deployment.
fn deployed(user: &User) -> (User, Offer) {
    let change = deploy(user, &[], None, new(5), None, &context(0)).unwrap();
    (change.user_after().unwrap().clone(), change.offers.last().unwrap().after.clone())
}

fn profile(settings: Value) -> Profile {
    Profile {
        workspace_id: context(0).workspace_id,
        profile_id: ProfileId(Uuid::from_u128(30)),
        name: "Office".to_owned(),
        settings: object(settings),
        schema: None,
        revision: 1,
        created_at: at(0),
        updated_at: at(0),
        version: 1,
        stored: domain::stored::Stored::default(),
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        other => panic!("{other} is no object"),
    }
}

fn with(user: &User, overrides: Value) -> User {
    let client = ClientAccount { overrides: object(overrides), ..user.client.clone() };
    User { client, ..user.clone() }
}

fn phones(count: u32) -> (User, Vec<Device>) {
    let fixture = Fixture::with_phones(count);
    (fixture.user.clone(), fixture.held())
}

#[test]
fn a_newer_deployment_ends_the_older_and_leaves_invitations_alone() {
    let (first, older) = deployed(&user());
    assert_eq!(first.client.deployment_id, Some(older.invitation_id));
    assert_eq!((older.purpose, older.devices, first.invitation_id), (Purpose::Deploy, 1, None));
    let profile = Some(ProfileId(Uuid::from_u128(30)));
    let change = deploy(&first, &[], Some(&older), new(6), profile, &context(1)).unwrap();
    let [ended, made] = &change.offers[..] else { panic!("{change:?}") };
    assert_eq!((ended.after.invitation_id, ended.after.superseded_at), (older.invitation_id, Some(at(1))));
    assert_eq!(made.before, None);
    let after = change.user_after().unwrap();
    assert_eq!((after.client.deployment_id, after.client.profile_id), (Some(made.after.invitation_id), profile));
    let event = &change.events[0];
    assert_eq!((event.event_type, event.deployment_id), (EventType::DeploymentStarted, Some(made.after.invitation_id)));
    assert_eq!((event.invitation_id, change.events.len()), (None, 1));
    // One that is over already stays as it ended.
    let over = Offer { revoked_at: Some(at(0)), ..older };
    assert_eq!(deploy(&first, &[], Some(&over), new(6), None, &context(1)).unwrap().offers.len(), 1);
}

#[test]
fn a_deployment_needs_an_address_and_a_user_whom_nothing_keeps_out() {
    let hold = Some(Restriction { at: at(0), by: context(0).actor, reason: None });
    let cases = [
        (User { email: None, ..user() }, DomainError::EmailMissing),
        (User { suspended: hold.clone(), ..user() }, DomainError::UserSuspended),
        (User { locked: hold, ..user() }, DomainError::UserLocked),
    ];
    for (user, error) in cases {
        assert_eq!(deploy(&user, &[], None, new(5), None, &context(0)), Err(error));
    }
    // Without a mobile it goes as well: it goes by e-mail.
    assert!(deploy(&User { mobile: None, ..user() }, &[], None, new(5), None, &context(0)).is_ok());
}

#[test]
fn a_user_has_their_own_profile_or_else_the_default_one() {
    let [own, default] = [30, 31].map(|number| Some(ProfileId(Uuid::from_u128(number))));
    for (held, default, expected) in
        [(own, default, own), (None, default, default), (own, None, own), (None, None, None)]
    {
        let client = ClientAccount { profile_id: held, ..ClientAccount::default() };
        assert_eq!(client.profile(default), expected);
    }
}

#[test]
fn what_becomes_of_a_deployments_message_is_told_as_a_deployments() {
    let (_user, made) = deployed(&user());
    let news = |state| Delivery { state, at: at(1), message_id: None, reason: None };
    for (state, event_type, went_out) in [
        (DeliveryState::Sent, EventType::DeploymentSent, true),
        (DeliveryState::Delivered, EventType::DeploymentDelivered, true),
        // Whatever came back went out, even if nobody has said so before.
        (DeliveryState::Bounced, EventType::DeploymentBounced, true),
        (DeliveryState::Complained, EventType::DeploymentComplained, true),
        (DeliveryState::Failed, EventType::DeploymentFailed, false),
        (DeliveryState::Rejected, EventType::DeploymentFailed, false),
    ] {
        let (after, event) = invitation_of(record_delivery(&made, news(state), &context(2)).unwrap());
        assert_eq!((event.event_type, event.deployment_id), (event_type, Some(made.invitation_id)), "{state}");
        assert_eq!(after.sent_at, went_out.then_some(at(1)), "{state}: deployed is when it went out");
    }
    let (sent, _) = invitation_of(record_delivery(&made, news(DeliveryState::Sent), &context(2)).unwrap());
    let later = Delivery { at: at(9), ..news(DeliveryState::Delivered) };
    assert_eq!(invitation_of(record_delivery(&sent, later, &context(9)).unwrap()).0.sent_at, Some(at(1)));
}

/// A configuration of a user with a salt.
fn configured(user: &User, profile: Option<&Profile>, secrets: &UserSecrets) -> Configuration {
    configuration(user, profile, secrets, "salt".to_owned())
}

/// A configuration of this version.
fn version(version: &str) -> Configuration {
    Configuration { version: version.to_owned(), salt: "salt".to_owned(), settings: json!({}) }
}

#[test]
fn versions_follow_from_a_salt_that_the_user_keeps_and_are_nobodys_to_find_by_trying() {
    let (user, devices) = phones(1);
    let new_ids = |user: &User, salt: &str| configuration(user, None, &UserSecrets::new(), salt.to_owned());
    let first = new_ids(&user, "one");
    assert_ne!(first.version, new_ids(&user, "another").version);
    let change = serve(&devices[0].clone().with_config_offered(), &user, &first, &context(1)).unwrap().unwrap();
    let served = change.user_after().unwrap();
    assert_eq!(new_ids(served, "another"), first, "the salt stays");
    assert!(!published(&change.events[0]).contains("one\""), "it is not told");
    let out = remove(served, &[], None, &context(2)).unwrap().unwrap();
    assert_eq!(out.user_after().unwrap().client.config_salt, None);
}

#[test]
fn a_configuration_is_the_profile_under_ones_data_under_ones_own_settings() {
    let profile = profile(json!({
        "theme": "dark", "list": [1, 2], "account": {"domain": "acme", "username": "nobody"}, "deep": {"a": {"b": 1}},
    }));
    let own = json!({"theme": {"name": "light"}, "list": [3], "account": {"number": "0"}, "deep": {"a": {"c": null}}});
    let user = User { number: Some("4711".to_owned()), ..with(&user(), own) };
    let secrets = UserSecrets::from([(SecretKind::VoicemailPin, "90210".to_owned())]);
    let made = configured(&user, Some(&profile), &secrets);
    let expected = json!({
        "theme": {"name": "light"}, "list": [3], "deep": {"a": {"b": 1, "c": null}},
        "account": {
            "domain": "acme", "username": "ada", "name": "Ada Adler", "first_name": "Ada", "last_name": "Adler",
            "email": "ada@example.com", "number": "0", "voicemail_pin": "90210",
        },
    });
    assert_eq!(made.settings, expected);
    assert_eq!(made.version.len(), CONFIG_VERSION.max);
    let without = configured(&user, None, &UserSecrets::new());
    assert_eq!(without.settings["account"]["voicemail_pin"], Value::Null);
    assert_eq!(without.settings["theme"], json!({"name": "light"}));
}

#[test]
fn a_version_tells_when_a_secret_was_set_and_nothing_of_what_it_is() {
    let set = |pin: &str, minutes: i64| {
        let edit = BTreeMap::from([(SecretKind::VoicemailPin, Some(pin.to_owned()))]);
        let after = set_secrets(&user(), &edit, &context(minutes)).unwrap().unwrap().user_after().unwrap().clone();
        configured(&after, None, &UserSecrets::from([(SecretKind::VoicemailPin, pin.to_owned())])).version
    };
    assert_eq!(set("1111", 1), set("2222", 1), "nobody learns by the version which of two it is");
    assert_ne!(set("1111", 1), set("1111", 2), "set anew, it is to be fetched anew");
}

#[test]
fn which_secrets_are_set_is_recorded_by_their_names_alone() {
    let edit = read_secrets(fields(json!({"client_password": "s3cret", "voicemail_pin": null}))).unwrap();
    assert_eq!(edit.len(), 2);
    let change = set_secrets(&user(), &edit, &context(1)).unwrap().unwrap();
    let event = &change.events[0];
    assert_eq!(event.changed_fields, ["client_password"], "what is not set cannot be taken away");
    assert!(!format!("{change:?}").contains("s3cret") && !published(event).contains("s3cret"));
    let known = &change.user_after().unwrap().client.secrets;
    assert_eq!(known, &BTreeMap::from([(SecretKind::ClientPassword, at(1))]));
    let gone = read_secrets(fields(json!({"client_password": null}))).unwrap();
    let after = set_secrets(change.user_after().unwrap(), &gone, &context(2)).unwrap().unwrap();
    assert!(after.user_after().unwrap().client.secrets.is_empty());
    assert_eq!(set_secrets(&user(), &gone, &context(3)), Ok(None));
}

#[test]
fn every_fault_of_secrets_is_named_and_a_misspelt_one_is_one() {
    let body = json!({"client_password": "", "pbx_sip_password": 7, "voicemail_pin": "47a1", "voicemial_pin": "4711"});
    let expected = [
        ("client_password", "too_short"),
        ("pbx_sip_password", "wrong_type"),
        ("voicemail_pin", "invalid_format"),
        ("voicemial_pin", "unknown_field"),
    ];
    assert_eq!(faults(read_secrets(fields(body))), expected.map(|(field, code)| (field.to_owned(), code)));
    assert_eq!(faults(read_secrets(fields(json!({})))), [(String::new(), "missing")]);
}

#[test]
fn only_an_allowed_phone_of_a_user_who_is_in_client_deployment_is_served() {
    let (user, devices) = phones(1);
    let device = &devices[0].clone().with_config_offered();
    let change = serve(device, &user, &version("version1"), &context(1)).unwrap().unwrap();
    let served = change.devices[0].after.clone();
    assert!(served.must_download() && !served.is_download_ordered());
    assert_eq!((change.user_after().unwrap().client.served_at, change.events.len()), (Some(at(1)), 1));
    assert_eq!(serve(&served, &user, &version("version1"), &context(2)).unwrap(), None, "the same again is no news");
    assert!(serve(&served, &user, &version("version2"), &context(2)).unwrap().is_some());
    let hold = Some(Restriction { at: at(0), by: context(0).actor, reason: None });
    let of = |status| Device { user_status: status, ..device.clone() };
    let cases = [
        (Device { blocked: hold, ..device.clone() }, DomainError::DeviceBlocked),
        (of(UserStatus::Suspended), DomainError::UserSuspended),
        (of(UserStatus::Locked), DomainError::UserLocked),
        (of(UserStatus::Deleted), DomainError::DeviceDeleted),
    ];
    for (device, error) in cases {
        assert_eq!(serve(&device, &user, &version("version1"), &context(1)), Err(error));
    }
    let out = remove(&user, &devices, None, &context(1)).unwrap().unwrap();
    assert_eq!(
        serve(device, out.user_after().unwrap(), &version("version1"), &context(2)),
        Err(DomainError::NotDeployed)
    );
}

#[test]
fn what_was_forced_is_done_once_it_was_fetched_and_put_in_place_be_it_the_same_as_before() {
    let (user, devices) = phones(1);
    let in_place = Device { config: Some("version1".to_owned()), ..devices[0].clone().with_download_ordered() };
    assert!(in_place.is_download_ordered() && in_place.must_download(), "what it had before does not count");
    assert!(!in_place.is_newly_installed("version1"), "what it had before is no news");
    for name in ["version1", "version2"] {
        let config = version(name);
        let change = serve(&in_place, &user, &config, &context(1)).unwrap().unwrap();
        let served = change.devices[0].after.clone();
        assert!(served.must_download() && served.is_download_ordered() && !served.must_fetch(), "it is not in place");
        assert_eq!(served.last_served_version(), Some(name));
        assert_eq!(serve(&served, &user, &config, &context(1)).unwrap(), None, "the same once more");
        let another =
            serve(&served, &user, &version("version3"), &context(1)).unwrap().unwrap().devices[0].after.clone();
        assert!(another.is_download_ordered() && !another.is_newly_installed("version1"));
        assert!(served.is_newly_installed(name));
        let done = served.with_installed_version(name);
        assert!(!done.must_download() && !done.is_download_ordered() && !done.is_newly_installed(name));
    }
    // One that it has fetched can be asked of it once more, before it is in place.
    let fetched = in_place.with_served_version("version1");
    assert!(force(&user, &[fetched], &context(2)).unwrap().is_some());
}

#[test]
fn forcing_reaches_each_phone_that_is_not_told_already_and_none_that_is_erased() {
    let (user, devices) = phones(3);
    let mut fixture = Fixture::with_phones(3);
    let ids: Vec<_> = fixture.held().iter().map(|device| device.device_id).collect();
    let _command = fixture.erase(ids[0], 1).unwrap();
    let held = fixture.held();
    let change = force(&fixture.user, &held, &context(2)).unwrap().unwrap();
    assert_eq!(change.devices.len(), 2, "what is erased has nothing to fetch");
    assert!(change.devices.iter().all(|edited| edited.after.is_download_ordered() && edited.after.device_id != ids[0]));
    assert_eq!(change.events.len(), 1);
    let told: Vec<Device> = devices.into_iter().map(Device::with_download_ordered).collect();
    assert_eq!(force(&user, &told, &context(2)).unwrap(), None);
    assert_eq!(force(&user, &[], &context(2)).unwrap(), None);
    let out = remove(&user, &told, None, &context(2)).unwrap().unwrap();
    assert_eq!(force(out.user_after().unwrap(), &told, &context(3)), Err(DomainError::NotDeployed));
}

#[test]
fn a_phone_counts_as_having_downloaded_until_it_is_erased() {
    let (_user, mut devices) = phones(2);
    assert!(!has_downloaded(&devices) && !has_downloaded(&[]));
    devices[1].config = Some("version1".to_owned());
    assert!(has_downloaded(&devices));
    let mut fixture = Fixture::with_phones(1);
    let id = fixture.held()[0].device_id;
    let _command = fixture.erase(id, 1).unwrap();
    let erased = Device { config: Some("version1".to_owned()), ..fixture.held()[0].clone() };
    assert!(!has_downloaded(&[erased]));
}

#[test]
fn a_deployment_to_many_leaves_out_who_was_taken_out_and_forces_who_has_a_configuration() {
    let (user, devices) = phones(1);
    let downloaded = [Device { config: Some("version1".to_owned()), ..devices[0].clone() }];
    assert_eq!(auto_deployment(&user, &devices), AutoDeployment::Deploy);
    assert_eq!(auto_deployment(&user, &downloaded), AutoDeployment::Force);
    let client = ClientAccount { removed_at: Some(at(1)), ..user.client.clone() };
    let end = domain::models::restriction::Deleted { at: at(1), by: context(1).actor, purge_after: at(2) };
    for gone in [User { client, ..user.clone() }, User { deleted: Some(end), ..user }] {
        assert_eq!(auto_deployment(&gone, &downloaded), AutoDeployment::StayOut);
    }
}

#[test]
fn taking_a_user_out_ends_what_is_open_and_leaves_the_person() {
    let (base, devices) = phones(2);
    let (user, open) = deployed(&base);
    let edit = BTreeMap::from([(SecretKind::PbxSipPassword, Some("s3cret".to_owned()))]);
    let user =
        set_secrets(&with(&user, json!({"a": 1})), &edit, &context(1)).unwrap().unwrap().user_after().unwrap().clone();
    let told = vec![devices[0].clone().with_download_ordered(), devices[1].clone()];
    let change = remove(&user, &told, Some(&open), &context(2)).unwrap().unwrap();
    let after = change.user_after().unwrap();
    assert_eq!(after.client, ClientAccount { removed_at: Some(at(2)), ..ClientAccount::default() });
    assert_eq!((&after.username, &after.device_ids, after.status()), (&user.username, &user.device_ids, user.status()));
    assert_eq!(change.offers[0].after.status(at(2)), InvitationStatus::Revoked);
    assert_eq!((change.devices.len(), change.devices[0].after.must_download()), (1, false));
    let types: Vec<EventType> = change.events.iter().map(|event| event.event_type).collect();
    assert_eq!(types, [EventType::UserUndeployed, EventType::DeploymentRevoked]);
    assert_eq!(change.events[0].changed_fields, ["overrides", "pbx_sip_password"]);
    assert_eq!(remove(after, &told, Some(&open), &context(3)).unwrap(), None, "again is nothing");
    // What was set since goes as well, and they have been out since the first time.
    let late = set_secrets(after, &edit, &context(3)).unwrap().unwrap().user_after().unwrap().clone();
    let again = remove(&late, &[], None, &context(4)).unwrap().unwrap();
    assert_eq!(again.user_after().unwrap().client, after.client);
    // A new deployment brings them back, as somebody of whom nothing is known.
    let back = deploy(after, &[], None, new(6), None, &context(3)).unwrap();
    assert_eq!(back.user_after().unwrap().client.removed_at, None);
}

#[test]
fn a_phone_gets_a_configuration_by_a_deployment_and_by_nothing_else() {
    let (user, devices) = phones(1);
    let by_invitation = &devices[0];
    let tried =
        |device: &Device| serve(device, &user, &version("version1"), &context(9)).map(|change| change.is_some());
    assert_eq!(tried(by_invitation), Err(DomainError::DeviceNotDeployed));
    assert!(!by_invitation.must_download());
    let named = Device { config: Some("version0".to_owned()), ..by_invitation.clone() };
    assert_eq!(tried(&named), Err(DomainError::DeviceNotDeployed), "what it says of itself does not count");

    let change = deploy(&user, &devices, None, new(5), None, &context(1)).unwrap();
    let deployed = &change.devices[0].after;
    assert_eq!((change.devices.len(), change.devices[0].before.as_ref()), (1, Some(by_invitation)));
    assert_eq!((tried(deployed), deployed.must_download(), deployed.last_served_version()), (Ok(true), false, None));
    let again = deploy(&user, std::slice::from_ref(deployed), None, new(6), None, &context(2)).unwrap();
    assert_eq!(again.devices, [], "it may have it already");

    let forced = &force(&user, &devices, &context(1)).unwrap().unwrap().devices[0].after;
    assert_eq!((tried(forced), forced.must_download()), (Ok(true), true));
    for may in [deployed, forced] {
        let out = remove(&user, std::slice::from_ref(may), None, &context(2)).unwrap().unwrap();
        let back = serve(&out.devices[0].after, &user, &version("version1"), &context(3));
        assert_eq!(back, Err(DomainError::DeviceNotDeployed), "who is taken out and deployed to again is deployed to");
    }
    let in_place = deployed.clone().with_served_version("version1").with_installed_version("version1");
    assert!(!in_place.must_download() && in_place.may_have_config());
    let erased = Fixture::with_phones(1).erased(2);
    assert_eq!(
        deploy(&user, &[erased], None, new(7), None, &context(3)).unwrap().devices,
        [],
        "it is enrolled anew first"
    );
}

#[test]
fn the_code_that_enrols_a_phone_decides_whether_it_gets_a_configuration() {
    let mut fixture = Fixture::new(1);
    for (minute, purpose) in [(1, Purpose::Invite), (2, Purpose::Deploy), (3, Purpose::Invite)] {
        fixture.invite(1, minute);
        fixture.invitation.purpose = purpose;
        let device = fixture.register("phone", minute).unwrap().device.after;
        assert_eq!(device.may_have_config(), purpose == Purpose::Deploy, "{purpose}");
        assert_eq!(device.must_download(), device.may_have_config());
    }
}

#[test]
fn another_name_is_followed_by_a_deployment_only_if_there_is_something_to_bring_back() {
    let (with_phone, _devices) = phones(1);
    let (without_phone, _open) = deployed(&user());
    for known in [&with_phone, &without_phone] {
        assert_eq!(follows_rename(&by_deployer(known), None), Some(Purpose::Deploy));
    }
    assert_eq!(follows_rename(&by_deployer(&user()), None), None, "never deployed, and no phone");
    let hold = Some(Restriction { at: at(0), by: context(0).actor, reason: None });
    let none = [
        User { email: None, ..with_phone.clone() },
        User { suspended: hold.clone(), ..with_phone.clone() },
        User { locked: hold, ..with_phone.clone() },
        remove(&with_phone, &[], None, &context(1)).unwrap().unwrap().user_after().unwrap().clone(),
    ];
    for user in none {
        assert_eq!((follows_rename(&user, None), follows_rename(&by_deployer(&user), None)), (None, None));
    }
}

fn by_deployer(user: &User) -> User {
    User { due_by_deployer: true, ..user.clone() }
}

#[test]
fn who_may_not_deploy_has_another_name_followed_by_a_deployment_only_to_where_one_went() {
    let (with_phone, _devices) = phones(1);
    let (user, open) = deployed(&with_phone);
    assert_eq!(follows_rename(&with_phone, None), Some(Purpose::Invite), "never deployed");
    assert_eq!(follows_rename(&user, Some(&open)), Some(Purpose::Deploy));
    let changed = |minutes| User { email_changed_at: Some(at(minutes)), ..user.clone() };
    assert_eq!(follows_rename(&changed(0), Some(&open)), Some(Purpose::Deploy), "it was changed before");
    assert_eq!(follows_rename(&changed(1), Some(&open)), Some(Purpose::Invite));
    assert_eq!(follows_rename(&by_deployer(&changed(1)), Some(&open)), Some(Purpose::Deploy));
}

#[test]
fn what_follows_a_rename_later_follows_by_the_rights_of_whoever_renamed() {
    let settled = |before: &User, after: User, may_deploy| {
        let mut change = ChangeSet { user: Some(RowChange::from(before.clone(), after)), ..ChangeSet::default() };
        set_due_by_deployer(&mut change, may_deploy);
        change.user_after().unwrap().clone()
    };
    let ada = user();
    let renamed = User { username: "eve".to_owned(), ..ada.clone() };
    assert!(!settled(&ada, renamed.clone(), false).due_by_deployer);
    let by_deployer = settled(&ada, renamed, true);
    assert!(by_deployer.due_by_deployer);
    // Whoever carries it through later changes nothing of that, unless they say where it goes.
    let noted = User { number: Some("4712".to_owned()), ..by_deployer.clone() };
    let moved = User { email: Some("mallory@example.org".to_owned()), ..by_deployer.clone() };
    assert!(settled(&by_deployer, noted.clone(), false).due_by_deployer);
    assert!(settled(&by_deployer, moved.clone(), true).due_by_deployer);
    assert!(!settled(&by_deployer, moved, false).due_by_deployer);
    let by_helpdesk = User { due_by_deployer: false, ..noted };
    assert!(!settled(&by_helpdesk, User { suspended: None, ..by_helpdesk.clone() }, true).due_by_deployer);
}

#[test]
fn what_a_rename_has_made_due_is_tried_once_nothing_is_in_the_way_and_ended_by_a_deployment() {
    let due = User { deployment_due: true, due_by_deployer: true, ..user() };
    assert!(due.is_deployment_due(at(0)) && !user().is_deployment_due(at(0)));
    let waits = User { deployment_due_at: Some(at(5)), ..due.clone() };
    assert_eq!([4, 5, 6].map(|minute| waits.is_deployment_due(at(minute))), [false, true, true]);
    let hold = Some(Restriction { at: at(0), by: context(0).actor, reason: None });
    assert!(!User { suspended: hold, ..due }.is_deployment_due(at(0)));
    let deployed = deploy(&waits, &[], None, new(9), None, &context(1)).unwrap();
    let after = deployed.user_after().unwrap();
    assert_eq!((after.deployment_due, after.deployment_due_at, after.due_by_deployer), (false, None, false));
}

#[test]
fn a_qr_code_is_shown_only_of_an_open_deployment_and_each_time_recorded() {
    let (_user, open) = deployed(&user());
    let event = qr_shown(&open, &context(1)).unwrap();
    assert_eq!((event.event_type, event.deployment_id), (EventType::DeploymentQrShown, Some(open.invitation_id)));
    let cases = [
        (Offer { used: 1, ..open.clone() }, DomainError::CodeUsed),
        (Offer { revoked_at: Some(at(0)), ..open.clone() }, DomainError::CodeRevoked),
        (Offer { superseded_at: Some(at(0)), ..open.clone() }, DomainError::CodeSuperseded),
        (Offer { expires_at: at(1), ..open }, DomainError::CodeExpired),
    ];
    for (over, error) in cases {
        assert_eq!(qr_shown(&over, &context(1)), Err(error));
    }
}

#[test]
fn settings_of_ones_own_must_fit_the_profiles_schema_with_the_profiles_under_them() {
    let strict = Profile {
        schema: Some(json!({"type": "object", "required": ["port"], "properties": {"port": {"type": "integer"}}})),
        ..profile(json!({"port": 1}))
    };
    assert_eq!(require_fitting(&with(&user(), json!({"more": 1})), &strict), Ok(()), "what is required stands below");
    assert_eq!(require_fitting(&user(), &strict), Ok(()));
    let bad = with(&user(), json!({"port": "s3cret"}));
    let refused = require_fitting(&bad, &strict);
    assert!(!format!("{refused:?}").contains("s3cret"), "no value is told back");
    assert_eq!(faults(refused), [("overrides.port".to_owned(), "schema_violation")]);
    assert_eq!(require_fitting(&bad, &profile(json!({}))), Ok(()), "without a schema all is well");
}

/// Some JSON, of a few names so that they meet.
fn settings() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), (0..3).prop_map(Value::from)];
    let inner = leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[abc]", inner, 0..3).prop_map(|fields| json!(fields)),
        ]
    });
    prop::collection::btree_map("[abc]", inner, 0..4).prop_map(|fields| json!(fields))
}

/// Every value that is no object, by the names that lead to it.
fn leaves(value: &Value, path: &str, into: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            fields.iter().for_each(|(name, value)| leaves(value, &format!("{path}/{name}"), into));
        }
        Value::Object(_) => {}
        other => drop(into.insert(path.to_owned(), other.clone())),
    }
}

proptest! {
    #[test]
    fn of_two_settings_the_users_own_always_holds_and_the_profiles_wherever_it_is_silent(under in settings(), over in settings()) {
        let made = configured(&with(&user(), over.clone()), Some(&profile(under.clone())), &UserSecrets::new());
        let again = configured(&with(&user(), over.clone()), Some(&profile(under.clone())), &UserSecrets::new());
        prop_assert_eq!(&made, &again);
        let (mut own, mut below, mut all) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        leaves(&over, "", &mut own);
        leaves(&under, "", &mut below);
        leaves(&made.settings, "", &mut all);
        all.retain(|path, _| !path.starts_with("/account/"));
        for (path, value) in &own {
            prop_assert_eq!(all.get(path), Some(value), "{} is the user's own", path);
        }
        // Nothing comes from nowhere.
        for (path, value) in &all {
            prop_assert!(own.get(path) == Some(value) || below.get(path) == Some(value), "{} is nobody's", path);
        }
    }
}
