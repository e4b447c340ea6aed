//! Looks callers up, with the issuer's keys cached: an admin's token then costs one read, as an API key does.

use std::sync::{Arc, Mutex, PoisonError};

use aws::Table;
use chrono::Duration;
use domain::Time;
use domain::error::Error;
use domain::models::key::{AncestorKeys, ApiKey};
use domain::models::member::Member;
use domain::models::token::Token;
use domain::rules::access::IssuerKeys;
use lambda::CredentialStore;

/// How long the cached issuer keys are used. A key that the issuer has revoked stays valid for this much longer than
/// the schedule of `refresh-issuer-keys` allows.
const CACHE_TTL: Duration = Duration::seconds(60);

/// The issuer's keys, as last read. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct IssuerKeysCache(Arc<Mutex<Option<(Time, IssuerKeys)>>>);

impl IssuerKeysCache {
    fn get(&self, issuer: &str, now: Time) -> Option<IssuerKeys> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |read: &Time| *read <= now && now < read.plus(CACHE_TTL);
        kept.as_ref().filter(|(read, keys)| fresh(read) && keys.issuer == issuer).map(|(_, keys)| keys.clone())
    }

    fn keep(&self, keys: &IssuerKeys, now: Time) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, keys.clone()));
    }
}

/// Looks callers up at one point in time.
pub(crate) struct Callers<'a> {
    /// The table of keys, tokens and members.
    pub table: &'a Table,
    /// The cached issuer keys.
    pub cache: &'a IssuerKeysCache,
    /// The issuer URL, exactly as tokens name it.
    pub issuer: Option<&'a str>,
    /// The current time.
    pub now: Time,
}

impl CredentialStore for Callers<'_> {
    async fn key(&self, short: &str) -> Result<Option<ApiKey>, Error> {
        self.table.key(short).await
    }

    async fn find_ancestors(&self, key: &ApiKey) -> Result<AncestorKeys, Error> {
        self.table.find_ancestors(key).await
    }

    async fn token(&self, short: &str) -> Result<Option<Token>, Error> {
        self.table.token(short).await
    }

    async fn memberships(&self, issuer: &str, subject: &str) -> Result<Vec<Member>, Error> {
        self.table.memberships(issuer, subject).await
    }

    async fn issuer_keys(&self) -> Result<Option<IssuerKeys>, Error> {
        if let Some(keys) = self.issuer.and_then(|issuer| self.cache.get(issuer, self.now)) {
            return Ok(Some(keys));
        }
        let read = self.table.issuer_keys().await?;
        if let Some(keys) = &read {
            self.cache.keep(keys, self.now);
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_used_for_a_minute_and_only_for_their_issuer() {
        let read = Time::parse("2026-11-23T08:00:00Z").unwrap();
        let keys = IssuerKeys { issuer: "https://id.example".to_owned(), keys: Vec::new(), fetched_at: read };
        let cache = IssuerKeysCache::default();
        assert_eq!(cache.get("https://id.example", read), None);
        cache.keep(&keys, read);
        let after = |seconds| read.plus(Duration::seconds(seconds));
        assert_eq!(cache.get("https://id.example", after(59)), Some(keys));
        assert_eq!(cache.get("https://id.example", after(60)), None);
        assert_eq!(cache.get("https://id.example", after(-1)), None, "a clock that went back");
        assert_eq!(cache.get("https://other.example", after(1)), None);
    }
}
