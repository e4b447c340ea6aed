//! Reads a source: its rows, each with its errors, or the error of the source as a whole.
//!
//! Invalid or truncated data is rejected as a whole, and nothing of it is used.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::error::DomainError;
use crate::input::{FieldError, Fields};
use crate::models::provenance::{EXTERNAL_ID, Field};
use crate::models::source::{DataSource, Delimiter, EXTERNAL_ID_FIELD, Format, KeyField};
use crate::models::user::NewUser;
use crate::text::is_blank;
use crate::username::{former_username, unique_username};

/// The most rows of a source.
pub const ROW_LIMIT: usize = 50_000;

/// The most bytes of a page.
pub const PAGE_LIMIT: usize = 8 * 1024 * 1024;

/// The most columns of a line.
const COLUMN_LIMIT: usize = 500;

/// The most objects and arrays in a page, and the most values in them: parsed data takes many times the page's
/// size and must fit into a Lambda function's memory.
const GROUP_LIMIT: usize = 3 * ROW_LIMIT;

const VALUE_LIMIT: usize = 20 * ROW_LIMIT;

/// Why a source cannot be read as a whole: a stable code and a sentence, neither of which contains any of its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportError {
    /// Stable code for programs.
    pub code: &'static str,
    /// Sentence for people.
    pub detail: String,
}

impl ImportError {
    /// An import error.
    #[must_use]
    pub fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
}

/// An error in a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowFault {
    /// The field, by our name.
    pub field: String,
    /// A stable code.
    pub code: String,
    /// A sentence, without the value.
    pub detail: String,
}

impl RowFault {
    fn new(field: &str, code: &str, detail: impl Into<String>) -> Self {
        Self { field: field.to_owned(), code: code.to_owned(), detail: detail.into() }
    }
}

impl From<FieldError> for RowFault {
    fn from(error: FieldError) -> Self {
        Self::new(&error.field, error.code, error.detail)
    }
}

/// A row of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Line in the file, or position in the array, from 1.
    pub line: u32,
    /// Hash of the key of its user, if the row has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyHash>,
    /// The fields that the source has, by our names, normalized as users store them; `None` for an empty one.
    /// Empty for a row with errors.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, Option<String>>,
    /// Errors of the row.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<RowFault>,
}

impl Row {
    /// A field's value.
    #[must_use]
    pub fn value(&self, field: &str) -> Option<&str> {
        self.values.get(field)?.as_deref()
    }

    /// The username; empty only in a row with errors.
    #[must_use]
    pub fn username(&self) -> &str {
        self.value("username").unwrap_or_default()
    }

    /// The source's identifier of the user.
    #[must_use]
    pub fn external_id(&self) -> Option<&str> {
        self.value(EXTERNAL_ID_FIELD)
    }

    /// The data of a new user.
    #[must_use]
    pub fn new_user(&self) -> NewUser {
        let text = |field: &str| self.value(field).map(str::to_owned);
        NewUser {
            username: self.username().to_owned(),
            first_name: text("first_name"),
            last_name: text("last_name"),
            email: text("email"),
            mobile: text("mobile"),
            number: text("number"),
            service_level: text("service_level"),
            sip_user_name: text("sip_user_name"),
            service_account: text("service_account"),
            ..NewUser::default()
        }
    }
}

/// The key of a user in a source: 64 bits of a hash, which reveal nothing of the user.
pub type KeyHash = u64;

/// The hash of a user's key. A collision (for a full source, a chance of one in ten thousand million) would
/// only keep a vanished user from being noticed.
#[must_use]
pub fn key_hash(field: KeyField, key: &str) -> KeyHash {
    let key = match field {
        KeyField::Username => unique_username(key),
        KeyField::ExternalId | KeyField::Unknown(_) => key.to_owned(),
    };
    hash(field.as_str(), &key)
}

/// The hash of a username as earlier releases compared usernames, if it is different.
#[must_use]
pub fn former_key_hash(username: &str) -> Option<KeyHash> {
    former_username(username).map(|former| hash(KeyField::Username.as_str(), &former))
}

/// A marker among the hashes of a source: they are hashes of usernames as this release compares them. A source
/// whose import an earlier release began lacks it.
#[must_use]
pub fn comparison_marker() -> KeyHash {
    hash("rule", "rfc8265")
}

/// The hash by which a row is matched with a user whose external id is not known yet.
#[must_use]
pub fn unnamed_hash(username: &str) -> KeyHash {
    hash("unnamed", &unique_username(username))
}

