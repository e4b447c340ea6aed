//! The shapes of stored rows. A row that was stored once must stay readable, so a change of the shapes is deliberate:
//! `UPDATE_SHAPES=1 cargo test --workspace --test it stored_shapes::` writes them again, and the commit shows the
//! difference.

use aws::store::derived::Shadow;
use aws::store::idempotency::IdempotencyRow;
use aws::store::keys::Pointer;
use aws::store::leases::Lease;
use aws::store::offers::OfferRef;
use aws::store::staging::StagedKeys;
use aws::store::staging::StagedRows;
use aws::store::staging::UploadPart;
use aws::store::tokens::TokenPlace;
use aws::store::webhooks::CallSlot;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use aws::{Read, Row};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::Duration;
use domain::models::actor::Actor;
use domain::models::client_account::SecretKind;
use domain::models::command::Command;
use domain::models::device::{Device, DeviceAttachments, IdentifierClaim, PushToken};
use domain::models::event::{Event, EventType};
use domain::models::event_shards::EventShards;
use domain::models::job::{Job, JobItem, JobPage, JobRange, Listing};
use domain::models::key::ApiKey;
use domain::models::member::Member;
use domain::models::message_limits::{DailyCount, RecipientHistory};
use domain::models::offer::Offer;
use domain::models::profile::{Profile, ProfileAssignment};
use domain::models::source::DataSource;
use domain::models::token::Token;
use domain::models::usage::{Usage, UsageKind};
use domain::models::user::{Source, User};
use domain::models::webhook::{Delivery, Secrets, Webhook};
use domain::models::workspace::{Workspace, WorkspaceSettings};
use domain::rules::access::IssuerKeys;
use domain::rules::scim::document::ScimAttributes;
use domain::secret::{Hash, is_code};
use domain::states::UserStatus;
use http::Method;
use serde_json::{Map, Value, json};
use testkit::egress::{Answers, Pages};
use testkit::oidc::{self, ISSUER, Oidc, new_token};
use testkit::rows::{self, MAIN, SECRETS};
use testkit::{Bench, Setup, Tenant};
use uuid::Uuid;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shapes")
}

#[expect(clippy::disallowed_methods, reason = "whoever runs the test says so by the environment")]
fn updating() -> bool {
    std::env::var("UPDATE_SHAPES").is_ok_and(|value| value == "1")
}

/// A kind of row as `store.rs` documents it.
pub(crate) struct Kind {
    name: String,
    pub(crate) pk: String,
    sk: Option<String>,
}

/// The kinds of the tables in `store.rs`, and that of the secrets' table.
pub(crate) fn kinds() -> Vec<Kind> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/aws/src/store.rs");
    let source = fs::read_to_string(path).unwrap();
    let lines = source.lines().filter_map(|line| line.strip_prefix("//! | "));
    let mut kinds: Vec<Kind> = lines
        .filter(|line| !line.starts_with("row |") && !line.starts_with("---"))
        .map(|line| {
            let columns: Vec<&str> = line.split(" | ").map(str::trim).collect();
            let text = |at: usize| columns[at].trim_matches('`').to_owned();
            let pk = match columns[1] {
                "the device's" => "DEVICE#{workspace}#{device}".to_owned(),
                "the user's" => "USER#{workspace}#{user}".to_owned(),
                "the job's" => "JOB#{workspace}#{job}".to_owned(),
                "the range's" => "JOBRANGE#{workspace}#{job}#{number}".to_owned(),
                "the profile's" => "PROFILE#{workspace}#{profile}".to_owned(),
                "the source's" => "SOURCE#{workspace}#{source}".to_owned(),
                _ => text(1),
            };
            Kind { name: columns[0].to_owned(), pk, sk: Some(text(2)) }
        })
        .collect();
    assert!(source.contains("In the secrets' table, by `pk` alone: `INVITATION#{invitation}`"));
    assert!(source.contains("`USER#{workspace}#{user}` a user's secrets"));
    kinds.push(Kind { name: "invitation's code".into(), pk: "INVITATION#{invitation}".into(), sk: None });
    kinds.push(Kind { name: "user's secrets".into(), pk: "USER#{workspace}#{user}".into(), sk: None });
    kinds.push(Kind { name: "source's token".into(), pk: "SOURCE#{source}".into(), sk: None });
    kinds.push(Kind { name: "webhook's secrets".into(), pk: "WEBHOOK#{webhook}".into(), sk: None });
    kinds
}

/// Whether a text has a form in which `{…}` stands for any text without `#`.
pub(crate) fn has_form(form: &str, text: &str) -> bool {
    let (form, text): (Vec<&str>, Vec<&str>) = (form.split('#').collect(), text.split('#').collect());
    form.len() == text.len() && form.iter().zip(text).all(|(part, actual)| part.starts_with('{') || *part == actual)
}

impl Kind {
    fn is(&self, row: &Value) -> bool {
        let text = |name: &str| row[name].as_str();
        let sk = match (&self.sk, text("sk")) {
            (Some(form), Some(sk)) => has_form(form, sk),
            (None, None) => true,
            _ => false,
        };
        sk && text("pk").is_some_and(|pk| has_form(&self.pk, pk))
    }
}

fn find(bench: &Bench, table: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let found = rows::all(bench, table).into_values().filter(wanted);
    // Keys are random, so the first of several rows is chosen by their content.
    found.min_by_key(|row| normalized(row).to_string()).expect("a matching row is stored")
}

/// A row by the beginning of its key, and its sort key or what it contains.
fn row(bench: &Bench, pk: &str, contains: &str) -> Value {
    find(bench, MAIN, |row| {
        row["pk"].as_str().is_some_and(|key| key.starts_with(pk)) && row.to_string().contains(contains)
    })
}

async fn once(bench: &Bench, tenant: &Tenant, body: &Value) -> String {
    bench.post_idempotent("/users", &tenant.key, "once", body).await.expect(201).get("user_id")
}

