//! Personal access tokens: what they permit, for how long, and who can revoke them.

use chrono::Duration;
use http::{Method, Request};
use serde_json::{Value, json};
use testkit::oidc::{self, Oidc, get_as, new_token, send_as};
use testkit::{Answer, Bench, Tenant, rows};

/// A system of two workspaces, with a person who is an admin in the first and a viewer in the second.
struct TokenOwner {
    oidc: Oidc,
    bench: Bench,
    first: Tenant,
    second: Tenant,
    anna: String,
}

impl TokenOwner {
    async fn new() -> Self {
        let oidc = Oidc::new();
        let bench = oidc.bench().await;
        let (first, second) = (bench.tenant("First").await, bench.tenant("Second").await);
        let anna = oidc::add_accepted_member(&bench, &first, "anna", "admin").await;
        let _viewer = oidc::add_accepted_member(&bench, &second, "anna", "viewer").await;
        Self { oidc, bench, first, second, anna }
    }

    fn signed_in(&self) -> String {
        self.oidc.token("anna", self.bench.now())
    }

    /// Creates a token for both workspaces.
    async fn token_for_both(&self) -> Answer {
        new_token(&self.bench, &self.signed_in(), &[&self.first.workspace_id, &self.second.workspace_id], None).await
    }

    /// Creates a token for the first workspace.
    async fn token_for_first(&self, permissions: Option<&[&str]>) -> Answer {
        new_token(&self.bench, &self.signed_in(), &[&self.first.workspace_id], permissions).await
    }

    async fn answer(&self, token: &str, path: &str, tenant: Option<&Tenant>) -> (u16, String) {
        let answer = get_as(&self.bench, path, token, tenant.map(|tenant| tenant.workspace_id.as_str())).await;
        (answer.status.as_u16(), answer.code().to_owned())
    }
}

fn accepted() -> (u16, String) {
    (200, String::new())
}

