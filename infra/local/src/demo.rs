//! Demo data: a plausible workspace of 200 people whose phones are in many states, created through the API only
//! and the same each time.
//!
//! Most states need time to pass. So the demo begins weeks ago: each step sets the clock to its own time, and
//! the last one sets it to the present. A busy machine only makes it slower: calls that time out are repeated,
//! and each step waits until what it needs exists.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::StreamExt;
use futures::stream;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::Now;
use crate::api::{Answer, Api};
use crate::messaging::Channel;
use crate::stack::{Stack, system_time};

/// Number of people.
pub const PEOPLE: usize = 200;
/// Number of concurrent calls.
const AT_ONCE: usize = 8;
/// The first and the longest pause before a retry.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// The shortest time between two messages of a kind to one person.
const BETWEEN_MESSAGES: chrono::Duration = chrono::Duration::minutes(2);

const FIRST_NAMES: [&str; 20] = [
    "Ada", "Amara", "Anton", "Bea", "Chen", "Dario", "Elif", "Emil", "Farah", "Greta", "Hugo", "Ines", "Jonas", "Kofi",
    "Lena", "Mateo", "Nadia", "Oskar", "Priya", "Yuki",
];
const LAST_NAMES: [&str; 10] =
    ["Adler", "Bauer", "Costa", "Dubois", "Eriksen", "Fischer", "Garcia", "Hansen", "Ito", "Jansen"];
/// Platform, model, OS version.
const PHONES: [(&str, &str, &str); 8] = [
    ("ios", "iPhone 15", "18.1"),
    ("android", "Pixel 9", "15"),
    ("ios", "iPhone SE", "17.6"),
    ("android", "Galaxy S24", "14"),
    ("ios", "iPhone 16 Pro", "18.2"),
    ("android", "Fairphone 5", "14"),
    ("android", "Galaxy A54", "13"),
    ("third_party", "Desk client", "4.2"),
];

/// Name and codec of the profiles; the first is the default.
const PROFILES: [(&str, &str); 2] = [("Office", "opus"), ("Field", "g729")];

const SERVICE_LEVELS: [&str; 3] = ["Basic", "Business", "Regulated"];

/// A clock that can be set: the machine's clock with an offset in milliseconds.
#[derive(Clone, Default)]
pub struct DemoClock(Arc<AtomicI64>);

impl DemoClock {
    /// The clock as a source of time.
    #[must_use]
    pub fn now(&self) -> Now {
        let offset = Arc::clone(&self.0);
        Arc::new(move || system_time() + chrono::Duration::milliseconds(offset.load(Ordering::Relaxed)))
    }

    fn set_back(&self, hours: i64) {
        self.0.store(-hours * 3_600_000, Ordering::Relaxed);
    }

    /// Sets the clock to a time, unless the time has passed.
    fn set_forward(&self, to: DateTime<Utc>) {
        self.0.fetch_max((to - system_time()).num_milliseconds(), Ordering::Relaxed);
    }
}

/// The final state of a phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    NeverSeen,
    InUse,
    Silent,
    Blocked,
    Deleted,
}

/// A phone of a person.
#[derive(Clone, Copy, Debug)]
struct Phone {
    person: usize,
    nth: usize,
}

impl Phone {
    fn number(self) -> usize {
        self.person * 3 + self.nth
    }

    fn state(self) -> State {
        match self.number() * 7 % 20 {
            0..=1 => State::NeverSeen,
            2..=4 => State::Silent,
            5 => State::Blocked,
            6 => State::Deleted,
            _ => State::InUse,
        }
    }

    fn registration_body(self, code: &str) -> Value {
        let (platform, model, system) = PHONES[self.number() % PHONES.len()];
        let mut registration_body = json!({
            "code": code,
            "device_identifier": format!("demo-{:05}", self.number()),
            "platform": platform,
            "model_name": model,
            "os_version": system,
            "app_version": "3.4.0",
        });
        if platform != "third_party" && !self.number().is_multiple_of(5) {
            registration_body["push_token"] = json!(format!("{:064x}", 0xdead_0000 + self.number()));
        }
        if self.nth == 1 {
            registration_body["nickname"] = json!("Spare");
        }
        registration_body
    }
}

/// A person's phones: one person in eight has none yet, most have one.
fn phones(person: usize) -> impl Iterator<Item = Phone> {
    let count = match person % 8 {
        0 => 0,
        1..=4 => 1,
        5 | 6 => 2,
        _ => 3,
    };
    (0..count).map(move |nth| Phone { person, nth })
}