/// A system in which every kind of row was stored, and the rows by their names: a kind's name, and
/// after a dot the state that it is in.
async fn stored() -> (Bench, Tenant, BTreeMap<String, Value>) {
    let oidc = Oidc::new();
    let pages = Pages::default();
    let bench = oidc.bench_with(Setup::new().with(pages.adjust())).await;
    let mut shapes = BTreeMap::new();
    let mut keep = |name: &str, row: Value| assert!(shapes.insert(name.to_owned(), row).is_none(), "{name} twice");
    let tenant = bench.tenant("Shapes").await;
    keep("workspace", row(&bench, "WORKSPACE#", "Shapes"));
    keep("key.first", row(&bench, "KEY#", "First key"));
    keep("pointer.of_key", row(&bench, "POINTER#", "KEY#"));
    keep("issuers_keys", row(&bench, "ISSUER", ""));
    keep("event.workspace_created", row(&bench, "EVENT#", "workspace.created"));

    bench.advance(Duration::minutes(1));
    let ada = json!({
        "username": "ada", "first_name": "Ada", "last_name": "Ångström", "email": "ada@example.com",
        "mobile": "+491701234567", "number": "4711",
    });
    let ada = once(&bench, &tenant, &ada).await;
    let bob = bench.post("/users", &tenant.key, json!({"username": "Bob"})).await.expect(201).get("user_id");
    keep("user.new", row(&bench, &format!("USER#{}#{ada}", tenant.workspace_id), "ada"));
    keep("user.bare", row(&bench, &format!("USER#{}#{bob}", tenant.workspace_id), "Bob"));
    keep("username", row(&bench, "USERNAME#", "#bob"));
    let word = row(&bench, "WORD#", "angstrom#");
    let former: Vec<&str> = word["pk"].as_str().unwrap().split('#').take(3).collect();
    keep("search_word_by_an_earlier_release", json!({"pk": former.join("#"), "sk": word["sk"]}));
    keep("search_word.of_user", word);
    keep("remembered_call", row(&bench, "IDEMPOTENCY#", ""));
    keep("event.user_created", row(&bench, "EVENT#", &format!("\"user_id\":\"{ada}\"")));
    let anna = json!({"issuer": ISSUER, "subject": "anna", "name": "Anna", "role": "admin"});
    let _member = bench.post("/members", &tenant.key, anna).await.expect(201);
    keep("member.pending", row(&bench, "MEMBER#", "anna"));
    let _accepted = oidc::accept(&bench, &tenant, "anna").await.expect(200);
    keep("member.accepted", row(&bench, "MEMBER#", "anna"));
    keep("event.member_changed", row(&bench, "EVENT#", "member.changed"));
    keep("pointer.of_member", row(&bench, "POINTER#", "MEMBER#"));
    let ending =
        json!({"name": "Ending", "permissions": ["devices:read", "users:read"], "expires_at": "2027-01-01T00:00:00Z"});
    let ending = bench.post("/keys", &tenant.key, ending).await.expect(201).get("key_id");
    let _revoked = bench.delete(&format!("/keys/{ending}"), &tenant.key).await.expect(200);
    keep("key.revoked", row(&bench, "KEY#", "Ending"));

    bench.advance(Duration::minutes(1));
    let body = json!({"channel": "email", "devices": 2});
    let _invited = bench.post(&format!("/users/{ada}/invite"), &tenant.key, body).await.expect(202);
    keep("invitation.queued", row(&bench, "USER#", "INVITATION#"));
    keep("code", row(&bench, "CODE#", ""));
    keep("invitations_code", find(&bench, SECRETS, |_| true));
    keep("event.user_invited", row(&bench, "EVENT#", "user.invited"));
    bench.drain().await;
    keep("consumers_lease.done", row(&bench, "LEASE#send-message", ""));
    keep("event.invitation_sent", row(&bench, "EVENT#", "invitation.sent"));
    keep("users_shadow", row(&bench, &format!("USER#{}#{ada}", tenant.workspace_id), "\"sk\":\"DERIVED\""));
    keep("facets_entry", row(&bench, "FACET#", "USER#status"));
    keep("orders_entry", row(&bench, "ORDER#", "ada angstrom"));
    for (name, counted) in [("count_of_things", "USER#status#kept#inactive"), ("count_of_events", "EVENTS#")] {
        let mut count = row(&bench, "COUNTS#", counted);
        // How many of them share a shard is random.
        count["n"] = json!(1);
        keep(name, count);
    }
    let code = bench.newest_code().unwrap();
    bench.advance(Duration::minutes(1));
    let _opened = bench.call(Method::POST, &format!("/i/{code}"), None, None).await.expect(303);

    let phone = bench.register(&code, "phone").await.expect(201);
    let device = phone.body["device"]["device_id"].as_str().unwrap().to_owned();
    let pk = format!("DEVICE#{}#{device}", tenant.workspace_id);
    keep("device.new", row(&bench, &pk, "\"sk\":\"DEVICE\""));
    keep("its_push_token.to_mend", row(&bench, &pk, "\"sk\":\"PUSH\""));
    keep("identifiers_claim.held", row(&bench, "IDENTIFIER#", "phone"));
    keep("invitation.in_use", row(&bench, "USER#", "INVITATION#"));
    keep("event.device_registered", row(&bench, "EVENT#", "device.registered"));
    keep("search_word.of_device", row(&bench, "WORD#", "iphone#"));
    bench.drain().await;
    keep("its_push_token.settled", row(&bench, &pk, "\"sk\":\"PUSH\""));
    keep("devices_shadow", row(&bench, &pk, "\"sk\":\"DERIVED\""));
    keep("endpoints_holder", row(&bench, "ENDPOINT#", ""));
    keep("its_details", row(&bench, &pk, "\"sk\":\"DETAILS\""));
    keep("event.device_push_changed", row(&bench, "EVENT#", "device.push_changed"));
    bench.advance(Duration::minutes(1));
    let report = json!({"os_version": "26.2"});
    let _login = bench.check_in_with(&phone.get("credential"), report).await.expect(200);
    keep("day_of_a_devices_last_login", row(&bench, &pk, "\"sk\":\"SEEN\""));
    keep("day_of_a_users_last_login", row(&bench, &format!("USER#{}#{ada}", tenant.workspace_id), "\"sk\":\"SEEN\""));
    keep("event.device_confirmed", row(&bench, "EVENT#", "device.confirmed"));
    let edit = json!({"nickname": "Ada's", "custom_metadata": {"asset": "A-17", "leased": true}});
    let _edited =
        bench.call(Method::PATCH, &format!("/devices/{device}"), Some(&tenant.key), Some(&edit)).await.expect(200);
    keep("its_attachments", row(&bench, &pk, "BELONGINGS"));
    keep("event.device_updated", row(&bench, "EVENT#", "device.updated"));
    let _blocked =
        bench.post(&format!("/devices/{device}/block"), &tenant.key, json!({"reason": "lost"})).await.expect(200);
    keep("device.blocked", row(&bench, &pk, "\"sk\":\"DEVICE\""));
    keep("event.device_blocked", row(&bench, "EVENT#", "device.blocked"));

    bench.advance(Duration::minutes(1));
    let foreign = json!({
        "code": code, "device_identifier": "softphone", "platform": "third_party", "model_name": "Softphone", "os_version": "7.1",
    });
    let _foreign = bench.call(Method::POST, "/devices", None, Some(&foreign)).await.expect(201);
    keep("device.bare", row(&bench, "DEVICE#", "softphone"));
    keep("invitation.used", row(&bench, "USER#", "INVITATION#"));
    keep("user.with_devices", row(&bench, &format!("USER#{}#{ada}", tenant.workspace_id), "device_ids"));
    let _deleted = bench.delete(&format!("/devices/{device}"), &tenant.key).await.expect(200);
    keep("device.deleted", row(&bench, &pk, "\"sk\":\"DEVICE\""));
    keep("identifiers_claim.released", row(&bench, "IDENTIFIER#", "\"phone\""));
    keep("event.device_deleted", row(&bench, "EVENT#", "device.deleted"));

    bench.advance(Duration::minutes(1));
    let cleo = json!({"username": "cleo", "mobile": "+14254147167"});
    let cleo = bench.post("/users", &tenant.key, cleo).await.expect(201).get("user_id");
    let by_text = json!({"channel": "sms"});
    let _invited = bench.post(&format!("/users/{cleo}/invite"), &tenant.key, by_text).await.expect(202);
    bench.drain().await;
    keep("invitation.texted", row(&bench, &format!("USER#{}#{cleo}", tenant.workspace_id), "INVITATION#"));
    keep("text_message", row(&bench, "MESSAGE#", ""));
    keep("event.invitation_failed", row(&bench, "EVENT#", "invitation.failed"));

    bench.advance(Duration::minutes(1));
    store_settings(&bench, &tenant, &mut keep).await;
    store_commands(&bench, &tenant, &mut keep).await;
    store_ended_objects(&bench, &tenant, &mut keep).await;
    bench.advance(Duration::minutes(1));
    store_profiles(&bench, &tenant, &mut keep).await;
    store_scim_user(&bench, &tenant, &mut keep).await;
    store_deployment(&bench, &tenant, &mut keep).await;
    store_sources(&bench, &tenant, &mut keep).await;
    store_credentials(&bench, &tenant, &mut keep).await;
    store_tokens(&oidc, &bench, &tenant, &mut keep).await;
    store_webhooks(&bench, &pages, &tenant, &mut keep).await;
    store_message_limits(&bench, &tenant, &mut keep).await;
    store_ranges(&bench, &mut keep).await;
    store_busy_day(&bench, &tenant, &mut keep);
    let _derived = bench.stack.invoke("reindex", json!({})).await.unwrap();
    keep("mark_that_everything_is_derived", row(&bench, "DERIVED", ""));
    keep("jobs_shadow", row(&bench, "JOB#", "\"sk\":\"DERIVED\""));
    (bench, tenant, shapes)
}

/// Stores personal access tokens, and an event by one.
async fn store_tokens(oidc: &Oidc, bench: &Bench, tenant: &Tenant, keep: &mut impl FnMut(&str, Value)) {
    bench.advance(Duration::minutes(1));
    let signed_in = oidc.token("anna", bench.now());
    let workspaces = [tenant.workspace_id.as_str()];
    let bare = new_token(bench, &signed_in, &workspaces, None).await;
    keep("personal_access_token.bare", row(bench, "TOKEN#", &bare.get("token_id")));
    keep("its_place_among_its_persons", row(bench, "TOKENS#", &bare.get("token_id")));
    let narrow = new_token(bench, &signed_in, &workspaces, Some(&["users:manage", "users:read"])).await;
    let of_narrow = format!("\"token_id\":\"{}\"", narrow.get("token_id"));
    keep("event.token_created", row(bench, "EVENT#", &of_narrow));
    let created = bench.post("/users", &narrow.get("token"), json!({"username": "by-a-token"})).await.expect(201);
    let user_id = created.get("user_id");
    keep("event.by_a_token", row(bench, "EVENT#", &format!("\"user_id\":\"{user_id}\"")));
    let bulk_request = json!({"action": "activate", "ids": [user_id]});
    let job = bench.post("/users/bulk", &narrow.get("token"), bulk_request).await.expect(200).get("job_id");
    keep("job.by_a_token", row(bench, &format!("JOB#{}#{job}", tenant.workspace_id), "\"sk\":\"JOB\""));
    let path = format!("/tokens/{}", narrow.get("token_id"));
    let _revoked = bench.delete(&path, &signed_in).await.expect(200);
    keep("personal_access_token.revoked", row(bench, "TOKEN#", &narrow.get("token_id")));
    let members = bench.list_all(tenant, "/members").await;
    let anna = members.iter().find(|member| member["subject"] == "anna").unwrap()["member_id"].as_str().unwrap();
    let path = format!("/members/{anna}/tokens/{}", bare.get("token_id"));
    let _deleted = bench.delete(&path, &tenant.key).await.expect(200);
    keep("personal_access_token.shut_out", row(bench, "TOKEN#", &bare.get("token_id")));
    bench.drain().await;
}

