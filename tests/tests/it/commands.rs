//! Commands over HTTP, in random sequences of steps: each command follows the design's transitions, and each device's
//! access follows from its own state and its user's.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use chrono::{DateTime, Duration, Utc};
use http::Method;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use serde_json::{Value, json};
use testkit::{Answer, Bench, Tenant, text};
use tokio::runtime::Runtime;

/// What happens to a command.
#[derive(Clone, Copy, Debug)]
enum Input {
    Told,
    Says(&'static str),
    NotNow,
    Cancel,
    TimeIsUp,
    Replaced,
}

/// The effect on the command.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Transition {
    To(&'static str),
    Late(&'static str),
    Counted,
    Again,
    Same,
    Refused,
}

const PENDING: [&str; 3] = ["queued", "delivered", "deferred"];
const OVER: [&str; 7] = ["canceled", "timed_out", "succeeded", "failed", "rejected", "not_supported", "removed"];
const RESULTS: [&str; 4] = ["succeeded", "failed", "rejected", "not_supported"];

/// The transitions of the design, row by row; `gone` is true for a deleted device.
fn table(kind: &str, state: &str, gone: bool, what: Input) -> Transition {
    use Transition::{Again, Counted, Late, Refused, Same, To};
    if gone && is_wipe(kind, gone) && matches!(state, "failed" | "rejected") {
        return match what {
            Input::Told => Again,
            Input::Says("succeeded") => Late("succeeded"),
            Input::Says(result) => To(result),
            Input::NotNow => Counted,
            Input::Cancel => Refused,
            Input::TimeIsUp => To("timed_out"),
            Input::Replaced => To("removed"),
        };
    }
    match (state, what) {
        ("queued", Input::Told) => To("delivered"),
        ("queued", Input::Says(result)) => To(result),
        ("queued", Input::NotNow) => Refused,
        ("queued", Input::Cancel) => To("canceled"),

        ("delivered", Input::Told) => Same,
        ("delivered", Input::Says(result)) => To(result),
        ("delivered", Input::NotNow) => To("deferred"),
        ("delivered", Input::Cancel) => To("cancel_requested"),

        ("deferred", Input::Told) => To("delivered"),
        ("deferred", Input::Says(result)) => To(result),
        ("deferred", Input::NotNow) => Counted,
        ("deferred", Input::Cancel) => To("cancel_requested"),

        ("queued" | "delivered" | "deferred", Input::TimeIsUp) => To("timed_out"),
        ("queued" | "delivered" | "deferred" | "cancel_requested", Input::Replaced) => To("removed"),

        ("cancel_requested", Input::Says(result)) => Late(result),
        ("cancel_requested", Input::NotNow | Input::TimeIsUp) => To("canceled"),
        ("cancel_requested", Input::Told | Input::Cancel) => Same,

        ("canceled" | "timed_out", Input::Says(result)) => Late(result),
        ("removed", Input::Says("succeeded")) if is_wipe(kind, gone) => Late("succeeded"),
        ("removed", Input::Says(_)) => Refused,
        (over, Input::Says(result)) => {
            if over == result {
                Same
            } else {
                Refused
            }
        }
        (_, Input::Told | Input::TimeIsUp | Input::Replaced) => Same,
        (_, Input::NotNow | Input::Cancel) => Refused,
    }
}

fn is_destructive(kind: &str) -> bool {
    matches!(kind, "wipe" | "factory_reset")
}

/// A deleted device cannot re-enrol, so for one a factory reset is a wipe as well.
fn is_wipe(kind: &str, gone: bool) -> bool {
    kind == "wipe" || gone && kind == "factory_reset"
}

/// The expected state of a command.
#[derive(Clone, Debug)]
struct Expected {
    /// Known once the list has shown the command.
    id: Option<String>,
    kind: &'static str,
    epoch: u32,
    state: &'static str,
    late: bool,
    deferrals: u64,
    expires_at: DateTime<Utc>,
    /// Time of the device's latest report.
    result_at: Option<DateTime<Utc>>,
    /// Time of the redelivery.
    again_at: Option<DateTime<Utc>>,
    /// True once it is over: its credential may then report it even after the device
    /// has re-enrolled.
    is_over: bool,
    /// Its events, oldest first.
    events: Vec<String>,
}

impl Expected {
    fn is_pending(&self, now: DateTime<Utc>) -> bool {
        PENDING.contains(&self.state) && self.expires_at > now
    }

    fn is_waiting(&self, now: DateTime<Utc>) -> bool {
        (PENDING.contains(&self.state) || self.again_at.is_some()) && self.expires_at > now
    }

    fn is_deliverable(&self, now: DateTime<Utc>) -> bool {
        self.is_waiting(now) && self.again_at.is_none_or(|again| again <= now)
    }

    /// Applies an input, and returns its effect.
    fn apply(&mut self, what: Input, gone: bool, now: DateTime<Utc>) -> Transition {
        if let Input::Says(result) = what
            && self.state == result
            && self.events.last() == Some(&format!("command.{result}"))
        {
            return Transition::Same;
        }
        let open = PENDING.contains(&self.state) || self.state == "cancel_requested" || self.again_at.is_some();
        if !open && matches!(what, Input::TimeIsUp | Input::Replaced) {
            return Transition::Same;
        }
        let next = table(self.kind, self.state, gone, what);
        let is_redeliverable =
            gone && is_wipe(self.kind, gone) && (PENDING.contains(&self.state) || self.again_at.is_some());
        let happened = match next {
            Transition::To(state) | Transition::Late(state) => {
                let fails = matches!(next, Transition::To("failed" | "rejected"));
                self.again_at = (is_redeliverable && fails).then(|| now + Duration::days(1));
                self.result_at = Some(now);
                self.state = state;
                self.late |= matches!(next, Transition::Late(_));
                self.is_over |= OVER.contains(&state);
                state
            }
            Transition::Counted => "deferred",
            Transition::Again => {
                self.again_at = Some(now + Duration::days(1));
                "delivered"
            }
            Transition::Same | Transition::Refused => return next,
        };
        if matches!(what, Input::NotNow) {
            self.deferrals += 1;
        }
        self.events.push(format!("command.{happened}"));
        next
    }
}

/// The expected state of a device.
#[derive(Clone, Debug)]
struct Device {
    id: String,
    epoch: u32,
    deleted: bool,
    blocked: bool,
    erased: bool,
    replaced: bool,
    last_login: Option<DateTime<Utc>>,
    commands: Vec<Expected>,
    /// True if the last wipe ended without a confirmation.
    unconfirmed: bool,
}

impl Device {
    fn request_command(
        &mut self,
        kind: &'static str,
        days: Option<i64>,
        now: DateTime<Utc>,
    ) -> Result<usize, &'static str> {
        if self.deleted && (self.replaced || kind != "wipe" || !self.is_unconfirmed()) {
            return Err("device_deleted");
        }
        if self.erased {
            return Err("device_erased");
        }
        let stands_for = |known: &Expected| known.kind == kind || (is_destructive(known.kind) && is_destructive(kind));
        if let Some(pending) = self.commands.iter().position(|known| known.is_pending(now) && stands_for(known)) {
            return Ok(pending);
        }
        for outlived in self.commands.iter_mut().filter(|known| known.kind == kind || known.again_at.is_some()) {
            match outlived.again_at.take() {
                // It stays failed, and the new one replaces it.
                Some(_) => {}
                None => drop(outlived.apply(Input::TimeIsUp, self.deleted, now)),
            }
        }
        self.unconfirmed &= !is_destructive(kind);
        let days = days.unwrap_or(if is_destructive(kind) { 90 } else { 30 });
        self.commands.push(Expected {
            id: None,
            kind,
            epoch: self.epoch,
            state: "queued",
            late: false,
            deferrals: 0,
            expires_at: now + Duration::days(days),
            result_at: None,
            again_at: None,
            is_over: false,
            events: vec!["command.queued".to_owned()],
        });
        Ok(self.commands.len() - 1)
    }

    fn has_pending_erasure(&self, now: DateTime<Utc>) -> bool {
        self.commands.iter().any(|known| is_destructive(known.kind) && known.is_pending(now))
    }

    /// True if a wipe was requested and not canceled, and is not confirmed.
    fn is_unconfirmed(&self) -> bool {
        let open = |known: &Expected| {
            is_wipe(known.kind, self.deleted) && (PENDING.contains(&known.state) || known.again_at.is_some())
        };
        !self.erased && (self.unconfirmed || self.commands.iter().any(open))
    }

    /// Updates `unconfirmed` after a change of a wipe.
    fn update_unconfirmed(&mut self, at: usize) {
        let known = &self.commands[at];
        if known.epoch != self.epoch {
            return;
        }
        if known.state == "succeeded" && is_destructive(known.kind) {
            self.unconfirmed = false;
        }
        let open = |known: &Expected| {
            let open = PENDING.contains(&known.state) || known.state == "cancel_requested" || known.again_at.is_some();
            is_wipe(known.kind, self.deleted) && open
        };
        let is_final = matches!(known.state, "failed" | "rejected" | "not_supported" | "timed_out" | "removed");
        self.unconfirmed |= is_wipe(known.kind, self.deleted) && is_final && !self.commands.iter().any(open);
    }

    /// Its open commands, deliverable now or later.
    fn waiting(&self, now: DateTime<Utc>) -> BTreeSet<String> {
        let waiting = self.commands.iter().filter(|known| !self.erased && known.is_waiting(now));
        waiting.map(|known| known.id.clone().expect("the list has shown the command")).collect()
    }

    /// Deletes the device; the last wipe, if it failed, is delivered again.
    fn delete(&mut self, now: DateTime<Utc>) {
        if self.deleted {
            return;
        }
        self.deleted = true;
        let (epoch, erased) = (self.epoch, self.erased);
        let last = self.commands.iter_mut().rfind(|known| is_destructive(known.kind));
        let failed = |known: &&mut Expected| {
            let failed = known.kind == "wipe" && matches!(known.state, "failed" | "rejected") && !known.late;
            failed && known.epoch == epoch && known.expires_at > now && !erased
        };
        if let Some(failed) = last.filter(failed) {
            failed.again_at = failed.result_at.map(|at| at + Duration::days(1));
            self.unconfirmed = false;
        }
    }

    fn deliverable(&self, now: DateTime<Utc>) -> BTreeSet<String> {
        let served = self.commands.iter().filter(|known| known.is_deliverable(now));
        served.map(|known| known.id.clone().expect("the list has shown the command")).collect()
    }
}

/// A phone with all credentials and devices that it has had, newest last.
#[derive(Clone, Debug, Default)]
struct Phone {
    credentials: Vec<Credential>,
    devices: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Credential {
    secret: String,
    device: usize,
    epoch: u32,
}

/// A step of an admin, a phone or a schedule.
#[derive(Clone, Debug)]
enum Step {
    Order { phone: usize, kind: &'static str, days: Option<i64> },
    ResetPin,
    Rename,
    LockAndWipe,
    Suspend,
    Activate,
    Block { phone: usize },
    Unblock { phone: usize },
    Cancel { phone: usize, command: usize },
    CheckIn { phone: usize, credential: usize },
    Say { phone: usize, credential: usize, command: usize, result: &'static str },
    Wait { days: i64 },
    RunDue,
    Delete { phone: usize },
    Enrol { phone: usize },
}

/// Steps, most of them of commands. An index that selects one of several
/// counts from the newest.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let phone = 0..2_usize;
    let newest = || prop_oneof![6 => Just(0_usize), 2 => Just(1), 1 => 2..5_usize];
    let kind = prop_oneof![3 => Just("wipe"), 1 => Just("lock")];
    let result = prop_oneof![
        4 => Just("succeeded"), 1 => Just("failed"), 1 => Just("rejected"), 1 => Just("not_supported"),
        3 => Just("deferred"),
    ];
    let days = prop_oneof![2 => Just(None), 1 => Just(Some(2))];
    let step = prop_oneof![
        6 => (phone.clone(), kind, days).prop_map(|(phone, kind, days)| Step::Order { phone, kind, days }),
        1 => Just(Step::ResetPin),
        1 => Just(Step::Rename),
        1 => Just(Step::LockAndWipe),
        1 => Just(Step::Suspend),
        2 => Just(Step::Activate),
        1 => phone.clone().prop_map(|phone| Step::Block { phone }),
        1 => phone.clone().prop_map(|phone| Step::Unblock { phone }),
        3 => (phone.clone(), newest()).prop_map(|(phone, command)| Step::Cancel { phone, command }),
        8 => (phone.clone(), newest()).prop_map(|(phone, credential)| Step::CheckIn { phone, credential }),
        10 => (phone.clone(), newest(), newest(), result)
            .prop_map(|(phone, credential, command, result)| Step::Say { phone, credential, command, result }),
        2 => prop_oneof![Just(1), Just(3), Just(31), Just(91)].prop_map(|days| Step::Wait { days }),
        2 => Just(Step::RunDue),
        1 => phone.clone().prop_map(|phone| Step::Delete { phone }),
        4 => phone.prop_map(|phone| Step::Enrol { phone }),
    ];
    proptest::collection::vec(step, 1..50)
}

/// A user with two phones, in the store and in the model.
struct Walk<'a> {
    bench: &'a Bench,
    tenant: Tenant,
    user: String,
    since: DateTime<Utc>,
    renamed: usize,
    suspended: bool,
    locked: bool,
    devices: Vec<Device>,
    phones: [Phone; 2],
    /// Wipes whose report was accepted as a confirmation.
    wiped: BTreeSet<String>,
    /// The latest listing of each command.
    shown: BTreeMap<String, Value>,
}

impl<'a> Walk<'a> {
    async fn start(bench: &'a Bench) -> Self {
        let tenant = bench.tenant("Walk").await;
        let user = bench.user(&tenant, "ada").await;
        let mut walk = Self {
            bench,
            tenant,
            user,
            since: bench.now(),
            renamed: 0,
            suspended: false,
            locked: false,
            devices: Vec::new(),
            phones: Default::default(),
            wiped: BTreeSet::new(),
            shown: BTreeMap::new(),
        };
        for phone in 0..2 {
            walk.enrol(phone).await;
        }
        walk.compare_with_store(None).await;
        walk
    }

