//! Who may come in: workspaces, keys, members, personal access tokens, the issuer's keys, and remembered calls.

use std::collections::BTreeSet;

use domain::access::IssuerKeys;
use domain::deployment::SecretsEdit;
use domain::error::Error;
use domain::event::Actor;
use domain::idempotency::IdempotencyRecord;
use domain::key::{Key as ApiKey, Makers};
use domain::member::Member;
use domain::token::Token;
use domain::user::User;
use domain::workspace::Workspace;
use domain::{KeyId, MemberId, TokenId, WorkspaceId};

use crate::commit::Commit;
use crate::item::{Item, Key, to_item};
use crate::list::{Page, Position, Range, Source, readable};
use crate::rows::{self, IdempotencyRow, Pointer, TokenPlace};
use crate::table::{Table, failure};

/// Keys that are looked for at once.
const KEYS_AT_ONCE: usize = 100;

/// The most workspaces that one person belongs to, or was added to: so many that whoever adds people for mischief needs
/// a thousand workspaces to push one membership out.
const MEMBERSHIP_LIMIT: usize = 1_000;

/// A person's memberships.
fn memberships(issuer: &str, subject: &str) -> Source {
    let partition = ("pk", rows::person(issuer, subject));
    Source { index: None, partition, order: "sk", range: Range::All, descending: false }
}

impl Table {
    /// The key with this short part, revoked and expired ones too.
    pub async fn key(&self, short: &str) -> Result<Option<ApiKey>, Error> {
        self.get(&rows::api_key(short)).await
    }

    /// The keys that a key came from.
    pub async fn makers_of(&self, key: &ApiKey) -> Result<Makers, Error> {
        let mut makers = Makers::new();
        for short in &key.makers {
            if let Some(maker) = self.get::<ApiKey>(&rows::api_key(short)).await? {
                makers.insert(short.clone(), maker);
            }
        }
        Ok(makers)
    }

    /// The personal access token with this short part, revoked and expired ones too.
    pub async fn token(&self, short: &str) -> Result<Option<Token>, Error> {
        self.get(&rows::token(short)).await
    }

    /// A person's memberships, over all workspaces.
    pub async fn memberships(&self, issuer: &str, subject: &str) -> Result<Vec<Member>, Error> {
        let (items, _) = self.query(&memberships(issuer, subject), MEMBERSHIP_LIMIT, None).await?;
        // Whoever cannot be read as a member of one workspace is none there, and still is of the others.
        Ok(items.into_iter().filter_map(readable).collect())
    }

    /// The issuer's keys.
    pub async fn issuer_keys(&self) -> Result<Option<IssuerKeys>, Error> {
        self.get(&rows::issuer_keys()).await
    }

    /// Keeps the keys in place of the older ones.
    pub async fn keep_issuer_keys(&self, keys: &IssuerKeys) -> Result<(), Error> {
        let put = self.client.put_item().table_name(&self.names.main).set_item(Some(to_item(keys)?));
        put.send().await.map_err(|e| failure("keeping the issuer's keys", e))?;
        Ok(())
    }
}

impl Table {
    /// A workspace, as it is now.
    pub async fn workspace(&self, id: WorkspaceId) -> Result<Option<Workspace>, Error> {
        self.get(&rows::workspace(id)).await
    }

    /// Workspaces by their identifiers, in the order of these; those that are gone are left out.
    pub async fn workspaces(&self, ids: &BTreeSet<WorkspaceId>) -> Result<Vec<Workspace>, Error> {
        let keys: Vec<Key> = ids.iter().map(|id| rows::workspace(*id)).collect();
        let found = self.get_many(keys.clone()).await?;
        Ok(keys.iter().filter_map(|key| found.readable(key)).collect())
    }
}

impl Table {
    /// A key of a workspace.
    pub async fn key_by_id(&self, workspace: WorkspaceId, id: KeyId) -> Result<Option<ApiKey>, Error> {
        let pointer: Option<Pointer> = self.get(&rows::pointer(workspace, &id.to_string())).await?;
        let Some(pointer) = pointer.filter(|pointer| pointer.to_sk == "KEY") else {
            return Ok(None);
        };
        self.get(&Key::new(pointer.to_pk, pointer.to_sk)).await
    }

    /// A page of keys, the newest first.
    pub async fn list_keys(
        &self,
        workspace: WorkspaceId,
        limit: usize,
        start: Option<Position>,
    ) -> Result<Page<ApiKey>, Error> {
        let source = Source::newest("created", ("list", rows::list(rows::KEYS, workspace)), "created_at");
        self.page(&source, limit, start, Key::of, |_, _| true).await
    }

    /// The keys that these came from.
    pub async fn makers_of_all(&self, keys: &[ApiKey]) -> Result<Makers, Error> {
        let shorts: BTreeSet<&String> = keys.iter().flat_map(|key| &key.makers).collect();
        let found = self.get_many(shorts.iter().map(|short| rows::api_key(short))).await?;
        let made = |short: &&String| Some(((*short).clone(), found.readable(&rows::api_key(short))?));
        Ok(shorts.iter().filter_map(made).collect())
    }

