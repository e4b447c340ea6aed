//! Filters (RFC 7644, 3.4.2.2): which resources a list returns, and which values a path selects.
//!
//! Implemented here, since the existing crates are either unmaintained or bring a store and models of their own. A
//! filter that knows the schema can also refuse comparisons that make no sense, and find the key by which a single user
//! can be read.

use serde_json::{Map, Value};

use crate::clock::Time;
use crate::error::{DomainError, ScimType};
use crate::rules::scim::document::Document;
use crate::rules::scim::path::{Named, Target};
use crate::rules::scim::refuse;
use crate::rules::scim::schema::{Attribute, Kind, find};
use crate::username::unique_username;

/// The most bytes of a filter.
pub const FILTER_LIMIT: usize = 4096;

/// How deep parentheses and brackets may be nested.
const DEPTH_LIMIT: usize = 16;

/// A filter expression.
#[derive(Clone, Debug)]
pub enum Filter {
    /// All of these match.
    All(Vec<Filter>),
    /// At least one of these matches.
    Any(Vec<Filter>),
    /// This does not match.
    Not(Box<Filter>),
    /// The attribute has a value.
    Present(Field),
    /// The attribute has a value for which the comparison is true.
    Compare(Field, Operator, Literal),
    /// One value of the attribute matches.
    Within(Target, Box<Filter>),
}

/// The field that a filter tests.
#[derive(Clone, Copy, Debug)]
pub enum Field {
    /// An attribute of the resource.
    Of(Target),
    /// A sub-attribute of the value that is tested.
    Part(&'static Attribute),
    /// An unknown name: no user has a value.
    Nothing,
}

/// A comparison operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Contains.
    Co,
    /// Starts with.
    Sw,
    /// Ends with.
    Ew,
    /// Greater than.
    Gt,
    /// Greater than or equal to.
    Ge,
    /// Less than.
    Lt,
    /// Less than or equal to.
    Le,
}

/// The value to compare with.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// No value.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A number.
    Number(f64),
    /// A string.
    Text(String),
}

/// The key of the only user who can match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Only {
    /// The user's id.
    Id(String),
    /// The username.
    Username(String),
    /// The external id, from the provider.
    ExternalId(String),
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// `invalidFilter`.
    pub fn read(text: &str) -> Result<Self, DomainError> {
        if text.len() > FILTER_LIMIT {
            return Err(invalid(&format!("A filter has at most {FILTER_LIMIT} bytes.")));
        }
        let mut reader = Reader::new(text, Scope::Resource);
        let filter = reader.any()?;
        reader.skip_spaces();
        if reader.rest.is_empty() { Ok(filter) } else { Err(unreadable()) }
    }

    /// The key of the only user who can match, if the filter implies one.
    #[must_use]
    pub fn only(&self) -> Option<Only> {
        match self {
            Self::All(all) => all.iter().find_map(Self::only),
            Self::Compare(Field::Of(target), Operator::Eq, Literal::Text(text)) => match target.attribute.name {
                "id" => Some(Only::Id(text.clone())),
                "userName" => Some(Only::Username(text.clone())),
                "externalId" => Some(Only::ExternalId(text.clone())),
                _ => None,
            },
            _ => None,
        }
    }

    /// True if the filter only tests attributes that the user's own row has, unchanged.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        const PLAIN: [&str; 5] = ["id", "userName", "externalId", "active", "meta"];
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().all(Self::is_plain),
            Self::Not(part) => part.is_plain(),
            Self::Present(field) | Self::Compare(field, ..) => match field {
                Field::Of(target) => PLAIN.contains(&target.attribute.name),
                Field::Part(_) => false,
                Field::Nothing => true,
            },
            Self::Within(..) => false,
        }
    }

    /// True if the filter matches a resource.
    #[must_use]
    pub fn fits(&self, document: &Document) -> bool {
        self.holds(
            &|field| match field {
                Field::Of(target) => document.values(target),
                Field::Part(_) | Field::Nothing => Vec::new(),
            },
            Some(document),
        )
    }

    /// True if the filter, read for the sub-attributes of an attribute, matches one of its values.
    #[must_use]
    pub fn fits_value(&self, value: &Value) -> bool {
        let parts = value.as_object();
        self.holds(
            &|field| match field {
                Field::Part(part) => {
                    parts.and_then(|parts: &Map<String, Value>| parts.get(part.name)).into_iter().collect()
                }
                Field::Of(_) | Field::Nothing => Vec::new(),
            },
            None,
        )
    }

    fn holds<'a>(&self, values: &dyn Fn(&Field) -> Vec<&'a Value>, document: Option<&'a Document>) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(values, document)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(values, document)),
            Self::Not(part) => !part.holds(values, document),
            Self::Present(field) => values(field).into_iter().any(is_there),
            Self::Compare(field, operator, literal) => compares(field, *operator, literal, &values(field)),
            Self::Within(target, filter) => document
                .is_some_and(|document| document.values(target).into_iter().any(|value| filter.fits_value(value))),
        }
    }

    /// A value that matches, if the filter consists of equalities only.
    #[must_use]
    pub fn example(&self) -> Option<Map<String, Value>> {
        match self {
            Self::All(parts) => {
                let mut example = Map::new();
                for part in parts {
                    example.extend(part.example()?);
                }
                Some(example)
            }
            Self::Compare(Field::Part(part), Operator::Eq, literal) => {
                let value = match (part.kind, literal) {
                    (Kind::Boolean, Literal::Boolean(truth)) => Value::Bool(*truth),
                    (Kind::Boolean, Literal::Text(text)) => Value::Bool(truth(text)?),
                    (_, Literal::Text(text)) => Value::String(text.clone()),
                    _ => return None,
                };
                Some(Map::from_iter([(part.name.to_owned(), value)]))
            }
            _ => None,
        }
    }
}

