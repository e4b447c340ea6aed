//! The capacity that calls consume, as DynamoDB reports it: a check-in is one write, and a page costs the same for any
//! number of users.

use std::collections::{BTreeMap, BTreeSet};

use aws::store::derived::Thing;
use chrono::Duration;
use domain::ids::timed_uuid;
use domain::models::actor::Actor;
use domain::models::command::{CommandKind, OpenCommand};
use domain::models::device::{CONFIG_VERSION, IDENTIFIER, MODEL_NAME, NICKNAME, PUSH_TOKEN, VERSION};
use domain::models::network::{Network, NetworkStatus, VERIZON};
use domain::models::offer::{Channel, NewOffer, Purpose};
use domain::models::restriction::Deleted;
use domain::models::restriction::Restriction;
use domain::models::user::User;
use domain::models::workspace::CHECK_IN_MINUTES;
use domain::rules::context::EventContext;
use domain::rules::deployments::deploy;
use domain::rules::derived::{Derived, LatestOffers};
use domain::states::CommandState;
use domain::{CommandId, DeviceId, EventId, InvitationId, ProfileId, Time, UserId, WorkspaceId};
use http::Method;
use serde_json::{Value, json};
use testkit::loads::LoadMeter;
use testkit::oidc::{self, Oidc};
use testkit::wire::{Consumed, Meter};
use testkit::{Bench, Setup, Tenant, rows};

struct Metered {
    bench: Bench,
    meter: Meter,
    tenant: Tenant,
}

impl Metered {
    async fn start() -> Self {
        let meter = Meter::new();
        let bench = Setup::new().with(meter.adjust()).start().await;
        let tenant = bench.tenant("Capacity").await;
        Self { bench, meter, tenant }
    }

    /// The actions of a call, and the units that each consumes.
    async fn cost(&self, method: Method, path: &str, credential: &str, body: Option<Value>) -> Vec<(String, f64)> {
        let _earlier = self.meter.read();
        let _answer = self.bench.call(method, path, Some(credential), body.as_ref()).await.expect(200);
        self.meter.read().into_iter().map(|Consumed { action, units, .. }| (action, units)).collect()
    }

    /// Downloads the configuration of the only user's phone, and returns its version.
    async fn download(&self, credential: &str) -> String {
        let user = self.bench.list_all(&self.tenant, "/users").await[0]["user_id"].as_str().unwrap().to_owned();
        let _deployment =
            self.bench.post(&format!("/users/{user}/deploy"), &self.tenant.key, json!({})).await.expect(202);
        self.bench.drain().await;
        let path = "/devices/me/config";
        self.bench.call(Method::POST, path, Some(credential), None).await.expect(200).get("config_version")
    }

    async fn check_in(&self, credential: &str, body: Value) -> Vec<(String, f64)> {
        self.cost(Method::POST, "/devices/me/check-in", credential, Some(body)).await
    }

    async fn get(&self, path: &str) -> Vec<(String, f64)> {
        self.cost(Method::GET, path, &self.tenant.key, None).await
    }
}

fn one_write() -> Vec<(String, f64)> {
    vec![("UpdateItem".to_owned(), 1.0)]
}

