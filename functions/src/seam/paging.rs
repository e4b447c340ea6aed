//! Pagination of Seam's API: `limit` and `page_cursor`, and `pagination` in the reply.

use aws::Position;
use domain::cursor;
use domain::error::DomainError;
use domain::input::Fields;
use domain::text::{Form, TextRule};
use lambda::AuthorizedRequest;
use serde_json::{Value, json};

/// Format of a cursor.
const CURSOR: TextRule = TextRule::new(Form::Ascii, 1, 4096);
/// Accepted maximum of `limit`; values above the page maximum are reduced to it.
const LIMIT_MOST: i64 = i64::MAX;

/// The requested page.
#[derive(Debug)]
pub(super) struct Paging {
    /// Number of items, if given.
    pub limit: Option<usize>,
    cursor: Option<String>,
    scope: String,
}

impl Paging {
    /// Reads `limit`, reduced to at most `most`, and `page_cursor`, which is valid only for the filters that it was
    /// issued for.
    pub fn read(request: &AuthorizedRequest, fields: &mut Fields, most: usize, filters: &[&str]) -> Self {
        let filters: Vec<Option<Value>> = filters.iter().map(|name| fields.value(name)).collect();
        let limit = fields.integer("limit", 1, LIMIT_MOST);
        Self {
            limit: limit.map(|limit| usize::try_from(limit).unwrap_or(most).min(most)),
            cursor: fields.text("page_cursor", CURSOR),
            scope: json!([request.workspace(), request.http.raw_path, filters]).to_string(),
        }
    }

    /// True if a page was requested, rather than everything.
    pub fn is_asked_for(&self) -> bool {
        self.limit.is_some() || self.cursor.is_some()
    }

    /// Start position of the page; `None` for the first one.
    ///
    /// # Errors
    /// `CursorInvalid`.
    pub fn start(&self) -> Result<Option<Position>, DomainError> {
        let Some(cursor) = &self.cursor else {
            return Ok(None);
        };
        let bytes = cursor::decode(&self.scope, &ours(cursor))?;
        Position::from_bytes(&bytes).map(Some).ok_or(DomainError::CursorInvalid)
    }

    /// The `pagination` object. It has no URL, which would contain the search terms.
    pub fn pagination(&self, next: Option<&Position>) -> Value {
        let cursor = next.map(|position| theirs(&cursor::encode(&self.scope, &position.to_bytes())));
        json!({"has_next_page": cursor.is_some(), "next_page_cursor": cursor, "next_page_url": null})
    }
}

/// Converts a cursor to the form of Seam's schema: base64 in the standard alphabet, with padding.
fn theirs(cursor: &str) -> String {
    let mut cursor = cursor.replace('-', "+").replace('_', "/");
    while !cursor.len().is_multiple_of(4) {
        cursor.push('=');
    }
    cursor
}

fn ours(cursor: &str) -> String {
    cursor.trim_end_matches('=').replace('+', "-").replace('/', "_")
}
