//! `GET /docs`: the API description as a page for people.

use std::sync::OnceLock;

use domain::error::Error;
use lambda::{Reply, Request};
use lambda_http::http::{HeaderName, StatusCode};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::{Map, Value};

use crate::description::OperationDoc;
use crate::pages::get_openapi::{CACHE, description};
use crate::state::AppState;

const STYLE: &str = "
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif;--line:color-mix(in srgb,CanvasText 18%,Canvas);
--soft:color-mix(in srgb,CanvasText 6%,Canvas);--quiet:color-mix(in srgb,CanvasText 70%,Canvas)}
body{margin:0;background:Canvas;color:CanvasText;display:grid;grid-template-columns:16rem minmax(0,1fr)}
nav{position:sticky;top:0;height:100vh;overflow:auto;padding:1.5rem 1rem;box-sizing:border-box;border-right:1px solid var(--line);font-size:.9rem}
nav h2{font-size:.8rem;margin:1rem 0 .25rem;color:var(--quiet)}nav a{display:block;color:inherit;text-decoration:none;padding:.1rem 0}
nav a:hover{text-decoration:underline}
main{padding:1.5rem 2rem 6rem;max-width:60rem}
h1{margin:0}h2{margin:3rem 0 0}h3{margin:0;font-size:1.05rem}h4{margin:1rem 0 .25rem;font-size:.9rem;color:var(--quiet)}
section{border:1px solid var(--line);border-radius:.6rem;padding:1rem 1.25rem;margin:1rem 0;scroll-margin-top:1rem}
code{font:.875em/1.4 ui-monospace,monospace;background:var(--soft);border-radius:.25rem;padding:.05rem .3rem;overflow-wrap:anywhere}
.route{display:inline-block;margin:.35rem 0;padding:.2rem .5rem}.route b{font-weight:700}
table{border-collapse:collapse;width:100%;font-size:.9rem}td{border-top:1px solid var(--line);padding:.3rem .6rem .3rem 0;vertical-align:top}
td:first-child{width:13rem}p{margin:.5rem 0}ul{margin:.25rem 0;padding-left:1.2rem}.needed{color:#c2410c;font-size:.8rem}
.kind{color:var(--quiet)}summary{cursor:pointer}
@media(max-width:50rem){body{display:block}nav{position:static;height:auto;max-height:45vh;border:0;border-bottom:1px solid var(--line)}main{padding:1rem}
td,td:first-child{display:block;width:auto;padding-right:0}td+td{border:0;padding-top:0}}";

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Read this description").detail("The same as `openapi.json`, as a page.").page(200, "The page.")
}

/// The rendered page, cached for the life of the process.
static PAGE: OnceLock<String> = OnceLock::new();

/// Replies with a page that loads nothing from elsewhere.
///
/// # Errors
/// `Internal` if the description cannot be read.
pub async fn handle(_state: &AppState, _request: Request) -> Result<Reply, Error> {
    let text = match PAGE.get() {
        Some(text) => text,
        None => {
            let read = serde_json::from_slice(&description()?);
            let document = read.map_err(|e| Error::internal("reading the description", e))?;
            PAGE.get_or_init(|| page(&document).into_string())
        }
    };
    let reply = Reply::page(StatusCode::OK, text.clone()).with(HeaderName::from_static("cache-control"), CACHE).with(
        HeaderName::from_static("content-security-policy"),
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    );
    Ok(reply)
}

/// An operation in the document.
struct Described<'a> {
    method: &'a str,
    path: &'a str,
    operation: &'a Value,
}

fn page(document: &Value) -> Markup {
    let operations = operations(document);
    let groups = document["tags"].as_array().map(Vec::as_slice).unwrap_or_default();
    let of = |group: &Value| {
        operations.iter().filter(move |of| of.operation["tags"][0] == group["name"]).collect::<Vec<_>>()
    };
    let title = text(&document["info"]["title"]);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " API" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                nav {
                    a href="#top" { b { (title) " API" } }
                    a href="openapi.json" { "openapi.json" }
                    @for group in groups {
                        h2 { (text(&group["name"])) }
                        @for of in of(group) { a href={"#" (id(of))} { (text(&of.operation["summary"])) } }
                    }
                    h2 { "Schemas" }
                    @for (name, _) in things(document) { a href={"#" (name)} { (name) } }
                }
                main id="top" {
                    h1 { (title) " API" }
                    p.kind { "Version " (text(&document["info"]["version"])) }
                    (words(&document["info"]["description"]))
                    @for group in groups {
                        h2 { (text(&group["name"])) }
                        p { (text(&group["description"])) }
                        @for of in of(group) { (described(document, of)) }
                    }
                    h2 { "Schemas" }
                    @for (name, schema) in things(document) {
                        section id=(name) {
                            h3 { (name) }
                            (words(&schema["description"]))
                            (fields(schema))
                        }
                    }
                }
            }
        }
    }
}

