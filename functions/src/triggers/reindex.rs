//! Updates every row to what this release derives from its object: index attributes and index rows. It has no route:
//! IAM decides who may invoke it.

use aws::Position;
use aws::Restored;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Duration;
use domain::WorkspaceId;
use domain::error::{DomainError, Error};
use domain::text::{Form, TextRule};
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
/// must continue from there. A row is written only if it has not changed since it was read, and not at all if it is up
/// to date, so it may run at any time, and repeatedly.
///
/// # Errors
/// Every invalid field of the event; `Unavailable`.
pub async fn handle(state: &AppState, run: Run) -> Result<Value, Error> {
    let table = state.table()?;
    let mut fields = run.fields()?;
    let workspace = fields.id("workspace_id", WorkspaceId::parse);
    let cursor = fields.text("cursor", CURSOR);
    let mut start = cursor.as_deref().and_then(position);
    if cursor.is_some() && start.is_none() {
        fields.add_error("cursor", "invalid", "must be the cursor that a run answered with");
    }
    fields.finish().map_err(DomainError::Invalid)?;
    let deadline = run.deadline(RESERVE);
    let mut tally = Tally::default();
    loop {
        let page = table.stored_rows(start.as_ref(), PAGE).await?;
        let rows = page.rows.into_iter().filter(|row| workspace.is_none_or(|id| row.is_of(id)));
        let outcomes = table.restore(&rows.collect::<Vec<_>>(), || run.id_source.event_id()).await?;
        outcomes.into_iter().for_each(|outcome| tally.count(outcome));
        start = page.next;
        if start.is_none() || deadline.is_over() {
            return Ok(tally.answer(start.as_ref()));
        }
    }
}

fn position(cursor: &str) -> Option<Position> {
    Position::from_bytes(&URL_SAFE_NO_PAD.decode(cursor).ok()?)
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

    fn answer(&self, next: Option<&Position>) -> Value {
        json!({
            "looked_at": self.looked_at,
            "written": self.written,
            "unreadable": self.unreadable,
            "names_held": self.names_held,
            "cursor": next.map(|next| URL_SAFE_NO_PAD.encode(next.to_bytes())),
        })
    }
}