fn hash(kind: &str, name: &str) -> KeyHash {
    let digest = Sha256::digest(format!("{kind}|{name}"));
    digest.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

/// A source that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// All rows, including those with errors.
    pub rows: Vec<Row>,
    /// Sorted hashes of the users of all rows: by the source's key; for a row with errors, by any name that it
    /// contains; and where the key is not the username, by [`unnamed_hash`] too.
    pub keys: Vec<KeyHash>,
    /// Number of rows that do not identify their user: while there are any, no user can be said to have vanished.
    pub nameless: usize,
}

/// Reads a source from its upload or its page.
///
/// # Errors
/// The error of the source as a whole.
pub fn read(source: &DataSource, bytes: &[u8]) -> Result<Rows, ImportError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes)
        .map_err(|e| ImportError::new("invalid_encoding", format!("is not UTF-8 at byte {}", e.valid_up_to())))?;
    let raw = match source.page.as_ref().map_or(Format::Csv, |page| page.format) {
        Format::Csv => read_csv(source, text)?,
        Format::Json => read_json(source, text)?,
        Format::Unknown(_) => return Err(unknown_settings_error()),
    };
    if !source.key.is_known() {
        return Err(unknown_settings_error());
    }
    if raw.is_empty() {
        return Err(ImportError::new("empty", "has no rows"));
    }
    Ok(check_rows(source, raw))
}

/// The error for a source with settings that only another release knows.
#[must_use]
pub fn unknown_settings_error() -> ImportError {
    ImportError::new("unknown_settings", "has settings that this release does not support")
}

type Raw = (u32, Map<String, Value>);

fn too_many() -> ImportError {
    ImportError::new("too_many_rows", format!("has more than {ROW_LIMIT} rows"))
}

fn too_wide() -> ImportError {
    ImportError::new("too_many_columns", format!("has more than {COLUMN_LIMIT} columns"))
}

/// The rows of a CSV text with a header row.
fn read_csv(source: &DataSource, text: &str) -> Result<Vec<Raw>, ImportError> {
    let delimiter = match source.delimiter {
        Delimiter::Comma => b',',
        Delimiter::Semicolon => b';',
        Delimiter::Unknown(_) => return Err(unknown_settings_error()),
    };
    if ends_in_quotes(text.as_bytes(), delimiter) {
        return Err(ImportError::new("cut_off", "ends within quotes"));
    }
    let first = text.lines().next().unwrap_or_default();
    if first.bytes().filter(|byte| *byte == delimiter).take(2 * COLUMN_LIMIT).count() == 2 * COLUMN_LIMIT {
        return Err(too_wide());
    }
    let not_csv = |_| ImportError::new("not_csv", "is not a file of comma-separated values");
    // A row of fewer cells may be an empty line, which is skipped.
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(text.as_bytes());
    let names = reader.headers().map_err(not_csv)?.clone();
    if names.len() > COLUMN_LIMIT {
        return Err(too_wide());
    }
    let columns = columns(&source.mapping, &names)?;
    let (mut rows, mut lines) = (Vec::new(), Lines { text: text.as_bytes(), at: 0, line: 1 });
    for record in reader.records() {
        let record = record.map_err(not_csv)?;
        if record.iter().all(is_empty_cell) {
            continue;
        }
        let line = lines.of(record.position());
        if record.len() != names.len() {
            let (has, expected) = (record.len(), names.len());
            let detail = format!("line {line} has {has} cells, but the header row has {expected}");
            return Err(ImportError::new("uneven_rows", detail));
        }
        if rows.len() == ROW_LIMIT {
            return Err(too_many());
        }
        let cell = |(field, at): &(&String, usize)| {
            ((*field).clone(), Value::String(record.get(*at).unwrap_or_default().to_owned()))
        };
        rows.push((line, columns.iter().map(cell).collect()));
    }
    Ok(rows)
}

/// The position of each mapped column in the header row.
///
/// # Errors
/// `column_missing` or `column_repeated`, with the names of all such columns.
fn columns<'a>(
    mapping: &'a BTreeMap<String, String>,
    header: &csv::StringRecord,
) -> Result<Vec<(&'a String, usize)>, ImportError> {
    let place = |name: &str| header.iter().position(|column| column.trim() == name);
    let count = |name: &str| header.iter().filter(|column| column.trim() == name).count();
    let with = |expected: fn(usize) -> bool| -> Vec<&str> {
        let names: BTreeSet<&str> = mapping.values().map(String::as_str).filter(|name| expected(count(name))).collect();
        names.into_iter().collect()
    };
    let (missing, repeated) = (with(|count| count == 0), with(|count| count > 1));
    if !missing.is_empty() {
        let detail = format!("the header row lacks these mapped columns: {}", missing.join(", "));
        return Err(ImportError::new("column_missing", detail));
    }
    if !repeated.is_empty() {
        let detail = format!("the header row names these mapped columns more than once: {}", repeated.join(", "));
        return Err(ImportError::new("column_repeated", detail));
    }
    Ok(mapping.iter().filter_map(|(field, name)| Some((field, place(name)?))).collect())
}

