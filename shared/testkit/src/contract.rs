//! The store contract: what the store promises, shown case by case. One call runs them all.
//!
//! Each case has a workspace of its own, so that they do not meet.

use aws::store::idempotency::IdempotencyRow;
use aws::store::invitations::CodeOwner;
use aws::store::tokens::TokenPlace;
use aws::store::{due, idempotency, push_tokens, staging, users};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use aws::{Commit, Page, Position, Row, Table};
use aws::{DeviceFilter, DueRow, EventFilter, LeaseOutcome, Login, StagedRowsOf, UserFilter};
use chrono::Duration;
use domain::egress::EgressPolicy;
use domain::error::{DomainError, Error};
use domain::ids::timed_uuid;
use domain::limits::DEVICE_LIMIT;
use domain::models::actor::Actor;
use domain::models::client_account::{ClientAccount, SecretKind};
use domain::models::command::{Command, CommandKind, OpenCommand};
use domain::models::device::DeviceWithCommands;
use domain::models::device::{Device, DeviceAttachments, Enrolment, IdentifierClaim, PushToken};
use domain::models::event::{Event, EventType};
use domain::models::idempotency::IdempotencyRecord;
use domain::models::invitation::{Channel, Invitation, NewInvitation, Purpose};
use domain::models::job::{ItemOutcome, Job, JobItem, JobKind, NewJob, Selection};
use domain::models::key::{Key, Makers};
use domain::models::member::Member;
use domain::models::message::{DailyCount, DailyQuota, Recipient, RecipientHistory};
use domain::models::network::{Indicator, Network, NetworkStatus, Provisioning, VERIZON};
use domain::models::profile::Profile;
use domain::models::push::{Push, PushReason};
use domain::models::restriction::Restriction;
use domain::models::source::{DataSource, Settings as SourceSettings, SourceKind};
use domain::models::token::Token;
use domain::models::usage::{Counts, TOTAL_SHARDS, Usage, UsageKind, UsageReport, UsageScope};
use domain::models::user::{NewUser, User};
use domain::models::webhook::{
    Attempt, Delivery, EventSelection, Secrets as HookSecrets, Settings as HookSettings, Webhook,
};
use domain::models::workspace::{Settings, Workspace};
use domain::models::{device, restriction};
use domain::permission::{Permission, Role};
use domain::rules::access::{IssuerKey, IssuerKeys, KeyMaterial};
use domain::rules::change::MessageCount;
use domain::rules::check_in::CheckInReport;
use domain::rules::context::EventContext;
use domain::rules::deployments;
use domain::rules::devices;
use domain::rules::invitations::invite;
use domain::rules::jobs::begin;
use domain::rules::lifecycle;
use domain::rules::profiles::given;
use domain::rules::scim::document::{ScimAttributes, ScimUserRecord};
use domain::search::Query;
use domain::secret::{DeviceCredential, Hash, new_code};
use domain::states::CommandState;
use domain::states::Platform;
use domain::states::UserStatus;
use domain::{
    CommandId, CredentialId, DeviceId, EventId, InvitationId, JobId, KeyId, MemberId, ProfileId, SourceId, Time,
    TokenId, UserId, WebhookId, WorkspaceId,
};
use serde_json::json;
use uuid::Uuid;

use crate::rows;
use crate::wire::Store;

/// Runs the whole suite.
pub async fn run(store: &Store) {
    a_row_comes_back_as_it_was_put(store).await;
    a_change_is_guarded_by_the_version_it_was_read_at(store).await;
    what_changes_nothing_writes_nothing_and_a_touch_counts(store).await;
    an_edit_brings_back_what_follows_from_the_thing(store).await;
    what_another_release_keeps_in_a_row_stays(store).await;
    a_row_that_is_there_is_not_made_again(store).await;
    a_name_is_unique_as_it_is_compared_and_another_by_its_accents(store).await;
    claims_of_an_earlier_release_are_looked_under_and_give_way(store).await;
    companions_stand_and_fall_with_their_row(store).await;
    dynamodb_itself_refuses_a_fourth_device(store).await;
    the_same_commit_twice_is_one_change(store).await;
    a_commit_is_whole_or_not_at_all(store).await;
    a_code_is_kept_and_forgotten_with_its_invitation(store).await;
    a_text_is_found_by_its_identifier_while_its_invitation_is_there(store).await;
    pages_neither_repeat_nor_lose_while_rows_come_and_go(store).await;
    users_are_found_once_each_by_any_word(store).await;
    devices_are_found_once_each_by_their_own_words_and_their_users(store).await;
    device_filters_keep_what_they_say(store).await;
    events_come_by_day_device_user_and_type(store).await;
    a_quiet_month_does_not_end_the_list(store).await;
    a_position_of_another_list_is_refused(store).await;
    one_consumer_at_a_time_has_an_event_and_done_is_for_good(store).await;
    what_is_due_comes_in_order_and_a_broken_row_stops_nothing(store).await;
    a_call_is_remembered_once(store).await;
    keys_and_members_are_found_in_their_own_workspace_alone(store).await;
    a_persons_tokens_are_found_by_their_names_and_theirs_alone(store).await;
    workspaces_and_issuer_keys_are_read_as_kept(store).await;
    a_registration_knows_all_that_its_rule_needs(store).await;
    a_device_comes_with_what_belongs_to_it(store).await;
    an_endpoint_knows_its_holders_in_every_workspace(store).await;
    a_login_is_noted_only_for_the_device_itself_with_nothing_else_new(store).await;
    last_seen_moves_forward_only(store).await;
    a_device_that_was_read_is_noted_only_as_it_was_then(store).await;
    a_commit_rests_on_what_it_was_decided_by(store).await;
    each_phone_comes_with_its_open_commands(store).await;
    claims_come_by_the_devices_that_have_them(store).await;
    commands_and_invitations_come_newest_first_and_alone(store).await;
    messages_are_counted_for_their_recipient_and_in_a_part_of_the_day(store).await;
    usage_is_told_by_months_of_a_user_and_of_the_workspace(store).await;
    a_job_comes_with_its_outcomes_and_each_is_made_once(store).await;
    // profiles
    a_profile_is_kept_to_the_letter_and_known_by_its_name_and_its_users(store).await;
    a_profile_that_is_given_meanwhile_is_not_removed(store).await;
    events_come_by_their_identifiers(store).await;
    who_acts_has_a_name_in_their_own_workspace_alone(store).await;
    // sources
    a_data_set_comes_with_its_users_and_what_was_uploaded(store).await;
    what_a_data_set_calls_its_users_is_unique_in_it_alone(store).await;
    whom_a_data_set_knows_by_another_username_is_found_by_it_there_alone(store).await;
    what_a_sync_staged_is_read_and_removed_by_its_job(store).await;
    user_filters_keep_what_they_say(store).await;
    identity_providers_see_who_is_not_deleted(store).await;
    a_user_with_several_pending_phones_is_listed_once(store).await;
    a_deleted_user_is_found_and_their_name_is_free(store).await;
    each_kind_of_row_comes_when_it_is_due_and_not_before(store).await;
    // deployments
    a_deployment_is_found_by_its_identifier_alone_and_an_invitation_is_none(store).await;
    the_newest_deployments_of_many_users_come_at_once(store).await;
    a_users_secrets_are_set_one_by_one_and_forgotten_with_the_last(store).await;
    users_are_found_by_deployment_profile_and_what_their_phones_are_to_do(store).await;
    // webhooks
    a_workspaces_webhooks_come_at_once_and_each_with_its_own_deliveries(store).await;
    a_delivery_is_due_while_it_is_pending_and_a_webhook_while_an_earlier_secret_signs(store).await;
    what_signs_a_webhooks_calls_is_kept_replaced_and_forgotten(store).await;
}

fn webhook(place: &Place<'_>, number: u8) -> Webhook {
    let body = json!({"url": format!("https://hooks.example.com/{number}")});
    let mut fields = domain::input::Fields::of_json(body.as_object().cloned().unwrap_or_default());
    let settings = HookSettings::read(&mut fields, EventSelection::Known, EgressPolicy::Public);
    Webhook::create(WebhookId(new_id(place.now)), settings, &place.context()).0
}

async fn a_workspaces_webhooks_come_at_once_and_each_with_its_own_deliveries(store: &Store) {
    let mut place = Place::new(store);
    let mut hooks = Vec::new();
    for number in 0..3 {
        place.later(Duration::seconds(1));
        let hook = webhook(&place, number);
        place.put(&hook).await;
        hooks.insert(0, hook);
    }
    let other = Place::new(store);
    other.put(&webhook(&other, 9)).await;
    let mut deliveries = Vec::new();
    for _ in 0..5 {
        place.later(Duration::seconds(1));
        let event = place.context().event(EventType::UserCreated);
        let delivery = Delivery::due(&hooks[0], &event, place.now).taken_up(new_id(place.now), place.now);
        place.put(&delivery).await;
        place.put(&Delivery { webhook_id: hooks[1].webhook_id, ..delivery.clone() }).await;
        deliveries.insert(0, delivery);
    }
    let (place, id) = (&place, hooks[0].webhook_id);
    for limit in [1, 100] {
        let page = |start| async move { place.table.list_webhooks(place.workspace, limit, start).await };
        assert_eq!(walk(page, nothing).await, hooks);
        let page = |start| async move { place.table.list_deliveries(place.workspace, id, limit, start).await };
        assert_eq!(walk(page, nothing).await, deliveries);
    }
    assert_eq!(place.table.webhook(place.workspace, id).await.expect("it answers"), Some(hooks[0].clone()));
    assert_eq!(place.table.webhook(other.workspace, id).await.expect("it answers"), None);
    let event = deliveries[2].event_id;
    let found = place.table.delivery(place.workspace, id, event).await.expect("it answers");
    assert_eq!(found, Some(deliveries[2].clone()));
    assert_eq!(place.table.delivery(other.workspace, id, event).await.expect("it answers"), None);
    assert_eq!(place.table.delivery(place.workspace, hooks[2].webhook_id, event).await.expect("it answers"), None);
}

async fn a_delivery_is_due_while_it_is_pending_and_a_webhook_while_an_earlier_secret_signs(store: &Store) {
    let mut place = Place::new(store);
    let hook = webhook(&place, 1);
    let (rotated, _) = hook.rotated(&place.context());
    let event = place.context().event(EventType::UserCreated);
    let lease = new_id(place.now);
    let begun = Delivery::due(&hook, &event, place.now).taken_up(lease, place.now);
    place.put(&rotated).await;
    place.put(&begun).await;
    let due = async |place: &Place<'_>| {
        let mut due = (0, 0);
        for shard in 0..due::DUE_SHARDS {
            let page = place.table.due(&due::calls_shard(shard), place.now, None, 100).await.expect("it answers");
            for (_, row) in page.rows {
                match row.expect("it is whole") {
                    Some(DueRow::Delivery(found)) => due.0 += usize::from(found.event_id == event.event_id),
                    Some(DueRow::Webhook(found)) => due.1 += usize::from(found.webhook_id == hook.webhook_id),
                    _ => {}
                }
            }
        }
        due
    };
    assert_eq!(due(&place).await, (0, 0));
    place.later(domain::models::webhook::HOLD);
    assert_eq!(due(&place).await, (1, 0));
    place.later(domain::models::webhook::EARLIER_SIGNS);
    assert_eq!(due(&place).await, (1, 1));
    let taken = begun.after(lease, &Attempt::answered(place.now, 200, b"", 1)).expect("it is held");
    place.edit(&begun, &taken).await;
    place.edit(&rotated, &hook).await;
    assert_eq!(due(&place).await, (0, 0));
}

async fn what_signs_a_webhooks_calls_is_kept_replaced_and_forgotten(store: &Store) {
    let place = Place::new(store);
    let id = WebhookId(new_id(place.now));
    let kept = async || place.table.webhook_secrets(id).await.expect("it answers");
    assert_eq!(kept().await, None);
    let first = HookSecrets::of("whsec_first".to_owned());
    let second = first.rotated("whsec_second".to_owned(), place.now);
    for secrets in [&first, &second] {
        let commit = Commit::without_event(place.id()).keep_webhook_secrets(id, secrets);
        place.table.commit(commit).await.expect("it is kept");
        assert_eq!(kept().await.as_ref(), Some(secrets));
    }
    let other = place.table.webhook_secrets(WebhookId(new_id(place.now))).await.expect("it answers");
    assert_eq!(other, None);
    let commit = Commit::without_event(place.id()).forget_webhook_secrets(id);
    place.table.commit(commit).await.expect("it is forgotten");
    assert_eq!(kept().await, None);
}

/// A case's own workspace, where time stands until it is moved and identifiers never repeat.
struct Place<'a> {
    store: &'a Store,
    table: &'a Table,
    workspace: WorkspaceId,
    now: Time,
}

/// Counts, so that no two identifiers are the same.
static DRAWN: AtomicU64 = AtomicU64::new(1);

