//! Tokens of signed-in people, keys, and memberships: which are accepted, and what they permit.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Duration;
use domain::rules::access::KeyMaterial;
use ring::hmac;
use serde_json::{Value, json};
use testkit::egress::{Answers, Pages};
use testkit::faults::{Fault, FaultDuration, Faults, InjectedFault};
use testkit::oidc::{self, AUDIENCE, CONFIGURATION, EC, ISSUER, KEY_SET, Oidc, RSA, Signer, get_as};
use testkit::{Bench, Setup, Tenant, rows};

/// A system with a member `anna`, an admin.
async fn with_anna() -> (Oidc, Bench, Tenant) {
    let oidc = Oidc::new();
    let bench = oidc.bench().await;
    let tenant = bench.tenant("Tokens").await;
    let _member = oidc::add_accepted_member(&bench, &tenant, "anna", "admin").await;
    (oidc, bench, tenant)
}

/// The response to a token: the status and, for a problem, the code.
async fn answer(bench: &Bench, token: &str) -> (u16, String) {
    let answer = bench.get("/devices", token).await;
    (answer.status.as_u16(), answer.code().to_owned())
}

fn invalid() -> (u16, String) {
    (401, "credential_invalid".to_owned())
}

fn accepted() -> (u16, String) {
    (200, String::new())
}

#[tokio::test]
async fn a_token_signed_by_either_kind_of_key_gives_access() {
    let (oidc, bench, _) = with_anna().await;
    for signer in [Signer::Rsa, Signer::Ec] {
        let token = oidc.sign_claims(&Oidc::claims("anna", bench.now()), signer);
        assert_eq!(answer(&bench, &token).await, accepted(), "{signer:?}");
    }
    assert_eq!(answer(&bench, &oidc.token("bert", bench.now())).await, invalid(), "who is no member");
}

#[tokio::test]
async fn a_token_needs_the_audience_or_client_id() {
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
        let expected = if good { accepted() } else { invalid() };
        let token = oidc.sign_claims(&changed(&Oidc::claims("anna", bench.now()), &change), Signer::Ec);
        assert_eq!(answer(&bench, &token).await, expected, "{change}");
    }
}

#[tokio::test]
async fn a_token_of_another_type_than_an_access_token_is_rejected() {
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
    let let_in = good.map(|case| (case, accepted()));
    let refused = bad.map(|case| (case, invalid()));
    for ((what, kind, change), wanted) in let_in.into_iter().chain(refused) {
        let claims = changed(&Oidc::claims("anna", bench.now()), &change);
        let token = oidc.sign(&json!({"alg": "ES256", "typ": kind, "kid": EC}), &claims, Signer::Ec);
        assert_eq!(answer(&bench, &token).await, wanted, "{what}");
    }
    let untyped = oidc.sign(&json!({"alg": "ES256", "kid": EC}), &Oidc::claims("anna", bench.now()), Signer::Ec);
    assert_eq!(answer(&bench, &untyped).await, (200, String::new()), "a header without a type");
}

/// The claims with changes; `null` removes one.
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
async fn a_token_is_valid_in_its_period_with_a_minute_of_clock_skew() {
    let (oidc, bench, _) = with_anna().await;
    let now = bench.now().timestamp();
    let expired = (401, "credential_expired".to_owned());
    let cases = [
        (json!({"exp": now + 1}), accepted()),
        (json!({"exp": now - 59}), accepted()),
        (json!({"exp": now - 60}), expired.clone()),
        (json!({"exp": 0}), expired.clone()),
        (json!({"exp": i64::MIN}), expired),
        (json!({"exp": null}), invalid()),
        (json!({"exp": "tomorrow"}), invalid()),
        (json!({"nbf": now + 60}), accepted()),
        (json!({"nbf": now + 61}), invalid()),
        (json!({"nbf": i64::MAX}), invalid()),
    ];
    for (change, wanted) in cases {
        let token = oidc.sign_claims(&changed(&Oidc::claims("anna", bench.now()), &change), Signer::Rsa);
        assert_eq!(answer(&bench, &token).await, wanted, "{change}");
    }
    let token = oidc.token("anna", bench.now());
    bench.advance(Duration::minutes(61));
    assert_eq!(answer(&bench, &token).await.1, "credential_expired", "time is the system's own");
}

