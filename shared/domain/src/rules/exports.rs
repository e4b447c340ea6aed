//! Exports as comma-separated values: their columns and rows, and cells that a spreadsheet does not execute.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::input::{FieldError, Fields};
use crate::models::event::{Event, EventType};
use crate::rules::context::EventContext;
use crate::text::{Form, TextRule, is_blank};

/// The most identifiers that an export may name.
pub const IDS_LIMIT: usize = 100;

/// The fewest and the most rows of a part of an export.
pub const PART_ROWS: (i64, i64) = (1, 1_000);

/// Rows of a part by default.
pub const PART_ROWS_DEFAULT: i64 = 500;

/// A comma-separated list of names.
const LIST: TextRule = TextRule::new(Form::Ascii, 0, 8_000);

/// The fewest digits of a telephone number.
const NUMBER_DIGITS: usize = 3;

/// A cell that a spreadsheet shows but does not execute: an apostrophe precedes each character that would start a
/// formula in it, or in one of the cells that a spreadsheet makes of it if it splits at another separator than the
/// file's. Telephone numbers stay unchanged. Without these apostrophes the text is the original.
#[must_use]
pub fn harmless(cell: &str) -> Cow<'_, str> {
    if is_telephone_number(cell) {
        return Cow::Borrowed(cell);
    }
    let mut made = String::new();
    // After a leading tab or line break, a spreadsheet executes the rest.
    if cell.starts_with(is_line_or_tab) {
        made.push('\'');
    }
    let mut before = Before::Separator;
    for (at, c) in cell.char_indices() {
        if before.runs(&cell[at..]) {
            made.push('\'');
        }
        made.push(c);
        before = before.then(c, at == 0);
    }
    if made.len() > cell.len() { Cow::Owned(made) } else { Cow::Borrowed(cell) }
}

/// What precedes a character; it decides whether the character may start a formula.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// Text.
    Text,
    /// The start of the cell, or a separator, and since then nothing visible.
    Separator,
    /// A space within text: a separator only if the spreadsheet is set to split at spaces.
    Space,
}

impl Before {
    fn then(self, c: char, first: bool) -> Self {
        match (self, c) {
            (_, ',' | ';' | '|') => Self::Separator,
            (_, c) if is_line_or_tab(c) => Self::Separator,
            // A quote at the start of the cell is written as text; any other may be read as the opening quote of a
            // cell.
            (Self::Separator | Self::Space, '"') if !first => self,
            (Self::Text, c) if c.is_whitespace() => Self::Space,
            (before, c) if is_blank(c) => before,
            _ => Self::Text,
        }
    }

    fn runs(self, rest: &str) -> bool {
        let begins = rest.starts_with(begins_formula);
        match self {
            Self::Text => false,
            Self::Separator => begins,
            Self::Space => begins && computes(rest),
        }
    }
}

fn is_line_or_tab(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\u{B}' | '\u{C}' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// True if the text after a space would do more, as a formula, than show a character or a number.
fn computes(rest: &str) -> bool {
    let end = rest.find(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '|'));
    let word = &rest[..end.unwrap_or(rest.len())];
    let is_number = word.chars().all(|c| c.is_ascii_digit() || "+-()./#".contains(c));
    word.contains(char::is_alphanumeric) && !is_number
}

/// The characters that start a formula, and their full-width and small forms, which some spreadsheets treat alike.
fn begins_formula(c: char) -> bool {
    matches!(c, '=' | '+' | '-' | '@')
        || matches!(c, '＝' | '＋' | '－' | '＠' | '﹦' | '﹢' | '﹣' | '﹫' | '\u{2212}')
}

/// True for a telephone number with its country code, in any spacing: nothing in it can be executed.
fn is_telephone_number(cell: &str) -> bool {
    cell.strip_prefix('+').is_some_and(|rest| {
        rest.starts_with(|c: char| c.is_ascii_digit() || c == '(')
            && rest.chars().all(|c| c.is_ascii_digit() || " *#-()./".contains(c))
            && rest.chars().filter(char::is_ascii_digit).count() >= NUMBER_DIGITS
    })
}

/// The columns of an export, and the objects that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The columns, in their order.
    pub columns: Vec<&'static str>,
    /// Identifiers of the objects; `None` for all that match the filters.
    pub ids: Option<Vec<String>>,
}

impl Choice {
    /// Reads `columns` (default: all) and `ids`, both comma-separated.
    pub fn read(fields: &mut Fields, known: &[&'static str], is_id: impl Fn(&str) -> bool) -> Self {
        Self { columns: read_columns(fields, known), ids: read_ids(fields, is_id) }
    }
}

fn read_columns(fields: &mut Fields, known: &[&'static str]) -> Vec<&'static str> {
    let Some(names) = names(fields, "columns") else {
        return known.to_vec();
    };
    let mut columns = Vec::new();
    for (at, name) in names.iter().enumerate() {
        match known.iter().find(|column| *column == name) {
            None => {
                fields.add_error(
                    &format!("columns.{at}"),
                    "unknown_value",
                    format!("must be one of {}", known.join(", ")),
                );
            }
            Some(column) if columns.contains(column) => {
                fields.add_error(&format!("columns.{at}"), "repeated", "must be named once only");
            }
            Some(column) => columns.push(*column),
        }
    }
    columns
}

fn read_ids(fields: &mut Fields, is_id: impl Fn(&str) -> bool) -> Option<Vec<String>> {
    let ids = names(fields, "ids")?;
    if ids.len() > IDS_LIMIT {
        fields.add_error("ids", "too_many", format!("must be at most {IDS_LIMIT}; use a filter for more"));
    }
    if ids.iter().collect::<BTreeSet<_>>().len() < ids.len() {
        fields.add_error("ids", "repeated", "must not contain duplicates");
    }
    for (at, _) in ids.iter().enumerate().filter(|(_, id)| !is_id(id)) {
        fields.add_error(&format!("ids.{at}"), "invalid_format", "must be a UUID in lower case with hyphens");
    }
    Some(ids)
}

fn names(fields: &mut Fields, name: &str) -> Option<Vec<String>> {
    let text = fields.text(name, LIST)?;
    Some(text.split(',').map(|name| name.trim().to_owned()).collect())
}

/// Errors of a request that has both `ids` and filters.
#[must_use]
pub fn both(filters: &[String]) -> Vec<FieldError> {
    let fault = |name: &String| FieldError::new(name, "too_many", "give ids or a filter, not both");
    filters.iter().map(fault).collect()
}

/// The event of an exported part, the first or a later one: the kind, the columns, and the number of ids or the names
/// of the filters, but no content. Every part is recorded, since whoever knows a cursor can start there.
#[must_use]
pub fn given_out(
    kind: &'static str,
    choice: &Choice,
    filters: &[String],
    first: bool,
    context: &EventContext,
) -> Event {
    let mut event = context.event(if first { EventType::ExportStarted } else { EventType::ExportContinued });
    let nothing = || serde_json::Value::Null;
    event.add_change("kind", nothing(), kind);
    event.add_change("columns", nothing(), choice.columns.clone());
    if let Some(ids) = &choice.ids {
        event.add_change("ids", nothing(), ids.len());
    }
    if !filters.is_empty() {
        event.add_change("filters", nothing(), filters.to_vec());
    }
    event
}
