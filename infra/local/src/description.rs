//! The template and the published description, as they are checked in.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::template::{Place, Template, TemplateError};

/// The template as it was when this was built, of a deployment with these two parameters that have no
/// defaults: its routes do not hang on them.
///
/// # Errors
/// What in the template cannot be read.
pub fn template() -> Result<Template, TemplateError> {
    let given = [("PublicUrl", "https://phones.example"), ("SenderAddress", "phones@phones.example")];
    let given: BTreeMap<String, String> = given.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    Template::read(crate::TEMPLATE, &Place::default(), &given)
}

/// The published description of the API, as it is checked in.
///
/// # Panics
/// If it is not JSON.
#[must_use]
pub fn description() -> Value {
    serde_json::from_str(include_str!("../../openapi/openapi.json")).expect("the description is JSON")
}