/// Reads `true` or `false` as a string, in any case, as some providers send it.
#[must_use]
pub fn truth(text: &str) -> Option<bool> {
    match text {
        _ if text.eq_ignore_ascii_case("true") => Some(true),
        _ if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

fn is_there(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

/// The attribute to compare: for a complex one, its `value`.
fn leaf(field: &Field) -> Option<&'static Attribute> {
    let attribute = match field {
        Field::Of(target) => target.part.unwrap_or(target.attribute),
        Field::Part(part) => part,
        Field::Nothing => return None,
    };
    match attribute.kind {
        Kind::Complex(parts) => find(parts, "value"),
        Kind::Text | Kind::Boolean | Kind::Integer | Kind::Timestamp | Kind::Reference(_) => Some(attribute),
    }
}

fn compares(field: &Field, operator: Operator, literal: &Literal, values: &[&Value]) -> bool {
    let Some(attribute) = leaf(field) else {
        return operator == Operator::Ne;
    };
    let equal = |value: &&Value| one_compares(attribute, Operator::Eq, literal, value);
    match (operator, literal) {
        (Operator::Eq, Literal::Null) => !values.iter().any(|value| is_there(value)),
        (Operator::Ne, Literal::Null) => values.iter().any(|value| is_there(value)),
        (Operator::Eq, _) => values.iter().any(equal),
        (Operator::Ne, _) => !values.iter().any(equal),
        (other, _) => values.iter().any(|value| one_compares(attribute, other, literal, value)),
    }
}

fn one_compares(attribute: &Attribute, operator: Operator, literal: &Literal, value: &Value) -> bool {
    let value = value.as_object().and_then(|parts| parts.get("value")).unwrap_or(value);
    match (value, literal) {
        (Value::Bool(held), Literal::Boolean(wanted)) => held == wanted,
        (Value::Bool(held), Literal::Text(wanted)) => Some(*held) == truth(wanted),
        (Value::Number(held), Literal::Number(wanted)) => {
            held.as_f64().and_then(|held| held.partial_cmp(wanted)).is_some_and(|order| ordered(operator, order))
        }
        (Value::String(held), Literal::Text(wanted)) => match attribute.kind {
            Kind::Timestamp => match (Time::parse(held), Time::parse(wanted)) {
                (Some(held), Some(wanted)) => ordered(operator, held.cmp(&wanted)),
                _ => false,
            },
            _ => texts_compare(operator, &comparable(attribute, held), &comparable(attribute, wanted)),
        },
        _ => false,
    }
}

/// A string in the form in which values of the attribute are compared.
#[must_use]
pub fn comparable(attribute: &Attribute, text: &str) -> String {
    match attribute {
        _ if attribute.exact => text.to_owned(),
        // The form in which usernames are unique.
        _ if attribute.name == "userName" => unique_username(text),
        _ => text.to_lowercase(),
    }
}

fn texts_compare(operator: Operator, held: &str, wanted: &str) -> bool {
    match operator {
        Operator::Co => held.contains(wanted),
        Operator::Sw => held.starts_with(wanted),
        Operator::Ew => held.ends_with(wanted),
        Operator::Eq | Operator::Ne | Operator::Gt | Operator::Ge | Operator::Lt | Operator::Le => {
            ordered(operator, held.cmp(wanted))
        }
    }
}

fn ordered(operator: Operator, order: std::cmp::Ordering) -> bool {
    match operator {
        Operator::Eq => order.is_eq(),
        Operator::Ne => order.is_ne(),
        Operator::Gt => order.is_gt(),
        Operator::Ge => order.is_ge(),
        Operator::Lt => order.is_lt(),
        Operator::Le => order.is_le(),
        Operator::Co | Operator::Sw | Operator::Ew => false,
    }
}

fn invalid(detail: &str) -> DomainError {
    refuse(ScimType::InvalidFilter, detail)
}

fn unreadable() -> DomainError {
    invalid("The filter cannot be read.")
}

/// What the names in a filter refer to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scope {
    /// Attributes of a resource.
    Resource,
    /// Sub-attributes of an attribute.
    Parts(&'static [Attribute]),
}

/// A parser of filters.
pub(super) struct Reader<'a> {
    rest: &'a str,
    scope: Scope,
    depth: usize,
}

impl<'a> Reader<'a> {
    pub fn new(text: &'a str, scope: Scope) -> Self {
        Self { rest: text, scope, depth: 0 }
    }

    /// The unread text.
    pub fn rest(&self) -> &'a str {
        self.rest
    }

    /// Reads a filter up to its closing bracket, inclusive.
    pub fn bracketed(&mut self) -> Result<Filter, DomainError> {
        let filter = self.nested(Self::any)?;
        self.expect(']')?;
        Ok(filter)
    }

    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn takes(&mut self, wanted: char) -> bool {
        self.skip_spaces();
        let found = self.rest.strip_prefix(wanted);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn expect(&mut self, wanted: char) -> Result<(), DomainError> {
        if self.takes(wanted) { Ok(()) } else { Err(unreadable()) }
    }

    /// The next word, without reading it.
    fn peek(&mut self) -> &'a str {
        self.skip_spaces();
        let end = self.rest.find(|c: char| c.is_whitespace() || "()[]\"".contains(c));
        &self.rest[..end.unwrap_or(self.rest.len())]
    }

    fn word(&mut self) -> &'a str {
        let word = self.peek();
        self.rest = &self.rest[word.len()..];
        word
    }

    fn takes_word(&mut self, wanted: &str) -> bool {
        let found = self.peek().eq_ignore_ascii_case(wanted);
        if found {
            let _read = self.word();
        }
        found
    }

    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, DomainError>) -> Result<T, DomainError> {
        if self.depth == DEPTH_LIMIT {
            return Err(invalid(&format!("A filter is nested at most {DEPTH_LIMIT} deep.")));
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    fn any(&mut self) -> Result<Filter, DomainError> {
        let mut parts = vec![self.all()?];
        while self.takes_word("or") {
            parts.push(self.all()?);
        }
        Ok(if parts.len() == 1 { parts.swap_remove(0) } else { Filter::Any(parts) })
    }

    fn all(&mut self) -> Result<Filter, DomainError> {
        let mut parts = vec![self.one()?];
        while self.takes_word("and") {
            parts.push(self.one()?);
        }
        Ok(if parts.len() == 1 { parts.swap_remove(0) } else { Filter::All(parts) })
    }

    fn one(&mut self) -> Result<Filter, DomainError> {
        if self.takes('(') {
            let filter = self.nested(Self::any)?;
            self.expect(')')?;
            return Ok(filter);
        }
        let name = self.word();
        if name.eq_ignore_ascii_case("not") && self.takes('(') {
            let filter = self.nested(Self::any)?;
            self.expect(')')?;
            return Ok(Filter::Not(Box::new(filter)));
        }
        if name.is_empty() {
            return Err(unreadable());
        }
        if self.rest.starts_with('[') {
            return self.within(name);
        }
        let field = self.field(name);
        if self.takes_word("pr") {
            return Ok(Filter::Present(field));
        }
        let operator = operator(self.word()).ok_or_else(unreadable)?;
        let literal = self.literal()?;
        check(&field, operator, &literal)?;
        Ok(Filter::Compare(field, operator, literal))
    }

    fn field(&self, name: &str) -> Field {
        match self.scope {
            Scope::Parts(parts) => find(parts, name).map_or(Field::Nothing, Field::Part),
            Scope::Resource => match Named::read(name) {
                Named::Known(target) => Field::Of(target),
                Named::Enterprise | Named::Foreign | Named::Unknown => Field::Nothing,
            },
        }
    }

    /// Reads a filter in brackets after the name of an attribute.
    fn within(&mut self, name: &str) -> Result<Filter, DomainError> {
        let target = match (self.scope, Named::read(name)) {
            (Scope::Resource, Named::Known(target)) if target.part.is_none() => target,
            _ => return Err(unreadable()),
        };
        let parts = target.attribute.parts();
        if parts.is_empty() {
            return Err(unreadable());
        }
        self.expect('[')?;
        let outer = std::mem::replace(&mut self.scope, Scope::Parts(parts));
        let filter = self.bracketed();
        self.scope = outer;
        Ok(Filter::Within(target, Box::new(filter?)))
    }

    fn literal(&mut self) -> Result<Literal, DomainError> {
        self.skip_spaces();
        if self.rest.starts_with('"') {
            return self.quoted().map(Literal::Text);
        }
        let word = self.word();
        match word {
            "" => Err(unreadable()),
            _ if word.eq_ignore_ascii_case("null") => Ok(Literal::Null),
            _ => match truth(word) {
                Some(truth) => Ok(Literal::Boolean(truth)),
                None => serde_json::from_str(word).map(Literal::Number).map_err(|_| unreadable()),
            },
        }
    }

    /// Reads a string in JSON syntax.
    fn quoted(&mut self) -> Result<String, DomainError> {
        let mut escaped = false;
        for (at, c) in self.rest.char_indices().skip(1) {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => {
                    let (text, rest) = self.rest.split_at(at + 1);
                    self.rest = rest;
                    return serde_json::from_str(text).map_err(|_| unreadable());
                }
                _ => {}
            }
        }
        Err(unreadable())
    }
}