#[tokio::test]
async fn a_check_in_without_changes_is_one_write_of_one_unit_and_no_read() {
    let fixture = Metered::start().await;
    let (device, credential) = fixture.bench.phone(&fixture.tenant, "ada").await;
    fixture.bench.begin_day_of(&device);
    let _first = fixture.bench.check_in(&credential).await.expect(200);
    fixture.bench.drain().await;
    let version = fixture.download(&credential).await;
    let reported = json!({
        "os_version": "26.1", "app_version": "4.2.0", "push_token": "token-of-ada-phone", "pin_failures": 2,
        "usage": {"sequence": 9, "messages_sent": 3}, "config_version": version,
    });
    let more = fixture.check_in(&credential, reported.clone()).await;
    assert!(more.iter().any(|(action, _)| action == "TransactWriteItems"), "only the first one costs more: {more:?}");
    let of_usage = |sequence: u64| json!({"usage": {"sequence": sequence, "calls": 1}});
    let installed = json!({"config_version": version});
    for body in [json!({}), reported, json!({"pin_failures": 2}), of_usage(9), of_usage(1), installed.clone()] {
        fixture.bench.advance(Duration::minutes(1));
        assert_eq!(fixture.check_in(&credential, body).await, one_write());
    }
    // A phone that must download its configuration reports the installation once.
    let user = fixture.bench.list_all(&fixture.tenant, "/users").await[0]["user_id"].as_str().unwrap().to_owned();
    let _forced =
        fixture.bench.post(&format!("/users/{user}/force-config"), &fixture.tenant.key, json!({})).await.expect(200);
    assert_eq!(fixture.check_in(&credential, installed.clone()).await, one_write(), "nothing was downloaded");
    let _downloaded = fixture.download(&credential).await;
    assert_eq!(fixture.check_in(&credential, json!({})).await, one_write());
    let news = fixture.check_in(&credential, installed.clone()).await;
    assert!(news.iter().any(|(action, _)| action == "TransactWriteItems"), "{news:?}");
    assert_eq!(fixture.check_in(&credential, installed).await, one_write());
    // The user is seen without a write of their own, until the device's next day.
    fixture.bench.advance(Duration::minutes(15));
    assert_eq!(fixture.check_in(&credential, json!({})).await, one_write());
}

#[tokio::test]
async fn a_check_in_costs_no_more_with_texts_of_maximum_length() {
    let fixture = Metered::start().await;
    let user = fixture.bench.user(&fixture.tenant, "ada").await;
    let code = fixture.bench.invite(&fixture.tenant, &user, 1).await;
    let body = json!({
        "code": code,
        "device_identifier": "d".repeat(IDENTIFIER.max),
        "platform": "android",
        "model_name": "\u{10400}".repeat(MODEL_NAME.max / 4),
        "os_version": "1".repeat(VERSION.max),
        "app_version": "1".repeat(VERSION.max),
        "push_token": "t".repeat(PUSH_TOKEN.max),
        "nickname": "\u{10400}".repeat(NICKNAME.max / 4),
    });
    let phone = fixture.bench.call(Method::POST, "/devices", None, Some(&body)).await.expect(201);
    let credential = phone.get("credential");
    fixture.bench.drain().await;
    // So many wrong PINs would lock the user. The interval is in the device's row.
    let settings = json!({"pin_limit": 0, "check_in_minutes": CHECK_IN_MINUTES.1});
    let _set = fixture.bench.patch("/workspace", &fixture.tenant.key, settings).await.expect(200);
    let counts = json!({"sequence": i64::MAX, "messages_sent": 1});
    fixture.bench.begin_day_of(phone.body["device"]["device_id"].as_str().unwrap());
    let version = fixture.download(&credential).await;
    assert_eq!(version.len(), CONFIG_VERSION.max);
    let report = json!({"pin_failures": 1_000_000, "usage": counts, "config_version": version});
    let _first = fixture.check_in(&credential, report.clone()).await;
    fixture.bench.drain().await;
    for body in [json!({}), report] {
        fixture.bench.advance(Duration::minutes(1));
        assert_eq!(fixture.check_in(&credential, body).await, one_write());
    }
}

#[tokio::test]
async fn the_first_check_in_of_a_day_also_moves_the_days_of_the_device_and_its_user() {
    let fixture = Metered::start().await;
    let (_device, credential) = fixture.bench.phone(&fixture.tenant, "ada").await;
    let _first = fixture.bench.check_in(&credential).await.expect(200);
    fixture.bench.advance(Duration::days(1));
    let costs = fixture.check_in(&credential, json!({})).await;
    // The write that finds a new day, the workspace's settings, and a transaction: the times and the days of both, of
    // which the index has the new entry instead of the old one.
    let actions: Vec<&str> = costs.iter().map(|(action, _)| action.as_str()).collect();
    assert_eq!(actions, ["UpdateItem", "GetItem", "TransactWriteItems"]);
    let units: f64 = costs.iter().map(|(_, units)| units).sum();
    assert!(units <= 14.0, "{costs:?}");
    assert_eq!(fixture.check_in(&credential, json!({})).await, one_write());
}

