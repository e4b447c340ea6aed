//! Imports people from a CSV file: creates each as a user and sends an invitation by e-mail, through the API.

use std::path::Path;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use domain::text::is_blank;
use futures::StreamExt;
use futures::stream;
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::api::{Answer, Api};

/// Number of people that are processed at once.
const AT_ONCE: usize = 4;
/// The API's fields; a column's heading matches regardless of case and punctuation (`First name`, `E-mail`).
const FIELDS: [&str; 6] = ["username", "first_name", "last_name", "email", "mobile", "number"];

/// The result of an import.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Number of created users.
    pub created: usize,
    /// Number of users that existed already.
    pub existing: usize,
    /// Number of invitations.
    pub invited: usize,
    /// Line numbers and errors.
    pub errors: Vec<(usize, String)>,
}

/// A person and their line number.
#[derive(Debug, PartialEq)]
struct Line {
    number: usize,
    person: Result<Value, String>,
}

enum Outcome {
    Made,
    There,
}

/// Creates and invites the people of a file. Importing the same file again creates and sends nothing twice.
///
/// # Errors
/// If the file cannot be read, or has no column `username`. Invalid lines are in the result.
pub async fn import(api: Api<'_>, path: &Path) -> Result<Imported, String> {
    let text = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let lines = lines(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    // To the millisecond, the precision of the API.
    let started = api.now().duration_trunc(TimeDelta::milliseconds(1)).map_err(|error| error.to_string())?;
    let outcomes =
        stream::iter(lines).map(|line| async move { (line.number, import_one(api, line.person, started).await) });
    let mut imported = Imported::default();
    let mut outcomes = outcomes.buffered(AT_ONCE);
    while let Some((line, outcome)) = outcomes.next().await {
        imported.add(line, outcome);
    }
    Ok(imported)
}

impl Imported {
    fn add(&mut self, line: usize, outcome: Result<(Outcome, Result<bool, String>), String>) {
        match outcome {
            Ok((made, invited)) => {
                match made {
                    Outcome::Made => self.created += 1,
                    Outcome::There => self.existing += 1,
                }
                match invited {
                    Ok(invited) => self.invited += usize::from(invited),
                    Err(fault) => self.errors.push((line, format!("not invited: {fault}"))),
                }
            }
            Err(fault) => self.errors.push((line, fault)),
        }
    }
}

/// The outcome, and whether an invitation was sent.
async fn import_one(
    api: Api<'_>,
    person: Result<Value, String>,
    started: DateTime<Utc>,
) -> Result<(Outcome, Result<bool, String>), String> {
    let person = person?;
    // The same person has the same idempotency key: a line that failed half-way is continued, not repeated.
    let key = format!("people-{}", Uuid::new_v5(&Uuid::NAMESPACE_OID, person.to_string().as_bytes()));
    let created = api.send(Method::POST, "/users", Some(&key), &person).await;
    if created.body["code"] == "username_taken" {
        return Ok((Outcome::There, Ok(false)));
    }
    let user_id = created.body["user_id"].as_str().filter(|_| created.status.is_success());
    let user_id = user_id.ok_or_else(|| created.error_text())?;
    let created_at = created.body["created_at"].as_str().and_then(|time| time.parse::<DateTime<Utc>>().ok());
    let outcome = if created_at.is_some_and(|time| time < started) { Outcome::There } else { Outcome::Made };
    let user = api.send(Method::GET, &format!("/users/{user_id}"), None, &Value::Null).await;
    let invited = if user.body["invitation"].is_object() { Ok(false) } else { invite(api, user_id).await };
    Ok((outcome, invited))
}

async fn invite(api: Api<'_>, user_id: &str) -> Result<bool, String> {
    let key = format!("people-invite-{user_id}");
    let path = format!("/users/{user_id}/invite");
    let answer: Answer = api.send(Method::POST, &path, Some(&key), &json!({ "channel": "email" })).await;
    match answer.status {
        status if status.is_success() => Ok(true),
        StatusCode::CONFLICT if answer.body["code"] == "already_created" => Ok(false),
        _ => Err(answer.error_text()),
    }
}

fn lines(text: &[u8]) -> Result<Vec<Line>, String> {
    let mut reader =
        csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).delimiter(delimiter(text)).from_reader(text);
    let headings = reader.byte_headers().map_err(|error| error.to_string())?;
    let columns: Vec<Option<&str>> = headings.iter().map(field).collect();
    if !columns.contains(&Some("username")) {
        return Err("the header row has no column username".into());
    }
    let mut lines = Vec::new();
    for record in reader.byte_records() {
        let record = record.map_err(|error| error.to_string())?;
        if record.iter().all(|cell| String::from_utf8_lossy(cell).chars().all(is_blank)) {
            continue;
        }
        let number = line_number(text, record.position().map_or(0, csv::Position::byte));
        lines.push(Line { number, person: person(&columns, &record) });
    }
    Ok(lines)
}

