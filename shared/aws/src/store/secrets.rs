//! Users' secrets, in the table of secrets.

use domain::error::Error;
use domain::models::client_account::{SecretKind, UserSecrets};
use domain::models::user::User;
use domain::rules::deployments::SecretsEdit;
use domain::{UserId, WorkspaceId};

use crate::commit::Commit;
use crate::store::users;
use crate::table::Table;

/// The key of a user's secrets.
#[must_use]
pub fn user_secrets_pk(workspace: WorkspaceId, id: UserId) -> String {
    users::user_key(workspace, id).pk
}

impl Table {
    /// A user's secrets, to be used for configurations only.
    pub async fn user_secrets(&self, workspace: WorkspaceId, id: UserId) -> Result<UserSecrets, Error> {
        let item = self.get_secret(&user_secrets_pk(workspace, id)).await?.unwrap_or_default();
        let secret = |kind: &SecretKind| Some((*kind, item.get(kind.as_str())?.as_s().ok()?.clone()));
        Ok(SecretKind::ALL.iter().filter_map(secret).collect())
    }
}

impl Commit {
    /// Sets or removes secrets of a user; `user` is the user after the edit. [`Commit::from_changes`] removes the
    /// row with the last secret.
    #[must_use]
    pub fn update_user_secrets(self, user: &User, edit: &SecretsEdit) -> Self {
        if user.client.secrets.is_empty() {
            return self;
        }
        let secrets = edit.iter().map(|(kind, secret)| (kind.as_str(), secret.clone())).collect();
        self.set_secrets(user_secrets_pk(user.workspace_id, user.user_id), secrets)
    }

    /// Deletes a user's secrets, if there are any.
    #[must_use]
    pub fn delete_user_secrets(self, user: &User) -> Self {
        if user.client.secrets.is_empty() {
            return self;
        }
        self.delete_secret(user_secrets_pk(user.workspace_id, user.user_id))
    }
}
