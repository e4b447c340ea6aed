//! The public keys of the OIDC issuer of admins.

use domain::error::Error;
use domain::rules::access::IssuerKeys;

use crate::item::{Read, Row, RowKey, to_item};
use crate::table::{Table, service_error};

impl Read for IssuerKeys {}

/// The key of the row of the issuer's keys.
#[must_use]
pub fn issuer_keys_key() -> RowKey {
    RowKey::new("ISSUER", "KEYS")
}

impl Row for IssuerKeys {
    fn key(&self) -> RowKey {
        issuer_keys_key()
    }
    fn version(&self) -> u64 {
        1
    }
}

impl Table {
    /// The issuer's keys.
    pub async fn issuer_keys(&self) -> Result<Option<IssuerKeys>, Error> {
        self.get(&issuer_keys_key()).await
    }

    /// Replaces the issuer's keys.
    pub async fn put_issuer_keys(&self, keys: &IssuerKeys) -> Result<(), Error> {
        let put = self.client.put_item().table_name(&self.names.main).set_item(Some(to_item(keys)?));
        put.send().await.map_err(|e| service_error("storing the issuer's keys", e))?;
        Ok(())
    }
}