fn username(person: usize) -> String {
    let first = FIRST_NAMES[person % FIRST_NAMES.len()];
    let last = LAST_NAMES[person / FIRST_NAMES.len() % LAST_NAMES.len()];
    format!("{first}.{last}").to_lowercase()
}

fn address(person: usize) -> String {
    format!("{}@example.com", username(person))
}

fn person(number: usize) -> Value {
    json!({
        "username": username(number),
        "first_name": FIRST_NAMES[number % FIRST_NAMES.len()],
        "last_name": LAST_NAMES[number / FIRST_NAMES.len() % LAST_NAMES.len()],
        "email": address(number),
        "mobile": format!("+4915550{:06}", 100 + number),
        "number": format!("{}", 4000 + number),
        "service_level": SERVICE_LEVELS[number % SERVICE_LEVELS.len()],
    })
}

/// The action on a person, if any.
fn person_action(number: usize) -> Option<(&'static str, Value)> {
    match number % 40 {
        4 | 29 => Some(("suspend", json!({ "reason": "On leave" }))),
        7 => Some(("lock-and-wipe", json!({ "reason": "Phone stolen" }))),
        11 => Some(("reset-pin", json!({}))),
        _ => None,
    }
}

/// A carrier's report for a person, if any.
fn network(number: usize) -> Option<(&'static str, Value)> {
    match number % 10 {
        1 => Some(("verizon", json!({ "status": "opt_in_sent" }))),
        2 => Some(("verizon", json!({ "status": "enabled", "mdn_provisioning": "enabled" }))),
        3 => Some(("verizon", json!({ "status": "unable_to_provision", "reason": "message_block" }))),
        4 => Some(("att", json!({ "status": "enabled", "mdn_provisioning": "enabled", "last_seen_at": days_ago(50) }))),
        5 => Some(("att", json!({ "status": "enabled", "mdn_provisioning": "enabled" }))),
        6 => Some(("att", json!({ "status": "not_communicating" }))),
        _ => None,
    }
}

fn days_ago(days: i64) -> String {
    (system_time() - chrono::Duration::days(days)).to_rfc3339()
}

/// A registered phone.
struct Registered {
    phone: Phone,
    device_id: String,
    credential: String,
}

/// Creates this many people, at most [`PEOPLE`], with their phones.
///
/// # Errors
/// An unexpected response of the API.
pub async fn create(stack: &Stack, key: &str, clock: &DemoClock, people: usize) -> Result<(), String> {
    let admin = Api::anonymous(stack).with_credential(key);
    let outcome = run_steps(stack, admin, clock, people.min(PEOPLE)).await;
    clock.set_back(0);
    outcome
}

async fn run_steps(stack: &Stack, admin: Api<'_>, clock: &DemoClock, people: usize) -> Result<(), String> {
    clock.set_back(60 * 24);
    let levels = json!({ "service_levels": SERVICE_LEVELS });
    expect(&call(admin, Method::PATCH, "/workspace", None, &levels).await)?;
    let users = for_each(0..people, async |number| {
        let idempotency_key = format!("demo-user-{number}");
        let created = call(admin, Method::POST, "/users", Some(&idempotency_key), &person(number)).await;
        text(&created, "user_id").map(|user_id| (number, user_id))
    });
    let users: Vec<(usize, String)> = users.await?;

    clock.set_back(59 * 24);
    // One in sixteen is not invited yet.
    let invited: Vec<_> = users.iter().filter(|(number, _)| number % 16 != 0).collect();
    let codes = invite(stack, admin, clock, &invited).await?;

    clock.set_back(58 * 24);
    // One person's phones in sequence, different people in parallel.
    let registered = for_each(0..people, async |number| {
        let mut registered = Vec::new();
        for phone in phones(number) {
            registered.push(register(stack, phone, &codes).await?);
        }
        Ok(registered)
    });
    let registered: Vec<Registered> = registered.await?.into_iter().flatten().collect();

    let seen = |phone: &&Registered| phone.phone.state() != State::NeverSeen;
    clock.set_back(57 * 24);
    check_in(stack, registered.iter().filter(seen), 1).await?;
    clock.set_back(40 * 24);
    check_in(stack, registered.iter().filter(|phone| phone.phone.state() == State::Silent), 2).await?;

    clock.set_back(9 * 24);
    let lost = registered.iter().filter(|phone| phone.phone.state() == State::Deleted);
    for_each(lost, async |phone| {
        expect(&call(admin, Method::DELETE, &format!("/devices/{}", phone.device_id), None, &json!({})).await)
    })
    .await?;
    clock.set_back(3 * 24);
    let doubtful = registered.iter().filter(|phone| phone.phone.state() == State::Blocked);
    for_each(doubtful, async |phone| {
        let reason = json!({ "reason": "Reported lost" });
        expect(&post(admin, &format!("/devices/{}/block", phone.device_id), &reason).await)
    })
    .await?;
    for_each(&users, async |(number, user_id)| {
        if let Some((provider, report)) = network(*number) {
            let path = format!("/users/{user_id}/networks/{provider}");
            expect(&call(admin, Method::PUT, &path, None, &report).await)?;
        }
        match person_action(*number) {
            Some((action, body)) => expect(&post(admin, &format!("/users/{user_id}/{action}"), &body).await),
            None => Ok(()),
        }
    })
    .await?;
    settle(stack, clock).await;

    clock.set_back(2 * 24);
    deploy(stack, admin, clock, &users, &registered).await?;

    for (sequence, hours) in [(3, 30), (4, 8), (5, 1)] {
        clock.set_back(hours);
        let in_use =
            |phone: &&Registered| phone.phone.state() == State::InUse && phone.phone.number() as i64 % 30 < hours;
        check_in(stack, registered.iter().filter(in_use), sequence).await?;
    }
    settle(stack, clock).await;
    clock.set_back(0);
    Ok(())
}