fn rejected(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn a_token_gives_access_to_its_workspaces_and_the_header_selects_one() {
    let fixture = TokenOwner::new().await;
    let third = fixture.bench.tenant("Third").await;
    let _member = oidc::add_accepted_member(&fixture.bench, &third, "anna", "admin").await;
    let created = fixture.token_for_both().await;
    let token = created.get("token");
    assert!(token.starts_with("seam_at1_"), "{token}");
    for (tenant, name) in [(&fixture.first, "ada"), (&fixture.second, "bea")] {
        let _user = fixture.bench.user(tenant, name).await;
        for header in ["x-workspace-id", "seam-workspace"] {
            let workspace = Some((header, tenant.workspace_id.as_str()));
            let users = send_as(&fixture.bench, Method::GET, "/users", &token, workspace, None).await.expect(200);
            assert_eq!(users.body["items"][0]["username"], name);
        }
    }
    let unsaid = get_as(&fixture.bench, "/users", &token, None).await.expect(422);
    assert_eq!(unsaid.body["errors"][0]["field"], "x-workspace-id");
    // A workspace that the token does not name is rejected although the person is a member.
    for other in [third.workspace_id.as_str(), "garbage", ""] {
        let answer = get_as(&fixture.bench, "/users", &token, Some(other)).await.expect(401);
        assert_eq!(answer.code(), "credential_invalid", "{other:?}");
    }
    // A role holds in its own workspace only.
    assert_eq!(fixture.answer(&token, "/keys", Some(&fixture.first)).await, accepted());
    assert_eq!(fixture.answer(&token, "/keys", Some(&fixture.second)).await, rejected(403, "permission_missing"));
    // A token with one workspace needs no header.
    let only = fixture.token_for_first(None).await.get("token");
    assert_eq!(fixture.answer(&only, "/keys", None).await, accepted());
}

#[tokio::test]
async fn a_token_has_its_members_present_role() {
    let fixture = TokenOwner::new().await;
    let token = fixture.token_for_both().await.get("token");
    let _other = oidc::add_accepted_member(&fixture.bench, &fixture.first, "bert", "admin").await;
    let path = format!("/members/{}", fixture.anna);
    let _removed = fixture.bench.delete(&path, &fixture.first.key).await.expect(200);
    assert_eq!(fixture.answer(&token, "/users", Some(&fixture.first)).await, rejected(401, "credential_invalid"));
    assert_eq!(
        fixture.answer(&token, "/users", Some(&fixture.second)).await,
        accepted(),
        "elsewhere they are a member still"
    );
    // A member who is added again has no access by earlier tokens.
    fixture.bench.advance(Duration::minutes(1));
    let _member = oidc::add_accepted_member(&fixture.bench, &fixture.first, "anna", "viewer").await;
    assert_eq!(fixture.answer(&token, "/users", Some(&fixture.first)).await, rejected(401, "credential_invalid"));
    assert_eq!(fixture.answer(&token, "/users", Some(&fixture.second)).await, accepted());
    let fresh = fixture.token_for_both().await.get("token");
    assert_eq!(fixture.answer(&fresh, "/users", Some(&fixture.first)).await, accepted());
    assert_eq!(fixture.answer(&fresh, "/keys", Some(&fixture.first)).await, rejected(403, "permission_missing"));
}

#[tokio::test]
async fn a_token_has_its_own_permissions_and_never_more_than_the_role() {
    let fixture = TokenOwner::new().await;
    let narrow = fixture.token_for_first(Some(&["users:read", "workspace:manage"])).await;
    assert_eq!(narrow.body["permissions"], json!(["users:read", "workspace:manage"]));
    let narrow = narrow.get("token");
    assert_eq!(fixture.answer(&narrow, "/users", None).await, accepted());
    assert_eq!(fixture.answer(&narrow, "/keys", None).await, accepted());
    assert_eq!(fixture.answer(&narrow, "/devices", None).await, rejected(403, "permission_missing"));
    // A token cannot create keys, which would outlive it. Events of other objects name the token.
    let key = json!({"name": "k", "permissions": ["users:read"]});
    assert_eq!(fixture.bench.post("/keys", &narrow, key).await.expect(403).code(), "token_makes_no_keys");
    let viewer = json!({"issuer": oidc::ISSUER, "subject": "eve", "role": "viewer"});
    assert_eq!(fixture.bench.post("/members", &narrow, viewer.clone()).await.expect(403).code(), "permission_not_held");
    let all = fixture.token_for_first(None).await;
    let created = fixture.bench.post("/members", &all.get("token"), viewer).await.expect(201);
    assert_eq!(created.body["created_by"]["token_id"], all.body["token_id"]);
    let workspaces = [fixture.second.workspace_id.as_str()];
    let wide =
        new_token(&fixture.bench, &fixture.signed_in(), &workspaces, Some(&["users:read", "users:manage"])).await;
    let user = fixture.bench.post("/users", &wide.get("token"), json!({"username": "eve"})).await.expect(403);
    assert_eq!(user.code(), "permission_missing", "a viewer's token makes no users");
}

#[tokio::test]
async fn a_token_expires_at_its_time_and_ends_at_once_when_it_is_revoked() {
    let fixture = TokenOwner::new().await;
    let body = json!({
        "name": "short", "workspace_ids": [fixture.first.workspace_id], "expires_at": "2026-11-23T09:00:00Z",
    });
    let short = fixture.bench.post("/tokens", &fixture.signed_in(), body).await.expect(201);
    let long = fixture.token_for_first(None).await;
    fixture.bench.advance(Duration::minutes(60) - Duration::milliseconds(1));
    assert_eq!(fixture.answer(&short.get("token"), "/users", None).await, accepted());
    fixture.bench.advance(Duration::milliseconds(1));
    assert_eq!(fixture.answer(&short.get("token"), "/users", None).await, rejected(401, "credential_expired"));
    assert_eq!(fixture.answer(&long.get("token"), "/users", None).await, accepted());
    let path = format!("/tokens/{}", long.get("token_id"));
    let first = fixture.bench.delete(&path, &fixture.signed_in()).await.expect(200);
    assert_eq!(first.body["status"], "revoked");
    assert_eq!(fixture.answer(&long.get("token"), "/users", None).await, rejected(401, "credential_revoked"));
    fixture.bench.advance(Duration::minutes(1));
    let second = fixture.bench.delete(&path, &fixture.signed_in()).await.expect(200);
    assert_eq!(first.body, second.body, "a repetition gets the same response");
    let types = fixture.bench.event_types(&fixture.first).await;
    let count = |wanted: &str| types.iter().filter(|kind| *kind == wanted).count();
    assert_eq!((count("token.created"), count("token.revoked")), (2, 1));
}

#[tokio::test]
async fn an_altered_token_is_rejected() {
    let fixture = TokenOwner::new().await;
    let token = fixture.token_for_first(None).await.get("token");
    let other = fixture.token_for_first(None).await.get("token");
    let last = if token.ends_with('1') { '2' } else { '1' };
    let cases = [
        format!("{}{last}", &token[..token.len() - 1]),
        format!("{}{}", &token[..18], &other[18..]),
        token.replace("seam_at1_", "seam_"),
        token.replace("at1", "at2"),
        token[..token.len() - 1].to_owned(),
        format!("{token}1"),
        token.to_uppercase(),
    ];
    for wrong in cases {
        assert_eq!(fixture.answer(&wrong, "/users", None).await, rejected(401, "credential_invalid"), "{wrong}");
    }
}

#[tokio::test]
async fn a_token_ends_with_the_issuer_of_its_owner() {
    let fixture = TokenOwner::new().await;
    let former = json!({"issuer": "https://former.example", "subject": "anna", "role": "admin"});
    let _member = fixture.bench.post("/members", &fixture.first.key, former).await.expect(201);
    let token = fixture.token_for_first(None).await.get("token");
    assert_eq!(fixture.answer(&token, "/users", None).await, accepted());
    let mut rows = rows::all(&fixture.bench, rows::MAIN).into_iter();
    let (_, mut row) = rows.find(|(key, _)| key.starts_with("TOKEN#")).unwrap();
    row["issuer"] = json!("https://former.example");
    rows::put(&fixture.bench, rows::MAIN, &row, &[]);
    assert_eq!(fixture.answer(&token, "/users", None).await, rejected(401, "credential_invalid"));
}

#[tokio::test]
async fn only_a_signed_in_person_creates_lists_and_revokes_tokens() {
    let fixture = TokenOwner::new().await;
    let token = fixture.token_for_first(None).await;
    let path = format!("/tokens/{}", token.get("token_id"));
    let body = json!({
        "name": "n", "workspace_ids": [fixture.first.workspace_id], "expires_at": "2026-12-24T00:00:00Z",
    });
    let both = fixture.token_for_both().await.get("token");
    let before = rows::everything(&fixture.bench);
    for credential in [fixture.first.key.clone(), token.get("token"), both] {
        for (method, path, body) in [
            (Method::POST, "/tokens", Some(&body)),
            (Method::GET, "/tokens", None),
            (Method::DELETE, path.as_str(), None),
        ] {
            let answer = fixture.bench.call(method, path, Some(&credential), body).await.expect(403);
            assert_eq!(answer.code(), "member_only");
        }
    }
    assert!(rows::everything(&fixture.bench) == before, "something was changed");
    // Another person does not see her tokens.
    let _bert = oidc::add_accepted_member(&fixture.bench, &fixture.first, "bert", "admin").await;
    let bert = fixture.oidc.token("bert", fixture.bench.now());
    assert_eq!(fixture.bench.delete(&path, &bert).await.expect(404).code(), "token_not_found");
    assert_eq!(fixture.bench.get("/tokens", &bert).await.expect(200).body["items"], json!([]));
    assert_eq!(fixture.answer(&token.get("token"), "/users", None).await, accepted());
}

#[tokio::test]
async fn a_token_is_shown_once_and_the_list_shows_everything_else() {
    let fixture = TokenOwner::new().await;
    let created = fixture.token_for_both().await;
    let token = created.get("token");
    fixture.bench.advance(Duration::minutes(1));
    let narrow = fixture.token_for_first(Some(&["users:read"])).await;
    let listed = fixture.bench.get("/tokens", &fixture.signed_in()).await.expect(200);
    let items = listed.body["items"].as_array().unwrap();
    let ids: Vec<&Value> = items.iter().map(|item| &item["token_id"]).collect();
    assert_eq!(ids, [&narrow.body["token_id"], &created.body["token_id"]], "the newest first");
    let mut shown = created.body.clone();
    shown.as_object_mut().unwrap().remove("token");
    assert_eq!(items[1], shown);
    assert_eq!(items[1]["workspace_ids"].as_array().unwrap().len(), 2);
    assert!(!listed.text.contains(&token[18..]), "its secret is shown once");
    let secret = &token[18..];
    for (key, row) in rows::everything(&fixture.bench) {
        assert!(!row.to_string().contains(secret), "{key:?} contains the secret");
    }
    // Page by page it is the same list.
    let page = fixture.bench.get("/tokens?limit=1", &fixture.signed_in()).await.expect(200);
    assert_eq!(page.body["items"].as_array().unwrap().len(), 1);
    let cursor = page.get("next_cursor");
    let rest = fixture.bench.get(&format!("/tokens?limit=1&cursor={cursor}"), &fixture.signed_in()).await.expect(200);
    assert_eq!((&rest.body["items"][0], &rest.body["next_cursor"]), (&items[1], &Value::Null));
    let faulty = fixture.bench.get("/tokens?limit=0", &fixture.signed_in()).await.expect(422);
    assert_eq!(faulty.body["errors"][0]["field"], "limit");
    let _bert = oidc::add_accepted_member(&fixture.bench, &fixture.first, "bert", "admin").await;
    let bert = fixture.oidc.token("bert", fixture.bench.now());
    let foreign = fixture.bench.get(&format!("/tokens?cursor={cursor}"), &bert).await.expect(400);
    assert_eq!(foreign.code(), "cursor_invalid");
}

#[tokio::test]
async fn a_repeated_request_creates_one_token() {
    let fixture = TokenOwner::new().await;
    let send = async |name: &str, subject: &str| {
        let body = json!({
            "name": name, "workspace_ids": [fixture.first.workspace_id], "expires_at": "2026-12-24T00:00:00Z",
        });
        let token = fixture.oidc.token(subject, fixture.bench.now());
        let request = Request::builder().method(Method::POST).uri("/tokens").header("idempotency-key", "once");
        let request = request.header("authorization", format!("Bearer {token}"));
        fixture.bench.send(request.body(body.to_string().into_bytes()).unwrap()).await
    };
    let created = send("n", "anna").await.expect(201);
    let repeated = send("n", "anna").await.expect(409);
    assert_eq!((repeated.code(), repeated.get("id")), ("already_created", created.get("token_id")));
    assert_eq!(send("other", "anna").await.expect(422).code(), "idempotency_mismatch");
    let _bert = oidc::add_accepted_member(&fixture.bench, &fixture.first, "bert", "admin").await;
    let _his = send("n", "bert").await.expect(201);
}

#[tokio::test]
async fn each_workspace_of_a_token_records_its_creation_and_end() {
    let fixture = TokenOwner::new().await;
    fixture.bench.advance(Duration::minutes(1));
    let token = fixture.token_for_both().await;
    fixture.bench.advance(Duration::minutes(1));
    let _revoked =
        fixture.bench.delete(&format!("/tokens/{}", token.get("token_id")), &fixture.signed_in()).await.expect(200);
    for tenant in [&fixture.first, &fixture.second] {
        let events = fixture.bench.get("/events?limit=2", &tenant.key).await.expect(200);
        let [revoked, created] = events.body["items"].as_array().unwrap().as_slice() else { panic!("two events") };
        let members = fixture.bench.get("/members", &tenant.key).await.expect(200);
        let member = &members.body["items"][0]["member_id"];
        for (event, kind) in [(created, "token.created"), (revoked, "token.revoked")] {
            assert_eq!(event["event_type"], kind);
            assert_eq!(event["workspace_id"], tenant.workspace_id.as_str());
            assert_eq!(event["token_id"], token.body["token_id"]);
            assert_eq!(event["actor"], json!({"type": "member", "id": member}), "their membership there");
            assert_eq!(event["member_id"], *member);
            assert_eq!(event["actor_token_id"], Value::Null);
        }
        let text = events.text.clone();
        let other = if tenant.key == fixture.first.key { &fixture.second } else { &fixture.first };
        assert!(!text.contains(&other.workspace_id), "nothing of the other workspace");
    }
}

#[tokio::test]
async fn events_by_a_token_name_the_member_and_the_token() {
    let fixture = TokenOwner::new().await;
    let token = fixture.token_for_first(None).await;
    let user = fixture.bench.post("/users", &token.get("token"), json!({"username": "eve"})).await.expect(201);
    assert_eq!(user.body["source"], "api", "created by a program");
    let events = fixture.bench.get("/events?event_type=user.created", &fixture.first.key).await.expect(200);
    let event = &events.body["items"][0];
    assert_eq!(event["actor"], json!({"type": "member", "id": fixture.anna}));
    assert_eq!(event["actor_token_id"], token.body["token_id"]);
    let export =
        fixture.bench.get("/events/export?columns=event_type,actor_token_id", &fixture.first.key).await.expect(200);
    assert!(export.text.contains(&format!("user.created,{}", token.get("token_id"))), "{}", export.text);
}

/// A running job for all users: there are more than one request handles.
async fn running_job(fixture: &TokenOwner, token: &str) -> String {
    let started =
        fixture.bench.post("/users/bulk", token, json!({"action": "activate", "filter": {}})).await.expect(202);
    let job = started.get("job_id");
    let is_match = |row: &&Value| row["job_id"] == *job && row["sk"] == "JOB";
    let mut row = rows::all(&fixture.bench, rows::MAIN).values().find(is_match).cloned().unwrap();
    row["state"] = "running".into();
    row["page"] = json!([]);
    row["cursor"] = "".into();
    row["due_at"] = fixture.bench.now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true).into();
    row["due_shard"] = "DUE#00".into();
    let _ended = row.as_object_mut().unwrap().remove("ended_at");
    rows::put(&fixture.bench, rows::MAIN, &row, &[]);
    job
}

