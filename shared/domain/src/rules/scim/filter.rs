//! Filter expressions (RFC 7644, 3.4.2.2): which users a list returns, and which values of an attribute a path selects.
//!
//! Implemented here, since the existing crates are either unmaintained or bring a store and models of their own. A
//! parser that knows the schemas can also refuse comparisons that make no sense, and find the key by which a single
//! user can be read.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use crate::clock::Time;
use crate::error::{DomainError, ScimType};
use crate::rules::scim::document::Document;
use crate::rules::scim::path::{AttributeName, AttributePath};
use crate::rules::scim::schema::{Attribute, DataType, find_attribute};
use crate::rules::scim::scim_error;
use crate::rules::scim::value::{is_unassigned, parse_boolean};
use crate::username::unique_username;

/// The most bytes of a filter.
pub const FILTER_LIMIT: usize = 4096;

/// How deep parentheses and brackets may be nested.
const DEPTH_LIMIT: usize = 16;

/// A filter expression.
#[derive(Clone, Debug)]
pub enum Filter {
    /// All of these match.
    And(Vec<Filter>),
    /// At least one of these matches.
    Or(Vec<Filter>),
    /// This does not match.
    Not(Box<Filter>),
    /// `pr`: the attribute has a value.
    Present(FilterAttribute),
    /// The attribute has a value for which the comparison is true; with `ne`, it has no equal value.
    Compare(FilterAttribute, Operator, Literal),
    /// `emails[…]`: one value of the attribute matches the filter in brackets.
    ValuePath(AttributePath, Box<Filter>),
}

/// The attribute that a filter expression tests.
#[derive(Clone, Copy, Debug)]
pub enum FilterAttribute {
    /// An attribute of the resource.
    Path(AttributePath),
    /// In brackets: a sub-attribute of the tested value.
    SubAttribute(&'static Attribute),
    /// An attribute that the schemas do not have: no user has a value.
    Unknown,
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

/// The value to compare with: `compValue` in RFC 7644.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// `null`: the attribute has no value.
    Null,
    /// `true` or `false`, in any case.
    Boolean(bool),
    /// A number in JSON syntax.
    Number(f64),
    /// A string in JSON syntax.
    String(String),
}

/// A unique attribute of the only user who can match a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UniqueKey {
    /// `id`.
    Id(String),
    /// `userName`.
    Username(String),
    /// `externalId`.
    ExternalId(String),
}

/// What a filter is evaluated for.
#[derive(Clone, Copy)]
enum Subject<'a> {
    Resource(&'a Document),
    /// One value of a complex attribute.
    Value(&'a Value),
}

impl<'a> Subject<'a> {
    fn values(self, attribute: &FilterAttribute) -> Vec<&'a Value> {
        match (self, attribute) {
            (Self::Resource(document), FilterAttribute::Path(path)) => document.values(path),
            (Self::Value(value), FilterAttribute::SubAttribute(sub_attribute)) => {
                value.as_object().and_then(|value| value.get(sub_attribute.name)).into_iter().collect()
            }
            (Self::Resource(_), FilterAttribute::SubAttribute(_) | FilterAttribute::Unknown)
            | (Self::Value(_), FilterAttribute::Path(_) | FilterAttribute::Unknown) => Vec::new(),
        }
    }
}

impl Filter {
    /// Parses a filter for users.
    ///
    /// # Errors
    /// `invalidFilter`, also for a comparison that the attribute's type does not allow.
    pub fn parse(filter: &str) -> Result<Self, DomainError> {
        if filter.len() > FILTER_LIMIT {
            return Err(invalid_filter(&format!("A filter has at most {FILTER_LIMIT} bytes.")));
        }
        let mut parser = FilterParser::new(filter, Scope::Resource);
        let filter = parser.parse_or()?;
        parser.skip_spaces();
        if parser.rest.is_empty() { Ok(filter) } else { Err(syntax_error()) }
    }

