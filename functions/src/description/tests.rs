//! Compares the published description with the operations. `UPDATE_DESCRIPTION=1` writes it again.

use std::fs;

use crate::OPERATIONS;
use crate::description::document::document;
use crate::description::request_fields::COMMON;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../infra/openapi/openapi.json");

#[test]
fn the_description_that_is_checked_in_is_the_operations_own() {
    let actual = format!("{}\n", serde_json::to_string_pretty(&document()).unwrap());
    #[expect(clippy::disallowed_methods, reason = "whoever runs the tests says so")]
    if std::env::var_os("UPDATE_DESCRIPTION").is_some() {
        fs::write(FILE, &actual).unwrap();
    }
    assert!(actual == fs::read_to_string(FILE).unwrap(), "if it is meant to change, write it anew: see above");
}

#[test]
fn every_meaning_of_a_field_is_that_of_a_field_of_some_request() {
    let text = serde_json::to_string_pretty(&document()).unwrap();
    for (name, meaning) in COMMON {
        let json = serde_json::to_string(meaning).unwrap();
        assert!(text.contains(&format!("\"description\": {json}")), "{name}");
    }
}

#[test]
fn an_operation_reads_the_query_and_the_body_that_it_is_documented_with() {
    for operation in OPERATIONS.iter().filter(|operation| operation.is_strict()) {
        let doc = operation.doc.expect("it is documented")();
        assert_eq!(operation.reads_query, !doc.query.fields().is_empty(), "{}: query", operation.name);
        assert_eq!(operation.reads_body, doc.body.is_some(), "{}: body", operation.name);
    }
}
