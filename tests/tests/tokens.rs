//! Who an admin's token lets in, and what keys and memberships are worth.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Duration;
use domain::access::KeyMaterial;
use ring::hmac;
use serde_json::{Value, json};
use testkit::oidc::{self, AUDIENCE, EC, ISSUER, Oidc, RSA, Signer, get_as};
use testkit::outside::{Answers, Pages};
use testkit::{Bench, Tenant, rows};

/// A system with a member `anna`, an admin.
async fn with_anna() -> (Oidc, Bench, Tenant) {
    let oidc = Oidc::new();
    let bench = oidc.bench().await;
    let tenant = bench.tenant("Tokens").await;
    let _member = oidc::member(&bench, &tenant, "anna", "admin").await;
    (oidc, bench, tenant)
}

/// What the system answers to a token: the status and, if it is a problem, the code.
async fn answer(bench: &Bench, token: &str) -> (u16, String) {
    let answer = bench.get("/devices", token).await;
    (answer.status.as_u16(), answer.code().to_owned())
}

fn invalid() -> (u16, String) {
    (401, "credential_invalid".to_owned())
}

fn let_in() -> (u16, String) {
    (200, String::new())
}

#[tokio::test]
async fn a_token_by_either_kind_of_key_lets_a_member_in() {
    let (oidc, bench, _) = with_anna().await;
    for signer in [Signer::Rsa, Signer::Ec] {
        let token = oidc.token_of(&Oidc::claims("anna", bench.now()), signer);
        assert_eq!(answer(&bench, &token).await, let_in(), "{signer:?}");
    }
    assert_eq!(answer(&bench, &oidc.token("bert", bench.now())).await, invalid(), "who is no member");
}

#[tokio::test]
async fn a_token_must_be_meant_for_us_by_aud_or_client_id() {
    let (oidc, bench, _) = with_anna().await;
    let cases = [
        (json!({"aud": AUDIENCE}), true),
        (json!({"aud": [AUDIENCE]}), true),
        (json!({"aud": ["another", AUDIENCE]}), true),
        (json!({"aud": null, "client_id": AUDIENCE}), true),
        (json!({"aud": "another", "client_id": AUDIENCE}), false),
        (json!({"aud": ["another"], "client_id": AUDIENCE}), false),
        (json!({"aud": [], "client_id": AUDIENCE}), false),
        (json!({"aud": "", "client_id": AUDIENCE}), false),
        (json!({"aud": 7, "client_id": AUDIENCE}), false),
        (json!({"aud": "another"}), false),
        (json!({"aud": ["another", "third"]}), false),
        (json!({"aud": []}), false),
        (json!({"aud": [[AUDIENCE]]}), false),
        (json!({"aud": {"a": AUDIENCE}}), false),
        (json!({"aud": null}), false),
        (json!({"aud": "", "client_id": ""}), false),
        (json!({"aud": null, "client_id": "another"}), false),
        (json!({"aud": null, "azp": AUDIENCE}), false),
        (json!({"aud": format!("{AUDIENCE}2")}), false),
    ];
    for (change, good) in cases {
        let wanted = if good { let_in() } else { invalid() };
        let token = oidc.token_of(&changed(&Oidc::claims("anna", bench.now()), &change), Signer::Ec);
        assert_eq!(answer(&bench, &token).await, wanted, "{change}");
    }
}