fn new_id(now: Time) -> Uuid {
    let mut bytes = [0; 10];
    bytes[2..].copy_from_slice(&DRAWN.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    timed_uuid(now, bytes)
}

fn letters(bytes: &mut [u8]) {
    let drawn = Hash::of(DRAWN.fetch_add(1, Ordering::Relaxed).to_string());
    for (byte, letter) in bytes.iter_mut().zip(drawn.as_str().bytes().cycle()) {
        *byte = letter;
    }
}

impl<'a> Place<'a> {
    fn new(store: &'a Store) -> Self {
        let now = Time::from(store.bench.now());
        Self { store, table: &store.table, workspace: WorkspaceId(new_id(now)), now }
    }

    fn context(&self) -> EventContext {
        EventContext {
            event_id: EventId(new_id(self.now)),
            workspace_id: self.workspace,
            at: self.now,
            actor: Actor::System,
            token_id: None,
            operation: "contract",
            request_id: String::new(),
            address: None,
            job_id: None,
        }
    }

    fn id(&self) -> EventId {
        EventId(new_id(self.now))
    }

    fn later(&mut self, by: Duration) {
        self.now = self.now.plus(by);
    }

    fn new_user(&self, username: &str) -> User {
        let new = NewUser {
            username: username.to_owned(),
            first_name: Some("Ada".to_owned()),
            last_name: None,
            email: Some(format!("{username}@example.com")),
            mobile: None,
            number: None,
            service_level: None,
            ..NewUser::default()
        };
        User::create(new, UserId(new_id(self.now)), &self.context()).0
    }

    async fn user(&self, username: &str) -> User {
        let user = self.new_user(username);
        self.put(&user).await;
        user
    }

    fn new_device(&self, user: UserId, identifier: &str) -> Device {
        Device {
            workspace_id: self.workspace,
            device_id: DeviceId(new_id(self.now)),
            user_id: user,
            device_identifier: identifier.to_owned(),
            platform: Platform::Ios,
            model_name: "Phone".to_owned(),
            os_version: "1".to_owned(),
            app_version: None,
            nickname: None,
            created_at: self.now,
            epoch: 1,
            credential_hash: Hash::of(identifier),
            enrolment: None,
            replaced: false,
            user_status: UserStatus::Active,
            commands: Vec::new(),
            failed: None,
            unconfirmed: None,
            erased: None,
            pin_failures: 0,
            usage_sequence: None,
            config: Some("version1".to_owned()),
            served: None,
            last_login_at: None,
            blocked: None,
            deleted: None,
            push: Push::of_token(false, self.now),
            push_endpoint: None,
            push_token_hash: None,
            version: 1,
            stored: domain::stored::Stored::default(),
        }
    }

    /// A device of a user, and the user with it.
    async fn device(&self, user: &mut User, identifier: &str) -> Device {
        let device = self.new_device(user.user_id, identifier);
        let mut after = user.clone();
        after.device_ids.insert(device.device_id);
        let commit = Commit::of(&self.context().event(EventType::DeviceRegistered)).put(&device).edit(user, &after);
        self.table.commit(commit).await.expect("a device is made");
        after.version += 1;
        *user = after;
        device
    }

    async fn put<R: Row>(&self, row: &R) {
        self.table.commit(Commit::without_event(self.id()).put(row)).await.expect("the row is new");
    }

    async fn edit<R: Row>(&self, before: &R, after: &R) {
        self.table.commit(Commit::without_event(self.id()).edit(before, after)).await.expect("nobody came first");
    }

    async fn remove<R: Row>(&self, row: &R) {
        self.table.commit(Commit::without_event(self.id()).delete(row)).await.expect("nobody came first");
    }

    /// How many rows are in this workspace, events too.
    fn rows(&self) -> usize {
        let workspace = self.workspace.to_string();
        rows::all(&self.store.bench, rows::MAIN).iter().filter(|(key, _)| key.contains(&workspace)).count()
    }

    async fn read(&self, user: &User) -> User {
        self.table.user(self.workspace, user.user_id).await.expect("DynamoDB answers").expect("the user is there")
    }
}

fn lost<T: std::fmt::Debug>(result: Result<T, Error>, why: &str) {
    assert!(matches!(&result, Err(Error::Conflict)), "{why}: {result:?}");
    drop(result);
}

/// Every item of a list, by pages of a size; `between` is done after each page.
async fn walk<T, P, B>(mut page: impl FnMut(Option<Position>) -> P, mut between: impl FnMut() -> B) -> Vec<T>
where
    P: Future<Output = Result<Page<T>, Error>>,
    B: Future<Output = ()>,
{
    let mut items = Vec::new();
    let mut start = None;
    for _ in 0..1_000 {
        let found = page(start).await.expect("DynamoDB answers");
        items.extend(found.items);
        let Some(next) = found.next else {
            return items;
        };
        // What a cursor holds is the position in bytes.
        start = Some(Position::from_bytes(&next.to_bytes()).expect("a position survives its cursor"));
        between().await;
    }
    panic!("the list does not end");
}

async fn nothing() {}

async fn a_row_comes_back_as_it_was_put(store: &Store) {
    let place = Place::new(store);
    let mut user = place.user("ada").await;
    assert_eq!(place.read(&user).await, user);
    let device = place.device(&mut user, "phone").await;
    assert_eq!(place.read(&user).await, user, "sets are read as they were written");
    assert_eq!(store.table.device(place.workspace, device.device_id).await.expect("it answers"), Some(device));
    let other = WorkspaceId(new_id(place.now));
    assert_eq!(store.table.user(other, user.user_id).await.expect("it answers"), None);
}

async fn a_change_is_guarded_by_the_version_it_was_read_at(store: &Store) {
    let place = Place::new(store);
    let before = place.user("ada").await;
    let first = User { first_name: Some("Adele".to_owned()), ..before.clone() };
    place.edit(&before, &first).await;
    let second = User { first_name: None, number: Some("7".to_owned()), ..before.clone() };
    let late = Commit::without_event(place.id()).edit(&before, &second);
    lost(store.table.commit(late).await, "the row has changed since");
    let now = place.read(&before).await;
    assert_eq!(now, User { version: before.version + 1, ..first });
    place.edit(&now, &User { first_name: None, number: Some("7".to_owned()), ..now.clone() }).await;
    let now = place.read(&before).await;
    assert_eq!((now.first_name, now.number.as_deref(), now.version), (None, Some("7"), 3));
    lost(store.table.commit(Commit::without_event(place.id()).delete(&before)).await, "a delete is guarded as well");
    let gone = place.new_user("nobody");
    let edited = User { number: Some("7".to_owned()), ..gone.clone() };
    lost(
        store.table.commit(Commit::without_event(place.id()).edit(&gone, &edited)).await,
        "what is not there cannot change",
    );
}

async fn what_changes_nothing_writes_nothing_and_a_touch_counts(store: &Store) {
    let place = Place::new(store);
    let user = place.user("ada").await;
    assert!(Commit::without_event(place.id()).edit(&user, &user).is_empty());
    store.table.commit(Commit::without_event(place.id()).bump_version(&user, &user)).await.expect("nobody came first");
    assert_eq!(place.read(&user).await, User { version: user.version + 1, ..user });
}

/// The row of a thing as it is stored.
fn row_of<R: Row>(store: &Store, thing: &R) -> serde_json::Value {
    rows::all(&store.bench, rows::MAIN).remove(&thing.key().to_string()).expect("the row is there")
}

/// Puts a row of a user in place of what stands there.
fn put_user(store: &Store, row: &serde_json::Value) {
    rows::put(&store.bench, rows::MAIN, row, &["device_ids"]);
}

/// As rows are that were stored before an index was there, or that a release has changed that does not know it.
async fn an_edit_brings_back_what_follows_from_the_thing(store: &Store) {
    let place = Place::new(store);
    let user = place.user("ada").await;
    let mut stripped = row_of(store, &user);
    let whole = stripped.clone();
    let _list = stripped.as_object_mut().and_then(|row| row.remove("list")).expect("it is listed");
    stripped["not_deployed"] = "2001-01-01".into();
    stripped["deployed"] = "2001-01-01".into();
    put_user(store, &stripped);
    let read = place.read(&user).await;
    assert!(Commit::without_event(place.id()).edit(&read, &read).is_empty(), "nothing of it was changed");
    place.edit(&read, &User { number: Some("7".to_owned()), ..read.clone() }).await;
    let now = row_of(store, &user);
    for name in ["list", "not_deployed", "deployed"] {
        assert_eq!(now[name], whole[name], "{name}");
    }
    put_user(store, &stripped);
    let read = place.read(&user).await;
    store.table.commit(Commit::without_event(place.id()).bump_version(&read, &read)).await.expect("nobody came first");
    let now = row_of(store, &user);
    assert_eq!((&now["list"], &now["deployed"], &now["version"]), (&whole["list"], &whole["deployed"], &json!(2)));
}

async fn what_another_release_keeps_in_a_row_stays(store: &Store) {
    let place = Place::new(store);
    let mut user = place.new_user("ada");
    user.suspended = Some(Restriction { at: place.now, by: Actor::System, reason: Some("away".to_owned()) });
    user.client.profile_id = Some(ProfileId(new_id(place.now)));
    let network = Network {
        status: NetworkStatus::Enabled,
        status_at: place.now,
        reason: None,
        mdn_provisioning: None,
        last_seen_at: None,
        last_archived_at: None,
    };
    user.networks = BTreeMap::from([(VERIZON.to_owned(), network)]);
    place.put(&user).await;
    let mut row = row_of(store, &user);
    row["tomorrow"] = json!({"is": [1, {"deep": true}]});
    row["suspended"]["tomorrow"] = "held".into();
    row["suspended"]["by"]["tomorrow"] = "whom".into();
    row["client"]["tomorrow"] = json!(["client"]);
    row["networks"][VERIZON]["tomorrow"] = "network".into();
    put_user(store, &row);
    // Each of what stands beside something unknown is changed.
    let read = place.read(&user).await;
    assert_eq!(read, user);
    let mut after = read.clone();
    after.number = Some("7".to_owned());
    after.suspended = after.suspended.map(|hold| Restriction { reason: None, ..hold });
    after.client.profile_id = None;
    after.networks.values_mut().for_each(|network| network.status = NetworkStatus::Disabled);
    place.edit(&read, &after).await;
    let now = row_of(store, &user);
    assert_eq!(now["tomorrow"], row["tomorrow"]);
    assert_eq!(now["suspended"]["tomorrow"], "held");
    assert_eq!(now["suspended"]["by"]["tomorrow"], "whom");
    assert_eq!(now["suspended"]["reason"], serde_json::Value::Null);
    assert_eq!(now["client"], json!({"tomorrow": ["client"]}), "the part is emptied of what is known");
    assert_eq!(
        (&now["networks"][VERIZON]["tomorrow"], &now["networks"][VERIZON]["status"]),
        (&json!("network"), &json!("disabled"))
    );
    // What is taken away goes whole, also by whoever read the row before the last change of their own.
    let stale = User { version: read.version + 1, ..after };
    place.edit(&stale, &User { suspended: None, number: None, ..stale.clone() }).await;
    let now = row_of(store, &user);
    assert_eq!((now.get("suspended"), now.get("number")), (None, None));
    assert_eq!((&now["tomorrow"], &now["networks"][VERIZON]["status"]), (&row["tomorrow"], &json!("disabled")));
    let read = place.read(&user).await;
    place.edit(&read, &User { networks: BTreeMap::new(), ..read.clone() }).await;
    assert_eq!(row_of(store, &user).get("networks"), None, "a network that is gone is gone");
}

async fn a_row_that_is_there_is_not_made_again(store: &Store) {
    let place = Place::new(store);
    let device = place.new_device(UserId(new_id(place.now)), "phone");
    place.put(&device).await;
    let again = Device { model_name: "Another".to_owned(), ..device.clone() };
    lost(store.table.commit(Commit::without_event(place.id()).put(&again)).await, "the row is there");
    assert_eq!(store.table.device(place.workspace, device.device_id).await.expect("it answers"), Some(device));
}

/// True if a user of the place is called so.
async fn is_taken(place: &Place<'_>, username: &str) -> bool {
    place.table.username_claims(place.workspace, username).await.expect("it answers").are_taken_from(None)
}

/// A user made as the operations make one.
async fn named(place: &Place<'_>, username: &str) -> Result<User, Error> {
    let user = place.new_user(username);
    let claims = place.table.username_claims(place.workspace, username).await.expect("it answers");
    let commit = Commit::of(&place.context().event(EventType::UserCreated)).put(&user).claim(&claims, user.user_id);
    place.table.commit(commit).await.map(|_| user)
}

async fn a_name_is_unique_as_it_is_compared_and_another_by_its_accents(store: &Store) {
    let place = Place::new(store);
    let user = place.user("Jos\u{e9}.Pe\u{f1}a").await;
    for taken in ["Jos\u{e9}.Pe\u{f1}a", "JOSE\u{301}.PEN\u{303}A", "\u{ff2a}os\u{e9}.pe\u{f1}a"] {
        assert!(is_taken(&place, taken).await, "{taken}");
        let rows = place.rows();
        let second = place.new_user(taken);
        let commit = Commit::of(&place.context().event(EventType::UserCreated)).put(&second);
        lost(store.table.commit(commit).await, "the name is taken, whatever the code that came here believes");
        assert_eq!(place.rows(), rows, "nothing of the second is left");
    }
    assert!(!is_taken(&place, "jose.pena").await, "another person");
    let second = named(&place, "jose.pena").await.expect("nobody is called so");
    let called = async |name: &str| {
        let claims = place.table.username_claims(place.workspace, name).await.expect("it answers");
        claims.user().map(|user| user.user_id)
    };
    assert_eq!(called("JOS\u{c9}.PE\u{d1}A").await, Some(user.user_id));
    assert_eq!(called("JOSE.PENA").await, Some(second.user_id));
    let renamed = User { username: "eve".to_owned(), ..user.clone() };
    place.edit(&user, &renamed).await;
    assert!(!is_taken(&place, "jos\u{e9}.pe\u{f1}a").await, "a name that was given up is free");
    let _third = named(&place, "jos\u{e9}.pe\u{f1}a").await.expect("it is free");
    let other = Place::new(store);
    let _same_name_elsewhere = other.user("jose.pena").await;
}

/// A user whose claim stands where an earlier release has put it.
async fn of_an_earlier_release(place: &Place<'_>, username: &str, former: &str) -> User {
    let user = place.user(username).await;
    let bench = &place.store.bench;
    let key = users::username_key(place.workspace, username);
    let claim = json!({"pk": format!("USERNAME#{}#{former}", place.workspace), "sk": "CLAIM", "user_id": user.user_id});
    rows::remove(bench, rows::MAIN, &json!({"pk": key.pk, "sk": key.sk}));
    rows::put(bench, rows::MAIN, &claim, &[]);
    user
}

async fn claims_of_an_earlier_release_are_looked_under_and_give_way(store: &Store) {
    let place = Place::new(store);
    let jose = of_an_earlier_release(&place, "Jos\u{e9}", "jose").await;
    assert!(is_taken(&place, "JOS\u{c9}").await && !is_taken(&place, "jose").await);
    let ids = store.table.ids_of_username(place.workspace, "jos\u{e9}").await.expect("it is read");
    assert_eq!(ids, [jose.user_id].into());
    // Whoever writes without a look is refused by the table.
    let again = place.new_user("JOSE\u{301}");
    let unseen = Commit::of(&place.context().event(EventType::UserCreated)).put(&again);
    lost(store.table.commit(unseen).await, "one who is called so holds the former claim");
    // Another name of the same letters is free, under the same former key and under that very key.
    let other = named(&place, "jos\u{ea}").await.expect("nobody is called so");
    let claims = store.table.username_claims(place.workspace, "jose").await.expect("it answers");
    let plain = place.new_user("jose");
    let late = || Commit::of(&place.context().event(EventType::UserCreated)).put(&plain).claim(&claims, plain.user_id);
    place.edit(&jose, &User { number: Some("7".to_owned()), ..jose.clone() }).await;
    lost(store.table.commit(late()).await, "who held the claim may be called otherwise by now");
    let plain = named(&place, "jose").await.expect("nobody is called so");
    let holder = |username: &str| {
        let key = users::username_key(place.workspace, username).to_string();
        rows::all(&store.bench, rows::MAIN).get(&key).map(|row| row["user_id"].clone())
    };
    let holders = [holder("jose"), holder("jos\u{e9}"), holder("jos\u{ea}")];
    assert_eq!(holders, [plain.user_id, jose.user_id, other.user_id].map(|id| Some(json!(id))), "it was moved");
    for (name, user) in [("jose", &plain), ("jos\u{e9}", &jose), ("jos\u{ea}", &other)] {
        let claims = store.table.username_claims(place.workspace, name).await.expect("it answers");
        assert_eq!(claims.user().map(|user| user.user_id), Some(user.user_id), "{name}");
        lost(named(&place, name).await.map(drop), "each is taken");
    }
    // Renamed to the name under whose key their claim stands; renamed away; deleted; and gone.
    let zoe = of_an_earlier_release(&place, "Zo\u{eb}", "zoe").await;
    let renamed = User { username: "zoe".to_owned(), ..zoe.clone() };
    let claims = store.table.username_claims(place.workspace, "zoe").await.expect("it answers");
    let commit = Commit::without_event(place.id()).edit(&zoe, &renamed).claim(&claims, zoe.user_id);
    store.table.commit(commit).await.expect("the claim is their own");
    assert_eq!((holder("zoe"), is_taken(&place, "zo\u{eb}").await), (Some(json!(zoe.user_id)), false));
    let eva = of_an_earlier_release(&place, "Ev\u{e1}", "eva").await;
    let claims = store.table.username_claims(place.workspace, "Ev\u{e0}").await.expect("it answers");
    let renamed = User { username: "Ev\u{e0}".to_owned(), ..eva.clone() };
    let commit = Commit::without_event(place.id()).edit(&eva, &renamed).claim(&claims, eva.user_id);
    store.table.commit(commit).await.expect("the former claim is their own");
    assert_eq!((holder("eva"), holder("Ev\u{e0}")), (None, Some(json!(eva.user_id))));
    let bjorn = of_an_earlier_release(&place, "Bj\u{f6}rn", "bjorn").await;
    let claims = store.table.username_claims(place.workspace, "Bj\u{f6}rn").await.expect("it answers");
    let commit = Commit::without_event(place.id()).reclaim(&claims, &bjorn);
    store.table.commit(commit).await.expect("nobody came first");
    assert_eq!((holder("bjorn"), holder("bj\u{f6}rn")), (None, Some(json!(bjorn.user_id))), "it is where it belongs");
    let claims = store.table.username_claims(place.workspace, "Bj\u{f6}rn").await.expect("it answers");
    assert!(Commit::without_event(place.id()).reclaim(&claims, &bjorn).is_empty());
    let joao = of_an_earlier_release(&place, "Jo\u{e3}o", "joao").await;
    let claims = store.table.username_claims(place.workspace, "Jo\u{e3}o").await.expect("it answers");
    let late = Commit::without_event(place.id()).reclaim(&claims, &joao);
    let former = users::former_username_key(place.workspace, "Jo\u{e3}o").expect("it has one");
    let taken = json!({"pk": former.pk, "sk": former.sk, "user_id": bjorn.user_id});
    rows::put(&store.bench, rows::MAIN, &taken, &[]);
    lost(store.table.commit(late).await, "another holds the former claim by now");
    assert_eq!(holder("joao"), Some(json!(bjorn.user_id)), "and keeps it");
    let rene_before = of_an_earlier_release(&place, "Ren\u{e9}", "rene").await;
    let end = restriction::Deleted { at: place.now, by: Actor::System, purge_after: place.now.plus(Duration::days(1)) };
    place.edit(&rene_before, &User { deleted: Some(end), ..rene_before.clone() }).await;
    assert!(
        !is_taken(&place, "ren\u{e9}").await && !is_taken(&place, "rene").await,
        "what is left behind holds nothing"
    );
    let _next = named(&place, "rene").await.expect("it is free");
    let _next = named(&place, "ren\u{e9}").await.expect("it is free");
}

async fn companions_stand_and_fall_with_their_row(store: &Store) {
    let place = Place::new(store);
    let before = place.rows();
    let user = place.user("ada").await;
    assert_eq!(place.rows() - before, 1 + user.index_rows().len());
    let renamed = User { username: "eve".to_owned(), email: None, ..user.clone() };
    place.edit(&user, &renamed).await;
    assert_eq!(place.rows() - before, 1 + renamed.index_rows().len());
    place.remove(&User { version: 2, ..renamed }).await;
    assert_eq!(place.rows(), before);
}

/// The rule would have refused: here nobody asks it, and the row is known as it is.
async fn dynamodb_itself_refuses_a_fourth_device(store: &Store) {
    let place = Place::new(store);
    let mut user = place.user("ada").await;
    let with = |count: usize| {
        let mut after = user.clone();
        after.device_ids.extend((0..count).map(|_| DeviceId(new_id(place.now))));
        (user.clone(), after)
    };
    let (before, four_at_once) = with(DEVICE_LIMIT + 1);
    let commit = Commit::of(&place.context().event(EventType::DeviceRegistered)).edit(&before, &four_at_once);
    assert!(store.table.commit(commit).await.is_err(), "four at once");
    for identifier in ["one", "two"] {
        let _device = place.device(&mut user, identifier).await;
    }
    let mut two_more = user.clone();
    two_more.device_ids.extend([DeviceId(new_id(place.now)), DeviceId(new_id(place.now))]);
    let commit = Commit::of(&place.context().event(EventType::DeviceRegistered)).edit(&user, &two_more);
    lost(store.table.commit(commit).await, "two beside two");
    let third = place.device(&mut user, "three").await;
    let rows = place.rows();
    let fourth = place.new_device(user.user_id, "four");
    let mut past_the_rule = user.clone();
    past_the_rule.device_ids.insert(fourth.device_id);
    let event = place.context().event(EventType::DeviceRegistered);
    let commit = Commit::of(&event).put(&fourth).edit(&user, &past_the_rule);
    lost(store.table.commit(commit).await, "a fourth device");
    assert_eq!(place.read(&user).await, user, "the row was known as it is, and did not change");
    assert_eq!(place.rows(), rows, "neither the device nor the event was made");
    let mut freed = user.clone();
    freed.device_ids.remove(&third.device_id);
    place.edit(&user, &freed).await;
    freed.version += 1;
    let mut user = freed;
    let _fits = place.device(&mut user, "four").await;
    assert_eq!(place.read(&user).await.device_ids.len(), DEVICE_LIMIT);
}

async fn the_same_commit_twice_is_one_change(store: &Store) {
    let place = Place::new(store);
    let user = place.user("ada").await;
    let changed = User { number: Some("7".to_owned()), ..user.clone() };
    let event = place.context().event(EventType::UserCreated);
    let commit = || Commit::of(&event).edit(&user, &changed);
    store.table.commit(commit()).await.expect("nobody came first");
    store.table.commit(commit()).await.expect("DynamoDB knows the request");
    store.forgetful.commit(commit()).await.expect("the event's own row says that it was done");
    assert_eq!(place.read(&user).await.version, user.version + 1);
    let without_event = place.id();
    let now = place.read(&user).await;
    let commit = || Commit::without_event(without_event).edit(&now, &user);
    store.table.commit(commit()).await.expect("nobody came first");
    store.table.commit(commit()).await.expect("DynamoDB knows the request");
    lost(store.forgetful.commit(commit()).await, "without an event nothing tells a repeat from a race");
}

async fn a_commit_is_whole_or_not_at_all(store: &Store) {
    let place = Place::new(store);
    let user = place.user("ada").await;
    let stale = User { version: 9, ..user.clone() };
    let changed = User { number: Some("7".to_owned()), ..stale.clone() };
    let rows = place.rows();
    let other = place.new_user("bob");
    let commit = Commit::of(&place.context().event(EventType::UserCreated)).put(&other).edit(&stale, &changed);
    lost(store.table.commit(commit).await, "one part is refused");
    assert_eq!(place.rows(), rows);
}

fn invited(place: &Place<'_>, user: &User, devices: u32, life: Duration) -> (Invitation, String) {
    let code = new_code(letters);
    let new = NewInvitation {
        purpose: Purpose::Invite,
        invitation_id: InvitationId(new_id(place.now)),
        code_hash: Hash::of(&code),
        channel: Channel::Email,
        devices,
        life,
    };
    let invited = invite(user, None, new, &place.context()).expect("the user has an address");
    (invited.invitation, code)
}

async fn a_code_is_kept_and_forgotten_with_its_invitation(store: &Store) {
    let place = Place::new(store);
    let user = place.user("ada").await;
    let (invitation, code) = invited(&place, &user, 1, Duration::days(7));
    let id = invitation.invitation_id;
    let stale = User { version: 9, ..user.clone() };
    let changed = User { number: Some("7".to_owned()), ..stale.clone() };
    let refused =
        Commit::without_event(place.id()).put(&invitation).keep_code(&invitation, &code).edit(&stale, &changed);
    lost(store.table.commit(refused).await, "one part is refused");
    assert_eq!(store.table.invitation_code(id).await.expect("it answers"), None);
    let commit = Commit::without_event(place.id()).put(&invitation).keep_code(&invitation, &code);
    store.table.commit(commit).await.expect("nobody came first");
    assert_eq!(store.table.invitation_code(id).await.expect("it answers"), Some(code.clone()));
    let read = store.table.invitation(place.workspace, user.user_id, id).await.expect("it answers");
    assert_eq!(read.as_ref(), Some(&invitation));
    let owner = CodeOwner { workspace_id: place.workspace, user_id: user.user_id, invitation_id: id };
    assert_eq!(store.table.code_owner(&Hash::of(&code)).await.expect("it answers"), Some(owner));
    let stored = rows::everything(&store.bench);
    let leaks = stored.iter().filter(|((table, _), row)| *table == rows::MAIN && row.to_string().contains(&code));
    assert_eq!(leaks.count(), 0, "the code itself stands in the secrets' table alone");
    store
        .table
        .commit(Commit::without_event(place.id()).bump_version(&invitation, &invitation).forget_code(&invitation))
        .await
        .expect("nobody came first");
    assert_eq!(store.table.invitation_code(id).await.expect("it answers"), Some(code), "a code that is wanted stays");
    let before = Invitation { version: 2, ..invitation };
    let over = Invitation { expired_at: Some(place.now), ..before.clone() };
    let commit = Commit::without_event(place.id()).edit(&before, &over).forget_code(&over);
    store.table.commit(commit).await.expect("nobody came first");
    assert_eq!(store.table.invitation_code(id).await.expect("it answers"), None);
}

async fn a_text_is_found_by_its_identifier_while_its_invitation_is_there(store: &Store) {
    let place = Place::new(store);
    let user = place.user("ada").await;
    let (invitation, _code) = invited(&place, &user, 1, Duration::days(7));
    let sent = |channel| {
        let mut sent = Invitation { channel, ..invitation.clone() };
        sent.delivery.message_id = Some(place.id().to_string());
        sent
    };
    let owner = async |sent: &Invitation| {
        let id = sent.delivery.message_id.as_deref().unwrap_or_default();
        store.table.message_owner(id).await.expect("it answers")
    };
    let (queued, mail, text) =
        (Invitation { channel: Channel::Sms, ..invitation.clone() }, sent(Channel::Email), sent(Channel::Sms));
    place.put(&queued).await;
    assert_eq!(owner(&text).await, None, "nothing was sent");
    place.edit(&queued, &text).await;
    let id = invitation.invitation_id;
    let expected = CodeOwner { workspace_id: place.workspace, user_id: user.user_id, invitation_id: id };
    assert_eq!(owner(&text).await, Some(expected));
    place.remove(&Invitation { version: 2, ..text.clone() }).await;
    assert_eq!(owner(&text).await, None, "it falls with its invitation");
    place.put(&mail).await;
    assert_eq!(owner(&mail).await, None, "an e-mail's reports name the invitation themselves");
}

async fn pages_neither_repeat_nor_lose_while_rows_come_and_go(store: &Store) {
    for limit in [1, 2, 7, 100] {
        let mut place = Place::new(store);
        let mut made = Vec::new();
        for at in 0..23 {
            made.push(place.user(&format!("user-{at:02}")).await);
            // Several of one moment: the page's end may fall between them.
            if at % 3 == 0 {
                place.later(Duration::seconds(1));
            }
        }
        let filter = UserFilter::default();
        let place = &place;
        let filter = &filter;
        let page =
            |start| async move { place.table.list_users(place.workspace, filter, limit, start, place.now).await };
        let all = walk(page, nothing).await;
        let ids: Vec<UserId> = all.iter().map(|person| person.user.user_id).collect();
        let newest_first = all.windows(2).all(|pair| pair[0].user.created_at >= pair[1].user.created_at);
        assert!(newest_first && ids.iter().collect::<BTreeSet<_>>().len() == 23 && ids.len() == 23, "pages of {limit}");
        let mut removals = made.iter().step_by(4);
        let removed: BTreeSet<UserId> = made.iter().step_by(4).map(|user| user.user_id).collect();
        let seen = walk(page, || {
            let newer = place.new_user(&format!("newer-{}", place.id()));
            let gone = removals.next();
            async move {
                place.put(&newer).await;
                if let Some(gone) = gone {
                    place.remove(gone).await;
                }
            }
        })
        .await;
        let seen: Vec<UserId> = seen.iter().map(|person| person.user.user_id).collect();
        let once: BTreeSet<&UserId> = seen.iter().collect();
        assert_eq!(once.len(), seen.len(), "pages of {limit}: an item came twice");
        for user in made.iter().filter(|user| !removed.contains(&user.user_id)) {
            assert!(once.contains(&user.user_id), "pages of {limit}: {} was lost", user.username);
        }
    }
}

fn typed(text: &str) -> Query {
    Query::parse(text).expect("it holds letters")
}

async fn users_are_found_once_each_by_any_word(store: &Store) {
    let place = Place::new(store);
    let mut ids = BTreeSet::new();
    for name in ["anna", "Anna-Lena", "annabel", "hanna"] {
        ids.insert(place.user(name).await.user_id);
    }
    let place = &place;
    for limit in [1, 2, 100] {
        for (text, expected) in [("ann", 3), ("anna", 3), ("hanna", 1), ("lena ANNA", 1), ("example", 4), ("bob", 0)] {
            let filter = UserFilter { search: Some(typed(text)), ..UserFilter::default() };
            let filter = &filter;
            let page =
                |start| async move { place.table.list_users(place.workspace, filter, limit, start, place.now).await };
            let found = walk(page, nothing).await;
            let once: BTreeSet<UserId> = found.iter().map(|person| person.user.user_id).collect();
            assert_eq!((found.len(), once.len()), (expected, expected), "{text}, pages of {limit}");
        }
    }
    let inactive =
        UserFilter { status: Some(UserStatus::Inactive), search: Some(typed("ann")), ..UserFilter::default() };
    let found = place.table.list_users(place.workspace, &inactive, 100, None, place.now).await.expect("it answers");
    assert_eq!(found.items.len(), 3);
    let suspended =
        UserFilter { status: Some(UserStatus::Suspended), search: Some(typed("ann")), ..UserFilter::default() };
    let found = place.table.list_users(place.workspace, &suspended, 100, None, place.now).await.expect("it answers");
    assert_eq!(found.items.len(), 0);
}

async fn devices_are_found_once_each_by_their_own_words_and_their_users(store: &Store) {
    let place = Place::new(store);
    let mut anna = place.user("anna").await;
    let mut bob = place.user("bob").await;
    // Found by its own word, by its user's, and by both.
    let devices = [
        place.device(&mut bob, "anna-s-old").await,
        place.device(&mut anna, "red").await,
        place.device(&mut anna, "anna-red").await,
    ];
    let _other = place.device(&mut bob, "blue").await;
    let place = &place;
    for limit in [1, 2, 100] {
        for (text, expected) in [("anna", 3), ("red", 2), ("anna red", 2), ("bob", 2), ("phone", 4), ("none", 0)] {
            let filter = DeviceFilter { search: Some(typed(text)), ..DeviceFilter::default() };
            let filter = &filter;
            let page =
                |start| async move { place.table.list_devices(place.workspace, filter, limit, start, place.now).await };
            let found = walk(page, nothing).await;
            let once: BTreeSet<DeviceId> = found.iter().map(|device| device.device_id).collect();
            assert_eq!((found.len(), once.len()), (expected, expected), "{text}, pages of {limit}");
        }
    }
    // What comes and goes between the pages neither repeats the others nor hides them.
    let filter = DeviceFilter { search: Some(typed("anna")), ..DeviceFilter::default() };
    let filter = &filter;
    let page = |start| async move { place.table.list_devices(place.workspace, filter, 1, start, place.now).await };
    let mut goes = Some(&devices[0]);
    let found = walk(page, || {
        let comes = place.new_device(UserId(new_id(place.now)), &format!("anna-{}", place.id()));
        let goes = goes.take();
        async move {
            if let Some(goes) = goes {
                place.put(&comes).await;
                place.remove(goes).await;
            }
        }
    })
    .await;
    let ids: Vec<DeviceId> = found.iter().map(|device| device.device_id).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "an item came twice");
    for device in &devices[1..] {
        assert!(ids.contains(&device.device_id), "{} was lost", device.device_identifier);
    }
}

