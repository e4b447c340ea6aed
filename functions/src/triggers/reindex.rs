//! Updates every row to what this release derives from its object: index attributes and index rows. It has no route:
//! IAM decides who may invoke it.

use aws::store::counts::EventRow;
use aws::{Position, Restored, StoredRow, Table};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Duration;
use domain::WorkspaceId;
use domain::error::{DomainError, Error};
use domain::text::{Form, TextRule};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::state::AppState;
use crate::triggers::Run;

/// Time left when the last page starts, before Lambda ends the run.
const RESERVE: Duration = Duration::seconds(30);
/// Rows per read.
const PAGE: i32 = 100;
/// A cursor, which contains a row's key.
const CURSOR: TextRule = TextRule::new(Form::Ascii, 1, 8192);

/// Takes `{workspace_id?, cursor?}`; without a workspace, all are processed. Returns `{looked_at, written, unreadable,
/// names_held, cursor}`: rows read, rows written, unreadable rows (left as they are), and objects with a unique name
/// that belongs to another. Each of the latter two is logged. If `cursor` is not null, time ran out and another run
/// must continue from there. The last run for all workspaces notes that everything is derived. A row is written only if
/// it has not changed since it was read, and not at all if it is up to date, so it may run at any time, and repeatedly.
///
/// # Errors
/// Every invalid field of the event; `Unavailable`.
pub async fn handle(state: &AppState, run: Run) -> Result<Value, Error> {
    let table = state.table()?;
    let mut fields = run.fields()?;
    let workspace = fields.id("workspace_id", WorkspaceId::parse);
    let cursor = fields.text("cursor", CURSOR);
    let continued = cursor.as_deref().and_then(Cursor::decode);
    if cursor.is_some() && continued.is_none() {
        fields.add_error("cursor", "invalid", "must be the cursor that a run answered with");
    }
    fields.finish().map_err(DomainError::Invalid)?;
    let deadline = run.deadline(RESERVE);
    let mut tally = Tally::default();
    let mut cursor = continued.unwrap_or(Cursor { start: None, whole: workspace.is_none() });
    cursor.whole &= workspace.is_none();
    loop {
        let page = table.stored_rows(cursor.start.as_ref(), PAGE).await?;
        let rows = page.rows.into_iter().filter(|row| workspace.is_none_or(|id| row.is_of(id)));
        let rows: Vec<StoredRow> = rows.collect();
        let outcomes = table.restore(&rows, || run.id_source.event_id()).await?;
        outcomes.into_iter().for_each(|outcome| tally.count(outcome));
        tally.written += derive(table, &run, &rows).await?;
        cursor.start = page.next;
        if cursor.start.is_none() && cursor.whole {
            table.note_all_derived(run.now(), run.id_source.event_id()).await?;
        }
        if cursor.start.is_none() || deadline.is_over() {
            return Ok(tally.answer(&cursor));
        }
    }
}

/// Brings what is derived from these rows up to date; returns the number of things of which something was written.
async fn derive(table: &Table, run: &Run, rows: &[StoredRow]) -> Result<usize, Error> {
    let new_id = || run.id_source.event_id();
    let mut written = 0;
    for (_, outcome) in table.derive_all(rows.iter().filter_map(StoredRow::thing).collect(), new_id).await {
        written += usize::from(outcome?);
    }
    let events: Vec<EventRow> = rows.iter().filter_map(StoredRow::uncounted_event).collect();
    table.count_events(&events, new_id).await?;
    Ok(written)
}

/// Where a run continues.
#[derive(Debug, Serialize, Deserialize)]
struct Cursor {
    /// The position in the table.
    start: Option<Position>,
    /// True if all rows before it were processed, those of all workspaces.
    whole: bool,
}

impl Cursor {
    /// A cursor of this release, or of one that derived nothing, which had the position alone.
    fn decode(cursor: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let former = || Some(Self { start: Some(Position::from_bytes(&bytes)?), whole: false });
        serde_json::from_slice(&bytes).ok().or_else(former)
    }

    fn encode(&self) -> Option<String> {
        self.start.as_ref()?;
        Some(URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).ok()?))
    }
}

#[derive(Default)]
struct Tally {
    looked_at: usize,
    written: usize,
    unreadable: usize,
    names_held: usize,
}

impl Tally {
    fn count(&mut self, outcome: Restored) {
        self.looked_at += 1;
        match outcome {
            Restored::Unchanged => {}
            Restored::Written => self.written += 1,
            Restored::Unreadable => self.unreadable += 1,
            Restored::NameTaken => self.names_held += 1,
        }
    }

    fn answer(&self, cursor: &Cursor) -> Value {
        json!({
            "looked_at": self.looked_at,
            "written": self.written,
            "unreadable": self.unreadable,
            "names_held": self.names_held,
            "cursor": cursor.encode(),
        })
    }
}
