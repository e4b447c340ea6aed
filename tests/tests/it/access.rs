//! Access: every operation is called by every kind of caller, and rejects those without the right.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use domain::permission::{Permission, Role};
use functions::Access;
use functions::Operation;
use http::{Method, Request};
use local::gateway::Routes;
use serde_json::{Value, json};
use testkit::oidc::{self, Oidc};
use testkit::samples::{self, ACS_CREDENTIAL, HOOK, SEAM_UPDATE, SampleRequest, UPLOAD};
use testkit::{Answer, Bench, Setup, Tenant, rows};

use crate::description::updating_description;

use Permission::{
    DeploymentsManage, DeploymentsRead, DevicesManage, DevicesRead, EventsRead, NetworksReport, UsersManage, UsersRead,
    UsersWipe, WorkspaceManage,
};

/// The permissions that show jobs.
const SEE_JOBS: &[Permission] =
    &[UsersRead, DevicesRead, DeploymentsRead, UsersManage, DevicesManage, DeploymentsManage];

const PERMISSIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/permissions.txt");

/// The access of each operation.
fn access_table() -> impl Iterator<Item = (&'static str, Access)> {
    functions::OPERATIONS.iter().map(|operation| (operation.name, operation.access()))
}

/// The permissions of each role.
const HELD: [(&str, Role, &[Permission]); 4] = [
    ("viewer", Role::Viewer, &[DevicesRead, UsersRead, EventsRead, DeploymentsRead]),
    ("helpdesk", Role::Helpdesk, &[DevicesRead, UsersRead, EventsRead, DeploymentsRead, DevicesManage, UsersManage]),
    (
        "device-admin",
        Role::DeviceAdmin,
        &[
            DevicesRead,
            UsersRead,
            EventsRead,
            DeploymentsRead,
            DevicesManage,
            UsersManage,
            UsersWipe,
            DeploymentsManage,
        ],
    ),
    (
        "admin",
        Role::Admin,
        &[
            DevicesRead,
            UsersRead,
            EventsRead,
            DeploymentsRead,
            DevicesManage,
            UsersManage,
            UsersWipe,
            DeploymentsManage,
            NetworksReport,
            WorkspaceManage,
        ],
    ),
];

/// The access of each operation, so that a change shows in a review. `UPDATE_DESCRIPTION=1` writes it again.
#[test]
fn the_checked_in_permissions_equal_the_operations() {
    let line = |operation: &Operation| format!("{} {:?}\n", operation.name, operation.access());
    let lines: BTreeSet<String> = functions::OPERATIONS.iter().map(line).collect();
    assert_eq!(lines.len(), functions::OPERATIONS.len(), "an operation has one row");
    let actual: String = lines.into_iter().collect();
    if updating_description() {
        fs::write(PERMISSIONS, &actual).unwrap();
    }
    assert_eq!(
        actual,
        fs::read_to_string(PERMISSIONS).unwrap(),
        "if the change is intended, write the file again: see above"
    );
}

/// A workspace with an object for every operation.
struct SampleWorkspace {
    tenant: Tenant,
    user: String,
    device: String,
    credential: String,
    deletable_device: String,
    /// A user with an open invitation.
    other_user: String,
    invitation: String,
    /// The event of a phone that was deactivated.
    deactivated: String,
    /// A user that may be deleted.
    deletable_user: String,
    /// A command that was not delivered.
    command: String,
    /// A delivered command of `deletable_device`.
    delivered_command: String,
    /// An open deployment, whose QR code may be shown.
    deployment: String,
    /// A deployment that may be revoked.
    revocable_deployment: String,
    /// A source with an unused upload.
    source: String,
    /// A running job for users, one for devices, and an auto-deploy.
    job: String,
    device_job: String,
    auto_deploy: String,
    key: String,
    member: String,
    /// The default profile, and one that may be deleted.
    profile: String,
    unused_profile: String,
    /// A member who has a personal access token, and the token.
    owner: String,
    token: String,
    /// A webhook, and an event that was delivered to it.
    webhook: String,
    delivered_event: String,
}

impl SampleWorkspace {
    async fn new(bench: &Bench, name: &str) -> Self {
        let tenant = bench.tenant(name).await;
        let (device, credential) = bench.phone(&tenant, &format!("{name}-ada")).await;
        let (deletable_device, deletable_credential) = bench.phone(&tenant, &format!("{name}-bea")).await;
        let other_user = bench.user(&tenant, &format!("{name}-guest")).await;
        let invited = bench.post(&format!("/users/{other_user}/invite"), &tenant.key, json!({"channel": "sms"})).await;
        let deletable_user = bench.user(&tenant, &format!("{name}-leaver")).await;
        let (command, locked) = (
            bench.create_command(&tenant, &device, "lock").await,
            bench.create_command(&tenant, &deletable_device, "lock").await,
        );
        let _delivered = bench.check_in(&deletable_credential).await.expect(200);
        let shown = bench.get(&format!("/devices/{device}"), &tenant.key).await.expect(200);
        let key = bench.post("/keys", &tenant.key, json!({"name": "revocable", "permissions": ["devices:read"]})).await;
        let member = oidc::add_accepted_member(bench, &tenant, &format!("{name}-removable"), "viewer").await;
        let deployed = async |of: &str| {
            let user = bench.user(&tenant, &format!("{name}-{of}")).await;
            bench.post(&format!("/users/{user}/deploy"), &tenant.key, json!({})).await.expect(202).get("deployment_id")
        };
        let (deployment, revocable_deployment) = (deployed("kim").await, deployed("lee").await);
        let (gone, _credential) = bench.phone(&tenant, &format!("{name}-gone")).await;
        let _deleted = bench.delete(&format!("/devices/{gone}"), &tenant.key).await.expect(200);
        let ended = bench.get("/events?event_type=device.deleted", &tenant.key).await.expect(200);
        let source = source(bench, &tenant, &format!("{name}-people")).await;
        let (webhook, delivered_event) = webhook(bench, &tenant).await;
        bench.drain().await;
        Self {
            webhook,
            delivered_event,
            source,
            deactivated: ended.body["items"][0]["event_id"].as_str().unwrap().to_owned(),
            deployment,
            revocable_deployment,
            user: shown.get("user_id"),
            device,
            credential,
            deletable_device,
            other_user,
            invitation: invited.expect(202).get("invitation_id"),
            deletable_user,
            command,
            delivered_command: locked,
            job: running_job(bench, &tenant, "/users/bulk", "activate").await,
            device_job: running_job(bench, &tenant, "/devices/bulk", "unblock").await,
            auto_deploy: running_job(bench, &tenant, "/deployments/auto", "").await,
            profile: bench.profile(&tenant, &format!("{name}-office")).await,
            unused_profile: bench.profile(&tenant, &format!("{name}-spare")).await,
            key: key.expect(201).get("key_id"),
            owner: member.clone(),
            token: NOBODYS.to_owned(),
            member,
            tenant,
        }
    }

    /// The same, with an admin, `{name}-owner`, who has a personal access token.
    async fn with_token(bench: &Bench, oidc: &Oidc, name: &str) -> Self {
        let mut fixture = Self::new(bench, name).await;
        let subject = format!("{name}-owner");
        fixture.owner = oidc::add_accepted_member(bench, &fixture.tenant, &subject, "admin").await;
        fixture.token = fixture.new_token(bench, oidc, &subject, None).await.get("token_id");
        fixture
    }