async fn device_filters_keep_what_they_say(store: &Store) {
    let mut place = Place::new(store);
    let mut user = place.user("ada").await;
    let plain = place.device(&mut user, "plain").await;
    let blocked = place.device(&mut user, "blocked").await;
    let block = Restriction { at: place.now, by: Actor::System, reason: None };
    place.edit(&blocked, &Device { blocked: Some(block), last_login_at: Some(place.now), ..blocked.clone() }).await;
    let gone = place.device(&mut user, "gone").await;
    let claim = claim(&place, &gone);
    let deleted =
        devices::delete(&gone, &user, &claim, None, Duration::days(30), &place.context()).expect("it is there");
    place.edit(&gone, &deleted.device).await;
    place.later(Duration::days(40));
    let (place, user) = (&place, &user);
    let find = |filter: DeviceFilter| async move {
        let page = place.table.list_devices(place.workspace, &filter, 100, None, place.now).await.expect("it answers");
        page.items.into_iter().map(|device| device.device_identifier).collect::<BTreeSet<_>>()
    };
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<String>>();
    let none = DeviceFilter::default;
    use domain::models::device::{DeviceStatus, Status};
    let table: Vec<(DeviceFilter, &[&str])> = vec![
        (none(), &["plain", "blocked", "gone"]),
        (DeviceFilter { user_id: Some(user.user_id), ..none() }, &["plain", "blocked", "gone"]),
        (DeviceFilter { user_id: Some(UserId(new_id(place.now))), ..none() }, &[]),
        (DeviceFilter { status: Some(Status::Active), ..none() }, &["plain", "blocked"]),
        (DeviceFilter { status: Some(Status::Deleted), ..none() }, &["gone"]),
        (DeviceFilter { blocked: Some(true), ..none() }, &["blocked"]),
        (DeviceFilter { blocked: Some(false), ..none() }, &["plain", "gone"]),
        (DeviceFilter { device_status: Some(DeviceStatus::NeverSeen), ..none() }, &["plain"]),
        (DeviceFilter { device_status: Some(DeviceStatus::Blocked), ..none() }, &["blocked"]),
        (DeviceFilter { device_status: Some(DeviceStatus::Deleted), ..none() }, &["gone"]),
        (DeviceFilter { platform: Some(Platform::Android), ..none() }, &[]),
        (DeviceFilter { push_in_use: Some(false), ..none() }, &["plain", "blocked", "gone"]),
        (DeviceFilter { pending_command: Some(true), ..none() }, &[]),
        (DeviceFilter { last_login_before: Some(place.now), ..none() }, &["blocked"]),
        (DeviceFilter { last_login_before: Some(plain.created_at), ..none() }, &[]),
    ];
    for (filter, expected) in table {
        let what = format!("{filter:?}");
        assert_eq!(find(filter).await, set(expected), "{what}");
    }
}

fn claim(place: &Place<'_>, device: &Device) -> IdentifierClaim {
    IdentifierClaim {
        workspace_id: place.workspace,
        device_identifier: device.device_identifier.clone(),
        device_id: device.device_id,
        user_id: device.user_id,
        epoch: device.epoch,
        held: true,
        version: 1,
        stored: domain::stored::Stored::default(),
    }
}

type Wanted<'a> = &'a dyn Fn(&Event) -> bool;