/// Stores webhooks: one that succeeds, one that fails, and one whose receiver is gone.
async fn store_webhooks(bench: &Bench, pages: &Pages, tenant: &Tenant, keep: &mut impl FnMut(&str, Value)) {
    let key = &tenant.key;
    for (name, status) in [("takes", 200), ("fails", 500), ("gone", 410)] {
        bench.advance(Duration::minutes(1));
        let url = format!("https://{name}.example.com/");
        pages.answer_at(&url, Answers::With(status, Vec::new(), b"so it is".to_vec()));
        let body = json!({"url": url, "event_types": ["user.created"], "description": "Ours"});
        let body = if name == "takes" { json!({"url": url}) } else { body };
        let id = bench.post("/webhooks", key, body).await.expect(201).get("webhook_id");
        bench.drain().await;
        if name == "takes" {
            keep("webhook.new", row(bench, "WEBHOOKS#", name));
            keep("event.webhook_created", row(bench, "EVENT#", "webhook.created"));
        }
        if name == "fails" {
            let _rotated = bench.post(&format!("/webhooks/{id}/rotate-secret"), key, json!({})).await.expect(200);
            keep("webhooks_secrets", find(bench, SECRETS, |row| row["pk"] == format!("WEBHOOK#{id}")));
        }
    }
    let _user = bench.user(tenant, "told").await;
    bench.drain().await;
    keep("webhook.failing", row(bench, "WEBHOOKS#", "fails"));
    keep("webhook.gone", row(bench, "WEBHOOKS#", "gone"));
    keep("event.webhook_disabled", row(bench, "EVENT#", "webhook.disabled"));
    keep("delivery.succeeded", row(bench, "DELIVERIES#", "\"state\":\"succeeded\""));
    keep("delivery.pending", row(bench, "DELIVERIES#", "\"state\":\"pending\""));
    let mut former = row(bench, "DELIVERIES#", "\"state\":\"succeeded\"");
    let (pk, _) = former["pk"].as_str().unwrap().rsplit_once('#').unwrap();
    former["pk"] = json!(pk);
    rows::put(bench, MAIN, &former, &[]);
    keep("delivery_by_an_earlier_release", former);
    let url = "https://slow.example.com/";
    let slow = json!({"url": url, "event_types": ["user.suspended"]});
    let _slow = bench.post("/webhooks", key, slow).await.expect(201);
    pages.answer_at(url, Answers::ProcessEnds);
    let user = bench.user(tenant, "held").await;
    let _suspended = bench.post(&format!("/users/{user}/suspend"), key, json!({})).await.expect(200);
    bench.drain().await;
    keep("delivery.at_work", row(bench, "DELIVERIES#", "\"lease\""));
    // Which of the free ones a run takes is random.
    let mut slot = row(bench, "CALLSLOT#", "");
    let pk = slot["pk"].as_str().unwrap().rsplit_once('#').map_or("", |(pk, _)| pk).to_owned();
    (slot["number"], slot["pk"]) = (json!(0), json!(format!("{pk}#00")));
    keep("webhooks_call_slot.at_work", slot);
}

/// Stores a phone with credentials, of a user with an identity key.
async fn store_credentials(bench: &Bench, tenant: &Tenant, keep: &mut impl FnMut(&str, Value)) {
    let minimum = json!({"minimum_versions": {"app": "4.2", "ios": "17", "android": "14"}});
    let _updated = bench.patch("/workspace", &tenant.key, minimum).await.expect(200);
    keep("workspace.with_minimum_versions", row(bench, "WORKSPACE#", "minimum_versions"));
    let user = bench.user(tenant, "kim").await;
    let known = json!({"user_identity_key": "crm-7"});
    let _updated = bench.patch(&format!("/users/{user}"), &tenant.key, known).await.expect(200);
    keep("user.with_identity_key", row(bench, &format!("USER#{}#{user}", tenant.workspace_id), "\"sk\":\"USER\""));
    keep("identity_key", row(bench, "IDENTITYKEY#", &user));
    let code = bench.invite(tenant, &user, 1).await;
    let created = bench.register(&code, "kims-phone").await.expect(201);
    let device = created.body["device"]["device_id"].as_str().unwrap().to_owned();
    let path = format!("/devices/{device}");
    let credential = "0190f3c4-7b5e-7a11-8c1d-000000000002";
    let put =
        async |what: String, body: Value| bench.put(&format!("{path}/{what}"), &tenant.key, body).await.expect(200);
    let edit = json!({"email": "kim@example.org"});
    let _readdressed = bench.patch(&format!("/users/{user}"), &tenant.key, edit).await.expect(200);
    let of_user = format!("USER#{}#{user}", tenant.workspace_id);
    keep("user.readdressed", row(bench, &of_user, "\"sk\":\"USER\""));
    let _deployment = bench.post(&format!("/users/{user}/deploy"), &tenant.key, json!({})).await.expect(202);
    keep("invitation.of_a_deployment_to_a_new_address", row(bench, &of_user, "address_changed_at"));
    keep("device.deployed_to", row(bench, &format!("DEVICE#{}#{device}", tenant.workspace_id), "\"sk\":\"DEVICE\""));
    let _issued = put(format!("credentials/{credential}"), json!({})).await;
    keep("its_attachments.bare", row(bench, &format!("DEVICE#{}#{device}", tenant.workspace_id), "BELONGINGS"));
    let report = json!({"endpoints": [{"endpoint_id": "e", "is_active": true}], "problem": "no answer"});
    let _reported = put("credential-services/assa_abloy".to_owned(), report).await;
    let _quiet = put("credential-services/salto_space".to_owned(), json!({"endpoints": []})).await;
    keep(
        "its_attachments.with_services",
        row(bench, &format!("DEVICE#{}#{device}", tenant.workspace_id), "BELONGINGS"),
    );
    keep("credentials_holder", row(bench, "CREDENTIAL#", &device));
    let locked = bench.post(&format!("{path}/lock"), &tenant.key, json!({})).await.expect(202).get("command_id");
    let own = created.get("credential");
    let _check_in = bench.check_in(&own).await.expect(200);
    let _reported = bench.report_command(&own, &locked, "failed").await.expect(200);
    keep("device.with_failed_command", row(bench, &format!("DEVICE#{}#{device}", tenant.workspace_id), "kims-phone"));
    bench.drain().await;
}

/// Stores a user of an identity provider.
async fn store_scim_user(bench: &Bench, tenant: &Tenant, keep: &mut impl FnMut(&str, Value)) {
    let eve = json!({
        "userName": "eve", "externalId": "00u1", "name": {"givenName": "Eve", "middleName": "X."}, "active": false,
        "emails": [{"value": "eve@example.com", "type": "work", "primary": true}],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "Sales", "manager": {"value": "7"}},
    });
    let eve = bench.post("/scim/v2/Users", &tenant.key, eve).await.expect(201).get("id");
    let pk = format!("USER#{}#{eve}", tenant.workspace_id);
    keep("user.of_a_provider", row(bench, &pk, "\"sk\":\"USER\""));
    keep("users_scim_attributes", row(bench, &pk, "\"sk\":\"SCIM\""));
    keep("external_id", row(bench, "EXTERNALID#", &eve));
}

/// Stores profiles, one of them the default, and exports.
async fn store_profiles(bench: &Bench, tenant: &Tenant, keep: &mut impl FnMut(&str, Value)) {
    let bare = json!({"name": "Field", "settings": {}});
    let bare = bench.post("/profiles", &tenant.key, bare).await.expect(201).get("profile_id");
    keep("profile.bare", row(bench, "PROFILE#", "Field"));
    keep("event.profile_created", row(bench, "EVENT#", "profile.created"));
    let office = json!({
        "name": "Büro", "settings": {"server": "pbx.example.com", "ports": [5060, 5061], "limit": 1e200}, "default": true,
        "schema": {"type": "object", "required": ["server"]},
    });
    let office = bench.post("/profiles", &tenant.key, office).await.expect(201).get("profile_id");
    keep("profile.with_schema", row(bench, "PROFILE#", "schema"));
    keep("profiles_name", row(bench, "PROFILENAME#", "#buro"));
    keep("what_a_profile_is_called", row(bench, "CALLED#", ""));
    keep("workspace.with_profiles", row(bench, "WORKSPACE#", "Shapes"));
    let edit = json!({"name": "Office", "settings": {"server": "pbx2.example.com"}});
    let _edited = bench.patch(&format!("/profiles/{office}"), &tenant.key, edit).await.expect(200);
    keep("event.profile_updated", row(bench, "EVENT#", "profile.updated"));
    let _deleted = bench.delete(&format!("/profiles/{bare}"), &tenant.key).await.expect(200);
    keep("event.profile_deleted", row(bench, "EVENT#", "profile.deleted"));
    let export = "/users/export?status=active&columns=username,email";
    let _part = bench.get(export, &tenant.key).await.expect(200);
    keep("event.export_started", row(bench, "EVENT#", "export.started"));
}

