//! Lists: `limit`, `cursor`, and the shape `{items, next_cursor}`.

use aws::{Page, Position, Table, Times};
use domain::WorkspaceId;
use domain::cursor;
use domain::error::{DomainError, Error};
use domain::input::Fields;
use lambda::Reply;
use serde::Serialize;
use serde_json::{Value, json};

use crate::actors::name_actors;
use crate::caller_scope::CallerScope;
use crate::views::List;

/// Most items of a page.
const LIMIT_MOST: i64 = 100;
const LIMIT_DEFAULT: i64 = 50;

/// The requested page of a list.
#[derive(Debug)]
pub(crate) struct Paging {
    /// Most items to return.
    pub limit: usize,
    /// Position to continue after; `None` for the first page.
    pub start: Option<Position>,
    scope: String,
    total: Option<u64>,
}

impl Paging {
    /// Reads the paging parameters; `read` reads the list's own parameters.
    ///
    /// # Errors
    /// Every invalid query parameter; `CursorInvalid`.
    pub fn read<T>(request: &impl CallerScope, read: impl FnOnce(&mut Fields) -> T) -> Result<(Self, T), DomainError> {
        Self::read_within(request, LIMITS, LIMIT_DEFAULT, read)
    }

    /// As [`Paging::read`], with other limits and another default for `limit`.
    ///
    /// # Errors
    /// Every invalid query parameter; `CursorInvalid`.
    pub fn read_within<T>(
        request: &impl CallerScope,
        (least, most): (i64, i64),
        default: i64,
        read: impl FnOnce(&mut Fields) -> T,
    ) -> Result<(Self, T), DomainError> {
        let mut fields = request.http().query()?;
        let (limit, cursor) = parameters(&mut fields, (least, most));
        let filter = read(&mut fields);
        fields.finish().map_err(DomainError::Invalid)?;
        let scope = scope(request)?;
        let start = cursor.as_ref().and_then(Value::as_str).map(|cursor| {
            let bytes = cursor::decode(&scope, cursor)?;
            Position::from_bytes(&bytes).ok_or(DomainError::CursorInvalid)
        });
        let limit = usize::try_from(limit.unwrap_or(default)).unwrap_or(1);
        Ok((Self { limit, start: start.transpose()?, scope, total: None }, filter))
    }

    /// The same for a list of this many items, if they are counted.
    pub fn with_total(self, total: Option<u64>) -> Self {
        Self { total, ..self }
    }

    /// The reply with a page.
    pub fn reply<'p, T, V: Serialize>(&self, page: &'p Page<T>, view: impl Fn(&'p T) -> V) -> Reply {
        self.list(page, page.items.iter().map(view).collect())
    }

    /// As [`Paging::reply`], with the names of actors.
    ///
    /// # Errors
    /// Those of the reads.
    pub async fn reply_named<'p, T, V: Serialize>(
        &self,
        table: &Table,
        workspace: WorkspaceId,
        page: &'p Page<T>,
        view: impl Fn(&'p T) -> V,
    ) -> Result<Reply, Error> {
        Ok(self.list(page, name_actors(table, workspace, page.items.iter().map(view)).await?))
    }

    fn list<T>(&self, page: &Page<T>, items: Vec<impl Serialize>) -> Reply {
        Reply::ok(&List { items, next_cursor: self.next(page), total: self.total })
    }

    /// The cursor of the next page; `None` after the last.
    pub fn next<T>(&self, page: &Page<T>) -> Option<String> {
        page.next.as_ref().map(|position| self.cursor(position))
    }

    /// The cursor of a position.
    pub fn cursor(&self, position: &Position) -> String {
        cursor::encode(&self.scope, &position.to_bytes())
    }
}

/// Reads a span of time.
pub(crate) fn times(fields: &mut Fields, since: &str, before: &str) -> Times {
    Times { since: fields.time(since), before: fields.time(before) }
}

/// Reads `limit` and `cursor`.
pub(crate) fn parameters(fields: &mut Fields, (least, most): (i64, i64)) -> (Option<i64>, Option<Value>) {
    (fields.integer("limit", least, most), fields.value_with_schema("cursor", || json!({"type": "string"})))
}

/// Least and most items of a page.
pub(crate) const LIMITS: (i64, i64) = (1, LIMIT_MOST);

/// What a cursor is valid for: the workspace or person, the list and its filters. `limit` may change between pages.
fn scope(request: &impl CallerScope) -> Result<String, DomainError> {
    let mut pairs = request.http().query_pairs()?;
    pairs.retain(|(name, value)| !matches!(name.as_str(), "limit" | "cursor") && !value.is_empty());
    pairs.sort();
    Ok(json!([request.scope(), request.http().operation, pairs]).to_string())
}