    /// A new token of a member, for this workspace only.
    async fn new_token(&self, bench: &Bench, oidc: &Oidc, subject: &str, narrow: Option<&[&str]>) -> Answer {
        let signed_in = oidc.token(subject, bench.now());
        oidc::new_token(bench, &signed_in, &[&self.tenant.workspace_id], narrow).await
    }

    /// A job that may be seen with these permissions.
    fn job_for(&self, held: &[Permission]) -> &str {
        let holds = |any: [Permission; 2]| any.iter().any(|permission| held.contains(permission));
        match (holds([UsersRead, UsersManage]), holds([DevicesRead, DevicesManage])) {
            (true, _) => &self.job,
            (false, true) => &self.device_job,
            (false, false) => &self.auto_deploy,
        }
    }

    /// The number of sample requests of the selected operations.
    fn calls(&self, is_asked_for: impl Fn(&str, Access) -> bool) -> usize {
        let asked_for = access_table().filter(|(operation, access)| is_asked_for(operation, *access));
        asked_for.map(|(operation, _)| self.samples(operation, "fresh", &self.member).len()).sum()
    }

    /// The sample requests of an operation, one for each route; none without a route. `fresh` is an unused
    /// name, `member` a member or a profile that may be deleted.
    fn samples(&self, operation: &str, fresh: &str, member: &str) -> Vec<SampleRequest> {
        let declared = functions::operation(operation).expect("the sample's operation exists");
        if declared.access() == Access::Internal {
            return Vec::new();
        }
        let thing = |name: &str| {
            let thing = match name {
                "user" => &self.user,
                "device" => &self.device,
                "deletable_device" => &self.deletable_device,
                "other_user" => &self.other_user,
                "deletable_user" => &self.deletable_user,
                "command" => &self.command,
                "delivered_command" => &self.delivered_command,
                "invitation" => &self.invitation,
                "deactivated" => &self.deactivated,
                "deployment" => &self.deployment,
                "revocable_deployment" => &self.revocable_deployment,
                "source" | "page" => &self.source,
                "job" => &self.job,
                "key" => &self.key,
                "profile" => &self.profile,
                "unused_profile" if member == self.member => &self.unused_profile,
                "member" | "unused_profile" => member,
                "owner" => &self.owner,
                "token" => &self.token,
                "webhook" => &self.webhook,
                "delivered_event" => &self.delivered_event,
                "workspace" => &self.tenant.workspace_id,
                "acs_credential" => ACS_CREDENTIAL,
                "upload" => UPLOAD,
                "code" => NOBODYS_CODE,
                "fresh" => fresh,
                other => panic!("no value for the placeholder {other}"),
            };
            thing.to_owned()
        };
        let of_a_route = samples::of(operation).into_iter().filter(|sample| !sample.is_variant);
        of_a_route.map(|sample| sample.fill_placeholders(thing)).collect()
    }
}

/// An unknown code.
const NOBODYS_CODE: &str = "2222222222222222222222";

/// An unknown token's identifier.
const NOBODYS: &str = "0190f3c4-7b5e-7a11-8c1d-000000000003";

/// Creates a webhook with a delivered event. Its URL then leads to a private address, so that it is not
/// called.
async fn webhook(bench: &Bench, tenant: &Tenant) -> (String, String) {
    let body = json!({"url": HOOK, "event_types": ["webhook.deleted"]});
    let id = bench.post("/webhooks", &tenant.key, body).await.expect(201).get("webhook_id");
    let sk = format!("| WEBHOOK#{id}");
    let (_, mut row) = rows::all(bench, rows::MAIN).into_iter().find(|(key, _)| key.ends_with(&sk)).unwrap();
    row["url"] = "https://127.0.0.1/".into();
    rows::put(bench, rows::MAIN, &row, &[]);
    let events = bench.get("/events?event_type=webhook.created", &tenant.key).await.expect(200);
    let event = events.body["items"][0]["event_id"].as_str().unwrap().to_owned();
    let workspace = &tenant.workspace_id;
    let delivery = json!({"pk": format!("DELIVERIES#{workspace}#{id}"), "sk": format!("DELIVERY#{event}"),
        "workspace_id": workspace, "webhook_id": id, "event_id": event, "event_type": "webhook.created",
        "created_at": row["created_at"], "state": "failed", "attempts": 8, "redeliveries": 0, "version": 1});
    rows::put(bench, rows::MAIN, &delivery, &[]);
    (id, event)
}

/// A source with an unused upload.
async fn source(bench: &Bench, tenant: &Tenant, name: &str) -> String {
    let body = json!({"name": name, "kind": "csv", "mapping": {"username": "login"}});
    let source = bench.post("/sources", &tenant.key, body).await.expect(201).get("source_id");
    let path = format!("/sources/{source}/parts/1?upload={UPLOAD}&last=true&start=false");
    let _updated = bench.put(&path, &tenant.key, json!("login")).await.expect(202);
    source
}

/// A running job: a finished one whose row is reset, since a small job finishes within its request.
async fn running_job(bench: &Bench, tenant: &Tenant, begin: &str, action: &str) -> String {
    let mut body = json!({"filter": {"search": "nobody"}});
    if !action.is_empty() {
        body["action"] = action.into();
    }
    let job = bench.post(begin, &tenant.key, body).await.expect(202).get("job_id");
    let is_match = |row: &&Value| row["job_id"] == *job && row["sk"] == "JOB";
    let mut row = rows::all(bench, rows::MAIN).values().find(is_match).cloned().unwrap();
    row["state"] = "running".into();
    let _ended = row.as_object_mut().unwrap().remove("ended_at");
    rows::put(bench, rows::MAIN, &row, &[]);
    job
}

async fn send(bench: &Bench, sample: &SampleRequest, credential: Option<&str>) -> Answer {
    bench.call(sample.method.clone(), &sample.path, credential, sample.body.as_ref()).await
}

/// Asserts that a request is rejected in our own format, and that it changes nothing.
async fn expect_rejected(
    bench: &Bench,
    sample: &SampleRequest,
    credential: Option<&str>,
    status: u16,
    code: &str,
    who: &str,
) {
    let before = rows::everything(bench);
    expect_rejected_in_format(bench, sample, credential, status, code, who).await;
    assert!(before == rows::everything(bench), "{} {} by {who}: something was changed", sample.method, sample.path);
}

/// Paths with Seam's error format.
const SEAM: [&str; 9] = [
    "/phones/",
    "/devices/get",
    "/devices/list",
    SEAM_UPDATE,
    "/events/get",
    "/events/list",
    "/user_identities/",
    "/workspaces/",
    "/webhooks/create",
];

/// Paths with SCIM's error format.
const SCIM: &str = "/scim/v2/";

/// Asserts that a request is rejected, in our own error format or that of its path.
async fn expect_rejected_in_format(
    bench: &Bench,
    sample: &SampleRequest,
    credential: Option<&str>,
    status: u16,
    code: &str,
    who: &str,
) {
    let answer = send(bench, sample, credential).await;
    let what = format!("{} {} by {who}: {}", sample.method, sample.path, answer.text);
    if SEAM.iter().any(|route| sample.path.starts_with(route)) {
        let expected_code = if status == 401 { "unauthorized" } else { code };
        assert_eq!(
            (answer.status.as_u16(), answer.body["error"]["type"].as_str()),
            (status, Some(expected_code)),
            "{what}"
        );
        assert_eq!(answer.body["ok"], false, "{what}");
        assert_eq!(answer.headers["content-type"], "application/json", "{what}");
        assert_eq!(answer.body["error"]["request_id"], answer.headers["seam-request-id"].to_str().unwrap(), "{what}");
        return;
    }
    if sample.path.starts_with(SCIM) {
        assert_eq!((answer.status.as_u16(), answer.get("status")), (status, status.to_string()), "{what}");
        assert_eq!(answer.headers["content-type"], "application/scim+json", "{what}");
        return;
    }
    assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{what}");
    assert_eq!(answer.headers["content-type"], "application/problem+json", "{what}");
    assert!(!answer.get("request_id").is_empty(), "{what}");
}