    /// The newest device of a phone.
    fn device(&mut self, phone: usize) -> &mut Device {
        let device = *self.phones[phone].devices.last().expect("each phone begins enrolled");
        &mut self.devices[device]
    }

    /// Adds a command to each of the user's devices except erased ones.
    fn request_for_all(&mut self, kind: &'static str) {
        let now = self.bench.now();
        for device in self.devices.iter_mut().filter(|device| !device.deleted && !device.erased) {
            let _at = device.request_command(kind, None, now);
        }
    }

    /// A command of a phone, counted from the newest: the indexes of its device and of the command.
    fn command(&self, phone: usize, back: usize) -> Option<(usize, usize)> {
        let of = |&device: &usize| (0..self.devices[device].commands.len()).map(move |at| (device, at));
        let all: Vec<(usize, usize)> = self.phones[phone].devices.iter().flat_map(of).collect();
        all.len().checked_sub(1).map(|last| all[last - back.min(last)])
    }

    fn credential(&self, phone: usize, back: usize) -> Credential {
        let all = &self.phones[phone].credentials;
        let last = all.len() - 1;
        all[last - back.min(last)].clone()
    }

    async fn admin(&self, method: Method, path: &str, body: Value) -> Answer {
        self.bench.call(method, path, Some(&self.tenant.key), Some(&body)).await
    }