#[tokio::test]
async fn a_token_that_says_that_it_is_something_else_than_an_access_token_is_worth_nothing() {
    let (oidc, bench, _) = with_anna().await;
    let good = [
        ("RFC 9068", "at+jwt", json!({})),
        ("RFC 9068, in full", "application/at+jwt", json!({"nonce": "n"})),
        ("RFC 9068, in other letters", "AT+JWT", json!({})),
        ("nothing but JWT", "JWT", json!({})),
        ("Cognito", "JWT", json!({"aud": null, "client_id": AUDIENCE, "token_use": "access", "scope": "openid"})),
        ("Keycloak", "JWT", json!({"typ": "Bearer", "azp": "console", "scope": "openid"})),
        ("Keycloak before its release 24", "JWT", json!({"typ": "Bearer", "nonce": "n", "azp": "console"})),
        ("Auth0", "JWT", json!({"azp": "console", "scope": "openid profile"})),
        ("Okta", "JWT", json!({"ver": 1, "cid": "console", "uid": "u", "scp": ["openid"]})),
        ("Entra, of a person", "JWT", json!({"ver": "2.0", "tid": "t", "oid": "o", "azp": "a", "scp": "use"})),
        ("Entra, first version", "JWT", json!({"ver": "1.0", "tid": "t", "oid": "o", "appid": "a"})),
    ];
    let bad = [
        ("an ID token", "JWT", json!({"nonce": "n"})),
        ("an ID token without a nonce", "JWT", json!({"at_hash": "h", "amr": ["pwd"]})),
        ("an ID token of the hybrid flow", "JWT", json!({"c_hash": "h"})),
        ("an ID token of Cognito", "JWT", json!({"token_use": "id", "cognito:username": "anna"})),
        ("an ID token of Keycloak", "JWT", json!({"typ": "ID", "azp": AUDIENCE})),
        ("a refresh token of Keycloak", "JWT", json!({"typ": "Refresh"})),
        ("an ID token of Entra", "JWT", json!({"ver": "2.0", "tid": "t", "oid": "o", "roles": ["Admin"], "name": "A"})),
        ("a logout token", "logout+jwt", json!({})),
        (
            "a logout token without a type",
            "JWT",
            json!({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}),
        ),
        ("a proof of possession", "dpop+jwt", json!({})),
        ("something else", "secevent+jwt", json!({})),
    ];
    let let_in = good.map(|case| (case, let_in()));
    let refused = bad.map(|case| (case, invalid()));
    for ((what, kind, change), wanted) in let_in.into_iter().chain(refused) {
        let claims = changed(&Oidc::claims("anna", bench.now()), &change);
        let token = oidc.sign(&json!({"alg": "ES256", "typ": kind, "kid": EC}), &claims, Signer::Ec);
        assert_eq!(answer(&bench, &token).await, wanted, "{what}");
    }
    let untyped = oidc.sign(&json!({"alg": "ES256", "kid": EC}), &Oidc::claims("anna", bench.now()), Signer::Ec);
    assert_eq!(answer(&bench, &untyped).await, (200, String::new()), "a header without a type");
}

/// The claims with others in their place; `null` takes one away.
fn changed(claims: &Value, change: &Value) -> Value {
    let mut claims = claims.clone();
    let fields = claims.as_object_mut().unwrap();
    for (name, value) in change.as_object().unwrap() {
        if value.is_null() {
            fields.remove(name);
        } else {
            fields.insert(name.clone(), value.clone());
        }
    }
    claims
}

#[tokio::test]
async fn a_token_counts_in_its_time_give_or_take_a_minute() {
    let (oidc, bench, _) = with_anna().await;
    let now = bench.now().timestamp();
    let expired = (401, "credential_expired".to_owned());
    let cases = [
        (json!({"exp": now + 1}), let_in()),
        (json!({"exp": now - 59}), let_in()),
        (json!({"exp": now - 60}), expired.clone()),
        (json!({"exp": 0}), expired.clone()),
        (json!({"exp": i64::MIN}), expired),
        (json!({"exp": null}), invalid()),
        (json!({"exp": "tomorrow"}), invalid()),
        (json!({"nbf": now + 60}), let_in()),
        (json!({"nbf": now + 61}), invalid()),
        (json!({"nbf": i64::MAX}), invalid()),
    ];
    for (change, wanted) in cases {
        let token = oidc.token_of(&changed(&Oidc::claims("anna", bench.now()), &change), Signer::Rsa);
        assert_eq!(answer(&bench, &token).await, wanted, "{change}");
    }
    let token = oidc.token("anna", bench.now());
    bench.advance(Duration::minutes(61));
    assert_eq!(answer(&bench, &token).await.1, "credential_expired", "time is the system's own");
}

#[tokio::test]
async fn a_token_of_another_issuer_or_without_a_person_is_worth_nothing() {
    let (oidc, bench, _) = with_anna().await;
    let slash = format!("{ISSUER}/");
    let cases = [
        json!({"iss": "https://evil.example"}),
        json!({"iss": slash}),
        json!({"iss": [ISSUER]}),
        json!({"iss": null}),
        json!({"sub": null}),
        json!({"sub": ""}),
        json!({"sub": 7}),
        json!({"sub": "ANNA"}),
        json!({"sub": "anna "}),
    ];
    for change in cases {
        let token = oidc.token_of(&changed(&Oidc::claims("anna", bench.now()), &change), Signer::Ec);
        assert_eq!(answer(&bench, &token).await, invalid(), "{change}");
    }
}