#[tokio::test]
async fn every_route_has_a_sample_and_internal_operations_have_no_route() {
    let bench = Bench::start().await;
    let fixture = SampleWorkspace::new(&bench, "routes").await;
    let template = bench.stack.template();
    let routes = Routes::new(&template.functions).unwrap();
    let mut called = BTreeSet::new();
    for operation in functions::OPERATIONS {
        let function = template.function(operation.name).expect("each operation is in the template");
        assert_eq!(function.routes.is_empty(), operation.access() == Access::Internal, "{}", operation.name);
        for sample in fixture.samples(operation.name, "fresh", &fixture.member) {
            let path = sample.path.split('?').next().unwrap();
            let found = routes.find(sample.method.as_str(), path).expect("a route takes it");
            assert_eq!(found.operation, operation.name, "{} {}", sample.method, sample.path);
            called.insert(found.key);
        }
        // Its name alone gives no access.
        if operation.access() == Access::Internal {
            let path = format!("/{}", operation.name);
            let answer = bench.post(&path, &fixture.tenant.key, json!({"name": "x"})).await;
            assert_eq!(answer.expect(404).code(), "route_not_found");
        }
    }
    let expected: BTreeSet<String> =
        template.functions.iter().flat_map(|function| &function.routes).map(local::template::Route::key).collect();
    assert_eq!(called, expected, "each route is called");
}

/// Callers of each kind: name, credential and permissions.
async fn callers(bench: &Bench, oidc: &Oidc, fixture: &SampleWorkspace) -> Vec<(String, String, Vec<Permission>)> {
    let mut callers = Vec::new();
    for (name, role, held) in HELD {
        let all: BTreeSet<Permission> = role.permissions();
        let used =
            |permission: &&Permission| access_table().any(|(_, access)| access == Access::Permission(**permission));
        assert_eq!(all.iter().filter(used).copied().collect::<BTreeSet<_>>(), held.iter().copied().collect(), "{name}");
        let _member = oidc::add_accepted_member(bench, &fixture.tenant, name, name).await;
        callers.push((name.to_owned(), oidc.token(name, bench.now()), held.to_vec()));
    }
    for permission in Permission::ALL {
        let body = json!({"name": permission.as_str(), "permissions": [permission.as_str()]});
        let key = bench.post("/keys", &fixture.tenant.key, body).await.expect(201).get("key");
        callers.push((format!("a key with {permission}"), key, vec![*permission]));
    }
    callers.push(("a key with all".to_owned(), fixture.tenant.key.clone(), Permission::ALL.to_vec()));
    callers.extend(tokens(bench, oidc, fixture).await);
    callers
}

/// A personal access token of each role, and one with fewer permissions.
async fn tokens(bench: &Bench, oidc: &Oidc, fixture: &SampleWorkspace) -> Vec<(String, String, Vec<Permission>)> {
    let mut tokens = Vec::new();
    for (name, _, held) in HELD {
        let token = fixture.new_token(bench, oidc, name, None).await.get("token");
        tokens.push((format!("a token, {name}'s"), token, held.to_vec()));
    }
    // It grants nothing beyond the role.
    for (name, held) in [("admin", vec![DevicesRead, DevicesManage]), ("viewer", vec![DevicesRead])] {
        let narrow = Some(["devices:read", "devices:manage"].as_slice());
        let token = fixture.new_token(bench, oidc, name, narrow).await.get("token");
        tokens.push((format!("a narrowed token, {name}'s"), token, held));
    }
    tokens
}

#[tokio::test]
async fn each_role_and_each_key_may_exactly_what_the_table_says() {
    let oidc = Oidc::new();
    let bench = oidc.bench().await;
    let fixture = SampleWorkspace::with_token(&bench, &oidc, "roles").await;
    let callers = callers(&bench, &oidc, &fixture).await;
    assert_eq!(callers.len(), 4 + Permission::ALL.len() + 1 + 6);
    let (mut let_in, mut kept_out) = (0, 0);
    for (at, (who, credential, held)) in callers.iter().enumerate() {
        let of = |may: bool| {
            access_table().filter_map(move |(operation, access)| match access {
                Access::Permission(permission) if held.contains(&permission) == may => Some(operation),
                Access::AnyOf(any) if any.iter().any(|permission| held.contains(permission)) == may => Some(operation),
                _ => None,
            })
        };
        let before = rows::everything(&bench);
        for operation in of(false) {
            for sample in fixture.samples(operation, "fresh", &fixture.member) {
                expect_rejected_in_format(&bench, &sample, Some(credential), 403, "permission_missing", who).await;
                kept_out += 1;
            }
        }
        assert!(before == rows::everything(&bench), "{who} has changed something");
        for operation in of(true) {
            let member = if operation == "remove-member" {
                oidc::add_accepted_member(&bench, &fixture.tenant, &format!("{who} removes me"), "viewer").await
            } else if operation == "delete-profile" {
                bench.profile(&fixture.tenant, &format!("gone-{at}")).await
            } else {
                fixture.member.clone()
            };
            for mut sample in fixture.samples(operation, &format!("fresh-{at}-{operation}"), &member) {
                if ["get-job", "cancel-job"].contains(&operation) {
                    sample.path = format!("/jobs/{}", fixture.job_for(held));
                }
                // A recipient's messages are limited.
                let sends = [("invite-user", "invite"), ("deploy-config", "deploy")];
                if let Some((_, what)) = sends.iter().find(|(sends, _)| *sends == operation) {
                    let user = bench.user(&fixture.tenant, &format!("of-{at}-{what}")).await;
                    sample.path = format!("/users/{user}/{what}");
                }
                if operation == "delete-source" {
                    sample.path = format!("/sources/{}", source(&bench, &fixture.tenant, &format!("of {who}")).await);
                }
                if operation == "delete-webhook" {
                    sample.path = format!("/webhooks/{}", webhook(&bench, &fixture.tenant).await.0);
                }
                let answer = send(&bench, &sample, Some(credential)).await;
                // A key that may only manage the workspace cannot grant other permissions.
                let tells_events = ["create-webhook", "update-webhook", "seam-webhooks"].contains(&operation);
                if tells_events && !held.contains(&EventsRead) {
                    let body = answer.expect(403).body;
                    let code = [&body["code"], &body["error"]["type"]];
                    assert!(code.contains(&&json!("permission_missing")), "{operation} by {who}: {body}");
                } else if sample.path == SEAM_UPDATE && !held.contains(&DevicesManage) {
                    assert_eq!(answer.expect(403).body["error"]["type"], "permission_missing", "{who}");
                } else if operation == "create-key" && credential.starts_with("seam_at1_") {
                    assert_eq!(answer.expect(403).code(), "token_makes_no_keys", "{who}");
                } else if operation == "add-member" && held.len() == 1 {
                    assert_eq!(answer.expect(403).code(), "permission_not_held", "{who}");
                } else {
                    assert!(answer.status.is_success(), "{operation} by {who}: {}", answer.text);
                }
                let_in += 1;
            }
        }
    }
    assert!(let_in >= 725 && kept_out >= 1144, "{let_in} accepted, {kept_out} rejected");
    let calls = fixture.calls(|_, access| matches!(access, Access::Permission(_) | Access::AnyOf(_)));
    assert_eq!(let_in + kept_out, callers.len() * calls, "each caller made each call");
}

