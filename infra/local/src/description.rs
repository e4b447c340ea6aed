//! The published description of the API: what the operations say of themselves, at the routes that the
//! template gives them.

use std::collections::BTreeMap;

use functions::description::{Route, document};
use serde_json::Value;

use crate::template::{self, Place, Template, TemplateError};

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

/// The description, as it is checked in under `infra/openapi/`.
#[must_use]
pub fn description(template: &Template) -> Value {
    let routes: Vec<Route> = template
        .functions
        .iter()
        .flat_map(|function| function.routes.iter().map(move |route| (function, route)))
        .filter_map(|(function, route)| match route {
            template::Route::On { method, path } => {
                // What reads takes any method, to answer HEAD as GET.
                let method = if method == "ANY" { "GET" } else { method };
                Some(Route { operation: function.operation.clone(), method: method.to_owned(), path: path.clone() })
            }
            template::Route::Default => None,
        })
        .collect();
    document(&routes)
}