#[tokio::test]
async fn a_job_created_by_a_token_continues_only_while_the_token_is_valid() {
    let fixture = TokenOwner::new().await;
    let _other = oidc::add_accepted_member(&fixture.bench, &fixture.first, "bert", "admin").await;
    let _user = fixture.bench.user(&fixture.first, "ada").await;
    let state = async |job: &str| {
        fixture.bench.advance(Duration::minutes(1));
        let _run = fixture.bench.run_due().await;
        fixture.bench.get(&format!("/jobs/{job}"), &fixture.first.key).await.expect(200).get("state")
    };
    let stored = fixture.token_for_first(None).await.get("token");
    let job = running_job(&fixture, &stored).await;
    assert_eq!(state(&job).await, "finished");
    // The person is still a member and can sign in.
    let revoked = fixture.token_for_first(None).await;
    let job = running_job(&fixture, &revoked.get("token")).await;
    let path = format!("/tokens/{}", revoked.get("token_id"));
    let _revoked = fixture.bench.delete(&path, &fixture.signed_in()).await.expect(200);
    assert_eq!(state(&job).await, "canceled", "its token was revoked");
    let shut_out = fixture.token_for_first(None).await;
    let job = running_job(&fixture, &shut_out.get("token")).await;
    let path = format!("/members/{}/tokens/{}", fixture.anna, shut_out.get("token_id"));
    let _deleted = fixture.bench.delete(&path, &fixture.first.key).await.expect(200);
    assert_eq!(state(&job).await, "canceled", "its token was shut out");
    let ends = fixture.bench.now() + Duration::seconds(30);
    let body = json!({"name": "n", "workspace_ids": [fixture.first.workspace_id], "expires_at": ends.to_rfc3339()});
    let short = fixture.bench.post("/tokens", &fixture.signed_in(), body).await.expect(201);
    let job = running_job(&fixture, &short.get("token")).await;
    assert_eq!(state(&job).await, "canceled", "its token has expired");
    let job = running_job(&fixture, &stored).await;
    let _removed = fixture.bench.delete(&format!("/members/{}", fixture.anna), &fixture.first.key).await.expect(200);
    assert_eq!(state(&job).await, "canceled", "its member was removed");
}

