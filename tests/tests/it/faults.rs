//! Nothing is lost or invented, whatever goes wrong at whichever call to AWS.
//!
//! Each scenario is run once as it should go. Then, for each call to AWS that its operation made
//! and for each fault that can befall that call, it is run again with that fault, and everyone
//! does what they would: a client repeats a call that ended in a 5xx, Lambda, the queue and the
//! stream give again what failed, schedules come round. In the end everything must fit together
//! (`testkit::audit`), and be what it was without the fault.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::Duration;
use domain::ids::timed_uuid;
use domain::models::actor::Actor;
use domain::models::job::{JobKind, NewJob, Selection};
use domain::rules::access::Access;
use domain::rules::context::EventContext;
use domain::rules::jobs::begin;
use domain::{EventId, JobId, WorkspaceId};
use futures::future::BoxFuture;
use http::{Method, Request};
use local::queue::Retry;
use serde_json::{Value, json};
use testkit::audit::{Audit, Baseline, Outline};
use testkit::bench::Mark;
use testkit::egress::{Answers, Pages};
use testkit::faults::{Call, Fault, FaultDuration, Faults, Strike};
use testkit::oidc::{self, Oidc};
use testkit::samples::{self, ACS_CREDENTIAL};
use testkit::{Answer, Bench, Setup, Tenant, rows};

/// Another access system's credential.
const OTHER_ACS_CREDENTIAL: &str = "0190f3c4-7b5e-7a11-8c1d-000000000003";

/// A system, one workspace in it, and a number that tells one run from the next.
struct Ground {
    bench: Bench,
    tenant: Tenant,
    oidc: Arc<Oidc>,
    /// Whether it has an issuer of the admins' tokens.
    issuer: bool,
    run: usize,
}

impl Ground {
    fn name(&self, of: &str) -> String {
        format!("{of}-x{}", self.run)
    }

    /// A new admin who has signed in: their membership's identifier, and what they send.
    async fn admin(&self) -> (String, String) {
        // What was kept of the issuer's keys is too old by now, so that each run reads them.
        self.bench.advance(Duration::minutes(2));
        let subject = self.name("anna");
        let member = oidc::add_accepted_member(&self.bench, &self.tenant, &subject, "admin").await;
        (member, self.oidc.token(&subject, self.bench.now()))
    }

    /// Somebody who was added as an admin and has not accepted it: what they sign in with.
    async fn invited(&self) -> String {
        self.bench.advance(Duration::minutes(2));
        let subject = self.name("ines");
        let _member = oidc::add_member(&self.bench, &self.tenant, &subject, "admin").await;
        self.oidc.token(&subject, self.bench.now())
    }

    /// A new personal access token for this workspace, by whoever has signed in: its identifier.
    async fn personal_token(&self, signed_in: &str) -> String {
        let token = oidc::new_token(&self.bench, signed_in, &[&self.tenant.workspace_id], None).await;
        self.bench.advance(Duration::minutes(2));
        token.get("token_id")
    }

    /// A user without a device.
    async fn user(&self) -> String {
        self.bench.user(&self.tenant, &self.name("ada")).await
    }

    /// A phone that has checked in and has an endpoint: its identifier and credential.
    async fn phone(&self) -> (String, String) {
        let (device, credential) = self.bench.phone(&self.tenant, &self.name("ada")).await;
        let _in = self.bench.check_in(&credential).await.expect(200);
        self.bench.drain().await;
        (device, credential)
    }

    /// A phone that two credentials were issued to: its identifier.
    async fn holder(&self) -> String {
        let (device, _credential) = self.phone().await;
        for id in [ACS_CREDENTIAL, OTHER_ACS_CREDENTIAL] {
            let path = format!("/devices/{device}/credentials/{id}");
            let _issued = self.bench.put(&path, &self.tenant.key, json!({})).await.expect(200);
        }
        self.bench.drain().await;
        device
    }

    /// A user and so many registered phones of theirs, each as its identifier and credential.
    async fn person(&self, phones: u32) -> (String, Vec<(String, String)>) {
        let person = self.bench.user_with_phones(&self.tenant, &self.name("ada"), phones).await;
        self.bench.drain().await;
        person
    }

    /// A user's newest deployment, whose e-mail was sent.
    async fn deployed(&self, user: &str) -> String {
        self.bench.deploy(&self.tenant, user).await.0
    }

    /// The code in the newest e-mail of a deployment.
    fn code(&self) -> String {
        self.bench.newest_deployment_code().expect("an e-mail with a code was sent")
    }

    /// A phone that was enrolled by an invitation and told to fetch its configuration since: its credential.
    async fn forced(&self) -> String {
        let (user, phones) = self.person(1).await;
        let _forced = self.post(&format!("/users/{user}/force-config"), json!({})).await.expect(200);
        self.bench.drain().await;
        phones[0].1.clone()
    }

    /// Gives a phone its configuration, and answers with its version.
    async fn download(&self, credential: &str) -> String {
        self.bench.download(credential).await.expect(200).get("config_version")
    }

    /// A user with a phone that has its configuration in place: the user's identifier, and the
    /// phone's credential.
    async fn set_up(&self) -> (String, String) {
        let user = self.user().await;
        let credential = self.set_up_for(&user).await;
        (user, credential)
    }

    /// A user's phone that has its configuration in place: its credential.
    async fn set_up_for(&self, user: &str) -> String {
        let _deployment = self.deployed(user).await;
        let phone = self.bench.register(&self.code(), &self.name("set-up")).await.expect(201);
        let credential = phone.get("credential");
        let version = self.download(&credential).await;
        let body = json!({"config_version": version});
        let _installed = self.bench.check_in_with(&credential, body).await.expect(200);
        self.bench.drain().await;
        credential
    }

    /// A profile of no settings.
    async fn profile(&self, of: &str) -> String {
        self.bench.profile(&self.tenant, &self.name(of)).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.bench.post(path, &self.tenant.key, body).await
    }

    /// A webhook for everything that was told of a user who was made: its identifier, and the event's.
    async fn webhook(&self, url: &str) -> (String, String) {
        let made = self.post("/webhooks", json!({"url": url})).await.expect(201);
        let _user = self.user().await;
        self.bench.drain().await;
        let events = self.bench.get("/events?event_type=user.created", &self.tenant.key).await.expect(200);
        (made.get("webhook_id"), events.body["items"][0]["event_id"].as_str().unwrap().to_owned())
    }

    /// Orders something of a phone, and answers with the command.
    async fn order(&self, device: &str, what: &str, body: Value) -> String {
        self.post(&format!("/devices/{device}/{what}"), body).await.expect(202).get("command_id")
    }

    /// Orders something of a phone, and lets the phone come for it.
    async fn told(&self, (device, credential): &(String, String), what: &str) -> String {
        let command = self.order(device, what, json!({})).await;
        let _in = self.bench.check_in(credential).await.expect(200);
        self.bench.drain().await;
        command
    }

    /// A job as a call leaves it that has ended right after it was begun.
    fn begun(&self, action: Value, filter: Value) -> JobId {
        let id = |kind: u8| timed_uuid(self.bench.now().into(), [kind; 10]);
        let context = EventContext {
            event_id: EventId(id(1)),
            workspace_id: WorkspaceId::parse(&self.tenant.workspace_id).unwrap(),
            at: self.bench.now().into(),
            actor: Actor::System,
            token_id: None,
            operation: "bulk-users",
            request_id: "begun".to_owned(),
            address: None,
            job_id: None,
        };
        let new = NewJob {
            job_id: JobId(id(2)),
            kind: JobKind::Users,
            action_name: if action["action"] == "suspend" { "suspend" } else { "auto_deploy" },
            action,
            selection: Selection::Filter(filter.as_object().cloned().unwrap()),
            dry_run: false,
        };
        let change = begin(new, &context);
        self.put(&change.events[0]);
        let job = change.job.unwrap().after;
        self.put(&job);
        job.job_id
    }

    fn put<R: aws::Row>(&self, row: &R) {
        for row in rows::rows_of(row) {
            rows::put(&self.bench, rows::MAIN, &row, &[]);
        }
    }
}

/// What sets the operation off, and what is as it should be in the end.
enum Go {
    /// The operation's sample about these things, by whoever may or by a credential; with another body, if one is
    /// said; and the statuses that it may end with.
    Sampled {
        things: Vec<(&'static str, String)>,
        credential: Option<String>,
        body: Option<Value>,
        ends: &'static [u16],
    },
    /// A request that is no sample, and the statuses that it may end with.
    Http { method: Method, path: String, credential: Option<String>, body: Value, ends: &'static [u16] },
    /// The stream, a topic or a queue.
    Driven,
    /// Its schedule.
    Schedule,
    /// Whoever may by IAM; an error that says one of these is an end as well.
    Invoke { event: Value, ends: &'static [&'static str] },
}

impl Go {
    /// A sample with another body.
    fn saying(mut self, instead: Value) -> Self {
        if let Self::Sampled { body, .. } = &mut self {
            *body = Some(instead);
        }
        self
    }

    /// A sample that somebody sends by a credential of their own.
    fn by(mut self, own: String) -> Self {
        if let Self::Sampled { credential, .. } = &mut self {
            *credential = Some(own);
        }
        self
    }

    /// What is sent for it.
    fn of(self, operation: &str, ground: &Ground) -> Self {
        let Self::Sampled { things, credential, body, ends } = self else { return self };
        let sample = samples::of(operation)[0].fill_placeholders(|name| {
            let thing = things.iter().find(|(of, _)| *of == name).map(|(_, thing)| thing.clone());
            thing.unwrap_or_else(|| match name {
                "fresh" => ground.name("fresh"),
                "workspace" => ground.tenant.workspace_id.clone(),
                "acs_credential" => ACS_CREDENTIAL.to_owned(),
                // A body of the scenario's own says it.
                _ if body.is_some() => String::new(),
                other => panic!("{operation} is called about no {other}"),
            })
        });
        let access = functions::operation(operation).map(functions::Operation::access);
        let by_whoever_may = match access {
            Some(Access::Code | Access::Public) => None,
            _ => Some(ground.tenant.key.clone()),
        };
        Self::Http {
            method: sample.method,
            path: sample.path,
            credential: credential.or(by_whoever_may),
            body: body.or(sample.body).unwrap_or_default(),
            ends,
        }
    }
}

struct Scenario {
    operation: &'static str,
    name: &'static str,
    /// An event of which each repeat of the client's makes one more: it records that somebody tried.
    each_try: Option<&'static str>,
    prepare: for<'a> fn(&'a Ground) -> BoxFuture<'a, Go>,
}

const fn scenario(
    operation: &'static str,
    name: &'static str,
    prepare: for<'a> fn(&'a Ground) -> BoxFuture<'a, Go>,
) -> Scenario {
    Scenario { operation, name, each_try: None, prepare }
}