async fn events_come_by_day_device_user_and_type(store: &Store) {
    let mut place = Place::new(store);
    let begin = place.now;
    let (device, user) = (DeviceId(new_id(begin)), UserId(new_id(begin)));
    let mut made: Vec<Event> = Vec::new();
    for day in 0..4 {
        for at in 0..3 {
            let event = match at {
                0 => place.context().event(EventType::DeviceBlocked).about_device(device, user),
                1 => place.context().event(EventType::UserInvited).about_user(user),
                _ => place.context().event(EventType::KeyCreated),
            };
            store.table.commit(Commit::of(&event)).await.expect("it is new");
            made.push(event);
            place.later(Duration::hours(1));
        }
        if day == 1 {
            place.later(Duration::days(3));
        }
        place.later(Duration::hours(21));
    }
    let span = EventFilter {
        device_id: None,
        user_id: None,
        event_type: None,
        since: begin,
        until: place.now,
        oldest_first: false,
    };
    let place = &place;
    for limit in [1, 2, 100] {
        let table: [(EventFilter, Wanted<'_>); 6] = [
            (span.clone(), &|_| true),
            (EventFilter { device_id: Some(device), ..span.clone() }, &|event| event.device_id == Some(device)),
            (EventFilter { user_id: Some(user), ..span.clone() }, &|event| event.user_id == Some(user)),
            (EventFilter { event_type: Some(EventType::KeyCreated), ..span.clone() }, &|event| {
                event.event_type == EventType::KeyCreated
            }),
            (EventFilter { user_id: Some(user), event_type: Some(EventType::UserInvited), ..span.clone() }, &|event| {
                event.event_type == EventType::UserInvited
            }),
            (EventFilter { since: made[4].created_at, until: made[7].created_at, ..span.clone() }, &|event| {
                (made[4].created_at..=made[7].created_at).contains(&event.created_at)
            }),
        ];
        for (filter, wanted) in table {
            let filter = &filter;
            let page = |start| async move { place.table.list_events(place.workspace, filter, limit, start).await };
            let found = walk(page, nothing).await;
            let expected: Vec<Event> = made.iter().rev().filter(|event| wanted(event)).cloned().collect();
            assert_eq!(found, expected, "{filter:?}, pages of {limit}");
        }
    }
}

async fn a_quiet_month_does_not_end_the_list(store: &Store) {
    let mut place = Place::new(store);
    let begin = place.now;
    let event = place.context().event(EventType::KeyCreated);
    store.table.commit(Commit::of(&event)).await.expect("it is new");
    place.later(Duration::days(80));
    let span = EventFilter {
        device_id: None,
        user_id: None,
        event_type: None,
        since: begin,
        until: place.now,
        oldest_first: false,
    };
    let (place, span) = (&place, &span);
    let first = place.table.list_events(place.workspace, span, 10, None).await.expect("it answers");
    assert!(first.items.is_empty() && first.next.is_some(), "a page looks at so many days only");
    let found =
        walk(|start| async move { place.table.list_events(place.workspace, span, 10, start).await }, nothing).await;
    assert_eq!(found, [event]);
}

async fn a_position_of_another_list_is_refused(store: &Store) {
    let mut place = Place::new(store);
    for name in ["ada", "bob"] {
        let _user = place.user(name).await;
        place.later(Duration::seconds(1));
    }
    let users =
        store.table.list_users(place.workspace, &UserFilter::default(), 1, None, place.now).await.expect("it answers");
    let next = users.next.expect("there are more");
    let searched = DeviceFilter { search: Some(typed("ada")), ..DeviceFilter::default() };
    let refused = [
        store.table.list_devices(place.workspace, &searched, 1, Some(next.clone()), place.now).await.map(drop),
        store
            .table
            .list_devices(
                place.workspace,
                &DeviceFilter { blocked: Some(true), ..DeviceFilter::default() },
                1,
                Some(next),
                place.now,
            )
            .await
            .map(drop),
    ];
    for refused in refused {
        assert!(matches!(refused, Err(Error::Refused(DomainError::CursorInvalid))), "{refused:?}");
    }
}

async fn one_consumer_at_a_time_has_an_event_and_done_is_for_good(store: &Store) {
    let mut place = Place::new(store);
    let (event, hold) = (place.id(), Duration::seconds(60));
    let take = |place: &Place<'_>| {
        let (table, now, ids) = (store.table.clone(), place.now, [place.id(), place.id()]);
        async move {
            match table.take("contract", event, hold, now, ids[0]).await {
                Err(Error::Conflict) => table.take("contract", event, hold, now, ids[1]).await,
                answer => answer,
            }
            .expect("it answers")
        }
    };
    let both = futures::join!(take(&place), take(&place));
    let yes = |taken: &LeaseOutcome| matches!(taken, LeaseOutcome::Yes(_));
    assert!(yes(&both.0) != yes(&both.1), "of two at once one has it: {both:?}");
    assert!(matches!(take(&place).await, LeaseOutcome::Busy));
    let other = store.table.take("another", event, hold, place.now, place.id()).await.expect("it answers");
    assert!(yes(&other), "another consumer has a lease of its own");
    let ((LeaseOutcome::Yes(stale), _) | (_, LeaseOutcome::Yes(stale))) = both else { panic!("one has it") };
    place.later(hold);
    let LeaseOutcome::Yes(lease) = take(&place).await else { panic!("the hold is over") };
    let late = Commit::without_event(place.id()).done(&stale, place.now);
    lost(store.table.commit(late).await, "who lost the hold cannot say that it is done");
    store.table.commit(Commit::without_event(place.id()).done(&lease, place.now)).await.expect("it has the hold");
    place.later(Duration::days(1));
    assert!(matches!(take(&place).await, LeaseOutcome::Done));
}

async fn what_is_due_comes_in_order_and_a_broken_row_stops_nothing(store: &Store) {
    let mut place = Place::new(store);
    let mut tokens = Vec::new();
    for at in 0..40 {
        let device = place.new_device(UserId(new_id(place.now)), &format!("due-{at}"));
        place.later(Duration::seconds(1));
        let token = PushToken::given(&device, format!("token-{at}"), None, place.now);
        place.put(&token).await;
        tokens.push(token);
    }
    // The one of the middle cannot be read.
    let broken = push_tokens::push_token_key(place.workspace, tokens[20].device_id);
    let mut row =
        rows::all(&store.bench, rows::MAIN).remove(&format!("{} | {}", broken.pk, broken.sk)).expect("its row");
    row["token"] = json!(7);
    rows::put(&store.bench, rows::MAIN, &row, &[]);
    let due_at = tokens[29].mend_at.expect("a new token is due");
    let mut found = BTreeSet::new();
    let mut unread = 0;
    for shard in 0..due::DUE_SHARDS {
        let mut start = None;
        let mut last = None;
        loop {
            let page = store.table.due(&due::due_shard(shard), due_at, start, 2).await.expect("it answers");
            for (key, row) in page.rows.into_iter().filter(|(key, _)| key.pk.contains(&place.workspace.to_string())) {
                match row {
                    Ok(Some(DueRow::PushToken(token))) => {
                        assert!(last <= token.mend_at, "the longest overdue come first");
                        last = token.mend_at;
                        assert!(found.insert(token.device_id), "a row came twice");
                    }
                    Ok(other) => panic!("{other:?}"),
                    Err(_) => {
                        assert_eq!(key, broken);
                        unread += 1;
                    }
                }
            }
            start = page.next;
            if start.is_none() {
                break;
            }
        }
    }
    let expected = tokens[..30].iter().map(|token| token.device_id).filter(|id| *id != tokens[20].device_id);
    assert_eq!((found, unread), (expected.collect(), 1), "what is due by then, and nothing else");
    let settled = PushToken { mend_at: None, ..tokens[0].clone() };
    place.edit(&tokens[0], &settled).await;
    let shards = (0..due::DUE_SHARDS).map(due::due_shard);
    for shard in shards {
        let page = store.table.due(&shard, due_at, None, 100).await.expect("it answers");
        let again =
            page.rows.iter().any(|(key, _)| *key == push_tokens::push_token_key(place.workspace, tokens[0].device_id));
        assert!(!again, "what is settled is not due");
    }
}

async fn a_call_is_remembered_once(store: &Store) {
    let place = Place::new(store);
    let pk = idempotency::idempotency_pk(place.workspace, "somebody", "create-user", "key");
    assert_eq!(store.table.remembered(&pk).await.expect("it answers"), None);
    let call = |made: &str| IdempotencyRow {
        pk: pk.clone(),
        remembered: IdempotencyRecord { body_hash: Hash::of("body"), made: made.to_owned(), expires_at: place.now },
    };
    let remember = |made: &str, forgotten| {
        let event = place.context().event(EventType::UserCreated);
        store.table.commit(Commit::of(&event).remember(&call(made), forgotten))
    };
    remember("first", false).await.expect("it is new");
    let rows = place.rows();
    lost(remember("second", false).await, "of two calls one is remembered");
    assert_eq!(place.rows(), rows);
    assert_eq!(store.table.remembered(&pk).await.expect("it answers"), Some(call("first").remembered));
    remember("third", true).await.expect("the first counts no more");
    assert_eq!(store.table.remembered(&pk).await.expect("it answers"), Some(call("third").remembered));
    for other in [
        idempotency::idempotency_pk(place.workspace, "somebody", "create-user", "other"),
        idempotency::idempotency_pk(place.workspace, "somebody", "invite-user", "key"),
        idempotency::idempotency_pk(place.workspace, "another", "create-user", "key"),
    ] {
        assert_eq!(store.table.remembered(&other).await.expect("it answers"), None);
    }
}

async fn keys_and_members_are_found_in_their_own_workspace_alone(store: &Store) {
    let (place, other) = (Place::new(store), Place::new(store));
    let key = Key {
        workspace_id: place.workspace,
        key_id: KeyId(new_id(place.now)),
        short: format!("{:08}", DRAWN.fetch_add(1, Ordering::Relaxed)),
        secret_hash: Hash::of("secret"),
        name: "reader".to_owned(),
        permissions: [Permission::DevicesRead].into(),
        created_at: place.now,
        created_by: Actor::System.into(),
        makers: Vec::new(),
        expires_at: None,
        revoked: None,
        version: 1,
        stored: domain::stored::Stored::default(),
    };
    place.put(&key).await;
    assert_eq!(store.table.key(&key.short).await.expect("it answers"), Some(key.clone()));
    assert_eq!(store.table.key_by_id(place.workspace, key.key_id).await.expect("it answers"), Some(key.clone()));
    assert_eq!(store.table.key_by_id(other.workspace, key.key_id).await.expect("it answers"), None);
    assert_eq!(
        store.table.list_keys(place.workspace, 10, None).await.expect("it answers").items,
        std::slice::from_ref(&key)
    );
    assert!(store.table.list_keys(other.workspace, 10, None).await.expect("it answers").items.is_empty());

    let gone = format!("{:08}", DRAWN.fetch_add(1, Ordering::Relaxed));
    let made = Key {
        key_id: KeyId(new_id(place.now)),
        short: format!("{:08}", DRAWN.fetch_add(1, Ordering::Relaxed)),
        created_by: Actor::Key(key.key_id).into(),
        makers: vec![gone, key.short.clone()],
        ..key.clone()
    };
    place.put(&made).await;
    let makers = Makers::from([(key.short.clone(), key.clone())]);
    assert_eq!(store.table.makers_of(&made).await.expect("it answers"), makers, "those that are there");
    assert_eq!(store.table.makers_of_all(&[key.clone(), made.clone()]).await.expect("it answers"), makers);
    assert_eq!(store.table.makers_of(&key).await.expect("it answers"), Makers::new());
    let by = |maker| store.table.keys_made_by(place.workspace, maker);
    assert_eq!(by(Actor::System).await.expect("it answers"), std::slice::from_ref(&key));
    assert_eq!(by(Actor::Key(key.key_id)).await.expect("it answers"), [made]);
    assert!(store.table.keys_made_by(other.workspace, Actor::System).await.expect("it answers").is_empty());

    let subject = format!("person-{}", place.id());
    let member = |place: &Place<'_>| Member {
        workspace_id: place.workspace,
        member_id: MemberId(new_id(place.now)),
        issuer: "https://issuer.example".to_owned(),
        subject: subject.clone(),
        name: None,
        role: Role::Admin,
        created_at: place.now,
        created_by: Actor::System.into(),
        pending: false,
        accepted_at: None,
        version: 1,
        stored: domain::stored::Stored::default(),
    };
    let (here, there) = (member(&place), member(&other));
    place.put(&here).await;
    other.put(&there).await;
    let table = &store.table;
    let mut both = table.memberships(&here.issuer, &subject).await.expect("it answers");
    both.sort_by_key(|member| member.member_id);
    assert_eq!(both, [here.clone(), there.clone()]);
    let page = table.list_memberships(&here.issuer, &subject, 1, None).await.expect("it answers");
    let rest = table.list_memberships(&here.issuer, &subject, 1, page.next).await.expect("it answers").items;
    let mut paged: Vec<Member> = page.items.into_iter().chain(rest).collect();
    paged.sort_by_key(|member| member.member_id);
    assert_eq!(paged, both);
    assert_eq!(
        table.membership(place.workspace, &here.issuer, &subject).await.expect("it answers"),
        Some(here.clone())
    );
    assert_eq!(table.membership(place.workspace, &here.issuer, "nobody").await.expect("it answers"), None);
    assert_eq!(table.member_by_id(place.workspace, here.member_id).await.expect("it answers"), Some(here.clone()));
    assert_eq!(table.member_by_id(place.workspace, there.member_id).await.expect("it answers"), None);
    assert_eq!(
        table.member_by_id(place.workspace, MemberId(key.key_id.0)).await.expect("it answers"),
        None,
        "a key is no member"
    );
    assert_eq!(
        table.key_by_id(place.workspace, KeyId(here.member_id.0)).await.expect("it answers"),
        None,
        "nor a member a key"
    );
    place.remove(&here).await;
    assert_eq!(table.list_members(place.workspace, 10, None).await.expect("it answers").items, []);
    assert_eq!(table.memberships(&here.issuer, &subject).await.expect("it answers"), [there]);
}

async fn a_persons_tokens_are_found_by_their_names_and_theirs_alone(store: &Store) {
    let (place, other) = (Place::new(store), Place::new(store));
    let (issuer, subject) = ("https://issuer.example", format!("person-{}", place.id()));
    let mut tokens = Vec::new();
    for workspaces in [vec![place.workspace], vec![place.workspace, other.workspace], vec![other.workspace]] {
        let token = Token {
            token_id: TokenId(new_id(place.now)),
            short: format!("{:08}", DRAWN.fetch_add(1, Ordering::Relaxed)),
            secret_hash: Hash::of("secret"),
            issuer: issuer.to_owned(),
            subject: subject.clone(),
            name: "a program".to_owned(),
            workspace_ids: workspaces.into_iter().collect(),
            permissions: Some([Permission::UsersRead].into()),
            created_at: place.now,
            expires_at: place.now.plus(Duration::days(1)),
            revoked_at: None,
            shut_out: Vec::new(),
            version: 1,
            stored: domain::stored::Stored::default(),
        };
        let commit = Commit::without_event(EventId(new_id(place.now))).put(&token).put(&TokenPlace::of(&token));
        store.table.commit(commit).await.expect("it is made");
        tokens.push(token);
    }
    // The newest comes first.
    tokens.reverse();
    let table = &store.table;
    let list = async |subject: &str, workspace, limit, start| {
        table.list_tokens(issuer, subject, workspace, limit, start).await.expect("it answers")
    };
    for token in &tokens {
        assert_eq!(table.token(&token.short).await.expect("it answers").as_ref(), Some(token));
        let found = table.token_of(issuer, &subject, token.token_id).await.expect("it answers");
        assert_eq!(found.as_ref(), Some(token));
        assert_eq!(table.token_of(issuer, "nobody", token.token_id).await.expect("it answers"), None);
        assert_eq!(table.token_of("https://other.example", &subject, token.token_id).await.expect("it answers"), None);
    }
    assert_eq!(table.token("nobodys0").await.expect("it answers"), None);
    assert_eq!(list(&subject, None, 10, None).await.items, tokens);
    assert_eq!(list(&subject, Some(place.workspace), 10, None).await.items, tokens[1..]);
    assert_eq!(list(&subject, Some(other.workspace), 10, None).await.items, tokens[..2]);
    assert!(list("nobody", None, 10, None).await.items.is_empty());
    let first = list(&subject, None, 2, None).await;
    assert_eq!(first.items, tokens[..2]);
    let rest = list(&subject, None, 2, first.next).await;
    assert_eq!((rest.items, rest.next), (tokens[2..].to_vec(), None));
    // A place whose token went first leads nowhere.
    let gone = Commit::without_event(EventId(new_id(place.now))).delete(&tokens[0]);
    store.table.commit(gone).await.expect("it goes");
    assert_eq!(table.token_of(issuer, &subject, tokens[0].token_id).await.expect("it answers"), None);
    assert_eq!(list(&subject, None, 10, None).await.items, tokens[1..]);
}

async fn workspaces_and_issuer_keys_are_read_as_kept(store: &Store) {
    let place = Place::new(store);
    assert_eq!(store.table.workspace(place.workspace).await.expect("it answers"), None);
    let workspace = Workspace {
        workspace_id: place.workspace,
        name: "Here".to_owned(),
        sandbox: false,
        created_at: place.now,
        admin_count: 0,
        profile_count: 0,
        default_profile_id: None,
        settings: Settings::default(),
        silent_rule_at: None,
        silent_rule_cursor: None,
        silent_rule_by: None,
        silent_rule_paused_at: None,
        version: 1,
        stored: domain::stored::Stored::default(),
    };
    place.put(&workspace).await;
    assert_eq!(store.table.workspace(place.workspace).await.expect("it answers").as_ref(), Some(&workspace));
    let unknown = WorkspaceId(new_id(place.now));
    let several = store.table.workspaces(&[place.workspace, unknown].into()).await.expect("it answers");
    assert_eq!(several, [workspace], "and nothing of one that is not there");
    for kid in ["one", "two"] {
        let material = KeyMaterial::Ec { x: "x".to_owned(), y: "y".to_owned() };
        let key = IssuerKey { kid: kid.to_owned(), material };
        let kept = IssuerKeys { issuer: "https://issuer.example".to_owned(), keys: vec![key], fetched_at: place.now };
        store.table.keep_issuer_keys(&kept).await.expect("it answers");
        assert_eq!(
            store.table.issuer_keys().await.expect("it answers"),
            Some(kept),
            "the newer take the older's place"
        );
    }
}

async fn a_registration_knows_all_that_its_rule_needs(store: &Store) {
    let place = Place::new(store);
    let mut user = place.user("ada").await;
    let device = place.device(&mut user, "phone").await;
    let (invitation, code) = invited(&place, &user, 1, Duration::days(7));
    let commit = Commit::without_event(place.id()).put(&invitation).keep_code(&invitation, &code);
    store.table.commit(commit).await.expect("it is new");
    let owner = store.table.code_owner(&Hash::of(&code)).await.expect("it answers").expect("the code is known");
    let found = store.table.registration(&owner, "phone").await.expect("it answers").expect("all is there");
    assert_eq!((&found.user, &found.invitation), (&user, &invitation));
    assert_eq!((found.claim, found.claimed, found.held), (None, None, vec![device.clone()]));
    place.put(&claim(&place, &device)).await;
    let found = store.table.registration(&owner, "phone").await.expect("it answers").expect("all is there");
    assert_eq!((found.claim, found.claimed), (Some(claim(&place, &device)), Some(device.clone())));
    place.remove(&device).await;
    let found = store.table.registration(&owner, "phone").await.expect("it answers").expect("all is there");
    assert!(found.claim.is_some() && found.claimed.is_none() && found.held.is_empty(), "the claim outlives the row");
    place.remove(&user).await;
    assert!(store.table.registration(&owner, "phone").await.expect("it answers").is_none(), "the user is gone");
    assert_eq!(store.table.code_owner(&Hash::of("another")).await.expect("it answers"), None);
}

