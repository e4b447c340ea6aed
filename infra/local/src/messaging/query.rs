//! The AWS Query protocol: a form in, XML out.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;

use super::fault::Fault;
use super::new_id;

const NAMESPACE: &str = "http://sns.amazonaws.com/doc/2010-03-31/";

/// The fields of a request, or of one entry of a list in it.
#[derive(Debug, Default)]
pub(super) struct Form(BTreeMap<String, String>);

impl Form {
    pub(super) fn parse(body: &[u8]) -> Self {
        Self(form_urlencoded::parse(body).into_owned().collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn required(&self, name: &str) -> Result<&str, Fault> {
        self.get(name).ok_or_else(|| Fault::null_member(name))
    }

    /// The entries of a list or map, in order: the fields `{name}.{number}.…`.
    pub(super) fn entries(&self, name: &str) -> Vec<Self> {
        let mut entries = BTreeMap::<u32, Self>::new();
        for (key, value) in &self.0 {
            let rest = key.strip_prefix(name).and_then(|rest| rest.strip_prefix('.'));
            let Some((number, field)) = rest.and_then(|rest| rest.split_once('.')) else {
                continue;
            };
            if let Ok(number) = number.parse() {
                let entry = entries.entry(number).or_default();
                entry.0.insert(field.to_owned(), value.clone());
            }
        }
        entries.into_values().collect()
    }

    /// A map from strings to strings.
    pub(super) fn map(&self, name: &str) -> BTreeMap<String, String> {
        let pairs = self.entries(&format!("{name}.entry")).into_iter();
        pairs.filter_map(|mut pair| Some((pair.0.remove("key")?, pair.0.remove("value")?))).collect()
    }
}

/// An element with text in it.
pub(super) fn text(name: &str, value: &str) -> String {
    element(name, &escape(value))
}

/// An element with elements in it.
pub(super) fn element(name: &str, inner: &str) -> String {
    format!("<{name}>{inner}</{name}>")
}

/// Escapes markup, and carriage returns so that they are not normalized; characters that XML cannot contain
/// become the replacement character.
fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for character in value.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\r' => escaped.push_str("&#xD;"),
            '\t' | '\n' => escaped.push(character),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            _ => escaped.push(character),
        }
    }
    escaped
}

/// The response to `action`; some actions have no result.
pub(super) fn respond(action: &str, outcome: Result<Option<String>, Fault>) -> Response {
    let id = new_id();
    let (status, body) = match outcome {
        Ok(result) => (StatusCode::OK, success(action, result.as_deref(), &id)),
        Err(fault) => (fault.status, failure(&fault, &id)),
    };
    let headers = [(CONTENT_TYPE.as_str(), "text/xml"), ("x-amzn-requestid", id.as_str())];
    (status, headers, body).into_response()
}

fn success(action: &str, result: Option<&str>, id: &str) -> String {
    let mut body = format!("<{action}Response xmlns=\"{NAMESPACE}\">");
    if let Some(result) = result {
        body.push_str(&element(&format!("{action}Result"), result));
    }
    body.push_str(&element("ResponseMetadata", &text("RequestId", id)));
    // Writing to a string cannot fail.
    let _ = write!(body, "</{action}Response>");
    body
}

fn failure(fault: &Fault, id: &str) -> String {
    let kind = text("Type", "Sender");
    let code = text("Code", fault.code);
    let message = text("Message", &fault.message);
    let error = element("Error", &format!("{kind}{code}{message}"));
    let id = text("RequestId", id);
    format!("<ErrorResponse xmlns=\"{NAMESPACE}\">{error}{id}</ErrorResponse>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_in_the_order_of_their_numbers() {
        let form = Form::parse(b"L.member.10.Id=ten&L.member.2.Id=two&L.member.1.Id=one&Other=x");
        let entries = form.entries("L.member");
        let ids: Vec<_> = entries.iter().filter_map(|entry| entry.get("Id")).collect();
        assert_eq!(ids, ["one", "two", "ten"]);
    }

    #[test]
    fn a_form_is_decoded() {
        let form =
            Form::parse("Message=a+b%26%C3%A9&Attributes.entry.1.key=Enabled&Attributes.entry.1.value=true".as_bytes());
        assert_eq!(form.get("Message"), Some("a b&é"));
        assert_eq!(form.map("Attributes").get("Enabled").map(String::as_str), Some("true"));
    }

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(text("A", "<b a=\"1\">&\u{1}\r"), "<A>&lt;b a=&quot;1&quot;&gt;&amp;\u{fffd}&#xD;</A>");
    }
}