#[tokio::test]
async fn a_token_of_another_issuer_or_without_a_subject_is_rejected() {
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
        let token = oidc.sign_claims(&changed(&Oidc::claims("anna", bench.now()), &change), Signer::Ec);
        assert_eq!(answer(&bench, &token).await, invalid(), "{change}");
    }
}

#[tokio::test]
async fn a_token_not_signed_by_the_issuers_keys_is_rejected() {
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
    assert_eq!(answer(&bench, &good).await, accepted());
}

#[tokio::test]
async fn the_public_key_is_not_accepted_as_an_hmac_secret() {
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
async fn without_an_issuer_every_token_is_rejected() {
    let oidc = Oidc::new();
    let bench = Bench::start().await;
    let tenant = bench.tenant("Keys alone").await;
    let _member = oidc::add_accepted_member(&bench, &tenant, "anna", "admin").await;
    assert_eq!(answer(&bench, &oidc.token("anna", bench.now())).await, invalid());
}

#[tokio::test]
async fn while_the_issuers_keys_are_unknown_every_token_is_rejected() {
    let oidc = Oidc::new();
    let bench = Setup::new().issuer().start().await;
    let tenant = bench.tenant("No keys yet").await;
    let _member = oidc::add_accepted_member(&bench, &tenant, "anna", "admin").await;
    let token = oidc.token("anna", bench.now());
    assert_eq!(answer(&bench, &token).await, invalid());
    // Keys of another issuer are not used.
    let mut row = serde_json::to_value(oidc.keys(bench.now())).unwrap();
    row["pk"] = "ISSUER".into();
    row["sk"] = "KEYS".into();
    row["issuer"] = "https://former.example".into();
    rows::put(&bench, rows::MAIN, &row, &[]);
    assert_eq!(answer(&bench, &token).await, invalid());
}

#[tokio::test]
async fn issuer_keys_that_were_not_refreshed_for_a_day_are_no_longer_trusted() {
    let (oidc, bench, _) = with_anna().await;
    bench.advance(Duration::hours(24) - Duration::milliseconds(1));
    assert_eq!(answer(&bench, &oidc.token("anna", bench.now())).await, accepted());
    bench.advance(Duration::milliseconds(1));
    let token = oidc.token("anna", bench.now());
    assert_eq!(answer(&bench, &token).await, invalid(), "whether they are cached or read again");
    oidc.publish_keys_to(&bench);
    bench.advance(Duration::minutes(1));
    assert_eq!(answer(&bench, &token).await, accepted());
}

#[tokio::test]
async fn the_first_sign_in_after_a_stack_deployment_needs_no_scheduled_run() {
    let (oidc, pages) = (Oidc::new(), Pages::default());
    let bench = Setup::new().with(pages.adjust()).issuer().start().await;
    oidc.publish_on(&pages, bench.now());
    let tenant = bench.tenant("Deployed").await;
    let _member = oidc::add_member(&bench, &tenant, "anna", "admin").await;
    let token = oidc.token("anna", bench.now());
    assert_eq!(answer(&bench, &token).await, invalid());
    bench.stack.run_after_deployment().await.unwrap();
    let _accepted = oidc::accept(&bench, &tenant, "anna").await.expect(200);
    assert_eq!(answer(&bench, &token).await, accepted());
    let asked: Vec<String> = pages.received().into_iter().map(|asked| asked.url).collect();
    assert_eq!(asked, [CONFIGURATION, KEY_SET]);
}

/// URLs whose responses others could replace.
const INSECURE: &str = "http://issuer.example/keys";

/// The stored keys of the issuer.
fn stored_issuer_keys(bench: &Bench) -> Value {
    rows::all(bench, rows::MAIN).remove("ISSUER | KEYS").unwrap_or_default()
}

#[tokio::test]
async fn an_issuers_keys_are_only_replaced_by_usable_keys() {
    let (oidc, pages, faults) = (Oidc::new(), Pages::default(), Faults::new());
    let bench = Setup::new().with(faults.adjust()).with(pages.adjust()).issuer().start().await;
    let refreshed = || bench.stack.run_schedule("refresh-issuer-keys");
    oidc.publish_on(&pages, bench.now());
    assert_eq!(refreshed().await.unwrap(), json!({"keys": 2}));
    let before = stored_issuer_keys(&bench);
    assert_eq!(before["fetched_at"], json!(domain::Time::from(bench.now())));
    bench.advance(Duration::minutes(15));
    let shows = |body: &str| Answers::With(200, Vec::new(), body.into());
    let leads = |issuer: &str, to: &str| shows(&json!({"issuer": issuer, "jwks_uri": to}).to_string());
    let unusable = [
        (KEY_SET, shows(r#"{"keys": []}"#)),
        (KEY_SET, shows("{}")),
        (KEY_SET, shows(r#"{"keys": [{"kid": "1", "kty": "RSA", "use": "enc", "n": "AQAB", "e": "AQAB"}]}"#)),
        (KEY_SET, shows(r#"{"keys": [{"kid": "1", "kty": "oct", "k": "AQAB"}]}"#)),
        (KEY_SET, shows("<html>")),
        (KEY_SET, Answers::With(500, Vec::new(), Vec::new())),
        (KEY_SET, Answers::With(302, vec![("location", "https://other.example/".to_owned())], Vec::new())),
        (KEY_SET, Answers::ConnectionClosed),
        (KEY_SET, Answers::Never),
        (CONFIGURATION, leads("https://other.example", KEY_SET)),
        (CONFIGURATION, leads(ISSUER, INSECURE)),
        (CONFIGURATION, shows("{}")),
        (CONFIGURATION, Answers::With(404, Vec::new(), Vec::new())),
    ];
    let other = json!({"keys": oidc.keys(bench.now()).keys[..1]}).to_string();
    pages.answer_at(INSECURE, shows(&other));
    for (page, answers) in unusable {
        oidc.publish_on(&pages, bench.now());
        pages.answer_at(page, answers.clone());
        assert!(refreshed().await.is_err(), "{page}: {answers:?}");
        assert_eq!(stored_issuer_keys(&bench), before, "{page}: {answers:?}");
    }
    oidc.publish_on(&pages, bench.now());
    let lost = InjectedFault {
        action: "PutItem".to_owned(),
        nth: 1,
        fault: Fault::ServerError,
        duration: FaultDuration::Outage,
    };
    faults.watch("refresh-issuer-keys", Some(lost));
    assert!(refreshed().await.is_err(), "the failure to store them is reported");
    assert_eq!(stored_issuer_keys(&bench), before);
    faults.end_outage();
    // Keys that the issuer no longer publishes are removed.
    let mut one = oidc.keys(bench.now());
    one.keys.truncate(1);
    pages.answer_at(KEY_SET, shows(&json!({"keys": one.keys}).to_string()));
    assert_eq!(refreshed().await.unwrap(), json!({"keys": 1}));
    let after = stored_issuer_keys(&bench);
    assert_eq!(after["keys"], json!(one.keys));
    assert_eq!(after["fetched_at"], json!(domain::Time::from(bench.now())));
}

#[tokio::test]
async fn an_issuers_response_is_read_up_to_the_limit_only() {
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
    let bench = Setup::new().issuer().parameter("OidcIssuer", &issuer).start().await;
    let failed = bench.stack.run_schedule("refresh-issuer-keys").await.unwrap_err();
    serving.abort();
    // Sockets buffer a few more mebibytes.
    assert!(
        sent.load(Ordering::SeqCst) < MEBIBYTES / 2,
        "{} mebibytes were sent: {failed}",
        sent.load(Ordering::SeqCst)
    );
}

#[tokio::test]
async fn a_member_of_several_workspaces_must_name_one() {
    let (oidc, bench, first) = with_anna().await;
    let second = bench.tenant("Second").await;
    let third = bench.tenant("Third").await;
    let token = oidc.token("anna", bench.now());
    let _only = get_as(&bench, "/devices", &token, None).await.expect(200);
    let _member = oidc::add_accepted_member(&bench, &second, "anna", "viewer").await;
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
async fn a_removed_member_loses_access_at_once() {
    let (oidc, bench, tenant) = with_anna().await;
    let bert = oidc::add_accepted_member(&bench, &tenant, "bert", "device-admin").await;
    let token = oidc.token("bert", bench.now());
    assert_eq!(answer(&bench, &token).await, accepted());
    let _removed = bench.delete(&format!("/members/{bert}"), &tenant.key).await.expect(200);
    assert_eq!(answer(&bench, &token).await, invalid());
    let repeated = bench.delete(&format!("/members/{bert}"), &tenant.key).await.expect(404);
    assert_eq!(repeated.code(), "member_not_found");
    // They may come back, with another role.
    let _member = oidc::add_accepted_member(&bench, &tenant, "bert", "viewer").await;
    assert_eq!(answer(&bench, &token).await, accepted());
    assert_eq!(get_as(&bench, "/keys", &token, None).await.status, 403);
}

#[tokio::test]
async fn a_revoked_key_is_rejected_at_once_and_a_second_revocation_records_no_event() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Keys").await;
    let body = json!({"name": "short-lived", "permissions": ["devices:read"]});
    let created = bench.post("/keys", &tenant.key, body).await.expect(201);
    let (key, path) = (created.get("key"), format!("/keys/{}", created.get("key_id")));
    assert_eq!(answer(&bench, &key).await, accepted());
    let first = bench.delete(&path, &tenant.key).await.expect(200);
    assert_eq!(answer(&bench, &key).await, (401, "credential_revoked".to_owned()));
    bench.advance(Duration::minutes(1));
    let second = bench.delete(&path, &tenant.key).await.expect(200);
    assert_eq!(first.body, second.body);
    let revoked = bench.event_types(&tenant).await.into_iter().filter(|kind| kind == "key.revoked").count();
    assert_eq!(revoked, 1);
}

#[tokio::test]
async fn a_key_that_revokes_itself_is_rejected_afterwards() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Own end").await;
    let own = bench.get("/keys", &tenant.key).await.expect(200);
    let path = format!("/keys/{}", own.body["items"][0]["key_id"].as_str().unwrap());
    let _last = bench.delete(&path, &tenant.key).await.expect(200);
    assert_eq!(bench.delete(&path, &tenant.key).await.expect(401).code(), "credential_revoked");
}

#[tokio::test]
async fn a_key_expires_at_its_time() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Ends").await;
    let body = json!({"name": "k", "permissions": ["devices:read"], "expires_at": "2026-11-23T09:00:00Z"});
    let key = bench.post("/keys", &tenant.key, body).await.expect(201).get("key");
    bench.advance(Duration::minutes(60) - Duration::milliseconds(1));
    assert_eq!(answer(&bench, &key).await, accepted());
    bench.advance(Duration::milliseconds(1));
    assert_eq!(answer(&bench, &key).await, (401, "credential_expired".to_owned()));
}

#[tokio::test]
async fn nobody_can_grant_permissions_that_they_do_not_have() {
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
    let _created = bench.post("/keys", &manager, body).await.expect(201);
}

async fn admins(bench: &Bench, tenant: &Tenant) -> usize {
    let members = bench.get("/members", &tenant.key).await.expect(200);
    members.body["items"].as_array().unwrap().iter().filter(|member| member["role"] == "admin").count()
}

#[tokio::test]
async fn the_last_admin_cannot_be_removed() {
    let bench = Oidc::new().bench().await;
    let tenant = bench.tenant("Last").await;
    let anna = oidc::add_accepted_member(&bench, &tenant, "anna", "admin").await;
    let bert = oidc::add_accepted_member(&bench, &tenant, "bert", "admin").await;
    let cleo = oidc::add_accepted_member(&bench, &tenant, "cleo", "viewer").await;
    let _first = bench.delete(&format!("/members/{anna}"), &tenant.key).await.expect(200);
    let before = rows::everything(&bench);
    let last = bench.delete(&format!("/members/{bert}"), &tenant.key).await.expect(409);
    assert_eq!(last.code(), "last_admin");
    assert!(before == rows::everything(&bench));
    let _viewer = bench.delete(&format!("/members/{cleo}"), &tenant.key).await.expect(200);
    assert_eq!(admins(&bench, &tenant).await, 1);
}

#[tokio::test]
async fn of_concurrently_removed_admins_one_stays() {
    let bench = Oidc::new().bench().await;
    for round in 0..10 {
        let tenant = bench.tenant(&format!("Race {round}")).await;
        let mut paths = Vec::new();
        for name in ["anna", "bert", "cleo"] {
            let subject = format!("{name}-{round}");
            paths.push(format!("/members/{}", oidc::add_accepted_member(&bench, &tenant, &subject, "admin").await));
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
    let bench = Oidc::new().bench().await;
    let tenant = bench.tenant("Once").await;
    let body = json!({"issuer": ISSUER, "subject": "anna", "role": "admin"});
    let calls = (0..8).map(|_| bench.post("/members", &tenant.key, body.clone()));
    let answers = futures::future::join_all(calls).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert!(answers.iter().filter(|answer| answer.status != 201).all(|answer| answer.code() == "member_exists"));
    // They are counted once: the only admin cannot be removed.
    let _accepted = oidc::accept(&bench, &tenant, "anna").await.expect(200);
    let created = answers.iter().find(|answer| answer.status == 201).unwrap().get("member_id");
    let _last = bench.delete(&format!("/members/{created}"), &tenant.key).await.expect(409);
}

/// Creates a key by a key, and returns its identifier and the key.
async fn create_key_by(bench: &Bench, creator: &str, expires_at: Option<&str>) -> (String, String) {
    let body = json!({"name": "k", "permissions": ["devices:read", "workspace:manage"], "expires_at": expires_at});
    let created = bench.post("/keys", creator, body).await.expect(201);
    assert_eq!(created.get("status"), "active");
    (created.get("key_id"), created.get("key"))
}

#[tokio::test]
async fn a_key_that_a_key_made_expires_no_later_and_ends_with_it() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Chains").await;
    let (first_id, first) = create_key_by(&bench, &tenant.key, Some("2026-11-24T08:00:00Z")).await;
    let later = json!({"name": "k", "permissions": ["devices:read"], "expires_at": "2026-11-24T08:00:01Z"});
    let refused = bench.post("/keys", &first, later).await.expect(422);
    assert_eq!(
        (&refused.body["errors"][0]["field"], &refused.body["errors"][0]["code"]),
        (&json!("expires_at"), &json!("out_of_range"))
    );
    let (second_id, second) = create_key_by(&bench, &first, None).await;
    let (third_id, third) = create_key_by(&bench, &second, Some("2026-11-24T07:00:00Z")).await;
    let (beside_id, beside) = create_key_by(&bench, &tenant.key, None).await;
    let listed = async |id: &str| {
        let keys = bench.list_all(&tenant, "/keys").await;
        keys.into_iter().find(|key| key["key_id"] == id).unwrap()
    };
    let shown = listed(&second_id).await;
    assert_eq!((&shown["expires_at"], &shown["status"]), (&json!("2026-11-24T08:00:00.000Z"), &json!("active")));
    assert_eq!(shown["created_by"], json!({"type": "key", "name": "k", "id": first_id}));
    for key in [&first, &second, &third, &beside] {
        assert_eq!(answer(&bench, key).await, accepted());
    }

    // Jobs of the third key end with the first as well.
    let every = json!({"after_days": 30, "action": "block"});
    let manager = json!({"name": "m", "permissions": ["devices:manage", "workspace:manage"]});
    let manager = bench.post("/keys", &tenant.key, manager).await.expect(201);
    let manages = json!({"name": "n", "permissions": ["devices:manage", "workspace:manage"]});
    let managed = bench.post("/keys", &manager.get("key"), manages).await.expect(201).get("key");
    let _rule = bench.patch("/workspace", &managed, json!({"silent_devices": every})).await.expect(200);
    let _revoked = bench.delete(&format!("/keys/{}", manager.get("key_id")), &tenant.key).await.expect(200);
    assert_eq!(bench.run_due().await["failed"], 0);
    let paused = bench.get("/workspace", &tenant.key).await.expect(200);
    assert!(paused.body["silent_rule"]["paused_at"].is_string(), "{}", paused.text);

    bench.advance(Duration::minutes(1));
    let _revoked = bench.delete(&format!("/keys/{first_id}"), &tenant.key).await.expect(200);
    for key in [&first, &second, &third] {
        assert_eq!(answer(&bench, key).await, (401, "credential_revoked".to_owned()));
        assert_eq!(bench.post("/keys", key, json!({})).await.expect(401).code(), "credential_revoked");
    }
    assert_eq!(answer(&bench, &beside).await, accepted());
    for id in [&first_id, &second_id, &third_id] {
        let shown = listed(id).await;
        assert_eq!((&shown["status"], &shown["revoked_at"]), (&json!("revoked"), &json!("2026-11-23T08:01:00.000Z")));
    }
    assert_eq!(listed(&beside_id).await["status"], "active");
    let repeated = bench.delete(&format!("/keys/{second_id}"), &tenant.key).await.expect(200);
    assert_eq!(repeated.body["status"], "revoked");
}

#[tokio::test]
async fn keys_created_by_keys_are_limited_in_depth() {
    let bench = Bench::start().await;
    let tenant = bench.tenant("Long chains").await;
    let mut newest = tenant.key.clone();
    for _ in 0..4 {
        newest = create_key_by(&bench, &newest, None).await.1;
    }
    let body = json!({"name": "k", "permissions": ["devices:read"]});
    assert_eq!(bench.post("/keys", &newest, body).await.expect(409).code(), "too_many_makers");
}

#[tokio::test]
async fn removing_a_member_shows_their_keys_and_revokes_them_on_request() {
    let (oidc, bench, tenant) = with_anna().await;
    let made_by = async |subject: &str| {
        let member = oidc::add_accepted_member(&bench, &tenant, subject, "admin").await;
        let signed_in = oidc.token(subject, bench.now());
        let key = create_key_by(&bench, &signed_in, None).await;
        let (over, _) = create_key_by(&bench, &signed_in, None).await;
        let _revoked = bench.delete(&format!("/keys/{over}"), &signed_in).await.expect(200);
        let hook = json!({"url": "https://hooks.example.com/", "event_types": ["webhook.disabled"]});
        let hook = bench.post("/webhooks", &signed_in, hook).await.expect(201).get("webhook_id");
        (member, key, hook)
    };
    let ids = |list: &Value, id: &str| -> Vec<String> {
        list.as_array().unwrap().iter().map(|thing| thing[id].as_str().unwrap().to_owned()).collect()
    };
    let (bert, (key_id, key), hook) = made_by("bert").await;
    let (_child_id, child) = create_key_by(&bench, &key, None).await;
    let removed = bench.delete(&format!("/members/{bert}"), &tenant.key).await.expect(200);
    assert_eq!(
        (ids(&removed.body["keys"], "key_id"), ids(&removed.body["webhooks"], "webhook_id")),
        (vec![key_id], vec![hook.clone()])
    );
    assert_eq!(removed.body["keys"][0]["status"], "active");
    assert_eq!((answer(&bench, &key).await, answer(&bench, &child).await), (accepted(), accepted()));
    let still = bench.get(&format!("/webhooks/{hook}"), &tenant.key).await.expect(200);
    assert_eq!(
        (&still.body["enabled"], &still.body["created_by"]),
        (&json!(true), &json!({"type": "member", "id": bert}))
    );

    let (carl, (key_id, key), hook) = made_by("carl").await;
    let (_child_id, child) = create_key_by(&bench, &key, None).await;
    let removed = bench.delete(&format!("/members/{carl}?revoke=true"), &tenant.key).await.expect(200);
    assert_eq!(
        (ids(&removed.body["keys"], "key_id"), &removed.body["keys"][0]["status"]),
        (vec![key_id], &json!("revoked"))
    );
    assert_eq!(ids(&removed.body["webhooks"], "webhook_id"), std::slice::from_ref(&hook), "nobody else's");
    assert_eq!(removed.body["webhooks"][0]["enabled"], false);
    let berts = format!("/webhooks/{}", still.get("webhook_id"));
    assert_eq!(bench.get(&berts, &tenant.key).await.expect(200).body["enabled"], true, "nobody else's");
    let revoked = || (401, "credential_revoked".to_owned());
    assert_eq!((answer(&bench, &key).await, answer(&bench, &child).await), (revoked(), revoked()));
    let off = bench.get(&format!("/webhooks/{hook}"), &tenant.key).await.expect(200);
    assert_eq!(off.body["enabled"], false);
    let wrong = bench.delete(&format!("/members/{carl}?revoke=perhaps"), &tenant.key).await.expect(422);
    assert_eq!(wrong.body["errors"][0]["field"], "revoke");
}

#[tokio::test]
async fn keys_created_by_a_members_key_end_with_the_member_and_a_removed_member_creates_none() {
    let (oidc, bench, tenant) = with_anna().await;
    let carl = oidc::add_accepted_member(&bench, &tenant, "carl", "admin").await;
    let signed_in = oidc.token("carl", bench.now());
    let wide = json!({"name": "wide", "permissions": ["workspace:manage", "events:read"]});
    let key = bench.post("/keys", &signed_in, wide).await.expect(201).get("key");
    let hook = json!({"url": "https://hooks.example.com/", "event_types": ["webhook.disabled"]});
    let by_key = bench.post("/webhooks", &key, hook.clone()).await.expect(201).get("webhook_id");
    // During the removal he creates more keys.
    let create = |_| async {
        let body = json!({"name": "late", "permissions": ["users:read"]});
        let (key, hook) = (bench.post("/keys", &signed_in, body), bench.post("/webhooks", &signed_in, hook.clone()));
        futures::future::join(key, hook).await
    };
    let path = format!("/members/{carl}?revoke=true");
    let removal = bench.delete(&path, &tenant.key);
    let (removed, _made) = futures::future::join(removal, futures::future::join_all((0..8).map(create))).await;
    let removed = removed.expect(200);
    assert!(removed.body["webhooks"].as_array().unwrap().iter().any(|hook| hook["webhook_id"] == by_key.as_str()));
    let late = |thing: &Value| thing["name"] == "late" && thing["status"] == "active";
    assert!(!bench.list_all(&tenant, "/keys").await.iter().any(late));
    assert!(!bench.list_all(&tenant, "/webhooks").await.iter().any(|hook| hook["enabled"] == true));
}

#[tokio::test]
async fn a_membership_has_no_effect_until_it_is_accepted() {
    let (oidc, bench, first) = with_anna().await;
    let second = bench.tenant("Second").await;
    let anna = oidc.token("anna", bench.now());
    let member = oidc::add_member(&bench, &second, "anna", "admin").await;
    let _only = get_as(&bench, "/devices", &anna, None).await.expect(200);
    assert_eq!(
        get_as(&bench, "/devices", &anna, Some(&second.workspace_id)).await.expect(401).code(),
        "credential_invalid"
    );
    assert_eq!(
        get_as(&bench, "/workspaces/list", &anna, None).await.expect(200).body["workspaces"].as_array().unwrap().len(),
        1
    );
    let body = json!({"name": "t", "workspace_ids": [second.workspace_id], "expires_at": "2026-12-01T00:00:00Z"});
    assert_eq!(bench.post("/tokens", &anna, body).await.expect(422).body["errors"][0]["code"], "unknown_value");
    let listed = bench.get("/members", &second.key).await.expect(200);
    assert_eq!(
        (&listed.body["items"][0]["status"], &listed.body["items"][0]["accepted_at"]),
        (&json!("pending"), &Value::Null)
    );

    let own = get_as(&bench, "/memberships", &anna, None).await.expect(200);
    let own: Vec<(&Value, &Value, &Value)> = own.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (&item["workspace_id"], &item["workspace_name"], &item["status"]))
        .collect();
    let (ours, theirs) = (json!(first.workspace_id), json!(second.workspace_id));
    let (tokens, name, active, pending) = (json!("Tokens"), json!("Second"), json!("active"), json!("pending"));
    let mut expected = [(&ours, &tokens, &active), (&theirs, &name, &pending)];
    expected.sort_by_key(|(id, ..)| id.to_string());
    assert_eq!(own, expected);

    // Only the person can accept, not a key or a token.
    let path = format!("/memberships/{}/accept", second.workspace_id);
    let post = async |credential: &str| bench.call(http::Method::POST, &path, Some(credential), None).await;
    assert_eq!(post(&oidc.token("eve", bench.now())).await.expect(404).code(), "membership_not_found");
    assert_eq!(post(&second.key).await.expect(403).code(), "member_only");
    let accepted = post(&anna).await.expect(200);
    assert_eq!((accepted.get("member_id"), accepted.get("status")), (member.clone(), "active".to_owned()));
    assert_eq!(post(&anna).await.expect(200).body, accepted.body, "a repetition records no second event");
    let changed = bench.event_types(&second).await.into_iter().filter(|kind| kind == "member.changed").count();
    assert_eq!(changed, 1);
    let _there = get_as(&bench, "/keys", &anna, Some(&second.workspace_id)).await.expect(200);
    let unsaid = get_as(&bench, "/devices", &anna, None).await.expect(422);
    assert_eq!(unsaid.body["errors"][0]["field"], "x-workspace-id");
    let last = bench.delete(&format!("/members/{member}"), &second.key).await.expect(409);
    assert_eq!(last.code(), "last_admin", "an accepted admin counts");
    let declined =
        bench.call(http::Method::DELETE, &format!("/memberships/{}", second.workspace_id), Some(&anna), None).await;
    assert_eq!(declined.expect(409).code(), "membership_accepted");
}

#[tokio::test]
async fn a_declined_membership_is_removed() {
    let (oidc, bench, tenant) = with_anna().await;
    let bert = oidc.token("bert", bench.now());
    assert_eq!(get_as(&bench, "/memberships", &bert, None).await.expect(200).body["items"], json!([]));
    let member = oidc::add_member(&bench, &tenant, "bert", "admin").await;
    assert_eq!(answer(&bench, &bert).await, invalid());
    let path = format!("/memberships/{}", tenant.workspace_id);
    let declined = bench.call(http::Method::DELETE, &path, Some(&bert), None).await.expect(200);
    assert_eq!((declined.get("member_id"), declined.get("status")), (member.clone(), "pending".to_owned()));
    assert_eq!(
        bench.call(http::Method::DELETE, &path, Some(&bert), None).await.expect(404).code(),
        "membership_not_found"
    );
    assert_eq!(bench.delete(&format!("/members/{member}"), &tenant.key).await.expect(404).code(), "member_not_found");
    // A person can be added again, and removed before they accept.
    let member = oidc::add_member(&bench, &tenant, "bert", "viewer").await;
    let _taken_back = bench.delete(&format!("/members/{member}"), &tenant.key).await.expect(200);
    assert_eq!(oidc::accept(&bench, &tenant, "bert").await.expect(404).code(), "membership_not_found");
}
