//! Access credentials issued to a phone, and the credential services that know the phone.
//!
//! Integrations with access systems report both. A deleted phone has neither: its credentials count as revoked
//! from that commit on, whatever its row still says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock::Time;
use crate::error::DomainError;
use crate::input::Fields;
use crate::shape::Shape;
use crate::string_enum::string_enum;
use crate::text::{Form, TextRule};

/// The most access credentials of one phone.
pub const CREDENTIAL_LIMIT: usize = 40;

/// The most endpoints of a credential service on one phone.
pub const ENDPOINT_LIMIT: usize = 20;

/// A service's identifier of an endpoint.
pub const ENDPOINT: TextRule = TextRule::new(Form::Ascii, 1, 128);

/// A service's description of a problem with a phone.
pub const PROBLEM: TextRule = TextRule::new(Form::Line, 1, 256);

string_enum! {
    /// A service that puts access credentials on phones.
    stored ServiceKind {
        /// ASSA ABLOY Credential Services.
        AssaAbloy = "assa_abloy",
        /// Salto Space.
        SaltoSpace = "salto_space",
    }
}

impl ServiceKind {
    /// Name of the service, for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AssaAbloy => "ASSA ABLOY Credential Services",
            Self::SaltoSpace => "SALTO Space",
            Self::Unknown(kind) => kind.as_str(),
        }
    }
}

/// A credential service's state on a phone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Its endpoints on the phone by identifier, with whether each is active.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub endpoints: BTreeMap<String, bool>,
    /// The problem that the service reports, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

impl Service {
    /// True if the phone can be used with the service.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.endpoints.values().any(|active| *active)
    }
}

/// A problem that a service has with a phone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// The service's message.
    pub message: String,
    /// Time of the first report.
    pub since: Time,
}

/// A service's report on a phone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// See [`Service::endpoints`].
    pub endpoints: BTreeMap<String, bool>,
    /// The problem; `None` if there is none.
    pub problem: Option<String>,
}

impl Report {
    /// Reads `{endpoints: [{endpoint_id, is_active}], problem?}`, which replaces the service's earlier report.
    ///
    /// # Errors
    /// Every invalid field.
    pub fn read(mut fields: Fields) -> Result<Self, DomainError> {
        let problem = fields.text("problem", PROBLEM);
        let mut endpoints = BTreeMap::new();
        let schema = || {
            let endpoint = Shape::of(|mut fields| drop(read_endpoint(&mut fields))).schema();
            json!({"type": "array", "maxItems": ENDPOINT_LIMIT, "items": endpoint})
        };
        let sent = fields.value_with_schema("endpoints", schema);
        fields.require("endpoints");
        match sent {
            None => {}
            Some(Value::Array(items)) => {
                if items.len() > ENDPOINT_LIMIT {
                    fields.add_error("endpoints", "too_many", format!("must be at most {ENDPOINT_LIMIT}"));
                }
                for (at, item) in items.into_iter().take(ENDPOINT_LIMIT).enumerate() {
                    take_endpoint(&mut fields, &format!("endpoints.{at}"), item, &mut endpoints);
                }
            }
            Some(_) => fields.add_error("endpoints", "wrong_type", "must be an array of endpoints"),
        }
        fields.deny_unknown();
        fields.finish().map_err(DomainError::Invalid)?;
        Ok(Self { endpoints, problem })
    }
}

/// Reads `{endpoint_id, is_active}`.
fn read_endpoint(fields: &mut Fields) -> Option<(String, bool)> {
    let id = fields.required_text("endpoint_id", ENDPOINT);
    let is_active = fields.boolean("is_active");
    fields.require("is_active");
    fields.deny_unknown();
    id.zip(is_active)
}

fn take_endpoint(fields: &mut Fields, name: &str, item: Value, endpoints: &mut BTreeMap<String, bool>) {
    let Value::Object(item) = item else {
        return fields.add_error(name, "wrong_type", "must be an object");
    };
    let mut inner = Fields::from_json(item);
    if let Some((id, is_active)) = read_endpoint(&mut inner)
        && endpoints.insert(id, is_active).is_some()
    {
        inner.add_error("endpoint_id", "repeated", "must be given only once");
    }
    fields.take_errors_of(name, inner);
}