#[tokio::test]
async fn an_admin_sees_members_tokens_and_can_revoke_them_for_the_workspace() {
    let fixture = TokenOwner::new().await;
    let both = fixture.token_for_both().await;
    let workspaces = [fixture.second.workspace_id.as_str()];
    let elsewhere = new_token(&fixture.bench, &fixture.signed_in(), &workspaces, None).await;
    let list = format!("/members/{}/tokens", fixture.anna);
    let listed = fixture.bench.get(&list, &fixture.first.key).await.expect(200);
    let items = listed.body["items"].as_array().unwrap();
    assert_eq!((items.len(), &items[0]["token_id"]), (1, &both.body["token_id"]), "those that reach the workspace");
    assert!(!listed.text.contains(&fixture.second.workspace_id), "it shows nothing of another workspace");
    assert_eq!(items[0]["status"], "active");
    let foreign = fixture.bench.delete(&format!("{list}/{}", elsewhere.get("token_id")), &fixture.first.key).await;
    assert_eq!(foreign.expect(404).code(), "token_not_found");
    let path = format!("{list}/{}", both.get("token_id"));
    let first = fixture.bench.delete(&path, &fixture.first.key).await.expect(200);
    assert_eq!(first.body["status"], "revoked");
    let token = both.get("token");
    assert_eq!(fixture.answer(&token, "/users", Some(&fixture.first)).await, rejected(401, "credential_invalid"));
    assert_eq!(
        fixture.answer(&token, "/users", Some(&fixture.second)).await,
        accepted(),
        "it still gives access to the other workspace"
    );
    fixture.bench.advance(Duration::minutes(1));
    let second = fixture.bench.delete(&path, &fixture.first.key).await.expect(200);
    assert_eq!(first.body, second.body, "a repetition gets the same response");
    let types = fixture.bench.event_types(&fixture.first).await;
    assert_eq!(types.iter().filter(|kind| *kind == "token.revoked").count(), 1);
    let other = fixture.bench.event_types(&fixture.second).await;
    assert!(!other.contains(&"token.revoked".to_owned()));
    let own = fixture.bench.get("/tokens", &fixture.signed_in()).await.expect(200);
    let shown = own.body["items"].as_array().unwrap().iter().find(|item| item["token_id"] == both.body["token_id"]);
    assert_eq!(shown.unwrap()["workspace_ids"], json!([fixture.second.workspace_id]));
    // An admin's token may do so too, and the event names it.
    let third = fixture.token_for_first(None).await;
    let path = format!("{list}/{}", third.get("token_id"));
    let admin = fixture.token_for_first(None).await;
    fixture.bench.advance(Duration::minutes(1));
    let _deleted = fixture.bench.delete(&path, &admin.get("token")).await.expect(200);
    let event = fixture.bench.get("/events?event_type=token.revoked&limit=1", &fixture.first.key).await.expect(200);
    let event = &event.body["items"][0];
    assert_eq!((&event["token_id"], &event["actor_token_id"]), (&third.body["token_id"], &admin.body["token_id"]));
}