fn operator(word: &str) -> Option<Operator> {
    const WORDS: [(&str, Operator); 9] = [
        ("eq", Operator::Eq),
        ("ne", Operator::Ne),
        ("co", Operator::Co),
        ("sw", Operator::Sw),
        ("ew", Operator::Ew),
        ("gt", Operator::Gt),
        ("ge", Operator::Ge),
        ("lt", Operator::Lt),
        ("le", Operator::Le),
    ];
    WORDS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, operator)| *operator)
}

/// Refuses a comparison that the type of the attribute does not allow.
fn check(field: &Field, operator: Operator, literal: &Literal) -> Result<(), DomainError> {
    let equality = matches!(operator, Operator::Eq | Operator::Ne);
    let attribute = match leaf(field) {
        Some(attribute) => attribute,
        None if matches!(field, Field::Nothing) => return Ok(()),
        None => return Err(invalid("Compare a part of this attribute, such as name.familyName.")),
    };
    let fits = match (attribute.kind, literal) {
        (_, Literal::Null) => equality,
        (Kind::Boolean, Literal::Boolean(_)) => equality,
        (Kind::Boolean, Literal::Text(text)) => equality && truth(text).is_some(),
        (Kind::Text | Kind::Reference(_), Literal::Text(_)) => true,
        (Kind::Timestamp, Literal::Text(text)) => {
            !matches!(operator, Operator::Co | Operator::Sw | Operator::Ew) && Time::parse(text).is_some()
        }
        (Kind::Integer, Literal::Number(_)) => !matches!(operator, Operator::Co | Operator::Sw | Operator::Ew),
        _ => false,
    };
    if fits { Ok(()) } else { Err(invalid(&format!("{} does not support this operator.", attribute.name))) }
}