#[tokio::test]
async fn operations_for_people_accept_only_signed_in_people() {
    let oidc = Oidc::new();
    let bench = oidc.bench().await;
    let mut fixture = SampleWorkspace::with_token(&bench, &oidc, "people").await;
    let callers = callers(&bench, &oidc, &fixture).await;
    let of_people: Vec<&str> =
        access_table().filter(|(_, access)| *access == Access::Member).map(|(operation, _)| operation).collect();
    let (mut let_in, mut kept_out) = (0, 0);
    for (who, credential, _) in &callers {
        let person = HELD.iter().any(|(name, ..)| name == who);
        if person {
            fixture.token = fixture.new_token(&bench, &oidc, who, None).await.get("token_id");
        }
        for operation in &of_people {
            for sample in fixture.samples(operation, "fresh", &fixture.member) {
                if person {
                    let answer = send(&bench, &sample, Some(credential)).await;
                    assert!(answer.status.is_success(), "{operation} by {who}: {}", answer.text);
                    let_in += 1;
                } else {
                    expect_rejected(&bench, &sample, Some(credential), 403, "member_only", who).await;
                    kept_out += 1;
                }
            }
        }
    }
    assert_eq!((let_in, kept_out), (3 * 4, 3 * 17));
    // So are their memberships.
    let of_anyone = access_table().filter(|(_, access)| *access == Access::SignedIn).map(|(operation, _)| operation);
    for sample in of_anyone.flat_map(|operation| fixture.samples(operation, "fresh", &fixture.member)) {
        for (who, credential, _) in callers.iter().filter(|(who, ..)| HELD.iter().all(|(name, ..)| name != who)) {
            expect_rejected(&bench, &sample, Some(credential), 403, "member_only", who).await;
        }
    }
    // A person's tokens are only shown to that person.
    let admin = oidc.token("admin", bench.now());
    fixture.token = fixture.new_token(&bench, &oidc, "viewer", None).await.get("token_id");
    for sample in fixture.samples("revoke-token", "fresh", &fixture.member) {
        expect_rejected(&bench, &sample, Some(&admin), 404, "token_not_found", "another person").await;
    }
}

#[tokio::test]
async fn head_is_answered_like_get_and_has_no_effect() {
    let oidc = Oidc::new();
    let bench = oidc.bench().await;
    let fixture = SampleWorkspace::with_token(&bench, &oidc, "heads").await;
    let person = oidc.token("heads-owner", bench.now());
    let bare = |answer: &Answer| {
        let mut headers = answer.headers.clone();
        for of_each in ["x-request-id", "apigw-requestid", "seam-request-id"] {
            let _id = headers.remove(of_each);
        }
        (answer.status, headers)
    };
    let mut asked = 0;
    for operation in functions::OPERATIONS {
        let credential = match operation.access() {
            Access::Member => Some(person.as_str()),
            Access::Permission(_) | Access::AnyOf(_) => Some(fixture.tenant.key.as_str()),
            _ => None,
        };
        for sample in fixture.samples(operation.name, "fresh", &fixture.member) {
            if sample.method != Method::GET {
                continue;
            }
            let before = rows::everything(&bench);
            let head = bench.call(Method::HEAD, &sample.path, credential, None).await;
            assert!(before == rows::everything(&bench), "HEAD {} changed something", sample.path);
            assert_eq!(head.text, "", "HEAD {}", sample.path);
            let get = send(&bench, &sample, credential).await;
            assert_eq!(bare(&head), bare(&get), "HEAD {}", sample.path);
            asked += 1;
        }
    }
    assert!(asked >= 36, "{asked} routes were called");
}

#[tokio::test]
async fn unknown_fields_are_rejected_from_admins_and_accepted_from_phones() {
    let oidc = Oidc::new();
    let bench = oidc.bench().await;
    let fixture = SampleWorkspace::with_token(&bench, &oidc, "strict").await;
    let person = oidc.token("strict-owner", bench.now());
    let before = rows::everything(&bench);
    for operation in functions::OPERATIONS.iter().filter(|operation| operation.is_strict()) {
        let of_person = matches!(operation.access(), Access::Member | Access::SignedIn);
        let credential = if of_person { &person } else { &fixture.tenant.key };
        for sample in fixture.samples(operation.name, "fresh", &fixture.member) {
            let joined = if sample.path.contains('?') { '&' } else { '?' };
            let path = format!("{}{joined}blcoked=true", sample.path);
            let answer = bench.call(sample.method.clone(), &path, Some(credential), sample.body.as_ref()).await;
            let fault = &answer.body["errors"][0];
            let what = format!("{} {path}: {}", sample.method, answer.text);
            assert_eq!((answer.status.as_u16(), fault["code"].as_str()), (422, Some("unknown_field")), "{what}");
            if operation.name == "upload-source-part" {
                continue;
            }
            let mut body = sample.body.clone().unwrap_or_else(|| json!({}));
            body["frist_name"] = json!("Ada");
            let answer = bench.call(sample.method.clone(), &sample.path, Some(credential), Some(&body)).await;
            let what = format!("{} {}: {}", sample.method, sample.path, answer.text);
            assert_eq!(answer.status.as_u16(), 422, "{what}");
            let faults = answer.body["errors"].as_array().unwrap();
            let named = |fault: &&Value| fault["field"] == "frist_name" && fault["code"] == "unknown_field";
            assert!(faults.iter().any(|fault| named(&fault)), "{what}");
        }
    }
    assert!(before == rows::everything(&bench), "something was changed");
    let answer = bench.get("/devices?blcoked=true", &fixture.tenant.key).await;
    assert_eq!(answer.body["errors"][0]["detail"], "unknown field (did you mean `blocked`?)");
    let patch =
        bench.patch(&format!("/users/{}", fixture.user), &fixture.tenant.key, json!({"status": "suspended"})).await;
    assert_eq!(patch.expect(422).body["errors"][0]["field"], "status");
    // A newer app sends fields that this release does not know.
    let body = json!({"battery": 80});
    let check_in = bench.call(Method::POST, "/devices/me/check-in?x=1", Some(&fixture.credential), Some(&body)).await;
    let _check_in = check_in.expect(200);
}

/// Sends a request with a version in `if-match`.
async fn send_guarded(bench: &Bench, sample: &SampleRequest, credential: &str, version: u64) -> Answer {
    let request = Request::builder().method(sample.method.clone()).uri(&sample.path);
    let request = request.header("authorization", format!("Bearer {credential}"));
    let request = request.header("if-match", format!("\"{version}\""));
    let body = sample.body.as_ref().map(Value::to_string).unwrap_or_default();
    bench.send(request.body(body.into_bytes()).unwrap()).await
}