/// Invites people until each of them has a code, and returns the codes with their recipients. E-mails that
/// failed are sent again.
async fn invite(
    stack: &Stack,
    admin: Api<'_>,
    clock: &DemoClock,
    people: &[&(usize, String)],
) -> Result<Vec<(String, String)>, String> {
    let mut pauses = pauses();
    for round in 0.. {
        let codes = codes(stack);
        let without = |(number, _): &&&(usize, String)| codes.iter().all(|(to, _)| *to != address(*number));
        let without: Vec<_> = people.iter().filter(without).collect();
        if without.is_empty() {
            return Ok(codes);
        }
        if round > 0 {
            tracing::warn!(people = without.len(), "some invitations failed and are sent again");
            pause(&mut pauses).await;
            clock.set_forward(stack.now() + BETWEEN_MESSAGES);
        }
        for_each(without, async |(number, user_id)| {
            let idempotency_key = format!("demo-invitation-{number}-{round}");
            let invitation = json!({ "channel": "email", "devices": 3 });
            let path = format!("/users/{user_id}/invite");
            expect(&call(admin, Method::POST, &path, Some(&idempotency_key), &invitation).await)
        })
        .await?;
        settle(stack, clock).await;
    }
    Ok(Vec::new())
}

/// Deploys configurations to some people: those on leave or locked get none, and one in five is skipped. Most
/// phones fetch theirs, and most of those install it.
async fn deploy(
    stack: &Stack,
    admin: Api<'_>,
    clock: &DemoClock,
    users: &[(usize, String)],
    registered: &[Registered],
) -> Result<(), String> {
    let mut profiles = Vec::new();
    for (name, codec) in PROFILES {
        let profile =
            json!({ "name": name, "settings": { "codec": codec, "account": { "domain": "pbx.example.com" } } });
        let idempotency_key = format!("demo-profile-{name}");
        let made = call(admin, Method::POST, "/profiles", Some(&idempotency_key), &profile).await;
        profiles.push(text(&made, "profile_id")?);
    }
    let chosen = users.iter().filter(|(number, _)| number % 5 != 0 && person_action(*number).is_none());
    for_each(chosen, async |(number, user_id)| {
        let account = json!({ "sip_user_name": username(*number), "service_account": "main" });
        expect(&call(admin, Method::PATCH, &format!("/users/{user_id}"), None, &account).await)?;
        let profile = json!({ "profile_id": profiles[number % PROFILES.len()] });
        let idempotency_key = format!("demo-deployment-{number}");
        expect(&call(admin, Method::POST, &format!("/users/{user_id}/deploy"), Some(&idempotency_key), &profile).await)
    })
    .await?;
    settle(stack, clock).await;
    let in_use = registered.iter().filter(|registered| {
        let (phone, person) = (registered.phone, registered.phone.person);
        phone.state() == State::InUse && person % 5 != 0 && person_action(person).is_none() && phone.number() % 6 != 0
    });
    for_each(in_use, async |registered| {
        let device = Api::anonymous(stack).with_credential(&registered.credential);
        let version = text(&post(device, "/devices/me/config", &json!({})).await, "config_version")?;
        if registered.phone.number() % 6 == 1 {
            return Ok(());
        }
        expect(&post(device, "/devices/me/check-in", &json!({ "config_version": version })).await)
    })
    .await
    .map(drop)
}