    async fn act_on_user(&self, action: &str) {
        let path = format!("/users/{}/{action}", self.user);
        let _done = self.admin(Method::POST, &path, json!({})).await.expect(200);
    }

    async fn take(&mut self, step: &Step) {
        match *step {
            Step::Order { phone, kind, days } => self.request_command(phone, kind, days).await,
            Step::ResetPin => {
                self.act_on_user("reset-pin").await;
                self.locked = false;
                self.request_for_all("reset_pin");
            }
            Step::Rename => {
                self.renamed += 1;
                let body = json!({"username": format!("ada{}", self.renamed)});
                let _updated = self.admin(Method::PATCH, &format!("/users/{}", self.user), body).await.expect(200);
                self.request_for_all("factory_reset");
            }
            Step::LockAndWipe => {
                self.act_on_user("lock-and-wipe").await;
                self.locked = true;
                self.request_for_all("wipe");
            }
            Step::Suspend => {
                self.act_on_user("suspend").await;
                self.suspended = true;
            }
            Step::Activate => {
                self.act_on_user("activate").await;
                (self.suspended, self.locked) = (false, false);
            }
            Step::Block { phone } => self.block(phone, true).await,
            Step::Unblock { phone } => self.block(phone, false).await,
            Step::Cancel { phone, command } => self.cancel(phone, command).await,
            Step::CheckIn { phone, credential } => self.check_in(phone, credential).await,
            Step::Say { phone, credential, command, result } => self.report(phone, credential, command, result).await,
            Step::Wait { days } => self.bench.advance(Duration::days(days)),
            Step::RunDue => self.run_due().await,
            Step::Delete { phone } => {
                let path = format!("/devices/{}", self.device(phone).id);
                let _deleted = self.admin(Method::DELETE, &path, json!({})).await.expect(200);
                let now = self.bench.now();
                self.device(phone).delete(now);
            }
            Step::Enrol { phone } => self.enrol(phone).await,
        }
    }

    async fn request_command(&mut self, phone: usize, kind: &'static str, days: Option<i64>) {
        let now = self.bench.now();
        let path = format!("/devices/{}/{kind}", self.device(phone).id);
        let answer = self.admin(Method::POST, &path, json!({"expires_in_days": days})).await;
        match self.device(phone).request_command(kind, days, now) {
            Err(code) => assert_eq!(answer.expect(409).code(), code),
            Ok(at) => {
                let known = self.device(phone).commands[at].clone();
                let answer = answer.expect(202);
                assert_eq!(answer.get("state"), known.state);
                assert!(
                    known.id.is_none_or(|id| id == answer.get("command_id")),
                    "a repeated request returns the same command"
                );
            }
        }
    }

    async fn block(&mut self, phone: usize, blocked: bool) {
        let action = if blocked { "block" } else { "unblock" };
        let path = format!("/devices/{}/{action}", self.device(phone).id);
        let answer = self.admin(Method::POST, &path, json!({})).await;
        if self.device(phone).deleted {
            assert_eq!(answer.expect(409).code(), "device_deleted");
        } else {
            let _done = answer.expect(200);
            self.device(phone).blocked = blocked;
        }
    }

    async fn cancel(&mut self, phone: usize, back: usize) {
        let Some((device, at)) = self.command(phone, back) else {
            return;
        };
        let now = self.bench.now();
        let device = &mut self.devices[device];
        let known = &mut device.commands[at];
        let path = format!("/devices/{}/commands/{}", device.id, known.id.as_deref().unwrap());
        let answer = self.bench.delete(&path, &self.tenant.key).await;
        match known.apply(Input::Cancel, device.deleted, now) {
            Transition::Refused => {
                let answer = answer.expect(409);
                assert_eq!((answer.code(), answer.get("state").as_str()), ("command_over", known.state));
            }
            _ => assert_eq!(answer.expect(200).get("state"), known.state),
        }
    }

    async fn check_in(&mut self, phone: usize, back: usize) {
        let credential = self.credential(phone, back);
        let answer = self.bench.check_in(&credential.secret).await;
        let (now, access) = (self.bench.now(), self.access(credential.device));
        let device = &mut self.devices[credential.device];
        if credential.epoch < device.epoch || device.replaced || device.erased {
            assert_eq!(answer.expect(401).code(), "re_enrol");
            return;
        }
        let answer = answer.expect(200);
        assert_eq!(answer.get("access"), access);
        let events: Vec<Value> = answer.body["commands"].as_array().cloned().unwrap_or_default();
        let ids: BTreeSet<String> = events.iter().map(|command| text(&command["command_id"])).collect();
        assert_eq!(
            (ids, events.len()),
            (device.deliverable(now), device.deliverable(now).len()),
            "the delivered commands are the pending ones"
        );
        device.commands.iter_mut().filter(|known| known.is_deliverable(now)).for_each(|known| {
            known.apply(Input::Told, device.deleted, now);
        });
        if access == "allowed" {
            device.last_login = Some(now);
        }
    }

    async fn report(&mut self, phone: usize, credential: usize, command: usize, result: &'static str) {
        let Some((device, at)) = self.command(phone, command) else {
            return;
        };
        let credential = self.credential(phone, credential);
        let id = self.devices[device].commands[at].id.clone().unwrap();
        let answer = self.bench.report_command(&credential.secret, &id, result).await;
        if device != credential.device {
            // The command belongs to another device.
            let speaks = credential.epoch == self.devices[credential.device].epoch;
            let _refused = answer.expect(if speaks { 404 } else { 401 });
            return;
        }
        let now = self.bench.now();
        let device = &mut self.devices[device];
        let known = &mut device.commands[at];
        if credential.epoch < device.epoch && !(known.is_over && known.epoch == credential.epoch) {
            assert_eq!(answer.expect(401).code(), "re_enrol");
            return;
        }
        let before = known.state;
        let what = if result == "deferred" { Input::NotNow } else { Input::Says(result) };
        match known.apply(what, device.deleted, now) {
            Transition::Refused => {
                assert_eq!(answer.expect(409).code(), "command_over");
                return;
            }
            _ => assert_eq!(answer.expect(200).get("state"), known.state),
        }
        let (state, kind, epoch) = (known.state, known.kind, known.epoch);
        device.update_unconfirmed(at);
        if state == "succeeded" {
            if kind == "wipe" {
                self.wiped.insert(id);
            }
            device.erased |=
                is_destructive(kind) && before != "removed" && epoch == device.epoch && before != "succeeded";
        }
    }