/// The line of a record that starts at a byte: the reader reports it before the preceding line breaks.
fn line_number(text: &[u8], byte: u64) -> usize {
    let at = usize::try_from(byte).unwrap_or(text.len()).min(text.len());
    let breaks = text[at..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    1 + text[..at + breaks].iter().filter(|byte| **byte == b'\n').count()
}

/// Some spreadsheets use semicolons.
fn delimiter(text: &[u8]) -> u8 {
    let heading = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if heading.contains(&b';') && !heading.contains(&b',') { b';' } else { b',' }
}

fn field(heading: &[u8]) -> Option<&'static str> {
    let letters = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    let heading = letters(&String::from_utf8_lossy(heading));
    FIELDS.into_iter().find(|field| letters(field) == heading)
}

fn person(columns: &[Option<&str>], record: &csv::ByteRecord) -> Result<Value, String> {
    if record.len() > columns.len() {
        return Err(format!("has {} fields, but the header row has {}", record.len(), columns.len()));
    }
    let mut person = Map::new();
    for (column, value) in columns.iter().zip(record) {
        let value = std::str::from_utf8(value).map_err(|_| "is not UTF-8".to_owned())?;
        if let (Some(column), false) = (column, value.is_empty()) {
            person.insert((*column).to_owned(), json!(value));
        }
    }
    Ok(Value::Object(person))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_in_any_order_with_headings_as_people_write_them() {
        let text = "\u{feff}E-mail,Username,First name,Shoe size\r\nada@example.com,ada,Ada,38\r\n,bob,,\r\n";
        let lines = lines(text.as_bytes()).unwrap();
        assert_eq!(lines[0].number, 2);
        assert_eq!(lines[0].person, Ok(json!({"email": "ada@example.com", "username": "ada", "first_name": "Ada"})));
        assert_eq!(lines[1], Line { number: 3, person: Ok(json!({"username": "bob"})) });
    }

    #[test]
    fn a_byte_order_mark_and_semicolons_do_no_harm() {
        let lines = lines("\u{feff}username;number\nada;+49 30 1\n".as_bytes()).unwrap();
        assert_eq!(lines[0].person, Ok(json!({"username": "ada", "number": "+49 30 1"})));
    }

    #[test]
    fn a_bad_line_does_not_stop_the_others() {
        let lines = lines(b"username,number\na,1,2\nb\xff,1\n\nc,1\n,\n\xc2\xa0\n").unwrap();
        assert!(lines[0].person.as_ref().unwrap_err().contains("3 fields"));
        assert!(lines[1].person.as_ref().unwrap_err().contains("UTF-8"));
        assert_eq!((lines[2].number, lines[2].person.is_ok()), (5, true));
        assert_eq!(lines.len(), 3, "empty cells are no person");
    }

    #[test]
    fn a_file_without_usernames_is_refused() {
        assert!(lines(b"name,mail\na,b\n").is_err());
        assert!(lines(b"").is_err());
    }
}
