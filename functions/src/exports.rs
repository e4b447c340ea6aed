//! Exports: what the lists show, as comma-separated values (RFC 4180), in parts that follow one
//! another by `Link` and are one file when put together.
//!
//! A part holds so many rows and bytes and no more, whatever is exported, so it is done well
//! within what API Gateway waits for and takes, and needs no more memory for a million rows than
//! for a thousand.

pub mod export_devices;
pub mod export_events;
pub mod export_users;

use aws::{Commit, Page, Position, Table};
use domain::error::{DomainError, Error};
use domain::input::Fields;
use domain::rules::exports::{Choice, PART_ROWS, PART_ROWS_DEFAULT, both, given_out, harmless};
use lambda::{AuthorizedRequest, Reply};
use lambda_http::http::{HeaderName, HeaderValue, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::description::{OperationDoc, schema_of};
use crate::paging::{self, Paging};
use crate::retry::retry_on_conflict;

/// The most bytes of a part, but for one row that has more by itself: far below the 6 MB that
/// Lambda gives back.
const PART_BYTES: usize = 1024 * 1024;
/// How many rows are read at once.
const STEP: usize = 100;
/// The most pages that a part reads. Of a narrow filter a part may be short, or empty, and the
/// export still goes on.
const PAGES: usize = 10;

/// What can be exported: its name, and each column with its place in what the list shows.
struct ExportKind {
    name: &'static str,
    columns: &'static [(&'static str, &'static str)],
}

impl ExportKind {
    fn names(&self) -> Vec<&'static str> {
        self.columns.iter().map(|(name, _)| *name).collect()
    }
}

/// What an export says of itself; `filter` reads what the list can be narrowed by.
fn doc(summary: &'static str, kind: &'static ExportKind, filter: impl FnOnce(&mut Fields)) -> OperationDoc {
    let query = |mut fields: Fields| {
        let _paging = paging::parameters(&mut fields, PART_ROWS);
        let _choice = Choice::read(&mut fields, &kind.names(), |_| true);
        filter(&mut fields);
    };
    OperationDoc::new(summary)
        .detail(
            "Comma-separated values (RFC 4180) in parts, each with a `Link: rel=\"next\"` to the next. Only the \
             first part has a header row, so that the parts are one file when joined. Send `ids` or filters, not \
             both; without either, everything is exported. Unknown parameters are refused.",
        )
        .query(query)
        .answer(200, "A part of the file.", vec![("text/csv", schema_of::<String>())])
        .with_header("link", "Address of the next part; absent after the last.")
        .with_header("content-disposition", "The file's name.")
        .refuses([DomainError::CursorInvalid])
}

/// What a call asks for.
struct ExportRequest<F> {
    kind: &'static ExportKind,
    paging: Paging,
    choice: Choice,
    filter: F,
    /// The names of the filters that were given.
    filters: Vec<String>,
}

/// The parameters that are no filters.
const OWN: [&str; 4] = ["limit", "cursor", "columns", "ids"];

impl<F> ExportRequest<F> {
    /// Reads a query: `columns`, and `ids` or the filters of the list. A parameter that is not
    /// known is a fault, since a filter that was misspelled would let everything out.
    fn read(
        request: &AuthorizedRequest,
        kind: &'static ExportKind,
        is_id: impl Fn(&str) -> bool,
        filter: impl FnOnce(&mut Fields) -> F,
    ) -> Result<Self, DomainError> {
        let known = kind.names();
        let (paging, (choice, filter, filters)) =
            Paging::read_within(request, PART_ROWS, PART_ROWS_DEFAULT, |fields| {
                let choice = Choice::read(fields, &known, is_id);
                let filter = filter(fields);
                let mut filters = fields.read_names();
                filters.retain(|name| !OWN.contains(&name.as_str()));
                if choice.ids.is_some() {
                    for fault in both(&filters) {
                        fields.add_error(&fault.field, fault.code, fault.detail);
                    }
                }
                fields.deny_unknown();
                (choice, filter, filters)
            })?;
        Ok(Self { kind, paging, choice, filter, filters })
    }

    /// The identifiers that were named.
    fn ids<T>(&self, parse: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
        self.choice.ids.as_ref().map(|ids| ids.iter().filter_map(|id| parse(id)).collect())
    }

    /// The cells of a row.
    fn cells(&self, view: &Value) -> Vec<String> {
        let place = |name: &&str| self.kind.columns.iter().find(|(column, _)| column == name).map(|(_, place)| *place);
        let shown = |place: &str| view.pointer(place).map(cell).unwrap_or_default();
        self.choice
            .columns
            .iter()
            .map(|name| harmless(&place(name).map(shown).unwrap_or_default()).into_owned())
            .collect()
    }

    /// Answers with a part of things that were named: all of them, since they are few.
    async fn named(&self, table: &Table, request: &AuthorizedRequest, views: &[Value]) -> Result<Reply, Error> {
        let mut part = ExportPart::begin(self)?;
        for view in views {
            part.write(&self.cells(view))?;
        }
        self.reply(table, request, part.text, None).await
    }