/// Line numbers of rows. Where lines end by two characters, the reader reports a row's start between them.
struct Lines<'a> {
    text: &'a [u8],
    at: usize,
    line: u32,
}

impl Lines<'_> {
    /// The line number of a position; positions must be asked for in order.
    fn of(&mut self, place: Option<&csv::Position>) -> u32 {
        let begins = place.and_then(|place| usize::try_from(place.byte()).ok()).unwrap_or(0).min(self.text.len());
        let ends = self.text[begins..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        while self.at < begins + ends {
            let ended = match self.text[self.at] {
                b'\n' => true,
                b'\r' => self.text.get(self.at + 1) != Some(&b'\n'),
                _ => false,
            };
            self.line += u32::from(ended);
            self.at += 1;
        }
        self.line
    }
}

/// True for a cell that is empty or only has invisible characters, also within the quotes that programs write
/// for an empty text.
fn is_empty_cell(text: &str) -> bool {
    text.chars().all(|c| is_blank(c) || matches!(c, '"' | '\'' | '=' | '\u{FFFC}'))
}

/// True for a row whose cells are all empty.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => is_empty_cell(text),
        Value::Array(items) => items.iter().all(is_empty),
        Value::Object(fields) => fields.values().all(is_empty),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// True if a text ends within a quoted cell, so that its rest is missing.
fn ends_in_quotes(text: &[u8], delimiter: u8) -> bool {
    let (mut quoted, mut cell_begins) = (false, true);
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            // Two quotes are an escaped one.
            b'"' if quoted => quoted = bytes.next_if_eq(&b'"').is_some(),
            b'"' if cell_begins => (quoted, cell_begins) = (true, false),
            byte if !quoted => cell_begins = byte == delimiter || matches!(byte, b'\r' | b'\n'),
            _ => {}
        }
    }
    quoted
}

/// True if a page has more values than are allowed, whether it is valid JSON or not.
fn has_too_many_values(text: &str) -> bool {
    let (mut quoted, mut escaped, mut groups, mut commas) = (false, false, 0, 0);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => groups += 1,
            b',' if !quoted => commas += 1,
            _ => {}
        }
    }
    groups > GROUP_LIMIT || groups + commas > VALUE_LIMIT
}

/// A member of a row. An object or array is not a valid value, so only its type is kept.
fn member(item: &Value, name: &str) -> Value {
    let found = if name.starts_with('/') { item.pointer(name) } else { item.get(name) };
    match found {
        Some(Value::Object(_)) => Value::Object(Map::new()),
        Some(Value::Array(_)) => Value::Array(Vec::new()),
        Some(plain) => plain.clone(),
        None => Value::Null,
    }
}

/// The rows of an array of objects.
fn read_json(source: &DataSource, text: &str) -> Result<Vec<Raw>, ImportError> {
    if has_too_many_values(text) {
        return Err(ImportError::new(
            "too_many_values",
            format!("has more than {GROUP_LIMIT} objects and arrays, or {VALUE_LIMIT} values"),
        ));
    }
    let value: Value = serde_json::from_str(text).map_err(|e| {
        let (code, why) = if e.is_eof() { ("cut_off", "ends too early") } else { ("not_json", "is not JSON") };
        ImportError::new(code, format!("{why} at line {} column {}", e.line(), e.column()))
    })?;
    let pointer = source.page.as_ref().map_or("", |page| page.items.as_str());
    let Some(Value::Array(items)) = value.pointer(pointer) else {
        return Err(ImportError::new("items_missing", "no array of rows found at the configured path"));
    };
    let filled = || items.iter().enumerate().filter(|(_, item)| !is_empty(item));
    if filled().count() > ROW_LIMIT {
        return Err(too_many());
    }
    let row = |(at, item): (usize, &Value)| {
        if !item.is_object() {
            return Err(ImportError::new("not_objects", format!("item {} is not an object", at + 1)));
        }
        let values = source.mapping.iter().map(|(field, name)| (field.clone(), member(item, name)));
        Ok((u32::try_from(at + 1).unwrap_or(u32::MAX), values.collect()))
    };
    filled().map(row).collect()
}