#[tokio::test]
async fn showing_a_device_is_three_reads() {
    let fixture = Metered::start().await;
    let (device, credential) = fixture.bench.phone(&fixture.tenant, "ada").await;
    let _first = fixture.bench.check_in(&credential).await.expect(200);
    let costs = fixture.get(&format!("/devices/{device}")).await;
    let actions: Vec<&str> = costs.iter().map(|(action, _)| action.as_str()).collect();
    assert_eq!(actions, ["GetItem", "BatchGetItem", "BatchGetItem"], "the key, the device, and its attachments");
    let units: f64 = costs.iter().map(|(_, units)| units).sum();
    assert!(units <= 8.0, "{units} units");
}

#[tokio::test]
async fn a_personal_access_token_is_checked_by_two_reads() {
    let oidc = Oidc::new();
    let meter = Meter::new();
    let bench = Setup::new().with(meter.adjust()).issuer().start().await;
    oidc.publish_keys_to(&bench);
    let tenant = bench.tenant("Capacity").await;
    let _member = oidc::add_accepted_member(&bench, &tenant, "anna", "viewer").await;
    let signed_in = oidc.token("anna", bench.now());
    let token = oidc::new_token(&bench, &signed_in, &[&tenant.workspace_id], None).await.get("token");
    for _ in 0..20 {
        let _another = oidc::new_token(&bench, &signed_in, &[&tenant.workspace_id], None).await;
    }
    let fixture = Metered { bench, meter, tenant };
    let costs = fixture.cost(Method::GET, "/workspace", &token, None).await;
    let actions: Vec<&str> = costs.iter().map(|(action, _)| action.as_str()).collect();
    assert_eq!(actions, ["GetItem", "Query", "GetItem"], "the token, the memberships, and the workspace");
    let units: f64 = costs.iter().map(|(_, units)| units).sum();
    assert!(units <= 3.0, "{units} units, however many tokens there are");
}

fn id(number: usize) -> uuid::Uuid {
    let mut bytes = [7; 10];
    bytes[2..].copy_from_slice(&number.to_be_bytes());
    timed_uuid(Time::parse("2026-11-20T08:00:00Z").unwrap(), bytes)
}

/// The profile of users with one.
fn profile() -> ProfileId {
    ProfileId(id(1_000_003))
}

/// The user with a deployment, and the rows of the deployment.
fn deployed(user: &User, number: usize) -> (User, Vec<Value>) {
    let context = EventContext {
        event_id: EventId(id(number)),
        workspace_id: user.workspace_id,
        at: user.created_at,
        actor: Actor::System,
        token_id: None,
        operation: "deploy-config",
        request_id: "request".to_owned(),
        source_ip: None,
        job_id: None,
    };
    let new = NewOffer {
        purpose: Purpose::Deploy,
        invitation_id: InvitationId(id(1_000_000 + number)),
        code: number.to_string(),
        channel: Channel::Email,
        devices: 1,
        lifetime: Duration::days(7),
        limits: rows::limits_before_any_message(user.workspace_id, Channel::Email, user.created_at),
    };
    let change = deploy(user, &[], None, new, Some(profile()), &context).unwrap();
    (change.user_after().unwrap().clone(), rows::rows_of(&change.offers[0].after))
}