#[tokio::test]
async fn a_change_that_names_a_version_needs_that_version() {
    let oidc = Oidc::new();
    let bench = oidc.bench().await;
    let fixture = SampleWorkspace::with_token(&bench, &oidc, "versions").await;
    bench.advance(chrono::Duration::minutes(1));
    let key = &fixture.tenant.key;
    let mut guarded = 0;
    let document = local::description::description();
    let documented =
        document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values());
    let if_match = |of: &&Value| {
        let parameters = of["parameters"].as_array().unwrap().iter();
        parameters.into_iter().any(|parameter| parameter["$ref"] == "#/components/parameters/IfMatch")
    };
    let guarded_ids: BTreeSet<&str> =
        documented.filter(if_match).map(|of| of["operationId"].as_str().unwrap()).collect();
    let takes_version = |operation: &&Operation| guarded_ids.contains(operation.name);
    let mut operations: Vec<&Operation> = functions::OPERATIONS.iter().filter(takes_version).collect();
    operations.sort_by_key(|operation| operation.name.starts_with("delete-"));
    for operation in operations {
        for sample in fixture.samples(operation.name, "fresh", &fixture.member) {
            let before = rows::everything(&bench);
            let mut version = 0;
            let created = loop {
                let answer = send_guarded(&bench, &sample, key, version).await;
                if answer.status != 412 {
                    break answer;
                }
                assert_eq!(answer.code(), "version_mismatch", "{}", operation.name);
                assert!(before == rows::everything(&bench), "{} has changed something", operation.name);
                version += 1;
                assert!(version < 100, "{} accepts no version", operation.name);
            };
            let what = format!("{} at {version}: {}", operation.name, created.text);
            assert!(version > 0 && created.status.is_success(), "{what}");
            if let Some(shown) = created.headers.get("etag") {
                let may_be = [version, version + 1].map(|version| format!("\"{version}\""));
                assert!(may_be.contains(&shown.to_str().unwrap().to_owned()), "{what}, now {shown:?}");
            }
            guarded += 1;
        }
    }
    assert!(guarded >= 42, "{guarded} operations accept a version");
    assert_eq!(guarded, fixture.calls(|operation, _| guarded_ids.contains(operation)), "each was called");
}

#[tokio::test]
async fn a_job_can_be_seen_and_canceled_with_the_permission_to_create_it() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("jobs").await;
    let job_requests = [
        ("/users/bulk", "activate", vec![UsersManage], UsersRead),
        ("/users/bulk", "force_config", vec![UsersManage, DeploymentsManage], UsersRead),
        ("/devices/bulk", "unblock", vec![DevicesManage], DevicesRead),
        ("/devices/bulk", "wipe", vec![DevicesManage, UsersWipe], DevicesRead),
        ("/deployments/auto", "", vec![DeploymentsManage], DeploymentsRead),
    ];
    let mut jobs = Vec::new();
    for (begin, action, ..) in &job_requests {
        jobs.push(running_job(&bench, &tenant, begin, action).await);
    }
    let mut combinations: Vec<Vec<Permission>> = SEE_JOBS.iter().map(|permission| vec![*permission]).collect();
    combinations.extend(job_requests.iter().map(|(_, _, needed, _)| needed.clone()).filter(|needed| needed.len() > 1));
    for held in combinations {
        let words: Vec<&str> = held.iter().map(|permission| permission.as_str()).collect();
        let body = json!({"name": words.join(" "), "permissions": words});
        let key = bench.post("/keys", &tenant.key, body).await.expect(201).get("key");
        let listed = bench.get("/jobs", &key).await.expect(200);
        let listed: BTreeSet<&str> =
            listed.body["items"].as_array().unwrap().iter().filter_map(|job| job["job_id"].as_str()).collect();
        for ((begin, action, needed, about), job) in job_requests.iter().zip(&jobs) {
            let may_begin = needed.iter().all(|permission| held.contains(permission));
            let may_see = may_begin || held.contains(about);
            let what = format!("{begin} {action} by {words:?}");
            assert_eq!(listed.contains(job.as_str()), may_see, "{what}");
            let seen = bench.get(&format!("/jobs/{job}"), &key).await;
            assert_eq!(seen.status, if may_see { 200 } else { 403 }, "{what}: {}", seen.text);
            let canceled = bench.delete(&format!("/jobs/{job}"), &key).await;
            assert_eq!(canceled.status, if may_begin { 200 } else { 403 }, "{what}: {}", canceled.text);
            let body = json!({"action": action, "ids": ["0190f3c4-7b5e-7a11-8c1d-000000000009"]});
            let body = if action.is_empty() { json!({"ids": body["ids"]}) } else { body };
            let tried = bench.post(begin, &key, body).await;
            assert_eq!(tried.status, if may_begin { 207 } else { 403 }, "{what}: {}", tried.text);
        }
    }
}

/// The subject of a signed-in person without a membership.
const NO_MEMBER: &str = "a token of someone who is no member";

#[tokio::test]
async fn without_a_valid_credential_every_request_is_rejected_and_changes_nothing() {
    let oidc = Oidc::new();
    let bench = oidc.bench().await;
    let fixture = SampleWorkspace::with_token(&bench, &oidc, "doors").await;
    let all: Vec<&str> = Permission::ALL.iter().map(|permission| permission.as_str()).collect();
    let new_key = |expires: Option<&str>| json!({"name": "k", "permissions": all, "expires_at": expires});
    let revoked = bench.post("/keys", &fixture.tenant.key, new_key(None)).await.expect(201);
    let path = format!("/keys/{}", revoked.get("key_id"));
    let _deleted = bench.delete(&path, &fixture.tenant.key).await.expect(200);
    let expired = bench.post("/keys", &fixture.tenant.key, new_key(Some("2026-11-23T08:30:00Z"))).await.expect(201);
    let _member = oidc::add_accepted_member(&bench, &fixture.tenant, "anna", "admin").await;
    let stale = oidc.token("anna", bench.now() - chrono::Duration::hours(2));
    let nobody = oidc.token("nobody", bench.now() + chrono::Duration::minutes(30));
    let token = |subject| fixture.new_token(&bench, &oidc, subject, None);
    let good_token = token("anna").await.get("token");
    let revoked_token = token("anna").await;
    let path = format!("/tokens/{}", revoked_token.get("token_id"));
    let _deleted = bench.delete(&path, &oidc.token("anna", bench.now())).await.expect(200);
    let short = json!({
        "name": "t", "workspace_ids": [fixture.tenant.workspace_id], "expires_at": "2026-11-23T08:30:00Z",
    });
    let expired_token = bench.post("/tokens", &oidc.token("anna", bench.now()), short).await.expect(201).get("token");
    let leaves = oidc::add_accepted_member(&bench, &fixture.tenant, "leaves", "admin").await;
    let orphan = token("leaves").await.get("token");
    let _deleted = bench.delete(&format!("/members/{leaves}"), &fixture.tenant.key).await.expect(200);
    let shut_out = token("anna").await;
    let anna = bench.list_all(&fixture.tenant, "/members").await.into_iter().find(|member| member["subject"] == "anna");
    let anna = anna.unwrap()["member_id"].as_str().unwrap().to_owned();
    let path = format!("/members/{anna}/tokens/{}", shut_out.get("token_id"));
    let _deleted = bench.delete(&path, &fixture.tenant.key).await.expect(200);
    let (revoked_token, shut_out) = (revoked_token.get("token"), shut_out.get("token"));
    bench.advance(chrono::Duration::minutes(30));
    let good = &fixture.tenant.key;
    let altered = |text: &str| format!("{}{}", &text[..text.len() - 1], if text.ends_with('1') { '2' } else { '1' });
    let (wrong, wrong_token) = (altered(good), altered(&good_token));
    let (revoked, expired) = (revoked.get("key"), expired.get("key"));
    let device = fixture.credential.clone();
    let cases = [
        (None, "credential_missing", "nobody"),
        (Some("garbage"), "credential_invalid", "garbage"),
        (Some("a.b.c"), "credential_invalid", "what looks like a token"),
        (Some("seam_12345678_123456789123456789123456"), "credential_invalid", "a key that is nobody's"),
        (Some(wrong.as_str()), "credential_invalid", "a key with another secret"),
        (Some(revoked.as_str()), "credential_revoked", "a revoked key"),
        (Some(expired.as_str()), "credential_expired", "an expired key"),
        (Some(stale.as_str()), "credential_expired", "an expired token"),
        (Some(nobody.as_str()), "credential_invalid", NO_MEMBER),
        (Some(device.as_str()), "credential_invalid", "a device"),
        (Some("seam_at1_12345678_123456789123456789123456"), "credential_invalid", "a personal token that is nobody's"),
        (Some(wrong_token.as_str()), "credential_invalid", "a personal token with another secret"),
        (Some(revoked_token.as_str()), "credential_revoked", "a revoked personal token"),
        (Some(expired_token.as_str()), "credential_expired", "an expired personal token"),
        (Some(orphan.as_str()), "credential_invalid", "a personal token of a member who was removed"),
        (Some(shut_out.as_str()), "credential_invalid", "a personal token that was shut out"),
    ];
    let mut calls = 0;
    for (operation, access) in access_table() {
        let (Access::Permission(_) | Access::AnyOf(_) | Access::Member | Access::SignedIn) = access else { continue };
        for sample in fixture.samples(operation, "fresh", &fixture.member) {
            let before = rows::everything(&bench);
            // A signed-in person may list their memberships.
            let nobody_yet = |who: &str| access == Access::SignedIn && who == NO_MEMBER;
            for (credential, code, who) in cases.iter().filter(|(_, _, who)| !nobody_yet(who)) {
                expect_rejected_in_format(&bench, &sample, *credential, 401, code, who).await;
                calls += 1;
            }
            assert!(before == rows::everything(&bench), "{operation}: something was changed");
        }
    }
    let guarded =
        |access| matches!(access, Access::Permission(_) | Access::AnyOf(_) | Access::Member | Access::SignedIn);
    let all = fixture.calls(|_, access| guarded(access));
    assert!(all >= 95, "{all} requests accept a credential of a person or a key");
    assert_eq!(calls, all * cases.len() - fixture.calls(|_, access| access == Access::SignedIn));
}

