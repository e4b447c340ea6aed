//! Users, their invitations, and the codes of these.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;

use aws_sdk_dynamodb::types::AttributeValue;
use domain::invitation::Invitation;
use domain::refusal::Failure;
use domain::search::Query;
use domain::secret::Hash;
use domain::user::{User, UserStatus};
use domain::{InvitationId, Time, UserId, WorkspaceId};
use serde::Deserialize;

use crate::item::{Item, Key, TIME_TO_LIVE};
use crate::list::{Page, Position, Range, Source};
use crate::rows::{self, CodeOwner};
use crate::stores::Commits;
use crate::table::Table;

/// Which users a list shows.
#[derive(Clone, Debug, Default)]
pub struct UserFilter {
    /// Those who stand so.
    pub status: Option<UserStatus>,
    /// Those whose name, username, number or address was typed.
    pub search: Option<Query>,
}

/// Where users are kept.
pub trait Users: Commits {
    /// A user, as they are now.
    fn user(&self, workspace: WorkspaceId, id: UserId) -> impl Future<Output = Result<Option<User>, Failure>> + Send;

    /// True if a user of the workspace has this username.
    fn username_taken(
        &self,
        workspace: WorkspaceId,
        username: &str,
    ) -> impl Future<Output = Result<bool, Failure>> + Send;

    /// Users by their identifiers; those that are gone are left out.
    fn users(
        &self,
        workspace: WorkspaceId,
        ids: &BTreeSet<UserId>,
    ) -> impl Future<Output = Result<Vec<User>, Failure>> + Send;

    /// A page of users: the newest first, or by the word that was found.
    fn list_users(
        &self,
        workspace: WorkspaceId,
        filter: &UserFilter,
        limit: usize,
        start: Option<Position>,
    ) -> impl Future<Output = Result<Page<User>, Failure>> + Send;
}

impl Users for Table {
    async fn user(&self, workspace: WorkspaceId, id: UserId) -> Result<Option<User>, Failure> {
        self.get(&rows::user(workspace, id)).await
    }

    async fn username_taken(&self, workspace: WorkspaceId, username: &str) -> Result<bool, Failure> {
        #[derive(Deserialize)]
        struct Claim {}
        Ok(self.get::<Claim>(&rows::username(workspace, username)).await?.is_some())
    }

    async fn users(&self, workspace: WorkspaceId, ids: &BTreeSet<UserId>) -> Result<Vec<User>, Failure> {
        let keys: Vec<Key> = ids.iter().map(|id| rows::user(workspace, *id)).collect();
        let found = self.get_many(keys.clone()).await?;
        keys.iter().filter_map(|key| found.row(key).transpose()).collect()
    }

    async fn list_users(
        &self,
        workspace: WorkspaceId,
        filter: &UserFilter,
        limit: usize,
        start: Option<Position>,
    ) -> Result<Page<User>, Failure> {
        let status = |user: &User| filter.status.is_none_or(|status| status == user.status());
        let Some(query) = &filter.search else {
            let source = Source::newest("created", ("list", rows::list(rows::USERS, workspace)), "created_at");
            return self.page(&source, limit, start, Key::of, |_, user| status(user)).await;
        };
        let source = Source {
            index: None,
            partition: ("pk", rows::words_partition(rows::USERS, workspace)),
            order: "sk",
            range: Range::Prefix(query.leading().to_owned()),
            descending: false,
        };
        let to_row = |item: &Item| {
            let sk = Key::of(item)?.sk;
            Some(rows::user(workspace, UserId::parse(rows::word_and_id(&sk)?.1)?))
        };
        let wanted = |item: &Item, user: &User| {
            let words = user.search_words();
            let found_by = Key::of(item).and_then(|key| Some(rows::word_and_id(&key.sk)?.0.to_owned()));
            query.first_match(&words).map(str::to_owned) == found_by && query.matches(&words) && status(user)
        };
        self.page(&source, limit, start, to_row, wanted).await
    }
}

/// Where invitations are kept.
pub trait Invitations: Commits {
    /// Whose a code is, whether it can still be used or not.
    fn code_owner(&self, hash: &Hash) -> impl Future<Output = Result<Option<CodeOwner>, Failure>> + Send;

    /// Whose a text message is, by SNS's identifier of it.
    fn message_owner(&self, message_id: &str) -> impl Future<Output = Result<Option<CodeOwner>, Failure>> + Send;

    /// An invitation, as it is now.
    fn invitation(
        &self,
        workspace: WorkspaceId,
        user: UserId,
        id: InvitationId,
    ) -> impl Future<Output = Result<Option<Invitation>, Failure>> + Send;
}

impl Invitations for Table {
    async fn code_owner(&self, hash: &Hash) -> Result<Option<CodeOwner>, Failure> {
        self.get(&rows::code(hash)).await
    }

    async fn message_owner(&self, message_id: &str) -> Result<Option<CodeOwner>, Failure> {
        self.get(&rows::text_message(message_id)).await
    }

    async fn invitation(
        &self,
        workspace: WorkspaceId,
        user: UserId,
        id: InvitationId,
    ) -> Result<Option<Invitation>, Failure> {
        self.get(&rows::invitation(workspace, user, id)).await
    }
}

/// Where codes are kept until they are of no use any more.
pub trait Secrets: Sync {
    /// An invitation's code.
    fn invitation_code(&self, id: InvitationId) -> impl Future<Output = Result<Option<String>, Failure>> + Send;
}

impl Secrets for Table {
    async fn invitation_code(&self, id: InvitationId) -> Result<Option<String>, Failure> {
        let item = self.get_secret(&rows::invitation_secret(id)).await?;
        Ok(item.and_then(|item| item.get("code")?.as_s().ok().cloned()))
    }
}

/// The row of an invitation's code. DynamoDB removes it some time after its end, should nothing
/// else have.
pub(crate) fn invitation_secret(id: InvitationId, code: &str, expires_at: Time) -> Item {
    HashMap::from([
        ("pk".to_owned(), AttributeValue::S(rows::invitation_secret(id))),
        ("code".to_owned(), AttributeValue::S(code.to_owned())),
        (TIME_TO_LIVE.to_owned(), AttributeValue::N(expires_at.seconds().to_string())),
    ])
}