    async fn run_due(&mut self) {
        let now = self.bench.now();
        let run = self.bench.run_due().await;
        assert_eq!(run["failed"], 0);
        for device in &mut self.devices {
            for at in 0..device.commands.len() {
                if device.commands[at].expires_at <= now {
                    let next = device.commands[at].apply(Input::TimeIsUp, device.deleted, now);
                    if next != Transition::Same {
                        device.update_unconfirmed(at);
                    }
                }
            }
        }
    }

    async fn enrol(&mut self, phone: usize) {
        // A recipient gets at most five texts a day.
        self.bench.advance(Duration::hours(5));
        let invite = format!("/users/{}/invite", self.user);
        let invited = self.admin(Method::POST, &invite, json!({"channel": "sms"})).await;
        if self.locked || self.suspended {
            let code = if self.locked { "user_locked" } else { "user_suspended" };
            assert_eq!(invited.expect(403).code(), code);
            return;
        }
        let _invited = invited.expect(202);
        self.bench.drain().await;
        let code = self.bench.newest_code().unwrap();
        let answer = self.bench.register(&code, &format!("{}-phone{phone}", self.user)).await;
        let newest = self.phones[phone].devices.last().copied();
        let now = self.bench.now();
        let is_blocked = newest.is_some_and(|at| !self.devices[at].deleted && self.devices[at].blocked);
        if !is_blocked && newest.is_some_and(|at| self.devices[at].has_pending_erasure(now)) {
            assert_eq!(answer.expect(409).code(), "erasure_pending");
            return;
        }
        let device = match newest.filter(|at| !self.devices[*at].deleted) {
            Some(held) => {
                if self.devices[held].blocked {
                    assert_eq!(answer.expect(403).code(), "device_blocked");
                    return;
                }
                let device = &mut self.devices[held];
                device.epoch += 1;
                device.erased = false;
                device.unconfirmed = false;
                held
            }
            None => {
                let epoch = newest.map_or(1, |at| self.devices[at].epoch + 1);
                if let Some(old) = newest {
                    self.devices[old].replaced = true;
                }
                self.devices.push(Device {
                    id: text(&answer.body["device"]["device_id"]),
                    epoch,
                    deleted: false,
                    blocked: false,
                    erased: false,
                    replaced: false,
                    last_login: None,
                    commands: Vec::new(),
                    unconfirmed: false,
                });
                let new = self.devices.len() - 1;
                self.phones[phone].devices.push(new);
                new
            }
        };
        if let Some(old) = newest {
            let old = &mut self.devices[old];
            old.commands.iter_mut().for_each(|known| {
                known.apply(Input::Replaced, old.deleted, now);
            });
        }
        let answer = answer.expect(201);
        assert_eq!(text(&answer.body["device"]["device_id"]), self.devices[device].id, "in its own slot");
        let epoch = self.devices[device].epoch;
        self.phones[phone].credentials.push(Credential { secret: answer.get("credential"), device, epoch });
    }

    fn access(&self, device: usize) -> &'static str {
        let device = &self.devices[device];
        match (device.deleted, device.blocked, self.locked, self.suspended) {
            (true, _, _, _) => "deleted",
            (_, true, _, _) => "device_blocked",
            (_, _, true, _) => "user_locked",
            (_, _, _, true) => "user_suspended",
            _ => "allowed",
        }
    }

    fn status(&self, at: usize) -> &'static str {
        let (device, now) = (&self.devices[at], self.bench.now());
        let wiping = device.has_pending_erasure(now);
        match device.last_login {
            _ if device.deleted => "deleted",
            _ if device.erased && self.access(at) == "allowed" => "needs_enrolment",
            _ if device.erased => "wiped",
            _ if wiping => "wiping",
            _ if device.blocked => "blocked",
            None => "never_seen",
            Some(login) if login < now - Duration::days(30) => "silent",
            Some(_) => "in_use",
        }
    }

    /// Compares the store with the model.
    async fn compare_with_store(&mut self, step: Option<&Step>) {
        for at in self.affected_devices(step) {
            let path = format!("/devices/{}/commands", self.devices[at].id);
            let listed = self.bench.list_all(&self.tenant, &path).await;
            self.learn_id(at, &listed);
            self.compare(at, &listed, step);
            let shown =
                self.bench.get(&format!("/devices/{}", self.devices[at].id), &self.tenant.key).await.expect(200);
            assert_eq!(shown.get("device_status"), self.status(at));
            let open = shown.body["commands"].as_array().cloned().unwrap_or_default();
            let open: BTreeSet<String> = open.iter().map(|command| text(&command["command_id"])).collect();
            assert_eq!(open, self.devices[at].waiting(self.bench.now()));
            let unconfirmed = shown.body["unconfirmed_wipe"].is_object();
            assert!(self.devices[at].replaced || unconfirmed == self.devices[at].is_unconfirmed(), "{}", shown.text);
        }
    }

    /// The devices that a step may have changed.
    fn affected_devices(&self, step: Option<&Step>) -> Vec<usize> {
        match step {
            Some(
                Step::Order { phone, .. }
                | Step::Block { phone }
                | Step::Unblock { phone }
                | Step::Cancel { phone, .. }
                | Step::CheckIn { phone, .. }
                | Step::Say { phone, .. }
                | Step::Delete { phone }
                | Step::Enrol { phone },
            ) => self.phones[*phone].devices.clone(),
            Some(Step::Wait { .. }) => Vec::new(),
            _ => (0..self.devices.len()).collect(),
        }
    }

    /// Records the identifier of a new command.
    fn learn_id(&mut self, at: usize, listed: &[Value]) {
        let known: BTreeSet<String> = self.devices[at].commands.iter().filter_map(|known| known.id.clone()).collect();
        let mut new = listed.iter().map(|command| text(&command["command_id"])).filter(|id| !known.contains(id));
        for command in self.devices[at].commands.iter_mut().filter(|known| known.id.is_none()) {
            command.id = Some(new.next().expect("the requested command is listed"));
        }
        assert_eq!(new.next(), None, "a command exists that was not requested");
    }

    fn compare(&mut self, at: usize, listed: &[Value], step: Option<&Step>) {
        let now = self.bench.now();
        let expected = |known: &Expected| {
            (known.id.clone().unwrap(), (known.kind.into(), known.state.into(), known.late, known.deferrals))
        };
        let shown = |command: &Value| {
            let (late, deferrals) = (command["late"] == true, command["deferrals"].as_u64().unwrap());
            (text(&command["command_id"]), (text(&command["kind"]), text(&command["state"]), late, deferrals))
        };
        let expected: BTreeMap<String, (String, String, bool, u64)> =
            self.devices[at].commands.iter().map(expected).collect();
        assert_eq!(listed.iter().map(shown).collect::<BTreeMap<_, _>>(), expected);

        let destructive = listed.iter().filter(|command| {
            let expires: DateTime<Utc> = text(&command["expires_at"]).parse().unwrap();
            is_destructive(&text(&command["kind"])) && PENDING.contains(&&*text(&command["state"])) && expires > now
        });
        assert!(destructive.count() <= 1, "one destructive command at a time");
        for command in listed {
            let (id, state) = (text(&command["command_id"]), text(&command["state"]));
            assert!(!self.wiped.contains(&id) || state == "succeeded", "the success of a wipe is not recorded");
            let history = command["history"].as_array().unwrap();
            let (last, gone) = (text(&history.last().unwrap()["state"]), self.devices[at].deleted);
            let is_redeliverable =
                gone && matches!(&*state, "failed" | "rejected") && is_wipe(&text(&command["kind"]), gone);
            let ends = last == state || is_redeliverable && matches!(&*last, "delivered" | "deferred");
            assert!(ends, "the history ends with the command's state: {command}");
            let Some(before) = self.shown.insert(id, command.clone()).filter(|before| before != command) else {
                continue;
            };
            let before_failed = matches!(&*text(&before["state"]), "failed" | "rejected");
            if OVER.contains(&&*text(&before["state"]))
                && !(gone && before_failed && is_wipe(&text(&command["kind"]), gone))
            {
                let by_device = matches!(step, Some(Step::Say { .. }));
                assert!(
                    by_device && command["late"] == true && RESULTS.contains(&&*state),
                    "unexpected change from {before} to {command}"
                );
                assert_eq!(
                    history[..history.len() - 1],
                    *before["history"].as_array().unwrap(),
                    "the end and the late result are both recorded"
                );
            }
        }
    }

