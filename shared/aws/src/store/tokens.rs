//! Personal access tokens.

use domain::error::Error;
use domain::models::token;
use domain::models::token::Token;
use domain::{Time, TokenId, WorkspaceId};
use serde::{Deserialize, Serialize};

use crate::item::{Item, Read, Row, RowKey, keeps_stored_row};
use crate::list::{Page, Position, Range, Source};
use crate::store::members;
use crate::table::Table;

keeps_stored_row!(Token);

impl Read for TokenPlace {}

/// The key of a personal access token.
#[must_use]
pub fn token_key(short: &str) -> RowKey {
    RowKey::new(format!("TOKEN#{short}"), "TOKEN")
}

/// The partition of a person's list of tokens.
#[must_use]
pub fn tokens_partition(issuer: &str, subject: &str) -> String {
    format!("TOKENS#{}", members::person_hash(issuer, subject).as_str())
}

/// The key of a token in its person's list.
#[must_use]
pub fn token_place_key(issuer: &str, subject: &str, id: TokenId) -> RowKey {
    RowKey::new(tokens_partition(issuer, subject), id.to_string())
}

impl Row for Token {
    fn key(&self) -> RowKey {
        token_key(&self.short)
    }
    fn version(&self) -> u64 {
        self.version
    }
    fn time_to_live(&self) -> Option<i64> {
        Some(self.expires_at.plus(token::RETENTION).seconds())
    }
}

/// An entry in a person's list of tokens. It is not an index row, since it expires by its own time to live, as
/// the token does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenPlace {
    /// Partition key of the person.
    #[serde(skip)]
    pub pk: String,
    /// The token's identifier.
    pub token_id: TokenId,
    /// The public part of the token, which identifies it.
    pub short: String,
    /// When the token may be removed.
    pub kept_until: Time,
}

impl TokenPlace {
    /// The entry of a token.
    #[must_use]
    pub fn of(token: &Token) -> Self {
        Self {
            pk: tokens_partition(&token.issuer, &token.subject),
            token_id: token.token_id,
            short: token.short.clone(),
            kept_until: token.expires_at.plus(token::RETENTION),
        }
    }
}

impl Row for TokenPlace {
    fn key(&self) -> RowKey {
        RowKey::new(self.pk.clone(), self.token_id.to_string())
    }
    fn version(&self) -> u64 {
        1
    }
    fn time_to_live(&self) -> Option<i64> {
        Some(self.kept_until.seconds())
    }
}

impl Table {
    /// The token with this short part, also if revoked or expired.
    pub async fn token(&self, short: &str) -> Result<Option<Token>, Error> {
        self.get(&token_key(short)).await
    }
}

impl Table {
    /// A person's token by its identifier.
    pub async fn person_token(&self, issuer: &str, subject: &str, id: TokenId) -> Result<Option<Token>, Error> {
        let place: Option<TokenPlace> = self.get(&token_place_key(issuer, subject, id)).await?;
        match place {
            Some(place) => self.get(&token_key(&place.short)).await,
            None => Ok(None),
        }
    }

    /// A page of a person's tokens, newest first; with a workspace, only tokens for that workspace.
    pub async fn list_tokens(
        &self,
        issuer: &str,
        subject: &str,
        workspace: Option<WorkspaceId>,
        limit: usize,
        start: Option<Position>,
    ) -> Result<Page<Token>, Error> {
        // Identifiers sort by creation time.
        let source = Source {
            index: None,
            partition: ("pk", tokens_partition(issuer, subject)),
            order: "sk",
            range: Range::All,
            descending: true,
        };
        let to_row = |item: &Item| Some(token_key(item.get("short")?.as_s().ok()?));
        let is_listed = |token: &Token| workspace.is_none_or(|id| token.workspace_ids.contains(&id));
        self.page(&source, limit, start, to_row, |_, token| is_listed(token)).await
    }
}
