//! The store's contract: the guarantees for each kind of row, case by case, on the embedded DynamoDB, over
//! HTTP, by the real SDK. One file per kind; each case has its own system and its own workspaces.

mod access;
mod commands;
mod commits;
mod deployments;
mod derived;
mod devices;
mod events;
mod invitations;
mod jobs;
mod messages;
mod profiles;
mod scim;
mod second_rows;
mod sources;
mod usage;
mod users;
mod webhooks;
mod words;
mod work;

use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};

use aws::{Commit, Page, Position, Row, Table};
use chrono::Duration;
use domain::error::Error;
use domain::ids::timed_uuid;
use domain::models::actor::Actor;
use domain::models::command::{Command, CommandKind, OpenCommand};
use domain::models::device::{Device, IdentifierClaim};
use domain::models::event::EventType;
use domain::models::job::{Job, JobKind, NewJob, Selection};
use domain::models::offer::{Channel, NewOffer, Offer, Purpose};
use domain::models::push::Push;
use domain::models::usage::{Counts, Usage, UsageKind, UsageScope};
use domain::models::user::{NewUser, User};
use domain::models::workspace::Workspace;
use domain::rules::context::EventContext;
use domain::rules::jobs::begin;
use domain::rules::offers::create_offer;
use domain::search::Query;
use domain::secret::{Hash, new_code};
use domain::states::{CommandState, Platform, UserStatus};
use domain::{CommandId, DeviceId, EventId, InvitationId, JobId, Time, UserId, WorkspaceId};
use serde_json::json;
use testkit::rows;
use testkit::wire::Store;
use uuid::Uuid;

/// The store of one case: a system of its own. When it is dropped, it checks that no read could have missed an
/// earlier write.
struct TestStore(Store);

impl TestStore {
    async fn start() -> Self {
        Self(Store::start().await)
    }
}

impl Deref for TestStore {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.0
    }
}

impl Drop for TestStore {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let requests = self.0.recorder.take();
            let stale: Vec<_> = requests.iter().filter(|sent| sent.call.stale).collect();
            assert!(stale.is_empty(), "reads without consistency: {stale:?}");
        }
    }
}

/// A case's own workspace, with a clock that is moved by hand and identifiers that never repeat.
struct Case<'a> {
    store: &'a Store,
    table: &'a Table,
    workspace: WorkspaceId,
    now: Time,
}

/// The next identifier.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

fn new_id(now: Time) -> Uuid {
    let mut bytes = [0; 10];
    bytes[2..].copy_from_slice(&NEXT_ID.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    timed_uuid(now, bytes)
}

/// A new short part of a key or a token.
fn short() -> String {
    format!("{:08}", NEXT_ID.fetch_add(1, Ordering::Relaxed))
}

fn letters(bytes: &mut [u8]) {
    let drawn = Hash::of(NEXT_ID.fetch_add(1, Ordering::Relaxed).to_string());
    for (byte, letter) in bytes.iter_mut().zip(drawn.as_str().bytes().cycle()) {
        *byte = letter;
    }
}

impl<'a> Case<'a> {
    fn new(store: &'a Store) -> Self {
        let now = Time::from(store.bench.now());
        Self { store, table: &store.table, workspace: WorkspaceId(new_id(now)), now }
    }

    /// The row of the workspace, which is not stored yet.
    fn workspace_row(&self) -> Workspace {
        Workspace::new(self.workspace, "Here".to_owned(), false, self.now)
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
            source_ip: None,
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
            check_in_minutes: None,
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

    /// Stores a new device of a user, and updates the user.
    async fn device(&self, user: &mut User, identifier: &str) -> Device {
        let device = self.new_device(user.user_id, identifier);
        let mut after = user.clone();
        after.device_ids.insert(device.device_id);
        let commit =
            Commit::with_event(&self.context().event(EventType::DeviceRegistered)).put(&device).edit(user, &after);
        self.table.commit(commit).await.expect("the device is created");
        after.version += 1;
        *user = after;
        device
    }

    async fn put<R: Row>(&self, row: &R) {
        self.table.commit(Commit::without_event(self.id()).put(row)).await.expect("the row is new");
    }

    async fn edit<R: Row>(&self, before: &R, after: &R) {
        self.table.commit(Commit::without_event(self.id()).edit(before, after)).await.expect("no conflict");
    }

    async fn remove<R: Row>(&self, row: &R) {
        self.table.commit(Commit::without_event(self.id()).delete(row)).await.expect("no conflict");
    }

    /// Number of rows in this workspace, including events.
    fn rows(&self) -> usize {
        let workspace = self.workspace.to_string();
        rows::all(&self.store.bench, rows::MAIN).iter().filter(|(key, _)| key.contains(&workspace)).count()
    }

    async fn read(&self, user: &User) -> User {
        self.table.user(self.workspace, user.user_id).await.expect("DynamoDB answers").expect("the user exists")
    }
}

fn expect_conflict<T: std::fmt::Debug>(result: Result<T, Error>, why: &str) {
    assert!(matches!(&result, Err(Error::Conflict)), "{why}: {result:?}");
    drop(result);
}

/// All items of a list, by pages of a size; `between` runs after each page.
async fn list_all_pages<T, P, B>(mut page: impl FnMut(Option<Position>) -> P, mut between: impl FnMut() -> B) -> Vec<T>
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
        // A cursor contains the position as bytes.
        start = Some(Position::from_bytes(&next.to_bytes()).expect("a position survives its cursor"));
        between().await;
    }
    panic!("the list does not end");
}