/// An export, of which each try is recorded.
const fn export(operation: &'static str, prepare: for<'a> fn(&'a Ground) -> BoxFuture<'a, Go>) -> Scenario {
    Scenario { operation, name: "its first part", each_try: Some("export.started"), prepare }
}

fn http(ground: &Ground, method: Method, path: String, body: Value, ends: &'static [u16]) -> Go {
    Go::Http { method, path, credential: Some(ground.tenant.key.clone()), body, ends }
}

/// The operation's sample about these things.
fn sampled(things: &[(&'static str, &dyn ToString)], ends: &'static [u16]) -> Go {
    let things = things.iter().map(|(name, thing)| (*name, thing.to_string())).collect();
    Go::Sampled { things, credential: None, body: None, ends }
}

fn register(code: &str, identifier: &str, ends: &'static [u16]) -> Go {
    sampled(&[("code", &code), ("fresh", &identifier)], ends)
}

fn check_in(credential: String, body: Value) -> Go {
    sampled(&[], &[200]).saying(body).by(credential)
}

static DEVICES: &[Scenario] = &[
    scenario("register-device", "a new phone", |g| {
        Box::pin(async move {
            let code = g.bench.invite(&g.tenant, &g.user().await, 2).await;
            register(&code, &g.name("phone"), &[201])
        })
    }),
    scenario(
        "register-device",
        "an installation whose device was deleted before it was locked, by the last use of a code",
        |g| {
            Box::pin(async move {
                let user = g.user().await;
                let code = g.bench.invite(&g.tenant, &user, 2).await;
                let old = g.bench.register(&code, &g.name("phone")).await.expect(201);
                let device = old.body["device"]["device_id"].as_str().unwrap();
                let _pending = g.order(device, "lock", json!({})).await;
                let _gone = g.bench.delete(&format!("/devices/{device}"), &g.tenant.key).await.expect(200);
                g.bench.drain().await;
                register(&code, &g.name("phone"), &[201])
            })
        },
    ),
    scenario("register-device", "a phone that is there, by a fresh code", |g| {
        Box::pin(async move {
            let user = g.user().await;
            let code = g.bench.invite(&g.tenant, &user, 1).await;
            let first = g.bench.register(&code, &g.name("phone")).await.expect(201);
            let _in = g.bench.check_in(&first.get("credential")).await.expect(200);
            let code = g.bench.invite(&g.tenant, &user, 1).await;
            register(&code, &g.name("phone"), &[201])
        })
    }),
    Scenario {
        operation: "register-device",
        name: "another user's phone",
        each_try: Some("device.refused"),
        prepare: |g| {
            Box::pin(async move {
                let (_device, _credential) = g.phone().await;
                let other = g.bench.user(&g.tenant, &g.name("bob")).await;
                let code = g.bench.invite(&g.tenant, &other, 1).await;
                register(&code, &format!("{}-phone", g.name("ada")), &[409])
            })
        },
    },
    scenario("check-in-device", "for the first time, with news", |g| {
        Box::pin(async move {
            let (_device, credential) = g.bench.phone(&g.tenant, &g.name("ada")).await;
            check_in(credential, json!({"os_version": "26.2", "push_token": g.name("newer")}))
        })
    }),
    scenario("check-in-device", "with a new version and a new token", |g| {
        Box::pin(async move {
            let (_device, credential) = g.phone().await;
            check_in(credential, json!({"app_version": "5.0", "push_token": g.name("newer")}))
        })
    }),
    scenario("check-in-device", "with nothing new, after an hour", |g| {
        Box::pin(async move {
            let (_device, credential) = g.phone().await;
            g.bench.advance(Duration::hours(1));
            check_in(credential, json!({}))
        })
    }),
    scenario("update-device", "a nickname and metadata", |g| {
        Box::pin(async move {
            let (device, _credential) = g.phone().await;
            let body = json!({"nickname": "Work phone", "custom_metadata": {"desk": "4"}});
            sampled(&[("device", &device)], &[200]).saying(body)
        })
    }),
    scenario("unblock-device", "a blocked phone", |g| {
        Box::pin(async move {
            let (device, _credential) = g.phone().await;
            let _blocked = g.post(&format!("/devices/{device}/block"), json!({})).await.expect(200);
            g.bench.drain().await;
            sampled(&[("device", &device)], &[200])
        })
    }),
    scenario("delete-device", "a phone that is there", |g| {
        Box::pin(async move {
            let (device, _credential) = g.phone().await;
            sampled(&[("doomed", &device)], &[200])
        })
    }),
];

static COMMANDS: &[Scenario] = &[
    scenario("wipe-device", "a phone that is there", |g| {
        Box::pin(async move {
            let (device, _credential) = g.phone().await;
            sampled(&[("device", &device)], &[202])
        })
    }),
    scenario("lock-device", "again, while the phone has not said what became of a lock that was taken back", |g| {
        Box::pin(async move {
            let phone = g.phone().await;
            let command = g.told(&phone, "lock").await;
            let path = format!("/devices/{}/commands/{command}", phone.0);
            let _back = g.bench.delete(&path, &g.tenant.key).await.expect(200);
            sampled(&[("device", &phone.0)], &[202])
        })
    }),
    scenario("cancel-command", "of which the phone was not told", |g| {
        Box::pin(async move {
            let (device, _credential) = g.phone().await;
            let command = g.order(&device, "wipe", json!({})).await;
            // Whose answer was lost is told that it is canceled.
            sampled(&[("doomed", &device), ("told", &command)], &[200, 409])
        })
    }),
    scenario("cancel-command", "of which the phone was told", |g| {
        Box::pin(async move {
            let phone = g.phone().await;
            let command = g.told(&phone, "lock").await;
            sampled(&[("doomed", &phone.0), ("told", &command)], &[200])
        })
    }),
    scenario("report-command", "a wipe that is done", |g| {
        Box::pin(async move {
            let phone = g.phone().await;
            let command = g.told(&phone, "wipe").await;
            report(phone.1, &command, "succeeded")
        })
    }),
    scenario("report-command", "a lock that was done although it was taken back", |g| {
        Box::pin(async move {
            let phone = g.phone().await;
            let command = g.told(&phone, "lock").await;
            let path = format!("/devices/{}/commands/{command}", phone.0);
            let _back = g.bench.delete(&path, &g.tenant.key).await.expect(200);
            report(phone.1, &command, "succeeded")
        })
    }),
    Scenario {
        operation: "report-command",
        name: "not now",
        each_try: Some("command.deferred"),
        prepare: |g| {
            Box::pin(async move {
                let phone = g.phone().await;
                let command = g.told(&phone, "lock").await;
                report(phone.1, &command, "deferred")
            })
        },
    },
    scenario("check-in-device", "of a phone that is told of two commands", |g| {
        Box::pin(async move {
            let (device, credential) = g.phone().await;
            let _lock = g.order(&device, "lock", json!({})).await;
            let _wipe = g.order(&device, "wipe", json!({})).await;
            g.bench.drain().await;
            check_in(credential, json!({}))
        })
    }),
    scenario("check-in-device", "with what was used", |g| {
        Box::pin(async move {
            let (_device, credential) = g.phone().await;
            check_in(credential, json!({"usage": {"sequence": 4, "messages_sent": 7, "calls": 2}}))
        })
    }),
    scenario("check-in-device", "with too many wrong PINs, of one of two phones", |g| {
        Box::pin(async move {
            let (_user, phones) = g.person(2).await;
            let _in = g.bench.check_in(&phones[0].1).await.expect(200);
            check_in(phones[0].1.clone(), json!({"pin_failures": 10}))
        })
    }),
    scenario("register-device", "a phone that was wiped, and had a lock to do as well", |g| {
        Box::pin(async move {
            let (user, phones) = g.person(1).await;
            let (device, credential) = &phones[0];
            let _lock = g.order(device, "lock", json!({})).await;
            let wipe = g.told(&phones[0], "wipe").await;
            let _done = g.bench.report_command(credential, &wipe, "succeeded").await.expect(200);
            let code = g.bench.invite(&g.tenant, &user, 1).await;
            register(&code, &format!("{}-0", g.name("ada")), &[201])
        })
    }),
];

fn report(credential: String, command: &str, result: &str) -> Go {
    sampled(&[("command", &command)], &[200]).saying(json!({"result": result})).by(credential)
}

static PEOPLE: &[Scenario] = &[
    scenario("create-user", "a new user", |g| {
        Box::pin(async move {
            let body = json!({"username": g.name("eve"), "last_name": "Ohm", "email": "eve@example.com"});
            sampled(&[], &[201]).saying(body)
        })
    }),
    scenario("invite-user", "for the first time", |g| {
        Box::pin(async move {
            sampled(&[("user", &g.user().await)], &[202]).saying(json!({"channel": "email", "devices": 3}))
        })
    }),
    scenario("invite-user", "again, so that the code before ends", |g| {
        Box::pin(async move {
            let user = g.user().await;
            let _code = g.bench.invite(&g.tenant, &user, 1).await;
            g.bench.advance(Duration::minutes(1));
            sampled(&[("user", &user)], &[202])
        })
    }),
    Scenario {
        operation: "open-invitation",
        name: "its button",
        each_try: Some("invitation.opened"),
        prepare: |g| {
            Box::pin(async move {
                let code = g.bench.invite(&g.tenant, &g.user().await, 1).await;
                let path = format!("/i/{code}");
                Go::Http { method: Method::POST, path, credential: None, body: Value::Null, ends: &[303] }
            })
        },
    },
    // profiles
    scenario("create-profile", "the first one, and then the default", |g| {
        Box::pin(async move {
            let _first = g.post("/profiles", json!({"name": "First", "settings": {}})).await.expect(201);
            let body = json!({"name": "Office", "settings": {"a": 1}, "schema": {"type": "object"}, "default": true});
            // Whose answer was lost is told that the name is taken.
            sampled(&[], &[201, 409]).saying(body)
        })
    }),
    scenario("update-profile", "another name, other settings, and the default", |g| {
        Box::pin(async move {
            let _first = g.post("/profiles", json!({"name": "First", "settings": {}})).await.expect(201);
            let second = g.post("/profiles", json!({"name": "Second", "settings": {}})).await.expect(201);
            let body = json!({"name": "Office", "settings": {"a": 1}, "schema": {}, "default": true});
            sampled(&[("profile", &second.get("profile_id"))], &[200]).saying(body)
        })
    }),
    scenario("delete-profile", "the last one", |g| {
        Box::pin(async move {
            let made = g.post("/profiles", json!({"name": "First", "settings": {}})).await.expect(201);
            // Who asks again for what was done finds nothing to delete.
            sampled(&[("spare", &made.get("profile_id"))], &[200, 404])
        })
    }),
    // exports
    export("export-users", |g| {
        Box::pin(async move {
            let _person = g.person(1).await;
            sampled(&[], &[200])
        })
    }),
    export("export-devices", |g| {
        Box::pin(async move {
            let _person = g.person(1).await;
            http(g, Method::GET, "/devices/export?search=ada".to_owned(), Value::Null, &[200])
        })
    }),
    export("export-events", |g| {
        Box::pin(async move {
            let _user = g.user().await;
            http(g, Method::GET, "/events/export?event_type=user.created".to_owned(), Value::Null, &[200])
        })
    }),
    scenario("create-key", "a key for reading", |_| {
        Box::pin(async move {
            // Whose answer was lost is told that the key was made, and can revoke it.
            let body = json!({"name": "reader", "permissions": ["devices:read"]});
            sampled(&[], &[201, 409]).saying(body)
        })
    }),
    scenario("revoke-key", "another key", |g| {
        Box::pin(async move {
            let body = json!({"name": "reader", "permissions": ["devices:read"]});
            let key = g.post("/keys", body).await.expect(201).get("key_id");
            sampled(&[("key", &key)], &[200])
        })
    }),
    scenario("add-member", "an admin", |g| Box::pin(async move { sampled(&[], &[201]).saying(member(g, "one")) })),
    scenario("remove-member", "one of two admins", |g| {
        Box::pin(async move {
            let _stays = oidc::add_accepted_member(&g.bench, &g.tenant, &g.name("one"), "admin").await;
            let goes = oidc::add_accepted_member(&g.bench, &g.tenant, &g.name("two"), "admin").await;
            // Who asks again for what was done finds nobody to remove.
            sampled(&[("member", &goes)], &[200, 404])
        })
    }),
    scenario("remove-member", "with what they made", |g| {
        Box::pin(async move {
            let _stays = oidc::add_accepted_member(&g.bench, &g.tenant, &g.name("one"), "admin").await;
            let (goes, credential) = g.admin().await;
            let key = json!({"name": "theirs", "permissions": ["devices:read"]});
            let _key = g.bench.post("/keys", &credential, key).await.expect(201);
            let hook = json!({"url": "https://hooks.example.com/", "event_types": ["webhook.disabled"]});
            let _hook = g.bench.post("/webhooks", &credential, hook).await.expect(201);
            http(g, Method::DELETE, format!("/members/{goes}?revoke=true"), Value::Null, &[200, 404])
        })
    }),
    scenario("accept-membership", "an admin's", |g| {
        Box::pin(async move {
            let credential = g.invited().await;
            sampled(&[], &[200]).by(credential)
        })
    }),
    scenario("decline-membership", "an admin's", |g| {
        Box::pin(async move {
            let credential = g.invited().await;
            // Who asks again for what was done finds nothing to decline.
            sampled(&[("workspace", &g.tenant.workspace_id)], &[200, 404]).by(credential)
        })
    }),
    scenario("create-token", "for one workspace", |g| {
        Box::pin(async move {
            let (_member, credential) = g.admin().await;
            let ends = g.bench.now() + Duration::days(30);
            let body = json!({
                "name": "a program", "workspace_ids": [g.tenant.workspace_id], "expires_at": ends.to_rfc3339(),
            });
            // Whose answer was lost is told that the token was made, and can revoke it.
            sampled(&[], &[201, 409]).saying(body).by(credential)
        })
    }),
    scenario("revoke-token", "one's own", |g| {
        Box::pin(async move {
            let (_member, credential) = g.admin().await;
            let token = g.personal_token(&credential).await;
            sampled(&[("token", &token)], &[200]).by(credential)
        })
    }),
    scenario("revoke-member-token", "another's", |g| {
        Box::pin(async move {
            let (member, credential) = g.admin().await;
            let token = g.personal_token(&credential).await;
            sampled(&[("owner", &member), ("token", &token)], &[200])
        })
    }),
    scenario("create-workspace", "with an identifier of the invoker's own", |g| {
        Box::pin(async move {
            let id = format!("0190f3c4-7b5e-7a11-8c1d-{:012x}", g.run);
            Go::Invoke { event: json!({"name": "Second", "workspace_id": id}), ends: &["already created"] }
        })
    }),
];

/// What identity providers do.
static SCIM: &[Scenario] = &[
    scenario("scim", "a new user who is not active yet", |g| {
        Box::pin(async move {
            let body = json!({
                "userName": g.name("eve"), "externalId": g.name("00u"), "active": false, "title": "Guide",
                "emails": [{"value": "eve@example.com"}],
            });
            // SCIM has no idempotency keys: whose answer was lost is told that the user is there.
            http(g, Method::POST, "/scim/v2/Users".to_owned(), body, &[201, 409])
        })
    }),
    scenario("scim", "another username and no access, with two phones", |g| {
        Box::pin(async move {
            let (user, _phones) = g.person(2).await;
            let body = json!({"Operations": [
                {"op": "Replace", "path": "userName", "value": g.name("eve")},
                {"op": "Add", "path": "title", "value": "Guide"},
                {"op": "Replace", "path": "active", "value": "False"},
            ]});
            http(g, Method::PATCH, format!("/scim/v2/Users/{user}"), body, &[200])
        })
    }),
    scenario("scim", "a user replaced", |g| {
        Box::pin(async move {
            let body = json!({"userName": g.name("eve"), "externalId": g.name("00u"), "title": "Guide"});
            let user = g.post("/scim/v2/Users", body).await.expect(201).get("id");
            g.bench.drain().await;
            let body = json!({"userName": g.name("eve"), "externalId": g.name("00v")});
            http(g, Method::PUT, format!("/scim/v2/Users/{user}"), body, &[200])
        })
    }),
    scenario("scim", "a user deleted, with a phone and an open invitation", |g| {
        Box::pin(async move {
            let (user, _phones) = g.person(1).await;
            let _code = g.bench.invite(&g.tenant, &user, 1).await;
            // Who asks again for what was done finds nobody to delete.
            http(g, Method::DELETE, format!("/scim/v2/Users/{user}"), Value::Null, &[204, 404])
        })
    }),
    scenario("purge-deleted", "a user of whom a provider has said a lot", |g| {
        Box::pin(async move {
            let body = json!({"userName": g.name("eve"), "externalId": g.name("00u"), "title": "Guide"});
            let user = g.post("/scim/v2/Users", body).await.expect(201).get("id");
            let _gone = g.bench.delete(&format!("/scim/v2/Users/{user}"), &g.tenant.key).await.expect(204);
            g.bench.drain().await;
            g.bench.advance(Duration::days(31));
            Go::Schedule
        })
    }),
];

/// What access systems report, and what Seam's clients do.
static SEAM: &[Scenario] = &[
    scenario("issue-credential", "a phone's first", |g| {
        Box::pin(async move {
            let (device, _credential) = g.phone().await;
            sampled(&[("device", &device), ("acs_credential", &ACS_CREDENTIAL)], &[200])
        })
    }),
    scenario("revoke-credential", "one of two", |g| {
        Box::pin(async move {
            let device = g.holder().await;
            sampled(&[("device", &device), ("acs_credential", &ACS_CREDENTIAL)], &[200])
        })
    }),
    scenario("report-credential-service", "with a problem", |g| {
        Box::pin(async move {
            let device = g.holder().await;
            let body = json!({"endpoints": [{"endpoint_id": "e", "is_active": true}], "problem": "no answer"});
            sampled(&[("device", &device)], &[200]).saying(body)
        })
    }),
    scenario("seam-phones", "a phone that holds credentials is deactivated", |g| {
        Box::pin(async move {
            let device = g.holder().await;
            let path = format!("/phones/deactivate?device_id={device}");
            http(g, Method::DELETE, path, Value::Null, &[200])
        })
    }),
    scenario("seam-phones", "the phones that hold a credential", |g| {
        Box::pin(async move {
            let _device = g.holder().await;
            let path = format!("/phones/list?acs_credential_id={ACS_CREDENTIAL}");
            http(g, Method::GET, path, Value::Null, &[200])
        })
    }),
    scenario("seam-devices", "a name and metadata", |g| {
        Box::pin(async move {
            let device = g.holder().await;
            let body = json!({"device_id": device, "name": "Mine", "custom_metadata": {"a": true, "b": ""}});
            http(g, Method::PATCH, "/devices/update".to_owned(), body, &[200])
        })
    }),
    scenario("seam-events", "the ends of phones", |_| Box::pin(async move { sampled(&[], &[200]) })),
    scenario("seam-user-identities", "a new one", |g| {
        Box::pin(async move {
            let body = json!({"user_identity_key": g.name("key"), "full_name": "Ada Lovelace"});
            // Seam has no idempotency keys: whose answer was lost is told that the key is taken.
            http(g, Method::POST, "/user_identities/create".to_owned(), body, &[200, 400])
        })
    }),
    scenario("seam-user-identities", "another key and no name", |g| {
        Box::pin(async move {
            let user = g.user().await;
            let body = json!({"user_identity_id": user, "user_identity_key": g.name("key"), "full_name": null});
            http(g, Method::PATCH, "/user_identities/update".to_owned(), body, &[200])
        })
    }),
    scenario("seam-user-identities", "one deleted, with a phone that holds credentials", |g| {
        Box::pin(async move {
            let device = g.holder().await;
            let shown = g.bench.get(&format!("/devices/{device}"), &g.tenant.key).await.expect(200);
            let body = json!({"user_identity_id": shown.get("user_id")});
            http(g, Method::POST, "/user_identities/delete".to_owned(), body, &[200])
        })
    }),
    scenario("seam-workspaces", "one's own", |_| Box::pin(async { sampled(&[], &[200]) })),
    scenario("purge-deleted", "a phone that held credentials", |g| {
        Box::pin(async move {
            let device = g.holder().await;
            let _gone = g.bench.delete(&format!("/devices/{device}"), &g.tenant.key).await.expect(200);
            g.bench.drain().await;
            g.bench.advance(Duration::days(31));
            Go::Schedule
        })
    }),
];

/// What is done to users, and to many things at once.
static LIVES: &[Scenario] = &[
    scenario("update-user", "another username, with two phones", |g| {
        Box::pin(async move {
            let (user, _phones) = g.person(2).await;
            let body = json!({"username": g.name("eve"), "first_name": "Eve", "mobile": null});
            sampled(&[("user", &user)], &[200]).saying(body)
        })
    }),
    scenario("suspend-user", "with two phones", |g| {
        Box::pin(async move {
            let (user, _phones) = g.person(2).await;
            sampled(&[("guest", &user)], &[200]).saying(json!({"reason": "on leave"}))
        })
    }),
    scenario("activate-user", "who is suspended", |g| {
        Box::pin(async move {
            let (user, _phones) = g.person(1).await;
            let _held = g.post(&format!("/users/{user}/suspend"), json!({})).await.expect(200);
            g.bench.drain().await;
            sampled(&[("guest", &user)], &[200])
        })
    }),
    scenario("lock-and-wipe-user", "with two phones", |g| {
        Box::pin(async move {
            let (user, _phones) = g.person(2).await;
            sampled(&[("guest", &user)], &[200])
        })
    }),
    scenario("reset-pin", "of a locked user", |g| {
        Box::pin(async move {
            let (user, phones) = g.person(1).await;
            let body = json!({"pin_failures": 10});
            let _locked = g.bench.check_in_with(&phones[0].1, body).await.expect(200);
            g.bench.drain().await;
            sampled(&[("guest", &user)], &[200])
        })
    }),
    scenario("delete-user", "with a phone that was wiped and one that is about to be", |g| {
        Box::pin(async move {
            let (user, phones) = g.person(2).await;
            let wipe = g.told(&phones[0], "wipe").await;
            let _done = g.bench.report_command(&phones[0].1, &wipe, "succeeded").await.expect(200);
            let _pending = g.order(&phones[1].0, "wipe", json!({})).await;
            sampled(&[("leaver", &user)], &[200])
        })
    }),
    scenario("delete-user", "without a wipe, with an open invitation", |g| {
        Box::pin(async move {
            let (user, _phones) = g.person(1).await;
            let _code = g.bench.invite(&g.tenant, &user, 1).await;
            let body = json!({"without_wipe": true, "reason": "left"});
            sampled(&[("leaver", &user)], &[200]).saying(body)
        })
    }),
    scenario("revoke-invitation", "an open one", |g| {
        Box::pin(async move {
            let user = g.user().await;
            let path = format!("/users/{user}/invite");
            let invited = g.post(&path, json!({"channel": "email"})).await.expect(202);
            g.bench.drain().await;
            sampled(&[("guest", &user), ("invitation", &invited.get("invitation_id"))], &[200])
        })
    }),
    scenario("report-network", "a carrier's word that does not say since when", |g| {
        Box::pin(async move {
            let body = json!({"status": "unable_to_provision", "reason": "message_block"});
            sampled(&[("user", &g.user().await)], &[200]).saying(body)
        })
    }),
    scenario("update-workspace", "a rule, levels and a sender", |_| {
        Box::pin(async move {
            let body = json!({
                "silent_devices": {"after_days": 7, "action": "block"},
                "service_levels": ["gold"],
                "retention_days": 10,
                "sender": "it@handset.example",
            });
            sampled(&[], &[200]).saying(body)
        })
    }),
];

static JOBS: &[Scenario] = &[
    scenario("bulk-users", "three, one of whom is suspended before and one unknown", |g| {
        Box::pin(async move {
            let user = g.user().await;
            let other = g.bench.user(&g.tenant, &g.name("bob")).await;
            let _held = g.post(&format!("/users/{other}/suspend"), json!({})).await.expect(200);
            let ids = json!([user, other, "0190f3c4-7b5e-7a11-8c1d-3f2a9b6c5d4e"]);
            sampled(&[], &[207, 202]).saying(json!({"action": "suspend", "ids": ids}))
        })
    }),
    scenario("bulk-users", "two with one address are invited, of whom one has to wait", |g| {
        Box::pin(async move {
            let mut ids = Vec::new();
            for name in ["ada", "bob"] {
                let body = json!({"username": g.name(name), "email": "both@example.com"});
                ids.push(g.post("/users", body).await.expect(201).get("user_id"));
            }
            let body = json!({"action": "invite", "channel": "email", "ids": ids});
            sampled(&[], &[200, 202]).saying(body)
        })
    }),
    scenario("bulk-users", "all whom a filter finds are invited, one of whom has no address", |g| {
        Box::pin(async move {
            let _user = g.user().await;
            let _unreached = g.post("/users", json!({"username": g.name("bob")})).await.expect(201);
            let body = json!({"action": "invite", "channel": "email", "filter": {"status": "inactive"}});
            sampled(&[], &[202]).saying(body)
        })
    }),
    scenario("bulk-devices", "a phone is to be wiped", |g| {
        Box::pin(async move {
            let (device, _credential) = g.phone().await;
            let body = json!({"action": "wipe", "reason": "lost", "ids": [device]});
            sampled(&[], &[200, 202]).saying(body)
        })
    }),
    scenario("cancel-job", "at work", |g| {
        Box::pin(async move {
            let job = g.begun(json!({"action": "suspend"}), json!({}));
            sampled(&[("job", &job)], &[200])
        })
    }),
    scenario("run-due", "a job that its call has left at work", |g| {
        Box::pin(async move {
            let _user = g.user().await;
            let _job = g.begun(json!({"action": "suspend"}), json!({}));
            g.bench.advance(Duration::minutes(2));
            Go::Schedule
        })
    }),
];

fn member(ground: &Ground, subject: &str) -> Value {
    json!({"issuer": "https://issuer.example", "subject": ground.name(subject), "role": "admin"})
}

async fn text_invitation(g: &Ground) -> Go {
    let path = format!("/users/{}/invite", g.user().await);
    let _invited = g.post(&path, json!({"channel": "sms"})).await.expect(202);
    Go::Driven
}

static CONSUMERS: &[Scenario] = &[
    scenario("publish-events", "a user made and invited", |g| {
        Box::pin(async move {
            let path = format!("/users/{}/invite", g.user().await);
            let _invited = g.post(&path, json!({"channel": "email"})).await.expect(202);
            Go::Driven
        })
    }),
    scenario("republish-events", "a day's events, all of which were published", |g| {
        Box::pin(async move {
            let (device, _credential) = g.phone().await;
            let _blocked = g.post(&format!("/devices/{device}/block"), json!({})).await.expect(200);
            g.bench.drain().await;
            let (since, until) = (g.bench.now() - Duration::hours(2), g.bench.now() + Duration::seconds(1));
            let span = json!({"workspace_id": g.tenant.workspace_id, "since": since, "until": until});
            Go::Invoke { event: span, ends: &[] }
        })
    }),
    scenario("reindex", "a user's and a phone's rows that stand as they should, and one that does not", |g| {
        Box::pin(async move {
            let (_device, _credential) = g.phone().await;
            g.bench.drain().await;
            let pk = format!("USER#{}#", g.tenant.workspace_id);
            let is_user =
                |row: &Value| row["sk"] == "USER" && row["pk"].as_str().is_some_and(|key| key.starts_with(&pk));
            let user = rows::all(&g.bench, rows::MAIN).into_values().find(is_user);
            let mut user = user.expect("there is a user");
            let _list = user.as_object_mut().and_then(|user| user.remove("list"));
            rows::put(&g.bench, rows::MAIN, &user, &["device_ids"]);
            Go::Invoke { event: json!({"workspace_id": g.tenant.workspace_id}), ends: &[] }
        })
    }),
    scenario("notify-device", "the endpoint of a first token", |g| {
        Box::pin(async move {
            let (_device, _credential) = g.bench.phone(&g.tenant, &g.name("ada")).await;
            Go::Driven
        })
    }),
    scenario("notify-device", "the endpoint of a newer token", |g| {
        Box::pin(async move {
            let (_device, credential) = g.phone().await;
            let body = json!({"push_token": g.name("newer")});
            let _in = g.bench.check_in_with(&credential, body).await.expect(200);
            Go::Driven
        })
    }),
    scenario("notify-device", "a wake-up", |g| {
        Box::pin(async move {
            let (device, _credential) = g.phone().await;
            let _blocked = g.post(&format!("/devices/{device}/block"), json!({})).await.expect(200);
            Go::Driven
        })
    }),
    scenario("notify-device", "a wake-up of both of a user's phones", |g| {
        Box::pin(async move {
            let (user, _phones) = g.person(2).await;
            let _held = g.post(&format!("/users/{user}/suspend"), json!({})).await.expect(200);
            Go::Driven
        })
    }),
    scenario("send-message", "an invitation", |g| {
        Box::pin(async move {
            let path = format!("/users/{}/invite", g.user().await);
            let _invited = g.post(&path, json!({"channel": "email"})).await.expect(202);
            Go::Driven
        })
    }),
    scenario("send-message", "an invitation by text", |g| Box::pin(text_invitation(g))),
    scenario("record-feedback", "a text that arrived", |g| Box::pin(text_invitation(g))),
    scenario("record-feedback", "a text that did not arrive", |g| {
        Box::pin(async move {
            // A number by which AWS simulates a failure.
            let body = json!({"username": g.name("eve"), "mobile": "+14254147167"});
            let user = g.post("/users", body).await.expect(201).get("user_id");
            let _invited = g.post(&format!("/users/{user}/invite"), json!({"channel": "sms"})).await.expect(202);
            Go::Driven
        })
    }),
    scenario("record-feedback", "an e-mail that arrived", |g| {
        Box::pin(async move {
            let path = format!("/users/{}/invite", g.user().await);
            let _invited = g.post(&path, json!({"channel": "email"})).await.expect(202);
            Go::Driven
        })
    }),
    scenario("record-feedback", "a push that can never arrive", |g| {
        Box::pin(async move {
            let (device, _credential) = g.phone().await;
            let shown = g.bench.get(&format!("/devices/{device}"), &g.tenant.key).await.expect(200);
            let report = json!({
                "EventType": "DeliveryFailure",
                "FailureType": "EndpointDisabled",
                "EndpointArn": shown.body["push_endpoint"],
                "Time": g.bench.now() + Duration::seconds(1),
            });
            let event = json!({"Records": [{"Sns": {"Message": report.to_string()}}]});
            Go::Invoke { event, ends: &[] }
        })
    }),
    scenario("refresh-issuer-keys", WITHOUT_ISSUER, |_| Box::pin(async { Go::Schedule })),
    scenario("refresh-issuer-keys", "for the first time", |g| {
        Box::pin(async move {
            let keys = rows::all(&g.bench, rows::MAIN).remove("ISSUER | KEYS").expect("they are kept");
            rows::remove(&g.bench, rows::MAIN, &keys);
            Go::Schedule
        })
    }),
];

/// What is done where nobody signs in.
const WITHOUT_ISSUER: &str = "without an issuer";

// sources
static SOURCES: &[Scenario] = &[
    scenario("create-source", "a page with a token", |g| {
        Box::pin(async move { sampled(&[], &[201]).saying(page_of(g)) })
    }),
    scenario("update-source", "another page, and so no token", |g| {
        Box::pin(async move {
            let source = g.post("/sources", page_of(g)).await.expect(201).get("source_id");
            let body = json!({"url": "https://other.example.com/", "every_hours": 3});
            sampled(&[("page", &source)], &[200]).saying(body)
        })
    }),
    scenario("delete-source", "with a token", |g| {
        Box::pin(async move {
            let source = g.post("/sources", page_of(g)).await.expect(201).get("source_id");
            sampled(&[("source", &source)], &[200, 404])
        })
    }),
    scenario("upload-source-part", "the one that was missing", |g| {
        Box::pin(async move {
            let _by_hand = g.user().await;
            let source = file_of(g).await;
            let upload = "0190f3c4-7b5e-7a11-8c1d-000000000001";
            let path = |number: u8, last: bool| format!("/sources/{source}/parts/{number}?upload={upload}&last={last}");
            let two = json!(format!("{}\nbad user\n{}\n", g.name("bob"), g.name("ada")));
            let _first = g.bench.upload(&g.tenant, &path(2, true), two.as_str().unwrap()).await.expect(202);
            http(g, Method::PUT, path(1, false), json!("login\n"), &[202])
        })
    }),
    scenario("sync-users", "one is new, one was made by hand, one is faulty, one has vanished", |g| {
        Box::pin(async move {
            let _by_hand = g.user().await;
            let source = file_of(g).await;
            let path = |upload: u8, more: &str| {
                format!("/sources/{source}/parts/1?upload=0190f3c4-7b5e-7a11-8c1d-00000000000{upload}&last=true{more}")
            };
            let first = format!("login\n{}\n", g.name("eve"));
            let _first = g.bench.upload(&g.tenant, &path(1, ""), &first).await.expect(202);
            let file = format!("login\n{}\nbad user\n{}\n", g.name("bob"), g.name("ada"));
            let _waits = g.bench.upload(&g.tenant, &path(2, "&start=false"), &file).await.expect(202);
            sampled(&[("source", &source)], &[202]).saying(json!({}))
        })
    }),
    scenario("run-due", "a page whose time has come", |g| {
        Box::pin(async move {
            let mut page = page_of(g);
            page["every_hours"] = json!(24);
            let _source = g.post("/sources", page).await.expect(201);
            Go::Schedule
        })
    }),
];

// webhooks
static WEBHOOKS: &[Scenario] = &[
    scenario("create-webhook", "for everything", |g| {
        Box::pin(async move {
            // What was before is told to nobody.
            g.bench.advance(Duration::seconds(1));
            // Whose answer was lost is told that it was made, and can rotate its secret.
            sampled(&[], &[201, 409]).saying(json!({"url": HOOK}))
        })
    }),
    scenario("seam-webhooks", "for everything", |g| {
        Box::pin(async move {
            g.bench.advance(Duration::seconds(1));
            sampled(&[], &[200, 409]).saying(json!({"url": HOOK}))
        })
    }),
    scenario("update-webhook", "another address, switched off", |g| {
        Box::pin(async move {
            let (id, _) = g.webhook(HOOK).await;
            let body = json!({"url": "https://other.example.com/", "enabled": false});
            sampled(&[("webhook", &id)], &[200]).saying(body)
        })
    }),
    scenario("delete-webhook", "one that was told something", |g| {
        Box::pin(async move {
            let (id, _) = g.webhook(HOOK).await;
            sampled(&[("webhook", &id)], &[200, 404])
        })
    }),
    Scenario {
        operation: "rotate-webhook-secret",
        name: "for the first time",
        each_try: Some("webhook.secret_rotated"),
        prepare: |g| {
            Box::pin(async move {
                let body = json!({"url": HOOK, "event_types": ["user.created"]});
                let id = g.post("/webhooks", body).await.expect(201).get("webhook_id");
                sampled(&[("webhook", &id)], &[200])
            })
        },
    },
    scenario("redeliver", "what was delivered", |g| {
        Box::pin(async move {
            let (id, event) = g.webhook(HOOK).await;
            sampled(&[("webhook", &id), ("delivered", &event)], &[200])
        })
    }),
    scenario("deliver-webhook", "a user made, to two webhooks", |g| {
        Box::pin(async move {
            for url in [HOOK, "https://other.example.com/"] {
                let body = json!({"url": url, "event_types": ["user.created"]});
                let _made = g.post("/webhooks", body).await.expect(201);
            }
            g.bench.drain().await;
            let _user = g.user().await;
            Go::Driven
        })
    }),
    scenario("deliver-webhook", "a receiver that is gone, and one that is told so", |g| {
        Box::pin(async move {
            let body = json!({"url": GONE, "event_types": ["user.created"]});
            let _gone = g.post("/webhooks", body).await.expect(201);
            let body = json!({"url": HOOK, "event_types": ["webhook.disabled"]});
            let _told = g.post("/webhooks", body).await.expect(201);
            g.bench.drain().await;
            let _user = g.user().await;
            Go::Driven
        })
    }),
    scenario("deliver-webhook", "an earlier secret to be forgotten, and a delivery whose run was ended", |g| {
        Box::pin(async move {
            let (id, event) = g.webhook(HOOK).await;
            let _rotated = g.post(&format!("/webhooks/{id}/rotate-secret"), json!({})).await.expect(200);
            g.bench.drain().await;
            let all = rows::all(&g.bench, rows::MAIN).into_iter();
            let (_, mut row) = all.into_iter().find(|(key, _)| key.ends_with(&format!("DELIVERY#{event}"))).unwrap();
            let lease = "0190f3c4-7b5e-7a11-8c1d-000000000001";
            row["state"] = "pending".into();
            row["lease"] = lease.into();
            row["next_at"] = json!(domain::Time::from(g.bench.now()));
            row["due_at"] = row["next_at"].clone();
            row["due_shard"] = "CALLS#07".into();
            rows::put(&g.bench, rows::MAIN, &row, &[]);
            g.bench.advance(Duration::hours(25));
            Go::Schedule
        })
    }),
];

/// Where webhooks lead.
const HOOK: &str = "https://hooks.example.com/";
/// Where nobody takes anything any more.
const GONE: &str = "https://gone.example.com/";

/// A source that is read from a page.
fn page_of(g: &Ground) -> Value {
    json!({
        "name": g.name("page"), "kind": "http", "mapping": {"username": "login"}, "format": "json",
        "url": "https://hr.example.com/people", "token": "a token",
    })
}

/// A source that is uploaded.
async fn file_of(g: &Ground) -> String {
    let body =
        json!({"name": g.name("file"), "kind": "csv", "mapping": {"username": "login"}, "vanish_policy": "suspend"});
    g.post("/sources", body).await.expect(201).get("source_id")
}

static SCHEDULES: &[Scenario] = &[
    scenario("run-due", "a deployment that a limit of messages kept from following a rename", |g| {
        Box::pin(async move {
            let user = g.user().await;
            let _deployment = g.deployed(&user).await;
            let rename = json!({"username": g.name("eve")});
            let _renamed = g.bench.patch(&format!("/users/{user}"), &g.tenant.key, rename).await.expect(200);
            g.bench.drain().await;
            g.bench.advance(Duration::minutes(2));
            Go::Schedule
        })
    }),
    scenario("run-due", "an invitation whose time is over", |g| {
        Box::pin(async move {
            let _code = g.bench.invite(&g.tenant, &g.user().await, 1).await;
            g.bench.advance(Duration::days(8));
            Go::Schedule
        })
    }),
    scenario("run-due", "a token whose endpoint nobody has settled", |g| {
        Box::pin(async move {
            let (device, _credential) = g.phone().await;
            // As a token is after the topic's three tries have failed.
            let key = format!("DEVICE#{}#{device} | PUSH", g.tenant.workspace_id);
            let mut token = rows::all(&g.bench, rows::MAIN).remove(&key).expect("the token's row");
            token["token"] = json!(g.name("newer"));
            let row: domain::models::device::PushToken = aws::from_json(token.clone()).unwrap();
            let due = domain::models::device::PushToken { mend_at: Some(g.bench.now().into()), ..row };
            for (name, value) in aws::Row::indexes(&due) {
                token[name] = json!(value);
            }
            token["mend_at"] = json!(due.mend_at);
            rows::put(&g.bench, rows::MAIN, &token, &[]);
            let key = format!("DEVICE#{}#{device} | DEVICE", g.tenant.workspace_id);
            let mut row = rows::all(&g.bench, rows::MAIN).remove(&key).expect("the device's row");
            row["push_token_hash"] = json!(domain::secret::Hash::of(&due.token));
            rows::put(&g.bench, rows::MAIN, &row, &[]);
            g.bench.advance(Duration::minutes(6));
            Go::Schedule
        })
    }),
    scenario("run-due", "a command whose time is over", |g| {
        Box::pin(async move {
            let phone = g.phone().await;
            let _told = g.told(&phone, "lock").await;
            g.bench.advance(Duration::days(31));
            Go::Schedule
        })
    }),
    scenario("run-due", "the rule for silent devices", |g| {
        Box::pin(async move {
            let _phone = g.phone().await;
            let body = json!({"silent_devices": {"after_days": 7, "action": "block"}});
            let _ruled = g.bench.patch("/workspace", &g.tenant.key, body).await.expect(200);
            g.bench.advance(Duration::days(8));
            Go::Schedule
        })
    }),
    scenario("purge-deleted", "a user with invitations and usage, whose phone is gone", |g| {
        Box::pin(async move {
            let (user, phones) = g.person(1).await;
            let (device, credential) = &phones[0];
            let usage = json!({"usage": {"sequence": 1, "calls": 3}});
            let _used = g.bench.check_in_with(credential, usage).await.expect(200);
            let _gone = g.bench.delete(&format!("/devices/{device}"), &g.tenant.key).await.expect(200);
            g.bench.drain().await;
            // Of a phone and its user in one run, either may come first, and the calls would differ.
            g.bench.advance(Duration::days(31));
            let _purged = g.bench.purge().await;
            let _open = g.bench.invite(&g.tenant, &user, 1).await;
            let _gone = g.bench.delete(&format!("/users/{user}"), &g.tenant.key).await.expect(200);
            g.bench.drain().await;
            g.bench.advance(Duration::days(31));
            Go::Schedule
        })
    }),
    scenario("purge-deleted", "a phone with metadata, a token, an endpoint and a command", |g| {
        Box::pin(async move {
            let (device, credential) = g.phone().await;
            let wipe = g.order(&device, "wipe", json!({"reason": "lost"})).await;
            let _failed = g.bench.report_command(&credential, &wipe, "failed").await.expect(200);
            let path = format!("/devices/{device}");
            let body = json!({"custom_metadata": {"desk": "4"}});
            let _edited = g.bench.call(Method::PATCH, &path, Some(&g.tenant.key), Some(&body)).await.expect(200);
            let _gone = g.bench.delete(&path, &g.tenant.key).await.expect(200);
            g.bench.drain().await;
            g.bench.advance(Duration::days(31));
            Go::Schedule
        })
    }),
];

/// Operations that change nothing: a way to call each, and what its calls to AWS may be.
static READERS: &[Scenario] = &[
    scenario("list-devices", "a search", |g| {
        Box::pin(async move {
            let _phone = g.phone().await;
            http(g, Method::GET, "/devices?search=ada".to_owned(), Value::Null, &[200])
        })
    }),
    scenario("get-device", "one", |g| {
        Box::pin(async move {
            let (device, _credential) = g.phone().await;
            sampled(&[("device", &device)], &[200])
        })
    }),
    scenario("get-user", "one", |g| {
        Box::pin(async move {
            let user = g.user().await;
            sampled(&[("user", &user)], &[200])
        })
    }),
    scenario("list-users", "all", |g| {
        Box::pin(async move {
            let _user = g.user().await;
            sampled(&[], &[200])
        })
    }),
    scenario("scim", "a list with a filter", |g| {
        Box::pin(async move {
            let _user = g.user().await;
            let path = "/scim/v2/Users?filter=title%20pr%20or%20active%20eq%20true&sortBy=userName".to_owned();
            http(g, Method::GET, path, Value::Null, &[200])
        })
    }),
    scenario("list-events", "all", |g| {
        Box::pin(async move {
            let _user = g.user().await;
            sampled(&[], &[200])
        })
    }),
    scenario("list-keys", "all", |_| Box::pin(async { sampled(&[], &[200]) })),
    scenario("list-memberships", "one that waits", |g| {
        Box::pin(async move {
            let credential = g.invited().await;
            sampled(&[], &[200]).by(credential)
        })
    }),
    scenario("list-tokens", "one's own", |g| {
        Box::pin(async move {
            let (_member, credential) = g.admin().await;
            let _token = g.personal_token(&credential).await;
            sampled(&[], &[200]).by(credential)
        })
    }),
    scenario("list-member-tokens", "another's", |g| {
        Box::pin(async move {
            let (member, credential) = g.admin().await;
            let _token = g.personal_token(&credential).await;
            sampled(&[("owner", &member)], &[200])
        })
    }),
    scenario("get-workspace", "by a personal access token", |g| {
        Box::pin(async move {
            let (_member, credential) = g.admin().await;
            let made = oidc::new_token(&g.bench, &credential, &[&g.tenant.workspace_id], None).await;
            sampled(&[], &[200]).by(made.get("token"))
        })
    }),
    scenario("seam-workspaces", "all that there are", |g| {
        Box::pin(async move { http(g, Method::GET, "/workspaces/list".to_owned(), Value::Null, &[200]) })
    }),
    scenario("list-members", "all", |g| {
        Box::pin(async move {
            let _member = g.post("/members", member(g, "one")).await.expect(201);
            sampled(&[], &[200])
        })
    }),
    scenario("list-commands", "a phone's", |g| {
        Box::pin(async move {
            let (device, _credential) = g.phone().await;
            let _wipe = g.order(&device, "wipe", json!({})).await;
            sampled(&[("device", &device)], &[200])
        })
    }),
    scenario("list-invitations", "a user's", |g| {
        Box::pin(async move {
            let user = g.user().await;
            let _code = g.bench.invite(&g.tenant, &user, 1).await;
            sampled(&[("guest", &user)], &[200])
        })
    }),
    scenario("get-usage", "a user's", |g| Box::pin(async move { sampled(&[("user", &g.user().await)], &[200]) })),
    scenario("get-usage", "the whole workspace's", |g| {
        Box::pin(async move { http(g, Method::GET, "/usage".to_owned(), Value::Null, &[200]) })
    }),
    scenario("get-job", "one at work", |g| {
        Box::pin(async move {
            let job = g.begun(json!({"action": "suspend"}), json!({}));
            sampled(&[("job", &job)], &[200])
        })
    }),
    scenario("list-jobs", "all", |g| {
        Box::pin(async move {
            let _job = g.begun(json!({"action": "suspend"}), json!({}));
            sampled(&[], &[200])
        })
    }),
    // profiles
    scenario("list-profiles", "all", |g| {
        Box::pin(async move {
            let _made = g.post("/profiles", json!({"name": "First", "settings": {}})).await.expect(201);
            sampled(&[], &[200])
        })
    }),
    scenario("get-profile", "one", |g| {
        Box::pin(async move {
            let made = g.post("/profiles", json!({"name": "First", "settings": {}})).await.expect(201);
            sampled(&[("profile", &made.get("profile_id"))], &[200])
        })
    }),
    scenario("list-sources", "all", |g| {
        Box::pin(async move {
            let _source = file_of(g).await;
            sampled(&[], &[200])
        })
    }),
    scenario("get-source", "one", |g| Box::pin(async move { sampled(&[("source", &file_of(g).await)], &[200]) })),
    scenario("list-webhooks", "all", |g| {
        Box::pin(async move {
            let _webhook = g.webhook(HOOK).await;
            sampled(&[], &[200])
        })
    }),
    scenario("get-webhook", "one", |g| {
        Box::pin(async move {
            let (id, _) = g.webhook(HOOK).await;
            sampled(&[("webhook", &id)], &[200])
        })
    }),
    scenario("list-deliveries", "of one", |g| {
        Box::pin(async move {
            let (id, _) = g.webhook(HOOK).await;
            sampled(&[("webhook", &id)], &[200])
        })
    }),
    scenario("get-workspace", "the caller's", |_| Box::pin(async { sampled(&[], &[200]) })),
    scenario("update-workspace", "a preview of a rule", |g| {
        Box::pin(async move {
            let _phone = g.phone().await;
            let body = json!({"silent_devices": {"after_days": 7, "action": "delete"}, "dry_run": true});
            sampled(&[], &[200]).saying(body)
        })
    }),
    scenario("bulk-users", "what would become of those who are named", |g| {
        Box::pin(async move {
            let body = json!({"action": "suspend", "ids": [g.user().await], "dry_run": true});
            sampled(&[], &[200]).saying(body)
        })
    }),
    scenario("list-deployments", "all", |g| {
        Box::pin(async move {
            let _deployment = g.deployed(&g.user().await).await;
            sampled(&[], &[200])
        })
    }),
    scenario("auto-deploy", "what would become of those who are named", |g| {
        Box::pin(async move {
            let body = json!({"ids": [g.user().await], "dry_run": true});
            sampled(&[], &[200]).saying(body)
        })
    }),
    scenario("redirect", "on a computer", |g| {
        Box::pin(async move {
            let _deployment = g.deployed(&g.user().await).await;
            sampled(&[("code", &g.code())], &[200])
        })
    }),
    scenario("list-profiles", "all", |g| {
        Box::pin(async move {
            let _profile = g.profile("first").await;
            sampled(&[], &[200])
        })
    }),
    scenario("get-profile", "one", |g| {
        Box::pin(async move { sampled(&[("profile", &g.profile("first").await)], &[200]) })
    }),
    scenario("app-links", "Apple's", |_| Box::pin(async { sampled(&[], &[200]) })),
    scenario("get-docs", "the page", |_| Box::pin(async { sampled(&[], &[200]) })),
    scenario("get-openapi", "the page", |_| Box::pin(async { sampled(&[], &[200]) })),
    scenario("not-found", "nothing", |_| Box::pin(async { sampled(&[], &[404]) })),
];

/// Client deployment.
static DEPLOYMENTS: &[Scenario] = &[
    scenario("deploy-config", "for the first time", |g| {
        Box::pin(async move { sampled(&[("user", &g.user().await)], &[202]) })
    }),
    scenario("deploy-config", "again, so that the link before ends", |g| {
        Box::pin(async move {
            let user = g.user().await;
            let _before = g.deployed(&user).await;
            g.bench.advance(Duration::minutes(1));
            sampled(&[("user", &user)], &[202])
        })
    }),
    scenario("auto-deploy", "one who has downloaded, one who has not, and one without an address", |g| {
        Box::pin(async move {
            let _downloaded = g.set_up().await;
            let _new = g.bench.user(&g.tenant, &g.name("bob")).await;
            let _unreached = g.post("/users", json!({"username": g.name("eve")})).await.expect(201);
            sampled(&[], &[202]).saying(json!({"filter": {}}))
        })
    }),
    scenario("set-force-config", "with two phones", |g| {
        Box::pin(async move {
            let (user, _phones) = g.person(2).await;
            sampled(&[("user", &user)], &[200])
        })
    }),
    scenario("revoke-deployment", "an open one", |g| {
        Box::pin(async move {
            let deployment = g.deployed(&g.user().await).await;
            sampled(&[("ending", &deployment)], &[200])
        })
    }),
    Scenario {
        operation: "get-deployment-qr",
        name: "of an open one",
        each_try: Some("deployment.qr_shown"),
        prepare: |g| {
            Box::pin(async move {
                let deployment = g.deployed(&g.user().await).await;
                sampled(&[("deployment", &deployment)], &[200])
            })
        },
    },
    Scenario {
        operation: "set-user-secrets",
        name: "one set and one taken away",
        each_try: Some("user.secrets_set"),
        prepare: |g| {
            Box::pin(async move {
                let path = format!("/users/{}/secrets", g.user().await);
                let body = json!({"client_password": "before", "voicemail_pin": "4711"});
                let _before = g.bench.put(&path, &g.tenant.key, body).await.expect(200);
                let body = json!({"client_password": null, "pbx_sip_password": "after"});
                http(g, Method::PUT, path, body, &[200])
            })
        },
    },
    Scenario {
        operation: "set-user-secrets",
        name: "the last one taken away",
        each_try: Some("user.secrets_set"),
        prepare: |g| {
            Box::pin(async move {
                let path = format!("/users/{}/secrets", g.user().await);
                let body = json!({"client_password": "before"});
                let _before = g.bench.put(&path, &g.tenant.key, body).await.expect(200);
                http(g, Method::PUT, path, json!({"client_password": null}), &[200])
            })
        },
    },
    scenario("undeploy-user", "with an open deployment, secrets and a phone that is set up", |g| {
        Box::pin(async move {
            let (user, _credential) = g.set_up().await;
            let _open = g.deployed(&user).await;
            let path = format!("/users/{user}/secrets");
            let body = json!({"client_password": "secret"});
            let _secrets = g.bench.put(&path, &g.tenant.key, body).await.expect(200);
            sampled(&[("guest", &user)], &[200])
        })
    }),
    scenario("download-config", "for the first time", |g| {
        Box::pin(async move {
            let credential = g.forced().await;
            sampled(&[], &[200]).saying(Value::Null).by(credential)
        })
    }),
    scenario("register-device", "a new phone by a deployment", |g| {
        Box::pin(async move {
            let _deployment = g.deployed(&g.user().await).await;
            register(&g.code(), &g.name("phone"), &[201])
        })
    }),
    scenario("check-in-device", "with a configuration in place", |g| {
        Box::pin(async move {
            let credential = g.forced().await;
            let version = g.download(&credential).await;
            check_in(credential, json!({"config_version": version}))
        })
    }),
    scenario("update-user", "another username, with a phone, an open deployment and secrets", |g| {
        Box::pin(async move {
            let (user, _credential) = g.set_up().await;
            let _open = g.deployed(&user).await;
            g.bench.advance(Duration::minutes(1));
            sampled(&[("user", &user)], &[200]).saying(json!({"username": g.name("eve")}))
        })
    }),
    scenario("update-user", "another address, with an open invitation and an open deployment", |g| {
        Box::pin(async move {
            let user = g.user().await;
            let _deployment = g.deployed(&user).await;
            let _code = g.bench.invite(&g.tenant, &user, 1).await;
            sampled(&[("user", &user)], &[200]).saying(json!({"email": "new@example.org"}))
        })
    }),
    scenario("update-user", "another address and another username, with an open deployment", |g| {
        Box::pin(async move {
            let user = g.user().await;
            let _deployment = g.deployed(&user).await;
            let body = json!({"username": g.name("eve"), "email": "new@example.org"});
            sampled(&[("user", &user)], &[200]).saying(body)
        })
    }),
    scenario("deploy-config", "to a user with two phones that may have no configuration yet", |g| {
        Box::pin(async move {
            let (user, _phones) = g.person(2).await;
            sampled(&[("user", &user)], &[202])
        })
    }),
    scenario("delete-user", "with an open invitation, an open deployment and secrets", |g| {
        Box::pin(async move {
            let user = g.user().await;
            let _deployment = g.deployed(&user).await;
            let _code = g.bench.invite(&g.tenant, &user, 1).await;
            let body = json!({"client_password": "secret"});
            let _secrets = g.bench.put(&format!("/users/{user}/secrets"), &g.tenant.key, body).await.expect(200);
            sampled(&[("leaver", &user)], &[200])
        })
    }),
    scenario("send-message", "a deployment", |g| {
        Box::pin(async move {
            let path = format!("/users/{}/deploy", g.user().await);
            let _deployment = g.post(&path, json!({})).await.expect(202);
            Go::Driven
        })
    }),
    scenario("record-feedback", "a deployment's e-mail that arrived", |g| {
        Box::pin(async move {
            let path = format!("/users/{}/deploy", g.user().await);
            let _deployment = g.post(&path, json!({})).await.expect(202);
            Go::Driven
        })
    }),
    scenario("notify-device", "two phones that are to download", |g| {
        Box::pin(async move {
            let (user, _phones) = g.person(2).await;
            let _forced = g.post(&format!("/users/{user}/force-config"), json!({})).await.expect(200);
            Go::Driven
        })
    }),
    scenario("run-due", "a deployment whose time is over", |g| {
        Box::pin(async move {
            let _deployment = g.deployed(&g.user().await).await;
            g.bench.advance(Duration::days(8));
            Go::Schedule
        })
    }),
    scenario("run-due", "an auto-deploy that its call has left at work", |g| {
        Box::pin(async move {
            let _user = g.user().await;
            let _job = g.begun(json!({"action": "auto_deploy"}), json!({}));
            g.bench.advance(Duration::minutes(2));
            Go::Schedule
        })
    }),
    scenario("purge-deleted", "a user with deployments", |g| {
        Box::pin(async move {
            let user = g.user().await;
            let _older = g.deployed(&user).await;
            let _newer = g.deployed(&user).await;
            let _gone = g.bench.delete(&format!("/users/{user}"), &g.tenant.key).await.expect(200);
            g.bench.drain().await;
            g.bench.advance(Duration::days(31));
            Go::Schedule
        })
    }),
];

static AREAS: &[&[Scenario]] = &[
    DEVICES,
    COMMANDS,
    PEOPLE,
    LIVES,
    SCIM,
    SEAM,
    JOBS,
    SOURCES,
    CONSUMERS,
    SCHEDULES,
    READERS,
    DEPLOYMENTS,
    WEBHOOKS,
];

/// What a run came to.
struct Outcome {
    calls: Vec<Call>,
    failed_calls: Vec<Call>,
    /// How often the client had to repeat its call.
    repeats: usize,
    outline: Outline,
    faults: Vec<String>,
}

impl Outcome {
    /// How many calls of this action came before the one at which the run ended by the fault.
    fn ended_after(&self, strike: &Strike, action: &str) -> usize {
        let ends = strike.fault.ends_process() || strike.duration != FaultDuration::Once;
        let mut like = self.calls.iter().enumerate().filter(|(_, call)| call.action == strike.action);
        let failed_calls = like.nth(strike.nth - 1).filter(|_| ends).map_or(0, |(at, _)| at);
        self.calls[..failed_calls].iter().filter(|call| call.action == action).count()
    }
}

/// So many runs share a system, each on empty tables: what a system remembers makes it slower.
const RUNS_OF_A_SYSTEM: usize = 20;

/// So long it takes until somebody tries again.
const BEFORE_ANOTHER_TRY: Duration = Duration::seconds(61);

/// So long the tokens that people sign in with are good, and a little less.
const SIGNED_IN: Duration = Duration::minutes(50);

/// What comes before a scenario, done once: each run of it begins there.
struct Begun {
    ground: Ground,
    baseline: Baseline,
    go: Go,
    mark: Mark,
    /// How much later the next run begins: what operations keep at hand for a minute is too old by then.
    later: Duration,
}

/// One system after the other.
struct Stage {
    faults: Faults,
    oidc: Arc<Oidc>,
    begun: Option<Begun>,
    run: usize,
}

impl Stage {
    fn new() -> Self {
        Self { faults: Faults::new(), oidc: Arc::new(Oidc::new()), begun: None, run: 0 }
    }

    async fn ground(&mut self, issuer: bool) -> Ground {
        self.run += 1;
        let bench = match self.begun.take().map(|begun| begun.ground) {
            Some(ground) if ground.issuer == issuer && !self.run.is_multiple_of(RUNS_OF_A_SYSTEM) => ground.bench,
            _ => {
                let pages = Pages::default();
                pages.answer_ok(r#"[{"login": "from-a-page"}]"#);
                self.oidc.publish_on(&pages, testkit::bench::START.parse().unwrap());
                pages.answer_at(GONE, Answers::With(410, Vec::new(), Vec::new()));
                let setup = Setup::new().with(self.faults.adjust()).with(pages.adjust());
                if issuer { setup.issuer() } else { setup.parameter("OidcIssuer", "") }.start().await
            }
        };
        rows::clear(&bench);
        bench.stack.messaging().clear();
        self.oidc.publish_keys_to(&bench);
        let tenant = bench.tenant("Faults").await;
        Ground { bench, tenant, oidc: Arc::clone(&self.oidc), issuer, run: self.run }
    }

    /// Everything that comes before a scenario, which goes well.
    async fn begin(&mut self, scenario: &Scenario) -> Begun {
        let ground = self.ground(scenario.name != WITHOUT_ISSUER).await;
        let baseline = Baseline::of(&ground.bench);
        self.faults.watch("none", None);
        let go = (scenario.prepare)(&ground).await.of(scenario.operation, &ground);
        let mark = ground.bench.mark();
        Begun { ground, baseline, go, mark, later: Duration::zero() }
    }

    /// A scenario as it goes without a fault.
    async fn clean(&mut self, scenario: &Scenario) -> Outcome {
        let begun = self.begin(scenario).await;
        let clean = self.go_on(scenario, begun, None).await;
        let stale: Vec<&Call> = clean.calls.iter().filter(|call| call.stale).collect();
        assert!(stale.is_empty(), "{} may miss what was written before: {stale:?}", scenario.operation);
        clean
    }

    /// The same scenario once more, with a fault.
    async fn again(&mut self, scenario: &Scenario, strike: Strike) -> Outcome {
        let begun = match self.begun.take() {
            Some(begun) if begun.later < SIGNED_IN => {
                begun.ground.bench.restore(&begun.mark, begun.later);
                begun
            }
            begun => {
                self.begun = begun;
                self.begin(scenario).await
            }
        };
        self.go_on(scenario, begun, Some(strike)).await
    }

    async fn go_on(&mut self, scenario: &Scenario, begun: Begun, strike: Option<Strike>) -> Outcome {
        let ground = &begun.ground;
        self.faults.watch(scenario.operation, strike);
        let repeats = self.context(ground, scenario.operation, &begun.go).await;
        self.settle(ground).await;
        self.finish(ground).await;
        let audit = Audit::read(&ground.bench, &begun.baseline);
        let outcome = Outcome {
            calls: self.faults.calls(),
            failed_calls: self.faults.failed_calls(),
            repeats,
            outline: audit.outline(),
            faults: audit.inconsistencies(),
        };
        let tries = i32::try_from(repeats).unwrap_or(0) + 1;
        let later = begun.later + BEFORE_ANOTHER_TRY * tries;
        self.begun = Some(Begun { later, ..begun });
        outcome
    }

    async fn settle(&self, ground: &Ground) {
        ground.bench.settle().await;
    }

    /// Lets the schedules end the jobs and the deliveries that were left to them.
    async fn finish(&self, ground: &Ground) {
        while rows::all(&ground.bench, rows::MAIN).values().any(|row| row["state"] == "pending") {
            ground.bench.advance(Duration::minutes(2));
            let _done = ground.bench.stack.run_schedule("deliver-webhook").await;
            self.settle(ground).await;
        }
        while rows::all(&ground.bench, rows::MAIN).values().any(|row| row["sk"] == "JOB" && row["state"] == "running") {
            ground.bench.advance(Duration::minutes(2));
            let _done = ground.bench.run_due().await;
            self.settle(ground).await;
        }
    }

    /// Does it until it is done, as whoever does it would; an outage is over after the first try.
    async fn context(&self, ground: &Ground, operation: &str, go: &Go) -> usize {
        for tries in 0..20 {
            if self.attempt(ground, operation, go).await {
                return tries;
            }
            self.faults.end_outage();
            ground.bench.advance(BEFORE_ANOTHER_TRY);
        }
        panic!("{operation} is never done");
    }

    /// One try; true if nobody would try again.
    async fn attempt(&self, ground: &Ground, operation: &str, go: &Go) -> bool {
        let stack = &ground.bench.stack;
        match go {
            Go::Http { method, path, credential, body, ends } => {
                let mut request =
                    Request::builder().method(method).uri(path).header("idempotency-key", ground.name("once"));
                if let Some(credential) = credential {
                    request = request.header("authorization", format!("Bearer {credential}"));
                }
                let body = match body {
                    Value::Null => Vec::new(),
                    // What is no JSON.
                    Value::String(text) => text.clone().into_bytes(),
                    body => body.to_string().into_bytes(),
                };
                let answer = ground.bench.send(request.body(body).unwrap()).await;
                let status = answer.status.as_u16();
                // What passes is never told as what stays, but where the process ends.
                let passes = status == 503 && answer.headers.contains_key("retry-after");
                let passes = passes || status == 500 && self.faults.ends_run();
                assert!(passes || ends.contains(&status), "{operation}: {status} {}", answer.text);
                !passes
            }
            Go::Sampled { .. } => unreachable!("a run begins with its request"),
            Go::Driven => {
                stack.drain(Retry::WhenDue).await.expect("the stream moves on");
                self.faults.end_outage();
                self.settle(ground).await;
                true
            }
            Go::Schedule => {
                let reply = stack.run_schedule(operation).await;
                reply.is_ok_and(|reply| reply["failed"].as_u64().unwrap_or(0) == 0)
            }
            Go::Invoke { event, ends } => match stack.invoke(operation, event.clone()).await {
                Ok(_) => true,
                Err(why) => ends.iter().any(|end| why.contains(end)),
            },
        }
    }
}

/// What is wrong with a run, held against the run without a fault.
fn wrong(scenario: &Scenario, clean: &Outcome, strike: &Strike, outcome: &Outcome) -> Vec<String> {
    let mut wrong = outcome.faults.clone();
    if outcome.failed_calls.is_empty() {
        wrong.push("the fault did not strike".to_owned());
    }
    let events = |outline: &Outline| {
        let mut events = outline.events.clone();
        // That it was sent is told by the one who sent it, or by the mail service, whose word counts more.
        events.remove("invitation.sent");
        events.remove("deployment.sent");
        if let Some(each_try) = scenario.each_try {
            events.remove(each_try);
        }
        events
    };
    if events(&clean.outline) != events(&outcome.outline) {
        wrong.push(format!("events: {:?}, not {:?}", outcome.outline.events, clean.outline.events));
    }
    if let Some(each_try) = scenario.each_try {
        let times = |outline: &Outline| outline.events.get(each_try).copied().unwrap_or(0);
        let (once, times) = (times(&clean.outline), times(&outcome.outline));
        if times < once || times > once + outcome.repeats {
            wrong.push(format!("{times} {each_try} after {} repeats", outcome.repeats));
        }
    }
    if clean.outline.rows != outcome.outline.rows {
        wrong.push(format!("rows: {:?}, not {:?}", outcome.outline.rows, clean.outline.rows));
    }
    // A second copy only where the fault struck the very call that sends, and left open what became of it.
    let open = |action: &str| {
        let sends = outcome.failed_calls.iter().filter(|call| call.action == action).count();
        if strike.fault.takes_effect() { sends } else { 0 }
    };
    // That an e-mail went out is known even then when the run ended before it could say so: the mail
    // service reports it. Of a wake-up nobody reports, so it is repeated; it asks for nothing new. What is
    // reported of a text names it by an identifier that ended with the run, so it is repeated too, with its link.
    let published = open("Publish") + outcome.ended_after(strike, "Publish");
    let more = |sent: usize| if sent > 0 { published } else { 0 };
    for (what, sent, expected, more) in [
        ("e-mails", outcome.outline.mails, clean.outline.mails, open("SendEmail")),
        ("texts", outcome.outline.texts, clean.outline.texts, more(clean.outline.texts)),
        ("pushes", outcome.outline.pushes, clean.outline.pushes, more(clean.outline.pushes)),
    ] {
        if sent < expected || sent > expected + more {
            wrong.push(format!("{sent} {what}, not {expected}"));
        }
    }
    wrong
}

/// How much of the product of calls and faults is gone through.
#[derive(Clone, Copy, PartialEq)]
enum Breadth {
    /// Every call. What the SDK makes good on its own, beneath the operation, is shown at one call
    /// of each action; the others have what the operation itself must bear.
    Single,
    /// Every call, fault and duration.
    Full,
}

impl Breadth {
    /// How long a fault at a call is to last, each in a run of its own; `known` if a call of the
    /// same action has had every fault before.
    fn duration(self, fault: Fault, call: &Call, known: bool) -> &'static [FaultDuration] {
        let known = known && !call.sends();
        match (self, fault) {
            // A process that ends makes no second try of its own.
            (Self::Full, _) if fault.ends_process() => &[FaultDuration::Once, FaultDuration::Outage],
            (Self::Full, _) => &[FaultDuration::Once, FaultDuration::Calls(3), FaultDuration::Outage],
            (Self::Single, Fault::Before) if known && call.is_read() => &[],
            (Self::Single, Fault::Before) if known => &[FaultDuration::Calls(3)],
            (Self::Single, Fault::After) if known => &[FaultDuration::Once, FaultDuration::Outage],
            (Self::Single, Fault::ServerError) if known && call.is_read() => &[FaultDuration::Calls(3)],
            (Self::Single, Fault::ServerError | Fault::Throttle) if known => &[],
            (Self::Single, Fault::Before | Fault::After) if !call.is_read() => {
                &[FaultDuration::Once, FaultDuration::Calls(3), FaultDuration::Outage]
            }
            // Once is made good by the SDK, so that nobody hears of it.
            (Self::Single, Fault::Throttle | Fault::ServerError) => &[FaultDuration::Once, FaultDuration::Calls(3)],
            (Self::Single, _) => &[FaultDuration::Once],
        }
    }
}

/// What is to go wrong in the runs of a scenario that makes these calls. `known` are the actions
/// that have had every fault before.
fn strikes(calls: &[Call], breadth: Breadth, known: &mut BTreeSet<String>) -> Vec<Strike> {
    let mut strikes = Vec::new();
    let mut nth: BTreeMap<String, usize> = BTreeMap::new();
    for (at, call) in calls.iter().enumerate() {
        let nth = nth.entry(call.action.clone()).or_default();
        *nth += 1;
        // Of many like reads in a row, as of the shards of what is due, the first and the last stand for all.
        let like = |other: Option<&Call>| other == Some(call);
        let amid = call.is_read() && like(at.checked_sub(1).and_then(|at| calls.get(at))) && like(calls.get(at + 1));
        if breadth == Breadth::Single && amid {
            continue;
        }
        let known = !known.insert(call.action.clone());
        for fault in Fault::ALL.into_iter().filter(|fault| fault.applies_to(call)) {
            let strike = |duration: &FaultDuration| Strike {
                action: call.action.clone(),
                nth: *nth,
                fault,
                duration: *duration,
            };
            strikes.extend(breadth.duration(fault, call, known).iter().map(strike));
        }
    }
    strikes
}

async fn enumerate(scenarios: &[Scenario], breadth: Breadth) {
    let mut stage = Stage::new();
    let (mut calls, mut runs, mut wrongs, mut known) = (0, 0, Vec::new(), BTreeSet::new());
    for scenario in scenarios {
        let clean = stage.clean(scenario).await;
        assert_eq!(clean.faults, Vec::<String>::new(), "{} ({}), without a fault", scenario.operation, scenario.name);
        assert_eq!(clean.repeats, 0, "{} ({}), without a fault", scenario.operation, scenario.name);
        calls += clean.calls.len();
        for strike in strikes(&clean.calls, breadth, &mut known) {
            runs += 1;
            let outcome = stage.again(scenario, strike.clone()).await;
            let wrong = wrong(scenario, &clean, &strike, &outcome);
            if !wrong.is_empty() {
                let Strike { action, nth, fault, duration } = &strike;
                let at =
                    format!("{} ({}), {fault:?} at {action} {nth}, {duration:?}", scenario.operation, scenario.name);
                println!("{at}:\n  {}", wrong.join("\n  "));
                wrongs.push(at);
            }
        }
    }
    println!("{} scenarios, {calls} calls, {runs} runs with a fault", scenarios.len());
    assert!(wrongs.is_empty(), "{} of {runs} runs went wrong:\n{}", wrongs.len(), wrongs.join("\n"));
}

/// The operations that have no scenario of their own and need none: their sample is about a phone or a user that is
/// there, and no more.
fn scenarios_of_samples() -> Vec<Scenario> {
    let own: BTreeSet<&str> = AREAS.iter().flat_map(|area| area.iter()).map(|scenario| scenario.operation).collect();
    let without = functions::OPERATIONS.iter().filter(|of| !of.routes.is_empty() && !own.contains(of.name));
    without.filter_map(|of| scenario_of_sample(of.name)).collect()
}

fn scenario_of_sample(operation: &'static str) -> Option<Scenario> {
    let things = RefCell::new(BTreeSet::new());
    let _request = samples::of(operation)[0].fill_placeholders(|name| {
        things.borrow_mut().insert(name.to_owned());
        String::new()
    });
    let things = things.into_inner();
    // A name that nothing has yet is there for all.
    let things: Vec<&str> = things.iter().map(String::as_str).filter(|name| *name != "fresh").collect();
    let prepare: for<'a> fn(&'a Ground) -> BoxFuture<'a, Go> = match things.as_slice() {
        ["device"] => |g| Box::pin(async move { sampled(&[("device", &g.phone().await.0)], &[200, 202]) }),
        ["user"] => |g| Box::pin(async move { sampled(&[("user", &g.user().await)], &[200, 202]) }),
        _ => return None,
    };
    Some(scenario(operation, "as its sample calls it", prepare))
}

#[test]
fn every_operation_has_its_scenarios() {
    let of_samples = scenarios_of_samples();
    let scenarios = AREAS.iter().flat_map(|area| area.iter()).chain(&of_samples);
    let known: BTreeSet<&str> = scenarios.map(|scenario| scenario.operation).collect();
    let all: BTreeSet<&str> = functions::OPERATIONS.iter().map(|operation| operation.name).collect();
    assert_eq!(known, all);
}

/// A workspace with something of everything: a user whose first phone has a lock to do and whose
/// second was wiped, a network, usage, a rule, a job, somebody whose phone is set up, and somebody who
/// is gone for good. Answers with the first user, and whose phone is set up.
async fn something_of_everything(g: &Ground) -> (String, String) {
    let gone = g.bench.user(&g.tenant, &g.name("bob")).await;
    let _invited = g.post(&format!("/users/{gone}/invite"), json!({"channel": "email"})).await.expect(202);
    g.bench.drain().await;
    let _gone = g.bench.delete(&format!("/users/{gone}"), &g.tenant.key).await.expect(200);
    g.bench.advance(Duration::days(31));
    let _purged = g.bench.purge().await;
    let (user, phones) = g.person(2).await;
    let body = json!({"usage": {"sequence": 1, "calls": 3}});
    let _used = g.bench.check_in_with(&phones[0].1, body).await.expect(200);
    let _lock = g.order(&phones[0].0, "lock", json!({})).await;
    let wipe = g.told(&phones[1], "wipe").await;
    let _done = g.bench.report_command(&phones[1].1, &wipe, "succeeded").await.expect(200);
    let network = json!({"status": "opt_in_sent"});
    let _told = g.bench.put(&format!("/users/{user}/networks/verizon"), &g.tenant.key, network).await.expect(200);
    let rule = json!({"silent_devices": {"after_days": 7, "action": "block"}});
    let _ruled = g.bench.patch("/workspace", &g.tenant.key, rule).await.expect(200);
    let body = json!({"action": "suspend", "ids": [user, gone]});
    let _suspended = g.post("/users/bulk", body).await.expect(207);
    let eve = g.bench.user(&g.tenant, &g.name("eve")).await;
    let _credential = g.set_up_for(&eve).await;
    let secrets = json!({"client_password": "secret"});
    let _set = g.bench.put(&format!("/users/{eve}/secrets"), &g.tenant.key, secrets).await.expect(200);
    g.bench.drain().await;
    (user, eve)
}

#[tokio::test]
async fn whatever_does_not_fit_together_is_found() {
    let mut stage = Stage::new();
    let g = stage.ground(true).await;
    let baseline = Baseline::of(&g.bench);
    let (user, eve) = something_of_everything(&g).await;
    let faults = || Audit::read(&g.bench, &baseline).inconsistencies();
    assert_eq!(faults(), Vec::<String>::new());
    let lock = ("COMMAND#", "kind", json!("lock"));
    let first = ("| DEVICE", "device_identifier", json!(format!("{}-0", g.name("ada"))));
    let wiped = ("| DEVICE", "device_identifier", json!(format!("{}-1", g.name("ada"))));
    let ada = ("| USER", "user_id", json!(user));
    let job = ("| JOB", "state", json!("finished"));
    let workspace = ("WORKSPACE#", "sk", json!("WORKSPACE"));
    let event = |kind: &str| ("EVENT#", "event_type", json!(kind));
    let set_up = ("| DEVICE", "device_identifier", json!(g.name("set-up")));
    let deployment = ("| INVITATION#", "user_id", json!(eve));
    let eve = ("| USER", "user_id", json!(eve));
    let tampers = [
        (&set_up, "/config", json!("another")),
        (&set_up, "/served", json!("another")),
        (&eve, "/client/secrets", Value::Null),
        (&eve, "/client/removed_at", json!("2026-12-24T08:00:00.000Z")),
        (&eve, "/client/deployment_id", Value::Null),
        (&deployment, "/superseded_at", json!("2026-12-24T08:00:00.000Z")),
        (&deployment, "/sent_at", Value::Null),
        (&deployment, "/purpose", json!("invite")),
        (&event("user.secrets_set"), "/changed_fields", json!([])),
        (&event("device.config_served"), "/event_type", json!("device.config_installed")),
        (&event("deployment.started"), "/event_type", json!("user.invited")),
        (&lock, "/state", json!("delivered")),
        (&lock, "/history/0/state", json!("failed")),
        (&lock, "/user_id", json!("0190f3c4-7b5e-7a11-8c1d-3f2a9b6c5d4e")),
        (&event("command.queued"), "/event_type", json!("command.failed")),
        (&first, "/commands", json!([])),
        (&first, "/commands/0/state", json!("delivered")),
        (&first, "/pending_since", Value::Null),
        (&wiped, "/erased", Value::Null),
        (&wiped, "/user_status", json!("active")),
        (&ada, "/suspended", Value::Null),
        (&ada, "/registered_at", Value::Null),
        (&ada, "/networks/verizon/status", json!("enabled")),
        (&event("user.suspended"), "/job_id", Value::Null),
        (&event("user.usage_reported"), "/changes/calls/after", json!(4)),
        (&event("user.invited"), "/private", json!({"reason": "he asked for it"})),
        (&event("user.purged"), "/event_type", json!("user.updated")),
        (&("USAGE#", "pk", json!(format!("USAGE#{}", g.tenant.workspace_id))), "/counts/calls", json!(2)),
        (&("| USAGE#", "month", json!("2026-12")), "/counts/calls", json!(2)),
        (&job, "/tally/changed", json!(2)),
        (&job, "/due_at", json!("2026-12-24T08:00:00.000Z")),
        (&("ITEM#", "outcome", json!("changed")), "/outcome", json!("unchanged")),
        (&("ITEM#", "outcome", json!("failed")), "/code", Value::Null),
        (&workspace, "/silent_rule_at", Value::Null),
        (&workspace, "/settings/silent_devices/after_days", json!(8)),
    ];
    for ((part, field, is), at, value) in tampers {
        let all = rows::all(&g.bench, rows::MAIN);
        let found = all.into_iter().find(|(key, row)| key.contains(part) && row[field] == *is);
        let (key, row) = found.unwrap_or_else(|| panic!("no row {part} whose {field} is {is}"));
        let mut other = row.clone();
        set(&mut other, at, value);
        rows::put(&g.bench, rows::MAIN, &other, &["device_ids"]);
        assert!(!faults().is_empty(), "{at} of {key}");
        rows::put(&g.bench, rows::MAIN, &row, &["device_ids"]);
        assert_eq!(faults(), Vec::<String>::new(), "{key} as it was");
    }
}

/// Sets what a pointer (RFC 6901) leads to; `null` takes it away.
fn set(row: &mut Value, pointer: &str, value: Value) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = row.pointer_mut(parent).unwrap();
    match (parent, value) {
        (Value::Object(fields), Value::Null) => drop(fields.remove(name)),
        (parent, value) => parent[name] = value,
    }
}