/// Stores users with a phone each, and what is derived from them; one is called Zora.
fn populate(fixture: &Metered, from: usize, to: usize, template: (&Value, &Value)) {
    let workspace = WorkspaceId::parse(&fixture.tenant.workspace_id).unwrap();
    let mut created = Vec::new();
    let mut derived = rows::DerivedRows::default();
    for number in from..to {
        let mut user: domain::models::user::User = aws::from_json(template.0.clone()).unwrap();
        let mut device: domain::models::device::Device = aws::from_json(template.1.clone()).unwrap();
        user.workspace_id = workspace;
        user.user_id = UserId(id(2 * number));
        user.username = format!("person{number:05}");
        user.first_name = Some(if number == 7 { "Zora" } else { "Nora" }.to_owned());
        user.email = Some(format!("person{number:05}@example.com"));
        user.created_at = user.created_at.plus(Duration::seconds(i64::try_from(number).unwrap()));
        device.device_id = DeviceId(id(2 * number + 1));
        device.user_id = user.user_id;
        device.device_identifier = format!("phone{number:05}");
        device.created_at = user.created_at;
        device.push_endpoint = None;
        user.device_ids = BTreeSet::from([device.device_id]);
        // The first ones are in the other states that filters match.
        if number < 100 {
            let at = device.created_at;
            let hold = Restriction { at, by: Actor::System, reason: None };
            match number % 5 {
                1 => user.suspended = Some(hold),
                2 => {
                    let status = NetworkStatus::Disabled;
                    let network = Network {
                        status,
                        status_at: at,
                        reason: None,
                        mdn_provisioning: None,
                        last_seen_at: None,
                        last_archived_at: None,
                    };
                    user.networks.insert(VERIZON.to_owned(), network);
                    user.service_level = Some("gold".to_owned());
                }
                3 => user.deleted = Some(Deleted { at, by: Actor::System, purge_after: at }),
                4 => {
                    device.commands = vec![OpenCommand {
                        command_id: CommandId(id(3 * number)),
                        kind: CommandKind::Lock,
                        state: CommandState::Queued,
                        queued_at: at,
                        expires_at: at.plus(Duration::days(30)),
                        again_at: None,
                    }]
                }
                _ => {
                    user.last_seen_at = Some(at.minus(Duration::days(60)));
                    let (with, deployment) = deployed(&user, number);
                    user = with;
                    created.extend(deployment);
                    device = device.with_download_ordered();
                }
            }
        }
        created.extend(rows::rows_of(&user));
        created.extend(rows::rows_of(&device));
        let of_user = Derived::of_user(&user, &LatestOffers::default());
        derived.add(workspace, Thing::User(user.user_id), &of_user);
        derived.add(workspace, Thing::Device(device.device_id), &Derived::of_device(&device, Some(&user.name())));
    }
    rows::put_many(&fixture.bench, rows::MAIN, &created, &["device_ids"]);
    derived.store(&fixture.bench);
}

/// The rows of a user and of their phone, the templates of all others.
fn templates(fixture: &Metered) -> (Value, Value) {
    let all = rows::all(&fixture.bench, rows::MAIN);
    let row = |kind: &str, sk: &str| {
        let found = all.iter().find(|(key, _)| key.starts_with(kind) && key.ends_with(sk));
        found.map(|(_, row)| row.clone()).unwrap()
    };
    (row("USER#", "| USER"), row("DEVICE#", "| DEVICE"))
}