    /// Checks that in the end no command is open, and that each has exactly its events.
    async fn end(&mut self) {
        self.bench.advance(Duration::days(400));
        self.run_due().await;
        self.compare_with_store(Some(&Step::RunDue)).await;
        for command in self.shown.values() {
            assert!(OVER.contains(&&*text(&command["state"])), "{command} is stuck");
        }
        let since = self.since.format("%Y-%m-%dT%H:%M:%SZ");
        for device in &self.devices {
            let list = format!("/events?device_id={}&since={since}", device.id);
            let mut recorded: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for event in self.bench.list_all(&self.tenant, &list).await {
                if event["command_id"].is_string() {
                    recorded.entry(text(&event["command_id"])).or_default().push(text(&event["event_type"]));
                }
            }
            let sorted = |mut types: Vec<String>| {
                types.sort();
                types
            };
            let events: BTreeMap<_, _> = recorded.into_iter().map(|(id, types)| (id, sorted(types))).collect();
            let expected =
                device.commands.iter().map(|known| (known.id.clone().unwrap(), sorted(known.events.clone())));
            assert_eq!(events, expected.collect());
        }
    }
}

/// Number of cases that share a system; a system becomes slower with each case.
const CASES_OF_A_SYSTEM: u32 = 10;

fn random_walks(config: Config, rng: TestRng) {
    let runtime = Runtime::new().unwrap();
    let (case, bench) = (Cell::new(0_u32), RefCell::new(None::<Rc<Bench>>));
    let mut runner = TestRunner::new_with_rng(config, rng);
    let outcome = runner.run(&steps(), |steps| {
        if case.get().is_multiple_of(CASES_OF_A_SYSTEM) {
            bench.replace(Some(Rc::new(runtime.block_on(Bench::start()))));
        }
        case.set(case.get() + 1);
        let bench = bench.borrow().clone().expect("a system was started");
        runtime.block_on(async {
            let mut walk = Walk::start(&bench).await;
            for step in &steps {
                walk.take(step).await;
                walk.compare_with_store(Some(step)).await;
            }
            walk.end().await;
        });
        Ok(())
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Abort(why)) => panic!("{why}"),
        Err(TestError::Fail(why, steps)) => {
            let steps: Vec<String> = steps.iter().map(|step| format!("{step:?}")).collect();
            panic!("{why}\nafter\n{}", steps.join("\n"));
        }
    }
}

fn config(cases: u32) -> Config {
    Config { cases, failure_persistence: None, max_shrink_iters: 100, ..Config::default() }
}

#[test]
fn commands_and_device_access_follow_the_model_in_random_sequences() {
    random_walks(config(8), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
}

#[test]
#[ignore = "two hundred walks"]
fn commands_and_device_access_follow_the_model_in_two_hundred_random_sequences() {
    random_walks(config(200), TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]));
}

/// A workspace with one phone that has checked in once.
struct SinglePhone {
    bench: Bench,
    tenant: Tenant,
    user: String,
    device: String,
    credential: String,
}

impl SinglePhone {
    async fn new() -> Self {
        let bench = Bench::start().await;
        let tenant = bench.tenant("Acme").await;
        let (user, phones) = bench.user_with_phones(&tenant, "ada", 1).await;
        let (device, credential) = phones[0].clone();
        let _check_in = bench.check_in(&credential).await.expect(200);
        Self { bench, tenant, user, device, credential }
    }

    async fn post(&self, action: &str, body: Value) -> Answer {
        self.bench.post(&format!("/devices/{}/{action}", self.device), &self.tenant.key, body).await
    }

    async fn request_command(&self, kind: &str) -> String {
        self.post(kind, json!({})).await.expect(202).get("command_id")
    }

    async fn cancel(&self, command: &str) -> Answer {
        self.bench.advance(Duration::seconds(1));
        self.bench.delete(&format!("/devices/{}/commands/{command}", self.device), &self.tenant.key).await
    }

    async fn report(&self, command: &str, result: &str) -> Answer {
        self.bench.advance(Duration::seconds(1));
        self.bench.report_command(&self.credential, command, result).await
    }

    async fn delivered(&self) -> Vec<String> {
        self.bench.advance(Duration::seconds(1));
        let answer = self.bench.check_in(&self.credential).await.expect(200);
        let commands = answer.body["commands"].as_array().cloned().unwrap_or_default();
        commands.iter().map(|command| text(&command["command_id"])).collect()
    }

    async fn command(&self, id: &str) -> Value {
        let listed = self.bench.list_all(&self.tenant, &format!("/devices/{}/commands", self.device)).await;
        listed.into_iter().find(|command| command["command_id"] == *id).unwrap()
    }

    /// The types of a command's events, oldest first.
    async fn events(&self, command: &str) -> Vec<String> {
        let mut events = self.bench.list_all(&self.tenant, &format!("/events?device_id={}", self.device)).await;
        events.reverse();
        events.iter().filter(|event| event["command_id"] == *command).map(|e| text(&e["event_type"])).collect()
    }

    async fn shown(&self) -> Value {
        self.bench.get(&format!("/devices/{}", self.device), &self.tenant.key).await.expect(200).body
    }

    async fn status(&self) -> String {
        text(&self.shown().await["device_status"])
    }

    /// Registers the phone again, by another code of its user.
    async fn enrol(&self) -> Answer {
        let code = self.bench.invite(&self.tenant, &self.user, 1).await;
        self.bench.register(&code, "ada-0").await
    }
}

fn states(command: &Value) -> Vec<String> {
    command["history"].as_array().unwrap().iter().map(|step| text(&step["state"])).collect()
}

#[tokio::test]
async fn a_repeated_command_request_returns_the_pending_command_and_records_one_event() {
    let fixture = SinglePhone::new().await;
    let wipe = fixture.post("wipe", json!({"reason": "lost", "expires_in_days": 40})).await.expect(202);
    assert_eq!(
        (wipe.get("kind"), wipe.get("state"), wipe.get("reason")),
        ("wipe".into(), "queued".into(), "lost".into())
    );
    assert_eq!(wipe.get("expires_at"), "2027-01-02T08:00:00.000Z");
    let repeated = fixture.post("wipe", json!({"reason": "stolen"})).await.expect(202);
    assert_eq!(repeated.body, wipe.body);
    // A lock is a separate command.
    let lock = fixture.request_command("lock").await;
    assert_eq!(fixture.request_command("lock").await, lock);
    assert_eq!(fixture.events(&wipe.get("command_id")).await, ["command.queued"]);
    assert_eq!(fixture.events(&lock).await, ["command.queued"]);
    let delivered: BTreeSet<String> = fixture.delivered().await.into_iter().collect();
    assert_eq!(delivered, [wipe.get("command_id"), lock].into());
    assert_eq!(fixture.post("wipe", json!({})).await.expect(202).get("state"), "delivered");
}

