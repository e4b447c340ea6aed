//! Compares the published description with the operations and the responses, and the routes for API Gateway with the
//! template; `UPDATE_DESCRIPTION=1` writes these again.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use functions::Access;
use functions::OPERATIONS;
use http::Method;
use lambda::ErrorFormat;
use local::definition::definition;
use local::description::{description, template};
use serde_json::Value;
use testkit::Bench;
use testkit::samples;

fn routes_file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../infra/openapi/routes.json")
}

/// True if generated files are to be written instead of compared.
#[expect(clippy::disallowed_methods, reason = "whoever runs the tests says so")]
pub(crate) fn updating_description() -> bool {
    std::env::var_os("UPDATE_DESCRIPTION").is_some()
}

/// Every operation of the description: method, path and description.
fn described_operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of_path = |(path, methods): (&String, &Value)| {
        let path = path.clone();
        let methods = methods.as_object().unwrap().clone();
        methods.into_iter().map(move |(method, operation)| (method, path.clone(), operation))
    };
    paths.iter().flat_map(of_path).collect()
}

#[test]
fn the_checked_in_api_gateway_routes_equal_the_templates() {
    let actual = definition(&template().unwrap());
    if updating_description() {
        fs::write(routes_file(), &actual).unwrap();
    }
    let checked_in = fs::read_to_string(routes_file()).unwrap();
    assert!(actual == checked_in, "if the change is intended, write them again: see the top of this file");
}

#[test]
fn every_operation_of_the_own_api_is_described() {
    let document = description();
    let ids: BTreeSet<String> = described_operations(&document)
        .into_iter()
        .map(|(.., of)| of["operationId"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), described_operations(&document).len(), "each operation has a different name");
    for operation in OPERATIONS {
        let expected = operation.error_format == ErrorFormat::Problem
            && operation.access() != Access::Internal
            && operation.name != "not-found";
        assert_eq!(ids.contains(operation.name), expected, "{}", operation.name);
    }
}

#[test]
fn every_field_and_every_operation_has_a_description() {
    let document = description();
    let mut missing = BTreeSet::new();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        collect_undescribed(name, schema, &mut missing);
    }
    for (.., of) in described_operations(&document) {
        let id = of["operationId"].as_str().unwrap();
        for media in of["requestBody"]["content"].as_object().into_iter().flat_map(|content| content.values()) {
            collect_undescribed(id, &media["schema"], &mut missing);
        }
        for (status, reply) in of["responses"].as_object().unwrap() {
            assert!(reply["$ref"].is_string() || !reply["description"].as_str().unwrap().is_empty(), "{id} {status}");
            if status.starts_with('2') {
                for media in reply["content"].as_object().into_iter().flat_map(|content| content.values()) {
                    collect_undescribed(id, &media["schema"], &mut missing);
                }
            }
        }
        for parameter in of["parameters"].as_array().unwrap() {
            if parameter["$ref"].is_null() && !parameter["description"].is_string() {
                missing.insert(format!("{id}.{}", parameter["name"].as_str().unwrap()));
            }
        }
    }
    assert!(missing.is_empty(), "without a description: {missing:#?}");
}

fn collect_undescribed(of: &str, schema: &Value, missing: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                if !property["description"].is_string() {
                    missing.insert(format!("{of}.{name}"));
                }
            }
            fields.values().for_each(|value| collect_undescribed(of, value, missing));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_undescribed(of, item, missing)),
        _ => {}
    }
}

/// The names of all fields of a schema's variants; down to `depth` also those of nested objects, with dots.
fn fields_of(document: &Value, schema: &Value, within: &str, depth: usize, found: &mut BTreeSet<String>) {
    if let Some(shared) = schema["$ref"].as_str() {
        let schema = document.pointer(shared.trim_start_matches('#')).unwrap();
        return fields_of(document, schema, within, depth, found);
    }
    for forms in ["allOf", "anyOf", "oneOf"] {
        for form in schema[forms].as_array().into_iter().flatten() {
            fields_of(document, form, within, depth, found);
        }
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let name = format!("{within}{name}");
        if depth > 0 {
            fields_of(document, property, &format!("{name}."), depth - 1, found);
        }
        found.insert(name);
    }
}

#[test]
fn every_body_field_is_covered_by_the_bad_input_tests() {
    let document = description();
    let mut with_body = 0;
    for (.., of) in described_operations(&document) {
        let schema = &of["requestBody"]["content"]["application/json"]["schema"];
        if schema.is_null() {
            continue;
        }
        let id = of["operationId"].as_str().unwrap();
        let mut fields = BTreeSet::new();
        fields_of(&document, schema, "", 1, &mut fields);
        let sampled = samples::of(id).into_iter().flat_map(|sample| &sample.fields);
        let sampled: BTreeSet<String> = sampled.map(|field| field.name.to_owned()).collect();
        assert_eq!(sampled, fields, "{id}: `testkit::samples` has no fields of its body");
        with_body += 1;
    }
    assert!(with_body > 30, "{with_body} operations with a body");
}

#[tokio::test]
async fn the_description_is_served_as_json_and_as_a_page() {
    let bench = Bench::start().await;
    let served = bench.call(Method::GET, "/openapi.json", None, None).await.expect(200);
    assert_eq!(served.body, description());
    let page = bench.call(Method::GET, "/docs", None, None).await.expect(200);
    for (_, path, of) in described_operations(&served.body) {
        assert!(page.text.contains(&path), "{path}");
        assert!(page.text.contains(&format!("id=\"{}\"", of["operationId"].as_str().unwrap())), "{path}");
    }
    assert!(!page.text.contains("<script"), "it runs nothing");
    assert!(!page.text.contains("://"), "it loads nothing");
}
