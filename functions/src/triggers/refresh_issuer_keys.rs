//! Every 15 minutes, and after each deployment: fetches the public keys that verify admins' tokens.

use aws::EgressClient;
use domain::error::Error;
use domain::rules::access::IssuerKeys;
use lambda::parse_issuer_keys;
use serde_json::{Value, json};

use crate::state::AppState;
use crate::triggers::Run;

/// Returns the number of keys. If they cannot be fetched, the old ones stay, and are accepted for
/// [`IssuerKeys::BELIEVED`] after they were fetched.
///
/// # Errors
/// `Unavailable` if the issuer does not answer, or does not follow OpenID Connect Discovery 1.0.
pub async fn handle(state: &AppState, run: Run) -> Result<Value, Error> {
    let Some(issuer) = &state.settings.issuer else {
        return Ok(json!({"keys": 0}));
    };
    let pages = state.issuer_pages()?;
    let configuration =
        page(&pages, &format!("{}/.well-known/openid-configuration", issuer.url.trim_end_matches('/'))).await?;
    let keys_url = configuration["jwks_uri"].as_str().filter(|url| url.starts_with("https://"));
    let same = configuration["issuer"].as_str() == Some(&issuer.url);
    let keys_url = keys_url.filter(|_| same).ok_or_else(|| unusable("its configuration names no key set"))?;
    let keys = parse_issuer_keys(&page(&pages, keys_url).await?);
    if keys.is_empty() {
        return Err(unusable("its key set has no key that can verify"));
    }
    let count = keys.len();
    let kept = IssuerKeys { issuer: issuer.url.clone(), keys, fetched_at: run.now() };
    state.table()?.put_issuer_keys(&kept).await?;
    Ok(json!({"keys": count}))
}

async fn page(pages: &EgressClient, url: &str) -> Result<Value, Error> {
    let bytes = pages.get(url).await?;
    serde_json::from_slice(&bytes).map_err(|e| Error::unavailable("the issuer", e))
}

fn unusable(why: &'static str) -> Error {
    Error::unavailable("the issuer", why)
}