    /// Answers with a part of what a filter finds. `fetch` gives pages of what the list shows.
    async fn part<Fut>(
        &self,
        table: &Table,
        request: &AuthorizedRequest,
        fetch: impl Fn(usize, Option<Position>) -> Fut,
    ) -> Result<Reply, Error>
    where
        Fut: Future<Output = Result<Page<Value>, Error>>,
    {
        let mut part = ExportPart::begin(self)?;
        let mut position = self.paging.start.clone();
        for _ in 0..PAGES {
            let step = STEP.min(self.paging.limit - part.rows);
            let mut page = fetch(step, position.clone()).await?;
            let fitting = part.fitting(self, &page.items)?;
            if fitting < page.items.len() {
                if fitting == 0 && part.rows > 0 {
                    break;
                }
                // So many are asked for once more, which also tells where the next part begins.
                page = fetch(fitting.max(1), position).await?;
                position = part.take(self, page)?;
                break;
            }
            position = part.take(self, page)?;
            if position.is_none() || part.rows == self.paging.limit {
                break;
            }
        }
        self.reply(table, request, part.text, position).await
    }

    /// The reply, once it is recorded.
    async fn reply(
        &self,
        table: &Table,
        request: &AuthorizedRequest,
        text: Vec<u8>,
        next: Option<Position>,
    ) -> Result<Reply, Error> {
        let text = String::from_utf8(text).map_err(|e| Error::internal("writing CSV", e))?;
        let first = self.paging.start.is_none();
        let event = || given_out(self.kind.name, &self.choice, &self.filters, first, &request.event_context());
        if !request.http.is_head {
            retry_on_conflict(table, || table.commit(Commit::with_event(&event()))).await?;
        }
        let mut reply = Reply::new(StatusCode::OK, "text/csv; charset=utf-8", text)
            .with(HeaderName::from_static("cache-control"), "no-store");
        let file = format!("attachment; filename=\"{}.csv\"", self.kind.name);
        header(&mut reply, "content-disposition", &file)?;
        if let Some(position) = next {
            header(&mut reply, "link", &format!("<{}>; rel=\"next\"", self.next(request, &position)?))?;
        }
        Ok(reply)
    }

    /// Where the next part is, relative to this one.
    fn next(&self, request: &AuthorizedRequest, position: &Position) -> Result<String, DomainError> {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let mut pairs = request.http.query_pairs()?;
        pairs.retain(|(name, value)| name != "cursor" && !value.is_empty());
        pairs.push(("cursor".to_owned(), self.paging.cursor(position)));
        let query: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        Ok(format!("/{}/export?{}", self.kind.name, query.join("&")))
    }
}

fn header(reply: &mut Reply, name: &'static str, value: &str) -> Result<(), Error> {
    let value = HeaderValue::from_str(value).map_err(|e| Error::internal("writing a header", e))?;
    reply.headers.push((HeaderName::from_static(name), value));
    Ok(())
}

/// What a list shows, as the text of a cell: who did something by kind and identifier, several
/// words with spaces between them.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(" "),
        Value::Object(fields) => match (fields.get("type"), fields.get("id")) {
            (Some(Value::String(kind)), Some(Value::String(id))) => format!("{kind}:{id}"),
            (Some(Value::String(kind)), None) => kind.clone(),
            _ => value.to_string(),
        },
        other => other.to_string(),
    }
}

/// A part in the making.
struct ExportPart {
    text: Vec<u8>,
    rows: usize,
}

impl ExportPart {
    /// An empty part; the first one of an export begins with the line of names.
    fn begin<F>(wanted: &ExportRequest<F>) -> Result<Self, Error> {
        let first = wanted.paging.start.is_none();
        let text = if first { line(&wanted.choice.columns)? } else { Vec::new() };
        Ok(Self { text, rows: 0 })
    }

    /// How many of these rows there is still room for.
    fn fitting<F>(&self, wanted: &ExportRequest<F>, views: &[Value]) -> Result<usize, Error> {
        let mut length = self.text.len();
        for (at, view) in views.iter().enumerate() {
            length += line(&wanted.cells(view))?.len();
            if length > PART_BYTES {
                return Ok(at);
            }
        }
        Ok(views.len())
    }

    /// Takes a page in, and says where it ends.
    fn take<F>(&mut self, wanted: &ExportRequest<F>, page: Page<Value>) -> Result<Option<Position>, Error> {
        for view in &page.items {
            self.write(&wanted.cells(view))?;
        }
        Ok(page.next)
    }

    fn write(&mut self, cells: &[String]) -> Result<(), Error> {
        self.text.extend(line(cells)?);
        self.rows += 1;
        Ok(())
    }
}

fn line<T: AsRef<[u8]>>(cells: &[T]) -> Result<Vec<u8>, Error> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(cells).map_err(|e| Error::internal("writing CSV", e))?;
    writer.into_inner().map_err(|e| Error::internal("writing CSV", e.to_string()))
}
