//! What an operation says of itself.

use domain::error::DomainError;
use domain::input::Fields;
use domain::shape::Shape;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::paging;
use crate::views::List;

/// What an operation says of itself, beside its name, its routes and whom it takes.
#[derive(Clone, Debug)]
pub struct OperationDoc {
    /// What it does, in a few words.
    pub summary: &'static str,
    /// More about it.
    pub detail: &'static str,
    /// The body that it takes.
    pub body: Option<Body>,
    /// The parameters of its query.
    pub query: Shape,
    /// Fields and parameters that mean something else than in other operations, by name.
    pub fields: Vec<(&'static str, &'static str)>,
    /// True if it takes an `Idempotency-Key`.
    pub once: bool,
    /// True if it takes an `If-Match`.
    pub guarded: bool,
    /// True if its replies have an `ETag`.
    pub versioned: bool,
    /// What it answers when all is well.
    pub answers: Vec<Answer>,
    /// Why it may refuse, beyond what every operation of its kind refuses for.
    pub refusals: Vec<DomainError>,
}

/// A body.
#[derive(Clone, Debug)]
pub enum Body {
    /// A JSON object of this shape.
    Json(Shape),
    /// Anything of this media type.
    Of(&'static str),
}

/// Makes the schema of a type.
pub type MakeSchema = fn(&mut SchemaGenerator) -> Schema;

/// How the schema of a type is made.
#[must_use]
pub fn schema_of<T: JsonSchema>() -> MakeSchema {
    SchemaGenerator::subschema_for::<T>
}

/// What an operation answers.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// What it means.
    pub meaning: &'static str,
    /// The bodies, each by its media type; none where there is nothing to show.
    pub bodies: Vec<(&'static str, MakeSchema)>,
    /// The headers beside those of every reply, each with what it says.
    pub headers: Vec<(&'static str, &'static str)>,
}

impl OperationDoc {
    /// An operation that takes nothing.
    #[must_use]
    pub fn new(summary: &'static str) -> Self {
        Self {
            summary,
            detail: "",
            body: None,
            query: Shape::default(),
            fields: Vec::new(),
            once: false,
            guarded: false,
            versioned: false,
            answers: Vec::new(),
            refusals: Vec::new(),
        }
    }

    /// More about it: whole sentences.
    #[must_use]
    pub fn detail(self, detail: &'static str) -> Self {
        Self { detail, ..self }
    }

    /// It takes a JSON body, which this reader reads.
    #[must_use]
    pub fn body(self, read: impl FnOnce(Fields)) -> Self {
        Self { body: Some(Body::Json(Shape::of(read))), ..self }
    }

    /// It takes a JSON body, of which one field says what else belongs to it.
    #[must_use]
    pub fn body_by(self, field: &str, words: &[&str], read: impl Fn(Fields)) -> Self {
        Self { body: Some(Body::Json(Shape::of_each(field, words, read))), ..self }
    }

    /// It takes a body of a media type, as it is.
    #[must_use]
    pub fn takes(self, media_type: &'static str) -> Self {
        Self { body: Some(Body::Of(media_type)), ..self }
    }

    /// It takes these parameters in its query.
    #[must_use]
    pub fn query(self, read: impl FnOnce(Fields)) -> Self {
        Self { query: Shape::of(read), ..self }
    }

    /// A field or a parameter means this, and not what it means in other operations.
    #[must_use]
    pub fn field(mut self, name: &'static str, meaning: &'static str) -> Self {
        self.fields.push((name, meaning));
        self
    }

    /// It takes an `Idempotency-Key`: the same call again makes nothing twice.
    #[must_use]
    pub fn once(self) -> Self {
        Self { once: true, ..self }.refuses([DomainError::IdempotencyMismatch])
    }

    /// It takes an `If-Match`.
    #[must_use]
    pub fn guarded(self) -> Self {
        Self { guarded: true, ..self }.refuses([DomainError::VersionMismatch])
    }

    /// It takes an `If-Match`, and its replies have an `ETag`.
    #[must_use]
    pub fn versioned(self) -> Self {
        Self { versioned: true, ..self }.guarded()
    }

    /// It answers with JSON.
    #[must_use]
    pub fn answers<T: JsonSchema>(self, status: u16, meaning: &'static str) -> Self {
        self.answer(status, meaning, vec![("application/json", schema_of::<T>())])
    }

    /// It answers with 200 and one thing.
    #[must_use]
    pub fn shows<T: JsonSchema>(self, meaning: &'static str) -> Self {
        self.answers::<T>(200, meaning)
    }

    /// It answers with a page of a list, and takes `limit` and `cursor` beside the list's own filters.
    #[must_use]
    pub fn lists<T: JsonSchema>(self, read: impl FnOnce(&mut Fields)) -> Self {
        let query = |mut fields: Fields| {
            let _paging = paging::parameters(&mut fields, paging::LIMITS);
            read(&mut fields);
        };
        self.query(query).shows::<List<T>>("A page of the list.").refuses([DomainError::CursorInvalid])
    }

    /// It answers with bodies, each of its media type.
    #[must_use]
    pub fn answer(mut self, status: u16, meaning: &'static str, bodies: Vec<(&'static str, MakeSchema)>) -> Self {
        self.answers.push(Answer { status, meaning, bodies, headers: Vec::new() });
        self
    }

    /// It answers with a page for a browser.
    #[must_use]
    pub fn page(self, status: u16, meaning: &'static str) -> Self {
        self.answer(status, meaning, vec![("text/html", schema_of::<String>())])
    }

    /// The last answer has this header too.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, meaning: &'static str) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.headers.push((name, meaning));
        }
        self
    }

    /// It may refuse for these reasons.
    #[must_use]
    pub fn refuses(mut self, refusals: impl IntoIterator<Item = DomainError>) -> Self {
        self.refusals.extend(refusals);
        self
    }
}