    /// A unique attribute of the only user who can match, if the filter requires its equality.
    #[must_use]
    pub fn unique_key(&self) -> Option<UniqueKey> {
        match self {
            Self::And(filters) => filters.iter().find_map(Self::unique_key),
            Self::Compare(FilterAttribute::Path(path), Operator::Eq, Literal::String(value)) => {
                match path.attribute.name {
                    "id" => Some(UniqueKey::Id(value.clone())),
                    "userName" => Some(UniqueKey::Username(value.clone())),
                    "externalId" => Some(UniqueKey::ExternalId(value.clone())),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// True if the filter can be evaluated from the user's own row, without the user's SCIM attributes.
    #[must_use]
    pub fn needs_user_row_only(&self) -> bool {
        const USER_ROW_ATTRIBUTES: [&str; 5] = ["id", "userName", "externalId", "active", "meta"];
        match self {
            Self::And(filters) | Self::Or(filters) => filters.iter().all(Self::needs_user_row_only),
            Self::Not(filter) => filter.needs_user_row_only(),
            Self::Present(attribute) | Self::Compare(attribute, ..) => match attribute {
                FilterAttribute::Path(path) => USER_ROW_ATTRIBUTES.contains(&path.attribute.name),
                FilterAttribute::SubAttribute(_) => false,
                FilterAttribute::Unknown => true,
            },
            Self::ValuePath(..) => false,
        }
    }

    /// True if the filter matches a user. `document` is the user's representation.
    #[must_use]
    pub fn matches(&self, document: &Document) -> bool {
        self.evaluate(Subject::Resource(document))
    }

    /// True if the filter of a value path matches a value of its attribute.
    #[must_use]
    pub fn matches_value(&self, value: &Value) -> bool {
        self.evaluate(Subject::Value(value))
    }

    fn evaluate(&self, subject: Subject<'_>) -> bool {
        match self {
            Self::And(filters) => filters.iter().all(|filter| filter.evaluate(subject)),
            Self::Or(filters) => filters.iter().any(|filter| filter.evaluate(subject)),
            Self::Not(filter) => !filter.evaluate(subject),
            Self::Present(attribute) => subject.values(attribute).into_iter().any(|value| !is_unassigned(value)),
            Self::Compare(attribute, operator, literal) => {
                compare_values(attribute, *operator, literal, &subject.values(attribute))
            }
            Self::ValuePath(path, filter) => match subject {
                Subject::Resource(document) => {
                    document.values(path).into_iter().any(|value| filter.matches_value(value))
                }
                Subject::Value(_) => false,
            },
        }
    }

    /// A value that the filter of a value path matches, if it consists of equalities only.
    #[must_use]
    pub fn matching_value(&self) -> Option<Map<String, Value>> {
        match self {
            Self::And(filters) => {
                let mut value = Map::new();
                for filter in filters {
                    value.extend(filter.matching_value()?);
                }
                Some(value)
            }
            Self::Compare(FilterAttribute::SubAttribute(sub_attribute), Operator::Eq, literal) => {
                let value = match (sub_attribute.data_type, literal) {
                    (DataType::Boolean, Literal::Boolean(value)) => Value::Bool(*value),
                    (DataType::Boolean, Literal::String(value)) => Value::Bool(parse_boolean(value)?),
                    (_, Literal::String(value)) => Value::String(value.clone()),
                    _ => return None,
                };
                Some(Map::from_iter([(sub_attribute.name.to_owned(), value)]))
            }
            _ => None,
        }
    }
}

/// The attribute whose values are compared: for a complex one, its `value`. `None` if there is none.
fn compared_attribute(attribute: &FilterAttribute) -> Option<&'static Attribute> {
    let attribute = match attribute {
        FilterAttribute::Path(path) => path.sub_attribute.unwrap_or(path.attribute),
        FilterAttribute::SubAttribute(sub_attribute) => sub_attribute,
        FilterAttribute::Unknown => return None,
    };
    match attribute.data_type {
        DataType::Complex(sub_attributes) => find_attribute(sub_attributes, "value"),
        DataType::String | DataType::Boolean | DataType::Integer | DataType::DateTime | DataType::Reference(_) => {
            Some(attribute)
        }
    }
}

fn compare_values(attribute: &FilterAttribute, operator: Operator, literal: &Literal, values: &[&Value]) -> bool {
    let Some(attribute) = compared_attribute(attribute) else {
        return operator == Operator::Ne;
    };
    let is_present = || values.iter().any(|value| !is_unassigned(value));
    let any_value = |operator| values.iter().any(|value| compare_value(attribute, operator, literal, value));
    match (operator, literal) {
        (Operator::Eq, Literal::Null) => !is_present(),
        (Operator::Ne, Literal::Null) => is_present(),
        (Operator::Ne, _) => !any_value(Operator::Eq),
        (operator, _) => any_value(operator),
    }
}

fn compare_value(attribute: &Attribute, operator: Operator, literal: &Literal, value: &Value) -> bool {
    let value = value.as_object().and_then(|sub_attributes| sub_attributes.get("value")).unwrap_or(value);
    match (value, literal) {
        (Value::Bool(value), Literal::Boolean(literal)) => value == literal,
        (Value::Bool(value), Literal::String(literal)) => Some(*value) == parse_boolean(literal),
        (Value::Number(value), Literal::Number(literal)) => value
            .as_f64()
            .and_then(|value| value.partial_cmp(literal))
            .is_some_and(|ordering| accepts_ordering(operator, ordering)),
        (Value::String(value), Literal::String(literal)) => match attribute.data_type {
            DataType::DateTime => match (Time::parse(value), Time::parse(literal)) {
                (Some(value), Some(literal)) => accepts_ordering(operator, value.cmp(&literal)),
                _ => false,
            },
            _ => compare_strings(operator, &comparison_key(attribute, value), &comparison_key(attribute, literal)),
        },
        _ => false,
    }
}

/// The form of a string in which values of the attribute are compared and sorted.
#[must_use]
pub fn comparison_key(attribute: &Attribute, text: &str) -> String {
    match attribute {
        _ if attribute.case_exact => text.to_owned(),
        // The form in which usernames are unique.
        _ if attribute.name == "userName" => unique_username(text),
        _ => text.to_lowercase(),
    }
}

fn compare_strings(operator: Operator, value: &str, literal: &str) -> bool {
    match operator {
        Operator::Co => value.contains(literal),
        Operator::Sw => value.starts_with(literal),
        Operator::Ew => value.ends_with(literal),
        Operator::Eq | Operator::Ne | Operator::Gt | Operator::Ge | Operator::Lt | Operator::Le => {
            accepts_ordering(operator, value.cmp(literal))
        }
    }
}

/// True if the comparison is true for a value with this ordering relative to the literal.
fn accepts_ordering(operator: Operator, ordering: Ordering) -> bool {
    match operator {
        Operator::Eq => ordering.is_eq(),
        Operator::Ne => ordering.is_ne(),
        Operator::Gt => ordering.is_gt(),
        Operator::Ge => ordering.is_ge(),
        Operator::Lt => ordering.is_lt(),
        Operator::Le => ordering.is_le(),
        Operator::Co | Operator::Sw | Operator::Ew => false,
    }
}

fn invalid_filter(detail: &str) -> DomainError {
    scim_error(ScimType::InvalidFilter, detail)
}

fn syntax_error() -> DomainError {
    invalid_filter("The filter is not a valid filter expression.")
}

/// What the attribute names in a filter refer to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scope {
    /// Attributes of users.
    Resource,
    /// These sub-attributes of the attribute in front of the brackets.
    SubAttributes(&'static [Attribute]),
}

/// A recursive-descent parser of filter expressions. `and` binds more tightly than `or`.
pub(super) struct FilterParser<'a> {
    rest: &'a str,
    scope: Scope,
    depth: usize,
}

impl<'a> FilterParser<'a> {
    pub fn new(filter: &'a str, scope: Scope) -> Self {
        Self { rest: filter, scope, depth: 0 }
    }

    /// The text that is not parsed yet.
    pub fn rest(&self) -> &'a str {
        self.rest
    }

    /// Parses the filter of a value path: from after the opening bracket to the closing one, inclusive.
    pub fn parse_value_filter(&mut self) -> Result<Filter, DomainError> {
        let filter = self.parse_nested()?;
        self.expect(']')?;
        Ok(filter)
    }

    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn consume(&mut self, expected: char) -> bool {
        self.skip_spaces();
        let rest = self.rest.strip_prefix(expected);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, expected: char) -> Result<(), DomainError> {
        if self.consume(expected) { Ok(()) } else { Err(syntax_error()) }
    }

    fn peek_word(&mut self) -> &'a str {
        self.skip_spaces();
        let end = self.rest.find(|c: char| c.is_whitespace() || "()[]\"".contains(c));
        &self.rest[..end.unwrap_or(self.rest.len())]
    }