/// The cost of each page and each search with these numbers of users.
async fn costs_with(counts: &[usize]) -> Vec<(String, Vec<Vec<(String, f64)>>)> {
    let fixture = Metered::start().await;
    let (device, _credential) = fixture.bench.phone(&fixture.tenant, "template").await;
    let templates = templates(&fixture);
    let person = id(300);
    let pages = [
        "/users?limit=50".to_owned(),
        "/users?limit=50&search=zora".to_owned(),
        "/users?limit=20&search=nor".to_owned(),
        "/users?search=person00150".to_owned(),
        "/users?search=person00150%40example.com".to_owned(),
        "/users?search=nora+person0015".to_owned(),
        "/users?search=zora&status=active&pending_command=false".to_owned(),
        "/users?status=deleted&limit=10".to_owned(),
        "/users?pending_command=true&limit=10".to_owned(),
        "/users?last_seen_before=2026-10-01T00:00:00Z&limit=10".to_owned(),
        "/users?status=active&limit=20".to_owned(),
        "/users?network_indicator=red&limit=10".to_owned(),
        "/users?service_level=none".to_owned(),
        "/devices?limit=50".to_owned(),
        "/devices?limit=50&search=zora".to_owned(),
        "/devices?search=phone00150".to_owned(),
        "/devices?blocked=true".to_owned(),
        "/devices?pending_command=true&limit=10".to_owned(),
        "/events?limit=20".to_owned(),
        format!("/events?device_id={device}"),
        format!("/devices/{device}"),
        format!("/devices/{device}/commands"),
        format!("/users/{person}"),
        format!("/users/{person}/invitations"),
        format!("/users/{person}/usage"),
        "/usage".to_owned(),
        "/jobs".to_owned(),
        "/workspace".to_owned(),
        "/profiles".to_owned(),
        "/deployments?limit=50".to_owned(),
        "/deployments?limit=50&search=zora".to_owned(),
        "/deployments?deployed=true&limit=10".to_owned(),
        "/deployments?deployed=false&limit=50".to_owned(),
        format!("/deployments?profile_id={}&limit=10", profile()),
        "/deployments?force_pending=false&limit=20".to_owned(),
        "/users?deployed=true&limit=10".to_owned(),
        // By one facet, by the rarer of two, and by a version together with a status.
        "/users?network_indicator=red&status=active".to_owned(),
        "/devices?platform=ios&limit=40".to_owned(),
        "/devices?model_name=iPhone+17&limit=40".to_owned(),
        "/devices?os_version=26.1&device_status=never_seen&limit=40".to_owned(),
        "/devices?push_reason=endpoint_pending&limit=40".to_owned(),
        "/devices?platform=ios&device_status=deleted&limit=10".to_owned(),
        "/devices?os_version_below=27&limit=40".to_owned(),
        // In each order, both ways.
        "/users?sort=name&limit=40".to_owned(),
        "/users?sort=-username&limit=40".to_owned(),
        "/users?sort=created_at&limit=40".to_owned(),
        "/users?sort=-last_seen_at&limit=10".to_owned(),
        "/users?sort=last_seen_at&limit=40".to_owned(),
        "/devices?sort=user_name&limit=40".to_owned(),
        "/devices?sort=-model_name&limit=40".to_owned(),
        "/devices?sort=os_version&limit=40".to_owned(),
        "/devices?sort=-app_version&limit=40".to_owned(),
        "/devices?sort=last_login_at&limit=40".to_owned(),
        "/devices?sort=created_at&limit=40".to_owned(),
        // What a filter leaves is sorted.
        "/users?network_indicator=red&sort=name&limit=10".to_owned(),
        "/overview".to_owned(),
        "/search?q=zora".to_owned(),
        format!("/search?q={person}"),
    ];
    costs_of(&fixture, &pages, counts, (&templates.0, &templates.1)).await
}

/// The cost of the first part of each export with these numbers of users.
async fn costs_of_exports_with(counts: &[usize]) -> Vec<(String, Vec<Vec<(String, f64)>>)> {
    let fixture = Metered::start().await;
    let (_device, _credential) = fixture.bench.phone(&fixture.tenant, "template").await;
    let templates = templates(&fixture);
    let pages = [
        "/users/export?limit=90".to_owned(),
        "/users/export?limit=50&search=nor&columns=username,email".to_owned(),
        "/devices/export?limit=90".to_owned(),
        "/devices/export?limit=50&search=nora".to_owned(),
    ];
    costs_of(&fixture, &pages, counts, (&templates.0, &templates.1)).await
}

async fn costs_of(
    fixture: &Metered,
    pages: &[String],
    counts: &[usize],
    templates: (&Value, &Value),
) -> Vec<(String, Vec<Vec<(String, f64)>>)> {
    let mut costs: Vec<_> = pages.iter().map(|page| (page.clone(), Vec::new())).collect();
    let mut from = 0;
    for to in counts {
        populate(fixture, from, *to, templates);
        from = *to;
        for (page, costs) in &mut costs {
            // A process reads the number of shards of the day's events once.
            drop(fixture.get(page).await);
            costs.push(fixture.get(page).await);
        }
    }
    costs
}