#[tokio::test]
async fn seam_clients_may_use_a_token_and_list_its_workspaces() {
    let fixture = TokenOwner::new().await;
    let token = fixture.token_for_both().await.get("token");
    let list = async |credential: &str| {
        let answer = fixture.bench.get("/workspaces/list", credential).await.expect(200);
        assert_eq!(answer.body["ok"], true);
        let workspaces = answer.body["workspaces"].as_array().unwrap();
        let mut names: Vec<String> = workspaces.iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(list(&token).await, ["First", "Second"]);
    assert_eq!(list(&fixture.first.key).await, ["First"], "a key has its own");
    assert_eq!(list(&fixture.signed_in()).await, ["First", "Second"]);
    assert_eq!(list(&fixture.token_for_first(None).await.get("token")).await, ["First"]);
    for tenant in [&fixture.first, &fixture.second] {
        let chosen = Some(("seam-workspace", tenant.workspace_id.as_str()));
        let got = send_as(&fixture.bench, Method::GET, "/workspaces/get", &token, chosen, None).await.expect(200);
        assert_eq!(got.body["workspace"]["workspace_id"], tenant.workspace_id.as_str());
        let only = send_as(&fixture.bench, Method::POST, "/workspaces/list", &token, chosen, None).await.expect(200);
        assert_eq!(only.body["workspaces"].as_array().unwrap().len(), 1, "the one that is named");
    }
    let unsaid = fixture.bench.get("/workspaces/get", &token).await.expect(400);
    assert_eq!(unsaid.body["error"]["type"], "invalid_input");
    let narrow = fixture.token_for_first(Some(&["devices:read"])).await.get("token");
    assert_eq!(fixture.bench.get("/workspaces/list", &narrow).await.expect(403).body["ok"], false);
    let other = Some(("seam-workspace", "0190f3c4-7b5e-7a11-8c1d-3f2a9b6c5d4e"));
    for path in ["/phones/list", "/workspaces/get", "/workspaces/list"] {
        let refused = send_as(&fixture.bench, Method::GET, path, &token, other, None).await.expect(401);
        assert_eq!(refused.body["error"]["type"], "unauthorized", "{path}");
    }
    let members = fixture.bench.get("/members", &fixture.second.key).await.expect(200);
    let anna = members.body["items"].as_array().unwrap().iter().find(|member| member["subject"] == "anna").unwrap();
    let path = format!("/members/{}", anna["member_id"].as_str().unwrap());
    let _removed = fixture.bench.delete(&path, &fixture.second.key).await.expect(200);
    assert_eq!(list(&token).await, ["First"], "where they are a member still");
}

#[tokio::test]
async fn an_expired_token_is_deleted_after_a_while() {
    let fixture = TokenOwner::new().await;
    let _token = fixture.token_for_first(None).await;
    let at = |text: &str| chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp();
    let stored = at("2026-12-31T00:00:00Z") + 90 * 24 * 3600;
    let all = rows::all(&fixture.bench, rows::MAIN);
    let of_token: Vec<&Value> =
        all.iter().filter(|(key, _)| key.starts_with("TOKEN")).map(|(_, row)| &row["expires_at_epoch"]).collect();
    assert_eq!(of_token, [&json!(stored), &json!(stored)], "the token and its list entry");
}
