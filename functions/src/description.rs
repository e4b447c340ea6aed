//! What the product says of itself to programs: an OpenAPI 3.1 document, made from the operations'
//! own declarations. What a request may hold comes from the very reader that reads it, what is
//! refused from the refusals themselves, and what a reply shows is held against every reply that the
//! tests see.

mod about;
#[cfg(test)]
mod document;
#[cfg(test)]
mod request_fields;
#[cfg(test)]
mod tests;

pub use about::{Answer, Body, MakeSchema, OperationDoc, schema_of};