#[tokio::test]
async fn operations_for_devices_accept_only_a_devices_credential() {
    let oidc = Oidc::new();
    let bench = oidc.bench().await;
    let fixture = SampleWorkspace::new(&bench, "devices").await;
    let _member = oidc::add_accepted_member(&bench, &fixture.tenant, "anna", "admin").await;
    let token = oidc.token("anna", bench.now());
    let (other_device, other) = bench.phone(&fixture.tenant, "cleo").await;
    // It may download the configuration.
    let forced = format!("/users/{}/force-config", fixture.user);
    let _forced = bench.post(&forced, &fixture.tenant.key, json!({})).await.expect(200);
    // One device's name with another's secret.
    let mixed = format!("{}{}", &fixture.credential[..52], &other[52..]);
    let cases = [
        (None, "credential_missing", "nobody"),
        (Some("garbage"), "credential_invalid", "garbage"),
        (Some(fixture.tenant.key.as_str()), "credential_invalid", "an admin's key"),
        (Some(token.as_str()), "credential_invalid", "an admin's token"),
        (Some(mixed.as_str()), "credential_invalid", "another device's secret"),
    ];
    for (operation, access) in access_table() {
        if access != Access::Device {
            continue;
        }
        for sample in fixture.samples(operation, "fresh", &fixture.member) {
            for (credential, code, who) in &cases {
                expect_rejected(&bench, &sample, *credential, 401, code, who).await;
            }
            let _own = send(&bench, &sample, Some(&fixture.credential)).await.expect(200);
        }
    }
    // Only the login of the credential's own device is recorded.
    let seen = |device: String| {
        let (bench, key) = (&bench, &fixture.tenant.key);
        async move { bench.get(&format!("/devices/{device}"), key).await.expect(200).body["last_login_at"].clone() }
    };
    assert!(seen(fixture.device.clone()).await.is_string());
    assert!(seen(other_device).await.is_null());
}

#[tokio::test]
async fn operations_with_a_code_accept_no_other_credential() {
    let oidc = Oidc::new();
    let bench = oidc.bench().await;
    let fixture = SampleWorkspace::new(&bench, "codes").await;
    let credentials = [None, Some(fixture.tenant.key.as_str()), Some(fixture.credential.as_str()), Some("garbage")];
    for credential in credentials {
        for sample in fixture.samples("register-device", "fresh", &fixture.member) {
            expect_rejected(&bench, &sample, credential, 401, "code_unknown", "someone without a code").await;
        }
        for operation in ["open-invitation", "app-links", "get-docs", "get-openapi", "redirect", "not-found"] {
            for sample in fixture.samples(operation, "fresh", &fixture.member) {
                let before = rows::everything(&bench);
                let answer = send(&bench, &sample, credential).await;
                let expected = if ["app-links", "get-docs", "get-openapi"].contains(&operation) { 200 } else { 404 };
                let answer = answer.expect(expected);
                assert!(!answer.text.contains("codes-ada"), "nothing about a user is shown");
                assert!(before == rows::everything(&bench), "{operation} changed something");
            }
        }
    }
}

/// The rows that belong to a workspace or name it.
fn rows_of(bench: &Bench, workspace: &str) -> BTreeMap<(&'static str, String), Value> {
    rows::everything(bench)
        .into_iter()
        .filter(|(key, row)| key.1.contains(workspace) || row.to_string().contains(workspace))
        .collect()
}