async fn register(stack: &Stack, phone: Phone, codes: &[(String, String)]) -> Result<Registered, String> {
    let address = address(phone.person);
    let code = codes.iter().find(|(to, _)| *to == address).map(|(_, code)| code.as_str());
    let code = code.ok_or_else(|| format!("no invitation arrived at {address}"))?;
    let answer = post(Api::anonymous(stack), "/devices", &phone.registration_body(code)).await;
    let device = Answer { status: answer.status, body: answer.body["device"].clone() };
    let device_id = text(&device, "device_id").map_err(|_| answer.error_text())?;
    Ok(Registered { phone, device_id, credential: text(&answer, "credential")? })
}

/// Phones check in, each with a usage report with this sequence number.
async fn check_in(stack: &Stack, phones: impl Iterator<Item = &Registered>, sequence: usize) -> Result<(), String> {
    for_each(phones, async |phone| {
        let device = Api::anonymous(stack).with_credential(&phone.credential);
        let messages = phone.phone.number() * 7 % 50 + sequence;
        let usage = json!({
            "sequence": sequence,
            "messages_sent": messages,
            "messages_received": messages * 2,
            "messages_archived": messages * 3,
            "attachment_bytes": messages * 12_345,
            "calls": messages / 5,
        });
        expect(&post(device, "/devices/me/check-in", &json!({ "app_version": "3.4.0", "usage": usage })).await)
    })
    .await
    .map(|_| ())
}

/// The codes of the invitations in the outbox, with their recipients.
fn codes(stack: &Stack) -> Vec<(String, String)> {
    let emails = stack.messaging().outbox().into_iter().filter(|item| item.channel == Channel::Email);
    emails.filter_map(|email| Some((email.to.clone(), code(email.text.as_deref()?)?))).collect()
}

/// The code in the link of an invitation's text.
#[must_use]
pub fn code(text: &str) -> Option<String> {
    let (_, after) = text.split_once("/i/")?;
    after.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_').next().map(str::to_owned)
}

/// Runs something for each item, several at once; returns the results in order, or the first error.
async fn for_each<I, T>(
    items: impl IntoIterator<Item = I>,
    each: impl AsyncFn(I) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let each = &each;
    let results: Vec<Result<T, String>> = stream::iter(items).map(|item| each(item)).buffered(AT_ONCE).collect().await;
    results.into_iter().collect()
}

fn expect(answer: &Answer) -> Result<(), String> {
    if answer.status.is_success() { Ok(()) } else { Err(answer.error_text()) }
}

fn text(answer: &Answer, field: &str) -> Result<String, String> {
    answer.body[field].as_str().map(str::to_owned).ok_or_else(|| answer.error_text())
}

/// Makes an idempotent call, and repeats it while it times out or is to be retried later.
async fn call(api: Api<'_>, method: Method, path: &str, idempotency_key: Option<&str>, body: &Value) -> Answer {
    let mut pauses = pauses();
    loop {
        let answer = api.send(method.clone(), path, idempotency_key, body).await;
        if !answer.status.is_server_error() && answer.status != StatusCode::TOO_MANY_REQUESTS {
            return answer;
        }
        tracing::warn!(status = answer.status.as_u16(), "retrying a call of the demo");
        pause(&mut pauses).await;
    }
}

async fn post(api: Api<'_>, path: &str, body: &Value) -> Answer {
    call(api, Method::POST, path, None, body).await
}

/// Runs everything until nothing is left; the clock is set to the time of each retry.
async fn settle(stack: &Stack, clock: &DemoClock) {
    let mut pauses = pauses();
    while let Err(error) = stack.settle(|due| clock.set_forward(due)).await {
        tracing::warn!(%error, "the demo is waiting");
        pause(&mut pauses).await;
    }
}

/// Increasing pauses.
fn pauses() -> impl Iterator<Item = Duration> {
    std::iter::successors(Some(PAUSES.0), |pause| Some((*pause * 2).min(PAUSES.1)))
}

async fn pause(pauses: &mut impl Iterator<Item = Duration>) {
    tokio::time::sleep(pauses.next().unwrap_or(PAUSES.1)).await;
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn everybody_has_a_name_of_their_own_and_every_state_occurs() {
        let names: BTreeSet<String> = (0..PEOPLE).map(username).collect();
        assert_eq!(names.len(), PEOPLE);
        let for_each: Vec<Phone> = (0..PEOPLE).flat_map(phones).collect();
        assert_eq!(for_each.len(), 275);
        for state in [State::NeverSeen, State::InUse, State::Silent, State::Blocked, State::Deleted] {
            assert!(for_each.iter().filter(|phone| phone.state() == state).count() >= 5, "{state:?}");
        }
        assert!((0..PEOPLE).filter(|number| number % 16 == 0).all(|number| phones(number).count() == 0));
    }
}