    /// Every key of a workspace that somebody made by themselves, the newest first.
    pub async fn keys_made_by(&self, workspace: WorkspaceId, maker: Actor) -> Result<Vec<ApiKey>, Error> {
        let source = Source::newest("created", ("list", rows::list(rows::KEYS, workspace)), "created_at");
        let (mut keys, mut start) = (Vec::new(), None);
        loop {
            let made = |_: &Item, key: &ApiKey| key.created_by.actor == maker;
            let page = self.page(&source, KEYS_AT_ONCE, start, Key::of, made).await?;
            keys.extend(page.items);
            start = page.next;
            if start.is_none() {
                return Ok(keys);
            }
        }
    }
}

impl Table {
    /// A member of a workspace.
    pub async fn member_by_id(&self, workspace: WorkspaceId, id: MemberId) -> Result<Option<Member>, Error> {
        let pointer: Option<Pointer> = self.get(&rows::pointer(workspace, &id.to_string())).await?;
        let Some(pointer) = pointer.filter(|pointer| pointer.to_pk.starts_with("MEMBER#")) else {
            return Ok(None);
        };
        self.get(&Key::new(pointer.to_pk, pointer.to_sk)).await
    }

    /// A person's membership of a workspace.
    pub async fn membership(
        &self,
        workspace: WorkspaceId,
        issuer: &str,
        subject: &str,
    ) -> Result<Option<Member>, Error> {
        self.get(&rows::member(workspace, issuer, subject)).await
    }

    /// A page of a person's memberships, those that they have not accepted too.
    pub async fn list_memberships(
        &self,
        issuer: &str,
        subject: &str,
        limit: usize,
        start: Option<Position>,
    ) -> Result<Page<Member>, Error> {
        self.rows(&memberships(issuer, subject), limit, start).await
    }

    /// A page of members, the newest first.
    pub async fn list_members(
        &self,
        workspace: WorkspaceId,
        limit: usize,
        start: Option<Position>,
    ) -> Result<Page<Member>, Error> {
        let source = Source::newest("created", ("list", rows::list(rows::MEMBERS, workspace)), "created_at");
        self.page(&source, limit, start, Key::of, |_, _| true).await
    }
}

impl Table {
    /// A person's token.
    pub async fn token_of(&self, issuer: &str, subject: &str, id: TokenId) -> Result<Option<Token>, Error> {
        let place: Option<TokenPlace> = self.get(&rows::token_place(issuer, subject, id)).await?;
        match place {
            Some(place) => self.get(&rows::token(&place.short)).await,
            None => Ok(None),
        }
    }

    /// A page of a person's tokens, as they are now and the newest first; of a workspace, those alone that were
    /// made for it.
    pub async fn list_tokens(
        &self,
        issuer: &str,
        subject: &str,
        workspace: Option<WorkspaceId>,
        limit: usize,
        start: Option<Position>,
    ) -> Result<Page<Token>, Error> {
        // Their identifiers hold the time at which they were made.
        let source = Source {
            index: None,
            partition: ("pk", rows::tokens_of(issuer, subject)),
            order: "sk",
            range: Range::All,
            descending: true,
        };
        let to_row = |item: &Item| Some(rows::token(item.get("short")?.as_s().ok()?));
        let wanted = |token: &Token| workspace.is_none_or(|id| token.workspace_ids.contains(&id));
        self.page(&source, limit, start, to_row, |_, token| wanted(token)).await
    }
}

impl Table {
    /// What is remembered under a partition made by [`rows::call`].
    pub async fn remembered(&self, pk: &str) -> Result<Option<IdempotencyRecord>, Error> {
        self.get(&Key::new(pk, rows::CALL)).await
    }
}

impl Commit {
    /// Remembers a call, in the commit that does what it asks. Of two that race, one loses; a call
    /// whose time is over is forgotten.
    #[must_use]
    pub fn remember(self, call: &IdempotencyRow, forgotten: bool) -> Self {
        if forgotten { self.replace(call) } else { self.put(call) }
    }

    /// Keeps an invitation's code until it ends.
    #[must_use]
    pub fn keep_code(self, invitation: &domain::invitation::Invitation, code: &str) -> Self {
        let item = super::people::invitation_secret(invitation.invitation_id, code, invitation.expires_at);
        self.put_secret(item)
    }

    /// Forgets an invitation's code, once the invitation has no more use for it.
    #[must_use]
    pub fn forget_code(self, invitation: &domain::invitation::Invitation) -> Self {
        if invitation.keeps_code() {
            return self;
        }
        self.delete_secret(rows::invitation_secret(invitation.invitation_id))
    }

    /// Sets secrets of a user, who is as they are after it, or takes them away. That none is left
    /// is written down by [`Commit::changing`].
    #[must_use]
    pub fn keep_secrets(self, user: &User, edit: &SecretsEdit) -> Self {
        if user.client.secrets.is_empty() {
            return self;
        }
        let secrets = edit.iter().map(|(kind, secret)| (kind.as_str(), secret.clone())).collect();
        self.set_secrets(rows::user_secrets(user.workspace_id, user.user_id), secrets)
    }

    /// Forgets a user's secrets, if there are any.
    #[must_use]
    pub fn forget_secrets(self, user: &User) -> Self {
        if user.client.secrets.is_empty() {
            return self;
        }
        self.delete_secret(rows::user_secrets(user.workspace_id, user.user_id))
    }
}