    fn next_word(&mut self) -> &'a str {
        let word = self.peek_word();
        self.rest = &self.rest[word.len()..];
        word
    }

    fn consume_word(&mut self, expected: &str) -> bool {
        let found = self.peek_word().eq_ignore_ascii_case(expected);
        if found {
            let _word = self.next_word();
        }
        found
    }

    /// Parses a filter in parentheses or brackets, of which the opening one is consumed.
    fn parse_nested(&mut self) -> Result<Filter, DomainError> {
        if self.depth == DEPTH_LIMIT {
            return Err(invalid_filter(&format!("A filter is nested at most {DEPTH_LIMIT} deep.")));
        }
        self.depth += 1;
        let filter = self.parse_or();
        self.depth -= 1;
        filter
    }

    fn parse_or(&mut self) -> Result<Filter, DomainError> {
        let mut filters = vec![self.parse_and()?];
        while self.consume_word("or") {
            filters.push(self.parse_and()?);
        }
        Ok(if filters.len() == 1 { filters.swap_remove(0) } else { Filter::Or(filters) })
    }

    fn parse_and(&mut self) -> Result<Filter, DomainError> {
        let mut filters = vec![self.parse_term()?];
        while self.consume_word("and") {
            filters.push(self.parse_term()?);
        }
        Ok(if filters.len() == 1 { filters.swap_remove(0) } else { Filter::And(filters) })
    }

    fn parse_term(&mut self) -> Result<Filter, DomainError> {
        if self.consume('(') {
            return self.parse_group();
        }
        let word = self.next_word();
        if word.eq_ignore_ascii_case("not") && self.consume('(') {
            return Ok(Filter::Not(Box::new(self.parse_group()?)));
        }
        if word.is_empty() {
            return Err(syntax_error());
        }
        if self.rest.starts_with('[') {
            return self.parse_value_path(word);
        }
        let attribute = self.resolve_attribute(word);
        if self.consume_word("pr") {
            return Ok(Filter::Present(attribute));
        }
        let operator = parse_operator(self.next_word()).ok_or_else(syntax_error)?;
        let literal = self.parse_literal()?;
        check_comparison(&attribute, operator, &literal)?;
        Ok(Filter::Compare(attribute, operator, literal))
    }

    /// Parses a filter in parentheses, from after the opening one to the closing one, inclusive.
    fn parse_group(&mut self) -> Result<Filter, DomainError> {
        let filter = self.parse_nested()?;
        self.expect(')')?;
        Ok(filter)
    }

    fn resolve_attribute(&self, name: &str) -> FilterAttribute {
        match self.scope {
            Scope::SubAttributes(sub_attributes) => {
                find_attribute(sub_attributes, name).map_or(FilterAttribute::Unknown, FilterAttribute::SubAttribute)
            }
            Scope::Resource => match AttributeName::resolve(name) {
                AttributeName::Known(path) => FilterAttribute::Path(path),
                AttributeName::EnterpriseExtension | AttributeName::UnknownSchema | AttributeName::UnknownAttribute => {
                    FilterAttribute::Unknown
                }
            },
        }
    }

    /// Parses the brackets of a value path. `name` is the attribute in front of them.
    fn parse_value_path(&mut self, name: &str) -> Result<Filter, DomainError> {
        let path = match (self.scope, AttributeName::resolve(name)) {
            (Scope::Resource, AttributeName::Known(path)) if path.sub_attribute.is_none() => path,
            _ => return Err(syntax_error()),
        };
        let sub_attributes = path.attribute.sub_attributes();
        if sub_attributes.is_empty() {
            return Err(syntax_error());
        }
        self.expect('[')?;
        let outer_scope = std::mem::replace(&mut self.scope, Scope::SubAttributes(sub_attributes));
        let filter = self.parse_value_filter();
        self.scope = outer_scope;
        Ok(Filter::ValuePath(path, Box::new(filter?)))
    }

    fn parse_literal(&mut self) -> Result<Literal, DomainError> {
        self.skip_spaces();
        if self.rest.starts_with('"') {
            return self.parse_string().map(Literal::String);
        }
        let word = self.next_word();
        match word {
            "" => Err(syntax_error()),
            _ if word.eq_ignore_ascii_case("null") => Ok(Literal::Null),
            _ => match parse_boolean(word) {
                Some(value) => Ok(Literal::Boolean(value)),
                None => serde_json::from_str(word).map(Literal::Number).map_err(|_| syntax_error()),
            },
        }
    }

    /// Parses a string in JSON syntax, from its opening quotation mark to the closing one.
    fn parse_string(&mut self) -> Result<String, DomainError> {
        let mut escaped = false;
        for (index, c) in self.rest.char_indices().skip(1) {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => {
                    let (string, rest) = self.rest.split_at(index + 1);
                    self.rest = rest;
                    return serde_json::from_str(string).map_err(|_| syntax_error());
                }
                _ => {}
            }
        }
        Err(syntax_error())
    }
}