/// Stores a user with a deployment, whose phone downloads it, and who is undeployed.
async fn store_deployment(bench: &Bench, tenant: &Tenant, keep: &mut impl FnMut(&str, Value)) {
    bench.advance(Duration::minutes(1));
    let key = &tenant.key;
    let profile = json!({"name": "Café", "settings": {"theme": "dark"}, "schema": {"type": "object"}});
    let profile = bench.post("/profiles", key, profile).await.expect(201).get("profile_id");
    let user = bench.user(tenant, "hanna").await;
    let path = format!("/users/{user}");
    let edit = json!({
        "sip_user_name": "sip-hanna", "service_account": "Hanna at work", "overrides": {"theme": "light"},
    });
    let _edited = bench.patch(&path, key, edit).await.expect(200);
    let secrets = json!({
        "client_password": "one", "pbx_sip_password": "two", "teleworker_sip_password": "three", "voicemail_pin": "4444",
    });
    let _secrets_set = bench.put(&format!("{path}/secrets"), key, secrets).await.expect(200);
    keep("users_secrets", find(bench, SECRETS, |row| row["client_password"] == "one"));
    keep("event.user_secrets_set", row(bench, "EVENT#", "user.secrets_set"));
    let _deployment = bench.post(&format!("{path}/deploy"), key, json!({"profile_id": profile})).await.expect(202);
    keep("when_it_was_given_to_users", row(bench, "PROFILE#", "\"sk\":\"GIVEN\""));
    let pk = format!("USER#{}#{user}", tenant.workspace_id);
    let device_row =
        |device: &str| row(bench, &format!("DEVICE#{}#{device}", tenant.workspace_id), "\"sk\":\"DEVICE\"");
    let user_row = || row(bench, &pk, "\"sk\":\"USER\"");
    keep("invitation.of_a_deployment", row(bench, &pk, "INVITATION#"));
    keep("pointer.of_deployment", row(bench, "POINTER#", "INVITATION#"));
    keep("event.deployment_started", row(bench, "EVENT#", "deployment.started"));
    bench.drain().await;
    keep("invitation.of_a_deployment_that_was_sent", row(bench, &pk, "INVITATION#"));
    keep("event.deployment_sent", row(bench, "EVENT#", "deployment.sent"));
    bench.advance(Duration::minutes(1));
    let code = bench.newest_deployment_code().unwrap();
    let phone = bench.register(&code, "hannas-phone").await.expect(201);
    let device = phone.body["device"]["device_id"].as_str().unwrap();
    let credential = phone.get("credential");
    keep("device.to_be_set_up", device_row(device));
    let post = async |path: &str, body: Value| {
        bench.call(Method::POST, path, Some(&credential), Some(&body)).await.expect(200)
    };
    let version = post("/devices/me/config", json!({})).await.get("config_version");
    keep("device.served", device_row(device));
    keep("event.device_config_served", row(bench, "EVENT#", "device.config_served"));
    bench.advance(Duration::minutes(1));
    let _installed = post("/devices/me/check-in", json!({"config_version": version})).await;
    keep("device.set_up", device_row(device));
    keep("event.device_config_installed", row(bench, "EVENT#", "device.config_installed"));
    keep("user.with_a_client_account", user_row());
    let _forced = bench.post(&format!("{path}/force-config"), key, json!({})).await.expect(200);
    keep("event.user_config_forced", row(bench, "EVENT#", "user.config_forced"));
    let repeated = bench.post(&format!("{path}/deploy"), key, json!({})).await.expect(202).get("deployment_id");
    let _shown = bench.get(&format!("/deployments/{repeated}/qr"), key).await.expect(200);
    keep("event.deployment_qr_shown", row(bench, "EVENT#", "deployment.qr_shown"));
    let _removed = bench.delete(&format!("/deployments{path}"), key).await.expect(200);
    keep("user.out_of_client_deployment", user_row());
    keep("event.user_undeployed", row(bench, "EVENT#", "user.undeployed"));
    keep("event.deployment_revoked", row(bench, "EVENT#", "deployment.revoked"));
}

/// Stores the workspace's settings, and a user with data from an admin and from a carrier.
async fn store_settings(bench: &Bench, tenant: &Tenant, keep: &mut impl FnMut(&str, Value)) {
    let settings = json!({
        "retention_days": 60, "invitation_days": 14, "check_in_minutes": 30, "sender": "phones@handset.example", "sms_sender": "Handset",
        "silent_devices": {"after_days": 90, "action": "block"}, "pin_limit": 5, "service_levels": ["gold", "silver"],
    });
    let _workspace = bench.patch("/workspace", &tenant.key, settings).await.expect(200);
    keep("workspace.with_settings", row(bench, "WORKSPACE#", "Shapes"));
    keep("event.workspace_updated", row(bench, "EVENT#", "workspace.updated"));
    let dora = bench.user(tenant, "dora").await;
    let path = format!("/users/{dora}");
    let edit = json!({"last_name": "Dahl", "number": null, "service_level": "gold"});
    let _edited = bench.patch(&path, &tenant.key, edit).await.expect(200);
    keep("event.user_updated", row(bench, "EVENT#", "user.updated"));
    let verizon = json!({"status": "opt_in_sent", "status_at": "2026-11-20T09:30:00Z", "reason": "message_block"});
    let _verizon = bench.put(&format!("{path}/networks/verizon"), &tenant.key, verizon).await.expect(200);
    let att = json!({
        "status": "enabled", "mdn_provisioning": "enabled",
        "last_seen_at": "2026-11-22T10:00:00Z", "last_archived_at": "2026-11-22T11:00:00Z",
    });
    let _att = bench.put(&format!("{path}/networks/att"), &tenant.key, att).await.expect(200);
    keep("event.user_network_changed", row(bench, "EVENT#", "opt_in_sent"));
    let _activated = bench.post(&format!("{path}/activate"), &tenant.key, json!({})).await.expect(200);
    keep("event.user_activated", row(bench, "EVENT#", "user.activated"));
    let away = json!({"reason": "on leave"});
    let _suspended = bench.post(&format!("{path}/suspend"), &tenant.key, away).await.expect(200);
    keep("event.user_suspended", row(bench, "EVENT#", "user.suspended"));
    let lost = json!({"reason": "lost it all"});
    let _locked = bench.post(&format!("{path}/lock-and-wipe"), &tenant.key, lost).await.expect(200);
    keep("event.user_locked_and_wiped", row(bench, "EVENT#", "user.locked_and_wiped"));
    keep("user.with_networks_and_holds", row(bench, &format!("USER#{}#{dora}", tenant.workspace_id), "dora"));
}

/// Stores a phone with commands in all states, which re-enrols.
async fn store_commands(bench: &Bench, tenant: &Tenant, keep: &mut impl FnMut(&str, Value)) {
    let (user, phones) = bench.user_with_phones(tenant, "emil", 1).await;
    let (device, credential) = &phones[0];
    let pk = format!("DEVICE#{}#{device}", tenant.workspace_id);
    let device_row = || row(bench, &pk, "\"sk\":\"DEVICE\"");
    let command_row = |id: &str| row(bench, &pk, &format!("\"sk\":\"COMMAND#{id}"));
    let order = async |what: &str, body: Value| {
        let path = format!("/devices/{device}/{what}");
        bench.post(&path, &tenant.key, body).await.expect(202).get("command_id")
    };
    let report = json!({
        "pin_failures": 2,
        "usage": {"sequence": 7, "messages_sent": 3, "messages_received": 4, "messages_archived": 7, "attachment_bytes": 1234, "calls": 1},
    });
    let _login = bench.check_in_with(credential, report).await.expect(200);
    keep("device.reported", device_row());
    keep("users_usage_of_a_month", row(bench, "USER#", "\"sk\":\"USAGE#"));
    keep("workspaces_usage_of_a_month", row(bench, "USAGE#", ""));
    let former = json!({
        "pk": format!("USAGE#{}", tenant.workspace_id), "sk": "2026-11#07", "workspace_id": tenant.workspace_id,
        "of": {"shard": 7}, "month": "2026-11", "counts": {"calls": 1, "messages_sent": 3}, "version": 2,
    });
    rows::put(bench, MAIN, &former, &[]);
    keep("workspaces_usage_of_a_month_by_an_earlier_release", former);
    let lock = order("lock", json!({"reason": "left on a train"})).await;
    keep("its_command.queued", command_row(&lock));
    keep("event.command_queued", row(bench, "EVENT#", "left on a train"));
    let wipe = order("wipe", json!({"expires_in_days": 7})).await;
    keep("device.with_commands", device_row());
    bench.advance(Duration::minutes(1));
    let _check_in = bench.check_in(credential).await.expect(200);
    keep("its_command.delivered", command_row(&lock));
    bench.advance(Duration::minutes(1));
    let path = format!("/devices/me/commands/{lock}");
    let later = json!({"result": "deferred", "detail": "in a call"});
    let _later = bench.call(Method::POST, &path, Some(credential), Some(&later)).await.expect(200);
    keep("its_command.deferred", command_row(&lock));
    keep("event.command_deferred", row(bench, "EVENT#", "command.deferred"));
    let _canceled = bench.delete(&format!("/devices/{device}/commands/{lock}"), &tenant.key).await.expect(200);
    keep("its_command.cancel_requested", command_row(&lock));
    bench.advance(Duration::minutes(1));
    let _late = bench.report_command(credential, &lock, "failed").await.expect(200);
    keep("its_command.failed_late", command_row(&lock));
    let reset = order("lock", json!({})).await;
    let _wiped = bench.report_command(credential, &wipe, "succeeded").await.expect(200);
    keep("its_command.succeeded", command_row(&wipe));
    keep("event.command_succeeded", row(bench, "EVENT#", "command.succeeded"));
    keep("device.erased", device_row());
    bench.advance(Duration::minutes(1));
    let code = bench.invite(tenant, &user, 1).await;
    let _registered = bench.register(&code, "emil-0").await.expect(201);
    keep("its_command.removed", command_row(&reset));
    keep("event.device_re_enrolled", row(bench, "EVENT#", "device.re_enrolled"));
    bench.drain().await;
}