#[tokio::test]
async fn a_command_canceled_before_delivery_is_never_delivered() {
    let fixture = SinglePhone::new().await;
    let lock = fixture.request_command("lock").await;
    assert_eq!(fixture.cancel(&lock).await.expect(200).get("state"), "canceled");
    assert!(fixture.delivered().await.is_empty());
    let rejected = fixture.cancel(&lock).await.expect(409);
    assert_eq!((rejected.code(), rejected.get("state").as_str()), ("command_over", "canceled"));
    assert_eq!(fixture.events(&lock).await, ["command.queued", "command.canceled"]);
    assert_ne!(fixture.request_command("lock").await, lock, "a later request is a new command");
}

#[tokio::test]
async fn a_command_canceled_after_delivery_ends_unless_the_phone_has_carried_it_out() {
    let fixture = SinglePhone::new().await;
    let lock = fixture.request_command("lock").await;
    assert_eq!(fixture.delivered().await, std::slice::from_ref(&lock));
    fixture.bench.advance(Duration::minutes(1));
    assert_eq!(fixture.cancel(&lock).await.expect(200).get("state"), "cancel_requested");
    assert_eq!(fixture.cancel(&lock).await.expect(200).get("state"), "cancel_requested");
    assert!(fixture.delivered().await.is_empty());
    fixture.bench.advance(Duration::minutes(1));
    assert_eq!(fixture.report(&lock, "deferred").await.expect(200).get("state"), "canceled");
    let canceled = fixture.command(&lock).await;
    assert_eq!(states(&canceled), ["queued", "delivered", "cancel_requested", "canceled"]);
    assert_eq!(canceled["late"], false);
    let events = ["command.queued", "command.delivered", "command.cancel_requested", "command.canceled"];
    assert_eq!(fixture.events(&lock).await, events);
}

#[tokio::test]
async fn a_result_after_the_end_is_marked_late_and_both_are_recorded() {
    for end in ["canceled", "timed_out"] {
        let fixture = SinglePhone::new().await;
        let wipe = fixture.request_command("wipe").await;
        assert_eq!(fixture.delivered().await, std::slice::from_ref(&wipe));
        if end == "canceled" {
            let _requested = fixture.cancel(&wipe).await.expect(200);
        }
        fixture.bench.advance(Duration::days(90));
        assert_eq!(fixture.bench.run_due().await["failed"], 0);
        assert_eq!(fixture.command(&wipe).await["state"], end);
        fixture.bench.advance(Duration::minutes(1));
        let reported = fixture.report(&wipe, "succeeded").await.expect(200);
        assert_eq!((reported.get("state").as_str(), &reported.body["late"]), ("succeeded", &json!(true)));
        let command = fixture.command(&wipe).await;
        assert_eq!(states(&command)[states(&command).len() - 2..], [end, "succeeded"]);
        assert_eq!(command["history"].as_array().unwrap().last().unwrap()["late"], true);
        let events = fixture
            .bench
            .list_all(&fixture.tenant, &format!("/events?device_id={}&since=2026-11-01T00:00:00Z", fixture.device))
            .await;
        let event_of =
            |kind: &str| events.iter().find(|event| event["event_type"] == kind).cloned().unwrap_or_default();
        assert_eq!(event_of(&format!("command.{end}"))["actor"]["type"], "system", "{end}");
        assert_eq!(event_of("command.succeeded")["changes"]["late"], json!({"before": false, "after": true}));
        assert_eq!(
            event_of("command.succeeded")["actor"],
            json!({"type": "device", "id": fixture.device, "name": "iPhone 17"})
        );
        assert_eq!(fixture.status().await, "needs_enrolment", "the schedule has run");
    }
}

#[tokio::test]
async fn a_deferral_is_counted_and_the_command_is_delivered_again() {
    let fixture = SinglePhone::new().await;
    let lock = fixture.request_command("lock").await;
    assert_eq!(
        fixture.report(&lock, "deferred").await.expect(409).code(),
        "command_over",
        "the command was not delivered yet"
    );
    assert_eq!(fixture.delivered().await, std::slice::from_ref(&lock));
    for (times, state) in [(1, "deferred"), (2, "deferred")] {
        assert_eq!(fixture.report(&lock, "deferred").await.expect(200).get("state"), state);
        assert_eq!(fixture.command(&lock).await["deferrals"], times);
    }
    assert_eq!(fixture.delivered().await, std::slice::from_ref(&lock));
    assert_eq!(
        fixture.delivered().await,
        std::slice::from_ref(&lock),
        "delivered twice, so `delivered` is recorded again"
    );
    assert_eq!(fixture.command(&lock).await["state"], "delivered");
    let body = json!({"result": "rejected", "detail": "in a call"});
    let path = format!("/devices/me/commands/{lock}");
    let _reported = fixture.bench.call(Method::POST, &path, Some(&fixture.credential), Some(&body)).await.expect(200);
    let command = fixture.command(&lock).await;
    assert_eq!((&command["deferrals"], &command["detail"]), (&json!(2), &json!("in a call")));
    assert_eq!(states(&command), ["queued", "delivered", "deferred", "deferred", "delivered", "rejected"]);
    assert!(fixture.delivered().await.is_empty());
}

#[tokio::test]
async fn a_repeated_result_gets_the_same_response_and_a_different_one_is_rejected() {
    let fixture = SinglePhone::new().await;
    for result in RESULTS {
        let lock = fixture.request_command("lock").await;
        let first = fixture.report(&lock, result).await.expect(200);
        assert_eq!(fixture.report(&lock, result).await.expect(200).body, first.body);
        for other in RESULTS.into_iter().chain(["deferred"]).filter(|other| *other != result) {
            let refused = fixture.report(&lock, other).await.expect(409);
            assert_eq!((refused.code(), refused.get("state").as_str()), ("command_over", result));
        }
        assert_eq!(fixture.cancel(&lock).await.expect(409).code(), "command_over");
        assert_eq!(fixture.events(&lock).await, ["command.queued".to_owned(), format!("command.{result}")]);
    }
    let _unknown = fixture.report("0190f3c4-7b5e-7a11-8c1d-000000000001", "succeeded").await.expect(404);
    let _nonsense = fixture.report("nonsense", "succeeded").await.expect(404);
}

