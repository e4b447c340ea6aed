//! Invitations and deployments, and their codes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use domain::error::Error;
use domain::models::offer::{Channel, Offer, Purpose};
use domain::models::user::User;
use domain::secret::Hash;
use domain::{InvitationId, Time, UserId, WorkspaceId};
use serde::{Deserialize, Serialize};

use crate::commit::Commit;
use crate::item::{IndexRow, Item, Read, Row, RowKey, TIME_TO_LIVE, keeps_stored_row};
use crate::list::{Page, Position, Source};
use crate::store::keys::Pointer;
use crate::store::{due, keys, users};
use crate::table::Table;

keeps_stored_row!(Offer);

impl Read for OfferRef {}

/// Prefix of an invitation's sort key.
pub const INVITATION: &str = "INVITATION#";

/// The key of an invitation.
#[must_use]
pub fn offer_key(workspace: WorkspaceId, user_id: UserId, id: InvitationId) -> RowKey {
    RowKey::new(users::user_key(workspace, user_id).pk, format!("{INVITATION}{id}"))
}

/// The key of a code.
#[must_use]
pub fn code_key(hash: &Hash) -> RowKey {
    RowKey::new(format!("CODE#{}", hash.as_str()), "CODE")
}

/// The key of a text message, by SNS's identifier.
#[must_use]
pub fn text_message_key(message_id: &str) -> RowKey {
    RowKey::new(format!("MESSAGE#{message_id}"), "MESSAGE")
}

/// The owner of a code or of a text message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferRef {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The user.
    pub user_id: UserId,
    /// The invitation.
    pub invitation_id: InvitationId,
}

/// The key of an invitation's secret.
#[must_use]
pub fn invitation_secret_pk(id: InvitationId) -> String {
    format!("INVITATION#{id}")
}

impl Row for Offer {
    fn key(&self) -> RowKey {
        offer_key(self.workspace_id, self.user_id, self.invitation_id)
    }
    fn version(&self) -> u64 {
        self.version
    }
    fn indexes(&self) -> Vec<(&'static str, String)> {
        if !self.needs_code() {
            return Vec::new();
        }
        due::due_attributes(&self.key(), self.expires_at)
    }
    fn index_rows(&self) -> BTreeSet<IndexRow> {
        let owner = BTreeMap::from([
            ("workspace_id", self.workspace_id.to_string()),
            ("user_id", self.user_id.to_string()),
            ("invitation_id", self.invitation_id.to_string()),
        ]);
        // SNS reports on a text contain only its identifier.
        let texted = self.delivery.message_id.as_deref().filter(|_| self.channel == Channel::Sms);
        let texted = texted.map(|id| IndexRow { key: text_message_key(id), attributes: owner.clone(), unique: false });
        let code = IndexRow { key: code_key(&self.code_hash), attributes: owner, unique: true };
        let pointer = keys::pointer_index_row(self.workspace_id, &self.invitation_id.to_string(), &self.key());
        texted.into_iter().chain([code, pointer]).collect()
    }
}

impl Table {
    /// A page of a user's invitations and deployments, newest first.
    pub async fn list_invitations(
        &self,
        workspace: WorkspaceId,
        user: UserId,
        limit: usize,
        start: Option<Position>,
    ) -> Result<Page<Offer>, Error> {
        let source = Source::in_partition(users::user_key(workspace, user).pk, INVITATION);
        self.rows(&source, limit, start).await
    }

    /// A deployment by its identifier.
    pub async fn deployment(&self, workspace: WorkspaceId, id: InvitationId) -> Result<Option<Offer>, Error> {
        let pointer: Option<Pointer> = self.get(&keys::pointer_key(workspace, &id.to_string())).await?;
        let Some(pointer) = pointer.filter(|pointer| pointer.to_sk.starts_with(INVITATION)) else {
            return Ok(None);
        };
        let offer: Option<Offer> = self.get(&RowKey::new(pointer.to_pk, pointer.to_sk)).await?;
        Ok(offer.filter(|offer| offer.purpose == Purpose::Deploy))
    }

    /// The latest deployments of some users; users without one are left out.
    pub async fn deployments(&self, users: &[&User]) -> Result<BTreeMap<UserId, Offer>, Error> {
        let key = |user: &&User| {
            let id = user.client.deployment_id?;
            Some((user.user_id, offer_key(user.workspace_id, user.user_id, id)))
        };
        let keys: Vec<(UserId, RowKey)> = users.iter().filter_map(key).collect();
        let found = self.get_many(keys.iter().map(|(_, key)| key.clone())).await?;
        Ok(keys.iter().filter_map(|(user, key)| Some((*user, found.readable(key)?))).collect())
    }

    /// The owner of a code, whether or not the code can still be used.
    pub async fn offer_of_code(&self, hash: &Hash) -> Result<Option<OfferRef>, Error> {
        self.get(&code_key(hash)).await
    }

    /// The owner of a text message, by SNS's identifier.
    pub async fn offer_of_message(&self, message_id: &str) -> Result<Option<OfferRef>, Error> {
        self.get(&text_message_key(message_id)).await
    }

    /// An invitation.
    pub async fn offer(&self, workspace: WorkspaceId, user: UserId, id: InvitationId) -> Result<Option<Offer>, Error> {
        self.get(&offer_key(workspace, user, id)).await
    }
}

impl Table {
    /// The code of an invitation.
    pub async fn invitation_code(&self, id: InvitationId) -> Result<Option<String>, Error> {
        let item = self.get_secret(&invitation_secret_pk(id)).await?;
        Ok(item.and_then(|item| item.get("code")?.as_s().ok().cloned()))
    }
}

/// The row of an invitation's code. DynamoDB removes it some time after the invitation's end, if nothing else has.
pub(crate) fn invitation_secret(id: InvitationId, code: &str, expires_at: Time) -> Item {
    HashMap::from([
        ("pk".to_owned(), AttributeValue::S(invitation_secret_pk(id))),
        ("code".to_owned(), AttributeValue::S(code.to_owned())),
        (TIME_TO_LIVE.to_owned(), AttributeValue::N(expires_at.seconds().to_string())),
    ])
}

impl Commit {
    /// Stores an invitation's code until it ends.
    #[must_use]
    pub fn put_code(self, invitation: &Offer, code: &str) -> Self {
        let item = invitation_secret(invitation.invitation_id, code, invitation.expires_at);
        self.put_secret(item)
    }

    /// Deletes an invitation's code once it is not needed any more.
    #[must_use]
    pub fn delete_code_if_ended(self, invitation: &Offer) -> Self {
        if invitation.needs_code() {
            return self;
        }
        self.delete_secret(invitation_secret_pk(invitation.invitation_id))
    }
}