/// Stores sources: one of a page, one with an upload, and one with a running sync.
async fn store_sources(bench: &Bench, tenant: &Tenant, keep: &mut impl FnMut(&str, Value)) {
    bench.advance(Duration::minutes(1));
    let page = json!({
        "name": "Page", "kind": "http", "mapping": {"username": "login"}, "format": "json", "items": "/people",
        "url": "https://hr.example.com/people", "token": "a token", "every_hours": 12,
    });
    let _page = bench.post("/sources", &tenant.key, page).await.expect(201);
    keep("source.of_a_page", row(bench, "SOURCE#", "hr.example.com"));
    keep("sources_token", find(bench, SECRETS, |row| row["pk"].as_str().is_some_and(|pk| pk.starts_with("SOURCE#"))));
    keep("event.source_created", row(bench, "EVENT#", "source.created"));
    let file = json!({
        "name": "File", "kind": "csv", "mapping": {"username": "login", "external_id": "id"},
        "key_field": "external_id", "vanish_policy": "suspend", "delimiter": "semicolon",
    });
    let file = bench.post("/sources", &tenant.key, file).await.expect(201).get("source_id");
    let path = |upload: u8, more: &str| {
        format!("/sources/{file}/parts/1?upload=0190f3c4-7b5e-7a11-8c1d-00000000000{upload}&last=true{more}")
    };
    let job = bench.upload(tenant, &path(1, ""), "login;id\nhal;E-1\n").await.expect(202).get("job_id");
    let job_row = |job: &str, contains: &str| row(bench, &format!("JOB#{}#{job}", tenant.workspace_id), contains);
    keep("outcome_of_a_jobs_thing.of_a_row", job_row(&job, "\"sk\":\"ITEM#"));
    keep("user.of_a_source", row(bench, "USER#", "\"username\":\"hal\""));
    keep("external_id.in_a_source", row(bench, &format!("EXTERNALID#{}#{file}", tenant.workspace_id), ""));
    let hal = row(bench, "USER#", "\"username\":\"hal\"")["user_id"].as_str().unwrap().to_owned();
    let other = json!({"username": "hal-9000"});
    let _renamed = bench.patch(&format!("/users/{hal}"), &tenant.key, other).await.expect(200);
    keep("user.of_a_source_renamed_by_hand", row(bench, "USER#", "\"username\":\"hal-9000\""));
    keep("sources_username", row(bench, "SOURCENAME#", &hal));
    keep("source.synced", row(bench, "SOURCE#", "\"name\":\"File\""));
    let rows: String = (0..501).map(|n| format!("h{n:03};H-{n}\n")).collect();
    let _uploaded = bench.upload(tenant, &path(2, "&start=false"), &format!("login;id\n{rows}")).await.expect(202);
    let job = bench.post(&format!("/sources/{file}/sync"), &tenant.key, json!({"dry_run": true})).await.expect(202);
    keep("job.sync_at_work", job_row(&job.get("job_id"), "\"sk\":\"JOB\""));
    keep("its_staged_rows", row(bench, "SOURCE#", "#00005\""));
    // Only the first of many hashes, since one of them may look like a code.
    let mut known = row(bench, "SOURCE#", "\"KEYS#");
    known["keys"] = json!(known["keys"].as_str().unwrap()[..64]);
    keep("by_what_their_users_are_known", known);
    keep("part_of_its_upload", row(bench, "SOURCE#", "\"PART#"));
}

/// Stores a revoked invitation, a deleted user, and finished jobs.
async fn store_ended_objects(bench: &Bench, tenant: &Tenant, keep: &mut impl FnMut(&str, Value)) {
    let fred = bench.user(tenant, "fred").await;
    let invite = json!({"channel": "email"});
    let open = bench.post(&format!("/users/{fred}/invite"), &tenant.key, invite).await.expect(202).get("invitation_id");
    let _revoked = bench.delete(&format!("/users/{fred}/invitations/{open}"), &tenant.key).await.expect(200);
    let pk = format!("USER#{}#{fred}", tenant.workspace_id);
    keep("invitation.revoked", row(bench, &pk, "INVITATION#"));
    keep("event.invitation_revoked", row(bench, "EVENT#", "invitation.revoked"));
    let deletion = json!({"without_wipe": true, "reason": "left the company"});
    let _deleted =
        bench.call(Method::DELETE, &format!("/users/{fred}"), Some(&tenant.key), Some(&deletion)).await.expect(200);
    keep("user.deleted", row(bench, &pk, "\"sk\":\"USER\""));
    keep("event.user_deleted", row(bench, "EVENT#", "user.deleted"));
    let named = json!({"action": "suspend", "reason": "an audit", "ids": [fred]});
    let named = bench.post("/users/bulk", &tenant.key, named).await.expect(207).get("job_id");
    keep("job.over_ids", row(bench, &format!("JOB#{}#{named}", tenant.workspace_id), "\"sk\":\"JOB\""));
    keep("outcome_of_a_jobs_thing.failed", row(bench, "JOB#", "\"sk\":\"ITEM#"));
    keep("event.job_created", row(bench, "EVENT#", "job.created"));
    keep("event.job_finished", row(bench, "EVENT#", "job.finished"));
    bench.advance(Duration::minutes(1));
    // Half of a filter's users are done within the call, the others by the schedule.
    for number in 0..60 {
        let body = json!({"username": format!("g{number:02}"), "first_name": "Gina"});
        let _user = bench.post("/users", &tenant.key, body).await.expect(201);
    }
    let found = json!({"action": "activate", "filter": {"search": "gina"}});
    let found = bench.post("/users/bulk", &tenant.key, found).await.expect(202).get("job_id");
    let pk = format!("JOB#{}#{found}", tenant.workspace_id);
    let at_work = row(bench, &pk, "\"sk\":\"JOB\"");
    assert_eq!(at_work["state"], "running");
    keep("job.over_a_filter_at_work", at_work.clone());
    keep_later_states(bench, at_work, keep);
    keep("outcome_of_a_jobs_thing.changed", row(bench, &pk, "\"sk\":\"ITEM#"));
}

/// Keeps a job as it is while its list goes to ranges, and a workspace whose rule for silent devices began such a job.
fn keep_later_states(bench: &Bench, job: Value, keep: &mut impl FnMut(&str, Value)) {
    let (due_shard, list) = (job["due_shard"].clone(), job["list"].clone());
    let job: Job = aws::from_json(job).unwrap();
    let workspace: Workspace = aws::from_json(row(bench, "WORKSPACE#", "Shapes")).unwrap();
    let workspace = Workspace { silent_rule_job_id: Some(job.job_id), ..workspace };
    let listing = Some(Listing { ranges: 10, pages: 20, cursor: job.cursor.clone() });
    let mut in_ranges = rows::rows_of(&Job { listing, ..job }).remove(0);
    (in_ranges["due_shard"], in_ranges["list"]) = (due_shard, list);
    keep("job.in_ranges", in_ranges);
    keep("workspace.with_a_job_of_its_rule", rows::rows_of(&workspace).remove(0));
}

/// Stores a day with two shards of events, and an event in the second.
fn store_busy_day(bench: &Bench, tenant: &Tenant, keep: &mut impl FnMut(&str, Value)) {
    let shards = json!({
        "pk": format!("EVENTS#{}", tenant.workspace_id), "sk": "2026-11-23", "workspace_id": tenant.workspace_id,
        "day": "2026-11-23", "shards": 2, "raised_at": "2026-11-23T08:00:00.000Z", "version": 1,
    });
    rows::put(bench, MAIN, &shards, &[]);
    keep("number_of_shards_of_a_days_events", shards);
    let mut event = row(bench, "EVENT#", "workspace.created");
    for id in ["event_id", "sk"] {
        event[id] = json!("0190f3c4-7b5e-7a11-8c1d-3f2a9b6c5d43");
    }
    for partition in ["pk", "of_type"] {
        event[partition] = json!(format!("{}#1", event[partition].as_str().unwrap()));
    }
    rows::put(bench, MAIN, &event, &[]);
    keep("event_of_a_busy_day", event);
}

/// Stores a range of the job over a filter, with its page.
async fn store_ranges(bench: &Bench, keep: &mut impl FnMut(&str, Value)) {
    let _due = bench.run_due().await;
    keep("range_of_a_job.ended", row(bench, "JOBRANGE#", "\"sk\":\"RANGE\""));
    let mut page = row(bench, "JOBRANGE#", "\"sk\":\"PAGE#");
    // One identifier represents its page.
    page["ids"].as_array_mut().unwrap().truncate(1);
    keep("page_of_a_range", page);
}

/// Stores counts of messages, and what a message limit delays: a renamed user's deployment, and a job.
async fn store_message_limits(bench: &Bench, tenant: &Tenant, keep: &mut impl FnMut(&str, Value)) {
    bench.advance(Duration::days(1));
    let new = async |name: &str, email: &str| {
        bench.post("/users", &tenant.key, json!({"username": name, "email": email})).await.expect(201).get("user_id")
    };
    let lee = new("lee", "lee@example.com").await;
    let _deployment = bench.post(&format!("/users/{lee}/deploy"), &tenant.key, json!({})).await.expect(202);
    keep("messages_sent_to_a_recipient", row(bench, "SENT#", &bench.now().format("%Y-%m-%dT%H:%M").to_string()));
    keep("messages_of_a_day", row(bench, "QUOTA#", &bench.now().format("%Y-%m-%d").to_string()));
    let _renamed = bench.patch(&format!("/users/{lee}"), &tenant.key, json!({"username": "leo"})).await.expect(200);
    keep("user.with_a_deployment_that_waits", row(bench, &format!("USER#{}#{lee}", tenant.workspace_id), "\"USER\""));
    bench.advance(Duration::days(1));
    let quotas = json!({"emails_per_day": 1, "texts_per_day": 0});
    let _updated = bench.patch("/workspace", &tenant.key, quotas).await.expect(200);
    keep("workspace.with_quotas", row(bench, "WORKSPACE#", "Shapes"));
    let ids = [new("mia", "m@example.com").await, new("max", "m@example.com").await, new("ned", "n@example.com").await];
    let invite = json!({"action": "invite", "channel": "email", "ids": ids});
    let at_rest = bench.post("/users/bulk", &tenant.key, invite).await.expect(202).get("job_id");
    keep("job.at_rest", row(bench, &format!("JOB#{}#{at_rest}", tenant.workspace_id), "\"sk\":\"JOB\""));
}