async fn a_device_comes_with_what_belongs_to_it(store: &Store) {
    let place = Place::new(store);
    let mut user = place.user("ada").await;
    let device = place.device(&mut user, "phone").await;
    let id = device.device_id;
    let bare = store.table.device_details(place.workspace, id).await.expect("it answers").expect("it is there");
    assert_eq!((bare.device.clone(), bare.user), (device.clone(), Some(user.clone())));
    assert!(bare.claim.is_none() && bare.attachments.is_none() && bare.token.is_none());
    let credential = CredentialId(new_id(place.now));
    let attachments = DeviceAttachments {
        metadata: [("desk".to_owned(), json!("4")), ("on".to_owned(), json!(true))].into(),
        credentials: [(credential, place.now)].into(),
        ..DeviceAttachments::none(&device)
    };
    let token = PushToken::given(&device, "token".to_owned(), None, place.now);
    let claim = claim(&place, &device);
    let commit = Commit::without_event(place.id()).put(&attachments).put(&token).put(&claim);
    store.table.commit(commit).await.expect("they are new");
    let whole = store.table.device_details(place.workspace, id).await.expect("it answers").expect("it is there");
    assert_eq!(
        (whole.attachments, whole.token, whole.claim),
        (Some(attachments.clone()), Some(token.clone()), Some(claim))
    );
    let ids = [DeviceId(new_id(place.now)), id].into();
    let found = store.table.attachments(place.workspace, &ids).await.expect("it answers");
    assert_eq!(found, [(id, attachments.clone())].into());
    let holders = store.table.devices_with_credential(place.workspace, credential).await.expect("it answers");
    assert_eq!(holders, [id].into());
    let after = DeviceAttachments { credentials: [].into(), ..attachments.clone() };
    store.table.commit(Commit::without_event(place.id()).edit(&attachments, &after)).await.expect("it is as it was");
    assert!(store.table.devices_with_credential(place.workspace, credential).await.expect("it answers").is_empty());
    assert_eq!(store.table.push_token(place.workspace, id).await.expect("it answers"), Some(token));
    let second = place.device(&mut user, "second").await;
    let ids = [second.device_id, DeviceId(new_id(place.now)), id].into();
    let found = store.table.devices(place.workspace, &ids).await.expect("it answers");
    assert_eq!(found, [device, second], "in order, without what is gone");
    assert!(store.table.devices(place.workspace, &BTreeSet::new()).await.expect("it answers").is_empty());
    let many: BTreeSet<UserId> = (0..250).map(|_| UserId(new_id(place.now))).chain([user.user_id]).collect();
    assert_eq!(
        store.table.users(place.workspace, &many).await.expect("it answers"),
        [user],
        "more than one batch takes"
    );
}

async fn an_endpoint_knows_its_holders_in_every_workspace(store: &Store) {
    let (place, other) = (Place::new(store), Place::new(store));
    let endpoint = format!("arn:aws:sns:r:1:endpoint/APNS/app/{}", place.id());
    let mut holders = BTreeSet::new();
    let mut devices = Vec::new();
    for place in [&place, &other] {
        let device =
            Device { push_endpoint: Some(endpoint.clone()), ..place.new_device(UserId(new_id(place.now)), "phone") };
        place.put(&device).await;
        holders.insert((place.workspace, device.device_id));
        devices.push(device);
    }
    let found = store.table.endpoint_holders(&endpoint).await.expect("it answers");
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), holders);
    place.edit(&devices[0], &Device { push_endpoint: Some(format!("{endpoint}-newer")), ..devices[0].clone() }).await;
    let found = store.table.endpoint_holders(&endpoint).await.expect("it answers");
    assert_eq!(found, [(other.workspace, devices[1].device_id)]);
}

async fn a_login_is_noted_only_for_the_device_itself_with_nothing_else_new(store: &Store) {
    let mut place = Place::new(store);
    let mut user = place.user("ada").await;
    let id = DeviceId(new_id(place.now));
    let credential = DeviceCredential::new(letters, place.workspace, id, 1);
    let good = Device {
        device_id: id,
        credential_hash: credential.hash(),
        push_token_hash: Some(Hash::of("token")),
        pin_failures: 2,
        usage_sequence: Some(7),
        ..place.new_device(user.user_id, "phone")
    };
    user.device_ids.insert(id);
    place.put(&good).await;
    let usage = |sequence| Some(UsageReport { sequence, counts: Counts::new() });
    let same = CheckInReport {
        os_version: Some("1".to_owned()),
        app_version: None,
        push_token: Some("token".to_owned()),
        pin_failures: Some(2),
        usage: usage(7),
        config_version: Some("version1".to_owned()),
    };
    let counted_long_ago = CheckInReport { usage: usage(1), ..CheckInReport::default() };
    for report in [CheckInReport::default(), same, counted_long_ago] {
        place.later(Duration::days(1));
        let noted = store.table.note_login(&credential, &report, place.now).await.expect("it answers");
        assert!(matches!(noted, Login::Noted(_)), "{noted:?}");
        let read = store.table.device(place.workspace, id).await.expect("it answers").expect("it is there");
        assert_eq!(
            read,
            Device { last_login_at: Some(place.now), ..good.clone() },
            "nothing but the time, and no new version"
        );
    }
    let day = DeviceFilter { last_login_before: Some(place.now.plus(Duration::days(2))), ..DeviceFilter::default() };
    let seen = store.table.list_devices(place.workspace, &day, 10, None, place.now).await.expect("it answers");
    assert_eq!(seen.items.len(), 1, "its day of login is up to date");
    let news = [
        CheckInReport { os_version: Some("2".to_owned()), ..CheckInReport::default() },
        CheckInReport { app_version: Some("2".to_owned()), ..CheckInReport::default() },
        CheckInReport { push_token: Some("newer".to_owned()), ..CheckInReport::default() },
        CheckInReport { pin_failures: Some(1), ..CheckInReport::default() },
        CheckInReport { pin_failures: Some(0), ..CheckInReport::default() },
        CheckInReport { pin_failures: Some(3), ..CheckInReport::default() },
        CheckInReport { usage: usage(8), ..CheckInReport::default() },
    ];
    for report in news {
        let more = store.table.note_login(&credential, &report, place.now).await.expect("it answers");
        assert!(matches!(more, Login::More(Some(_))), "{report:?}: {more:?}");
    }
    let before = store.table.device(place.workspace, id).await.expect("it answers").expect("it is there");
    let disabled = |reason, since| Device { push: Push { reason, since }, ..before.clone() };
    let (day, lately) = (place.now.minus(Duration::days(1)), place.now.minus(Duration::hours(23)));
    let mut current = before.clone();
    for (state, is_news) in [
        (disabled(PushReason::EndpointDisabled, lately), true),
        (disabled(PushReason::DeliveryFailed, lately), true),
        (disabled(PushReason::DisabledAgain, day), true),
        (disabled(PushReason::DisabledAgain, lately), false),
        (disabled(PushReason::EnabledAgain, day), false),
        (disabled(PushReason::TokenRefused, day), false),
        (before.clone(), false),
    ] {
        let after = Device { last_login_at: current.last_login_at, version: current.version, ..state };
        place.edit(&current, &after).await;
        let login =
            store.table.note_login(&credential, &CheckInReport::default(), place.now).await.expect("it answers");
        assert_eq!(matches!(login, Login::More(Some(_))), is_news, "{:?}: {login:?}", after.push);
        current = store.table.device(place.workspace, id).await.expect("it answers").expect("it is there");
    }
    let good = Device { version: current.version, ..good };
    let foreign = DeviceCredential::new(letters, place.workspace, id, 1);
    let older = DeviceCredential::new(letters, place.workspace, id, 0);
    for credential in [foreign, older] {
        let more = store.table.note_login(&credential, &CheckInReport::default(), place.now).await.expect("it answers");
        assert!(matches!(more, Login::More(Some(_))), "{more:?}");
    }
    let nobody = DeviceCredential::new(letters, place.workspace, DeviceId(new_id(place.now)), 1);
    let more = store.table.note_login(&nobody, &CheckInReport::default(), place.now).await.expect("it answers");
    assert!(matches!(more, Login::More(None)), "{more:?}");
    let block = Restriction { at: place.now, by: Actor::System, reason: None };
    let deleted = restriction::Deleted { at: place.now, by: Actor::System, purge_after: place.now };
    let command = OpenCommand {
        command_id: CommandId(new_id(place.now)),
        kind: CommandKind::Wipe,
        state: CommandState::Queued,
        queued_at: place.now,
        expires_at: place.now,
        again_at: None,
    };
    let erased = device::Erasure { at: place.now, command_id: CommandId(new_id(place.now)) };
    let shut = [
        Device { blocked: Some(block), ..good.clone() },
        Device { deleted: Some(deleted), ..good.clone() },
        Device { replaced: true, ..good.clone() },
        Device { commands: vec![command], ..good.clone() },
        Device { erased: Some(erased), ..good.clone() },
        Device {
            enrolment: Some(Enrolment { invitation_id: InvitationId(new_id(place.now)), at: None }),
            ..good.clone()
        },
        Device { user_status: UserStatus::Suspended, ..good.clone() },
        Device { user_status: UserStatus::Locked, ..good.clone() },
        Device { user_status: UserStatus::Deleted, ..good.clone() },
    ];
    let mut before = store.table.device(place.workspace, id).await.expect("it answers").expect("it is there");
    for state in shut {
        let after = Device { last_login_at: before.last_login_at, version: before.version, ..state };
        place.edit(&before, &after).await;
        let more =
            store.table.note_login(&credential, &CheckInReport::default(), place.now.plus(Duration::days(1))).await;
        let Ok(Login::More(Some(row))) = more else { panic!("{after:?}: {more:?}") };
        before = Device { version: after.version + 1, ..after };
        assert_eq!(*row, before, "the row says why, and nothing of it has changed");
    }
}

async fn last_seen_moves_forward_only(store: &Store) {
    let place = Place::new(store);
    let user = place.user("ada").await;
    let seen = |at: Time| store.table.note_seen(place.workspace, user.user_id, at);
    let later = place.now.plus(Duration::hours(1));
    for (at, expected) in [(place.now, place.now), (later, later), (place.now, later)] {
        seen(at).await.expect("it answers");
        let read = place.read(&user).await;
        assert_eq!((read.last_seen_at, read.version), (Some(expected), user.version));
    }
    let rows = place.rows();
    store.table.note_seen(place.workspace, UserId(new_id(place.now)), later).await.expect("nobody is no fault");
    assert_eq!(place.rows(), rows, "and no row comes of it");
}

async fn a_device_that_was_read_is_noted_only_as_it_was_then(store: &Store) {
    let mut place = Place::new(store);
    let mut user = place.user("ada").await;
    let device = place.device(&mut user, "phone").await;
    place.later(Duration::days(2));
    assert!(store.table.note_time(&device, place.now).await.expect("it answers"));
    let noted = Device { last_login_at: Some(place.now), ..device.clone() };
    let read = || async { store.table.device(place.workspace, device.device_id).await.expect("it answers") };
    assert_eq!(read().await, Some(noted.clone()), "nothing but the time, and no new version");
    let day = DeviceFilter { last_login_before: Some(place.now.plus(Duration::days(2))), ..DeviceFilter::default() };
    let seen = store.table.list_devices(place.workspace, &day, 10, None, place.now).await.expect("it answers");
    assert_eq!(seen.items.len(), 1, "its day of login is up to date");
    let block = Restriction { at: place.now, by: Actor::System, reason: None };
    let blocked = Device { blocked: Some(block), ..noted.clone() };
    place.edit(&noted, &blocked).await;
    let later = place.now.plus(Duration::hours(1));
    assert!(!store.table.note_time(&device, later).await.expect("it answers"), "it has changed since");
    assert_eq!(read().await, Some(Device { version: 2, ..blocked }));
    let rows = place.rows();
    let nobody = place.new_device(user.user_id, "gone");
    assert!(!store.table.note_time(&nobody, later).await.expect("it answers"));
    assert_eq!(place.rows(), rows, "and no row comes of it");
}

async fn a_commit_rests_on_what_it_was_decided_by(store: &Store) {
    let place = Place::new(store);
    let (ada, bob) = (place.user("ada").await, place.user("bob").await);
    let with = |user: &User, number: &str| User { number: Some(number.to_owned()), ..user.clone() };
    let commit = Commit::without_event(place.id()).edit(&ada, &with(&ada, "1")).guarded_by(&bob);
    store.table.commit(commit).await.expect("bob is as he was read");
    assert_eq!(place.read(&bob).await, bob, "and stays so");
    place.edit(&bob, &with(&bob, "2")).await;
    let ada = place.read(&ada).await;
    let commit = Commit::without_event(place.id()).edit(&ada, &with(&ada, "3")).guarded_by(&bob);
    lost(store.table.commit(commit).await, "bob has changed since");
    place.remove(&place.read(&bob).await).await;
    let commit = Commit::without_event(place.id()).edit(&ada, &with(&ada, "3")).guarded_by(&bob);
    lost(store.table.commit(commit).await, "bob is gone");
    assert_eq!(place.read(&ada).await, ada);
    // What is written without a new version.
    let mut user = ada;
    let device = place.device(&mut user, "phone").await;
    let first = place.now.plus(Duration::hours(1));
    assert!(store.table.note_time(&device, first).await.expect("it answers"));
    let device = Device { last_login_at: Some(first), ..device };
    let named = Device { nickname: Some("mine".to_owned()), ..device.clone() };
    assert!(store.table.note_time(&device, first.plus(Duration::hours(1))).await.expect("it answers"));
    let rename = || Commit::without_event(place.id()).edit(&device, &named);
    lost(store.table.commit(rename().while_same(&device, "last_login_at")).await, "it has come since");
    store.table.commit(rename()).await.expect("no version tells of it");
}

fn command(place: &Place<'_>, device: &Device, kind: CommandKind, state: CommandState) -> Command {
    Command {
        workspace_id: place.workspace,
        device_id: device.device_id,
        user_id: device.user_id,
        command_id: CommandId(new_id(place.now)),
        kind,
        epoch: device.epoch,
        state,
        late: false,
        queued_at: place.now,
        queued_by: Actor::System,
        reason: None,
        expires_at: place.now.plus(Duration::days(30)),
        deferrals: 0,
        again_at: None,
        detail: None,
        history: Vec::new(),
        credential_hash: None,
        version: 1,
        stored: domain::stored::Stored::default(),
    }
}

fn open(command: &Command) -> OpenCommand {
    OpenCommand {
        command_id: command.command_id,
        kind: command.kind,
        state: command.state,
        queued_at: command.queued_at,
        expires_at: command.expires_at,
        again_at: command.again_at,
    }
}

/// Gives a device of a user these open commands.
async fn give(place: &Place<'_>, device: &Device, commands: &[Command]) -> Device {
    let after = Device { commands: commands.iter().map(open).collect(), ..device.clone() };
    let commit = Commit::without_event(place.id()).edit(device, &after);
    place.table.commit(commands.iter().fold(commit, Commit::put)).await.expect("nobody came first");
    Device { version: device.version + 1, ..after }
}

async fn each_phone_comes_with_its_open_commands(store: &Store) {
    let place = Place::new(store);
    let mut user = place.user("ada").await;
    let mut phones = Vec::new();
    for identifier in ["one", "two", "three"] {
        let device = place.device(&mut user, identifier).await;
        let over = command(&place, &device, CommandKind::Lock, CommandState::Succeeded);
        place.put(&over).await;
        let kinds = CommandKind::ALL.iter().filter(|_| identifier != "two");
        let open: Vec<Command> =
            kinds.map(|kind| command(&place, &device, *kind, CommandState::Delivered)).rev().collect();
        let device = if open.is_empty() { device } else { give(&place, &device, &open).await };
        phones.push(DeviceWithCommands { device, open });
    }
    phones.sort_by_key(|phone| phone.device.device_id);
    let table = &store.table;
    assert_eq!(table.phones(place.workspace, &user.device_ids).await.expect("it answers"), phones);
    for phone in &phones {
        assert_eq!(table.open_commands(&phone.device).await.expect("it answers"), phone.open, "in the row's order");
    }
    let some: BTreeSet<DeviceId> = [phones[0].device.device_id, DeviceId(new_id(place.now))].into();
    assert_eq!(table.phones(place.workspace, &some).await.expect("it answers"), phones[..1], "without what is gone");
    assert_eq!(table.phones(place.workspace, &BTreeSet::new()).await.expect("it answers"), []);
    let other = Place::new(store);
    assert_eq!(table.phones(other.workspace, &user.device_ids).await.expect("it answers"), []);
    let command = &phones[0].open[0];
    let found = table.command(place.workspace, command.device_id, command.command_id).await.expect("it answers");
    assert_eq!(found.as_ref(), Some(command));
    let elsewhere = phones[1].device.device_id;
    assert_eq!(table.command(place.workspace, elsewhere, command.command_id).await.expect("it answers"), None);
    assert_eq!(table.command(other.workspace, command.device_id, command.command_id).await.expect("it answers"), None);
}

async fn claims_come_by_the_devices_that_have_them(store: &Store) {
    let place = Place::new(store);
    let mut user = place.user("ada").await;
    let first = place.device(&mut user, "first").await;
    let second = place.device(&mut user, "second").await;
    let third = place.device(&mut user, "third").await;
    for device in [&third, &first] {
        place.put(&claim(&place, device)).await;
    }
    let expected = [claim(&place, &first), claim(&place, &third)];
    let found = store.table.claims(&[first, second, third]).await.expect("it answers");
    assert_eq!(found, expected, "in the devices' order");
    assert_eq!(store.table.claims(&[]).await.expect("it answers"), []);
}