/// The rows, checked by the rules for users; several rows for the same user are each an error.
fn check_rows(source: &DataSource, raw: Vec<Raw>) -> Rows {
    let mut read: Vec<(Row, Map<String, Value>)> = raw.into_iter().map(|(line, values)| row(line, &values)).collect();
    let mut nameless = 0;
    for field in KeyField::ALL.iter().copied() {
        let mut seen = HashMap::<KeyHash, Vec<usize>>::new();
        for (at, (_, texts)) in read.iter().enumerate() {
            match texts.get(field.as_str()).and_then(Value::as_str) {
                Some(key) => seen.entry(key_hash(field, key)).or_default().push(at),
                None if field == source.key => nameless += 1,
                None => {}
            }
        }
        for same in seen.values().filter(|same| same.len() > 1) {
            for at in same {
                let others =
                    same.iter().filter(|other| *other != at).take(10).map(|other| read[*other].0.line.to_string());
                let others = others.collect::<Vec<_>>().join(", ");
                let rows = if same.len() == 2 { "row" } else { "rows" };
                let detail = format!("also appears in {rows} {others}");
                read[*at].0.faults.push(RowFault::new(field.as_str(), "repeated", detail));
            }
        }
    }
    let mut keys: Vec<KeyHash> = read.iter().flat_map(|(row, texts)| key_hashes_of(source, row, texts)).collect();
    keys.sort_unstable();
    keys.dedup();
    let rows = read.into_iter().map(|(mut row, texts)| {
        let key = texts.get(source.key.as_str()).and_then(Value::as_str);
        row.key = key.map(|key| key_hash(source.key, key));
        if !row.faults.is_empty() {
            row.values.clear();
        }
        row
    });
    Rows { rows: rows.collect(), keys, nameless }
}

/// The hashes of a row's possible users; see [`Rows::keys`].
fn key_hashes_of(source: &DataSource, row: &Row, texts: &Map<String, Value>) -> Vec<KeyHash> {
    let text = |field: KeyField| texts.get(field.as_str()).and_then(Value::as_str);
    let counts = |field: &KeyField| *field == source.key || !row.faults.is_empty();
    let fields = KeyField::ALL.iter().copied().filter(counts);
    let mut names: Vec<KeyHash> = fields.filter_map(|field| Some(key_hash(field, text(field)?))).collect();
    if source.key != KeyField::Username {
        names.extend(text(KeyField::Username).map(unnamed_hash));
    }
    names
}

/// A row, checked by the rules for users, and its cells as trimmed texts.
fn row(line: u32, values: &Map<String, Value>) -> (Row, Map<String, Value>) {
    let mut row = Row { line, ..Row::default() };
    let mut texts = Map::new();
    for (field, value) in values {
        let text = match value {
            Value::Null => None,
            Value::String(text) => Some(text.trim().to_owned()).filter(|text| !is_empty_cell(text)),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                row.faults.push(RowFault::new(field, "wrong_type", "must be a string or a number"));
                continue;
            }
        };
        if let Some(text) = text {
            texts.insert(field.clone(), Value::String(text));
        }
    }
    let external = texts.get(EXTERNAL_ID_FIELD).and_then(Value::as_str).map(|text| EXTERNAL_ID.read(text));
    let external = external.transpose().unwrap_or_else(|(code, detail)| {
        row.faults.push(RowFault::new(EXTERNAL_ID_FIELD, code, detail));
        None
    });
    match NewUser::read(Fields::from_json(texts.clone())) {
        Ok(new) => row.values = stored_values(values, &new, external.as_ref()),
        Err(DomainError::Invalid(errors)) => row.faults.extend(errors.into_iter().map(RowFault::from)),
        Err(other) => row.faults.push(RowFault::new("", &other.code(), other.to_string())),
    }
    (row, texts)
}

/// The fields that the source has, normalized as users store them.
fn stored_values(
    values: &Map<String, Value>,
    new: &NewUser,
    external: Option<&String>,
) -> BTreeMap<String, Option<String>> {
    let fields = Field::ALL.iter().map(|field| (field.as_str(), new.field(*field)));
    let fields = fields.chain([(EXTERNAL_ID_FIELD, external)]);
    let mapped = fields.filter(|(field, _)| values.contains_key(*field));
    mapped.map(|(field, value)| (field.to_owned(), value.cloned())).collect()
}