/// Partitions whose last part is a random shard: their kinds, each with the number of the parts that follow.
const SHARDED: [(&str, usize); 3] = [("USAGE", 2), ("DELIVERIES", 3), ("WORD", 4)];

/// Replaces the random values of a row: each identifier, hash and code becomes a name, the
/// same for equal ones. Times stay, since the clock is the test's own.
#[derive(Default)]
struct Names(BTreeMap<String, String>);

impl Names {
    fn value(&mut self, name: &str, value: &Value) -> Value {
        match value {
            Value::String(text) => match name {
                "request_id" => "<request>".into(),
                "message_id" => "<message>".into(),
                "short" => "<short>".into(),
                "current" | "secret" => "<secret>".into(),
                // It holds the key of the row that a list goes on at.
                "cursor" => "<cursor>".into(),
                // It follows from the profile's identifier.
                "served" if text.starts_with('!') => "!<version>".into(),
                "config" | "served" if text != "forced" => "<version>".into(),
                // A device's day begins at a random time.
                "login_day" => format!("<day>#{}", self.text(text.split_once('#').map_or("", |(_, id)| id))).into(),
                _ => self.text(text).into(),
            },
            // A user's shard is random.
            Value::Number(_) if name == "shard" => 0.into(),
            Value::Array(items) if name == "makers" => items.iter().map(|_| Value::from("<short>")).collect(),
            Value::Array(items) => items.iter().map(|item| self.value("", item)).collect(),
            Value::Object(fields) => {
                let within =
                    |field: &'_ str| if name == "config_version" { "config".to_owned() } else { field.to_owned() };
                let fields = fields.iter().map(|(field, value)| (field.clone(), self.value(&within(field), value)));
                fields.collect::<Map<_, _>>().into()
            }
            other => other.clone(),
        }
    }

    fn text(&mut self, text: &str) -> String {
        match text.split_once('#') {
            Some((kind @ ("KEY" | "TOKEN"), short)) if short.len() == 8 => return format!("{kind}#<short>"),
            Some((shard @ ("DUE" | "PURGE" | "CALLS"), number)) if number.len() == 2 => {
                return format!("{shard}#<shard>");
            }
            Some(("QUOTA", rest)) => {
                let prefixed = format!("QUOTA {rest}");
                let (of, _) = prefixed.rsplit_once('#').unwrap_or((&prefixed, ""));
                return format!("{}#00", self.text(of)).replacen("QUOTA ", "QUOTA#", 1);
            }
            Some((_, rest)) if rest.contains("#SEEN#") => {
                let of = text.trim_end_matches(|digit: char| digit.is_ascii_digit()).replace("#SEEN#", " ");
                return format!("{}#SEEN#0", self.text(of.trim_end()));
            }
            Some((kind @ ("FACET" | "ORDER" | "COUNTS"), rest)) => {
                let is_shard = |part: &str| (1..=2).contains(&part.len()) && part.parse::<u8>().is_ok();
                let parts = rest.split('#').map(|part| if is_shard(part) { "0".into() } else { self.text(part) });
                return format!("{kind}#{}", parts.collect::<Vec<_>>().join("#"));
            }
            Some((kind, rest)) if SHARDED.contains(&(kind, rest.split('#').count())) => {
                let (of, _) = text.rsplit_once('#').unwrap_or_default();
                return format!("{}#0", self.text(of));
            }
            Some((month, shard)) if month.len() == 7 && (2..=3).contains(&shard.len()) => return format!("{month}#00"),
            _ => {}
        }
        let part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let mut named = String::new();
        let mut rest = text;
        while let Some(start) = rest.find(part) {
            let end = rest[start..].find(|c| !part(c)).map_or(rest.len(), |length| start + length);
            named.push_str(&rest[..start]);
            named.push_str(&self.word(&rest[start..end]));
            rest = &rest[end..];
        }
        named + rest
    }

    fn word(&mut self, word: &str) -> String {
        let kind = if word.len() == 36 && Uuid::try_parse(word).is_ok() {
            "id"
        } else if word.len() == 43 {
            "hash"
        } else if is_code(word) {
            "code"
        } else {
            return word.to_owned();
        };
        let next = self.0.values().filter(|name| name.starts_with(&format!("<{kind}"))).count() + 1;
        self.0.entry(word.to_owned()).or_insert_with(|| format!("<{kind} {next}>")).clone()
    }
}

fn normalized(row: &Value) -> Value {
    let mut names = Names::default();
    let mut normal = names.value("", row);
    // The order of identifiers in a set is random.
    if let Some(set) = normal.get_mut("device_ids") {
        let places = 1..=set.as_array().map_or(0, Vec::len);
        *set = places.map(|place| json!(format!("<device {place}>"))).collect();
    }
    normal
}

#[tokio::test]
async fn stored_rows_have_the_pinned_shapes() {
    let (_bench, _tenant, shapes) = stored().await;
    if updating() {
        fs::create_dir_all(folder()).unwrap();
    }
    for (name, row) in &shapes {
        let path = folder().join(format!("{name}.json"));
        let actual = format!("{}\n", serde_json::to_string_pretty(&normalized(row)).unwrap());
        if updating() {
            fs::write(&path, &actual).unwrap();
        }
        let pinned = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(actual, pinned, "{name}: if the change is intended, see the top of this file");
    }
    let pinned: BTreeSet<String> = pinned().into_keys().collect();
    assert_eq!(pinned, shapes.into_keys().collect(), "each pinned shape is still stored");
}

#[tokio::test]
async fn every_kind_of_row_is_documented_pinned_and_stored() {
    let (bench, _tenant, shapes) = stored().await;
    let kinds = kinds();
    assert_eq!(kinds.len(), 66);
    for (_, row) in rows::everything(&bench) {
        let fitting = kinds.iter().filter(|kind| kind.is(&row)).count();
        assert_eq!(fitting, 1, "store.rs documents each row in one line: {row}");
    }
    for kind in &kinds {
        let name = kind.name.split([',', '(']).next().unwrap().trim().replace('\'', "").replace(' ', "_");
        let of_kind: Vec<&String> = shapes.iter().filter(|(_, row)| kind.is(row)).map(|(name, _)| name).collect();
        assert!(!of_kind.is_empty(), "{name} is pinned");
        for shape in of_kind {
            assert_eq!(shape.split('.').next(), Some(name.as_str()), "a shape is named after its kind");
        }
    }
}

fn pinned() -> BTreeMap<String, Value> {
    read_shapes(&folder())
}

fn read_shapes(folder: &Path) -> BTreeMap<String, Value> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.is_file())
        .map(|path| {
            let row = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), row)
        })
        .collect()
}

/// A pinned row with a sample value for each name.
fn with_sample_values(value: &Value) -> Value {
    match value {
        Value::String(text) => {
            let mut text = text.clone();
            for number in 1..10_u128 {
                let id = Uuid::from_u128(0x0190_f3c4_7b5e_7a11_8c1d_3f2a_9b6c_0000 + number).to_string();
                text = text.replace(&format!("<id {number}>"), &id).replace(&format!("<device {number}>"), &id);
                text = text.replace(&format!("<hash {number}>"), Hash::of(number.to_string()).as_str());
            }
            text = text.replace("<code 1>", "2222222222222222222222");
            text = text.replace("<version>", "abcd1234");
            text.replace("<short>", "12345678").replace("<shard>", "07").into()
        }
        Value::Array(items) => items.iter().map(with_sample_values).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), with_sample_values(value))).collect::<Map<_, _>>().into()
        }
        other => other.clone(),
    }
}

/// Reads a row as an object, also with an attribute of a later release.
fn read<T: Read>(name: &str, row: &Value) -> T {
    let mut newer = row.clone();
    newer["added_by_a_newer_release"] = json!({"a": [1]});
    let _read: T = aws::from_json(newer).unwrap_or_else(|error| panic!("{name} from a newer release: {error}"));
    aws::from_json(row.clone()).unwrap_or_else(|error| panic!("{name} is no longer read: {error}"))
}

/// The fields that an object's rows have.
fn written<R: Row>(object: &R) -> Value {
    let (mut row, second) = aws::to_json(object).unwrap();
    row.as_object_mut().unwrap().extend(second.into_iter().flat_map(|row| row.as_object().unwrap().clone()));
    row
}

