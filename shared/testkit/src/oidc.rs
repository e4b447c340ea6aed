//! An OIDC issuer with known keys, which signs whatever a test asks for.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use domain::rules::access::{IssuerKey, IssuerKeys, KeyMaterial};
use http::{Method, Request};
use ring::rand::SystemRandom;
use ring::rsa::{KeyPair as RsaKeyPair, PublicKeyComponents};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256};
use serde_json::{Value, json};

use crate::bench::{Answer, Bench, Setup, Tenant};
use crate::egress::{Answers, Pages};
use crate::rows;

/// The issuer's identifier in tokens.
pub const ISSUER: &str = "https://issuer.example";
/// URL of its configuration, which contains the URL of its keys.
pub const CONFIGURATION: &str = "https://issuer.example/.well-known/openid-configuration";
/// URL of its keys.
pub const KEY_SET: &str = "https://issuer.example/keys";
/// Audience of its tokens.
pub const AUDIENCE: &str = "handset-console";
/// Key id of the RSA key.
pub const RSA: &str = "rsa-1";
/// Key id of the EC key.
pub const EC: &str = "ec-1";

/// Signs only test tokens. `ring` cannot generate RSA keys, so this one is a file.
const TEST_ONLY_RSA_KEY: &str = include_str!("test_only_rsa_key.pem");

/// The issuer.
pub struct Oidc {
    rsa: RsaKeyPair,
    ec: EcdsaKeyPair,
    random: SystemRandom,
}

/// The key that signs a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signer {
    /// RS256.
    Rsa,
    /// ES256.
    Ec,
}

impl Oidc {
    /// The issuer, with a new EC key.
    #[must_use]
    pub fn new() -> Self {
        let random = SystemRandom::new();
        let lines = TEST_ONLY_RSA_KEY.lines().filter(|line| !line.starts_with("-----"));
        let der = STANDARD.decode(lines.collect::<String>()).expect("the test key is base64");
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let ec = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("an EC key is generated");
        Self {
            rsa: RsaKeyPair::from_pkcs8(&der).expect("the test key is an RSA key"),
            ec: EcdsaKeyPair::from_pkcs8(algorithm, ec.as_ref(), &random).expect("the generated key is readable"),
            random,
        }
    }

    /// A system that trusts this issuer.
    pub async fn bench(&self) -> Bench {
        self.bench_with(Setup::new()).await
    }

    /// A system with other settings that trusts this issuer.
    pub async fn bench_with(&self, setup: Setup) -> Bench {
        let bench = setup.issuer().start().await;
        self.publish_keys_to(&bench);
        bench
    }

    /// Stores the issuer's keys in a system.
    pub fn publish_keys_to(&self, bench: &Bench) {
        let keys = self.keys(bench.now());
        let mut row = serde_json::to_value(&keys).expect("the keys serialize to JSON");
        row["pk"] = "ISSUER".into();
        row["sk"] = "KEYS".into();
        rows::put(bench, rows::MAIN, &row, &[]);
    }

    /// The issuer's public keys.
    #[must_use]
    pub fn keys(&self, now: DateTime<Utc>) -> IssuerKeys {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let rsa: PublicKeyComponents<Vec<u8>> = self.rsa.public().into();
        // An uncompressed point: 4, then both coordinates.
        let (x, y) = self.ec.public_key().as_ref()[1..].split_at(32);
        let keys = [
            (RSA, KeyMaterial::Rsa { n: text(&rsa.n), e: text(&rsa.e) }),
            (EC, KeyMaterial::Ec { x: text(x), y: text(y) }),
        ];
        let keys = keys.map(|(kid, material)| IssuerKey { kid: kid.to_owned(), material });
        IssuerKeys { issuer: ISSUER.to_owned(), keys: keys.into(), fetched_at: now.into() }
    }

    /// Makes the issuer's pages show its keys and their URL.
    pub fn publish_on(&self, pages: &Pages, now: DateTime<Utc>) {
        let mut keys = json!({"keys": self.keys(now).keys});
        keys["keys"][1]["crv"] = "P-256".into();
        let show = |url, body: Value| pages.answer_at(url, Answers::With(200, Vec::new(), body.to_string().into()));
        show(CONFIGURATION, json!({"issuer": ISSUER, "jwks_uri": KEY_SET}));
        show(KEY_SET, keys);
    }

