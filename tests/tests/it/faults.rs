//! No fault of a call to AWS loses or duplicates anything.
//!
//! Each scenario is run once without a fault. Then, for each call to AWS that its operation made and for each fault
//! that this call can have, it is run again with that fault, and everyone retries as they do in production: a client
//! repeats a call that ended in a 5xx, Lambda, the queue and the stream deliver again what failed, and schedules run.
//! In the end the data must be consistent (`testkit::audit`), and the same as without the fault.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::Duration;
use domain::ids::timed_uuid;
use domain::models::actor::Actor;
use domain::models::job::{JobKind, NewJob, Selection};
use domain::rules::context::EventContext;
use domain::rules::jobs::begin;
use domain::{EventId, JobId, WorkspaceId};
use functions::Access;
use futures::future::BoxFuture;
use http::{Method, Request};
use local::queue::Retry;
use serde_json::{Value, json};
use testkit::audit::{Audit, Baseline, Outline};
use testkit::bench::Mark;
use testkit::egress::{Answers, Pages};
use testkit::faults::{Call, Fault, FaultDuration, Faults, InjectedFault};
use testkit::oidc::{self, Oidc};
use testkit::samples::{self, ACS_CREDENTIAL};
use testkit::{Answer, Bench, Setup, Tenant, rows};

/// Another access system's credential.
const OTHER_ACS_CREDENTIAL: &str = "0190f3c4-7b5e-7a11-8c1d-000000000003";

/// A system with one workspace.
struct TestSystem {
    bench: Bench,
    tenant: Tenant,
    oidc: Arc<Oidc>,
    /// True if it has an issuer of the admins' tokens.
    issuer: bool,
    /// Number of the run, for names that no other run uses.
    run: usize,
}

impl TestSystem {
    fn unique_name(&self, prefix: &str) -> String {
        format!("{prefix}-x{}", self.run)
    }

    /// Adds an admin who has signed in, and returns the membership's identifier and their token.
    async fn admin(&self) -> (String, String) {
        // The cached keys of the issuer expire, so that each run reads them.
        self.bench.advance(Duration::minutes(2));
        let subject = self.unique_name("anna");
        let member = oidc::add_accepted_member(&self.bench, &self.tenant, &subject, "admin").await;
        (member, self.oidc.token(&subject, self.bench.now()))
    }

    /// Adds an admin who has not accepted the membership, and returns their token.
    async fn pending_member(&self) -> String {
        self.bench.advance(Duration::minutes(2));
        let subject = self.unique_name("ines");
        let _member = oidc::add_member(&self.bench, &self.tenant, &subject, "admin").await;
        self.oidc.token(&subject, self.bench.now())
    }

    /// Creates a personal access token for this workspace, and returns its identifier.
    async fn personal_token(&self, signed_in: &str) -> String {
        let token = oidc::new_token(&self.bench, signed_in, &[&self.tenant.workspace_id], None).await;
        self.bench.advance(Duration::minutes(2));
        token.get("token_id")
    }

    /// A user without a device.
    async fn user(&self) -> String {
        self.bench.user(&self.tenant, &self.unique_name("ada")).await
    }

    /// Registers a phone that has checked in and has an endpoint, and returns its identifier and credential.
    async fn phone(&self) -> (String, String) {
        let (device, credential) = self.bench.phone(&self.tenant, &self.unique_name("ada")).await;
        let _check_in = self.bench.check_in(&credential).await.expect(200);
        self.bench.drain().await;
        (device, credential)
    }

    /// Registers a phone with two credentials of access systems, and returns its identifier.
    async fn phone_with_credentials(&self) -> String {
        let (device, _credential) = self.phone().await;
        for id in [ACS_CREDENTIAL, OTHER_ACS_CREDENTIAL] {
            let path = format!("/devices/{device}/credentials/{id}");
            let _issued = self.bench.put(&path, &self.tenant.key, json!({})).await.expect(200);
        }
        self.bench.drain().await;
        device
    }

    /// Creates a user with registered phones, and returns the identifiers and the phones' credentials.
    async fn user_with_phones(&self, phones: u32) -> (String, Vec<(String, String)>) {
        let person = self.bench.user_with_phones(&self.tenant, &self.unique_name("ada"), phones).await;
        self.bench.drain().await;
        person
    }

    /// Starts a deployment, sends its e-mail, and returns its identifier.
    async fn deploy(&self, user: &str) -> String {
        self.bench.deploy(&self.tenant, user).await.0
    }

    /// The code in the newest e-mail of a deployment.
    fn deployment_code(&self) -> String {
        self.bench.newest_deployment_code().expect("an e-mail with a code was sent")
    }

    /// Registers a phone by an invitation, orders it to download its configuration, and returns its credential.
    async fn phone_with_forced_config(&self) -> String {
        let (user, phones) = self.user_with_phones(1).await;
        let _forced = self.post(&format!("/users/{user}/force-config"), json!({})).await.expect(200);
        self.bench.drain().await;
        phones[0].1.clone()
    }

    /// Downloads a phone's configuration, and returns its version.
    async fn download(&self, credential: &str) -> String {
        self.bench.download(credential).await.expect(200).get("config_version")
    }

    /// Creates a user with a phone whose configuration is installed, and returns the user's identifier and the phone's
    /// credential.
    async fn user_with_set_up_phone(&self) -> (String, String) {
        let user = self.user().await;
        let credential = self.set_up_phone(&user).await;
        (user, credential)
    }

    /// Registers a phone of a user, installs its configuration, and returns its credential.
    async fn set_up_phone(&self, user: &str) -> String {
        let _deployment = self.deploy(user).await;
        let phone = self.bench.register(&self.deployment_code(), &self.unique_name("set-up")).await.expect(201);
        let credential = phone.get("credential");
        let version = self.download(&credential).await;
        let body = json!({"config_version": version});
        let _installed = self.bench.check_in_with(&credential, body).await.expect(200);
        self.bench.drain().await;
        credential
    }

    /// Creates a profile without settings, and returns its identifier.
    async fn profile(&self, of: &str) -> String {
        self.bench.profile(&self.tenant, &self.unique_name(of)).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.bench.post(path, &self.tenant.key, body).await
    }

    /// Creates a webhook with a delivered user.created, and returns the identifiers of the webhook and the event.
    async fn webhook(&self, url: &str) -> (String, String) {
        let created = self.post("/webhooks", json!({"url": url})).await.expect(201);
        let _user = self.user().await;
        self.bench.drain().await;
        let events = self.bench.get("/events?event_type=user.created", &self.tenant.key).await.expect(200);
        (created.get("webhook_id"), events.body["items"][0]["event_id"].as_str().unwrap().to_owned())
    }

    /// Creates a command for a phone, and returns its identifier.
    async fn create_command(&self, device: &str, what: &str, body: Value) -> String {
        self.post(&format!("/devices/{device}/{what}"), body).await.expect(202).get("command_id")
    }

    /// Creates a command, lets the phone check in and receive it, and returns its identifier.
    async fn deliver_command(&self, (device, credential): &(String, String), what: &str) -> String {
        let command = self.create_command(device, what, json!({})).await;
        let _check_in = self.bench.check_in(credential).await.expect(200);
        self.bench.drain().await;
        command
    }

    /// Stores a job as a call leaves it that ended right after it had created the job.
    fn stored_job(&self, action: Value, filter: Value) -> JobId {
        let id = |kind: u8| timed_uuid(self.bench.now().into(), [kind; 10]);
        let context = EventContext {
            event_id: EventId(id(1)),
            workspace_id: WorkspaceId::parse(&self.tenant.workspace_id).unwrap(),
            at: self.bench.now().into(),
            actor: Actor::System,
            token_id: None,
            operation: "bulk-users",
            request_id: "begun".to_owned(),
            source_ip: None,
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
        self.put_rows(&change.events[0]);
        let job = change.job.unwrap().after;
        self.put_rows(&job);
        job.job_id
    }

    fn put_rows<R: aws::Row>(&self, row: &R) {
        for row in rows::rows_of(row) {
            rows::put(&self.bench, rows::MAIN, &row, &[]);
        }
    }
}

/// What starts the operation, and the results with which it may end.
enum Trigger {
    /// The operation's sample request with these placeholders, by default with the workspace's first key and the
    /// sample's body; and the statuses with which it may end.
    Sample {
        placeholders: Vec<(&'static str, String)>,
        credential: Option<String>,
        body: Option<Value>,
        statuses: &'static [u16],
    },
    /// Another request, and the statuses with which it may end.
    Http { method: Method, path: String, credential: Option<String>, body: Value, statuses: &'static [u16] },
    /// Events of the stream, a topic or a queue.
    Events,
    /// Its schedule.
    Schedule,
    /// An invocation by IAM; it may also end with an error that contains one of these texts.
    Invoke { event: Value, accepted_errors: &'static [&'static str] },
}

impl Trigger {
    /// A sample with another body.
    fn with_body(mut self, other: Value) -> Self {
        if let Self::Sample { body, .. } = &mut self {
            *body = Some(other);
        }
        self
    }

    /// A sample with another credential.
    fn with_credential(mut self, own: String) -> Self {
        if let Self::Sample { credential, .. } = &mut self {
            *credential = Some(own);
        }
        self
    }

    /// A sample as its request; other triggers are unchanged.
    fn into_request(self, operation: &str, system: &TestSystem) -> Self {
        let Self::Sample { placeholders, credential, body, statuses } = self else { return self };
        let sample = samples::of(operation)[0].fill_placeholders(|name| {
            let value =
                placeholders.iter().find(|(placeholder, _)| *placeholder == name).map(|(_, value)| value.clone());
            value.unwrap_or_else(|| match name {
                "fresh" => system.unique_name("fresh"),
                "workspace" => system.tenant.workspace_id.clone(),
                "acs_credential" => ACS_CREDENTIAL.to_owned(),
                // The scenario has a body of its own.
                _ if body.is_some() => String::new(),
                other => panic!("the scenario of {operation} has no value for the placeholder {other}"),
            })
        });
        let access = functions::operation(operation).map(functions::Operation::access);
        let default_credential = match access {
            Some(Access::Code | Access::Public) => None,
            _ => Some(system.tenant.key.clone()),
        };
        Self::Http {
            method: sample.method,
            path: sample.path,
            credential: credential.or(default_credential),
            body: body.or(sample.body).unwrap_or_default(),
            statuses,
        }
    }
}

struct Scenario {
    operation: &'static str,
    name: &'static str,
    /// The type of an event that each attempt of the client records, so that repeats add more of them.
    event_per_attempt: Option<&'static str>,
    prepare: for<'a> fn(&'a TestSystem) -> BoxFuture<'a, Trigger>,
}

const fn scenario(
    operation: &'static str,
    name: &'static str,
    prepare: for<'a> fn(&'a TestSystem) -> BoxFuture<'a, Trigger>,
) -> Scenario {
    Scenario { operation, name, event_per_attempt: None, prepare }
}