#[tokio::test]
async fn a_wiped_phone_loses_access_and_re_enrols_only_by_a_new_code_in_its_own_slot() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Acme").await;
    let (user, phones) = bench.user_with_phones(&tenant, "ada", 3).await;
    let (device, credential) = phones[1].clone();
    let _check_in = bench.check_in(&credential).await.expect(200);
    let wipe = bench.post(&format!("/devices/{device}/wipe"), &tenant.key, json!({})).await.expect(202);
    let wipe = wipe.get("command_id");
    let _check_in = bench.check_in(&credential).await.expect(200);
    let reported = bench.report_command(&credential, &wipe, "succeeded").await.expect(200);
    assert_eq!(bench.check_in(&credential).await.expect(401).code(), "re_enrol");
    assert_eq!(
        bench.report_command(&credential, &wipe, "succeeded").await.expect(200).body,
        reported.body,
        "the response was lost"
    );
    let path = format!("/devices/{device}");
    let erased = bench.get(&path, &tenant.key).await.expect(200);
    assert_eq!(erased.get("device_status"), "needs_enrolment");
    assert_eq!(erased.get("erased_at"), "2026-11-23T08:00:00.000Z");
    let repeated = bench.post(&format!("{path}/lock"), &tenant.key, json!({})).await.expect(409);
    assert_eq!(repeated.code(), "device_erased");

    // Its slot is reserved: another phone is rejected, and it can re-enrol itself.
    let code = bench.invite(&tenant, &user, 3).await;
    assert_eq!(bench.register(&code, "another").await.expect(409).code(), "device_limit_reached");
    let re_enrolled = bench.register(&code, "ada-1").await.expect(201);
    assert_eq!(re_enrolled.body["device"]["device_id"], *device);
    let fresh = re_enrolled.get("credential");
    assert_eq!(bench.check_in(&fresh).await.expect(200).get("access"), "allowed");
    assert_eq!(bench.check_in(&credential).await.expect(401).code(), "re_enrol");
    assert_eq!(bench.report_command(&credential, &wipe, "succeeded").await.expect(200).body, reported.body);
    assert_eq!(bench.get(&path, &tenant.key).await.expect(200).get("device_status"), "in_use");
    let held = bench.get(&format!("/users/{user}"), &tenant.key).await.expect(200);
    assert_eq!(held.body["devices"].as_array().map(Vec::len), Some(3));
    let events = bench.list_all(&tenant, &format!("/events?device_id={device}&event_type=device.re_enrolled")).await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["changes"]["epoch"], json!({"before": 1, "after": 2}));
}

#[tokio::test]
async fn a_code_from_before_the_wipe_does_not_re_enrol_the_phone() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Acme").await;
    let user = bench.user(&tenant, "ada").await;
    let code = bench.invite(&tenant, &user, 1).await;
    let phone = bench.register(&code, "phone").await.expect(201);
    let device = text(&phone.body["device"]["device_id"]);
    let wipe = bench.post(&format!("/devices/{device}/wipe"), &tenant.key, json!({})).await.expect(202);
    let credential = phone.get("credential");
    let _reported = bench.report_command(&credential, &wipe.get("command_id"), "succeeded").await.expect(200);
    assert_eq!(bench.register(&code, "phone").await.expect(410).code(), "code_used");
    assert_eq!(bench.check_in(&credential).await.expect(401).code(), "re_enrol");
}

#[tokio::test]
async fn a_phone_without_access_still_receives_and_reports_commands_and_nothing_else_is_stored() {
    for (kept_out, access) in [
        ("block", "device_blocked"),
        ("suspend", "user_suspended"),
        ("lock-and-wipe", "user_locked"),
        ("delete", "deleted"),
    ] {
        let fixture = SinglePhone::new().await;
        let wipe = fixture.request_command("wipe").await;
        let user = format!("/users/{}", fixture.user);
        let _deleted = match kept_out {
            "block" => fixture.post("block", json!({})).await,
            "delete" => fixture.bench.delete(&format!("/devices/{}", fixture.device), &fixture.tenant.key).await,
            action => fixture.bench.post(&format!("{user}/{action}"), &fixture.tenant.key, json!({})).await,
        }
        .expect(200);
        fixture.bench.drain().await;
        fixture.bench.advance(Duration::hours(1));
        let before = fixture.shown().await;
        let news = json!({
            "os_version": "99.9", "app_version": "9.9.9", "push_token": "another", "pin_failures": 50,
            "usage": {"sequence": 1, "calls": 5},
        });
        let answer = fixture.bench.check_in_with(&fixture.credential, news).await.expect(200);
        assert_eq!(answer.get("access"), access);
        assert_eq!(answer.body["commands"][0]["command_id"], *wipe, "{kept_out}");
        fixture.bench.drain().await;
        let mut after = fixture.shown().await;
        assert_eq!(after["commands"][0]["state"], "delivered");
        assert_eq!(after["unconfirmed_wipe"]["state"], "delivered");
        for events in ["commands", "unconfirmed_wipe"] {
            after[events] = before[events].clone();
        }
        assert_eq!(after, before, "{kept_out}");
        let usage = fixture.bench.get(&format!("{user}/usage"), &fixture.tenant.key).await.expect(200);
        assert_eq!(usage.body["months"], json!([]), "{kept_out}");
        assert_eq!(fixture.report(&wipe, "succeeded").await.expect(200).get("state"), "succeeded");
        let wiped = if kept_out == "delete" { "deleted" } else { "wiped" };
        assert_eq!(fixture.status().await, wiped);
        assert_eq!(fixture.bench.check_in(&fixture.credential).await.expect(401).code(), "re_enrol");
    }
}

#[tokio::test]
async fn a_devices_status_follows_its_blocks_commands_and_deletion() {
    let fixture = SinglePhone::new().await;
    let never = fixture.bench.phone(&fixture.tenant, "bob").await.0;
    let never = fixture.bench.get(&format!("/devices/{never}"), &fixture.tenant.key).await.expect(200);
    assert_eq!(never.get("device_status"), "never_seen");
    assert_eq!(fixture.status().await, "in_use");
    fixture.bench.advance(Duration::days(30));
    assert_eq!(fixture.status().await, "in_use");
    fixture.bench.advance(Duration::seconds(1));
    assert_eq!(fixture.status().await, "silent");
    let _check_in = fixture.bench.check_in(&fixture.credential).await.expect(200);
    assert_eq!(fixture.status().await, "in_use");
    let _blocked = fixture.post("block", json!({})).await.expect(200);
    assert_eq!(fixture.status().await, "blocked");
    let wipe = fixture.request_command("wipe").await;
    assert_eq!(fixture.status().await, "wiping", "a pending command is shown instead of the block");
    let _reported = fixture.report(&wipe, "succeeded").await.expect(200);
    assert_eq!(fixture.status().await, "wiped", "a blocked phone has no access");
    assert_eq!(fixture.enrol().await.expect(403).code(), "device_blocked");
    let _unblocked = fixture.post("unblock", json!({})).await.expect(200);
    assert_eq!(fixture.status().await, "needs_enrolment");
    let _back = fixture.enrol().await.expect(201);
    assert_eq!(fixture.status().await, "in_use", "it has checked in before");
    let _deleted = fixture.bench.delete(&format!("/devices/{}", fixture.device), &fixture.tenant.key).await.expect(200);
    assert_eq!(fixture.status().await, "deleted");
}

#[tokio::test]
async fn an_expired_wipe_is_not_delivered_and_no_longer_shown() {
    let fixture = SinglePhone::new().await;
    let wipe = fixture.post("wipe", json!({"expires_in_days": 1})).await.expect(202).get("command_id");
    fixture.bench.advance(Duration::days(1));
    assert!(fixture.delivered().await.is_empty(), "also before the schedule has run");
    assert_eq!(fixture.status().await, "in_use");
    let other = fixture.request_command("wipe").await;
    assert_ne!(other, wipe, "a later request is a new command, and ends the earlier one");
    assert_eq!(fixture.command(&wipe).await["state"], "timed_out");
    assert_eq!(fixture.delivered().await, [other]);
}