fn operations(document: &Value) -> Vec<Described<'_>> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().into_iter().flatten();
            methods.map(move |(method, operation)| Described { method, path, operation })
        })
        .collect()
}

fn things(document: &Value) -> impl Iterator<Item = (&String, &Value)> {
    document["components"]["schemas"].as_object().into_iter().flatten()
}

fn id<'a>(of: &Described<'a>) -> &'a str {
    text(&of.operation["operationId"])
}

fn described(document: &Value, of: &Described<'_>) -> Markup {
    let operation = of.operation;
    let responses: Map<String, Value> = operation["responses"].as_object().cloned().unwrap_or_default();
    html! {
        section id=(id(of)) {
            h3 { (text(&operation["summary"])) }
            code.route { b { (of.method.to_uppercase()) } " " (of.path) }
            " " span.kind { (id(of)) }
            (words(&operation["description"]))
            (parameters(document, operation))
            @for (media_type, content) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
                h4 { "Body " code { (media_type) } }
                (fields(&content["schema"]))
            }
            @for (status, response) in responses {
                @let response = resolved(document, &response);
                @if status.starts_with(['2', '3']) {
                    h4 { "Answers " (status) }
                    (words(&response["description"]))
                    @for (media_type, content) in response["content"].as_object().into_iter().flatten() {
                        p { code { (media_type) } " " (kind(&content["schema"])) }
                        (fields(&content["schema"]))
                    }
                } @else {
                    details {
                        summary { (status) }
                        (words(&response["description"]))
                    }
                }
            }
        }
    }
}

fn parameters(document: &Value, operation: &Value) -> Markup {
    let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    html! {
        @if !parameters.is_empty() {
            h4 { "Parameters" }
            table {
                @for parameter in parameters {
                    @let parameter = resolved(document, parameter);
                    tr {
                        td {
                            code { (text(&parameter["name"])) } " " span.kind { "in " (text(&parameter["in"])) }
                            @if parameter["required"] == true { " " span.needed { "required" } }
                        }
                        td { (kind(&parameter["schema"])) " " (words(&parameter["description"])) }
                    }
                }
            }
        }
    }
}

/// The fields of an object, with those of nested objects.
fn fields(schema: &Value) -> Markup {
    let required = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
    let Some(properties) = schema["properties"].as_object().filter(|_| schema.get("$ref").is_none()) else {
        return html! {};
    };
    html! {
        table {
            @for (name, property) in properties {
                tr {
                    td {
                        code { (name) }
                        @if required.iter().any(|needed| needed == name) { " " span.needed { "always" } }
                        @for (field, words) in property["x-with"].as_object().into_iter().flatten() {
                            p.kind { "with " (field) @for word in words.as_array().into_iter().flatten() { " " code { (text(word)) } } }
                        }
                    }
                    td {
                        (kind(property)) " " (words(&property["description"]))
                        (fields(property)) (fields(&property["items"]))
                    }
                }
            }
        }
    }
}

/// The type of a value, in short.
fn kind(schema: &Value) -> Markup {
    if let Some(name) = schema["$ref"].as_str().and_then(|to| to.rsplit('/').next()) {
        return html! { a href={"#" (name)} { (name) } };
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        return html! { @for (at, choice) in choices.iter().enumerate() { @if at > 0 { " or " } (kind(choice)) } };
    }
    if schema["items"].is_object() {
        return html! { span.kind { "array of " } (kind(&schema["items"])) };
    }
    if let Some(words) = schema["enum"].as_array() {
        return html! { @for (at, word) in words.iter().enumerate() { @if at > 0 { " " } code { (shown(word)) } } };
    }
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().map(text).collect::<Vec<_>>().join(" or "),
        kind => text(kind).to_owned(),
    };
    let bounds = [("minLength", "at least"), ("maxLength", "at most"), ("minimum", "from"), ("maximum", "to")];
    let bounds = bounds.iter().filter_map(|(name, word)| Some(format!("{word} {}", schema.get(*name)?)));
    let more: Vec<String> = schema["format"].as_str().map(str::to_owned).into_iter().chain(bounds).collect();
    html! { span.kind { (kinds) @if !more.is_empty() { " (" (more.join(", ")) ")" } } }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn resolved(document: &Value, value: &Value) -> Value {
    let target = value["$ref"].as_str().and_then(|to| document.pointer(to.trim_start_matches('#')));
    target.unwrap_or(value).clone()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Formats a text of the document: paragraphs, lists, and code in backticks.
fn words(value: &Value) -> Markup {
    let paragraphs = text(value).split("\n\n").filter(|paragraph| !paragraph.is_empty());
    html! {
        @for paragraph in paragraphs {
            @if paragraph.starts_with("- ") {
                ul { @for line in paragraph.lines() { li { (with_code(line.trim_start_matches("- "))) } } }
            } @else {
                p { (with_code(paragraph)) }
            }
        }
    }
}

fn with_code(text: &str) -> Markup {
    html! {
        @for (at, part) in text.split('`').enumerate() {
            @if at % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}
