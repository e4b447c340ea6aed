//! Verifies access tokens of the OIDC issuer (RFC 9068, RFC 7519), signed by RS256 or ES256.

use std::sync::Once;

use domain::Time;
use domain::error::DomainError;
use domain::rules::access::{IssuerKey, IssuerKeys, KeyMaterial};
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::signature::Verifier;
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, EncodingKey, Validation};
use ring::signature::{ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::caller::Issuer;

/// Tolerated difference between the issuer's clock and ours, in seconds.
const LEEWAY: i64 = 60;

#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: i64,
    #[serde(default)]
    nbf: Option<i64>,
    iss: String,
    #[serde(default)]
    aud: Value,
    #[serde(flatten)]
    others: Map<String, Value>,
}

impl Claims {
    fn text(&self, name: &str) -> Option<&str> {
        self.others.get(name)?.as_str()
    }

    fn has_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.others.get(*name).is_some_and(|value| !value.is_null()))
    }
}

/// The subject of a token, if the issuer signed it for our audience and it is valid now.
///
/// # Errors
/// `CredentialExpired`, else `CredentialInvalid`.
pub(crate) fn verify(token: &str, issuer: &Issuer, keys: &IssuerKeys, now: Time) -> Result<String, DomainError> {
    install_ring();
    let invalid = |_| DomainError::CredentialInvalid;
    let header = jsonwebtoken::decode_header(token).map_err(invalid)?;
    let key = keys.keys.iter().find(|key| header.kid.as_deref() == Some(&key.kid));
    let key = key.filter(|_| keys.vouch_for(&issuer.url, now)).ok_or(DomainError::CredentialInvalid)?;
    let (algorithm, key) = decoding_key(&key.material).map_err(invalid)?;
    let claims = jsonwebtoken::decode::<Claims>(token, &key, &signature_only(algorithm)).map_err(invalid)?.claims;
    if !is_access_token(header.typ.as_deref(), &claims) {
        return Err(DomainError::CredentialInvalid);
    }
    check(&claims, issuer, now)?;
    Ok(claims.sub)
}

/// The library's time checks would read the clock, so the times are checked here, against the request's time.
fn signature_only(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    validation
}

/// Claims that ID tokens (OpenID Connect Core 1.0: 2, 3.1.3.6 and 3.3.2.11) and logout tokens or other security
/// event tokens (RFC 8417) have, but no access token of the common issuers.
const NOT_OF_ACCESS_TOKENS: [&str; 5] = ["nonce", "at_hash", "c_hash", "s_hash", "events"];

/// Claims of which Microsoft Entra's access tokens have at least one ("Access token claims reference"), and its
/// ID tokens none.
const OF_ENTRA_ACCESS_TOKENS: [&str; 4] = ["scp", "azp", "appid", "idtyp"];

/// False for a token that is recognisably something else than an access token: an ID token tells the console
/// who has signed in, and gives no access to an API.
///
/// An issuer that follows RFC 9068 marks access tokens in the header (`at+jwt`). Others send `JWT` for both and
/// mark them by a claim: Amazon Cognito in `token_use`, Keycloak in `typ`. For the rest (Auth0, Okta, Entra),
/// claims that only one kind has distinguish them.
fn is_access_token(header: Option<&str>, claims: &Claims) -> bool {
    let header = header.unwrap_or("JWT").to_ascii_lowercase();
    match header.strip_prefix("application/").unwrap_or(&header) {
        "at+jwt" => return true,
        "jwt" => {}
        _ => return false,
    }
    if let Some(token_use) = claims.text("token_use") {
        return token_use == "access";
    }
    if let Some(kind) = claims.text("typ") {
        return ["bearer", "dpop", "at+jwt"].contains(&kind.to_ascii_lowercase().as_str());
    }
    let of_entra = claims.has_any(&["tid"]) && claims.has_any(&["ver"]);
    !claims.has_any(&NOT_OF_ACCESS_TOKENS) && (!of_entra || claims.has_any(&OF_ENTRA_ACCESS_TOKENS))
}

/// `client_id` counts as the audience only in tokens without `aud`, as Amazon Cognito's: in others it names the
/// program that requested the token, for whatever API.
fn check(claims: &Claims, issuer: &Issuer, now: Time) -> Result<(), DomainError> {
    let meant_for_us = match &claims.aud {
        Value::Null => claims.text("client_id") == Some(&issuer.audience),
        Value::String(audience) => *audience == issuer.audience,
        Value::Array(audiences) => audiences.iter().any(|audience| audience.as_str() == Some(&issuer.audience)),
        _ => false,
    };
    if claims.iss != issuer.url
        || claims.sub.is_empty()
        || !meant_for_us
        || claims.nbf.is_some_and(|from| from > now.seconds() + LEEWAY)
    {
        return Err(DomainError::CredentialInvalid);
    }
    if claims.exp <= now.seconds() - LEEWAY {
        return Err(DomainError::CredentialExpired);
    }
    Ok(())
}

fn decoding_key(material: &KeyMaterial) -> Result<(Algorithm, DecodingKey), Error> {
    match material {
        KeyMaterial::Rsa { n, e } => Ok((Algorithm::RS256, DecodingKey::from_rsa_components(n, e)?)),
        KeyMaterial::Ec { x, y } => Ok((Algorithm::ES256, DecodingKey::from_ec_components(x, y)?)),
    }
}

/// Makes the library verify by `ring`, which is present for TLS already, instead of a second implementation of
/// RSA and elliptic curves.
fn install_ring() {
    static INSTALLED: Once = Once::new();
    static PROVIDER: CryptoProvider = CryptoProvider {
        signer_factory: no_signer,
        verifier_factory: ring_verifier,
        key_utils: KeyUtils::new_unimplemented(),
    };
    INSTALLED.call_once(|| {
        // If the process has already chosen another provider, that one is used.
        let _chosen_before = PROVIDER.install_default();
    });
}

fn no_signer(_: &Algorithm, _: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    Err(ErrorKind::InvalidAlgorithm.into())
}

fn ring_verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    Ok(Box::new(RingVerifier { algorithm: *algorithm, key: key.clone() }))
}

struct RingVerifier {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), jsonwebtoken::signature::Error> {
        let result = match (self.algorithm, self.key.kind()) {
            (Algorithm::RS256, DecodingKeyKind::RsaModulusExponent { n, e }) => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
            (Algorithm::ES256, DecodingKeyKind::SecretOrDer(point)) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            _ => Err(ring::error::Unspecified),
        };
        result.map_err(|_| jsonwebtoken::signature::Error::new())
    }
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

/// Parses the keys of a key set (RFC 7517) that can verify access tokens: RSA keys and EC keys on P-256 that
/// have a key id and are not for encryption. Others are skipped.
#[must_use]
pub fn parse_issuer_keys(set: &Value) -> Vec<IssuerKey> {
    let keys = set.get("keys").and_then(Value::as_array);
    keys.into_iter().flatten().filter_map(issuer_key).collect()
}

fn issuer_key(key: &Value) -> Option<IssuerKey> {
    let text = |name: &str| key.get(name)?.as_str().map(str::to_owned);
    if text("use").is_some_and(|purpose| purpose != "sig") {
        return None;
    }
    let material = match text("kty")?.as_str() {
        "RSA" => KeyMaterial::Rsa { n: text("n")?, e: text("e")? },
        "EC" if text("crv")? == "P-256" => KeyMaterial::Ec { x: text("x")?, y: text("y")? },
        _ => return None,
    };
    Some(IssuerKey { kid: text("kid")?, material })
}