async fn commands_and_invitations_come_newest_first_and_alone(store: &Store) {
    let mut place = Place::new(store);
    let mut user = place.user("ada").await;
    let device = place.device(&mut user, "phone").await;
    place.put(&PushToken::given(&device, "token".to_owned(), None, place.now)).await;
    place.put(&usage(&place, UsageScope::User(user.user_id), "2026-11", 1)).await;
    let (mut commands, mut invitations) = (Vec::new(), Vec::new());
    for at in 0..7 {
        commands.push(command(&place, &device, CommandKind::Lock, CommandState::Canceled));
        place.put(&commands[at]).await;
        invitations.push(invited(&place, &user, 1, Duration::days(7)).0);
        place.put(&invitations[at]).await;
        place.later(Duration::seconds(1));
    }
    commands.reverse();
    invitations.reverse();
    let (place, device, user) = (&place, &device, &user);
    for limit in [1, 2, 100] {
        let page =
            |start| async move { place.table.list_commands(place.workspace, device.device_id, limit, start).await };
        // Newer ones come between the pages, and older ones change.
        let mut changes = commands.iter().rev();
        let found = walk(page, || {
            let newer = command(place, device, CommandKind::Lock, CommandState::Queued);
            let old = changes.next().expect("there are fewer pages than commands").clone();
            async move {
                if limit == 1 {
                    place.put(&newer).await;
                    place.edit(&old, &Command { deferrals: 9, ..old.clone() }).await;
                }
            }
        })
        .await;
        let ids = |commands: &[Command]| commands.iter().map(|command| command.command_id).collect::<Vec<_>>();
        assert!(ids(&found).ends_with(&ids(&commands)), "pages of {limit}: {found:?}");
        let page =
            |start| async move { place.table.list_invitations(place.workspace, user.user_id, limit, start).await };
        assert_eq!(walk(page, nothing).await, invitations, "pages of {limit}");
    }
    let (table, nobody) = (place.table, Place::new(store));
    let none = table.list_commands(nobody.workspace, device.device_id, 10, None).await.expect("it answers");
    assert_eq!(none.items, []);
    let none = table.list_invitations(nobody.workspace, user.user_id, 10, None).await.expect("it answers");
    assert_eq!(none.items, []);
}

/// The most months of usage that are told.
const MONTHS: usize = 24;

fn usage(place: &Place<'_>, of: UsageScope, month: &str, calls: u64) -> Usage {
    let counts = Counts::from([(UsageKind::Calls, calls)]);
    Usage {
        workspace_id: place.workspace,
        of,
        month: month.to_owned(),
        counts,
        version: 1,
        stored: domain::stored::Stored::default(),
    }
}

async fn messages_are_counted_for_their_recipient_and_in_a_part_of_the_day(store: &Store) {
    let (place, other) = (Place::new(store), Place::new(store));
    let recipient = |place: &Place<'_>, purpose| {
        let user = User { email: Some("ann@example.com".to_owned()), ..place.new_user("ann") };
        Recipient::of(&user, purpose, Channel::Email).expect("there is an address")
    };
    let quota = |place: &Place<'_>, day: &str| {
        let (workspace_id, day) = (place.workspace, day.to_owned());
        DailyQuota { workspace_id, channel: Channel::Email, day, per_day: 32 }
    };
    let (ann, today) = (recipient(&place, Purpose::Invite), quota(&place, "2026-11-23"));
    let read = async |shards: &[u8]| store.table.sent_before(&ann, &today, shards).await.expect("it answers");
    assert_eq!(read(&[3, 4]).await, (None, Vec::new()));
    let counted = |(to, parts): (Option<RecipientHistory>, Vec<DailyCount>), hours: i64| {
        let to = RecipientHistory::one_more(to, &ann, place.now.plus(Duration::hours(hours))).expect("it may go");
        MessageCount { to, today: today.one_more(&parts, &[3]).expect("there is room") }
    };
    let commit = |counted: &MessageCount| Commit::without_event(place.id()).edited(&counted.to).edited(&counted.today);
    let (first, beside) = (counted(read(&[3]).await, 0), counted(read(&[3]).await, 0));
    store.table.commit(commit(&first)).await.expect("nobody came first");
    lost(store.table.commit(commit(&beside)).await, "another message came first");
    let (to, parts) = read(&[2, 3]).await;
    assert_eq!((to.as_ref(), parts.as_slice()), (Some(&first.to.after), &[first.today.after.clone()][..]));
    let (second, beside) = (counted(read(&[3]).await, 1), counted(read(&[3]).await, 1));
    store.table.commit(commit(&second)).await.expect("nobody came first");
    let only_the_day = Commit::without_event(place.id()).edited(&beside.today);
    lost(store.table.commit(only_the_day).await, "the part has counted another since");
    let (to, parts) = read(&[3]).await;
    assert_eq!(to.map(|to| to.at.len()), Some(2));
    assert_eq!(parts.iter().map(|part| part.count).collect::<Vec<_>>(), [2]);
    assert_eq!(today.one_more(&parts, &[3]), None, "the part has its share");
    // Of another kind, of another day, of another workspace.
    let (deployed, tomorrow) = (recipient(&place, Purpose::Deploy), quota(&place, "2026-11-24"));
    let elsewhere = (recipient(&other, Purpose::Invite), quota(&other, "2026-11-23"));
    for (recipient, quota) in [(deployed, tomorrow), elsewhere] {
        let none = store.table.sent_before(&recipient, &quota, &[3]).await.expect("it answers");
        assert_eq!(none, (None, Vec::new()));
    }
}

async fn usage_is_told_by_months_of_a_user_and_of_the_workspace(store: &Store) {
    let (place, other) = (Place::new(store), Place::new(store));
    let (ada, bob) = (UserId(new_id(place.now)), UserId(new_id(place.now)));
    let months: Vec<String> = (0..MONTHS + 3).map(|at| format!("{}-{:02}", 2024 + at / 12, at % 12 + 1)).collect();
    for month in &months {
        let mut commit = Commit::without_event(place.id()).put(&usage(&place, UsageScope::User(ada), month, 2));
        for shard in 0..TOTAL_SHARDS {
            commit = commit.put(&usage(&place, UsageScope::Shard(shard), month, u64::from(shard)));
        }
        store.table.commit(commit).await.expect("they are new");
    }
    let table = &store.table;
    let newest = &months[3..];
    let of_ada = table.user_usage(place.workspace, ada).await.expect("it answers");
    assert_eq!(of_ada.keys().cloned().collect::<Vec<_>>(), newest, "the newest two years of them");
    assert!(of_ada.values().all(|counts| counts[&UsageKind::Calls] == 2));
    let total = table.workspace_usage(place.workspace).await.expect("it answers");
    assert_eq!(total.keys().cloned().collect::<Vec<_>>(), newest);
    let sum = (0..u64::from(TOTAL_SHARDS)).sum::<u64>();
    assert!(total.values().all(|counts| counts[&UsageKind::Calls] == sum), "each month whole: {total:?}");
    let both = [UsageScope::User(ada), UsageScope::User(bob), UsageScope::Shard(3)];
    let month = &months[5];
    let expected = [usage(&place, UsageScope::User(ada), month, 2), usage(&place, UsageScope::Shard(3), month, 3)];
    assert_eq!(table.usage(place.workspace, &both, month).await.expect("it answers"), expected);
    assert_eq!(table.usage(place.workspace, &[], month).await.expect("it answers"), []);
    let rows = table.usage_rows(place.workspace, ada, 5).await.expect("it answers");
    assert_eq!(rows.len(), 5);
    assert_eq!(table.user_usage(place.workspace, bob).await.expect("it answers").len(), 0);
    assert_eq!(table.workspace_usage(other.workspace).await.expect("it answers").len(), 0);
    assert_eq!(table.user_usage(other.workspace, ada).await.expect("it answers").len(), 0);
}

fn job(place: &Place<'_>) -> Job {
    let new = NewJob {
        job_id: JobId(new_id(place.now)),
        kind: JobKind::Users,
        action: json!({"action": "activate"}),
        action_name: "activate",
        selection: Selection::Ids(Vec::new()),
        dry_run: false,
    };
    begin(new, &place.context()).job.expect("a job is begun").after
}

fn item(place: &Place<'_>, job: &Job, id: &str) -> JobItem {
    JobItem {
        workspace_id: place.workspace,
        job_id: job.job_id,
        id: id.to_owned(),
        outcome: ItemOutcome::Changed,
        code: None,
        detail: None,
        devices: Vec::new(),
        user_id: None,
        change: None,
        fields: Vec::new(),
        faults: Vec::new(),
        warnings: Vec::new(),
        at: place.now,
    }
}

async fn a_job_comes_with_its_outcomes_and_each_is_made_once(store: &Store) {
    let mut place = Place::new(store);
    let mut jobs = Vec::new();
    for _ in 0..5 {
        jobs.push(job(&place));
        place.put(&jobs[jobs.len() - 1]).await;
        place.later(Duration::seconds(1));
    }
    jobs.reverse();
    let place = &place;
    let of = &jobs[0];
    for limit in [1, 2, 100] {
        let page = |start| async move { place.table.list_jobs(place.workspace, limit, start).await };
        assert_eq!(walk(page, nothing).await, jobs, "pages of {limit}");
    }
    let items: Vec<JobItem> = (0..9).map(|at| item(place, of, &format!("thing-{}", 2 * at))).collect();
    for item in &items {
        place.put(item).await;
    }
    let again = JobItem { outcome: ItemOutcome::Failed, ..items[3].clone() };
    let event = place.context().event(EventType::UserActivated);
    lost(store.table.commit(Commit::of(&event).put(&again)).await, "a thing has one outcome");
    let table = place.table;
    let both = table.job_and_item(place.workspace, of.job_id, "thing-6").await.expect("it answers");
    assert_eq!(both, (Some(of.clone()), Some(items[3].clone())));
    let none = table.job_and_item(place.workspace, of.job_id, "thing-7").await.expect("it answers");
    assert_eq!(none, (Some(of.clone()), None));
    let ids: Vec<String> = ["thing-8", "thing-1", "thing-0"].map(str::to_owned).into();
    let some = table.job_items(place.workspace, of.job_id, &ids).await.expect("it answers");
    assert_eq!(some, [items[4].clone(), items[0].clone()], "in the order asked for, without what is not done");
    for limit in [1, 2, 100] {
        let page = |start| async move { place.table.list_job_items(place.workspace, of.job_id, limit, start).await };
        let mut made = 0;
        let found = walk(page, || {
            made += 1;
            let newer = item(place, of, &format!("thing-{}-{limit}-{made}", made % 5));
            async move { place.put(&newer).await }
        })
        .await;
        let ids: Vec<&String> = found.iter().map(|item| &item.id).collect();
        assert!(ids.is_sorted() && ids.iter().collect::<BTreeSet<_>>().len() == ids.len(), "pages of {limit}: {ids:?}");
        for item in &items {
            assert!(ids.contains(&&item.id), "pages of {limit}: {} was lost", item.id);
        }
    }
    let other = table.list_job_items(place.workspace, jobs[1].job_id, 10, None).await.expect("it answers");
    assert_eq!(other.items, []);
    let elsewhere = Place::new(store).workspace;
    assert_eq!(table.job(elsewhere, of.job_id).await.expect("it answers"), None);
    assert_eq!(table.list_jobs(elsewhere, 10, None).await.expect("it answers").items, []);
}

fn profile(place: &Place<'_>, name: &str) -> Profile {
    Profile {
        workspace_id: place.workspace,
        profile_id: ProfileId(new_id(place.now)),
        name: name.to_owned(),
        // What DynamoDB by itself does not keep.
        settings: json!({"": 1e200, "deep": [[[{"a": u64::MAX}]]], "none": null})
            .as_object()
            .cloned()
            .unwrap_or_default(),
        schema: Some(json!({"minimum": -1e-200})),
        revision: 1,
        created_at: place.now,
        updated_at: place.now,
        version: 1,
        stored: domain::stored::Stored::default(),
    }
}

async fn a_profile_that_is_given_meanwhile_is_not_removed(store: &Store) {
    let place = Place::new(store);
    let (here, table) = (place.workspace, place.table);
    let office = profile(&place, "Office");
    place.put(&office).await;
    let read = async || table.profile_and_given(here, office.profile_id).await.expect("it answers");
    let unknown = table.profile_and_given(here, ProfileId(new_id(place.now))).await.expect("it answers");
    assert_eq!(unknown, None);
    let commit = async |change: &dyn Fn(Commit) -> Commit| {
        table.commit(change(Commit::without_event(EventId(new_id(place.now))))).await
    };
    assert_eq!(read().await, Some((office.clone(), None)));
    // For the first time, and then again: whoever has read the time before removes nothing.
    let mut before = None;
    for minutes in [0, 5] {
        let noted = given(&office, before.as_ref(), place.now.plus(Duration::minutes(minutes))).expect("it is due");
        commit(&|commit| commit.giving(&office, Some(&noted))).await.expect("it is given");
        let outdated = commit(&|commit| commit.delete_profile(&office, before.as_ref())).await;
        assert!(matches!(outdated, Err(Error::Conflict)), "{outdated:?}");
        let (profile, now) = read().await.expect("it is there");
        assert_eq!((&profile, now.as_ref().map(|note| note.given_at)), (&office, Some(noted.after.given_at)));
        before = now;
    }
    // Of two that note it at once, one starts over; what is noted already is not in the way.
    let late = given(&office, None, place.now).expect("nobody has noted it");
    let second = commit(&|commit| commit.giving(&office, Some(&late))).await;
    assert!(matches!(second, Err(Error::Conflict)), "{second:?}");
    commit(&|commit| commit.giving(&office, None).put(&profile(&place, "Beside"))).await.expect("it is given");
    commit(&|commit| commit.delete_profile(&office, before.as_ref())).await.expect("it goes");
    assert_eq!(read().await, None);
    let gone = commit(&|commit| commit.giving(&office, None).put(&profile(&place, "After"))).await;
    assert!(matches!(gone, Err(Error::Conflict)), "what is gone is given to nobody: {gone:?}");
    let id = office.profile_id.to_string();
    assert!(!rows::all(&store.bench, rows::MAIN).keys().any(|key| key.contains(&id)), "nothing is left of it");
}

async fn a_profile_is_kept_to_the_letter_and_known_by_its_name_and_its_users(store: &Store) {
    let (mut place, other) = (Place::new(store), Place::new(store));
    let office = profile(&place, "Büro");
    place.put(&office).await;
    place.later(Duration::seconds(1));
    let field = Profile { schema: None, ..profile(&place, "Field") };
    place.put(&field).await;
    let (here, table) = (place.workspace, place.table);
    assert_eq!(table.profile(here, office.profile_id).await.expect("it answers"), Some(office.clone()));
    assert_eq!(table.profile(other.workspace, office.profile_id).await.expect("it answers"), None);
    let ids = [office.profile_id, field.profile_id, ProfileId(new_id(place.now))].into();
    let names = async |workspace| table.profile_names(workspace, &ids).await.expect("it answers");
    let both = [(office.profile_id, "Büro".to_owned()), (field.profile_id, "Field".to_owned())];
    assert_eq!(names(here).await, both.into());
    assert_eq!(names(other.workspace).await, BTreeMap::new());
    let page = table.list_profiles(here, 1, None).await.expect("it answers");
    assert_eq!(page.items, std::slice::from_ref(&field));
    let page = table.list_profiles(here, 1, page.next).await.expect("it answers");
    assert_eq!((page.items, page.next), (vec![office.clone()], None));
    // Its name is taken until it has another.
    let taken = async |name: &str| table.profile_name_taken(here, name).await.expect("it answers");
    assert!(taken("BURO").await && taken("field").await && !taken("Office").await);
    assert!(!table.profile_name_taken(other.workspace, "Büro").await.expect("it answers"));
    place.edit(&office, &Profile { name: "Office".to_owned(), ..office.clone() }).await;
    assert!(!taken("Büro").await && taken("office").await);
    place.remove(&field).await;
    assert!(!taken("Field").await);
    assert_eq!(names(here).await, [(office.profile_id, "Office".to_owned())].into());
    // It is used by those who are not deleted.
    let used = async || table.profile_is_used(here, office.profile_id).await.expect("it answers");
    assert!(!used().await);
    let mut user = place.new_user("ada");
    user.client.profile_id = Some(office.profile_id);
    place.put(&user).await;
    assert!(used().await);
    assert!(!table.profile_is_used(other.workspace, office.profile_id).await.expect("it answers"));
    let end = restriction::Deleted { at: place.now, by: Actor::System, purge_after: place.now };
    place.edit(&user, &User { deleted: Some(end), ..user.clone() }).await;
    assert!(!used().await);
}

async fn events_come_by_their_identifiers(store: &Store) {
    let (mut place, other) = (Place::new(store), Place::new(store));
    let mut events = Vec::new();
    for _ in 0..3 {
        let event = place.context().event(EventType::UserCreated);
        place.table.commit(Commit::of(&event)).await.expect("an event is recorded");
        events.push(event);
        place.later(Duration::days(1));
    }
    let timeless = EventId(Uuid::from_u128(7));
    let ids = [events[2].event_id, timeless, events[0].event_id, place.id()];
    let found = place.table.events(place.workspace, &ids).await.expect("it answers");
    assert_eq!(found, [events[2].clone(), events[0].clone()]);
    assert_eq!(place.table.events(other.workspace, &ids).await.expect("it answers"), []);
}

