//! Exports: the lists as comma-separated values (RFC 4180), in parts that are linked by `Link` headers and form one
//! file when joined.
//!
//! Each part is limited in rows and bytes, so it stays within API Gateway's time and size limits, and memory use does
//! not grow with the size of the export.

pub mod export_devices;
pub mod export_events;
pub mod export_users;

use aws::{Commit, Page, Position, Table, retry_on_conflict};
use domain::error::{DomainError, Error};
use domain::input::Fields;
use domain::rules::exports::{Choice, PART_ROWS, PART_ROWS_DEFAULT, both, given_out, harmless};
use lambda::{AuthorizedRequest, Reply};
use lambda_http::http::{HeaderName, HeaderValue, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::description::{OperationDoc, schema_of};
use crate::paging::{self, Paging};

/// Most bytes of a part, far below the 6 MB that Lambda may return. A single row may exceed it.
const PART_BYTES: usize = 1024 * 1024;
/// Rows per read.
const STEP: usize = 100;
/// Most pages that one part reads. With a narrow filter a part may be short or empty although the export continues.
const PAGES: usize = 10;

/// What can be exported: its name, and each column with its JSON pointer into the list's view.
struct ExportKind {
    name: &'static str,
    columns: &'static [(&'static str, &'static str)],
}

impl ExportKind {
    fn names(&self) -> Vec<&'static str> {
        self.columns.iter().map(|(name, _)| *name).collect()
    }
}

/// OpenAPI documentation of an export; `filter` reads the list's filters.
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
        .refuses([DomainError::CursorInvalid, DomainError::SortNotAvailable])
}

/// A request for a part of an export.
struct ExportRequest<F> {
    kind: &'static ExportKind,
    paging: Paging,
    choice: Choice,
    filter: F,
    /// Names of the filters that were sent.
    filters: Vec<String>,
}

/// The parameters that are not filters.
const OWN: [&str; 4] = ["limit", "cursor", "columns", "ids"];

impl<F> ExportRequest<F> {
    /// Reads a query: `columns`, and `ids` or the list's filters. Unknown parameters are refused, since a misspelled
    /// filter would export everything.
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

    /// The requested identifiers, if `ids` was sent.
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

    /// Replies with all rows requested by `ids`, in one part.
    async fn named(&self, table: &Table, request: &AuthorizedRequest, views: &[Value]) -> Result<Reply, Error> {
        let mut part = ExportPart::begin(self)?;
        for view in views {
            part.write(&self.cells(view))?;
        }
        self.reply(table, request, part.text, None).await
    }

    /// Replies with the next part of the rows that match the filter. `fetch` returns pages of the list's views.
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
                // Read again with only the rows that fit, to get the position where the next part starts.
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

    /// The reply. The export is recorded first.
    async fn reply(
        &self,
        table: &Table,
        request: &AuthorizedRequest,
        text: Vec<u8>,
        next: Option<Position>,
    ) -> Result<Reply, Error> {
        let text = String::from_utf8(text).map_err(|e| Error::internal("writing CSV", e))?;
        let first = self.paging.start.is_none();
        let event = || given_out(self.kind.name, &self.choice, &self.filters, first, &request.new_event_context());
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

    /// URL of the next part, relative to this one.
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

/// The text of a cell: an actor as `type:id`, a list as words separated by spaces.
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

/// A part under construction.
struct ExportPart {
    text: Vec<u8>,
    rows: usize,
}

impl ExportPart {
    /// An empty part; the first part of an export starts with the header row.
    fn begin<F>(wanted: &ExportRequest<F>) -> Result<Self, Error> {
        let first = wanted.paging.start.is_none();
        let text = if first { line(&wanted.choice.columns)? } else { Vec::new() };
        Ok(Self { text, rows: 0 })
    }

    /// How many of these rows still fit.
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

    /// Appends a page, and returns the position after it.
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