#[tokio::test]
async fn objects_of_another_workspace_are_not_found() {
    let oidc = Oidc::new();
    let bench = oidc.bench().await;
    let ours = SampleWorkspace::with_token(&bench, &oidc, "ours").await;
    let theirs = SampleWorkspace::new(&bench, "theirs").await;
    let _member = oidc::add_accepted_member(&bench, &theirs.tenant, "eve", "admin").await;
    let signed_in = oidc.token("eve", bench.now());
    let token = theirs.new_token(&bench, &oidc, "eve", None).await.get("token");
    let before = rows_of(&bench, &ours.tenant.workspace_id);
    assert!(before.len() > 20, "the rows include those of our workspace");
    let (mut missing, mut lists) = (0, 0);
    for (at, credential) in [&theirs.tenant.key, &signed_in, &token].into_iter().enumerate() {
        for (operation, access) in access_table() {
            let (Access::Permission(_) | Access::AnyOf(_)) = access else { continue };
            for sample in ours.samples(operation, &format!("fresh-{at}-{operation}"), &ours.member) {
                let answer = send(&bench, &sample, Some(credential)).await;
                let what = format!("{} {}: {}", sample.method, sample.path, answer.text);
                if operation.starts_with("bulk-") || operation == "auto-deploy" {
                    // The response repeats the request's names and nothing else.
                    assert_eq!(answer.status, 207, "{what}");
                    let items = answer.body["items"].as_array().unwrap();
                    assert!(items.iter().all(|item| item["code"].as_str().unwrap().ends_with("_not_found")), "{what}");
                    assert_eq!((answer.body["progress"]["failed"].as_u64(), items.len()), (Some(1), 1), "{what}");
                    continue;
                }
                let lists_all = [
                    "/export",
                    "/phones/list",
                    "/devices/list",
                    "/workspaces/get",
                    "/workspaces/list",
                    "/webhooks/create",
                ];
                let lists_all =
                    lists_all.iter().any(|list| sample.path.ends_with(list)) || sample.path.starts_with("/events/list");
                if operation == "create-key" && *credential == token {
                    assert_eq!(answer.code(), "token_makes_no_keys", "{what}");
                    continue;
                }
                if sample.path.matches('/').count() > 1 && !lists_all {
                    let seam = || answer.body["error"]["type"].as_str().unwrap_or_default().ends_with("_not_found");
                    let is_not_found = sample.path.starts_with(SCIM) || answer.code().ends_with("_not_found") || seam();
                    assert!(answer.status == 404 && is_not_found, "{what}");
                    missing += 1;
                } else {
                    assert!(answer.status.is_success(), "{what}");
                    lists += 1;
                }
                // Their own jobs contain the identifiers that they sent.
                let named = [&ours.user, &ours.device].into_iter().filter(|_| operation != "list-jobs");
                let ours = [
                    &ours.tenant.workspace_id,
                    &ours.key,
                    &ours.job,
                    &ours.invitation,
                    &ours.deployment,
                    &ours.profile,
                    &ours.unused_profile,
                    &ours.token,
                ]
                .into_iter();
                for word in ours.chain(named).map(String::as_str).chain(["ours-ada"]) {
                    assert!(!answer.text.contains(word), "{word} is shown by {what}");
                }
            }
        }
    }
    assert!(missing >= 3 * 57 && lists >= 3 * 29 - 1, "{missing} are not found, {lists} are lists");
    let in_bulk = |operation: &str| operation.starts_with("bulk-") || operation == "auto-deploy";
    let is_called =
        |operation: &str, access| matches!(access, Access::Permission(_) | Access::AnyOf(_)) && !in_bulk(operation);
    assert_eq!(missing + lists, 3 * ours.calls(is_called) - 1, "a token cannot create keys");
    assert!(before == rows_of(&bench, &ours.tenant.workspace_id), "requests of the other workspace changed our rows");
}

#[tokio::test]
async fn no_filter_or_search_finds_objects_of_another_workspace() {
    let bench = Bench::start().await;
    let ours = SampleWorkspace::new(&bench, "ours").await;
    let theirs = bench.tenant("theirs").await;
    let _blocked =
        bench.post(&format!("/devices/{}/block", ours.device), &ours.tenant.key, json!({})).await.expect(200);
    let key = &ours.tenant.key;
    let _wiped = bench.post(&format!("/devices/{}/wipe", ours.deletable_device), key, json!({})).await.expect(202);
    let _deleted = bench.delete(&format!("/devices/{}", ours.deletable_device), &ours.tenant.key).await.expect(200);
    let _levels = bench.patch("/workspace", key, json!({"service_levels": ["gold"]})).await.expect(200);
    let user = format!("/users/{}", ours.user);
    let _gold = bench.patch(&user, key, json!({"service_level": "gold"})).await.expect(200);
    let _red = bench.put(&format!("{user}/networks/verizon"), key, json!({"status": "disabled"})).await.expect(200);
    let _deleted = bench.delete(&format!("/users/{}", ours.deletable_user), key).await.expect(200);
    bench.drain().await;
    let queries = [
        format!("/devices?user_id={}", ours.user),
        format!("/devices?user_id={}&blocked=true", ours.user),
        "/devices?blocked=true".to_owned(),
        "/devices?status=deleted".to_owned(),
        "/devices?search=ours".to_owned(),
        "/users?search=ours".to_owned(),
        "/users?pending_command=true".to_owned(),
        "/users?unconfirmed_wipe=true".to_owned(),
        "/users?network_indicator=red".to_owned(),
        "/users?service_level=gold".to_owned(),
        "/users?status=deleted".to_owned(),
        "/users?last_seen_before=2027-01-01T00:00:00Z".to_owned(),
        "/devices?pending_command=true".to_owned(),
        "/jobs".to_owned(),
        "/deployments".to_owned(),
        "/deployments?search=ours".to_owned(),
        "/deployments?deployed=true".to_owned(),
        "/deployments?deployed=false".to_owned(),
        "/users?deployed=true".to_owned(),
        "/profiles".to_owned(),
        format!("/events?device_id={}", ours.device),
        format!("/events?user_id={}", ours.user),
        "/events?event_type=device.blocked".to_owned(),
    ];
    for query in queries {
        let own = bench.get(&query, &ours.tenant.key).await.expect(200);
        assert!(!own.body["items"].as_array().unwrap().is_empty(), "{query} shows nothing of the own workspace");
        let foreign = bench.get(&query, &theirs.key).await.expect(200);
        assert_eq!(foreign.body["items"], json!([]), "{query} shows rows of another workspace");
    }
}