async fn who_acts_has_a_name_in_their_own_workspace_alone(store: &Store) {
    let (place, other) = (Place::new(store), Place::new(store));
    let mut user = place.user("ada").await;
    let device = place.device(&mut user, "phone").await;
    let actors = [Actor::Device(device.device_id), Actor::Device(DeviceId(place.id().0)), Actor::System];
    let names = place.table.actor_names(place.workspace, &actors).await.expect("it answers");
    let expected = BTreeMap::from([(device.device_id.to_string(), device.display_name().to_owned())]);
    assert_eq!(names, expected);
    assert_eq!(other.table.actor_names(other.workspace, &actors).await.expect("it answers"), BTreeMap::new());
}

async fn user_filters_keep_what_they_say(store: &Store) {
    let mut place = Place::new(store);
    let hold = Restriction { at: place.now, by: Actor::System, reason: None };
    let long_ago = place.now;
    place.later(Duration::days(40));
    let network = |mdn_provisioning, seen| {
        let network = Network {
            status: NetworkStatus::Enabled,
            status_at: place.now,
            reason: None,
            mdn_provisioning: Some(mdn_provisioning),
            last_seen_at: Some(seen),
            last_archived_at: None,
        };
        BTreeMap::from([(VERIZON.to_owned(), network)])
    };
    let plain = place.new_user("plain");
    let people = [
        plain.clone(),
        User { activated_at: Some(place.now), service_level: Some("gold".to_owned()), ..place.new_user("active") },
        User { suspended: Some(hold.clone()), last_seen_at: Some(place.now), ..place.new_user("suspended") },
        User { locked: Some(hold.clone()), suspended: Some(hold), ..place.new_user("locked") },
        User { networks: network(Provisioning::Pending, long_ago), ..place.new_user("red") },
        User {
            networks: network(Provisioning::Enabled, long_ago),
            last_seen_at: Some(long_ago),
            ..place.new_user("orange")
        },
        User { networks: network(Provisioning::Enabled, place.now), ..place.new_user("green") },
    ];
    for user in &people {
        place.put(user).await;
    }
    // One who has left, and whose phone could not wipe itself.
    let gone = || Some(restriction::Deleted { at: place.now, by: Actor::System, purge_after: place.now });
    let leaver = User { deleted: gone(), ..place.new_user("leaver") };
    let phone = Device { deleted: gone(), ..place.new_device(leaver.user_id, "left") };
    let mut wipe = command(&place, &phone, CommandKind::Wipe, CommandState::Failed);
    wipe.again_at = Some(place.now);
    let phone = Device { commands: vec![open(&wipe)], ..phone };
    place.put(&User { left_device_ids: BTreeSet::from([phone.device_id]), ..leaver }).await;
    place.put(&wipe).await;
    place.put(&phone).await;
    let mut holder = people[1].clone();
    let device = place.device(&mut holder, "phone").await;
    let lock = command(&place, &device, CommandKind::Lock, CommandState::Queued);
    let _device = give(&place, &device, &[lock]).await;
    let place = &place;
    let find = |filter: UserFilter| async move {
        let page = place.table.list_users(place.workspace, &filter, 100, None, place.now).await.expect("it answers");
        page.items.into_iter().map(|person| person.user.username).collect::<BTreeSet<_>>()
    };
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<String>>();
    let none = UserFilter::default;
    let all = ["plain", "active", "suspended", "locked", "red", "orange", "green", "leaver"];
    let light = |light| UserFilter { network_indicator: Some(light), ..none() };
    let status = |status| UserFilter { status: Some(status), ..none() };
    let seen = |before| UserFilter { last_seen_before: Some(before), ..none() };
    let table: Vec<(UserFilter, &[&str])> = vec![
        (none(), &all),
        (status(UserStatus::Inactive), &["plain", "red", "orange", "green"]),
        (status(UserStatus::Active), &["active"]),
        (status(UserStatus::Suspended), &["suspended"]),
        (status(UserStatus::Locked), &["locked"]),
        (status(UserStatus::Deleted), &["leaver"]),
        (UserFilter { service_level: Some("gold".to_owned()), ..none() }, &["active"]),
        (UserFilter { service_level: Some("Gold".to_owned()), ..none() }, &[]),
        (light(Indicator::Red), &["red"]),
        (light(Indicator::Orange), &["orange"]),
        (light(Indicator::Green), &["green"]),
        (light(Indicator::None), &["plain", "active", "suspended", "locked", "leaver"]),
        (seen(place.now), &["orange"]),
        (seen(place.now.plus(Duration::milliseconds(1))), &["orange", "suspended"]),
        (seen(long_ago), &[]),
        (UserFilter { pending_command: Some(true), ..none() }, &["active", "leaver"]),
        (UserFilter { unconfirmed_wipe: Some(true), ..none() }, &["leaver"]),
        (UserFilter { unconfirmed_wipe: Some(true), status: Some(UserStatus::Active), ..none() }, &[]),
        (UserFilter { unconfirmed_wipe: Some(false), search: Some(typed("active")), ..none() }, &["active"]),
        (
            UserFilter { pending_command: Some(false), ..none() },
            &["plain", "suspended", "locked", "red", "orange", "green"],
        ),
        (UserFilter { pending_command: Some(true), status: Some(UserStatus::Locked), ..none() }, &[]),
        (UserFilter { pending_command: Some(true), search: Some(typed("active")), ..none() }, &["active"]),
        (UserFilter { pending_command: Some(false), search: Some(typed("active")), ..none() }, &[]),
        (UserFilter { network_indicator: Some(Indicator::Red), search: Some(typed("example")), ..none() }, &["red"]),
    ];
    for (filter, expected) in table {
        let what = format!("{filter:?}");
        assert_eq!(find(filter).await, set(expected), "{what}");
    }
}

async fn identity_providers_see_who_is_not_deleted(store: &Store) {
    let mut place = Place::new(store);
    let workspace = place.workspace;
    let mut users = Vec::new();
    for name in ["ada", "bob", "cleo"] {
        let mut user = place.new_user(name);
        user.provenance.external_id = Some(format!("00{name}"));
        place.put(&user).await;
        users.push(user);
        place.later(Duration::seconds(1));
    }
    let [ada, bob, cleo] = [&users[0], &users[1], &users[2]];
    let kept = ScimAttributes {
        workspace_id: workspace,
        user_id: bob.user_id,
        attributes: [("roles".to_owned(), json!([{"value": "x", "primary": true}]))].into_iter().collect(),
        version: 1,
        stored: domain::stored::Stored::default(),
    };
    store.table.commit(Commit::without_event(place.id()).keep(None, Some(&kept))).await.expect("it is kept");
    let ids: Vec<UserId> = users.iter().map(|user| user.user_id).collect();
    assert_eq!(store.table.user_ids(workspace, 3).await.expect("it is read").as_ref(), Some(&ids), "the oldest first");
    assert_eq!(store.table.user_ids(workspace, 2).await.expect("it is read"), None, "more than were asked for");
    let with = |kept: bool| store.table.scim_users(workspace, &ids, kept);
    let of_bob = |people: &[ScimUserRecord]| (people.len(), people[1].kept.clone());
    assert_eq!(of_bob(&with(true).await.expect("it is read")), (3, Some(kept.clone())));
    assert_eq!(of_bob(&with(false).await.expect("it is read")), (3, None));
    assert_eq!(store.table.ids_of_username(workspace, "ADA").await.expect("it is read"), [ada.user_id].into());
    assert_eq!(store.table.id_of_external_id(workspace, "00bob").await.expect("it is read"), Some(bob.user_id));
    assert_eq!(
        store.table.id_of_external_id(workspace, "00BOB").await.expect("it is read"),
        None,
        "in its own capitals"
    );
    // One external id is one user's.
    let mut twin = place.new_user("twin");
    twin.provenance.external_id = Some("00ada".to_owned());
    lost(store.table.commit(Commit::without_event(place.id()).put(&twin)).await, "the external id is taken");
    // Nothing is kept from then on, or something else.
    let other =
        ScimAttributes { attributes: [("title".to_owned(), json!("Chief"))].into_iter().collect(), ..kept.clone() };
    store.table.commit(Commit::without_event(place.id()).keep(Some(&kept), Some(&other))).await.expect("it is kept");
    let now = store.table.scim_attributes(workspace, bob.user_id).await.expect("it is read").expect("it is kept");
    assert_eq!((&now.attributes, now.version), (&other.attributes, 2));
    store.table.commit(Commit::without_event(place.id()).keep(Some(&now), None)).await.expect("it is forgotten");
    assert_eq!(store.table.scim_attributes(workspace, bob.user_id).await.expect("it is read"), None);
    // When an act that is on the record last changed them is known.
    let bobs = async || store.table.scim_user(workspace, bob.user_id).await.expect("it is read").expect("it is there");
    assert_eq!(bobs().await.updated_at, None, "they never were");
    let named = User { number: Some("7".to_owned()), ..bob.clone() };
    let change = Commit::of(&place.context().event(EventType::UserUpdated)).edit(bob, &named);
    store.table.commit(change).await.expect("nobody came first");
    let changed = bobs().await;
    assert_eq!((changed.user.number.as_deref(), changed.updated_at), (Some("7"), Some(place.now)));
    place.later(Duration::seconds(1));
    let bump_version =
        Commit::of(&place.context().event(EventType::UserUpdated)).bump_version(&changed.user, &changed.user);
    store.table.commit(bump_version).await.expect("nobody came first");
    assert_eq!(bobs().await.updated_at, Some(place.now));
    // Who is deleted is seen no more, and what they were called is free.
    let end = restriction::Deleted { at: place.now, by: Actor::System, purge_after: place.now.plus(Duration::days(1)) };
    place.edit(cleo, &User { deleted: Some(end), ..cleo.clone() }).await;
    assert_eq!(store.table.user_ids(workspace, 3).await.expect("it is read"), Some(vec![ada.user_id, bob.user_id]));
    assert!(store.table.scim_user(workspace, cleo.user_id).await.expect("it is read").is_none());
    assert_eq!(store.table.id_of_external_id(workspace, "00cleo").await.expect("it is read"), None);
    assert!(store.table.scim_user(WorkspaceId(Uuid::nil()), ada.user_id).await.expect("it is read").is_none());
}

async fn a_user_with_several_pending_phones_is_listed_once(store: &Store) {
    let mut place = Place::new(store);
    let mut users = Vec::new();
    let mut waiting: Vec<Vec<Device>> = Vec::new();
    for name in ["ada", "bob", "cleo"] {
        let mut user = place.user(name).await;
        let mut devices = Vec::new();
        for at in 0..3 {
            devices.push(place.device(&mut user, &format!("{name}-{at}")).await);
        }
        users.push(user);
        waiting.push(devices);
    }
    // Their phones stand mixed in the index.
    for at in 0..3 {
        for devices in &mut waiting {
            let lock = command(&place, &devices[at], CommandKind::Lock, CommandState::Queued);
            devices[at] = give(&place, &devices[at], &[lock]).await;
            place.later(Duration::seconds(1));
        }
    }
    let place = &place;
    let wanted: BTreeSet<UserId> = users.iter().map(|user| user.user_id).collect();
    let filter = &UserFilter { pending_command: Some(true), ..UserFilter::default() };
    for limit in 1..=10 {
        let page =
            |start| async move { place.table.list_users(place.workspace, filter, limit, start, place.now).await };
        let found = walk(page, nothing).await;
        let ids: BTreeSet<UserId> = found.iter().map(|person| person.user.user_id).collect();
        assert_eq!((found.len(), &ids), (3, &wanted), "pages of {limit}");
        assert!(found.iter().all(|person| person.devices.len() == 3), "each with all their phones");
    }
    // What ends between the pages neither repeats a user nor hides another.
    let page = |start| async move { place.table.list_users(place.workspace, filter, 1, start, place.now).await };
    let mut done = waiting[2].iter();
    let found = walk(page, || {
        let done = done.next();
        async move {
            if let Some(device) = done {
                place.edit(device, &Device { commands: Vec::new(), ..device.clone() }).await;
            }
        }
    })
    .await;
    let ids: Vec<UserId> = found.iter().map(|person| person.user.user_id).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "an item came twice");
    for user in &users[..2] {
        assert!(ids.contains(&user.user_id), "{} was lost", user.username);
    }
}

async fn a_deleted_user_is_found_and_their_name_is_free(store: &Store) {
    let mut place = Place::new(store);
    let mut users = Vec::new();
    for name in ["xena", "bob"] {
        let user = place.user(name).await;
        let deletion = lifecycle::Deletion { without_wipe: false, reason: None, retention: Duration::days(30) };
        let change = lifecycle::delete(&user, &[], &[], &deletion, &place.context()).expect("nothing is to wipe");
        let change = change.expect("they are there");
        let context = change.events[0].event_id;
        store.table.commit(Commit::changing(context, &change)).await.expect("nobody came first");
        let mut after = change.user.expect("it is a user's end").after;
        after.version += 1;
        users.push(after);
        place.later(Duration::minutes(1));
    }
    let place = &place;
    let filter = &UserFilter { status: Some(UserStatus::Deleted), ..UserFilter::default() };
    let page = |start| async move { place.table.list_users(place.workspace, filter, 1, start, place.now).await };
    let found: Vec<User> = walk(page, nothing).await.into_iter().map(|person| person.user).collect();
    users.reverse();
    assert_eq!(found, users, "the last one first");
    let searched = UserFilter { search: Some(typed("xena")), ..UserFilter::default() };
    let found = place.table.list_users(place.workspace, &searched, 10, None, place.now).await.expect("it answers");
    assert_eq!(found.items.len(), 1, "a deleted user is found until they are purged");
    assert!(!is_taken(place, "xena").await, "the name is free");
    let second = place.user("xena").await;
    assert!(is_taken(place, "xena").await);
    let first = users.iter().find(|user| user.username == "xena").expect("she is the first of two");
    place.remove(first).await;
    assert!(is_taken(place, "xena").await, "it is the second's now");
    let found = place.table.list_users(place.workspace, &searched, 10, None, place.now).await.expect("it answers");
    assert_eq!(found.items.iter().map(|person| person.user.user_id).collect::<Vec<_>>(), [second.user_id]);
}

async fn each_kind_of_row_comes_when_it_is_due_and_not_before(store: &Store) {
    let place = Place::new(store);
    let mut user = place.user("ada").await;
    let device = place.device(&mut user, "phone").await;
    let hour = |hours| place.now.plus(Duration::hours(hours));
    let due = |mut command: Command, hours| {
        command.expires_at = hour(hours);
        command
    };
    let open = due(command(&place, &device, CommandKind::Wipe, CommandState::CancelRequested), 1);
    let over = due(command(&place, &device, CommandKind::Lock, CommandState::Succeeded), 1);
    place.put(&open).await;
    place.put(&over).await;
    let (invitation, _) = invited(&place, &user, 1, Duration::hours(2));
    let revoked = Invitation { revoked_at: Some(place.now), ..invited(&place, &user, 1, Duration::hours(2)).0 };
    place.put(&invitation).await;
    place.put(&revoked).await;
    let (running, ended) = (job(&place), Job { due_at: None, ended_at: Some(place.now), ..job(&place) });
    place.put(&Job { due_at: Some(hour(3)), ..running.clone() }).await;
    place.put(&ended).await;
    let workspace = Workspace {
        workspace_id: place.workspace,
        name: "Here".to_owned(),
        sandbox: false,
        created_at: place.now,
        admin_count: 0,
        profile_count: 0,
        default_profile_id: None,
        settings: Settings::default(),
        silent_rule_at: Some(hour(4)),
        silent_rule_cursor: None,
        silent_rule_by: None,
        silent_rule_paused_at: None,
        version: 1,
        stored: domain::stored::Stored::default(),
    };
    place.put(&workspace).await;
    let end = restriction::Deleted { at: place.now, by: Actor::System, purge_after: hour(5) };
    place.edit(&device, &Device { deleted: Some(end.clone()), ..device.clone() }).await;
    place.edit(&user, &User { deleted: Some(end), ..user.clone() }).await;
    let found = |shard: fn(u8) -> String, by: Time| {
        let (table, workspace) = (place.table.clone(), place.workspace.to_string());
        async move {
            let mut kinds = Vec::new();
            for number in 0..due::DUE_SHARDS {
                let page = table.due(&shard(number), by, None, 1_000).await.expect("it answers");
                let rows = page.rows.into_iter().filter(|(key, _)| key.pk.contains(&workspace));
                kinds.extend(rows.map(|(_, row)| match row {
                    Ok(Some(DueRow::Command(row))) => format!("command {}", row.command_id),
                    Ok(Some(DueRow::Invitation(row))) => format!("invitation {}", row.invitation_id),
                    Ok(Some(DueRow::Job(row))) => format!("job {}", row.job_id),
                    Ok(Some(DueRow::Workspace(row))) => format!("workspace {}", row.name),
                    Ok(Some(DueRow::Device(row))) => format!("device {}", row.device_identifier),
                    Ok(Some(DueRow::User(row))) => format!("user {}", row.username),
                    other => format!("{other:?}"),
                }));
            }
            kinds.sort();
            kinds
        }
    };
    let mut expected = vec![
        format!("command {}", open.command_id),
        format!("invitation {}", invitation.invitation_id),
        format!("job {}", running.job_id),
        "workspace Here".to_owned(),
    ];
    for hours in (0..=4).rev() {
        let mut due = expected.clone();
        due.sort();
        assert_eq!(found(due::due_shard, hour(hours)).await, due, "after {hours} hours");
        let before = hour(hours).minus(Duration::milliseconds(1));
        let _latest = expected.pop();
        let mut due = expected.clone();
        due.sort();
        assert_eq!(found(due::due_shard, before).await, due, "just before {hours} hours");
    }
    assert!(found(due::purge_shard, hour(5).minus(Duration::milliseconds(1))).await.is_empty());
    assert_eq!(found(due::purge_shard, hour(5)).await, ["device phone", "user ada"]);
}