#[tokio::test]
async fn a_token_that_the_issuers_keys_have_not_signed_is_worth_nothing() {
    let (oidc, bench, _) = with_anna().await;
    let claims = Oidc::claims("anna", bench.now());
    let stranger = Oidc::new();
    let good = oidc.token("anna", bench.now());
    let parts: Vec<&str> = good.split('.').collect();
    let other = URL_SAFE_NO_PAD.encode(Oidc::claims("mallory", bench.now()).to_string());
    let header = |alg: &str, kid: &str| json!({"alg": alg, "kid": kid});
    let unsigned = oidc::message(&header("none", EC), &claims);
    let cases = [
        ("an unknown key", oidc.sign(&header("ES256", "ec-2"), &claims, Signer::Ec)),
        ("no key named", oidc.sign(&json!({"alg": "ES256"}), &claims, Signer::Ec)),
        ("a key of another issuer under the same name", stranger.token("anna", bench.now())),
        ("RS256 for an EC key", oidc.sign(&header("RS256", EC), &claims, Signer::Rsa)),
        ("ES256 for an RSA key", oidc.sign(&header("ES256", RSA), &claims, Signer::Ec)),
        ("the other key's signature", oidc.sign(&header("RS256", RSA), &claims, Signer::Ec)),
        ("PS256", oidc.sign(&header("PS256", RSA), &claims, Signer::Rsa)),
        ("RS512", oidc.sign(&header("RS512", RSA), &claims, Signer::Rsa)),
        ("ES384", oidc.sign(&header("ES384", EC), &claims, Signer::Ec)),
        ("no algorithm, no signature", format!("{unsigned}.")),
        ("no algorithm, some signature", format!("{unsigned}.{}", parts[2])),
        ("no algorithm in other letters", format!("{}.", oidc::message(&header("nOnE", EC), &claims))),
        ("another person in the place of the one", format!("{}.{other}.{}", parts[0], parts[2])),
        (
            "another header",
            format!("{}.{}.{}", URL_SAFE_NO_PAD.encode(header("ES256", RSA).to_string()), parts[1], parts[2]),
        ),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("two parts", format!("{}.{}", parts[0], parts[1])),
        ("four parts", format!("{good}.{}", parts[2])),
        ("its signature cut", good[..good.len() - 2].to_owned()),
        ("not base64", format!("{}.%%%.{}", parts[0], parts[2])),
        ("a header that is no JSON", format!("AAAA.{}.{}", parts[1], parts[2])),
        (
            "a key sent along",
            oidc.sign(&json!({"alg": "ES256", "kid": "x", "jwk": {"kty": "EC"}}), &claims, Signer::Ec),
        ),
    ];
    for (what, token) in cases {
        assert_eq!(answer(&bench, &token).await, invalid(), "{what}");
    }
    assert_eq!(answer(&bench, &good).await, let_in());
}

#[tokio::test]
async fn the_public_key_is_no_secret_to_sign_with() {
    let (oidc, bench, _) = with_anna().await;
    let claims = Oidc::claims("anna", bench.now());
    for key in oidc.keys(bench.now()).keys {
        let material = match &key.material {
            KeyMaterial::Rsa { n, .. } => n.clone(),
            KeyMaterial::Ec { x, .. } => x.clone(),
        };
        let decoded = URL_SAFE_NO_PAD.decode(&material).unwrap();
        for secret in [material.as_bytes(), &decoded, serde_json::to_string(&key).unwrap().as_bytes()] {
            let message = oidc::message(&json!({"alg": "HS256", "kid": key.kid}), &claims);
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
            let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag));
            assert_eq!(answer(&bench, &token).await, invalid(), "{}", key.kid);
        }
    }
}

#[tokio::test]
async fn without_an_issuer_no_token_is_worth_anything() {
    let oidc = Oidc::new();
    let bench = Bench::start().await;
    let tenant = bench.tenant("Keys alone").await;
    let _member = oidc::member(&bench, &tenant, "anna", "admin").await;
    assert_eq!(answer(&bench, &oidc.token("anna", bench.now())).await, invalid());
}

