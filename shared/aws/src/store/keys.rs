//! API keys.

use std::collections::{BTreeMap, BTreeSet};

use domain::error::Error;
use domain::models::actor::Actor;
use domain::models::key::{AncestorKeys, ApiKey};
use domain::{KeyId, WorkspaceId};
use serde::{Deserialize, Serialize};

use crate::item::{IndexRow, Item, Read, Row, RowKey, keeps_stored_row};
use crate::list::{Page, Position, Source};
use crate::table::Table;

keeps_stored_row!(ApiKey);

impl Read for Pointer {}

/// The name of the list of keys.
pub const KEYS: &str = "KEY";

/// The key of an API key.
#[must_use]
pub fn api_key_key(short: &str) -> RowKey {
    RowKey::new(format!("KEY#{short}"), "KEY")
}

/// The key of a pointer.
#[must_use]
pub fn pointer_key(workspace: WorkspaceId, id: &str) -> RowKey {
    RowKey::new(format!("POINTER#{workspace}#{id}"), "POINTER")
}

/// A pointer to a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    /// Partition key of the row.
    pub to_pk: String,
    /// Sort key of the row.
    pub to_sk: String,
}

pub(crate) fn pointer_index_row(workspace: WorkspaceId, id: &str, to: &RowKey) -> IndexRow {
    IndexRow {
        key: pointer_key(workspace, id),
        attributes: BTreeMap::from([("to_pk", to.pk.clone()), ("to_sk", to.sk.clone())]),
        unique: true,
    }
}

impl Row for ApiKey {
    fn key(&self) -> RowKey {
        api_key_key(&self.short)
    }
    fn version(&self) -> u64 {
        self.version
    }
    fn indexes(&self) -> Vec<(&'static str, String)> {
        vec![("list", crate::item::list_partition(KEYS, self.workspace_id))]
    }
    fn index_rows(&self) -> BTreeSet<IndexRow> {
        BTreeSet::from([pointer_index_row(self.workspace_id, &self.key_id.to_string(), &self.key())])
    }
}

/// How many keys are read at once.
const KEYS_AT_ONCE: usize = 100;

impl Table {
    /// The key with this short part, also if revoked or expired.
    pub async fn key(&self, short: &str) -> Result<Option<ApiKey>, Error> {
        self.get(&api_key_key(short)).await
    }

    /// The chain of keys before a key.
    pub async fn find_ancestors(&self, key: &ApiKey) -> Result<AncestorKeys, Error> {
        let mut ancestors = AncestorKeys::new();
        for short in &key.ancestors {
            if let Some(creator) = self.get::<ApiKey>(&api_key_key(short)).await? {
                ancestors.insert(short.clone(), creator);
            }
        }
        Ok(ancestors)
    }
}

impl Table {
    /// A key of a workspace by its identifier.
    pub async fn key_by_id(&self, workspace: WorkspaceId, id: KeyId) -> Result<Option<ApiKey>, Error> {
        let pointer: Option<Pointer> = self.get(&pointer_key(workspace, &id.to_string())).await?;
        let Some(pointer) = pointer.filter(|pointer| pointer.to_sk == "KEY") else {
            return Ok(None);
        };
        self.get(&RowKey::new(pointer.to_pk, pointer.to_sk)).await
    }

    /// A page of keys, newest first.
    pub async fn list_keys(
        &self,
        workspace: WorkspaceId,
        limit: usize,
        start: Option<Position>,
    ) -> Result<Page<ApiKey>, Error> {
        let source =
            Source::newest_first("created", ("list", crate::item::list_partition(KEYS, workspace)), "created_at");
        self.page(&source, limit, start, RowKey::of, |_, _| true).await
    }

    /// The chains of keys before these.
    pub async fn makers_of_all(&self, keys: &[ApiKey]) -> Result<AncestorKeys, Error> {
        let shorts: BTreeSet<&String> = keys.iter().flat_map(|key| &key.ancestors).collect();
        let found = self.get_many(shorts.iter().map(|short| api_key_key(short))).await?;
        let made = |short: &&String| Some(((*short).clone(), found.readable(&api_key_key(short))?));
        Ok(shorts.iter().filter_map(made).collect())
    }

    /// All keys of a workspace that an actor created directly, newest first.
    pub async fn keys_created_by(&self, workspace: WorkspaceId, creator: Actor) -> Result<Vec<ApiKey>, Error> {
        let source =
            Source::newest_first("created", ("list", crate::item::list_partition(KEYS, workspace)), "created_at");
        let (mut keys, mut start) = (Vec::new(), None);
        loop {
            let made = |_: &Item, key: &ApiKey| key.created_by.actor == creator;
            let page = self.page(&source, KEYS_AT_ONCE, start, RowKey::of, made).await?;
            keys.extend(page.items);
            start = page.next;
            if start.is_none() {
                return Ok(keys);
            }
        }
    }
}