/// Asserts that a row is read and written back with the same key and attributes.
fn expect_round_trip<R: Row>(name: &str, row: &Value) {
    expect_readable_from_later_release::<R>(name, row);
    let thing: R = read(name, row);
    let key = thing.key();
    // The partitions of these rows do not follow from their fields.
    let partition_of_its_own = [
        "remembered_call",
        "its_place_among_its_persons",
        "event_of_a_busy_day",
        "delivery_by_an_earlier_release",
        "workspaces_usage_of_a_month_by_an_earlier_release",
    ];
    if !partition_of_its_own.contains(&name) {
        // A hash in a key is that of the sample values, so it differs from the pinned one.
        let form = |text: &str| Names::default().text(text);
        assert_eq!(
            (form(&key.pk), form(&key.sk)),
            (form(row["pk"].as_str().unwrap()), form(row["sk"].as_str().unwrap())),
            "{name}"
        );
    }
    for (index, value) in thing.indexes() {
        let stored = row[index].as_str().unwrap_or_else(|| panic!("{name} has no {index}"));
        let shard = index == "due_shard" || index == "of_type" && name == "event_of_a_busy_day";
        assert!(shard || stored == value, "{name}: {index}: expected {value}, found {stored}");
    }
    // The row is written back as it was read, except for keys and indexes.
    let written = written(&thing);
    let indexed: BTreeSet<&str> = thing.indexes().into_iter().map(|(index, _)| index).collect();
    let is_own = |field: &str| !indexed.contains(field) && !["pk", "sk", "expires_at_epoch"].contains(&field);
    for (field, value) in written.as_object().unwrap().iter().filter(|(field, _)| is_own(field)) {
        assert_eq!(&row[field], value, "{name}: {field}");
    }
    for field in row.as_object().unwrap().keys() {
        let known = written.get(field).is_some() || !is_own(field);
        // Identity providers alone ask when the user was last changed.
        let of_a_user = name.starts_with("user.") && field == "updated_at";
        // The consumer that counts events marks them.
        let of_an_event = name.starts_with("event") && field == "counted";
        assert!(known || of_a_user || of_an_event, "{name}: no reader has the field {field}");
    }
}

/// A row in which every object has one more field.
fn with_extra_fields(name: &str, value: &Value) -> Value {
    // Fields of these objects are names or variants.
    const MAPS: [&str; 14] = [
        "amounts",
        "changes",
        "counts",
        "credentials",
        "endpoints",
        "facets",
        "mapping",
        "networks",
        "of",
        "orders",
        "overrides",
        "secrets",
        "selection",
        "services",
    ];
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(field, value)| (field.clone(), with_extra_fields(field, value)));
            let mut fields: Map<String, Value> = fields.collect();
            if !MAPS.contains(&name) {
                fields.insert("added_by_a_newer_release".to_owned(), json!({"a": [1]}));
            }
            fields.into()
        }
        Value::Array(items) => items.iter().map(|item| with_extra_fields(name, item)).collect(),
        other => other.clone(),
    }
}

/// The places of a row's enumeration values, and of texts that could be some.
fn words(at: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(word) => {
            let is_letter =
                |letter: char| letter.is_ascii_lowercase() || "._:".contains(letter) || letter.is_ascii_digit();
            if word.starts_with(|letter: char| letter.is_ascii_lowercase()) && word.chars().all(is_letter) {
                found.push(at.to_owned());
            }
        }
        Value::Array(items) => items.iter().enumerate().for_each(|(n, item)| words(&format!("{at}/{n}"), item, found)),
        Value::Object(fields) => fields.iter().for_each(|(name, value)| words(&format!("{at}/{name}"), value, found)),
        _ => {}
    }
}

/// Asserts that a row of a later release is readable, with more fields and other enumeration values
/// everywhere, and that unknown values are written back unchanged.
fn expect_readable_from_later_release<R: Row>(name: &str, row: &Value) {
    let _grown: R = aws::from_json(with_extra_fields("", row))
        .unwrap_or_else(|error| panic!("{name} with fields of a later release: {error}"));
    let mut places = Vec::new();
    words("", row, &mut places);
    // These are the store's own, or what an issuer says of its keys.
    let own = |place: &&String| {
        let field = place[1..].split('/').next().unwrap_or_default();
        !["pk", "sk"].contains(&field) && !aws::INDEXED.contains(&field) && name != "issuers_keys"
    };
    for place in places.iter().filter(own) {
        let mut later = row.clone();
        // Stored as one letter for the kind, and a time.
        let word = if place == "/failed" { "x19a0b1c2d3e" } else { "a_later.word:2" };
        *later.pointer_mut(place).unwrap() = word.into();
        let read: R = aws::from_json(later)
            .unwrap_or_else(|error| panic!("{name} with a word of a later release at {place}: {error}"));
        // Some values are in a set, which has its own order.
        let list = place.rsplit_once('/').map_or("", |(list, _)| list);
        let written = written(&read);
        let within = written.pointer(list).and_then(Value::as_array).is_some_and(|list| list.contains(&word.into()));
        assert!(within || written.pointer(place) == Some(&word.into()), "{name}: {place}");
    }
    for place in ["/counts", "/services", "/client/secrets"] {
        let mut later = row.clone();
        let Some(Value::Object(fields)) = later.pointer_mut(place) else { continue };
        let Some(value) = fields.values().next().cloned() else { continue };
        fields.insert("a_later.word:2".to_owned(), value.clone());
        let read: R = aws::from_json(later)
            .unwrap_or_else(|error| panic!("{name} with something of a later release in {place}: {error}"));
        let written = written(&read);
        assert_eq!(written.pointer(place).unwrap()["a_later.word:2"], value, "{name}: {place}");
    }
}

#[test]
fn rows_of_earlier_releases_are_still_readable() {
    let pinned = pinned();
    assert!(pinned.len() > 70, "{} shapes", pinned.len());
    for (name, row) in pinned {
        let row = with_sample_values(&row);
        match name.split('.').next().unwrap() {
            "workspace" => expect_round_trip::<Workspace>(&name, &row),
            "user" => expect_round_trip::<User>(&name, &row),
            "invitation" => expect_round_trip::<Offer>(&name, &row),
            "messages_sent_to_a_recipient" => expect_round_trip::<RecipientHistory>(&name, &row),
            "messages_of_a_day" => expect_round_trip::<DailyCount>(&name, &row),
            "device" => expect_round_trip::<Device>(&name, &row),
            "its_attachments" => expect_round_trip::<DeviceAttachments>(&name, &row),
            "its_command" => expect_round_trip::<Command>(&name, &row),
            "users_usage_of_a_month" | "workspaces_usage_of_a_month" => expect_round_trip::<Usage>(&name, &row),
            "workspaces_usage_of_a_month_by_an_earlier_release" => {
                assert_eq!(read::<Usage>(&name, &row).counts[&UsageKind::MessagesSent], 3, "{name}");
            }
            "profile" => expect_round_trip::<Profile>(&name, &row),
            "when_it_was_given_to_users" => expect_round_trip::<ProfileAssignment>(&name, &row),
            "job" => expect_round_trip::<Job>(&name, &row),
            "outcome_of_a_jobs_thing" => expect_round_trip::<JobItem>(&name, &row),
            "range_of_a_job" => expect_round_trip::<JobRange>(&name, &row),
            "page_of_a_range" => expect_round_trip::<JobPage>(&name, &row),
            "its_push_token" => expect_round_trip::<PushToken>(&name, &row),
            "identifiers_claim" => expect_round_trip::<IdentifierClaim>(&name, &row),
            "event" | "event_of_a_busy_day" => expect_round_trip::<Event>(&name, &row),
            "number_of_shards_of_a_days_events" => expect_round_trip::<EventShards>(&name, &row),
            "key" => expect_round_trip::<ApiKey>(&name, &row),
            "member" => expect_round_trip::<Member>(&name, &row),
            "personal_access_token" => expect_round_trip::<Token>(&name, &row),
            "its_place_among_its_persons" => expect_round_trip::<TokenPlace>(&name, &row),
            "remembered_call" => expect_round_trip::<IdempotencyRow>(&name, &row),
            "consumers_lease" => expect_round_trip::<Lease>(&name, &row),
            "issuers_keys" => expect_round_trip::<IssuerKeys>(&name, &row),
            "code" | "text_message" => {
                assert!(read::<OfferRef>(&name, &row).user_id.to_string() == row["user_id"])
            }
            "pointer" => assert!(read::<Pointer>(&name, &row).to_pk == row["to_pk"]),
            "username" | "external_id" | "identity_key" | "sources_username" => {
                assert!(row["user_id"].is_string());
            }
            "users_scim_attributes" => expect_round_trip::<ScimAttributes>(&name, &row),
            "what_a_profile_is_called" => assert!(row["name"].is_string()),
            "profiles_name" => assert!(row["profile_id"].is_string()),
            "users_secrets" => {
                let stored = |kind: &SecretKind| row[kind.as_str()].is_string();
                assert!(SecretKind::ALL.iter().all(stored), "{name}");
            }
            "webhook" => expect_round_trip::<Webhook>(&name, &row),
            "delivery" | "delivery_by_an_earlier_release" => expect_round_trip::<Delivery>(&name, &row),
            "webhooks_call_slot" => expect_round_trip::<CallSlot>(&name, &row),
            "webhooks_secrets" => assert_eq!(read::<Secrets>(&name, &row).earlier.len(), 1),
            "source" => expect_round_trip::<DataSource>(&name, &row),
            "part_of_its_upload" => expect_round_trip::<UploadPart>(&name, &bytes_in(row, "bytes")),
            "its_staged_rows" => expect_round_trip::<StagedRows>(&name, &bytes_in(row, "rows")),
            "by_what_their_users_are_known" => expect_round_trip::<StagedKeys>(&name, &bytes_in(row, "keys")),
            "sources_token" => assert!(row["token"].is_string()),
            "invitations_code" => assert!(is_code(row["code"].as_str().unwrap())),
            "its_details" => assert!(row["push_endpoint"].is_string(), "{name}: read with the device's own row"),
            "day_of_a_users_last_login" | "day_of_a_devices_last_login" => {
                assert!(row["list"].is_string() && row["login_day"].is_string(), "{name}");
            }
            "users_shadow" | "devices_shadow" | "jobs_shadow" => expect_round_trip::<Shadow>(&name, &row),
            "count_of_things" | "count_of_events" => assert!(row["n"].is_number(), "{name}"),
            "mark_that_everything_is_derived" => assert!(row["since"].is_string(), "{name}"),
            // Their keys contain everything.
            "facets_entry"
            | "orders_entry"
            | "search_word"
            | "search_word_by_an_earlier_release"
            | "endpoints_holder"
            | "credentials_holder" => {
                assert_eq!(row.as_object().unwrap().len(), 2, "{name}")
            }
            other => panic!("say here how {other} is read"),
        }
    }
}