#[tokio::test]
async fn while_the_issuers_keys_are_not_known_no_token_is_worth_anything() {
    let oidc = Oidc::new();
    let parameters = [("OidcIssuer", ISSUER), ("OidcAudience", AUDIENCE)];
    let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let bench = Bench::start_with(None, parameters).await;
    let tenant = bench.tenant("No keys yet").await;
    let _member = oidc::member(&bench, &tenant, "anna", "admin").await;
    let token = oidc.token("anna", bench.now());
    assert_eq!(answer(&bench, &token).await, invalid());
    // Nor are keys worth anything that were fetched from another issuer.
    let mut row = serde_json::to_value(oidc.keys(bench.now())).unwrap();
    row["pk"] = "ISSUER".into();
    row["sk"] = "KEYS".into();
    row["issuer"] = "https://former.example".into();
    rows::put(&bench, rows::MAIN, &row, &[]);
    assert_eq!(answer(&bench, &token).await, invalid());
}

#[tokio::test]
async fn keys_that_could_not_be_fetched_again_for_a_day_are_no_longer_believed() {
    let (oidc, bench, _) = with_anna().await;
    bench.advance(Duration::hours(24) - Duration::milliseconds(1));
    assert_eq!(answer(&bench, &oidc.token("anna", bench.now())).await, let_in());
    bench.advance(Duration::milliseconds(1));
    let token = oidc.token("anna", bench.now());
    assert_eq!(answer(&bench, &token).await, invalid(), "whether they are at hand or read anew");
    oidc.trusted_by(&bench);
    bench.advance(Duration::minutes(1));
    assert_eq!(answer(&bench, &token).await, let_in());
}

/// Where an issuer says where its keys are.
const CONFIGURATION: &str = "https://issuer.example/.well-known/openid-configuration";

#[tokio::test]
async fn once_a_deployment_is_done_the_first_sign_in_waits_for_no_schedule() {
    let (oidc, pages) = (Oidc::new(), Pages::default());
    let bench = Bench::start_with(Some(pages.adjust(None)), Oidc::parameters()).await;
    let configuration = json!({"issuer": ISSUER, "jwks_uri": "https://issuer.example/keys"});
    pages.answer_at(CONFIGURATION, Answers::With(200, Vec::new(), configuration.to_string().into()));
    let mut keys = json!({"keys": oidc.keys(bench.now()).keys});
    keys["keys"][1]["crv"] = "P-256".into();
    pages.answer_at("https://issuer.example/keys", Answers::With(200, Vec::new(), keys.to_string().into()));
    let tenant = bench.tenant("Deployed").await;
    let _member = oidc::member(&bench, &tenant, "anna", "admin").await;
    let token = oidc.token("anna", bench.now());
    assert_eq!(answer(&bench, &token).await, invalid());
    bench.stack.deployed().await.unwrap();
    assert_eq!(answer(&bench, &token).await, let_in());
    let asked: Vec<String> = pages.asked().into_iter().map(|asked| asked.url).collect();
    assert_eq!(asked, [CONFIGURATION, "https://issuer.example/keys"]);
}

