//! The API description: an OpenAPI 3.1 document, generated from the operations' declarations. Request fields come from
//! the reader that parses them, errors from the error type, and reply schemas are checked against every reply in the
//! tests.

mod about;
#[cfg(test)]
mod document;
#[cfg(test)]
mod request_fields;
#[cfg(test)]
mod tests;

pub use about::{Answer, Body, MakeSchema, OperationDoc, schema_of};