#[tokio::test]
async fn assigning_a_configuration_needs_the_permission_to_deploy() {
    let oidc = Oidc::new();
    let bench = oidc.bench().await;
    let fixture = SampleWorkspace::new(&bench, "settings").await;
    let manage = json!({"name": "manage", "permissions": ["users:manage"]});
    let manage = bench.post("/keys", &fixture.tenant.key, manage).await.expect(201).get("key");
    let patch = |body: Value| SampleRequest::new(Method::PATCH, format!("/users/{}", fixture.user), Some(body));
    for body in [json!({"overrides": {"host": "elsewhere"}}), json!({"overrides": null}), json!({"profile_id": null})] {
        expect_rejected(&bench, &patch(body.clone()), Some(&manage), 403, "permission_missing", "a key").await;
        let _allowed = send(&bench, &patch(body), Some(&fixture.tenant.key)).await.expect(200);
    }
    let _other = send(&bench, &patch(json!({"first_name": "Kim"})), Some(&manage)).await.expect(200);
    let post = |body: Value| SampleRequest::new(Method::POST, "/users".to_owned(), Some(body));
    for more in [json!({"overrides": {"host": "elsewhere"}}), json!({"profile_id": fixture.user})] {
        let mut body = json!({"username": "new"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        expect_rejected(&bench, &post(body), Some(&manage), 403, "permission_missing", "a key").await;
    }
    let _created = send(&bench, &post(json!({"username": "new"})), Some(&manage)).await.expect(201);
}

#[tokio::test]
async fn every_operation_that_wipes_needs_the_permission_to_wipe() {
    let oidc = Oidc::new();
    let bench = oidc.bench().await;
    let fixture = SampleWorkspace::new(&bench, "wipes").await;
    for role in ["helpdesk", "device-admin"] {
        let _member = oidc::add_accepted_member(&bench, &fixture.tenant, role, role).await;
    }
    let of = |role: &str| oidc.token(role, bench.now());
    let (helpdesk, device_admin) = (of("helpdesk"), of("device-admin"));
    let manage = json!({"name": "manage", "permissions": ["users:manage", "devices:manage"]});
    let manage = bench.post("/keys", &fixture.tenant.key, manage).await.expect(201).get("key");
    let post = |path: &str, body: Value| SampleRequest::new(Method::POST, path, Some(body));
    let (user, device) = (&fixture.user, &fixture.device);
    let bulk = [
        post("/users/bulk", json!({"action": "lock_and_wipe", "ids": [user]})),
        post("/users/bulk", json!({"action": "lock_and_wipe", "filter": {"search": "wipes"}})),
        post("/users/bulk", json!({"action": "lock_and_wipe", "ids": [user], "dry_run": true})),
        post("/devices/bulk", json!({"action": "wipe", "ids": [device]})),
        post("/devices/bulk", json!({"action": "wipe", "filter": {}})),
        post("/devices/bulk", json!({"action": "wipe", "filter": {}, "dry_run": true})),
    ];
    for (who, credential) in [("helpdesk", &helpdesk), ("a key that may manage", &manage)] {
        for call in &bulk {
            expect_rejected(&bench, call, Some(credential), 403, "permission_missing", who).await;
        }
    }
    bench.advance(chrono::Duration::minutes(1));
    for call in &bulk {
        let answer = send(&bench, call, Some(&device_admin)).await;
        assert!(answer.status.is_success(), "{}", answer.text);
    }
    // Canceling its commands needs the permission to wipe.
    let commands = bench.get(&format!("/devices/{device}/commands"), &fixture.tenant.key).await.expect(200);
    let items = commands.body["items"].as_array().unwrap();
    let kinds: Vec<&Value> = items.iter().map(|command| &command["kind"]).collect();
    assert_eq!(kinds, ["wipe", "lock"], "four requests queue one command");
    let cancel = |command: &Value| {
        let id = command["command_id"].as_str().unwrap_or_default();
        SampleRequest::new(Method::DELETE, format!("/devices/{device}/commands/{id}"), None)
    };
    for (who, credential) in [("helpdesk", &helpdesk), ("a key that may manage", &manage)] {
        expect_rejected(&bench, &cancel(&items[0]), Some(credential), 403, "permission_missing", who).await;
    }
    let lock = send(&bench, &cancel(&items[1]), Some(&helpdesk)).await.expect(200);
    assert_eq!((lock.get("kind"), lock.get("state")), ("lock".into(), "canceled".into()));
    let wipe = send(&bench, &cancel(&items[0]), Some(&device_admin)).await.expect(200);
    assert_eq!((wipe.get("kind"), wipe.get("state")), ("wipe".into(), "canceled".into()));
}

#[tokio::test]
async fn a_rename_that_resets_phones_needs_the_permission_to_wipe_and_so_does_its_reversal() {
    let oidc = Oidc::new();
    let bench = oidc.bench().await;
    let fixture = SampleWorkspace::new(&bench, "resets").await;
    let _member = oidc::add_accepted_member(&bench, &fixture.tenant, "helpdesk", "helpdesk").await;
    let key = &fixture.tenant.key;
    bench.advance(chrono::Duration::minutes(1));
    let rename = |user: &str, username: &str| {
        SampleRequest::new(Method::PATCH, format!("/users/{user}"), Some(json!({"username": username})))
    };
    let helpdesk = oidc.token("helpdesk", bench.now());
    let another = rename(&fixture.user, "another");
    expect_rejected(&bench, &another, Some(&helpdesk), 403, "permission_missing", "helpdesk").await;
    // A change of case is no other identity, and without a phone nothing is reset.
    for renamed in [rename(&fixture.user, "RESETS-ada"), rename(&fixture.deletable_user, "left")] {
        let _renamed = send(&bench, &renamed, Some(&helpdesk)).await.expect(200);
    }
    let _renamed =
        bench.patch(&format!("/users/{}", fixture.user), key, json!({"username": "another"})).await.expect(200);
    let path = format!("/devices/{}/commands", fixture.device);
    let commands = bench.get(&path, key).await.expect(200);
    let reset = &commands.body["items"][0];
    assert_eq!(reset["kind"], "factory_reset");
    let cancel = SampleRequest::new(Method::DELETE, format!("{path}/{}", reset["command_id"].as_str().unwrap()), None);
    expect_rejected(&bench, &cancel, Some(&helpdesk), 403, "permission_missing", "helpdesk").await;
    assert_eq!(send(&bench, &cancel, Some(key)).await.expect(200).get("state"), "canceled");
}

#[tokio::test]
async fn a_device_reports_only_its_own_commands() {
    let bench = Bench::start().await;
    let ours = SampleWorkspace::new(&bench, "ours").await;
    let theirs = SampleWorkspace::new(&bench, "theirs").await;
    let word = json!({"result": "succeeded"});
    let others =
        [&ours.delivered_command, &theirs.command, &theirs.delivered_command, &ours.device, &ours.tenant.workspace_id];
    for command in others {
        let report = SampleRequest::new(Method::POST, format!("/devices/me/commands/{command}"), Some(word.clone()));
        expect_rejected(&bench, &report, Some(&ours.credential), 404, "command_not_found", "a device").await;
    }
    let report = SampleRequest::new(Method::POST, format!("/devices/me/commands/{}", ours.command), Some(word));
    let _own = send(&bench, &report, Some(&ours.credential)).await.expect(200);
    // A command is not found by another device's path, nor an invitation by another user's.
    let key = &ours.tenant.key;
    let elsewhere = [
        (format!("/devices/{}/commands/{}", ours.device, ours.delivered_command), "command_not_found"),
        (format!("/users/{}/invitations/{}", ours.user, ours.invitation), "invitation_not_found"),
    ];
    for (path, code) in elsewhere {
        expect_rejected(&bench, &SampleRequest::new(Method::DELETE, path, None), Some(key), 404, code, "an admin")
            .await;
    }
}

#[tokio::test]
async fn a_code_is_only_valid_in_its_own_workspace() {
    let bench = Bench::start().await;
    let ours = bench.tenant("ours").await;
    let theirs = bench.tenant("theirs").await;
    let user = bench.user(&ours, "ada").await;
    let code = bench.invite(&ours, &user, 1).await;
    // The same identifier in another workspace is another device.
    let other = bench.user(&theirs, "ada").await;
    let other_code = bench.invite(&theirs, &other, 1).await;
    let first = bench.register(&code, "phone").await.expect(201);
    let second = bench.register(&other_code, "phone").await.expect(201);
    assert_ne!(first.body["device"]["device_id"], second.body["device"]["device_id"]);
    for (tenant, device) in [(&ours, &first), (&theirs, &second)] {
        let list = bench.get("/devices", &tenant.key).await.expect(200);
        let ids: Vec<&Value> = list.body["items"].as_array().unwrap().iter().map(|item| &item["device_id"]).collect();
        assert_eq!(ids, [&device.body["device"]["device_id"]]);
    }
}

#[tokio::test]
async fn every_https_response_has_strict_transport_security() {
    let secure = Setup::new().parameter("PublicUrl", "https://phones.example.com");
    for (setup, says) in [(secure, Some("max-age=31536000")), (Setup::new(), None)] {
        let bench = setup.start().await;
        let tenant = bench.tenant("Https").await;
        for (method, path, credential) in [
            (Method::GET, "/users", Some(tenant.key.as_str())),
            (Method::GET, "/users", None),
            (Method::GET, "/scim/v2/Users", None),
            (Method::POST, "/devices/get", Some(&tenant.key)),
            (Method::POST, "/devices/me/check-in", None),
            (Method::POST, "/devices", None),
            (Method::GET, "/i/2222222222222222222222", None),
            (Method::GET, "/r/2222222222222222222222", None),
            (Method::GET, "/docs", None),
            (Method::GET, "/openapi.json", None),
            (Method::GET, "/.well-known/assetlinks.json", None),
            (Method::GET, "/nowhere", None),
            (Method::DELETE, "/docs", None),
        ] {
            let answer = bench.call(method, path, credential, None).await;
            let policy = answer.headers.get("strict-transport-security").map(|value| value.to_str().unwrap());
            assert_eq!(policy, says, "{path} {}", answer.status);
        }
    }
}
