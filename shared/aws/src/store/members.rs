//! Members: people who sign in, in each of their workspaces.

use std::collections::BTreeSet;

use domain::error::Error;
use domain::models::member::Member;
use domain::secret::Hash;
use domain::{MemberId, WorkspaceId};

use crate::item::{IndexRow, Row, RowKey, keeps_stored_row};
use crate::list::{Page, Position, Range, Source, readable};
use crate::store::keys;
use crate::store::keys::Pointer;
use crate::table::Table;

keeps_stored_row!(Member);

/// The name of the list of members.
pub const MEMBERS: &str = "MEMBER";

/// A person's hash for keys, which reveals nothing of the person.
#[must_use]
pub fn person_hash(issuer: &str, subject: &str) -> Hash {
    // The length keeps pairs apart that are equal when joined.
    Hash::of(format!("{}|{issuer}|{subject}", issuer.len()))
}

/// The partition of a person's memberships.
#[must_use]
pub fn person_partition(issuer: &str, subject: &str) -> String {
    format!("MEMBER#{}", person_hash(issuer, subject).as_str())
}

/// The key of a membership.
#[must_use]
pub fn member_key(workspace: WorkspaceId, issuer: &str, subject: &str) -> RowKey {
    RowKey::new(person_partition(issuer, subject), workspace.to_string())
}

impl Row for Member {
    fn key(&self) -> RowKey {
        member_key(self.workspace_id, &self.issuer, &self.subject)
    }
    fn version(&self) -> u64 {
        self.version
    }
    fn indexes(&self) -> Vec<(&'static str, String)> {
        vec![("list", crate::item::list_partition(MEMBERS, self.workspace_id))]
    }
    fn index_rows(&self) -> BTreeSet<IndexRow> {
        BTreeSet::from([keys::pointer_index_row(self.workspace_id, &self.member_id.to_string(), &self.key())])
    }
}

/// The most workspaces of which one person is a member or was added as one: so many that pushing out one
/// membership takes a thousand malicious workspaces.
const MEMBERSHIP_LIMIT: usize = 1_000;

/// A person's memberships.
fn memberships(issuer: &str, subject: &str) -> Source {
    let partition = ("pk", person_partition(issuer, subject));
    Source { index: None, partition, order: "sk", range: Range::All, descending: false }
}

impl Table {
    /// A person's memberships, across all workspaces.
    pub async fn memberships(&self, issuer: &str, subject: &str) -> Result<Vec<Member>, Error> {
        let (items, _) = self.query(&memberships(issuer, subject), MEMBERSHIP_LIMIT, None).await?;
        // An unreadable membership counts as none, and does not affect those of other workspaces.
        Ok(items.into_iter().filter_map(readable).collect())
    }
}

impl Table {
    /// A member of a workspace.
    pub async fn member_by_id(&self, workspace: WorkspaceId, id: MemberId) -> Result<Option<Member>, Error> {
        let pointer: Option<Pointer> = self.get(&keys::pointer_key(workspace, &id.to_string())).await?;
        let Some(pointer) = pointer.filter(|pointer| pointer.to_pk.starts_with("MEMBER#")) else {
            return Ok(None);
        };
        self.get(&RowKey::new(pointer.to_pk, pointer.to_sk)).await
    }

    /// A person's membership of a workspace.
    pub async fn membership(
        &self,
        workspace: WorkspaceId,
        issuer: &str,
        subject: &str,
    ) -> Result<Option<Member>, Error> {
        self.get(&member_key(workspace, issuer, subject)).await
    }

    /// A page of a person's memberships, including ones that are not accepted.
    pub async fn list_memberships(
        &self,
        issuer: &str,
        subject: &str,
        limit: usize,
        start: Option<Position>,
    ) -> Result<Page<Member>, Error> {
        self.rows(&memberships(issuer, subject), limit, start).await
    }

    /// A page of members, newest first.
    pub async fn list_members(
        &self,
        workspace: WorkspaceId,
        limit: usize,
        start: Option<Position>,
    ) -> Result<Page<Member>, Error> {
        let source =
            Source::newest_first("created", ("list", crate::item::list_partition(MEMBERS, workspace)), "created_at");
        self.page(&source, limit, start, RowKey::of, |_, _| true).await
    }
}
