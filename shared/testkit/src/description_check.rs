//! Checks every exchange of the tests against the published description.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use http::{HeaderMap, StatusCode};
use jsonschema::Validator;
use local::description::{description, template};
use local::gateway::Routes;
use serde_json::{Value, json};

/// The description, and its router.
struct Description {
    document: Value,
    /// The document with every object closed, so that an undescribed field is an error.
    closed: Value,
    routes: Routes,
    validators: Mutex<BTreeMap<(String, bool), Arc<Validator>>>,
}

static DESCRIPTION: LazyLock<Description> = LazyLock::new(|| {
    let template = template().expect("the template is readable");
    let document = description();
    let mut closed = document.clone();
    close(&mut closed);
    let routes = Routes::new(&template.functions).expect("the template's routes are unambiguous");
    Description { document, closed, routes, validators: Mutex::default() }
});

/// A request and its response.
#[derive(Debug)]
pub struct Exchange<'a> {
    /// Method of the request.
    pub method: &'a str,
    /// Path of the request, without its query.
    pub path: &'a str,
    /// Body of the request.
    pub sent: &'a [u8],
    /// Status of the response.
    pub status: StatusCode,
    /// Headers of the response.
    pub headers: &'a HeaderMap,
    /// Body of the response.
    pub body: &'a Value,
    /// True if the response may have fields and values that the description does not name.
    pub open: bool,
}

/// What is wrong with an exchange: a response that is not described, or an accepted request that the
/// description does not allow. Operations of other products' APIs are not described.
#[must_use]
pub fn violation(exchange: &Exchange<'_>) -> Option<String> {
    let description = &*DESCRIPTION;
    let found = description.routes.find(exchange.method, exchange.path)?;
    let path = found.key.split_once(' ')?.1;
    let place = format!("/paths/{}/{}", escaped(path), exchange.method.to_lowercase());
    description.document.pointer(&place)?;
    let at = format!("{} {path} {}", exchange.method, exchange.status.as_u16());
    let violation =
        description.response_violation(&place, exchange).or_else(|| description.request_violation(&place, exchange));
    violation.map(|violation| format!("{at}: {violation}"))
}

impl Description {
    fn response_violation(&self, place: &str, exchange: &Exchange<'_>) -> Option<String> {
        let place = format!("{place}/responses/{}", exchange.status.as_u16());
        let Some(mut described) = self.document.pointer(&place) else {
            return Some("the description has no response with this status".to_owned());
        };
        let mut place = place;
        if let Some(shared) = described["$ref"].as_str() {
            place = shared.trim_start_matches('#').to_owned();
            described = self.document.pointer(&place)?;
        }
        for name in [
            "x-request-id",
            "etag",
            "location",
            "link",
            "content-disposition",
            "retry-after",
            "www-authenticate",
            "allow",
        ] {
            if exchange.headers.contains_key(name) && described["headers"].get(name).is_none() {
                return Some(format!("the description has no header {name}"));
            }
        }
        if described["headers"].get("etag").is_some() && !exchange.headers.contains_key("etag") {
            return Some("the response lacks its etag".to_owned());
        }
        let sent = exchange.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media_type = sent.split(';').next().unwrap_or_default();
        if described["content"].get(media_type).is_none() {
            return Some(format!("the description has no response of the media type {media_type:?}"));
        }
        if !media_type.ends_with("json") {
            return None;
        }
        let schema = format!("{place}/content/{}/schema", escaped(media_type));
        let document = if exchange.open { &self.document } else { &self.closed };
        self.schema_violation(&schema, document, exchange.body)
    }

    fn request_violation(&self, place: &str, exchange: &Exchange<'_>) -> Option<String> {
        if !exchange.status.is_success() || exchange.sent.is_empty() {
            return None;
        }
        // A body that is not described is not read.
        let place = format!("{place}/requestBody/content/application~1json/schema");
        let schema = self.document.pointer(&place)?;
        let mut sent: Value = serde_json::from_slice(exchange.sent).ok()?;
        remove_unread_fields(schema, &mut sent);
        let violation = self.schema_violation(&place, &self.document, &sent)?;
        Some(format!("a request that the description does not allow was accepted: {violation}"))
    }

    fn schema_violation(&self, place: &str, document: &Value, value: &Value) -> Option<String> {
        let mut validators = self.validators.lock().unwrap_or_else(PoisonError::into_inner);
        let closed = std::ptr::eq(document, &self.closed);
        let validator = Arc::clone(validators.entry((place.to_owned(), closed)).or_insert_with(|| {
            let schema = document.pointer(place).cloned().unwrap_or(Value::Bool(false));
            let schema = json!({"components": document["components"], "allOf": [schema]});
            let options = jsonschema::options().should_validate_formats(true);
            Arc::new(options.build(&schema).unwrap_or_else(|error| panic!("{place} is not a valid schema: {error}")))
        }));
        drop(validators);
        let violations: Vec<String> =
            validator.iter_errors(value).map(|error| format!("{} at {}", error, error.instance_path())).collect();
        (!violations.is_empty()).then(|| format!("{}; the body was {value}", violations.join("; ")))
    }
}

/// Removes the fields that are only read with other values of another field.
fn remove_unread_fields(schema: &Value, sent: &mut Value) {
    let Some(fields) = sent.as_object_mut() else { return };
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let others = property["x-with"].as_object().into_iter().flatten();
        let mut unread = others.filter(|(field, words)| {
            let word = fields.get(*field).unwrap_or(&Value::Null);
            words.as_array().is_some_and(|words| !words.contains(word))
        });
        if unread.next().is_some() {
            fields.remove(name);
        }
    }
}

/// Closes every object that names its fields and does not allow others, and every list of known values, since
/// this release has no others.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            let is_object = fields.get("type").is_some_and(|kind| *kind == "object" || kind[0] == "object");
            if is_object && fields.contains_key("properties") && !fields.contains_key("additionalProperties") {
                fields.insert("additionalProperties".to_owned(), false.into());
            }
            if let Some(mut words) = fields.get("x-extensible-enum").and_then(Value::as_array).cloned() {
                let nullable =
                    fields.get("type").and_then(Value::as_array).is_some_and(|kinds| kinds.contains(&"null".into()));
                words.extend(nullable.then_some(Value::Null));
                fields.insert("enum".to_owned(), words.into());
            }
            fields.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

fn escaped(part: &str) -> String {
    part.replace('~', "~0").replace('/', "~1")
}