fn parse_operator(word: &str) -> Option<Operator> {
    const OPERATORS: [(&str, Operator); 9] = [
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
    OPERATORS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, operator)| *operator)
}

/// Refuses a comparison that the data type of the attribute does not allow.
fn check_comparison(attribute: &FilterAttribute, operator: Operator, literal: &Literal) -> Result<(), DomainError> {
    let is_equality = matches!(operator, Operator::Eq | Operator::Ne);
    let is_substring = matches!(operator, Operator::Co | Operator::Sw | Operator::Ew);
    let attribute = match compared_attribute(attribute) {
        Some(attribute) => attribute,
        None if matches!(attribute, FilterAttribute::Unknown) => return Ok(()),
        None => return Err(invalid_filter("Compare a sub-attribute instead, such as name.familyName.")),
    };
    let is_allowed = match (attribute.data_type, literal) {
        (_, Literal::Null) => is_equality,
        (DataType::Boolean, Literal::Boolean(_)) => is_equality,
        (DataType::Boolean, Literal::String(literal)) => is_equality && parse_boolean(literal).is_some(),
        (DataType::String | DataType::Reference(_), Literal::String(_)) => true,
        (DataType::DateTime, Literal::String(literal)) => !is_substring && Time::parse(literal).is_some(),
        (DataType::Integer, Literal::Number(_)) => !is_substring,
        _ => false,
    };
    let not_allowed = || format!("{} cannot be compared with this value by this operator.", attribute.name);
    if is_allowed { Ok(()) } else { Err(invalid_filter(&not_allowed())) }
}