#[tokio::test]
async fn an_issuer_that_answers_without_end_is_read_no_further_than_the_limit() {
    const MEBIBYTES: usize = 64;
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let endless = move || {
        let counted = Arc::clone(&counted);
        let pieces = futures::stream::iter((0..MEBIBYTES).map(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            Ok::<_, std::io::Error>(vec![b' '; 1024 * 1024])
        }));
        std::future::ready(axum::body::Body::from_stream(pieces))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("http://{}", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(axum::routing::get(endless));
    let serving = tokio::spawn(async move { axum::serve(listener, router).await });
    let mut parameters = Oidc::parameters();
    parameters.insert("OidcIssuer".to_owned(), issuer);
    let bench = Bench::start_with(None, parameters).await;
    let failed = bench.stack.run_schedule("refresh-issuer-keys").await.unwrap_err();
    serving.abort();
    // What the sockets hold besides is a few mebibytes.
    assert!(
        sent.load(Ordering::SeqCst) < MEBIBYTES / 2,
        "{} mebibytes were sent: {failed}",
        sent.load(Ordering::SeqCst)
    );
}

#[tokio::test]
async fn a_member_of_several_workspaces_says_which() {
    let (oidc, bench, first) = with_anna().await;
    let second = bench.tenant("Second").await;
    let third = bench.tenant("Third").await;
    let token = oidc.token("anna", bench.now());
    let _only = get_as(&bench, "/devices", &token, None).await.expect(200);
    let _member = oidc::member(&bench, &second, "anna", "viewer").await;
    let unsaid = get_as(&bench, "/devices", &token, None).await.expect(422);
    assert_eq!(unsaid.body["errors"][0]["field"], "x-workspace-id");
    assert_eq!(unsaid.body["errors"][0]["code"], "missing");
    let (_ada, _bea) = (bench.user(&first, "ada").await, bench.user(&second, "bea").await);
    for (tenant, name) in [(&first, "ada"), (&second, "bea")] {
        let users = get_as(&bench, "/users", &token, Some(&tenant.workspace_id)).await.expect(200);
        let names: Vec<&Value> = users.body["items"].as_array().unwrap().iter().map(|user| &user["username"]).collect();
        assert_eq!(names, [name]);
    }
    // A role holds in its own workspace only.
    let keys = get_as(&bench, "/keys", &token, Some(&second.workspace_id)).await.expect(403);
    assert_eq!(keys.code(), "permission_missing");
    let _admin = get_as(&bench, "/keys", &token, Some(&first.workspace_id)).await.expect(200);
    let upper = first.workspace_id.to_uppercase();
    for other in [third.workspace_id.as_str(), "garbage", "", upper.as_str()] {
        let refused = get_as(&bench, "/devices", &token, Some(other)).await.expect(401);
        assert_eq!(refused.code(), "credential_invalid", "{other:?}");
    }
}

#[tokio::test]
async fn a_removed_member_is_out_at_once() {
    let (oidc, bench, tenant) = with_anna().await;
    let bert = oidc::member(&bench, &tenant, "bert", "device-admin").await;
    let token = oidc.token("bert", bench.now());
    assert_eq!(answer(&bench, &token).await, let_in());
    let _removed = bench.delete(&format!("/members/{bert}"), &tenant.key).await.expect(200);
    assert_eq!(answer(&bench, &token).await, invalid());
    let again = bench.delete(&format!("/members/{bert}"), &tenant.key).await.expect(404);
    assert_eq!(again.code(), "member_not_found");
    // They may come back, with another role.
    let _back = oidc::member(&bench, &tenant, "bert", "viewer").await;
    assert_eq!(answer(&bench, &token).await, let_in());
    assert_eq!(get_as(&bench, "/keys", &token, None).await.status, 403);
}

#[tokio::test]
async fn a_revoked_key_is_out_at_the_next_request_and_revoking_it_again_is_no_second_event() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Keys").await;
    let body = json!({"name": "short-lived", "permissions": ["devices:read"]});
    let made = bench.post("/keys", &tenant.key, body).await.expect(201);
    let (key, path) = (made.get("key"), format!("/keys/{}", made.get("key_id")));
    assert_eq!(answer(&bench, &key).await, let_in());
    let first = bench.delete(&path, &tenant.key).await.expect(200);
    assert_eq!(answer(&bench, &key).await, (401, "credential_revoked".to_owned()));
    bench.advance(Duration::minutes(1));
    let second = bench.delete(&path, &tenant.key).await.expect(200);
    assert_eq!(first.body, second.body);
    let revoked = bench.event_types(&tenant).await.into_iter().filter(|kind| kind == "key.revoked").count();
    assert_eq!(revoked, 1);
}

#[tokio::test]
async fn a_key_that_revokes_itself_has_done_its_last() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Own end").await;
    let own = bench.get("/keys", &tenant.key).await.expect(200);
    let path = format!("/keys/{}", own.body["items"][0]["key_id"].as_str().unwrap());
    let _last = bench.delete(&path, &tenant.key).await.expect(200);
    assert_eq!(bench.delete(&path, &tenant.key).await.expect(401).code(), "credential_revoked");
}