#[tokio::test]
async fn a_page_and_a_search_cost_the_same_with_200_users_and_with_5000() {
    for (page, costs) in costs_with(&[200, 5_000]).await {
        let units = costs[1].iter().map(|(_, units)| units).sum::<f64>();
        println!("{page}: {} calls, {units} units", costs[1].len());
        assert_eq!(costs[0], costs[1], "{page}");
        // 50 users with a device each, which has two rows.
        assert!(units <= 260.0, "{page}: {units} units");
    }
}

#[tokio::test]
async fn what_a_filter_leaves_is_sorted_up_to_2000() {
    let fixture = Metered::start().await;
    let (_device, _credential) = fixture.bench.phone(&fixture.tenant, "template").await;
    let templates = templates(&fixture);
    populate(&fixture, 0, 2_150, (&templates.0, &templates.1));
    let key = &fixture.tenant.key;
    for path in
        ["/users?status=active&sort=name", "/users?search=nora&sort=-username", "/devices?platform=ios&sort=user_name"]
    {
        let refused = fixture.bench.get(path, key).await.expect(422);
        assert_eq!(refused.body["code"], "sort_not_available", "{path}");
    }
    let red = fixture.bench.get("/users?network_indicator=red&sort=-username&limit=100", key).await.expect(200);
    let names: Vec<&str> =
        red.body["items"].as_array().unwrap().iter().map(|user| user["username"].as_str().unwrap()).collect();
    assert_eq!((names.len(), names.first(), names.is_sorted_by(|a, b| a > b)), (20, Some(&"person00097"), true));
    let total = fixture.bench.get("/users?sort=name", key).await.expect(200).body["total"].clone();
    assert_eq!(total, 2_151, "with the first one");
}

#[tokio::test]
#[ignore = "20,000 users take minutes"]
async fn a_page_and_a_search_cost_the_same_with_200_users_and_with_20000() {
    for (page, costs) in costs_with(&[200, 20_000]).await {
        assert_eq!(costs[0], costs[1], "{page}");
    }
}

/// A system whose loads are recorded, with a tenant.
async fn loaded() -> (Bench, Tenant, LoadMeter) {
    let meter = LoadMeter::new();
    let bench = Setup::new().with(meter.adjust()).start().await;
    meter.watch(&bench, &[rows::MAIN, rows::SECRETS]);
    let tenant = bench.tenant("Loads").await;
    (bench, tenant, meter)
}

/// What an operation has read of a partition since the last reading.
fn reads(meter: &LoadMeter, operation: &str, partition: &str) -> f64 {
    let loads = meter.read().loads.into_iter();
    loads.filter(|load| load.operation == operation && load.partition == partition).map(|load| load.reads).sum()
}

#[tokio::test]
async fn a_page_of_a_list_reads_its_workspace_at_most_once() {
    let (bench, tenant, meter) = loaded().await;
    let (_device, _credential) = bench.phone(&tenant, "ada").await;
    bench.drain().await;
    for (operation, path, wanted) in [
        ("list-devices", "/devices?limit=1", 1.0),
        ("list-devices", "/devices?platform=ios", 1.0),
        ("list-devices", "/devices?platform=ios&os_version=26.1", 1.0),
        ("list-devices", "/devices?platform=ios&sort=user_name", 1.0),
        ("list-devices", "/devices?search=ada", 1.0),
        ("list-users", "/users", 1.0),
        ("list-users", "/users?status=inactive", 1.0),
        ("list-users", "/users?network_indicator=red&status=inactive&sort=name", 1.0),
        ("list-users", "/users?search=ada", 0.0),
    ] {
        let _earlier = meter.read();
        let _page = bench.get(path, &tenant.key).await.expect(200);
        assert_eq!(reads(&meter, operation, &format!("WORKSPACE#{}", tenant.workspace_id)), wanted, "{path}");
    }
}

#[tokio::test]
async fn derived_rows_of_a_user_with_one_phone_and_with_three_are_written_after_the_same_reads_of_the_user() {
    let (bench, tenant, meter) = loaded().await;
    for (name, phones) in [("ada", 1), ("bea", 3)] {
        let (user, _phones) = bench.user_with_phones(&tenant, name, phones).await;
        bench.drain().await;
        let _earlier = meter.read();
        let _renamed =
            bench.patch(&format!("/users/{user}"), &tenant.key, json!({"first_name": "Eve"})).await.expect(200);
        bench.drain().await;
        let partition = format!("USER#{}#{user}", tenant.workspace_id);
        assert_eq!(reads(&meter, "derive-rows", &partition), 3.0, "the user, the shadow and the invitation of {name}");
    }
}

