//! The checked-in template and API description.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::template::{StackLocation, Template, TemplateError};

/// The template at build time, with values for the two parameters that have no defaults; the routes do not
/// depend on them.
///
/// # Errors
/// What in the template cannot be read.
pub fn template() -> Result<Template, TemplateError> {
    let given = [("PublicUrl", "https://phones.example"), ("SenderAddress", "phones@phones.example")];
    let given: BTreeMap<String, String> = given.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    Template::read(crate::TEMPLATE, &StackLocation::default(), &given)
}

/// The checked-in API description.
///
/// # Panics
/// If it is not JSON.
#[must_use]
pub fn description() -> Value {
    serde_json::from_str(include_str!("../../openapi/openapi.json")).expect("the description is JSON")
}