/// A deleted phone whose wipe has failed.
async fn deleted_phone_with_failed_wipe(by_user: bool) -> (SinglePhone, String) {
    let fixture = SinglePhone::new().await;
    let (device, user) = (format!("/devices/{}", fixture.device), format!("/users/{}", fixture.user));
    if by_user {
        let _locked =
            fixture.bench.post(&format!("{user}/lock-and-wipe"), &fixture.tenant.key, json!({})).await.expect(200);
        let _deleted = fixture.bench.delete(&user, &fixture.tenant.key).await.expect(200);
    } else {
        let _ordered = fixture.request_command("wipe").await;
        let _deleted = fixture.bench.delete(&device, &fixture.tenant.key).await.expect(200);
    }
    let delivered = fixture.delivered().await;
    let _reported = fixture.report(&delivered[0], "failed").await.expect(200);
    fixture.bench.drain().await;
    (fixture, delivered[0].clone())
}

impl SinglePhone {
    async fn user(&self) -> Value {
        self.bench.get(&format!("/users/{}", self.user), &self.tenant.key).await.expect(200).body
    }

    /// Checks what the user and the device show about the wipe: by themselves, in the lists and by each
    /// filter.
    async fn expect_shown(&self, pending: bool, unconfirmed: bool) {
        let (user, device) = (self.user().await, self.shown().await);
        assert_eq!(user["pending_command"], pending, "{user}");
        assert_eq!(user["unconfirmed_wipe"], unconfirmed, "{user}");
        assert_eq!(!device["commands"].as_array().unwrap().is_empty(), pending, "{device}");
        assert_eq!(device["unconfirmed_wipe"].is_object(), unconfirmed, "{device}");
        for (name, is) in [("pending_command", pending), ("unconfirmed_wipe", unconfirmed)] {
            for asked in [true, false] {
                let users = self.bench.list_all(&self.tenant, &format!("/users?{name}={asked}")).await;
                assert_eq!(users.iter().any(|listed| listed["user_id"] == *self.user), is == asked, "{name}={asked}");
                assert!(users.iter().all(|listed| listed[name] == asked), "{name}={asked}");
                let devices = self.bench.list_all(&self.tenant, &format!("/devices?{name}={asked}")).await;
                let found = devices.iter().any(|listed| listed["device_id"] == *self.device);
                assert_eq!(found, is == asked, "{name}={asked}");
            }
        }
    }
}

#[tokio::test]
async fn a_deleted_users_failed_wipe_is_redelivered_and_its_late_success_is_recorded() {
    for by_user in [true, false] {
        let (fixture, wipe) = deleted_phone_with_failed_wipe(by_user).await;
        fixture.expect_shown(true, true).await;
        let device = fixture.shown().await;
        assert_eq!(device["unconfirmed_wipe"]["state"], "failed");
        assert_eq!(device["errors"][0]["code"], "command_failed", "{device}");
        assert_eq!(device["commands"][0]["again_at"], "2026-11-24T08:00:02.000Z");
        assert!(fixture.delivered().await.is_empty(), "redelivery is a day after the failure");
        fixture.bench.advance(Duration::days(1));
        assert_eq!(fixture.delivered().await, std::slice::from_ref(&wipe));
        assert!(fixture.delivered().await.is_empty(), "once a day");
        assert_eq!(fixture.report(&wipe, "failed").await.expect(200).get("state"), "failed");
        fixture.bench.advance(Duration::days(1));
        assert_eq!(fixture.delivered().await, std::slice::from_ref(&wipe));
        let reported = fixture.report(&wipe, "succeeded").await.expect(200);
        assert_eq!((reported.get("state").as_str(), &reported.body["late"]), ("succeeded", &json!(true)));
        fixture.expect_shown(false, false).await;
        let events = ["queued", "delivered", "failed", "delivered", "failed", "delivered", "succeeded"];
        assert_eq!(fixture.events(&wipe).await, events.map(|kind| format!("command.{kind}")));
        fixture.bench.run_due().await;
        fixture.bench.advance(Duration::days(120));
        assert_eq!(fixture.bench.run_due().await["failed"], 0);
        assert_eq!(fixture.bench.purge().await["failed"], 0);
        let _missing =
            fixture.bench.get(&format!("/devices/{}", fixture.device), &fixture.tenant.key).await.expect(404);
    }
}

#[tokio::test]
async fn a_deleted_users_wipe_can_be_requested_again_and_delays_the_purge() {
    for by_user in [true, false] {
        let (fixture, failed) = deleted_phone_with_failed_wipe(by_user).await;
        let user = format!("/users/{}", fixture.user);
        fixture.bench.advance(Duration::days(80));
        if by_user {
            let path = format!("{user}/lock-and-wipe");
            let ordered = fixture.bench.post(&path, &fixture.tenant.key, json!({})).await.expect(200);
            assert_eq!(ordered.body["pending_command"], true, "{}", ordered.text);
            let _again = fixture.bench.post(&path, &fixture.tenant.key, json!({})).await.expect(200);
        } else {
            let _ordered = fixture.request_command("wipe").await;
        }
        fixture.bench.drain().await;
        let delivered = fixture.delivered().await;
        assert!(delivered.len() == 1 && delivered[0] != failed, "only the new command: {delivered:?}");
        let purge = "2027-05-12T08:00:02.000Z";
        assert_eq!(fixture.shown().await["purge_after"], purge);
        if by_user {
            assert_eq!(fixture.user().await["purge_after"], purge);
        }
        fixture.bench.advance(Duration::days(89));
        assert_eq!(
            (fixture.bench.run_due().await["failed"].clone(), fixture.bench.purge().await),
            (json!(0), json!({"purged": 0, "failed": 0, "more": false}))
        );
        fixture.expect_shown(true, true).await;
        fixture.bench.advance(Duration::days(1));
        assert_eq!(fixture.bench.run_due().await["failed"], 0);
        fixture.expect_shown(false, true).await;
        assert_eq!(fixture.shown().await["unconfirmed_wipe"]["state"], "timed_out");
        let refused = fixture.post("lock", json!({})).await.expect(409);
        assert_eq!(refused.code(), "device_deleted");
        assert_eq!(fixture.bench.purge().await["failed"], 0);
        let _missing =
            fixture.bench.get(&format!("/devices/{}", fixture.device), &fixture.tenant.key).await.expect(404);
    }
}

#[tokio::test]
async fn a_wipe_that_failed_before_the_deletion_is_redelivered_after_it() {
    let fixture = SinglePhone::new().await;
    let wipe = fixture.request_command("wipe").await;
    assert_eq!(fixture.delivered().await, std::slice::from_ref(&wipe));
    let _reported = fixture.report(&wipe, "failed").await.expect(200);
    fixture.expect_shown(false, true).await;
    fixture.bench.advance(Duration::days(2));
    assert!(fixture.delivered().await.is_empty(), "an existing phone is wiped by a new command");
    let _deleted = fixture.bench.delete(&format!("/devices/{}", fixture.device), &fixture.tenant.key).await.expect(200);
    fixture.expect_shown(true, true).await;
    assert_eq!(fixture.delivered().await, std::slice::from_ref(&wipe));
    assert_eq!(fixture.report(&wipe, "succeeded").await.expect(200).body["late"], true);
    fixture.expect_shown(false, false).await;
}