/// A row with its bytes as JSON.
fn bytes_in(mut row: Value, field: &str) -> Value {
    let bytes = STANDARD.decode(row[field].as_str().unwrap()).unwrap();
    row[field] = json!(bytes);
    row
}

/// Rows as they were stored before a field was added: `shapes/earlier` has those that are no
/// longer written so.
#[test]
fn rows_without_later_fields_are_still_readable() {
    let earlier = read_shapes(&folder().join("earlier"));
    assert!(!earlier.is_empty());
    for (name, row) in earlier {
        let row = with_sample_values(&row);
        match name.split('.').next().unwrap() {
            "user" => {
                assert!(row.get("source").is_none(), "{name}");
                let user: User = read(&name, &row);
                assert_eq!((user.source, user.status()), (Source::Api, status_of(&row)), "{name}");
            }
            // The time of the assignment was in the profile's own row.
            "profile" => assert!(row["given_at"].is_string() && read::<Profile>(&name, &row).version == 2, "{name}"),
            // The rule for silent devices had no creator.
            "workspace" if row.get("silent_rule_at").is_some() => {
                let workspace = read::<Workspace>(&name, &row);
                assert!(workspace.settings.silent_devices.is_some() && workspace.silent_rule_by.is_none(), "{name}");
            }
            "workspace" => {
                assert!(row.get("settings").is_none(), "{name}");
                assert_eq!(read::<Workspace>(&name, &row).settings, WorkspaceSettings::default());
            }
            // A report of usage was an event, and its counts were in a map.
            "event" => assert_eq!(read::<Event>(&name, &row).event_type, EventType::UserUsageReported, "{name}"),
            "users_usage_of_a_month" => {
                let counts = read::<Usage>(&name, &row).counts;
                assert_eq!(json!(counts), row["counts"], "{name}");
            }
            // Invitations had no recipient.
            "invitation" => {
                let invitation: Offer = read(&name, &row);
                assert_eq!((invitation.sent_to.clone(), invitation.warnings()), (None, Vec::new()), "{name}");
            }
            // A device had one row, with the day of its last login.
            "device" if row.get("login_day").is_some() => {
                let device: Device = read(&name, &row);
                assert!(device.failed.is_some() && device.last_login_at.is_some(), "{name}");
            }
            // Enrolments had no time, so a lost response is not repeated.
            "device" => {
                let device: Device = read(&name, &row);
                assert!(device.enrolment.is_some_and(|enrolment| enrolment.at.is_none()), "{name}");
            }
            // Memberships were not pending.
            "member" => assert!(!read::<Member>(&name, &row).pending, "{name}"),
            // Keys created by a key did not end with it.
            "key" => {
                let key = read::<ApiKey>(&name, &row);
                assert!(matches!(key.created_by.actor, Actor::Key(_)) && key.ancestors.is_empty(), "{name}");
            }
            // The second page was in the job's row, and there were no ranges.
            "job" => {
                let job: Job = read(&name, &row);
                assert!(!job.page.is_empty() && job.listing.is_none() && !job.is_in_ranges(), "{name}");
            }
            other => panic!("say here how {other} is read"),
        }
    }
}

/// The status of a user in rows without later states: active once they had registered.
fn status_of(user: &Value) -> UserStatus {
    if user.get("registered_at").is_some() { UserStatus::Active } else { UserStatus::Inactive }
}

/// The prefixes of derived rows' keys.
const INDEX_ROWS: [&str; 12] = [
    "USERNAME#",
    "IDENTITYKEY#",
    "EXTERNALID#",
    "SOURCENAME#",
    "PROFILENAME#",
    "CALLED#",
    "WORD#",
    "CODE#",
    "MESSAGE#",
    "ENDPOINT#",
    "CREDENTIAL#",
    "POINTER#",
];

/// A row without its derived attributes. The due time of a job or a source is its own, and a device's user is
/// only stored in `owner`.
fn without_derived_attributes(row: &Value) -> Value {
    let own = |name: &str| match name {
        "due_at" => row["sk"] == "JOB" || row["sk"] == "SOURCE",
        "owner" => row["sk"] == "DEVICE",
        _ => false,
    };
    let mut bare = row.clone();
    let fields = bare.as_object_mut().unwrap();
    fields.retain(|name, _| own(name) || !aws::INDEXED.contains(&name.as_str()));
    bare
}

/// The rows as after a release with other derived rows and attributes.
#[tokio::test]
async fn reindex_restores_derived_rows_and_writes_nothing_twice() {
    let (bench, _tenant, _shapes) = stored().await;
    let before = rows::all(&bench, MAIN);
    for row in before.values() {
        if row["sk"] == "SEEN" || INDEX_ROWS.iter().any(|kind| row["pk"].as_str().unwrap().starts_with(kind)) {
            rows::remove(&bench, MAIN, row);
        } else if without_derived_attributes(row) != *row {
            let binary = ["bytes", "rows", "keys"].iter().any(|name| row.get(name).is_some());
            assert!(!binary, "it has no index");
            rows::put(&bench, MAIN, &without_derived_attributes(row), &["device_ids"]);
        }
    }
    let stripped = rows::all(&bench, MAIN);
    assert!(stripped.len() + 100 < before.len(), "{} of {}", stripped.len(), before.len());
    // Rows of another workspace are not changed.
    let other = json!({"workspace_id": Uuid::from_u128(1)});
    let answer = bench.stack.invoke("reindex", other).await.unwrap();
    assert_eq!((&answer["looked_at"], &answer["written"]), (&json!(0), &json!(0)));
    let answer = bench.stack.invoke("reindex", json!({})).await.unwrap();
    assert!(answer["written"].as_u64().unwrap() > 100, "{answer}");
    assert_eq!((&answer["unreadable"], &answer["names_held"], &answer["cursor"]), (&json!(0), &json!(0), &json!(null)));
    let mut after = rows::all(&bench, MAIN);
    for (key, row) in &mut after {
        // A writer who read the row before gets a conflict.
        if let Some(version) = before[key].get("version") {
            row["version"] = version.clone();
        }
    }
    assert_eq!(after, before);
    let repeated = bench.stack.invoke("reindex", json!({})).await.unwrap();
    assert_eq!(repeated["written"], 0, "{repeated}");
}

/// The paths of all lists.
const LISTS: [&str; 20] = [
    "/deployments",
    "/devices",
    "/devices/export",
    "/devices?search=iphone",
    "/events",
    "/events/export",
    "/jobs",
    "/keys",
    "/members",
    "/phones/list",
    "/profiles",
    "/scim/v2/Users",
    "/scim/v2/Users?filter=userName%20eq%20%22ada%22",
    "/sources",
    "/usage",
    "/user_identities/list",
    "/users",
    "/users/export",
    "/users?search=ada",
    "/webhooks",
];

#[tokio::test]
async fn an_unreadable_row_of_any_kind_does_not_stop_a_list() {
    let (bench, tenant, _shapes) = stored().await;
    bench.expect_another_release();
    let mut kinds: BTreeMap<(String, String), Vec<Value>> = BTreeMap::new();
    let prefix = |row: &Value, part: &str| row[part].as_str().unwrap().split('#').next().unwrap().to_owned();
    for row in rows::all(&bench, MAIN).into_values() {
        let callers = row["sk"] == "WORKSPACE" || row["name"] == "First key";
        let binary = ["bytes", "rows", "keys"].iter().any(|name| row.get(name).is_some());
        if row["version"].is_number() && !callers && !binary {
            kinds.entry((prefix(&row, "pk"), prefix(&row, "sk"))).or_default().push(row);
        }
    }
    assert!(kinds.len() > 20, "{:?}", kinds.keys());
    let mut stopped = Vec::new();
    for (kind, rows) in kinds {
        for row in &rows {
            let mut broken = row.clone();
            broken["version"] = "first".into();
            rows::put(&bench, MAIN, &broken, &["device_ids"]);
        }
        for list in LISTS {
            let status = bench.get(list, &tenant.key).await.status;
            if status != 200 {
                stopped.push(format!("{list}: {status}, by {kind:?}"));
            }
        }
        rows.iter().for_each(|row| rows::put(&bench, MAIN, row, &["device_ids"]));
    }
    assert!(stopped.is_empty(), "{stopped:#?}");
}