    /// The claims of a valid token for a person, for the next hour.
    #[must_use]
    pub fn claims(subject: &str, now: DateTime<Utc>) -> Value {
        let now = now.timestamp();
        json!({"iss": ISSUER, "sub": subject, "aud": AUDIENCE, "iat": now, "exp": now + 3600})
    }

    /// A token with this header and these claims, signed by one of the issuer's keys whatever the header says.
    #[must_use]
    pub fn sign(&self, header: &Value, claims: &Value, signer: Signer) -> String {
        let message = message(header, claims);
        let signature = match signer {
            Signer::Rsa => {
                let mut signature = vec![0; self.rsa.public().modulus_len()];
                let signed = self.rsa.sign(&RSA_PKCS1_SHA256, &self.random, message.as_bytes(), &mut signature);
                signed.expect("the message is signed");
                signature
            }
            Signer::Ec => {
                let signature = self.ec.sign(&self.random, message.as_bytes());
                signature.expect("the message is signed").as_ref().to_vec()
            }
        };
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// A token with these claims and the header for the key.
    #[must_use]
    pub fn sign_claims(&self, claims: &Value, signer: Signer) -> String {
        let header = match signer {
            Signer::Rsa => json!({"alg": "RS256", "typ": "at+jwt", "kid": RSA}),
            Signer::Ec => json!({"alg": "ES256", "typ": "at+jwt", "kid": EC}),
        };
        self.sign(&header, claims, signer)
    }

    /// A valid token for a person, for the next hour.
    #[must_use]
    pub fn token(&self, subject: &str, now: DateTime<Utc>) -> String {
        self.sign_claims(&Self::claims(subject, now), Signer::Ec)
    }
}

impl Default for Oidc {
    fn default() -> Self {
        Self::new()
    }
}

/// The signed part of a token.
#[must_use]
pub fn message(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

/// Adds a person to a workspace by its key, accepts for them if the system has an issuer, and returns the
/// membership's identifier.
pub async fn add_accepted_member(bench: &Bench, tenant: &Tenant, subject: &str, role: &str) -> String {
    let member = add_member(bench, tenant, subject, role).await;
    let accepted = accept(bench, tenant, subject).await;
    assert!([200, 401].contains(&accepted.status.as_u16()), "{}", accepted.text);
    member
}

/// Adds a person to a workspace by its key, and returns the identifier of the pending membership.
pub async fn add_member(bench: &Bench, tenant: &Tenant, subject: &str, role: &str) -> String {
    let body = json!({"issuer": ISSUER, "subject": subject, "role": role});
    bench.post("/members", &tenant.key, body).await.expect(201).get("member_id")
}

/// Accepts a membership for a person. All issuers in tests share the RSA key.
pub async fn accept(bench: &Bench, tenant: &Tenant, subject: &str) -> Answer {
    let token = Oidc::new().sign_claims(&Oidc::claims(subject, bench.now()), Signer::Rsa);
    bench.call(Method::POST, &format!("/memberships/{}/accept", tenant.workspace_id), Some(&token), None).await
}

/// A GET with a token, in one of the person's workspaces if one is given.
pub async fn get_as(bench: &Bench, path: &str, token: &str, workspace: Option<&str>) -> Answer {
    send_as(bench, Method::GET, path, token, workspace.map(|workspace| ("x-workspace-id", workspace)), None).await
}

/// A request with a token, an optional workspace header, and an optional JSON body.
pub async fn send_as(
    bench: &Bench,
    method: Method,
    path: &str,
    token: &str,
    workspace: Option<(&str, &str)>,
    body: Option<&Value>,
) -> Answer {
    let mut request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {token}"));
    if let Some((header, workspace)) = workspace {
        request = request.header(header, workspace);
    }
    let body = body.map(Value::to_string).unwrap_or_default();
    bench.send(request.body(body.into_bytes()).expect("the request is valid")).await
}

/// Creates a personal access token for a signed-in person, valid until the end of the year; the response contains it.
pub async fn new_token(bench: &Bench, signed_in: &str, workspaces: &[&str], permissions: Option<&[&str]>) -> Answer {
    let mut body = json!({"name": "a program", "workspace_ids": workspaces, "expires_at": "2026-12-31T00:00:00Z"});
    if let Some(permissions) = permissions {
        body["permissions"] = json!(permissions);
    }
    bench.post("/tokens", signed_in, body).await.expect(201)
}