#[tokio::test]
async fn operations_that_show_things_change_nothing() {
    let mut stage = Stage::new();
    for scenario in READERS {
        let clean = stage.clean(scenario).await;
        let writes: Vec<&Call> = clean.calls.iter().filter(|call| !call.is_read()).collect();
        assert!(writes.is_empty(), "{} makes {writes:?}", scenario.operation);
    }
}

#[tokio::test]
async fn whatever_goes_wrong_with_a_device_nothing_is_lost_or_invented() {
    enumerate(DEVICES, Breadth::Single).await;
}

#[tokio::test]
async fn whatever_goes_wrong_with_what_its_sample_tries_nothing_is_lost_or_invented() {
    enumerate(&scenarios_of_samples(), Breadth::Single).await;
}

#[tokio::test]
async fn whatever_goes_wrong_with_a_command_nothing_is_lost_or_invented() {
    enumerate(COMMANDS, Breadth::Single).await;
}

#[tokio::test]
async fn whatever_goes_wrong_with_a_users_life_nothing_is_lost_or_invented() {
    enumerate(LIVES, Breadth::Single).await;
}

#[tokio::test]
async fn whatever_goes_wrong_with_an_identity_provider_nothing_is_lost_or_invented() {
    enumerate(SCIM, Breadth::Single).await;
}

