//! OpenAPI documentation of an operation.

use domain::error::DomainError;
use domain::input::Fields;
use domain::shape::Shape;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::paging;
use crate::views::List;

/// OpenAPI documentation of an operation. Its name, routes and access are in [`crate::operation::Operation`].
#[derive(Clone, Debug)]
pub struct OperationDoc {
    /// Summary in a few words.
    pub summary: &'static str,
    /// Further description.
    pub detail: &'static str,
    /// The request body.
    pub body: Option<Body>,
    /// The query parameters.
    pub query: Shape,
    /// Fields and parameters whose meaning differs from that in other operations: name and meaning.
    pub fields: Vec<(&'static str, &'static str)>,
    /// True if it accepts `Idempotency-Key`.
    pub idempotent: bool,
    /// True if it accepts `If-Match`.
    pub if_match: bool,
    /// True if its replies have an `ETag`.
    pub with_etag: bool,
    /// Its successful replies.
    pub answers: Vec<Answer>,
    /// Its errors, except those that follow from its access, path and input.
    pub refusals: Vec<DomainError>,
}

/// A request body.
#[derive(Clone, Debug)]
pub enum Body {
    /// A JSON object of this shape.
    Json(Shape),
    /// Any content of this media type.
    Of(&'static str),
}

/// Builds the schema of a type.
pub type MakeSchema = fn(&mut SchemaGenerator) -> Schema;

/// The function that builds the schema of a type.
#[must_use]
pub fn schema_of<T: JsonSchema>() -> MakeSchema {
    SchemaGenerator::subschema_for::<T>
}

/// A successful reply.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Description of the reply.
    pub meaning: &'static str,
    /// Media types and schemas of the body; empty without a body.
    pub bodies: Vec<(&'static str, MakeSchema)>,
    /// Headers in addition to those of every reply: name and description.
    pub headers: Vec<(&'static str, &'static str)>,
}

impl OperationDoc {
    /// An operation without input.
    #[must_use]
    pub fn new(summary: &'static str) -> Self {
        Self {
            summary,
            detail: "",
            body: None,
            query: Shape::default(),
            fields: Vec::new(),
            idempotent: false,
            if_match: false,
            with_etag: false,
            answers: Vec::new(),
            refusals: Vec::new(),
        }
    }

    /// Adds a further description, in whole sentences.
    #[must_use]
    pub fn detail(self, detail: &'static str) -> Self {
        Self { detail, ..self }
    }

    /// Accepts a JSON body, as this reader reads it: its schema is what `read` asks of a recording [`Fields`].
    #[must_use]
    pub fn body(self, read: impl FnOnce(Fields)) -> Self {
        Self { body: Some(Body::Json(Shape::of(read))), ..self }
    }

    /// Accepts a JSON body whose other fields depend on the value of one field, `field`, which may be any of `words`.
    #[must_use]
    pub fn body_by(self, field: &str, words: &[&str], read: impl Fn(Fields)) -> Self {
        Self { body: Some(Body::Json(Shape::of_each(field, words, read))), ..self }
    }

    /// Accepts a raw body of a media type.
    #[must_use]
    pub fn takes(self, media_type: &'static str) -> Self {
        Self { body: Some(Body::Of(media_type)), ..self }
    }

    /// Accepts these query parameters.
    #[must_use]
    pub fn query(self, read: impl FnOnce(Fields)) -> Self {
        Self { query: Shape::of(read), ..self }
    }

    /// Gives a field or parameter a meaning that differs from other operations.
    #[must_use]
    pub fn field(mut self, name: &'static str, meaning: &'static str) -> Self {
        self.fields.push((name, meaning));
        self
    }

    /// Accepts `Idempotency-Key`: a repeated request creates nothing twice.
    #[must_use]
    pub fn idempotent(self) -> Self {
        Self { idempotent: true, ..self }.refuses([DomainError::IdempotencyMismatch])
    }

    /// Accepts `If-Match`.
    #[must_use]
    pub fn if_match(self) -> Self {
        Self { if_match: true, ..self }.refuses([DomainError::VersionMismatch])
    }

    /// Accepts `If-Match`, and replies with an `ETag`.
    #[must_use]
    pub fn with_etag(self) -> Self {
        Self { with_etag: true, ..self }.if_match()
    }

    /// Adds a JSON reply.
    #[must_use]
    pub fn answers<T: JsonSchema>(self, status: u16, meaning: &'static str) -> Self {
        self.answer(status, meaning, vec![("application/json", schema_of::<T>())])
    }

    /// Adds a JSON reply with status 200.
    #[must_use]
    pub fn shows<T: JsonSchema>(self, meaning: &'static str) -> Self {
        self.answers::<T>(200, meaning)
    }

    /// Replies with a page of a list, and accepts `limit` and `cursor` beside the list's own filters.
    #[must_use]
    pub fn lists<T: JsonSchema>(self, read: impl FnOnce(&mut Fields)) -> Self {
        let query = |mut fields: Fields| {
            let _paging = paging::parameters(&mut fields, paging::LIMITS);
            read(&mut fields);
        };
        self.query(query).shows::<List<T>>("A page of the list.").refuses([DomainError::CursorInvalid])
    }

    /// Adds a reply with these media types and schemas.
    #[must_use]
    pub fn answer(mut self, status: u16, meaning: &'static str, bodies: Vec<(&'static str, MakeSchema)>) -> Self {
        self.answers.push(Answer { status, meaning, bodies, headers: Vec::new() });
        self
    }

    /// Adds a reply with an HTML page.
    #[must_use]
    pub fn page(self, status: u16, meaning: &'static str) -> Self {
        self.answer(status, meaning, vec![("text/html", schema_of::<String>())])
    }

    /// Adds a header to the last reply.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, meaning: &'static str) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.headers.push((name, meaning));
        }
        self
    }

    /// Adds these errors.
    #[must_use]
    pub fn refuses(mut self, refusals: impl IntoIterator<Item = DomainError>) -> Self {
        self.refusals.extend(refusals);
        self
    }
}