/// The cost of the first page of an auto-deploy for everyone: calls and units of each action.
async fn cost_of_auto_deploy(fixture: &Metered) -> BTreeMap<String, (usize, f64)> {
    let _earlier = fixture.meter.read();
    let body = json!({"filter": {}});
    let started = fixture.bench.post("/deployments/auto", &fixture.tenant.key, body).await.expect(202);
    assert_eq!((&started.body["state"], &started.body["progress"]["changed"]), (&json!("running"), &json!(50)));
    let mut costs = BTreeMap::<String, (usize, f64)>::new();
    for Consumed { action, units, .. } in fixture.meter.read() {
        let (calls, sum) = costs.entry(action).or_default();
        *calls += 1;
        *sum += units;
    }
    costs
}

#[tokio::test]
async fn a_page_of_auto_deploy_costs_the_same_with_200_users_and_with_5000() {
    let fixture = Metered::start().await;
    let (_device, _credential) = fixture.bench.phone(&fixture.tenant, "template").await;
    let all = rows::all(&fixture.bench, rows::MAIN);
    let row = |kind: &str, sk: &str| {
        let found = all.iter().find(|(key, _)| key.starts_with(kind) && key.ends_with(sk));
        found.map(|(_, row)| row.clone()).unwrap()
    };
    let (user, device) = (row("USER#", "| USER"), row("DEVICE#", "| DEVICE"));
    let mut costs = Vec::new();
    let mut from = 0;
    for to in [200, 5_000] {
        populate(&fixture, from, to, (&user, &device));
        from = to;
        // The test's own users are the newest.
        fixture.bench.advance(Duration::days(1));
        costs.push(cost_of_auto_deploy(&fixture).await);
    }
    println!("{:?}", costs[1]);
    assert_eq!(costs[0], costs[1]);
}

#[tokio::test]
async fn a_part_of_an_export_costs_the_same_with_200_users_and_with_5000() {
    for (export, costs) in costs_of_exports_with(&[200, 5_000]).await {
        let units = costs[1].iter().map(|(_, units)| units).sum::<f64>();
        println!("{export}: {} calls, {units} units", costs[1].len());
        assert_eq!(costs[0], costs[1], "{export}");
        assert!(units <= 500.0, "{export}: {units} units");
    }
}

#[tokio::test]
async fn a_page_of_users_costs_the_same_however_large_their_profiles_are() {
    let fixture = Metered::start().await;
    let mut costs = Vec::new();
    for (name, size) in [("small", 1), ("large", 60_000)] {
        let body = json!({"name": name, "settings": {"text": "x".repeat(size)}, "default": true});
        let created = fixture.bench.post("/profiles", &fixture.tenant.key, body).await.expect(201).get("profile_id");
        if costs.is_empty() {
            let _user = fixture.bench.user(&fixture.tenant, "ada").await;
            let _other = fixture.bench.user(&fixture.tenant, "bea").await;
        }
        let user = fixture.bench.list_all(&fixture.tenant, "/users").await[0]["user_id"].as_str().unwrap().to_owned();
        let assignment = json!({"profile_id": created});
        let _updated =
            fixture.bench.patch(&format!("/users/{user}"), &fixture.tenant.key, assignment).await.expect(200);
        let mut units = Vec::new();
        // A process reads the number of shards of the day's events once.
        drop(fixture.get("/users/export").await);
        for list in ["/users", "/deployments", "/users/export"] {
            let reads = fixture.get(list).await.into_iter().filter(|(action, _)| action != "TransactWriteItems");
            units.push(reads.map(|(_, units)| units).sum::<f64>());
        }
        costs.push(units);
    }
    assert_eq!(costs[0], costs[1], "with small profiles, and with 60 KB");
}