#[tokio::test]
async fn whatever_goes_wrong_with_what_access_systems_and_seams_clients_do_nothing_is_lost_or_invented() {
    enumerate(SEAM, Breadth::Single).await;
}

#[tokio::test]
async fn whatever_goes_wrong_with_what_is_only_shown_nothing_is_lost_or_invented() {
    enumerate(READERS, Breadth::Single).await;
}

#[tokio::test]
async fn whatever_goes_wrong_with_a_deployment_nothing_is_lost_or_invented() {
    enumerate(DEPLOYMENTS, Breadth::Single).await;
}

#[tokio::test]
async fn whatever_goes_wrong_with_a_job_nothing_is_lost_or_invented() {
    enumerate(JOBS, Breadth::Single).await;
}

#[tokio::test]
async fn whatever_goes_wrong_with_a_source_nothing_is_lost_or_invented() {
    enumerate(SOURCES, Breadth::Single).await;
}

#[tokio::test]
async fn whatever_goes_wrong_with_a_webhook_nothing_is_lost_or_invented() {
    enumerate(WEBHOOKS, Breadth::Single).await;
}

#[tokio::test]
async fn whatever_goes_wrong_with_people_and_access_nothing_is_lost_or_invented() {
    enumerate(PEOPLE, Breadth::Single).await;
}

#[tokio::test]
async fn whatever_goes_wrong_with_what_was_published_nothing_is_lost_or_invented() {
    enumerate(CONSUMERS, Breadth::Single).await;
}

#[tokio::test]
async fn whatever_goes_wrong_with_what_is_due_nothing_is_lost_or_invented() {
    enumerate(SCHEDULES, Breadth::Single).await;
}

#[tokio::test]
#[ignore = "every call, every fault, each once, three times and for good"]
async fn whatever_goes_wrong_and_however_long_nothing_is_lost_or_invented() {
    for area in AREAS {
        enumerate(area, Breadth::Full).await;
    }
}