/// A user's new deployment, stored with its code, and the user as they then are.
async fn deployed(place: &Place<'_>, user: &User) -> (User, Invitation) {
    let code = new_code(letters);
    let new = NewInvitation {
        purpose: Purpose::Deploy,
        invitation_id: InvitationId(new_id(place.now)),
        code_hash: Hash::of(&code),
        channel: Channel::Email,
        devices: 1,
        life: Duration::days(7),
    };
    let change = deployments::deploy(user, &[], None, new, user.client.profile_id, &place.context())
        .expect("they have an address");
    let made = change.invitations.last().expect("one is made").after.clone();
    let commit = Commit::changing(change.events[0].event_id, &change).keep_code(&made, &code);
    place.table.commit(commit).await.expect("nobody came first");
    (place.read(user).await, made)
}

async fn a_deployment_is_found_by_its_identifier_alone_and_an_invitation_is_none(store: &Store) {
    let place = Place::new(store);
    let elsewhere = Place::new(store);
    let user = place.user("ada").await;
    let (user, made) = deployed(&place, &user).await;
    let (invitation, _code) = invited(&place, &user, 1, Duration::days(7));
    place.put(&invitation).await;
    let find = async |workspace, id| store.table.deployment(workspace, id).await.expect("it answers");
    assert_eq!(find(place.workspace, made.invitation_id).await.as_ref(), Some(&made));
    assert_eq!(find(place.workspace, invitation.invitation_id).await, None, "an invitation is no deployment");
    assert_eq!(find(place.workspace, InvitationId(new_id(place.now))).await, None);
    assert_eq!(find(place.workspace, InvitationId(user.user_id.0)).await, None);
    assert_eq!(find(elsewhere.workspace, made.invitation_id).await, None, "another workspace's thing is not there");
    assert_eq!(user.client.deployment_id, Some(made.invitation_id));
    place.remove(&made).await;
    assert_eq!(find(place.workspace, made.invitation_id).await, None);
}

async fn the_newest_deployments_of_many_users_come_at_once(store: &Store) {
    let place = Place::new(store);
    let mut users = Vec::new();
    let mut expected = BTreeMap::new();
    // More than one batch takes.
    for number in 0..102 {
        let user = place.user(&format!("user{number}")).await;
        users.push(user);
    }
    for at in [0, 50, 101] {
        let (user, made) = deployed(&place, &users[at]).await;
        expected.insert(user.user_id, made);
        users[at] = user;
    }
    let all: Vec<&User> = users.iter().collect();
    assert_eq!(store.table.deployments(&all).await.expect("it answers"), expected);
    assert_eq!(store.table.deployments(&[]).await.expect("it answers"), BTreeMap::new());
}

async fn a_users_secrets_are_set_one_by_one_and_forgotten_with_the_last(store: &Store) {
    let place = Place::new(store);
    let user = place.user("ada").await;
    let other = place.user("bob").await;
    let set = async |edit: &[(SecretKind, Option<&str>)]| {
        let edit = edit.iter().map(|(kind, secret)| (*kind, secret.map(str::to_owned))).collect();
        let change =
            deployments::set_secrets(&place.read(&user).await, &edit, &place.context()).expect("they are there");
        let change = change.expect("something changes");
        let after = change.user_after().expect("it is changed").clone();
        let commit = Commit::changing(change.events[0].event_id, &change).keep_secrets(&after, &edit);
        place.table.commit(commit).await.expect("nobody came first");
    };
    let read = async |of: &User| store.table.user_secrets(place.workspace, of.user_id).await.expect("it answers");
    let expect = |secrets: &[(SecretKind, &str)]| {
        secrets.iter().map(|(kind, secret)| (*kind, (*secret).to_owned())).collect::<BTreeMap<_, _>>()
    };
    let stored = || {
        let of_user = rows::all(&store.bench, rows::SECRETS);
        of_user.into_keys().filter(|key| key.contains(&user.user_id.to_string())).count()
    };
    assert_eq!((read(&user).await, stored()), (expect(&[]), 0));
    set(&[(SecretKind::ClientPassword, Some("kept-one")), (SecretKind::VoicemailPin, Some("27182818"))]).await;
    set(&[(SecretKind::ClientPassword, Some("kept-two")), (SecretKind::PbxSipPassword, Some("kept-three"))]).await;
    let all = [
        (SecretKind::ClientPassword, "kept-two"),
        (SecretKind::PbxSipPassword, "kept-three"),
        (SecretKind::VoicemailPin, "27182818"),
    ];
    assert_eq!((read(&user).await, stored()), (expect(&all), 1), "what is left out stays");
    set(&[(SecretKind::ClientPassword, None), (SecretKind::TeleworkerSipPassword, None)]).await;
    assert_eq!(read(&user).await, expect(&all[1..]));
    assert_eq!(read(&other).await, expect(&[]));
    let leaks = |text: &str| rows::all(&store.bench, rows::MAIN).values().any(|row| row.to_string().contains(text));
    assert!(
        !["kept-one", "kept-two", "kept-three", "27182818"].iter().any(|secret| leaks(secret)),
        "only in their own table"
    );
    set(&[(SecretKind::PbxSipPassword, None), (SecretKind::VoicemailPin, None)]).await;
    assert_eq!((read(&user).await, stored()), (expect(&[]), 0), "the row goes with the last");
    // They go with the user, too.
    set(&[(SecretKind::ClientPassword, Some("kept-four"))]).await;
    let deletion = lifecycle::Deletion { without_wipe: false, reason: None, retention: Duration::days(30) };
    let change =
        lifecycle::delete(&place.read(&user).await, &[], &[], &deletion, &place.context()).expect("nothing is to wipe");
    let change = change.expect("they are there");
    place.table.commit(Commit::changing(change.events[0].event_id, &change)).await.expect("nobody came first");
    assert_eq!((read(&user).await, stored()), (expect(&[]), 0));
}

async fn users_are_found_by_deployment_profile_and_what_their_phones_are_to_do(store: &Store) {
    let place = Place::new(store);
    let (profile, another) = (ProfileId(new_id(place.now)), ProfileId(new_id(place.now)));
    let with = |name: &str, profile: Option<ProfileId>| {
        let user = place.new_user(name);
        User { client: ClientAccount { profile_id: profile, ..ClientAccount::default() }, ..user }
    };
    let people =
        [with("none", None), with("given", Some(profile)), with("both", Some(profile)), with("other", Some(another))];
    for user in &people {
        place.put(user).await;
    }
    let _deployed = deployed(&place, &people[2]).await;
    let _deployed = deployed(&place, &people[3]).await;
    let mut holder = place.read(&people[0]).await;
    let device = place.device(&mut holder, "phone").await;
    place.edit(&device, &device.clone().forced()).await;
    let gone = with("gone", Some(profile));
    place.put(&gone).await;
    let deletion = lifecycle::Deletion { without_wipe: false, reason: None, retention: Duration::days(30) };
    let change = lifecycle::delete(&gone, &[], &[], &deletion, &place.context())
        .expect("nothing is to wipe")
        .expect("they are there");
    place.table.commit(Commit::changing(change.events[0].event_id, &change)).await.expect("nobody came first");
    let place = &place;
    let none = UserFilter::default;
    let table: Vec<(UserFilter, &[&str])> = vec![
        (UserFilter { deployed: Some(true), ..none() }, &["both", "other"]),
        (UserFilter { deployed: Some(false), ..none() }, &["none", "given"]),
        (UserFilter { profile_id: Some(profile), ..none() }, &["given", "both"]),
        (UserFilter { profile_id: Some(another), ..none() }, &["other"]),
        (UserFilter { profile_id: Some(ProfileId(new_id(place.now))), ..none() }, &[]),
        (UserFilter { profile_id: Some(profile), deployed: Some(true), ..none() }, &["both"]),
        (
            UserFilter { profile_id: Some(profile), deployed: Some(false), search: Some(typed("given")), ..none() },
            &["given"],
        ),
        (UserFilter { force_pending: Some(true), ..none() }, &["none"]),
        (UserFilter { force_pending: Some(false), ..none() }, &["given", "both", "other", "gone"]),
        (UserFilter { force_pending: Some(true), deployed: Some(true), ..none() }, &[]),
        (UserFilter { status: Some(UserStatus::Deleted), profile_id: Some(profile), ..none() }, &[]),
    ];
    for (filter, expected) in table {
        for limit in [1, 100] {
            let list = |start| place.table.list_users(place.workspace, &filter, limit, start, place.now);
            let found = walk(list, nothing).await;
            let names: BTreeSet<&str> = found.iter().map(|person| person.user.username.as_str()).collect();
            assert_eq!((names, found.len()), (expected.iter().copied().collect(), expected.len()), "{filter:?}");
        }
    }
}

fn data_set(place: &Place<'_>, name: &str) -> DataSource {
    let body = json!({"name": name, "mapping": {"username": "login", "external_id": "id"}});
    let mut fields = domain::input::Fields::of_json(body.as_object().cloned().unwrap_or_default());
    let settings = SourceSettings::of_new(&mut fields, SourceKind::Csv, &[]);
    DataSource::create(SourceKind::Csv, SourceId(new_id(place.now)), settings, &place.context()).0
}

fn user_of(place: &Place<'_>, source: &DataSource, username: &str, name: &str) -> User {
    let mut user = place.new_user(username);
    user.source = domain::models::user::Source::Csv;
    user.provenance.source_id = Some(source.source_id);
    user.provenance.external_id = Some(name.to_owned());
    user
}

async fn a_data_set_comes_with_its_users_and_what_was_uploaded(store: &Store) {
    let mut place = Place::new(store);
    let (one, two) = (data_set(&place, "one"), data_set(&place, "two"));
    place.put(&one).await;
    place.later(Duration::seconds(1));
    let two = DataSource { created_at: place.now, ..two };
    place.put(&two).await;
    let mut users = Vec::new();
    for n in 0..5 {
        place.later(Duration::seconds(1));
        let user = user_of(&place, &one, &format!("of-one-{n}"), &format!("E-{n}"));
        place.put(&user).await;
        users.insert(0, user);
    }
    place.put(&user_of(&place, &two, "of-two", "E-0")).await;
    let place = &place;
    assert_eq!(place.table.source(place.workspace, one.source_id).await.expect("it answers"), Some(one.clone()));
    assert_eq!(place.table.source(WorkspaceId(new_id(place.now)), one.source_id).await.expect("it answers"), None);
    let gone = SourceId(new_id(place.now));
    let there = place.table.sources(place.workspace, &[gone, two.source_id]).await.expect("it answers");
    assert_eq!(there, std::slice::from_ref(&two));
    for limit in [1, 100] {
        let page = |start| async move { place.table.list_sources(place.workspace, limit, start).await };
        assert_eq!(walk(page, nothing).await, [two.clone(), one.clone()]);
        let id = one.source_id;
        let page = |start| async move { place.table.users_of_source(place.workspace, id, limit, start).await };
        assert_eq!(walk(page, nothing).await, users);
    }
    // Parts come in the order of their numbers, those of another upload not at all.
    let (upload, other) = (new_id(place.now), new_id(place.now));
    for (upload_id, number) in [(upload, 10), (upload, 2), (other, 1), (upload, 1)] {
        let bytes = aws::bytes(&vec![u8::try_from(number).unwrap_or(0); 200 * 1024]);
        let (workspace_id, source_id) = (place.workspace, one.source_id);
        place.put(&staging::UploadPart { workspace_id, source_id, upload_id, number, bytes, at: place.now }).await;
    }
    let id = one.source_id;
    let page = |start| async move { place.table.upload_parts(place.workspace, id, upload, start).await };
    let parts = walk(page, nothing).await;
    assert_eq!(parts.iter().map(|part| (part.number, part.bytes[0])).collect::<Vec<_>>(), [(1, 1), (2, 2), (10, 10)]);
    // A token is kept and forgotten.
    let keep = Commit::without_event(place.id()).keep_source_token(id, "a token");
    place.table.commit(keep).await.expect("it is kept");
    assert_eq!(place.table.source_token(id).await.expect("it answers").as_deref(), Some("a token"));
    place.table.commit(Commit::without_event(place.id()).forget_source_token(id)).await.expect("it is forgotten");
    assert_eq!(place.table.source_token(id).await.expect("it answers"), None);
}

async fn what_a_data_set_calls_its_users_is_unique_in_it_alone(store: &Store) {
    let place = Place::new(store);
    let (one, two) = (data_set(&place, "one"), data_set(&place, "two"));
    let (ada, bob) = (user_of(&place, &one, "ada", "E-1"), user_of(&place, &two, "bob", "E-1"));
    place.put(&ada).await;
    place.put(&bob).await;
    let same = user_of(&place, &one, "eve", "E-1");
    let refused = place.table.commit(Commit::without_event(place.id()).put(&same)).await;
    assert!(matches!(refused, Err(Error::Conflict)), "{refused:?}");
    let names = [
        ("ADA".to_owned(), None),
        ("nobody".to_owned(), Some("E-1".to_owned())),
        ("bob".to_owned(), Some("E-2".to_owned())),
    ];
    let claimed = place.table.claimed(place.workspace, one.source_id, &names).await.expect("it answers");
    let whom = |user: &Option<User>| user.as_ref().map(|user| user.username.clone());
    let claimed: Vec<_> = claimed.iter().map(|c| (whom(&c.by_username), whom(&c.by_external_id))).collect();
    let ada_there = || Some("ada".to_owned());
    assert_eq!(claimed, [(ada_there(), None), (None, ada_there()), (Some("bob".to_owned()), None)]);
    // Another name, and what was theirs is free.
    let mut renamed = ada.clone();
    renamed.provenance.external_id = Some("E-3".to_owned());
    place.table.commit(Commit::without_event(place.id()).edit(&ada, &renamed)).await.expect("it is free");
    place.put(&same).await;
}

async fn whom_a_data_set_knows_by_another_username_is_found_by_it_there_alone(store: &Store) {
    let place = Place::new(store);
    let (one, two) = (data_set(&place, "one"), data_set(&place, "two"));
    let mut ada = user_of(&place, &one, "by-hand", "E-1");
    ada.provenance.source_username = Some("Ada".to_owned());
    place.put(&ada).await;
    let known = async |source: &DataSource, name: &str| {
        let names = [(name.to_owned(), None)];
        let claimed = place.table.claimed(place.workspace, source.source_id, &names).await.expect("it answers");
        claimed[0].by_source_username.as_ref().map(|user| user.username.clone())
    };
    let there = Some("by-hand".to_owned());
    assert_eq!((known(&one, "ADA").await, known(&two, "ada").await), (there.clone(), None));
    assert_eq!(known(&one, "by-hand").await, None, "by their own name they are found by that");
    // Another one who is known so comes in nobody's way, and whoever is called so again is not known so.
    let mut eve = user_of(&place, &one, "eve", "E-2");
    eve.provenance.source_username = Some("ada".to_owned());
    place.put(&eve).await;
    assert_eq!(known(&one, "ada").await, Some("eve".to_owned()));
    let mut again = eve.clone();
    again.provenance.source_username = None;
    place.table.commit(Commit::without_event(place.id()).edit(&eve, &again)).await.expect("it is written");
    assert_eq!(known(&one, "ada").await, None);
}

async fn what_a_sync_staged_is_read_and_removed_by_its_job(store: &Store) {
    let place = Place::new(store);
    let source_id = SourceId(new_id(place.now));
    let stage =
        |job_id| staging::StagedKey { workspace_id: place.workspace, source_id, job_id, attempt: new_id(place.now) };
    let (one, other) = (stage(JobId(new_id(place.now))), stage(JobId(new_id(place.now))));
    for stage in [one, other] {
        for number in 0..95 {
            let rows = aws::bytes(&[7, 0, 255]);
            place.put(&staging::StagedRows { stage, number, rows, at: place.now }).await;
        }
        let keys = staging::StagedKeys::bytes_of(&[1, u64::MAX, 7 << 40]);
        place.put(&staging::StagedKeys { stage, number: 0, keys, at: place.now }).await;
    }
    let rows = place.table.staged_rows(one, 94).await.expect("it answers").map(|staged| staged.rows.into_vec());
    assert_eq!(rows, Some(vec![7, 0, 255]));
    assert_eq!(place.table.staged_rows(one, 95).await.expect("it answers"), None);
    let hashes = place.table.staged_keys(one, 0).await.expect("it answers").map(|staged| staged.hashes());
    assert_eq!(hashes, Some(vec![1, u64::MAX, 7 << 40]));
    let leavings = StagedRowsOf::Job(one.job_id);
    let mut removed = 0;
    loop {
        let keys = place.table.leavings(place.workspace, source_id, &leavings).await.expect("it answers");
        if keys.is_empty() {
            break;
        }
        removed += keys.len();
        place.table.commit(Commit::without_event(place.id()).clear(&keys)).await.expect("they go");
    }
    assert_eq!(removed, 96);
    assert!(place.table.staged_rows(other, 0).await.expect("it answers").is_some(), "another job's stay");
}
