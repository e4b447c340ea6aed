//! The largest commit of each kind fits into one transaction, and the largest row of each kind into DynamoDB's limit.

use aws::store::idempotency;
use aws::store::idempotency::IdempotencyRow;
use aws::store::tokens::TokenPlace;
use aws::{Commit, Row};
use chrono::Duration;
use domain::egress::{EgressPolicy, URL_LIMIT};
use domain::ids::timed_uuid;
use domain::input::Fields;
use domain::limits::DEVICE_LIMIT;
use domain::models::actor::Actor;
use domain::models::client_account::{OVERRIDES_LIMIT, SecretKind};
use domain::models::command::{
    Command, CommandKind, CommandRequest, DETAIL, HISTORY_LIMIT, HistoryEntry, OpenCommand, Trigger,
};
use domain::models::device::DeviceWithCommands;
use domain::models::device::{
    CONFIG_VERSION, Device, DeviceAttachments, Edit, IDENTIFIER, IdentifierClaim, METADATA_KEY_LENGTH, METADATA_KEYS,
    METADATA_VALUE_LENGTH, MODEL_NAME, NICKNAME, PUSH_TOKEN, PushToken, ServedConfig, VERSION,
};
use domain::models::event::EventType;
use domain::models::idempotency::IdempotencyRecord;
use domain::models::job::{IDS_LIMIT, ItemOutcome, JobItem, JobKind, NewJob, NextPage, Selection};
use domain::models::key;
use domain::models::key::ApiKey;
use domain::models::member;
use domain::models::member::{CREATED_LIMIT, CreatedByMember, ISSUER, Member, SUBJECT};
use domain::models::network::{NETWORK_LIMIT, Network, NetworkReason, NetworkStatus, PROVIDER, Provisioning};
use domain::models::offer::{Channel, Delivery, DeliveryState, NewOffer, Offer, Purpose};
use domain::models::provenance::Field;
use domain::models::push::Push;
use domain::models::restriction::Restriction;
use domain::models::source::{DataSource, SourceKind, SourceSettings, VanishPolicy, data};
use domain::models::token;
use domain::models::token::NewToken;
use domain::models::usage::{UsageKind, UsageReport};
use domain::models::user::{NAME, NUMBER, NewUser, Source, USERNAME, User, UserEdit};
use domain::models::webhook::{
    Attempt, DESCRIPTION, Delivery as HookDelivery, Edit as HookEdit, EventSelection, RESPONSE_EXCERPT_LIMIT, Secrets,
    TYPE, TYPES_LIMIT, Webhook, WebhookSettings, new_secret,
};
use domain::models::workspace;
use domain::models::workspace::{SERVICE_LEVEL_LIMIT, Workspace, WorkspaceEdit, WorkspaceSettings};
use domain::permission::{Permission, Role};
use domain::rules::change::ChangeSet;
use domain::rules::check_in;
use domain::rules::check_in::{CheckIn, CheckInReport, TokenChange};
use domain::rules::commands::apply;
use domain::rules::context::EventContext;
use domain::rules::deployments;
use domain::rules::devices::{self, DeviceToDelete};
use domain::rules::jobs::{begin, page_done};
use domain::rules::lifecycle;
use domain::rules::members;
use domain::rules::networks::reported as network_reported;
use domain::rules::offers::{create_offer, revoke_open};
use domain::rules::registration::{Registration, RegistrationRequest, RegistrationState, register};
use domain::rules::scim::change::{CreatedScimUser, NewScimUser, ScimUserEdit, create, update};
use domain::rules::scim::document::{Document, ScimUserRecord};
use domain::rules::sync;
use domain::rules::tokens;
use domain::rules::workspaces;
use domain::secret::{AccessToken, Hash};
use domain::states::CommandState;
use domain::states::Platform;
use domain::states::UserStatus;
use domain::text::REASON;
use domain::text::SERVICE_LEVEL;
use domain::text::{EMAIL, MOBILE};
use domain::text::{Form, TextRule};
use domain::{
    CommandId, DeviceId, EventId, InvitationId, JobId, MemberId, ProfileId, SourceId, Time, TokenId, UserId, WebhookId,
    WorkspaceId,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

/// "Amazon DynamoDB Developer Guide", Quotas: items of a transaction, and bytes of a row.
const ITEMS: usize = 100;
const ROW_BYTES: usize = 400 * 1024;
/// Bytes of one write unit.
const UNIT_BYTES: usize = 1024;
/// The largest numbers of wrong PINs and of a usage report.
const PIN_FAILURES_MOST: u32 = 1_000_000;
const SEQUENCE_MOST: u64 = i64::MAX as u64;
/// The longest endpoint ARN, in the longest region, without the application's name.
const ENDPOINT: &str =
    "arn:aws:sns:ap-southeast-1:123456789012:endpoint/APNS_SANDBOX/handset/0190f3c4-7b5e-7a11-8c1d-3f2a9b6c5d4e";

/// The size of a row, without its second row, as DynamoDB counts it ("Item sizes and formats", same guide).
fn bytes<R: Row>(row: &R) -> usize {
    let (row, _) = aws::to_json(row).unwrap();
    row.as_object().unwrap().iter().map(|(name, value)| name.len() + value_bytes(value)).sum()
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

fn context() -> EventContext {
    EventContext {
        event_id: EventId(id(1)),
        workspace_id: WorkspaceId(id(2)),
        at: now(),
        actor: Actor::System,
        token_id: None,
        operation: "update-device",
        request_id: "x".repeat(36),
        source_ip: Some("2001:0db8:85a3:0000:0000:8a2e:0370:7334".to_owned()),
        job_id: Some(JobId(id(20))),
    }
}

/// Texts that a rule accepts: of many short words, of long ones, and of letters of four bytes.
fn text(rule: TextRule) -> BoxedStrategy<String> {
    let max = rule.max;
    let of = move |pattern: &str| {
        let strategy = proptest::string::string_regex(&format!("({pattern}){{{},{max}}}", rule.min)).unwrap();
        strategy.prop_map(move |text| truncated(&text, rule))
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

/// The longest beginning of a text that a rule accepts.
fn truncated(text: &str, rule: TextRule) -> String {
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

/// As many different words as fit into a length.
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
        user_identity_key: Some("k".repeat(128)),
        service_level: Some("gold".to_owned()),
        sip_user_name: Some("s".repeat(64)),
        service_account: Some("s".repeat(64)),
        profile_id: Some(ProfileId(id(60))),
        overrides: json!({"a": "\u{10400}".repeat(OVERRIDES_LIMIT / 4 - 8)}).as_object().unwrap().clone(),
    })
}

fn registration_request() -> impl Strategy<Value = RegistrationRequest> {
    (text(IDENTIFIER), text(MODEL_NAME), text(VERSION), text(VERSION), text(NICKNAME)).prop_map(
        |(device_identifier, model_name, os_version, app_version, nickname)| RegistrationRequest {
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
    User::create(new, UserId(id(3)), &context()).0
}

fn device(user: &User, application: &RegistrationRequest) -> Device {
    Device {
        workspace_id: context().workspace_id,
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
        user_status: UserStatus::Inactive,
        commands: Vec::new(),
        failed: None,
        unconfirmed: None,
        erased: None,
        pin_failures: PIN_FAILURES_MOST,
        check_in_minutes: Some(1440),
        usage_sequence: Some(SEQUENCE_MOST),
        config: Some("c".repeat(CONFIG_VERSION.max)),
        served: Some(ServedConfig::Fetched("s".repeat(CONFIG_VERSION.max))),
        last_login_at: Some(now()),
        blocked: None,
        deleted: None,
        push: Push { reason: domain::models::push::PushReason::EndpointDisabled, since: now() },
        push_endpoint: Some(ENDPOINT.to_owned()),
        push_token_hash: Some(Hash::of("token")),
        version: 999_999,
        stored: domain::stored::Stored::default(),
    }
}

/// A device with one open command of each kind, all in one state: more than there can be.
fn phone(device: Device, state: CommandState) -> DeviceWithCommands {
    let each = CommandKind::ALL.iter().map(|kind| (*kind, state, now().plus(Duration::days(1))));
    phone_with_commands(device, &each.collect::<Vec<_>>())
}

/// A device with open commands: kind, state and expiry of each.
fn phone_with_commands(mut device: Device, open: &[(CommandKind, CommandState, Time)]) -> DeviceWithCommands {
    let mut number = 100;
    let mut command = |(kind, state, expires_at): &(CommandKind, CommandState, Time)| {
        number += 1;
        Command {
            workspace_id: device.workspace_id,
            device_id: device.device_id,
            user_id: device.user_id,
            command_id: CommandId(id(number)),
            kind: *kind,
            epoch: device.epoch,
            state: *state,
            late: false,
            queued_at: now(),
            queued_by: Actor::System,
            reason: Some("\u{10400}".repeat(REASON.max)),
            expires_at: *expires_at,
            deferrals: u32::MAX - 1,
            again_at: None,
            detail: Some("\u{10400}".repeat(DETAIL.max)),
            history: vec![
                HistoryEntry { state: *state, at: now(), by: Actor::Device(device.device_id), late: true };
                HISTORY_LIMIT
            ],
            credential_hash: None,
            version: 999_999,
            stored: domain::stored::Stored::default(),
        }
    };
    let open: Vec<Command> = open.iter().map(&mut command).collect();
    device.commands = open.iter().map(open_command).collect();
    DeviceWithCommands { device, open_commands: open }
}

fn open_command(command: &Command) -> OpenCommand {
    OpenCommand {
        command_id: command.command_id,
        kind: command.kind,
        state: command.state,
        queued_at: command.queued_at,
        expires_at: command.expires_at,
        again_at: command.again_at,
    }
}

/// Phones that are deleted with their user, each with a failed wipe that is delivered again.
fn devices_to_delete(phones: &[DeviceWithCommands]) -> Vec<DeviceToDelete> {
    let leaving = |phone: &DeviceWithCommands| {
        let failed =
            phone_with_commands(phone.device.clone(), &[(CommandKind::Wipe, CommandState::Failed, Time::EPOCH)]);
        let failed = Command { expires_at: now().plus(Duration::days(1)), ..failed.open_commands[0].clone() };
        let claim = claim(&phone.device, true);
        DeviceToDelete { device: phone.device.clone(), claim, unconfirmed: Some(failed), attachments: None }
    };
    phones.iter().map(leaving).collect()
}

/// Open commands of some kinds, in any open state, expired or not.
fn open_commands() -> impl Strategy<Value = Vec<(CommandKind, CommandState, Time)>> {
    let states =
        vec![CommandState::Queued, CommandState::Delivered, CommandState::Deferred, CommandState::CancelRequested];
    let one = (prop::sample::select(states), -1_i64..2);
    prop::collection::vec(prop::option::of(one), CommandKind::ALL.len()).prop_map(|drawn| {
        let of = |(kind, drawn): (&CommandKind, Option<(CommandState, i64)>)| {
            drawn.map(|(state, days)| (*kind, state, now().plus(Duration::days(days))))
        };
        CommandKind::ALL.iter().zip(drawn).filter_map(of).collect()
    })
}

/// Gives a user the most phones that are allowed.
fn with_phones(user: &mut User, phones: [DeviceWithCommands; DEVICE_LIMIT]) -> Vec<DeviceWithCommands> {
    let mut phones = Vec::from(phones);
    for (number, phone) in (40..).zip(&mut phones) {
        let device_id = DeviceId(id(number));
        phone.device.device_id = device_id;
        phone.device.device_identifier.truncate(IDENTIFIER.max - 1);
        phone.device.device_identifier.push_str(&(number % 10).to_string());
        for command in &mut phone.open_commands {
            command.device_id = device_id;
        }
        user.device_ids.insert(device_id);
    }
    phones
}

fn devices(phones: &[DeviceWithCommands]) -> Vec<Device> {
    phones.iter().map(|phone| phone.device.clone()).collect()
}

fn new_id() -> CommandId {
    CommandId(id(90))
}

/// Checks that the commit of a change fits, alone and with a job's item, and that its
/// rows are small. Returns its number of items.
fn expect_change_fits(change: &ChangeSet) -> usize {
    let commit = Commit::from_changes(context().event_id, change);
    let len = commit.len();
    expect_fits(&commit);
    expect_fits(&commit.put(&job_item(1)));
    change.events.iter().for_each(expect_small);
    for edited in &change.commands {
        expect_small(&edited.after);
    }
    for edited in &change.devices {
        expect_small(&edited.after);
    }
    if let Some(edited) = &change.user {
        expect_small(&edited.after);
    }
    for added in &change.usage {
        expect_small(added);
    }
    len
}

fn job_item(number: u8) -> JobItem {
    JobItem {
        workspace_id: context().workspace_id,
        job_id: JobId(id(20)),
        id: id(number).to_string(),
        outcome: ItemOutcome::Failed,
        code: Some("device_limit_reached".to_owned()),
        detail: Some("x".repeat(500)),
        devices: vec![DeviceId(id(4)); DEVICE_LIMIT],
        user_id: None,
        change: None,
        fields: Vec::new(),
        faults: Vec::new(),
        warnings: Vec::new(),
        at: now(),
    }
}

fn command_request(kind: CommandKind) -> CommandRequest {
    CommandRequest { kind, reason: Some("\u{10400}".repeat(REASON.max)), expires_in_days: Some(365) }
}

/// The user with an invitation, and the invitation.
fn with_invitation(user: &User, number: u8) -> (User, Offer) {
    let change = create_offer(user, None, new_offer(number), &context()).unwrap();
    (change.user_after().unwrap().clone(), change.new_offer().unwrap().clone())
}

fn new_deployment(number: u8) -> NewOffer {
    NewOffer { purpose: Purpose::Deploy, devices: 1, ..new_offer(number) }
}

/// The user with an open deployment and all data of client deployment, and the deployment.
fn with_deployment(user: &User) -> (User, Offer) {
    let created = deployments::deploy(user, &[], None, new_deployment(6), Some(ProfileId(id(30))), &context()).unwrap();
    let mut user = created.user_after().unwrap().clone();
    let client = &mut user.client;
    client.overrides = json!({"a": "\u{10400}".repeat(OVERRIDES_LIMIT / 4 - 8)}).as_object().unwrap().clone();
    client.secrets = SecretKind::ALL.iter().map(|kind| (*kind, now())).collect();
    (client.served_at, client.downloaded_at) = (Some(now()), Some(now()));
    (user, created.offers.last().unwrap().after.clone())
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
        stored: domain::stored::Stored::default(),
    }
}

fn new_offer(number: u8) -> NewOffer {
    NewOffer {
        purpose: Purpose::Invite,
        invitation_id: InvitationId(id(number)),
        code: number.to_string(),
        channel: Channel::Email,
        devices: 1,
        lifetime: Duration::days(7),
        limits: testkit::rows::limits_before_any_message(context().workspace_id, Channel::Email, now()),
    }
}

fn idempotency_row() -> IdempotencyRow {
    let pk = idempotency::idempotency_pk(context().workspace_id, "principal", "operation", "key");
    let remembered =
        IdempotencyRecord { request_hash: Hash::of("body"), created_id: id(5).to_string(), expires_at: now() };
    IdempotencyRow { pk, remembered }
}

fn metadata(device: &Device) -> DeviceAttachments {
    let key = |at: usize| format!("{at:02}{}", "\u{10400}".repeat(METADATA_KEY_LENGTH - 2));
    let value = json!("\u{10400}".repeat(METADATA_VALUE_LENGTH));
    let values = (0..METADATA_KEYS).map(|at| (key(at), value.clone())).collect();
    DeviceAttachments { metadata: values, ..DeviceAttachments::empty(device) }
}

/// The commit as the operation makes it.
fn registration_commit(registration: &Registration, token_before: Option<&PushToken>) -> Commit {
    let commit = Commit::from_changes(context().event_id, &registration.change());
    let device = &registration.device.after;
    let token = PushToken::new_for(device, registration.push_token.clone().unwrap(), token_before, now());
    match token_before {
        Some(before) => commit.edit(before, &token),
        None => commit.put(&token),
    }
}

fn expect_fits(commit: &Commit) {
    assert!((2..=ITEMS).contains(&commit.len()), "{} items", commit.len());
}

fn expect_small<R: Row>(row: &R) {
    assert!(bytes(row) <= ROW_BYTES, "{} bytes", bytes(row));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn creating_a_user_fits_into_one_commit(new in new_user()) {
        let (user, change) = User::create(new, UserId(id(3)), &context());
        expect_fits(&Commit::from_changes(context().event_id, &change).put_idempotency_record(&idempotency_row(), None));
        expect_small(&user);
        expect_small(&change.events[0]);
    }

    #[test]
    fn creating_and_revoking_a_token_for_the_most_workspaces_fit_into_one_commit_each(name in text(token::NAME)) {
        let member = |number| Member {
            workspace_id: WorkspaceId(id(number)),
            member_id: MemberId(id(100 + number)),
            issuer: "i".repeat(ISSUER.max),
            subject: "s".repeat(SUBJECT.max),
            name: None,
            role: Role::Admin,
            created_at: now(),
            created_by: Actor::System.into(),
            pending: false,
            accepted_at: None,
            version: 1,
            stored: domain::stored::Stored::default(),
        };
        let memberships: Vec<Member> = (0..u8::try_from(token::WORKSPACE_LIMIT).unwrap()).map(member).collect();
        let (issuer, subject) = (memberships[0].issuer.clone(), memberships[0].subject.clone());
        let workspace_ids = memberships.iter().map(|member| member.workspace_id).collect();
        let person = member::Identity { issuer, subject, memberships };
        let permissions = Some(Permission::ALL.iter().copied().collect());
        let new = NewToken { name, workspace_ids, permissions, expires_at: now() };
        let own = |member: &Member| EventContext { workspace_id: member.workspace_id, ..context() };
        let text = AccessToken::new(|bytes| bytes.fill(7));
        let (token, events) = tokens::create(new, TokenId(id(9)), &text, &person, now(), own);
        prop_assert_eq!(events.len(), token::WORKSPACE_LIMIT);
        let commit = Commit::from_changes(context().event_id, &ChangeSet { events, ..ChangeSet::default() });
        expect_fits(&commit.put(&token).put(&TokenPlace::of(&token)).put_idempotency_record(&idempotency_row(), None));
        expect_small(&token);
        let (revoked, events) = tokens::revoke(&token, &person, now(), own).unwrap();
        expect_fits(&Commit::from_changes(context().event_id, &ChangeSet { events, ..ChangeSet::default() }).edit(&token, &revoked));
    }

    #[test]
    fn replacing_an_invitation_fits_into_one_commit(new in new_user()) {
        let user = user(new);
        let (user, first) = with_invitation(&user, 6);
        let second = create_offer(&user, Some(&first), new_offer(7), &context()).unwrap();
        let superseded = second.offer_after(&first).clone();
        prop_assert!(superseded.superseded_at.is_some());
        expect_fits(&Commit::from_changes(context().event_id, &second).put_idempotency_record(&idempotency_row(), None));
        expect_small(&superseded);
    }

    #[test]
    fn a_registration_fits_into_one_commit(new in new_user(), application in registration_request(), again in registration_request()) {
        let user = user(new);
        let (user, invitation) = with_invitation(&user, 6);
        let old = phone(device(&user, &again), CommandState::CancelRequested);
        let device_id = DeviceId(id(9));
        // A deleted device returns, and an existing one re-enrols with other data.
        for held in [false, true] {
            let found = RegistrationState {
                offer: invitation.clone(),
                user: user.clone(),
                claim: Some(claim(&old.device, held)),
                claimed_device: Some(old.device.clone()),
                commands: old.open_commands.clone(),
                held: Vec::new(),
            };
            let registration = register(&found, &application, device_id, &context()).unwrap();
            let token = PushToken::new_for(&old.device, "t".repeat(PUSH_TOKEN.max), None, now());
            expect_fits(&registration_commit(&registration, held.then_some(&token)));
            expect_small(&registration.device.after);
            expect_small(&token);
        }
    }

    #[test]
    fn a_device_update_with_all_metadata_fits_into_one_commit(new in new_user(), application in registration_request(), name in text(NICKNAME)) {
        let before = device(&user(new), &application);
        let edit = Edit { nickname: Some(Some(format!("{name}x"))), metadata: metadata(&before).metadata };
        let change = devices::edit(&before, None, &edit, &context()).unwrap().unwrap();
        expect_fits(&Commit::from_changes(context().event_id, &change));
        expect_small(&change.attachments[0].after);
        expect_small(&change.events[0]);
    }

    #[test]
    fn a_deletion_and_a_purge_fit_into_one_commit_each(new in new_user(), application in registration_request()) {
        let mut user = user(new);
        let device = device(&user, &application);
        user.device_ids.insert(device.device_id);
        let leaving = DeviceToDelete { device: device.clone(), claim: claim(&device, true), unconfirmed: None, attachments: None };
        let change = devices::delete(&leaving, &user, None, Duration::days(30), &context()).unwrap();
        expect_fits(&Commit::from_changes(context().event_id, &change));
        let (deleted, claim) = (&change.devices[0].after, &change.claims[0].after);
        let late = EventContext { at: now().plus(Duration::days(30)), ..context() };
        let event = devices::purge(deleted, &late).unwrap();
        let token = PushToken::new_for(&device, "t".repeat(PUSH_TOKEN.max), None, now());
        let commit =
            Commit::with_event(&event).delete(deleted).delete(&metadata(&device)).delete(&token).delete(claim);
        expect_fits(&commit);
        expect_small(deleted);
        expect_small(claim);
    }

    #[test]
    fn deleting_a_user_with_three_phones_and_an_invitation_fits_into_one_commit(
        new in new_user(), application in registration_request(), open in prop::array::uniform3(open_commands()),
    ) {
        let (mut user, invitation) = with_invitation(&user(new), 6);
        let phones = open.map(|open| phone_with_commands(device(&user, &application), &open));
        let phones = with_phones(&mut user, phones);
        let claimed = devices_to_delete(&phones);
        let deletion = lifecycle::Deletion {
            without_wipe: true,
            reason: Some("\u{10400}".repeat(REASON.max)),
            retention: Duration::days(30),
        };
        let change = lifecycle::delete(&user, &claimed, std::slice::from_ref(&invitation), &deletion, &context()).unwrap().unwrap();
        // Five events, the user, whose username and identity key are free again, with the day when they were last seen,
        // the phones and their claims, the invitation and its code, and of each phone a wipe that is told again. Other
        // commands stay as they are.
        prop_assert_eq!(expect_change_fits(&change), 5 + 4 + 6 + 2 + 3);
    }

    #[test]
    fn lifecycle_actions_on_three_phones_fit_into_one_commit(
        new in new_user(), application in registration_request(), open in prop::array::uniform3(open_commands()),
    ) {
        let mut user = user(new);
        let phones = open.map(|open| phone_with_commands(device(&user, &application), &open));
        let phones = with_phones(&mut user, phones);
        for change in [
            lifecycle::lock_and_wipe(&user, &phones, &command_request(CommandKind::Wipe), &new_id, &context()).unwrap(),
            lifecycle::reset_pin(&user, &phones, &command_request(CommandKind::ResetPin), &new_id, &context()).unwrap(),
            lifecycle::suspend(&user, &devices(&phones), Some("x".repeat(REASON.max)), &context()).unwrap(),
        ].into_iter().flatten() {
            expect_change_fits(&change);
        }
    }

    #[test]
    fn a_user_whose_every_field_changes_fits_into_one_commit(
        old in new_user(), new in new_user(), application in registration_request(), open in prop::array::uniform3(open_commands()),
    ) {
        let mut user = user(old);
        let phones = open.map(|open| phone_with_commands(device(&user, &application), &open));
        let phones = with_phones(&mut user, phones);
        let edit = UserEdit {
            username: Some(new.username),
            first_name: Some(new.first_name),
            last_name: Some(new.last_name),
            email: Some(None),
            mobile: Some(Some(MOBILE.read("+4366412345678").unwrap())),
            number: Some(Some(NUMBER.read("0 9 8 7 6 5 4 3 2 1").unwrap())),
            service_level: Some(Some("x".repeat(SERVICE_LEVEL.max))),
            ..UserEdit::default()
        };
        let change = lifecycle::update(&user, &phones, &edit, &new_id, &context()).unwrap().unwrap();
        expect_change_fits(&change);
    }

    #[test]
    fn a_rename_with_three_phones_and_the_next_deployment_fit_into_one_commit_each(
        old in new_user(), new in new_user(), application in registration_request(), open in prop::array::uniform3(open_commands()),
    ) {
        let (user, older) = with_deployment(&user(old));
        let (mut user, invitation) = with_invitation(&user, 8);
        let phones = open.map(|open| phone_with_commands(device(&user, &application), &open));
        let phones = with_phones(&mut user, phones);
        let edit = UserEdit {
            username: Some(format!("x{}", new.username)),
            email: Some(Some("another@example.com".to_owned())),
            first_name: Some(new.first_name),
            last_name: Some(new.last_name),
            mobile: Some(None),
            sip_user_name: Some(new.sip_user_name.map(|name| name.replace('s', "t"))),
            overrides: Some(serde_json::Map::new()),
            ..UserEdit::default()
        };
        let mut change = lifecycle::update(&user, &phones, &edit, &new_id, &context()).unwrap().unwrap();
        // Another address also ends open invitations and deployments.
        prop_assert!(lifecycle::is_readdressed(&change));
        revoke_open(&mut change, &[invitation, older], &context());
        let older = change.offers.last().unwrap().after.clone();
        let renamed = change.user_after().unwrap().clone();
        prop_assert_eq!(deployments::follows_rename(&User { due_by_deployer: true, ..renamed.clone() }, Some(&older)), Some(Purpose::Deploy));
        let offered = deployments::deploy(&renamed, &[], Some(&older), new_deployment(7), None, &context()).unwrap();
        let change = change.then(offered);
        expect_fits(&Commit::from_changes(context().event_id, &change).put(&job_item(1)));
    }

    #[test]
    fn deleting_and_undeploying_a_user_with_three_phones_fit_into_one_commit_each(
        new in new_user(), application in registration_request(), open in prop::array::uniform3(open_commands()),
    ) {
        let (user, open_deployment) = with_deployment(&user(new));
        let (mut user, invitation) = with_invitation(&user, 8);
        let phones = open.map(|open| phone_with_commands(device(&user, &application), &open));
        let phones = with_phones(&mut user, phones);
        let claimed = devices_to_delete(&phones);
        let deletion = lifecycle::Deletion { without_wipe: true, reason: None, retention: Duration::days(30) };
        let offers = [invitation, open_deployment.clone()];
        let change = lifecycle::delete(&user, &claimed, &offers, &deletion, &context()).unwrap().unwrap();
        // Six events, the user, whose username and identity key are free again, with the day when they were last seen,
        // the phones and their claims, what was offered with its codes, the secrets, and of each phone a wipe that is
        // told again.
        prop_assert_eq!(expect_change_fits(&change), 6 + 4 + 6 + 4 + 1 + 3);
        let change = deployments::remove(&user, &devices(&phones), Some(&open_deployment), &context()).unwrap().unwrap();
        // Two events, the user, three phones that are to download, the deployment, its code and the secrets.
        prop_assert_eq!(expect_change_fits(&change), 2 + 1 + 3 + 2 + 1);
        let change = deployments::force(&user, &devices(&phones), &context()).unwrap().unwrap();
        prop_assert_eq!(expect_change_fits(&change), 1 + 1 + 3);
        let bare: Vec<Device> =
            devices(&phones).into_iter().map(|device| Device { served: None, ..device.clone() }).collect();
        let change =
            deployments::deploy(&user, &bare, Some(&open_deployment), new_deployment(9), None, &context()).unwrap();
        // The event, the user, the phones, the older deployment and its code, the newer with its pointer, the hash of
        // its code and the code for its message, and the two counters of the message.
        prop_assert_eq!(expect_change_fits(&change), 1 + 1 + 3 + 2 + 4 + 2);
    }

    #[test]
    fn a_check_in_that_changes_everything_fits_into_one_commit(
        new in new_user(), application in registration_request(), open in prop::array::uniform3(open_commands()),
    ) {
        let mut user = user(new);
        let phones = open.map(|open| phone_with_commands(device(&user, &application), &open));
        let phones = with_phones(&mut user, phones);
        let commit = check_in_commit(&user, &phones);
        expect_fits(&commit);
    }

    #[test]
    fn a_devices_command_report_fits_into_one_commit_and_leaves_a_small_row(application in registration_request(), open in open_commands()) {
        let new = NewUser { username: "a".into(), ..NewUser::default() };
        let phone = phone_with_commands(device(&user(new), &application), &open);
        for command in &phone.open_commands {
            for trigger in [Trigger::Deferred, Trigger::Cancel, Trigger::Expired, Trigger::Replaced] {
                if let Ok(Some(said)) = apply(&phone.device, command, trigger, command.detail.clone(), &context()) {
                    expect_fits(&Commit::from_changes(context().event_id, &said));
                    let after = said.command_after(command);
                    expect_small(after);
                    expect_small(&said.events[0]);
                    prop_assert!(after.history.len() <= HISTORY_LIMIT);
                }
            }
        }
    }

    #[test]
    fn a_device_that_checks_in_is_a_row_of_one_unit(new in new_user(), application in registration_request()) {
        let device = device(&user(new), &application);
        prop_assert!(bytes(&device) <= UNIT_BYTES, "{} bytes: {device:?}", bytes(&device));
    }
}

#[test]
fn a_device_with_texts_of_maximum_length_is_a_row_of_one_unit() {
    let application = RegistrationRequest {
        code: "c".repeat(22),
        device_identifier: "d".repeat(IDENTIFIER.max),
        platform: Platform::Android,
        model_name: "m".repeat(MODEL_NAME.max),
        os_version: "1".repeat(VERSION.max),
        app_version: Some("1".repeat(VERSION.max)),
        push_token: None,
        nickname: Some("n".repeat(NICKNAME.max)),
    };
    let new = NewUser { username: "a".into(), ..NewUser::default() };
    let device = device(&user(new), &application);
    println!("{} bytes", bytes(&device));
    assert!(bytes(&device) <= UNIT_BYTES, "{} bytes", bytes(&device));
}

#[test]
fn the_largest_of_all_commits_is_a_registration_that_renames_everything() {
    let new = NewUser { username: "a".into(), email: Some("a@b.de".into()), ..NewUser::default() };
    let of = |letters: &str, alphabet: &str| RegistrationRequest {
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
    let (user, invitation) = with_invitation(&user, 6);
    let old = phone(device(&user, &of("a b c e f g h i j k l m n o p", "q")), CommandState::CancelRequested);
    let found = RegistrationState {
        offer: invitation,
        user,
        claim: Some(claim(&old.device, true)),
        claimed_device: Some(old.device),
        commands: old.open_commands,
        held: Vec::new(),
    };
    let device_id = DeviceId(id(9));
    let application = of("1 2 3 4 5 6 7 8 9 0 r s t u v", "w");
    let registration = register(&found, &application, device_id, &context()).unwrap();
    let commit = registration_commit(&registration, None);
    // The event, four rows and the code, a token, the phone's details, and fifteen words that go, at two keys, for fifteen that come;
    // and of each of the five commands its row and its event.
    assert_eq!(commit.len(), 53 + 2 * CommandKind::ALL.len());
    assert_eq!(registration.events[0].event_type, EventType::DeviceReEnrolled);
}

/// The commit of a check-in of the first phone that changes everything: versions, the token,
/// wrong PINs that lock the user, usage, and all its commands.
fn check_in_commit(user: &User, phones: &[DeviceWithCommands]) -> Commit {
    let (phone, others) = phones.split_first().unwrap();
    let version = "n".repeat(CONFIG_VERSION.max);
    let device = Device { pin_failures: 0, usage_sequence: None, ..phone.device.clone() }.with_served_version(&version);
    let report = CheckInReport {
        os_version: Some("2".repeat(VERSION.max)),
        app_version: Some("2".repeat(VERSION.max)),
        push_token: Some("n".repeat(PUSH_TOKEN.max)),
        pin_failures: Some(PIN_FAILURES_MOST),
        usage: Some(UsageReport {
            sequence: SEQUENCE_MOST,
            counts: UsageKind::ALL.iter().map(|kind| (*kind, u64::MAX)).collect(),
        }),
        config_version: Some(version),
    };
    let found = check_in::CheckInState {
        commands: phone.open_commands.clone(),
        user: Some(check_in::CheckInUser { user: user.clone(), other_devices: devices(others) }),
        settings: Some(WorkspaceSettings { check_in_minutes: Some(1439), ..WorkspaceSettings::default() }),
    };
    let CheckIn::Changed { change, token } = check_in::check_in(&device, &report, &found, &context()) else {
        panic!("all of it is new");
    };
    expect_change_fits(&change);
    let Some(TokenChange::New(token)) = token else { panic!("it has a new token") };
    let after = PushToken::new_for(&change.devices[0].after, token, None, now());
    Commit::from_changes(context().event_id, &change).put(&after)
}

fn plain_user() -> NewUser {
    NewUser { username: "a".into(), email: Some("a@b.de".into()), ..NewUser::default() }
}

fn plain_phone(user: &User, state: CommandState) -> DeviceWithCommands {
    let application = RegistrationRequest {
        code: "c".repeat(22),
        device_identifier: "d".repeat(IDENTIFIER.max),
        platform: Platform::Ios,
        model_name: "m".to_owned(),
        os_version: "1".to_owned(),
        app_version: None,
        push_token: None,
        nickname: None,
    };
    phone(device(user, &application), state)
}

#[test]
fn a_check_in_that_delivers_everything_and_locks_the_user_has_two_dozen_items() {
    let mut user = user(plain_user());
    let phones = [CommandState::Queued; DEVICE_LIMIT].map(|state| plain_phone(&user, state));
    let phones = with_phones(&mut user, phones);
    // Events: the device updated, a configuration installed, five commands delivered,
    // the user locked. Rows: the user with the day when they were last seen, three phones, five commands, two counts of
    // usage, and the token.
    assert_eq!(check_in_commit(&user, &phones).len(), 8 + 2 + 3 + 5 + 2 + 1);
}

#[test]
fn lock_and_wipe_of_three_phones_with_cancel_requests_fits_into_one_commit() {
    let mut user = user(plain_user());
    let phones = [CommandState::CancelRequested; DEVICE_LIMIT].map(|state| plain_phone(&user, state));
    let phones = with_phones(&mut user, phones);
    let request = command_request(CommandKind::Wipe);
    let change = lifecycle::lock_and_wipe(&user, &phones, &request, &new_id, &context()).unwrap().unwrap();
    // The user's event and row; of each phone its row, the old wipe closed and a new one queued.
    assert_eq!(expect_change_fits(&change), 2 + DEVICE_LIMIT * (1 + 4));
}

#[test]
fn the_largest_change_of_a_user_replaces_every_search_word() {
    let named = |username: &str, first: &str, last: &str| NewUser {
        username: username.to_owned(),
        first_name: Some(first.to_owned()),
        last_name: Some(last.to_owned()),
        email: None,
        ..plain_user()
    };
    let mut user = user(named("u", "a b c d e f g h", "i j k l m n o p"));
    let phones = [CommandState::CancelRequested; DEVICE_LIMIT].map(|state| plain_phone(&user, state));
    let phones = with_phones(&mut user, phones);
    let edit = UserEdit {
        username: Some("w".to_owned()),
        first_name: Some(Some("1 2 3 4 5 6 7 8".to_owned())),
        last_name: Some(Some("9 0 q r s t v x".to_owned())),
        ..UserEdit::default()
    };
    let change = lifecycle::update(&user, &phones, &edit, &new_id, &context()).unwrap().unwrap();
    let words = user.search_words().len();
    assert_eq!(words, 16);
    // The event and the user's row, the two usernames, sixteen words that go, at two keys, for sixteen that come;
    // of each phone its row, an old factory reset closed and a new one queued.
    assert_eq!(expect_change_fits(&change), 2 + 2 + 3 * words + DEVICE_LIMIT * (1 + 4));
}

#[test]
fn the_largest_change_by_an_identity_provider_fits_into_one_commit() {
    let object = |value: Value| value.as_object().cloned().unwrap();
    let roles =
        |letter: &str| (0..7).map(|n| json!({"value": format!("{n}{}", letter.repeat(4000))})).collect::<Vec<_>>();
    let body = |username: &str, first: &str, last: &str, letter: &str| {
        Document::read(&object(json!({
            "userName": username, "externalId": letter.repeat(256), "name": {"givenName": first, "familyName": last},
            "roles": roles(letter), "active": letter == "a",
        })))
        .unwrap()
    };
    let new = NewScimUser::read(&body("u", "a b c d e f g h", "i j k l m n o p", "a")).unwrap();
    let CreatedScimUser { record, .. } = create(new, UserId(id(3)), &context()).unwrap();
    let mut user = record.user;
    let phones = [CommandState::CancelRequested; DEVICE_LIMIT].map(|state| plain_phone(&user, state));
    let phones = with_phones(&mut user, phones);
    let before = ScimUserRecord { user, scim_attributes: record.scim_attributes, updated_at: None };
    let after = body("w", "1 2 3 4 5 6 7 8", "9 0 q r s t v x", "b");
    let expected = ScimUserEdit::read(&Document::from_record(&before), &after).unwrap();
    let updated = update(&before, &phones, &expected, &new_id, &context()).unwrap().unwrap();
    let commit = Commit::from_changes(context().event_id, &updated.change);
    let commit = commit.put_scim_attributes(before.scim_attributes.as_ref(), updated.scim_attributes.as_ref());
    // As the largest change of a user, and the event of the suspension, two external ids, and what is kept.
    let words = before.user.search_words().len();
    assert_eq!(words, 16);
    assert_eq!(commit.len(), 2 + 2 + 3 * words + DEVICE_LIMIT * (1 + 4) + 1 + 2 + 1);
    expect_fits(&commit);
    expect_small(&updated.scim_attributes.unwrap());
}

#[test]
fn the_largest_change_by_a_source_renames_a_user_who_reappears() {
    let mapping: serde_json::Map<String, Value> = Field::ALL
        .iter()
        .map(|field| field.as_str())
        .chain(["external_id"])
        .map(|name| (name.to_owned(), json!(name)))
        .collect();
    let body = json!({"name": "File", "mapping": mapping, "key_field": "external_id"});
    let mut fields = Fields::from_json(body.as_object().unwrap().clone());
    let settings = SourceSettings::read_new(&mut fields, SourceKind::Csv, &[]);
    fields.finish().unwrap();
    let mut source = DataSource::create(SourceKind::Csv, SourceId(id(30)), settings, &context()).0;
    let new = NewUser {
        first_name: Some("a b c d e f g h".into()),
        last_name: Some("i j k l m n o p".into()),
        ..plain_user()
    };
    let mut user = user(new);
    let phones = [CommandState::CancelRequested; DEVICE_LIMIT].map(|state| plain_phone(&user, state));
    let phones = with_phones(&mut user, phones);
    user.source = Source::Csv;
    user.provenance.source_id = Some(source.source_id);
    user.provenance.external_id = Some("E-1".into());
    user.provenance.vanished_at = Some(now());
    user.suspended_by_source = Some(Restriction::by(&context(), None));
    user.provenance.source_username = Some("known".into());
    source.policy = VanishPolicy::Suspend;
    let header = mapping.keys().cloned().collect::<Vec<_>>().join(",");
    let value = |name: &String| match name.as_str() {
        "username" => "w",
        "first_name" => "1 2 3 4 5 6 7 8",
        "last_name" => "9 0 q r s t v x",
        "external_id" => "E-1",
        _ => "",
    };
    let line = mapping.keys().map(value).collect::<Vec<_>>().join(",");
    let row = data::read(&source, format!("{header}\n{line}\n").as_bytes()).unwrap().rows.remove(0);
    assert_eq!(row.faults, []);
    let (change, _) = sync::apply(&source, &user, &phones, &row, &new_id, &context()).unwrap().unwrap();
    // As the largest change by hand, that the user is back, and active, and known by their own name.
    assert_eq!(expect_change_fits(&change), 2 + 2 + 3 * 16 + DEVICE_LIMIT * (1 + 4) + 2 + 1);
    // With its outcome, and the job that it stands on.
    assert!(expect_change_fits(&change) + 2 < 100);
}

#[test]
fn a_page_with_texts_of_maximum_length_is_staged_in_one_row() {
    let wide = |length: usize| Some("\u{10400}".repeat(length));
    let texts = [
        ("username", wide(64)),
        ("first_name", wide(64)),
        ("last_name", wide(64)),
        ("email", Some(format!("a@{}.com", "x".repeat(248)))),
        ("mobile", Some("+491701234567890".to_owned())),
        ("number", Some("1".repeat(32))),
        ("service_level", wide(40)),
        ("sip_user_name", wide(64)),
        ("service_account", wide(64)),
        ("external_id", wide(64)),
    ];
    let values = texts.map(|(name, value)| (name.to_owned(), value)).into();
    let row = data::Row { line: 50_000, key: Some(u64::MAX), values, faults: Vec::new() };
    let bytes = serde_json::to_vec(&vec![row; 100]).unwrap().len();
    assert!(bytes < 400 * 1000, "{bytes} bytes, before they are compressed");
}

#[test]
fn a_job_with_the_most_ids_fits_into_one_commit_and_a_small_row() {
    let ids: Vec<String> = (0..IDS_LIMIT).map(|_| id(9).to_string()).collect();
    let new = |selection| NewJob {
        job_id: JobId(id(20)),
        kind: JobKind::Users,
        action: json!({"action": "suspend", "reason": "\u{10400}".repeat(REASON.max)}),
        action_name: "suspend",
        selection,
        dry_run: false,
    };
    // As long a filter as a body holds.
    let filter = json!({"search": "x".repeat(256 * 1024)}).as_object().unwrap().clone();
    for selection in [Selection::Ids(ids.clone()), Selection::Filter(filter)] {
        let change = begin(new(selection), &context());
        let job = change.job.as_ref().unwrap().after.clone();
        expect_fits(
            &Commit::from_changes(context().event_id, &change).put_idempotency_record(&idempotency_row(), None),
        );
        expect_small(&job);
        let next = NextPage { ids: ids.clone(), cursor: Some("c".repeat(4096)), ..NextPage::default() };
        let change = page_done(&job, &[ItemOutcome::Failed; IDS_LIMIT], Some(next), &context());
        expect_small(&change.job.as_ref().unwrap().after);
        let last = page_done(&job, &[ItemOutcome::Changed; IDS_LIMIT], None, &context());
        expect_fits(&Commit::from_changes(context().event_id, &last));
        expect_small(&job_item(1));
    }
}

#[test]
fn a_user_with_the_most_networks_is_a_small_row() {
    let mut user = user(plain_user());
    let report = Network {
        status: NetworkStatus::OptInResponseReceived,
        status_at: now(),
        reason: Some(NetworkReason::InvalidNumber),
        mdn_provisioning: Some(Provisioning::Disabled),
        last_seen_at: Some(now()),
        last_archived_at: Some(now()),
    };
    for number in 0..NETWORK_LIMIT {
        let provider = format!("{}{number}", "p".repeat(PROVIDER.max - 1));
        let change = network_reported(&user, &provider, &report, &context()).unwrap().unwrap();
        expect_fits(&Commit::from_changes(context().event_id, &change));
        expect_small(&change.events[0]);
        user = change.into_user().unwrap();
    }
    let reason = Some("\u{10400}".repeat(REASON.max));
    user.suspended = Some(Restriction::by(&context(), reason.clone()));
    user.suspended_by_source = Some(Restriction::by(&context(), reason.clone()));
    user.locked = Some(Restriction::by(&context(), reason));
    expect_small(&user);
    assert_eq!(user.networks.len(), NETWORK_LIMIT);
}

#[test]
fn a_workspace_with_every_setting_at_its_longest_is_a_small_row() {
    let workspace = Workspace {
        admin_count: u32::MAX,
        profile_count: u32::MAX,
        default_profile_id: Some(domain::ProfileId(uuid::Uuid::max())),
        ..Workspace::new(context().workspace_id, "\u{10400}".repeat(workspace::NAME.max), false, now())
    };
    let level = |at: usize| format!("{at:02}{}", "\u{10400}".repeat(SERVICE_LEVEL.max - 2));
    let edit = WorkspaceEdit {
        sender: Some(Some(format!("{}@b.example", "a".repeat(64)))),
        service_levels: Some((0..SERVICE_LEVEL_LIMIT).map(level).collect()),
        ..WorkspaceEdit::default()
    };
    let (after, event) = workspaces::update(&workspace, &edit, &context()).unwrap();
    expect_fits(&Commit::with_event(&event).edit(&workspace, &after));
    expect_small(&after);
    expect_small(&event);
}

#[test]
fn removing_a_member_with_the_most_keys_fits_into_one_commit() {
    let before = serde_json::from_value::<Workspace>(json!({
        "workspace_id": context().workspace_id, "name": "Fleet", "sandbox": false, "created_at": now(), "admin_count": 2,
        "version": 1,
    }))
    .unwrap();
    let leaves: Member = serde_json::from_value(json!({
        "workspace_id": context().workspace_id, "member_id": id(1), "issuer": "i".repeat(ISSUER.max),
        "subject": "s".repeat(SUBJECT.max), "role": "admin", "created_at": now(), "created_by": Actor::System,
        "version": 1,
    }))
    .unwrap();
    let key = |number: usize| -> ApiKey {
        serde_json::from_value(json!({
            "workspace_id": context().workspace_id, "key_id": Uuid::from_u128(number as u128), "short": format!("{number:08}"),
            "secret_hash": Hash::of("secret"), "name": "\u{10400}".repeat(key::NAME.max),
            "permissions": Permission::ALL, "created_at": now(), "created_by": leaves.created_by, "version": 1,
        }))
        .unwrap()
    };
    let created = CreatedByMember { keys: (0..CREATED_LIMIT).map(key).collect(), webhooks: Vec::new() };
    let drawn = std::cell::Cell::new(0_u8);
    let new_id = || {
        drawn.set(drawn.get() + 1);
        EventContext { event_id: EventId(timed_uuid(now(), [drawn.get(); 10])), ..context() }
    };
    let removal = members::remove(&before, &leaves, &created, true, new_id).unwrap();
    assert_eq!(removal.keys.len(), CREATED_LIMIT);
    let change = ChangeSet { events: removal.events, ..ChangeSet::default() };
    let commit = Commit::from_changes(context().event_id, &change).delete(&leaves).edit(&before, &removal.workspace);
    expect_fits(&removal.keys.iter().fold(commit, |commit, (before, after)| commit.edit(before, after)));
}

/// A user's rows are purged in batches: see `purge-deleted`.
#[test]
fn purging_a_user_fits_into_commits() {
    let mut user = user(plain_user());
    let texted = |number: u8| Offer {
        channel: Channel::Sms,
        delivery: Delivery {
            state: DeliveryState::Sent,
            at: now(),
            message_id: Some(id(number).to_string()),
            reason: None,
        },
        ..with_invitation(&user, number).1
    };
    let invitations: Vec<Offer> = (0..20).map(texted).collect();
    let commit = invitations.iter().fold(Commit::without_event(context().event_id), Commit::delete);
    assert_eq!(commit.len(), 4 * invitations.len(), "each with its code, its text and its pointer");
    expect_fits(&commit);
    let deletion = lifecycle::Deletion { without_wipe: false, reason: None, retention: Duration::days(1) };
    let change = lifecycle::delete(&user, &[], &[], &deletion, &context()).unwrap().unwrap();
    user = change.user.unwrap().after;
    let late = EventContext { at: now().plus(Duration::days(1)), ..context() };
    expect_fits(&Commit::with_event(&lifecycle::purge(&user, &late).unwrap()).delete(&user));
}

#[test]
fn a_block_with_the_longest_reason_leaves_a_small_row() {
    let application = RegistrationRequest {
        code: "c".repeat(22),
        device_identifier: "d".repeat(IDENTIFIER.max),
        platform: Platform::ThirdParty,
        model_name: truncated(&"\u{10400}".repeat(MODEL_NAME.max), MODEL_NAME),
        os_version: "1".repeat(VERSION.max),
        app_version: Some("1".repeat(VERSION.max)),
        push_token: None,
        nickname: Some(truncated(&"\u{10400}".repeat(NICKNAME.max), NICKNAME)),
    };
    let new = NewUser { username: "a".into(), ..NewUser::default() };
    let device = device(&user(new), &application);
    let change = devices::block(&device, Some("\u{10400}".repeat(REASON.max)), &context()).unwrap().unwrap();
    expect_small(&change.devices[0].after);
    expect_small(&change.events[0]);
}

#[test]
fn a_webhook_with_the_most_event_types_and_its_largest_delivery_are_small_rows() {
    let types: Vec<String> = (0..TYPES_LIMIT).map(|n| format!("{n:0>width$}", width = TYPE.max)).collect();
    let url = format!("https://e.example/{}", "x".repeat(URL_LIMIT - 18));
    let body = json!({"url": url, "event_types": types, "description": "\u{10400}".repeat(DESCRIPTION.max)});
    let mut fields = Fields::from_json(body.as_object().unwrap().clone());
    let settings = WebhookSettings::read(&mut fields, EventSelection::Any, EgressPolicy::Public);
    fields.finish().unwrap();
    let (webhook, made) = Webhook::create(WebhookId(id(40)), settings, &context());
    let secrets = Secrets::with_current(new_secret(|bytes| bytes.fill(7)));
    expect_fits(&Commit::with_event(&made).put(&webhook).put_webhook_secrets(webhook.webhook_id, &secrets));
    let mut edit = Fields::from_json(json!({"event_types": ["*"]}).as_object().unwrap().clone());
    let (after, event) = webhook.update(HookEdit::read(&mut edit, EgressPolicy::Public), &context()).unwrap();
    let delivery = HookDelivery::new_due(&after, &event, now()).with_attempt_started(id(41), now());
    let end =
        Attempt { reply: "x".repeat(RESPONSE_EXCERPT_LIMIT), ..Attempt::with_response(now(), 410, b"", i64::MAX) };
    let ended = delivery.with_attempt_result(id(41), &end).unwrap();
    let (off, disabled) = after.after(&after.url, &end, false, &context()).unwrap();
    expect_fits(&Commit::with_event(&disabled.unwrap()).edit(&after, &off).edit(&delivery, &ended));
    expect_small(&ended);
    // What SNS takes of an event, and so does every queue.
    assert!(bytes(&webhook) < 16 * 1024 && bytes(&event) < 64 * 1024 && bytes(&made) < 64 * 1024);
}