async fn nothing() {}

/// True if a user of the workspace has this username.
async fn is_taken(case: &Case<'_>, username: &str) -> bool {
    case.table.username_claims(case.workspace, username).await.expect("the call succeeds").are_taken_by_other(None)
}

fn invited(case: &Case<'_>, user: &User, devices: u32, life: Duration) -> (Offer, String) {
    let code = new_code(letters);
    let new = NewOffer {
        purpose: Purpose::Invite,
        invitation_id: InvitationId(new_id(case.now)),
        code: code.clone(),
        channel: Channel::Email,
        devices,
        lifetime: life,
        limits: testkit::rows::limits_before_any_message(case.workspace, Channel::Email, case.now),
    };
    let invited = create_offer(user, None, new, &case.context()).expect("the user has an address");
    (invited.new_offer().expect("an invitation is created").clone(), code)
}

fn search_query(text: &str) -> Query {
    Query::parse(text).expect("the part is text")
}

fn claim(case: &Case<'_>, device: &Device) -> IdentifierClaim {
    IdentifierClaim {
        workspace_id: case.workspace,
        device_identifier: device.device_identifier.clone(),
        device_id: device.device_id,
        user_id: device.user_id,
        epoch: device.epoch,
        held: true,
        version: 1,
        stored: domain::stored::Stored::default(),
    }
}

fn command(case: &Case<'_>, device: &Device, kind: CommandKind, state: CommandState) -> Command {
    Command {
        workspace_id: case.workspace,
        device_id: device.device_id,
        user_id: device.user_id,
        command_id: CommandId(new_id(case.now)),
        kind,
        epoch: device.epoch,
        state,
        late: false,
        queued_at: case.now,
        queued_by: Actor::System,
        reason: None,
        expires_at: case.now.plus(Duration::days(30)),
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

/// Stores open commands of a user's device.
async fn set_open_commands(case: &Case<'_>, device: &Device, commands: &[Command]) -> Device {
    let after = Device { commands: commands.iter().map(open).collect(), ..device.clone() };
    let commit = Commit::without_event(case.id()).edit(device, &after);
    case.table.commit(commands.iter().fold(commit, Commit::put)).await.expect("no conflict");
    Device { version: device.version + 1, ..after }
}

fn usage(case: &Case<'_>, of: UsageScope, month: &str, calls: u64) -> Usage {
    let counts = Counts::from([(UsageKind::Calls, calls)]);
    Usage {
        workspace_id: case.workspace,
        of,
        month: month.to_owned(),
        counts,
        version: 1,
        stored: domain::stored::Stored::default(),
    }
}

fn job(case: &Case<'_>) -> Job {
    let new = NewJob {
        job_id: JobId(new_id(case.now)),
        kind: JobKind::Users,
        action: json!({"action": "activate"}),
        action_name: "activate",
        selection: Selection::Ids(Vec::new()),
        dry_run: false,
    };
    begin(new, &case.context()).job.expect("the job is created").after
}