/// An export, of which each attempt is recorded.
const fn export(operation: &'static str, prepare: for<'a> fn(&'a TestSystem) -> BoxFuture<'a, Trigger>) -> Scenario {
    Scenario { operation, name: "its first part", event_per_attempt: Some("export.started"), prepare }
}

fn http(system: &TestSystem, method: Method, path: String, body: Value, statuses: &'static [u16]) -> Trigger {
    Trigger::Http { method, path, credential: Some(system.tenant.key.clone()), body, statuses }
}

/// The operation's sample request with these placeholders.
fn sampled(placeholders: &[(&'static str, &dyn ToString)], statuses: &'static [u16]) -> Trigger {
    let placeholders = placeholders.iter().map(|(name, value)| (*name, value.to_string())).collect();
    Trigger::Sample { placeholders, credential: None, body: None, statuses }
}

fn register(code: &str, identifier: &str, statuses: &'static [u16]) -> Trigger {
    sampled(&[("code", &code), ("fresh", &identifier)], statuses)
}

fn check_in(credential: String, body: Value) -> Trigger {
    sampled(&[], &[200]).with_body(body).with_credential(credential)
}

static DEVICES: &[Scenario] = &[
    scenario("register-device", "a new phone", |system| {
        Box::pin(async move {
            let code = system.bench.invite(&system.tenant, &system.user().await, 2).await;
            register(&code, &system.unique_name("phone"), &[201])
        })
    }),
    scenario(
        "register-device",
        "again after its device was deleted with a pending lock, by the last use of a code",
        |system| {
            Box::pin(async move {
                let user = system.user().await;
                let code = system.bench.invite(&system.tenant, &user, 2).await;
                let old = system.bench.register(&code, &system.unique_name("phone")).await.expect(201);
                let device = old.body["device"]["device_id"].as_str().unwrap();
                let _pending = system.create_command(device, "lock", json!({})).await;
                let _deleted = system.bench.delete(&format!("/devices/{device}"), &system.tenant.key).await.expect(200);
                system.bench.drain().await;
                register(&code, &system.unique_name("phone"), &[201])
            })
        },
    ),
    scenario("register-device", "a registered phone, by another code", |system| {
        Box::pin(async move {
            let user = system.user().await;
            let code = system.bench.invite(&system.tenant, &user, 1).await;
            let first = system.bench.register(&code, &system.unique_name("phone")).await.expect(201);
            let _check_in = system.bench.check_in(&first.get("credential")).await.expect(200);
            let code = system.bench.invite(&system.tenant, &user, 1).await;
            register(&code, &system.unique_name("phone"), &[201])
        })
    }),
    Scenario {
        operation: "register-device",
        name: "another user's phone",
        event_per_attempt: Some("device.refused"),
        prepare: |system| {
            Box::pin(async move {
                let (_device, _credential) = system.phone().await;
                let other = system.bench.user(&system.tenant, &system.unique_name("bob")).await;
                let code = system.bench.invite(&system.tenant, &other, 1).await;
                register(&code, &format!("{}-phone", system.unique_name("ada")), &[409])
            })
        },
    },
    scenario("check-in-device", "for the first time, with changes", |system| {
        Box::pin(async move {
            let (_device, credential) = system.bench.phone(&system.tenant, &system.unique_name("ada")).await;
            check_in(credential, json!({"os_version": "26.2", "push_token": system.unique_name("newer")}))
        })
    }),
    scenario("check-in-device", "with a new version and a new token", |system| {
        Box::pin(async move {
            let (_device, credential) = system.phone().await;
            check_in(credential, json!({"app_version": "5.0", "push_token": system.unique_name("newer")}))
        })
    }),
    scenario("check-in-device", "with nothing new, after an hour", |system| {
        Box::pin(async move {
            let (_device, credential) = system.phone().await;
            system.bench.advance(Duration::hours(1));
            check_in(credential, json!({}))
        })
    }),
    scenario("update-device", "a nickname and metadata", |system| {
        Box::pin(async move {
            let (device, _credential) = system.phone().await;
            let body = json!({"nickname": "Work phone", "custom_metadata": {"desk": "4"}});
            sampled(&[("device", &device)], &[200]).with_body(body)
        })
    }),
    scenario("unblock-device", "a blocked phone", |system| {
        Box::pin(async move {
            let (device, _credential) = system.phone().await;
            let _blocked = system.post(&format!("/devices/{device}/block"), json!({})).await.expect(200);
            system.bench.drain().await;
            sampled(&[("device", &device)], &[200])
        })
    }),
    scenario("delete-device", "a registered phone", |system| {
        Box::pin(async move {
            let (device, _credential) = system.phone().await;
            sampled(&[("deletable_device", &device)], &[200])
        })
    }),
];

static COMMANDS: &[Scenario] = &[
    scenario("wipe-device", "a registered phone", |system| {
        Box::pin(async move {
            let (device, _credential) = system.phone().await;
            sampled(&[("device", &device)], &[202])
        })
    }),
    scenario("lock-device", "again, while a canceled lock may still be carried out", |system| {
        Box::pin(async move {
            let phone = system.phone().await;
            let command = system.deliver_command(&phone, "lock").await;
            let path = format!("/devices/{}/commands/{command}", phone.0);
            let _deleted = system.bench.delete(&path, &system.tenant.key).await.expect(200);
            sampled(&[("device", &phone.0)], &[202])
        })
    }),
    scenario("cancel-command", "one that was not delivered", |system| {
        Box::pin(async move {
            let (device, _credential) = system.phone().await;
            let command = system.create_command(&device, "wipe", json!({})).await;
            // A retry after a lost response finds the command canceled.
            sampled(&[("deletable_device", &device), ("delivered_command", &command)], &[200, 409])
        })
    }),
    scenario("cancel-command", "one that was delivered", |system| {
        Box::pin(async move {
            let phone = system.phone().await;
            let command = system.deliver_command(&phone, "lock").await;
            sampled(&[("deletable_device", &phone.0), ("delivered_command", &command)], &[200])
        })
    }),
    scenario("report-command", "a wipe that succeeded", |system| {
        Box::pin(async move {
            let phone = system.phone().await;
            let command = system.deliver_command(&phone, "wipe").await;
            report(phone.1, &command, "succeeded")
        })
    }),
    scenario("report-command", "a canceled lock that succeeded", |system| {
        Box::pin(async move {
            let phone = system.phone().await;
            let command = system.deliver_command(&phone, "lock").await;
            let path = format!("/devices/{}/commands/{command}", phone.0);
            let _deleted = system.bench.delete(&path, &system.tenant.key).await.expect(200);
            report(phone.1, &command, "succeeded")
        })
    }),
    Scenario {
        operation: "report-command",
        name: "not now",
        event_per_attempt: Some("command.deferred"),
        prepare: |system| {
            Box::pin(async move {
                let phone = system.phone().await;
                let command = system.deliver_command(&phone, "lock").await;
                report(phone.1, &command, "deferred")
            })
        },
    },
    scenario("check-in-device", "with two commands to deliver", |system| {
        Box::pin(async move {
            let (device, credential) = system.phone().await;
            let _lock = system.create_command(&device, "lock", json!({})).await;
            let _wipe = system.create_command(&device, "wipe", json!({})).await;
            system.bench.drain().await;
            check_in(credential, json!({}))
        })
    }),
    scenario("check-in-device", "with usage", |system| {
        Box::pin(async move {
            let (_device, credential) = system.phone().await;
            check_in(credential, json!({"usage": {"sequence": 4, "messages_sent": 7, "calls": 2}}))
        })
    }),
    scenario("check-in-device", "with too many wrong PINs, of one of two phones", |system| {
        Box::pin(async move {
            let (_user, phones) = system.user_with_phones(2).await;
            let _check_in = system.bench.check_in(&phones[0].1).await.expect(200);
            check_in(phones[0].1.clone(), json!({"pin_failures": 10}))
        })
    }),
    scenario("register-device", "a wiped phone with a pending lock", |system| {
        Box::pin(async move {
            let (user, phones) = system.user_with_phones(1).await;
            let (device, credential) = &phones[0];
            let _lock = system.create_command(device, "lock", json!({})).await;
            let wipe = system.deliver_command(&phones[0], "wipe").await;
            let _reported = system.bench.report_command(credential, &wipe, "succeeded").await.expect(200);
            let code = system.bench.invite(&system.tenant, &user, 1).await;
            register(&code, &format!("{}-0", system.unique_name("ada")), &[201])
        })
    }),
];

fn report(credential: String, command: &str, result: &str) -> Trigger {
    sampled(&[("command", &command)], &[200]).with_body(json!({"result": result})).with_credential(credential)
}

static PEOPLE: &[Scenario] = &[
    scenario("create-user", "a new user", |system| {
        Box::pin(async move {
            let body = json!({"username": system.unique_name("eve"), "last_name": "Ohm", "email": "eve@example.com"});
            sampled(&[], &[201]).with_body(body)
        })
    }),
    scenario("invite-user", "for the first time", |system| {
        Box::pin(async move {
            sampled(&[("user", &system.user().await)], &[202]).with_body(json!({"channel": "email", "devices": 3}))
        })
    }),
    scenario("invite-user", "again, which ends the earlier code", |system| {
        Box::pin(async move {
            let user = system.user().await;
            let _code = system.bench.invite(&system.tenant, &user, 1).await;
            system.bench.advance(Duration::minutes(1));
            sampled(&[("user", &user)], &[202])
        })
    }),
    Scenario {
        operation: "open-invitation",
        name: "its button",
        event_per_attempt: Some("invitation.opened"),
        prepare: |system| {
            Box::pin(async move {
                let code = system.bench.invite(&system.tenant, &system.user().await, 1).await;
                let path = format!("/i/{code}");
                Trigger::Http { method: Method::POST, path, credential: None, body: Value::Null, statuses: &[303] }
            })
        },
    },
    // profiles
    scenario("create-profile", "the first one, and then the default", |system| {
        Box::pin(async move {
            let _first = system.post("/profiles", json!({"name": "First", "settings": {}})).await.expect(201);
            let body = json!({"name": "Office", "settings": {"a": 1}, "schema": {"type": "object"}, "default": true});
            // A retry after a lost response finds the name taken.
            sampled(&[], &[201, 409]).with_body(body)
        })
    }),
    scenario("update-profile", "another name, other settings, and the default", |system| {
        Box::pin(async move {
            let _first = system.post("/profiles", json!({"name": "First", "settings": {}})).await.expect(201);
            let second = system.post("/profiles", json!({"name": "Second", "settings": {}})).await.expect(201);
            let body = json!({"name": "Office", "settings": {"a": 1}, "schema": {}, "default": true});
            sampled(&[("profile", &second.get("profile_id"))], &[200]).with_body(body)
        })
    }),
    scenario("delete-profile", "the last one", |system| {
        Box::pin(async move {
            let created = system.post("/profiles", json!({"name": "First", "settings": {}})).await.expect(201);
            // A retry finds nothing to delete.
            sampled(&[("unused_profile", &created.get("profile_id"))], &[200, 404])
        })
    }),
    // exports
    export("export-users", |system| {
        Box::pin(async move {
            let _person = system.user_with_phones(1).await;
            sampled(&[], &[200])
        })
    }),
    export("export-devices", |system| {
        Box::pin(async move {
            let _person = system.user_with_phones(1).await;
            http(system, Method::GET, "/devices/export?search=ada".to_owned(), Value::Null, &[200])
        })
    }),
    export("export-events", |system| {
        Box::pin(async move {
            let _user = system.user().await;
            http(system, Method::GET, "/events/export?event_type=user.created".to_owned(), Value::Null, &[200])
        })
    }),
    scenario("create-key", "a key for reading", |_| {
        Box::pin(async move {
            // A retry after a lost response reports that the key exists, so that it can be revoked.
            let body = json!({"name": "reader", "permissions": ["devices:read"]});
            sampled(&[], &[201, 409]).with_body(body)
        })
    }),
    scenario("revoke-key", "another key", |system| {
        Box::pin(async move {
            let body = json!({"name": "reader", "permissions": ["devices:read"]});
            let key = system.post("/keys", body).await.expect(201).get("key_id");
            sampled(&[("key", &key)], &[200])
        })
    }),
    scenario("add-member", "an admin", |system| {
        Box::pin(async move { sampled(&[], &[201]).with_body(member(system, "one")) })
    }),
    scenario("remove-member", "one of two admins", |system| {
        Box::pin(async move {
            let _stays =
                oidc::add_accepted_member(&system.bench, &system.tenant, &system.unique_name("one"), "admin").await;
            let removed =
                oidc::add_accepted_member(&system.bench, &system.tenant, &system.unique_name("two"), "admin").await;
            // A retry finds no member.
            sampled(&[("member", &removed)], &[200, 404])
        })
    }),
    scenario("remove-member", "with the keys that they created", |system| {
        Box::pin(async move {
            let _stays =
                oidc::add_accepted_member(&system.bench, &system.tenant, &system.unique_name("one"), "admin").await;
            let (removed, credential) = system.admin().await;
            let key = json!({"name": "theirs", "permissions": ["devices:read"]});
            let _key = system.bench.post("/keys", &credential, key).await.expect(201);
            let hook = json!({"url": "https://hooks.example.com/", "event_types": ["webhook.disabled"]});
            let _hook = system.bench.post("/webhooks", &credential, hook).await.expect(201);
            http(system, Method::DELETE, format!("/members/{removed}?revoke=true"), Value::Null, &[200, 404])
        })
    }),
    scenario("accept-membership", "an admin's", |system| {
        Box::pin(async move {
            let credential = system.pending_member().await;
            sampled(&[], &[200]).with_credential(credential)
        })
    }),
    scenario("decline-membership", "an admin's", |system| {
        Box::pin(async move {
            let credential = system.pending_member().await;
            // A retry finds no membership.
            sampled(&[("workspace", &system.tenant.workspace_id)], &[200, 404]).with_credential(credential)
        })
    }),
    scenario("create-token", "for one workspace", |system| {
        Box::pin(async move {
            let (_member, credential) = system.admin().await;
            let ends = system.bench.now() + Duration::days(30);
            let body = json!({
                "name": "a program", "workspace_ids": [system.tenant.workspace_id], "expires_at": ends.to_rfc3339(),
            });
            // A retry after a lost response reports that the token exists, so that it can be revoked.
            sampled(&[], &[201, 409]).with_body(body).with_credential(credential)
        })
    }),
    scenario("revoke-token", "one's own", |system| {
        Box::pin(async move {
            let (_member, credential) = system.admin().await;
            let token = system.personal_token(&credential).await;
            sampled(&[("token", &token)], &[200]).with_credential(credential)
        })
    }),
    scenario("revoke-member-token", "another's", |system| {
        Box::pin(async move {
            let (member, credential) = system.admin().await;
            let token = system.personal_token(&credential).await;
            sampled(&[("owner", &member), ("token", &token)], &[200])
        })
    }),
    scenario("create-workspace", "with an identifier from the caller", |system| {
        Box::pin(async move {
            let id = format!("0190f3c4-7b5e-7a11-8c1d-{:012x}", system.run);
            Trigger::Invoke {
                event: json!({"name": "Second", "workspace_id": id}),
                accepted_errors: &["already created"],
            }
        })
    }),
];

/// What identity providers do.
static SCIM: &[Scenario] = &[
    scenario("scim", "a new user who is not active yet", |system| {
        Box::pin(async move {
            let body = json!({
                "userName": system.unique_name("eve"), "externalId": system.unique_name("00u"), "active": false, "title": "Guide",
                "emails": [{"value": "eve@example.com"}],
            });
            // SCIM has no idempotency keys: a retry after a lost response finds the user.
            http(system, Method::POST, "/scim/v2/Users".to_owned(), body, &[201, 409])
        })
    }),
    scenario("scim", "another username and no access, with two phones", |system| {
        Box::pin(async move {
            let (user, _phones) = system.user_with_phones(2).await;
            let body = json!({"Operations": [
                {"op": "Replace", "path": "userName", "value": system.unique_name("eve")},
                {"op": "Add", "path": "title", "value": "Guide"},
                {"op": "Replace", "path": "active", "value": "False"},
            ]});
            http(system, Method::PATCH, format!("/scim/v2/Users/{user}"), body, &[200])
        })
    }),
    scenario("scim", "a user replaced", |system| {
        Box::pin(async move {
            let body = json!({"userName": system.unique_name("eve"), "externalId": system.unique_name("00u"), "title": "Guide"});
            let user = system.post("/scim/v2/Users", body).await.expect(201).get("id");
            system.bench.drain().await;
            let body = json!({"userName": system.unique_name("eve"), "externalId": system.unique_name("00v")});
            http(system, Method::PUT, format!("/scim/v2/Users/{user}"), body, &[200])
        })
    }),
    scenario("scim", "a user deleted, with a phone and an open invitation", |system| {
        Box::pin(async move {
            let (user, _phones) = system.user_with_phones(1).await;
            let _code = system.bench.invite(&system.tenant, &user, 1).await;
            // A retry finds no user.
            http(system, Method::DELETE, format!("/scim/v2/Users/{user}"), Value::Null, &[204, 404])
        })
    }),
    scenario("purge-deleted", "a user with SCIM attributes", |system| {
        Box::pin(async move {
            let body = json!({"userName": system.unique_name("eve"), "externalId": system.unique_name("00u"), "title": "Guide"});
            let user = system.post("/scim/v2/Users", body).await.expect(201).get("id");
            let _deleted = system.bench.delete(&format!("/scim/v2/Users/{user}"), &system.tenant.key).await.expect(204);
            system.bench.drain().await;
            system.bench.advance(Duration::days(31));
            Trigger::Schedule
        })
    }),
];

/// What access systems report, and what Seam's clients do.
static SEAM: &[Scenario] = &[
    scenario("issue-credential", "a phone's first", |system| {
        Box::pin(async move {
            let (device, _credential) = system.phone().await;
            sampled(&[("device", &device), ("acs_credential", &ACS_CREDENTIAL)], &[200])
        })
    }),
    scenario("revoke-credential", "one of two", |system| {
        Box::pin(async move {
            let device = system.phone_with_credentials().await;
            sampled(&[("device", &device), ("acs_credential", &ACS_CREDENTIAL)], &[200])
        })
    }),
    scenario("report-credential-service", "with a problem", |system| {
        Box::pin(async move {
            let device = system.phone_with_credentials().await;
            let body = json!({"endpoints": [{"endpoint_id": "e", "is_active": true}], "problem": "no answer"});
            sampled(&[("device", &device)], &[200]).with_body(body)
        })
    }),
    scenario("seam-phones", "a phone that holds credentials is deactivated", |system| {
        Box::pin(async move {
            let device = system.phone_with_credentials().await;
            let path = format!("/phones/deactivate?device_id={device}");
            http(system, Method::DELETE, path, Value::Null, &[200])
        })
    }),
    scenario("seam-phones", "the phones that hold a credential", |system| {
        Box::pin(async move {
            let _device = system.phone_with_credentials().await;
            let path = format!("/phones/list?acs_credential_id={ACS_CREDENTIAL}");
            http(system, Method::GET, path, Value::Null, &[200])
        })
    }),
    scenario("seam-devices", "a name and metadata", |system| {
        Box::pin(async move {
            let device = system.phone_with_credentials().await;
            let body = json!({"device_id": device, "name": "Mine", "custom_metadata": {"a": true, "b": ""}});
            http(system, Method::PATCH, "/devices/update".to_owned(), body, &[200])
        })
    }),
    scenario("seam-events", "the ends of phones", |_| Box::pin(async move { sampled(&[], &[200]) })),
    scenario("seam-user-identities", "a new one", |system| {
        Box::pin(async move {
            let body = json!({"user_identity_key": system.unique_name("key"), "full_name": "Ada Lovelace"});
            // Seam has no idempotency keys: a retry after a lost response finds the key taken.
            http(system, Method::POST, "/user_identities/create".to_owned(), body, &[200, 400])
        })
    }),
    scenario("seam-user-identities", "another key and no name", |system| {
        Box::pin(async move {
            let user = system.user().await;
            let body =
                json!({"user_identity_id": user, "user_identity_key": system.unique_name("key"), "full_name": null});
            http(system, Method::PATCH, "/user_identities/update".to_owned(), body, &[200])
        })
    }),
    scenario("seam-user-identities", "one deleted, with a phone that holds credentials", |system| {
        Box::pin(async move {
            let device = system.phone_with_credentials().await;
            let shown = system.bench.get(&format!("/devices/{device}"), &system.tenant.key).await.expect(200);
            let body = json!({"user_identity_id": shown.get("user_id")});
            http(system, Method::POST, "/user_identities/delete".to_owned(), body, &[200])
        })
    }),
    scenario("seam-workspaces", "one's own", |_| Box::pin(async { sampled(&[], &[200]) })),
    scenario("purge-deleted", "a phone that held credentials", |system| {
        Box::pin(async move {
            let device = system.phone_with_credentials().await;
            let _deleted = system.bench.delete(&format!("/devices/{device}"), &system.tenant.key).await.expect(200);
            system.bench.drain().await;
            system.bench.advance(Duration::days(31));
            Trigger::Schedule
        })
    }),
];

/// What is done to users, and to many things at once.
static LIVES: &[Scenario] = &[
    scenario("update-user", "another username, with two phones", |system| {
        Box::pin(async move {
            let (user, _phones) = system.user_with_phones(2).await;
            let body = json!({"username": system.unique_name("eve"), "first_name": "Eve", "mobile": null});
            sampled(&[("user", &user)], &[200]).with_body(body)
        })
    }),
    scenario("suspend-user", "with two phones", |system| {
        Box::pin(async move {
            let (user, _phones) = system.user_with_phones(2).await;
            sampled(&[("other_user", &user)], &[200]).with_body(json!({"reason": "on leave"}))
        })
    }),
    scenario("activate-user", "a suspended user", |system| {
        Box::pin(async move {
            let (user, _phones) = system.user_with_phones(1).await;
            let _suspended = system.post(&format!("/users/{user}/suspend"), json!({})).await.expect(200);
            system.bench.drain().await;
            sampled(&[("other_user", &user)], &[200])
        })
    }),
    scenario("lock-and-wipe-user", "with two phones", |system| {
        Box::pin(async move {
            let (user, _phones) = system.user_with_phones(2).await;
            sampled(&[("other_user", &user)], &[200])
        })
    }),
    scenario("reset-pin", "of a locked user", |system| {
        Box::pin(async move {
            let (user, phones) = system.user_with_phones(1).await;
            let body = json!({"pin_failures": 10});
            let _locked = system.bench.check_in_with(&phones[0].1, body).await.expect(200);
            system.bench.drain().await;
            sampled(&[("other_user", &user)], &[200])
        })
    }),
    scenario("delete-user", "with a wiped phone and one with a pending wipe", |system| {
        Box::pin(async move {
            let (user, phones) = system.user_with_phones(2).await;
            let wipe = system.deliver_command(&phones[0], "wipe").await;
            let _reported = system.bench.report_command(&phones[0].1, &wipe, "succeeded").await.expect(200);
            let _pending = system.create_command(&phones[1].0, "wipe", json!({})).await;
            sampled(&[("deletable_user", &user)], &[200])
        })
    }),
    scenario("delete-user", "without a wipe, with an open invitation", |system| {
        Box::pin(async move {
            let (user, _phones) = system.user_with_phones(1).await;
            let _code = system.bench.invite(&system.tenant, &user, 1).await;
            let body = json!({"without_wipe": true, "reason": "left"});
            sampled(&[("deletable_user", &user)], &[200]).with_body(body)
        })
    }),
    scenario("revoke-invitation", "an open one", |system| {
        Box::pin(async move {
            let user = system.user().await;
            let path = format!("/users/{user}/invite");
            let invited = system.post(&path, json!({"channel": "email"})).await.expect(202);
            system.bench.drain().await;
            sampled(&[("other_user", &user), ("invitation", &invited.get("invitation_id"))], &[200])
        })
    }),
    scenario("report-network", "a carrier's report without a time", |system| {
        Box::pin(async move {
            let body = json!({"status": "unable_to_provision", "reason": "message_block"});
            sampled(&[("user", &system.user().await)], &[200]).with_body(body)
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
            sampled(&[], &[200]).with_body(body)
        })
    }),
];

static JOBS: &[Scenario] = &[
    scenario("bulk-users", "three, of whom one is already suspended and one unknown", |system| {
        Box::pin(async move {
            let user = system.user().await;
            let other = system.bench.user(&system.tenant, &system.unique_name("bob")).await;
            let _suspended = system.post(&format!("/users/{other}/suspend"), json!({})).await.expect(200);
            let ids = json!([user, other, "0190f3c4-7b5e-7a11-8c1d-3f2a9b6c5d4e"]);
            sampled(&[], &[207, 202]).with_body(json!({"action": "suspend", "ids": ids}))
        })
    }),
    scenario("bulk-users", "invitations to two users with the same address, of whom one has to wait", |system| {
        Box::pin(async move {
            let mut ids = Vec::new();
            for name in ["ada", "bob"] {
                let body = json!({"username": system.unique_name(name), "email": "both@example.com"});
                ids.push(system.post("/users", body).await.expect(201).get("user_id"));
            }
            let body = json!({"action": "invite", "channel": "email", "ids": ids});
            sampled(&[], &[200, 202]).with_body(body)
        })
    }),
    scenario("bulk-users", "invitations by a filter, one of them to a user without an address", |system| {
        Box::pin(async move {
            let _user = system.user().await;
            let _created = system.post("/users", json!({"username": system.unique_name("bob")})).await.expect(201);
            let body = json!({"action": "invite", "channel": "email", "filter": {"status": "inactive"}});
            sampled(&[], &[202]).with_body(body)
        })
    }),
    scenario("bulk-devices", "a wipe", |system| {
        Box::pin(async move {
            let (device, _credential) = system.phone().await;
            let body = json!({"action": "wipe", "reason": "lost", "ids": [device]});
            sampled(&[], &[200, 202]).with_body(body)
        })
    }),
    scenario("cancel-job", "a running job", |system| {
        Box::pin(async move {
            let job = system.stored_job(json!({"action": "suspend"}), json!({}));
            sampled(&[("job", &job)], &[200])
        })
    }),
    scenario("run-due", "a job that its call has left running", |system| {
        Box::pin(async move {
            let _user = system.user().await;
            let _job = system.stored_job(json!({"action": "suspend"}), json!({}));
            system.bench.advance(Duration::minutes(2));
            Trigger::Schedule
        })
    }),
];

fn member(system: &TestSystem, subject: &str) -> Value {
    json!({"issuer": "https://issuer.example", "subject": system.unique_name(subject), "role": "admin"})
}

async fn text_invitation(system: &TestSystem) -> Trigger {
    let path = format!("/users/{}/invite", system.user().await);
    let _invited = system.post(&path, json!({"channel": "sms"})).await.expect(202);
    Trigger::Events
}

static CONSUMERS: &[Scenario] = &[
    scenario("publish-events", "a user made and invited", |system| {
        Box::pin(async move {
            let path = format!("/users/{}/invite", system.user().await);
            let _invited = system.post(&path, json!({"channel": "email"})).await.expect(202);
            Trigger::Events
        })
    }),
    scenario("derive-rows", "the name of a user with a phone changed", |system| {
        Box::pin(async move {
            let (device, _credential) = system.phone().await;
            let user = system.bench.get(&format!("/devices/{device}"), &system.tenant.key).await.expect(200);
            system.bench.drain().await;
            let path = format!("/users/{}", user.get("user_id"));
            let renamed = json!({"first_name": "Eve"});
            let _renamed = system.bench.patch(&path, &system.tenant.key, renamed).await.expect(200);
            Trigger::Events
        })
    }),
    scenario("republish-events", "a day's events, all of which were published", |system| {
        Box::pin(async move {
            let (device, _credential) = system.phone().await;
            let _blocked = system.post(&format!("/devices/{device}/block"), json!({})).await.expect(200);
            system.bench.drain().await;
            let (since, until) = (system.bench.now() - Duration::hours(2), system.bench.now() + Duration::seconds(1));
            let span = json!({"workspace_id": system.tenant.workspace_id, "since": since, "until": until});
            Trigger::Invoke { event: span, accepted_errors: &[] }
        })
    }),
    scenario("reindex", "a user's and a phone's correct rows, and a wrong one", |system| {
        Box::pin(async move {
            let (_device, _credential) = system.phone().await;
            system.bench.drain().await;
            let pk = format!("USER#{}#", system.tenant.workspace_id);
            let is_user =
                |row: &Value| row["sk"] == "USER" && row["pk"].as_str().is_some_and(|key| key.starts_with(&pk));
            let user = rows::all(&system.bench, rows::MAIN).into_values().find(is_user);
            let mut user = user.expect("the user exists");
            let _list = user.as_object_mut().and_then(|user| user.remove("list"));
            rows::put(&system.bench, rows::MAIN, &user, &["device_ids"]);
            Trigger::Invoke { event: json!({"workspace_id": system.tenant.workspace_id}), accepted_errors: &[] }
        })
    }),
    scenario("notify-device", "the endpoint of a first token", |system| {
        Box::pin(async move {
            let (_device, _credential) = system.bench.phone(&system.tenant, &system.unique_name("ada")).await;
            Trigger::Events
        })
    }),
    scenario("notify-device", "the endpoint of a newer token", |system| {
        Box::pin(async move {
            let (_device, credential) = system.phone().await;
            let body = json!({"push_token": system.unique_name("newer")});
            let _check_in = system.bench.check_in_with(&credential, body).await.expect(200);
            Trigger::Events
        })
    }),
    scenario("notify-device", "a wake-up", |system| {
        Box::pin(async move {
            let (device, _credential) = system.phone().await;
            let _blocked = system.post(&format!("/devices/{device}/block"), json!({})).await.expect(200);
            Trigger::Events
        })
    }),
    scenario("notify-device", "a wake-up of both of a user's phones", |system| {
        Box::pin(async move {
            let (user, _phones) = system.user_with_phones(2).await;
            let _suspended = system.post(&format!("/users/{user}/suspend"), json!({})).await.expect(200);
            Trigger::Events
        })
    }),
    scenario("send-message", "an invitation", |system| {
        Box::pin(async move {
            let path = format!("/users/{}/invite", system.user().await);
            let _invited = system.post(&path, json!({"channel": "email"})).await.expect(202);
            Trigger::Events
        })
    }),
    scenario("send-message", "an invitation by text", |system| Box::pin(text_invitation(system))),
    scenario("record-feedback", "a text that arrived", |system| Box::pin(text_invitation(system))),
    scenario("record-feedback", "a text that did not arrive", |system| {
        Box::pin(async move {
            // A number by which AWS simulates a failure.
            let body = json!({"username": system.unique_name("eve"), "mobile": "+14254147167"});
            let user = system.post("/users", body).await.expect(201).get("user_id");
            let _invited = system.post(&format!("/users/{user}/invite"), json!({"channel": "sms"})).await.expect(202);
            Trigger::Events
        })
    }),
    scenario("record-feedback", "an e-mail that arrived", |system| {
        Box::pin(async move {
            let path = format!("/users/{}/invite", system.user().await);
            let _invited = system.post(&path, json!({"channel": "email"})).await.expect(202);
            Trigger::Events
        })
    }),
    scenario("record-feedback", "a push that fails for good", |system| {
        Box::pin(async move {
            let (device, _credential) = system.phone().await;
            let shown = system.bench.get(&format!("/devices/{device}"), &system.tenant.key).await.expect(200);
            let report = json!({
                "EventType": "DeliveryFailure",
                "FailureType": "EndpointDisabled",
                "EndpointArn": shown.body["push_endpoint"],
                "Time": system.bench.now() + Duration::seconds(1),
            });
            let event = json!({"Records": [{"Sns": {"Message": report.to_string()}}]});
            Trigger::Invoke { event, accepted_errors: &[] }
        })
    }),
    scenario("refresh-issuer-keys", WITHOUT_ISSUER, |_| Box::pin(async { Trigger::Schedule })),
    scenario("refresh-issuer-keys", "for the first time", |system| {
        Box::pin(async move {
            let keys = rows::all(&system.bench, rows::MAIN).remove("ISSUER | KEYS").expect("the commit succeeds");
            rows::remove(&system.bench, rows::MAIN, &keys);
            Trigger::Schedule
        })
    }),
];

/// What is done where nobody signs in.
const WITHOUT_ISSUER: &str = "without an issuer";

// sources
static SOURCES: &[Scenario] = &[
    scenario("create-source", "a page with a token", |system| {
        Box::pin(async move { sampled(&[], &[201]).with_body(page_of(system)) })
    }),
    scenario("update-source", "another page, which removes the token", |system| {
        Box::pin(async move {
            let source = system.post("/sources", page_of(system)).await.expect(201).get("source_id");
            let body = json!({"url": "https://other.example.com/", "every_hours": 3});
            sampled(&[("page", &source)], &[200]).with_body(body)
        })
    }),
    scenario("delete-source", "with a token", |system| {
        Box::pin(async move {
            let source = system.post("/sources", page_of(system)).await.expect(201).get("source_id");
            sampled(&[("source", &source)], &[200, 404])
        })
    }),
    scenario("upload-source-part", "the one that was missing", |system| {
        Box::pin(async move {
            let _by_hand = system.user().await;
            let source = file_of(system).await;
            let upload = "0190f3c4-7b5e-7a11-8c1d-000000000001";
            let path = |number: u8, last: bool| format!("/sources/{source}/parts/{number}?upload={upload}&last={last}");
            let two = json!(format!("{}\nbad user\n{}\n", system.unique_name("bob"), system.unique_name("ada")));
            let _first = system.bench.upload(&system.tenant, &path(2, true), two.as_str().unwrap()).await.expect(202);
            http(system, Method::PUT, path(1, false), json!("login\n"), &[202])
        })
    }),
    scenario("sync-users", "a new user, one created by hand, an invalid row, and a vanished user", |system| {
        Box::pin(async move {
            let _by_hand = system.user().await;
            let source = file_of(system).await;
            let path = |upload: u8, more: &str| {
                format!("/sources/{source}/parts/1?upload=0190f3c4-7b5e-7a11-8c1d-00000000000{upload}&last=true{more}")
            };
            let first = format!("login\n{}\n", system.unique_name("eve"));
            let _first = system.bench.upload(&system.tenant, &path(1, ""), &first).await.expect(202);
            let file = format!("login\n{}\nbad user\n{}\n", system.unique_name("bob"), system.unique_name("ada"));
            let _uploaded = system.bench.upload(&system.tenant, &path(2, "&start=false"), &file).await.expect(202);
            sampled(&[("source", &source)], &[202]).with_body(json!({}))
        })
    }),
    scenario("run-due", "a page that is due", |system| {
        Box::pin(async move {
            let mut page = page_of(system);
            page["every_hours"] = json!(24);
            let _source = system.post("/sources", page).await.expect(201);
            Trigger::Schedule
        })
    }),
];

// webhooks
static WEBHOOKS: &[Scenario] = &[
    scenario("create-webhook", "for everything", |system| {
        Box::pin(async move {
            // Events before the webhook are not delivered.
            system.bench.advance(Duration::seconds(1));
            // A retry after a lost response reports that the webhook exists, so that its secret can be rotated.
            sampled(&[], &[201, 409]).with_body(json!({"url": HOOK}))
        })
    }),
    scenario("seam-webhooks", "for everything", |system| {
        Box::pin(async move {
            system.bench.advance(Duration::seconds(1));
            sampled(&[], &[200, 409]).with_body(json!({"url": HOOK}))
        })
    }),
    scenario("update-webhook", "another address, and disabled", |system| {
        Box::pin(async move {
            let (id, _) = system.webhook(HOOK).await;
            let body = json!({"url": "https://other.example.com/", "enabled": false});
            sampled(&[("webhook", &id)], &[200]).with_body(body)
        })
    }),
    scenario("delete-webhook", "one with deliveries", |system| {
        Box::pin(async move {
            let (id, _) = system.webhook(HOOK).await;
            sampled(&[("webhook", &id)], &[200, 404])
        })
    }),
    Scenario {
        operation: "rotate-webhook-secret",
        name: "for the first time",
        event_per_attempt: Some("webhook.secret_rotated"),
        prepare: |system| {
            Box::pin(async move {
                let body = json!({"url": HOOK, "event_types": ["user.created"]});
                let id = system.post("/webhooks", body).await.expect(201).get("webhook_id");
                sampled(&[("webhook", &id)], &[200])
            })
        },
    },
    scenario("redeliver", "a delivered event", |system| {
        Box::pin(async move {
            let (id, event) = system.webhook(HOOK).await;
            sampled(&[("webhook", &id), ("delivered_event", &event)], &[200])
        })
    }),
    scenario("deliver-webhook", "a user made, to two webhooks", |system| {
        Box::pin(async move {
            for url in [HOOK, "https://other.example.com/"] {
                let body = json!({"url": url, "event_types": ["user.created"]});
                let _created = system.post("/webhooks", body).await.expect(201);
            }
            system.bench.drain().await;
            let _user = system.user().await;
            Trigger::Events
        })
    }),
    scenario("deliver-webhook", "a receiver that answers 410, and another webhook for that event", |system| {
        Box::pin(async move {
            let body = json!({"url": GONE, "event_types": ["user.created"]});
            let _created = system.post("/webhooks", body).await.expect(201);
            let body = json!({"url": HOOK, "event_types": ["webhook.disabled"]});
            let _created = system.post("/webhooks", body).await.expect(201);
            system.bench.drain().await;
            let _user = system.user().await;
            Trigger::Events
        })
    }),
    scenario("deliver-webhook", "an earlier secret that expires, and a delivery whose run ended", |system| {
        Box::pin(async move {
            let (id, event) = system.webhook(HOOK).await;
            let _rotated = system.post(&format!("/webhooks/{id}/rotate-secret"), json!({})).await.expect(200);
            system.bench.drain().await;
            let all = rows::all(&system.bench, rows::MAIN);
            let find = |end: String| all.iter().find(|(key, _)| key.ends_with(&end)).unwrap().1.clone();
            let (webhook, mut row) = (find(format!("WEBHOOK#{id}")), find(format!("DELIVERY#{event}")));
            let lease = "0190f3c4-7b5e-7a11-8c1d-000000000001";
            row["state"] = "pending".into();
            row["lease"] = lease.into();
            row["next_at"] = json!(domain::Time::from(system.bench.now()));
            row["due_at"] = row["next_at"].clone();
            // Not in the webhook's shard, whose number is random: every run reads the two rows separately.
            row["due_shard"] = if webhook["due_shard"] == "CALLS#07" { "CALLS#08" } else { "CALLS#07" }.into();
            rows::put(&system.bench, rows::MAIN, &row, &[]);
            system.bench.advance(Duration::hours(25));
            Trigger::Schedule
        })
    }),
];

/// Where webhooks lead.
const HOOK: &str = "https://hooks.example.com/";
/// Where nobody takes anything any more.
const GONE: &str = "https://gone.example.com/";

/// A source that is read from a page.
fn page_of(system: &TestSystem) -> Value {
    json!({
        "name": system.unique_name("page"), "kind": "http", "mapping": {"username": "login"}, "format": "json",
        "url": "https://hr.example.com/people", "token": "a token",
    })
}

/// A source that is uploaded.
async fn file_of(system: &TestSystem) -> String {
    let body = json!({"name": system.unique_name("file"), "kind": "csv", "mapping": {"username": "login"}, "vanish_policy": "suspend"});
    system.post("/sources", body).await.expect(201).get("source_id")
}

static SCHEDULES: &[Scenario] = &[
    scenario("run-due", "a deployment after a rename that a message limit delayed", |system| {
        Box::pin(async move {
            let user = system.user().await;
            let _deployment = system.deploy(&user).await;
            let rename = json!({"username": system.unique_name("eve")});
            let _renamed = system.bench.patch(&format!("/users/{user}"), &system.tenant.key, rename).await.expect(200);
            system.bench.drain().await;
            system.bench.advance(Duration::minutes(2));
            Trigger::Schedule
        })
    }),
    scenario("run-due", "an expired invitation", |system| {
        Box::pin(async move {
            let _code = system.bench.invite(&system.tenant, &system.user().await, 1).await;
            system.bench.advance(Duration::days(8));
            Trigger::Schedule
        })
    }),
    scenario("run-due", "a push token whose endpoint needs repair", |system| {
        Box::pin(async move {
            let (device, _credential) = system.phone().await;
            // A token after the topic's three attempts have failed.
            let key = format!("DEVICE#{}#{device} | PUSH", system.tenant.workspace_id);
            let mut token = rows::all(&system.bench, rows::MAIN).remove(&key).expect("the token's row");
            token["token"] = json!(system.unique_name("newer"));
            let row: domain::models::device::PushToken = aws::from_json(token.clone()).unwrap();
            let due = domain::models::device::PushToken { mend_at: Some(system.bench.now().into()), ..row };
            for (name, value) in aws::Row::indexes(&due) {
                token[name] = json!(value);
            }
            token["mend_at"] = json!(due.mend_at);
            rows::put(&system.bench, rows::MAIN, &token, &[]);
            let key = format!("DEVICE#{}#{device} | DEVICE", system.tenant.workspace_id);
            let mut row = rows::all(&system.bench, rows::MAIN).remove(&key).expect("the device's row");
            row["push_token_hash"] = json!(domain::secret::Hash::of(&due.token));
            rows::put(&system.bench, rows::MAIN, &row, &[]);
            system.bench.advance(Duration::minutes(6));
            Trigger::Schedule
        })
    }),
    scenario("run-due", "an expired command", |system| {
        Box::pin(async move {
            let phone = system.phone().await;
            let _command = system.deliver_command(&phone, "lock").await;
            system.bench.advance(Duration::days(31));
            Trigger::Schedule
        })
    }),
    scenario("run-due", "the rule for silent devices", |system| {
        Box::pin(async move {
            let _phone = system.phone().await;
            let body = json!({"silent_devices": {"after_days": 7, "action": "block"}});
            let _updated = system.bench.patch("/workspace", &system.tenant.key, body).await.expect(200);
            system.bench.advance(Duration::days(8));
            Trigger::Schedule
        })
    }),
    scenario("purge-deleted", "a user with invitations, usage and a deleted phone", |system| {
        Box::pin(async move {
            let (user, phones) = system.user_with_phones(1).await;
            let (device, credential) = &phones[0];
            let usage = json!({"usage": {"sequence": 1, "calls": 3}});
            let _check_in = system.bench.check_in_with(credential, usage).await.expect(200);
            let _deleted = system.bench.delete(&format!("/devices/{device}"), &system.tenant.key).await.expect(200);
            system.bench.drain().await;
            // A phone and its user in one run would be purged in varying order.
            system.bench.advance(Duration::days(31));
            let _purged = system.bench.purge().await;
            let _invitation = system.bench.invite(&system.tenant, &user, 1).await;
            let _deleted = system.bench.delete(&format!("/users/{user}"), &system.tenant.key).await.expect(200);
            system.bench.drain().await;
            system.bench.advance(Duration::days(31));
            Trigger::Schedule
        })
    }),
    scenario("purge-deleted", "a phone with metadata, a token, an endpoint and a command", |system| {
        Box::pin(async move {
            let (device, credential) = system.phone().await;
            let wipe = system.create_command(&device, "wipe", json!({"reason": "lost"})).await;
            let _reported = system.bench.report_command(&credential, &wipe, "failed").await.expect(200);
            let path = format!("/devices/{device}");
            let body = json!({"custom_metadata": {"desk": "4"}});
            let _edited =
                system.bench.call(Method::PATCH, &path, Some(&system.tenant.key), Some(&body)).await.expect(200);
            let _deleted = system.bench.delete(&path, &system.tenant.key).await.expect(200);
            system.bench.drain().await;
            system.bench.advance(Duration::days(31));
            Trigger::Schedule
        })
    }),
];

/// Operations that change nothing: a way to call each, and what its calls to AWS may be.
static READERS: &[Scenario] = &[
    scenario("list-devices", "a search", |system| {
        Box::pin(async move {
            let _phone = system.phone().await;
            http(system, Method::GET, "/devices?search=ada".to_owned(), Value::Null, &[200])
        })
    }),
    scenario("get-device", "one", |system| {
        Box::pin(async move {
            let (device, _credential) = system.phone().await;
            sampled(&[("device", &device)], &[200])
        })
    }),
    scenario("get-user", "one", |system| {
        Box::pin(async move {
            let user = system.user().await;
            sampled(&[("user", &user)], &[200])
        })
    }),
    scenario("list-users", "all", |system| {
        Box::pin(async move {
            let _user = system.user().await;
            sampled(&[], &[200])
        })
    }),
    scenario("scim", "a list with a filter", |system| {
        Box::pin(async move {
            let _user = system.user().await;
            let path = "/scim/v2/Users?filter=title%20pr%20or%20active%20eq%20true&sortBy=userName".to_owned();
            http(system, Method::GET, path, Value::Null, &[200])
        })
    }),
    scenario("list-events", "all", |system| {
        Box::pin(async move {
            let _user = system.user().await;
            sampled(&[], &[200])
        })
    }),
    scenario("list-keys", "all", |_| Box::pin(async { sampled(&[], &[200]) })),
    scenario("list-memberships", "a pending one", |system| {
        Box::pin(async move {
            let credential = system.pending_member().await;
            sampled(&[], &[200]).with_credential(credential)
        })
    }),
    scenario("list-tokens", "one's own", |system| {
        Box::pin(async move {
            let (_member, credential) = system.admin().await;
            let _token = system.personal_token(&credential).await;
            sampled(&[], &[200]).with_credential(credential)
        })
    }),
    scenario("list-member-tokens", "another's", |system| {
        Box::pin(async move {
            let (member, credential) = system.admin().await;
            let _token = system.personal_token(&credential).await;
            sampled(&[("owner", &member)], &[200])
        })
    }),
    scenario("get-workspace", "by a personal access token", |system| {
        Box::pin(async move {
            let (_member, credential) = system.admin().await;
            let created = oidc::new_token(&system.bench, &credential, &[&system.tenant.workspace_id], None).await;
            sampled(&[], &[200]).with_credential(created.get("token"))
        })
    }),
    scenario("seam-workspaces", "all", |system| {
        Box::pin(async move { http(system, Method::GET, "/workspaces/list".to_owned(), Value::Null, &[200]) })
    }),
    scenario("list-members", "all", |system| {
        Box::pin(async move {
            let _member = system.post("/members", member(system, "one")).await.expect(201);
            sampled(&[], &[200])
        })
    }),
    scenario("list-commands", "a phone's", |system| {
        Box::pin(async move {
            let (device, _credential) = system.phone().await;
            let _wipe = system.create_command(&device, "wipe", json!({})).await;
            sampled(&[("device", &device)], &[200])
        })
    }),
    scenario("list-invitations", "a user's", |system| {
        Box::pin(async move {
            let user = system.user().await;
            let _code = system.bench.invite(&system.tenant, &user, 1).await;
            sampled(&[("other_user", &user)], &[200])
        })
    }),
    scenario("get-usage", "a user's", |system| {
        Box::pin(async move { sampled(&[("user", &system.user().await)], &[200]) })
    }),
    scenario("get-usage", "the workspace's", |system| {
        Box::pin(async move { http(system, Method::GET, "/usage".to_owned(), Value::Null, &[200]) })
    }),
    scenario("get-job", "a running one", |system| {
        Box::pin(async move {
            let job = system.stored_job(json!({"action": "suspend"}), json!({}));
            sampled(&[("job", &job)], &[200])
        })
    }),
    scenario("list-jobs", "all", |system| {
        Box::pin(async move {
            let _job = system.stored_job(json!({"action": "suspend"}), json!({}));
            sampled(&[], &[200])
        })
    }),
    // profiles
    scenario("list-profiles", "all", |system| {
        Box::pin(async move {
            let _created = system.post("/profiles", json!({"name": "First", "settings": {}})).await.expect(201);
            sampled(&[], &[200])
        })
    }),
    scenario("get-profile", "one", |system| {
        Box::pin(async move {
            let created = system.post("/profiles", json!({"name": "First", "settings": {}})).await.expect(201);
            sampled(&[("profile", &created.get("profile_id"))], &[200])
        })
    }),
    scenario("list-sources", "all", |system| {
        Box::pin(async move {
            let _source = file_of(system).await;
            sampled(&[], &[200])
        })
    }),
    scenario("get-source", "one", |system| {
        Box::pin(async move { sampled(&[("source", &file_of(system).await)], &[200]) })
    }),
    scenario("list-webhooks", "all", |system| {
        Box::pin(async move {
            let _webhook = system.webhook(HOOK).await;
            sampled(&[], &[200])
        })
    }),
    scenario("get-webhook", "one", |system| {
        Box::pin(async move {
            let (id, _) = system.webhook(HOOK).await;
            sampled(&[("webhook", &id)], &[200])
        })
    }),
    scenario("list-deliveries", "of one", |system| {
        Box::pin(async move {
            let (id, _) = system.webhook(HOOK).await;
            sampled(&[("webhook", &id)], &[200])
        })
    }),
    scenario("get-workspace", "the caller's", |_| Box::pin(async { sampled(&[], &[200]) })),
    scenario("update-workspace", "a preview of a rule", |system| {
        Box::pin(async move {
            let _phone = system.phone().await;
            let body = json!({"silent_devices": {"after_days": 7, "action": "delete"}, "dry_run": true});
            sampled(&[], &[200]).with_body(body)
        })
    }),
    scenario("bulk-users", "a dry run for named users", |system| {
        Box::pin(async move {
            let body = json!({"action": "suspend", "ids": [system.user().await], "dry_run": true});
            sampled(&[], &[200]).with_body(body)
        })
    }),
    scenario("list-deployments", "all", |system| {
        Box::pin(async move {
            let _deployment = system.deploy(&system.user().await).await;
            sampled(&[], &[200])
        })
    }),
    scenario("auto-deploy", "a dry run for named users", |system| {
        Box::pin(async move {
            let body = json!({"ids": [system.user().await], "dry_run": true});
            sampled(&[], &[200]).with_body(body)
        })
    }),
    scenario("redirect", "on a computer", |system| {
        Box::pin(async move {
            let _deployment = system.deploy(&system.user().await).await;
            sampled(&[("code", &system.deployment_code())], &[200])
        })
    }),
    scenario("list-profiles", "all", |system| {
        Box::pin(async move {
            let _profile = system.profile("first").await;
            sampled(&[], &[200])
        })
    }),
    scenario("get-profile", "one", |system| {
        Box::pin(async move { sampled(&[("profile", &system.profile("first").await)], &[200]) })
    }),
    scenario("app-links", "Apple's", |_| Box::pin(async { sampled(&[], &[200]) })),
    scenario("get-docs", "the page", |_| Box::pin(async { sampled(&[], &[200]) })),
    scenario("get-openapi", "the page", |_| Box::pin(async { sampled(&[], &[200]) })),
    scenario("not-found", "nothing", |_| Box::pin(async { sampled(&[], &[404]) })),
];

/// Client deployment.
static DEPLOYMENTS: &[Scenario] = &[
    scenario("deploy-config", "for the first time", |system| {
        Box::pin(async move { sampled(&[("user", &system.user().await)], &[202]) })
    }),
    scenario("deploy-config", "again, which ends the earlier link", |system| {
        Box::pin(async move {
            let user = system.user().await;
            let _deployment = system.deploy(&user).await;
            system.bench.advance(Duration::minutes(1));
            sampled(&[("user", &user)], &[202])
        })
    }),
    scenario("auto-deploy", "one with a downloaded configuration, one without, and one without an address", |system| {
        Box::pin(async move {
            let _downloaded = system.user_with_set_up_phone().await;
            let _new = system.bench.user(&system.tenant, &system.unique_name("bob")).await;
            let _created = system.post("/users", json!({"username": system.unique_name("eve")})).await.expect(201);
            sampled(&[], &[202]).with_body(json!({"filter": {}}))
        })
    }),
    scenario("set-force-config", "with two phones", |system| {
        Box::pin(async move {
            let (user, _phones) = system.user_with_phones(2).await;
            sampled(&[("user", &user)], &[200])
        })
    }),
    scenario("revoke-deployment", "an open one", |system| {
        Box::pin(async move {
            let deployment = system.deploy(&system.user().await).await;
            sampled(&[("revocable_deployment", &deployment)], &[200])
        })
    }),
    Scenario {
        operation: "get-deployment-qr",
        name: "of an open one",
        event_per_attempt: Some("deployment.qr_shown"),
        prepare: |system| {
            Box::pin(async move {
                let deployment = system.deploy(&system.user().await).await;
                sampled(&[("deployment", &deployment)], &[200])
            })
        },
    },
    Scenario {
        operation: "set-user-secrets",
        name: "one set and one taken away",
        event_per_attempt: Some("user.secrets_set"),
        prepare: |system| {
            Box::pin(async move {
                let path = format!("/users/{}/secrets", system.user().await);
                let body = json!({"client_password": "before", "voicemail_pin": "4711"});
                let _updated = system.bench.put(&path, &system.tenant.key, body).await.expect(200);
                let body = json!({"client_password": null, "pbx_sip_password": "after"});
                http(system, Method::PUT, path, body, &[200])
            })
        },
    },
    Scenario {
        operation: "set-user-secrets",
        name: "the last one taken away",
        event_per_attempt: Some("user.secrets_set"),
        prepare: |system| {
            Box::pin(async move {
                let path = format!("/users/{}/secrets", system.user().await);
                let body = json!({"client_password": "before"});
                let _updated = system.bench.put(&path, &system.tenant.key, body).await.expect(200);
                http(system, Method::PUT, path, json!({"client_password": null}), &[200])
            })
        },
    },
    scenario("undeploy-user", "with an open deployment, secrets and a set-up phone", |system| {
        Box::pin(async move {
            let (user, _credential) = system.user_with_set_up_phone().await;
            let _deployment = system.deploy(&user).await;
            let path = format!("/users/{user}/secrets");
            let body = json!({"client_password": "secret"});
            let _secrets = system.bench.put(&path, &system.tenant.key, body).await.expect(200);
            sampled(&[("other_user", &user)], &[200])
        })
    }),
    scenario("download-config", "for the first time", |system| {
        Box::pin(async move {
            let credential = system.phone_with_forced_config().await;
            sampled(&[], &[200]).with_body(Value::Null).with_credential(credential)
        })
    }),
    scenario("register-device", "a new phone by a deployment", |system| {
        Box::pin(async move {
            let _deployment = system.deploy(&system.user().await).await;
            register(&system.deployment_code(), &system.unique_name("phone"), &[201])
        })
    }),
    scenario("check-in-device", "with a configuration in place", |system| {
        Box::pin(async move {
            let credential = system.phone_with_forced_config().await;
            let version = system.download(&credential).await;
            check_in(credential, json!({"config_version": version}))
        })
    }),
    scenario("update-user", "another username, with a phone, an open deployment and secrets", |system| {
        Box::pin(async move {
            let (user, _credential) = system.user_with_set_up_phone().await;
            let _deployment = system.deploy(&user).await;
            system.bench.advance(Duration::minutes(1));
            sampled(&[("user", &user)], &[200]).with_body(json!({"username": system.unique_name("eve")}))
        })
    }),
    scenario("update-user", "another address, with an open invitation and an open deployment", |system| {
        Box::pin(async move {
            let user = system.user().await;
            let _deployment = system.deploy(&user).await;
            let _code = system.bench.invite(&system.tenant, &user, 1).await;
            sampled(&[("user", &user)], &[200]).with_body(json!({"email": "new@example.org"}))
        })
    }),
    scenario("update-user", "another address and another username, with an open deployment", |system| {
        Box::pin(async move {
            let user = system.user().await;
            let _deployment = system.deploy(&user).await;
            let body = json!({"username": system.unique_name("eve"), "email": "new@example.org"});
            sampled(&[("user", &user)], &[200]).with_body(body)
        })
    }),
    scenario("deploy-config", "to a user with two phones without configuration", |system| {
        Box::pin(async move {
            let (user, _phones) = system.user_with_phones(2).await;
            sampled(&[("user", &user)], &[202])
        })
    }),
    scenario("delete-user", "with an open invitation, an open deployment and secrets", |system| {
        Box::pin(async move {
            let user = system.user().await;
            let _deployment = system.deploy(&user).await;
            let _code = system.bench.invite(&system.tenant, &user, 1).await;
            let body = json!({"client_password": "secret"});
            let _secrets =
                system.bench.put(&format!("/users/{user}/secrets"), &system.tenant.key, body).await.expect(200);
            sampled(&[("deletable_user", &user)], &[200])
        })
    }),
    scenario("send-message", "a deployment", |system| {
        Box::pin(async move {
            let path = format!("/users/{}/deploy", system.user().await);
            let _deployment = system.post(&path, json!({})).await.expect(202);
            Trigger::Events
        })
    }),
    scenario("record-feedback", "a deployment's e-mail that arrived", |system| {
        Box::pin(async move {
            let path = format!("/users/{}/deploy", system.user().await);
            let _deployment = system.post(&path, json!({})).await.expect(202);
            Trigger::Events
        })
    }),
    scenario("notify-device", "two phones that must download", |system| {
        Box::pin(async move {
            let (user, _phones) = system.user_with_phones(2).await;
            let _forced = system.post(&format!("/users/{user}/force-config"), json!({})).await.expect(200);
            Trigger::Events
        })
    }),
    scenario("run-due", "an expired deployment", |system| {
        Box::pin(async move {
            let _deployment = system.deploy(&system.user().await).await;
            system.bench.advance(Duration::days(8));
            Trigger::Schedule
        })
    }),
    scenario("run-due", "an auto-deploy that its call has left running", |system| {
        Box::pin(async move {
            let _user = system.user().await;
            let _job = system.stored_job(json!({"action": "auto_deploy"}), json!({}));
            system.bench.advance(Duration::minutes(2));
            Trigger::Schedule
        })
    }),
    scenario("purge-deleted", "a user with deployments", |system| {
        Box::pin(async move {
            let user = system.user().await;
            let _older = system.deploy(&user).await;
            let _newer = system.deploy(&user).await;
            let _deleted = system.bench.delete(&format!("/users/{user}"), &system.tenant.key).await.expect(200);
            system.bench.drain().await;
            system.bench.advance(Duration::days(31));
            Trigger::Schedule
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

/// The result of a run.
struct Outcome {
    calls: Vec<Call>,
    failed_calls: Vec<Call>,
    /// How often the client had to repeat its call.
    repeats: usize,
    outline: Outline,
    findings: Vec<String>,
}

impl Outcome {
    /// The number of calls of an action before the call whose fault ended the run.
    fn calls_before_end(&self, injected: &InjectedFault, action: &str) -> usize {
        let ends_run = injected.fault.ends_process() || injected.duration != FaultDuration::Once;
        let mut same_action = self.calls.iter().enumerate().filter(|(_, call)| call.action == injected.action);
        let end = same_action.nth(injected.nth - 1).filter(|_| ends_run).map_or(0, |(at, _)| at);
        self.calls[..end].iter().filter(|call| call.action == action).count()
    }
}

/// Number of runs that share a system, each on empty tables: a system becomes slower with each run.
const RUNS_PER_SYSTEM: usize = 20;

/// Time until a caller tries again.
const RETRY_DELAY: Duration = Duration::seconds(61);

/// Time between two runs besides, so that no run starts within 20 seconds of a retry of the run before, 60 or 180 seconds
/// after its start: a process keeps the number of shards of a day's events that long.
const BETWEEN_RUNS: Duration = Duration::seconds(44);

/// Time for which the tokens of signed-in people are used; they expire after an hour.
const SIGN_IN_LIFETIME: Duration = Duration::minutes(50);

/// A scenario whose preparation is done: each run starts from its snapshot.
struct PreparedScenario {
    system: TestSystem,
    baseline: Baseline,
    trigger: Trigger,
    snapshot: Mark,
    /// How much later than the snapshot the next run starts, so that values cached by operations have expired.
    later: Duration,
}

/// Runs scenarios, on a new system from time to time.
struct ScenarioRunner {
    faults: Faults,
    oidc: Arc<Oidc>,
    prepared: Option<PreparedScenario>,
    run: usize,
}

impl ScenarioRunner {
    fn new() -> Self {
        Self { faults: Faults::new(), oidc: Arc::new(Oidc::new()), prepared: None, run: 0 }
    }

    async fn new_system(&mut self, issuer: bool) -> TestSystem {
        self.run += 1;
        let bench = match self.prepared.take().map(|prepared| prepared.system) {
            Some(system) if system.issuer == issuer && !self.run.is_multiple_of(RUNS_PER_SYSTEM) => system.bench,
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
        TestSystem { bench, tenant, oidc: Arc::clone(&self.oidc), issuer, run: self.run }
    }

    /// Prepares a scenario, without faults.
    async fn prepare(&mut self, scenario: &Scenario) -> PreparedScenario {
        let system = self.new_system(scenario.name != WITHOUT_ISSUER).await;
        let baseline = Baseline::of(&system.bench);
        self.faults.watch("none", None);
        let trigger = (scenario.prepare)(&system).await.into_request(scenario.operation, &system);
        let snapshot = system.bench.mark();
        PreparedScenario { system, baseline, trigger, snapshot, later: Duration::zero() }
    }

    /// Runs a scenario without a fault, and checks that its reads of rows are consistent.
    async fn run_without_fault(&mut self, scenario: &Scenario) -> Outcome {
        let prepared = self.prepare(scenario).await;
        let clean = self.run_scenario(scenario, prepared, None).await;
        let stale: Vec<&Call> = clean.calls.iter().filter(|call| call.stale).collect();
        assert!(stale.is_empty(), "{} reads rows without consistency: {stale:?}", scenario.operation);
        clean
    }

    /// Runs the scenario again, with a fault.
    async fn run_with_fault(&mut self, scenario: &Scenario, injected: InjectedFault) -> Outcome {
        let prepared = match self.prepared.take() {
            Some(prepared) if prepared.later < SIGN_IN_LIFETIME => {
                prepared.system.bench.restore(&prepared.snapshot, prepared.later);
                prepared
            }
            prepared => {
                self.prepared = prepared;
                self.prepare(scenario).await
            }
        };
        self.run_scenario(scenario, prepared, Some(injected)).await
    }

    async fn run_scenario(
        &mut self,
        scenario: &Scenario,
        prepared: PreparedScenario,
        injected: Option<InjectedFault>,
    ) -> Outcome {
        let system = &prepared.system;
        self.faults.watch(scenario.operation, injected);
        let repeats = self.run_until_done(system, scenario.operation, &prepared.trigger).await;
        self.settle(system).await;
        self.finish(system).await;
        let audit = Audit::read(&system.bench, &prepared.baseline);
        let outcome = Outcome {
            calls: self.faults.calls(),
            failed_calls: self.faults.failed_calls(),
            repeats,
            outline: audit.outline(),
            findings: audit.inconsistencies(),
        };
        let tries = i32::try_from(repeats).unwrap_or(0) + 1;
        let later = prepared.later + RETRY_DELAY * tries + BETWEEN_RUNS;
        self.prepared = Some(PreparedScenario { later, ..prepared });
        outcome
    }

    async fn settle(&self, system: &TestSystem) {
        system.bench.settle().await;
    }

    /// Runs the schedules until no delivery is pending and no job is running.
    async fn finish(&self, system: &TestSystem) {
        while rows::all(&system.bench, rows::MAIN).values().any(|row| row["state"] == "pending") {
            system.bench.advance(Duration::minutes(2));
            let _run = system.bench.stack.run_schedule("deliver-webhook").await;
            self.settle(system).await;
        }
        while rows::all(&system.bench, rows::MAIN).values().any(|row| row["sk"] == "JOB" && row["state"] == "running") {
            system.bench.advance(Duration::minutes(2));
            let _run = system.bench.run_due().await;
            self.settle(system).await;
        }
    }

    /// Repeats the trigger until it succeeds, and returns the number of repeats. The first attempt ends an outage.
    async fn run_until_done(&self, system: &TestSystem, operation: &str, trigger: &Trigger) -> usize {
        for tries in 0..20 {
            if self.attempt(system, operation, trigger).await {
                return tries;
            }
            self.faults.end_outage();
            system.bench.advance(RETRY_DELAY);
        }
        panic!("{operation} does not succeed within 20 attempts");
    }

    /// One attempt; true if the caller would not try again.
    async fn attempt(&self, system: &TestSystem, operation: &str, trigger: &Trigger) -> bool {
        let stack = &system.bench.stack;
        match trigger {
            Trigger::Http { method, path, credential, body, statuses } => {
                let mut request =
                    Request::builder().method(method).uri(path).header("idempotency-key", system.unique_name("once"));
                if let Some(credential) = credential {
                    request = request.header("authorization", format!("Bearer {credential}"));
                }
                let body = match body {
                    Value::Null => Vec::new(),
                    // A text is sent as it is.
                    Value::String(text) => text.clone().into_bytes(),
                    body => body.to_string().into_bytes(),
                };
                let answer = system.bench.send(request.body(body).unwrap()).await;
                let status = answer.status.as_u16();
                // A transient fault is answered with 503 and `retry-after`, or with 500 if the process ended.
                let is_transient = (status == 503 && answer.headers.contains_key("retry-after"))
                    || (status == 500 && self.faults.ends_run());
                let is_expected = is_transient || statuses.contains(&status);
                assert!(is_expected, "{operation}: expected one of {statuses:?}, found {status} {}", answer.text);
                !is_transient
            }
            Trigger::Sample { .. } => unreachable!("`into_request` has replaced the sample by its request"),
            Trigger::Events => {
                stack.drain(Retry::WhenDue).await.expect("the stream and the queues are processed");
                self.faults.end_outage();
                self.settle(system).await;
                true
            }
            Trigger::Schedule => {
                let reply = stack.run_schedule(operation).await;
                reply.is_ok_and(|reply| reply["failed"].as_u64().unwrap_or(0) == 0)
            }
            Trigger::Invoke { event, accepted_errors } => match stack.invoke(operation, event.clone()).await {
                Ok(_) => true,
                Err(error) => accepted_errors.iter().any(|accepted| error.contains(accepted)),
            },
        }
    }
}

/// The differences of a run with a fault from the run without one, and the audit's findings.
fn differences(scenario: &Scenario, clean: &Outcome, injected: &InjectedFault, outcome: &Outcome) -> Vec<String> {
    let mut differences = outcome.findings.clone();
    if outcome.failed_calls.is_empty() {
        differences.push("the fault was not injected: no call matched".to_owned());
    }
    let events = |outline: &Outline| {
        let mut events = outline.events.clone();
        // Either the sender or the mail service records that a message was sent, depending on which is first.
        events.remove("invitation.sent");
        events.remove("deployment.sent");
        if let Some(event_per_attempt) = scenario.event_per_attempt {
            events.remove(event_per_attempt);
        }
        events
    };
    if events(&clean.outline) != events(&outcome.outline) {
        differences.push(format!("events: expected {:?}, found {:?}", clean.outline.events, outcome.outline.events));
    }
    if let Some(event_per_attempt) = scenario.event_per_attempt {
        let times = |outline: &Outline| outline.events.get(event_per_attempt).copied().unwrap_or(0);
        let (once, times) = (times(&clean.outline), times(&outcome.outline));
        if times < once || times > once + outcome.repeats {
            differences.push(format!(
                "events {event_per_attempt}: expected {once} to {}, found {times}",
                once + outcome.repeats
            ));
        }
    }
    if clean.outline.rows != outcome.outline.rows {
        differences.push(format!("rows: expected {:?}, found {:?}", clean.outline.rows, outcome.outline.rows));
    }
    // A message may only be sent twice if its own call failed with an unknown outcome.
    let with_unknown_outcome = |action: &str| {
        let failed = outcome.failed_calls.iter().filter(|call| call.action == action).count();
        if injected.fault.takes_effect() { failed } else { 0 }
    };
    // If the run ends before it records an e-mail as sent, the mail service's report records it. Pushes have no
    // reports, and reports of texts name an identifier that was lost with the run, so both are sent again.
    let published = with_unknown_outcome("Publish") + outcome.calls_before_end(injected, "Publish");
    let more = |sent: usize| if sent > 0 { published } else { 0 };
    for (what, sent, expected, more) in [
        ("e-mails", outcome.outline.mails, clean.outline.mails, with_unknown_outcome("SendEmail")),
        ("texts", outcome.outline.texts, clean.outline.texts, more(clean.outline.texts)),
        ("pushes", outcome.outline.pushes, clean.outline.pushes, more(clean.outline.pushes)),
    ] {
        if sent < expected || sent > expected + more {
            differences.push(format!("{what}: expected {expected} to {}, found {sent}", expected + more));
        }
    }
    differences
}

/// Which combinations of calls and faults are run.
#[derive(Clone, Copy, PartialEq)]
enum Breadth {
    /// Every call. Faults that the SDK's own retries hide from the operation are run at one call of each action only.
    Single,
    /// Every call, fault and duration.
    Full,
}

impl Breadth {
    /// The durations of a fault at a call, each in a run of its own; `known` if an earlier call of the same action has
    /// had every fault.
    fn duration(self, fault: Fault, call: &Call, known: bool) -> &'static [FaultDuration] {
        let known = known && !call.sends();
        match (self, fault) {
            // A process that ends does not retry.
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
            // The SDK's retry hides a single failure.
            (Self::Single, Fault::Throttle | Fault::ServerError) => &[FaultDuration::Once, FaultDuration::Calls(3)],
            (Self::Single, _) => &[FaultDuration::Once],
        }
    }
}

/// The faults for the runs of a scenario that makes these calls, one for each run. `known` are the actions that have
/// had every fault.
fn faults_to_inject(calls: &[Call], breadth: Breadth, known: &mut BTreeSet<String>) -> Vec<InjectedFault> {
    let mut faults = Vec::new();
    let mut nth: BTreeMap<String, usize> = BTreeMap::new();
    for (at, call) in calls.iter().enumerate() {
        let nth = nth.entry(call.action.clone()).or_default();
        *nth += 1;
        // Of several equal reads in a row, such as those of the shards, only the first and the last have faults.
        let is_equal = |other: Option<&Call>| other == Some(call);
        let previous = at.checked_sub(1).and_then(|at| calls.get(at));
        let is_inner = call.is_read() && is_equal(previous) && is_equal(calls.get(at + 1));
        if breadth == Breadth::Single && is_inner {
            continue;
        }
        let known = !known.insert(call.action.clone());
        for fault in Fault::ALL.into_iter().filter(|fault| fault.applies_to(call)) {
            let injected = |duration: &FaultDuration| InjectedFault {
                action: call.action.clone(),
                nth: *nth,
                fault,
                duration: *duration,
            };
            faults.extend(breadth.duration(fault, call, known).iter().map(injected));
        }
    }
    faults
}

async fn run_all(scenarios: &[Scenario], breadth: Breadth) {
    let mut runner = ScenarioRunner::new();
    let (mut calls, mut runs, mut failed, mut known) = (0, 0, Vec::new(), BTreeSet::new());
    for scenario in scenarios {
        let clean = runner.run_without_fault(scenario).await;
        assert_eq!(
            clean.findings,
            Vec::<String>::new(),
            "findings of {} ({}) without a fault",
            scenario.operation,
            scenario.name
        );
        assert_eq!(clean.repeats, 0, "repeats of {} ({}) without a fault", scenario.operation, scenario.name);
        calls += clean.calls.len();
        for injected in faults_to_inject(&clean.calls, breadth, &mut known) {
            runs += 1;
            let outcome = runner.run_with_fault(scenario, injected.clone()).await;
            let differences = differences(scenario, &clean, &injected, &outcome);
            if !differences.is_empty() {
                let InjectedFault { action, nth, fault, duration } = &injected;
                let at =
                    format!("{} ({}), {fault:?} at {action} {nth}, {duration:?}", scenario.operation, scenario.name);
                println!("{at}:\n  {}", differences.join("\n  "));
                failed.push(at);
            }
        }
    }
    println!("{} scenarios, {calls} calls, {runs} runs with a fault", scenarios.len());
    assert!(
        failed.is_empty(),
        "{} of {runs} runs with a fault differ from the run without it:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

/// Scenarios of the operations that have none of their own and whose sample request only needs a phone or a user.
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
    // A fresh name needs no preparation.
    let things: Vec<&str> = things.iter().map(String::as_str).filter(|name| *name != "fresh").collect();
    let prepare: for<'a> fn(&'a TestSystem) -> BoxFuture<'a, Trigger> = match things.as_slice() {
        ["device"] => |system| Box::pin(async move { sampled(&[("device", &system.phone().await.0)], &[200, 202]) }),
        ["user"] => |system| Box::pin(async move { sampled(&[("user", &system.user().await)], &[200, 202]) }),
        [] => |_| Box::pin(async { sampled(&[], &[200]) }),
        _ => return None,
    };
    Some(scenario(operation, "the sample request", prepare))
}

#[test]
fn every_operation_has_its_scenarios() {
    let of_samples = scenarios_of_samples();
    let scenarios = AREAS.iter().flat_map(|area| area.iter()).chain(&of_samples);
    let known: BTreeSet<&str> = scenarios.map(|scenario| scenario.operation).collect();
    let all: BTreeSet<&str> = functions::OPERATIONS.iter().map(|operation| operation.name).collect();
    assert_eq!(known, all);
}

/// Fills a workspace with one of each: a user whose first phone has a pending lock and whose second was wiped, a
/// network, usage, a rule, a job, a user whose phone is set up, and a purged user. Returns the first user and the one
/// whose phone is set up.
async fn fill_workspace(system: &TestSystem) -> (String, String) {
    let purged_user = system.bench.user(&system.tenant, &system.unique_name("bob")).await;
    let _invited = system.post(&format!("/users/{purged_user}/invite"), json!({"channel": "email"})).await.expect(202);
    system.bench.drain().await;
    let _deleted = system.bench.delete(&format!("/users/{purged_user}"), &system.tenant.key).await.expect(200);
    system.bench.advance(Duration::days(31));
    let _purged = system.bench.purge().await;
    let (user, phones) = system.user_with_phones(2).await;
    let body = json!({"usage": {"sequence": 1, "calls": 3}});
    let _check_in = system.bench.check_in_with(&phones[0].1, body).await.expect(200);
    let _lock = system.create_command(&phones[0].0, "lock", json!({})).await;
    let wipe = system.deliver_command(&phones[1], "wipe").await;
    let _reported = system.bench.report_command(&phones[1].1, &wipe, "succeeded").await.expect(200);
    let network = json!({"status": "opt_in_sent"});
    let _updated =
        system.bench.put(&format!("/users/{user}/networks/verizon"), &system.tenant.key, network).await.expect(200);
    let rule = json!({"silent_devices": {"after_days": 7, "action": "block"}});
    let _updated = system.bench.patch("/workspace", &system.tenant.key, rule).await.expect(200);
    let body = json!({"action": "suspend", "ids": [user, purged_user]});
    let _suspended = system.post("/users/bulk", body).await.expect(207);
    let eve = system.bench.user(&system.tenant, &system.unique_name("eve")).await;
    let _credential = system.set_up_phone(&eve).await;
    let secrets = json!({"client_password": "secret"});
    let _secrets_set =
        system.bench.put(&format!("/users/{eve}/secrets"), &system.tenant.key, secrets).await.expect(200);
    system.bench.drain().await;
    (user, eve)
}

#[tokio::test]
async fn the_audit_finds_inconsistent_rows() {
    let mut runner = ScenarioRunner::new();
    let system = runner.new_system(true).await;
    let baseline = Baseline::of(&system.bench);
    let (user, eve) = fill_workspace(&system).await;
    let findings = || Audit::read(&system.bench, &baseline).inconsistencies();
    assert_eq!(findings(), Vec::<String>::new());
    let lock = ("COMMAND#", "kind", json!("lock"));
    let first = ("| DEVICE", "device_identifier", json!(format!("{}-0", system.unique_name("ada"))));
    let wiped = ("| DEVICE", "device_identifier", json!(format!("{}-1", system.unique_name("ada"))));
    let ada = ("| USER", "user_id", json!(user));
    let job = ("| JOB", "state", json!("finished"));
    let workspace = ("WORKSPACE#", "sk", json!("WORKSPACE"));
    let event = |kind: &str| ("EVENT#", "event_type", json!(kind));
    let set_up = ("| DEVICE", "device_identifier", json!(system.unique_name("set-up")));
    let deployment = ("| INVITATION#", "user_id", json!(eve));
    let eve = ("| USER", "user_id", json!(eve));
    let changes = [
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
        (&event("user.invited"), "/private", json!({"reason": "he asked for it"})),
        (&event("user.purged"), "/event_type", json!("user.updated")),
        (&("| 2026-12#", "month", json!("2026-12")), "/calls", json!(2)),
        (&("| USAGE#", "month", json!("2026-12")), "/calls", json!(4)),
        (&job, "/tally/changed", json!(2)),
        (&job, "/due_at", json!("2026-12-24T08:00:00.000Z")),
        (&("ITEM#", "outcome", json!("changed")), "/outcome", json!("unchanged")),
        (&("ITEM#", "outcome", json!("failed")), "/code", Value::Null),
        (&workspace, "/silent_rule_at", Value::Null),
        (&workspace, "/settings/silent_devices/after_days", json!(8)),
    ];
    for ((part, field, original), at, value) in changes {
        let all = rows::all(&system.bench, rows::MAIN);
        let found = all.into_iter().find(|(key, row)| key.contains(part) && row[field] == *original);
        let (key, row) = found.unwrap_or_else(|| panic!("no row {part} whose {field} is {original}"));
        let mut changed = row.clone();
        set(&mut changed, at, value);
        rows::put(&system.bench, rows::MAIN, &changed, &["device_ids"]);
        assert!(!findings().is_empty(), "the audit accepts a changed {at} of {key}");
        rows::put(&system.bench, rows::MAIN, &row, &["device_ids"]);
        assert_eq!(findings(), Vec::<String>::new(), "findings after {key} was restored");
    }
}

/// Sets the value at a pointer (RFC 6901); `null` removes it.
fn set(row: &mut Value, pointer: &str, value: Value) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = row.pointer_mut(parent).unwrap();
    match (parent, value) {
        (Value::Object(fields), Value::Null) => drop(fields.remove(name)),
        (parent, value) => parent[name] = value,
    }
}

#[tokio::test]
async fn read_operations_change_nothing() {
    let mut runner = ScenarioRunner::new();
    for scenario in READERS {
        let clean = runner.run_without_fault(scenario).await;
        let writes: Vec<&Call> = clean.calls.iter().filter(|call| !call.is_read()).collect();
        assert!(writes.is_empty(), "{} makes {writes:?}", scenario.operation);
    }
}

#[tokio::test]
async fn device_operations_survive_every_fault() {
    run_all(DEVICES, Breadth::Single).await;
}

#[tokio::test]
async fn operations_with_only_a_sample_survive_every_fault() {
    run_all(&scenarios_of_samples(), Breadth::Single).await;
}

#[tokio::test]
async fn command_operations_survive_every_fault() {
    run_all(COMMANDS, Breadth::Single).await;
}

#[tokio::test]
async fn user_lifecycle_operations_survive_every_fault() {
    run_all(LIVES, Breadth::Single).await;
}

#[tokio::test]
async fn scim_operations_survive_every_fault() {
    run_all(SCIM, Breadth::Single).await;
}

#[tokio::test]
async fn seam_operations_survive_every_fault() {
    run_all(SEAM, Breadth::Single).await;
}

#[tokio::test]
async fn read_operations_survive_every_fault() {
    run_all(READERS, Breadth::Single).await;
}

#[tokio::test]
async fn deployment_operations_survive_every_fault() {
    run_all(DEPLOYMENTS, Breadth::Single).await;
}

#[tokio::test]
async fn job_operations_survive_every_fault() {
    run_all(JOBS, Breadth::Single).await;
}

#[tokio::test]
async fn source_operations_survive_every_fault() {
    run_all(SOURCES, Breadth::Single).await;
}

#[tokio::test]
async fn webhook_operations_survive_every_fault() {
    run_all(WEBHOOKS, Breadth::Single).await;
}

#[tokio::test]
async fn user_and_access_operations_survive_every_fault() {
    run_all(PEOPLE, Breadth::Single).await;
}

#[tokio::test]
async fn event_consumers_survive_every_fault() {
    run_all(CONSUMERS, Breadth::Single).await;
}

#[tokio::test]
async fn scheduled_operations_survive_every_fault() {
    run_all(SCHEDULES, Breadth::Single).await;
}

#[tokio::test]
#[ignore = "every call, every fault, each once, three times and for good"]
async fn every_operation_survives_every_fault_of_every_duration() {
    for area in AREAS {
        run_all(area, Breadth::Full).await;
    }
}