#[tokio::test]
async fn a_key_ends_when_it_was_said_to() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Ends").await;
    let body = json!({"name": "k", "permissions": ["devices:read"], "expires_at": "2026-11-23T09:00:00Z"});
    let key = bench.post("/keys", &tenant.key, body).await.expect(201).get("key");
    bench.advance(Duration::minutes(60) - Duration::milliseconds(1));
    assert_eq!(answer(&bench, &key).await, let_in());
    bench.advance(Duration::milliseconds(1));
    assert_eq!(answer(&bench, &key).await, (401, "credential_expired".to_owned()));
}

#[tokio::test]
async fn nobody_gives_away_what_they_do_not_hold() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Grants").await;
    let body = json!({"name": "manager", "permissions": ["workspace:manage", "devices:read"]});
    let manager = bench.post("/keys", &tenant.key, body).await.expect(201).get("key");
    let before = rows::everything(&bench);
    let cases = [
        ("/keys", json!({"name": "k", "permissions": ["devices:read", "users:wipe"]}), "users:wipe"),
        ("/keys", json!({"name": "k", "permissions": ["devices:manage"]}), "devices:manage"),
        ("/members", json!({"issuer": ISSUER, "subject": "eve", "role": "viewer"}), "users:read"),
        ("/members", json!({"issuer": ISSUER, "subject": "eve", "role": "admin"}), "users:read"),
    ];
    for (path, body, permission) in cases {
        let refused = bench.post(path, &manager, body.clone()).await.expect(403);
        assert_eq!(
            (refused.code(), refused.get("permission")),
            ("permission_not_held", permission.to_owned()),
            "{body}"
        );
    }
    assert!(before == rows::everything(&bench));
    let body = json!({"name": "k", "permissions": ["devices:read", "workspace:manage"]});
    let _held = bench.post("/keys", &manager, body).await.expect(201);
}

async fn admins(bench: &Bench, tenant: &Tenant) -> usize {
    let members = bench.get("/members", &tenant.key).await.expect(200);
    members.body["items"].as_array().unwrap().iter().filter(|member| member["role"] == "admin").count()
}

#[tokio::test]
async fn the_last_admin_cannot_be_removed() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Last").await;
    let anna = oidc::member(&bench, &tenant, "anna", "admin").await;
    let bert = oidc::member(&bench, &tenant, "bert", "admin").await;
    let cleo = oidc::member(&bench, &tenant, "cleo", "viewer").await;
    let _first = bench.delete(&format!("/members/{anna}"), &tenant.key).await.expect(200);
    let before = rows::everything(&bench);
    let last = bench.delete(&format!("/members/{bert}"), &tenant.key).await.expect(409);
    assert_eq!(last.code(), "last_admin");
    assert!(before == rows::everything(&bench));
    let _viewer = bench.delete(&format!("/members/{cleo}"), &tenant.key).await.expect(200);
    assert_eq!(admins(&bench, &tenant).await, 1);
}

#[tokio::test]
async fn of_admins_who_are_removed_at_the_same_time_one_stays() {
    let bench = Bench::start().await;
    for round in 0..10 {
        let tenant = bench.tenant(&format!("Race {round}")).await;
        let mut paths = Vec::new();
        for name in ["anna", "bert", "cleo"] {
            let subject = format!("{name}-{round}");
            paths.push(format!("/members/{}", oidc::member(&bench, &tenant, &subject, "admin").await));
        }
        let removals = paths.iter().map(|path| bench.delete(path, &tenant.key));
        let answers = futures::future::join_all(removals).await;
        let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 200, 409], "round {round}");
        assert_eq!(admins(&bench, &tenant).await, 1, "round {round}");
    }
}

#[tokio::test]
async fn a_person_is_a_member_once_however_often_they_are_added_at_once() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Once").await;
    let body = json!({"issuer": ISSUER, "subject": "anna", "role": "admin"});
    let calls = (0..8).map(|_| bench.post("/members", &tenant.key, body.clone()));
    let answers = futures::future::join_all(calls).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert!(answers.iter().filter(|answer| answer.status != 201).all(|answer| answer.code() == "member_exists"));
    // They count once: as the only admin they cannot be removed.
    let made = answers.iter().find(|answer| answer.status == 201).unwrap().get("member_id");
    let _last = bench.delete(&format!("/members/{made}"), &tenant.key).await.expect(409);
}
