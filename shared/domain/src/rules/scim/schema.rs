//! The SCIM schemas: the attributes of a user and of the other resources, and their types.

use serde_json::{Map, Value, json};

/// Schema of users.
pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";

/// Schema of the enterprise extension of users.
pub const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// Schema of the server's configuration.
pub const PROVIDER_CONFIG: &str = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig";

/// Schema of resource types.
pub const RESOURCE_TYPE: &str = "urn:ietf:params:scim:schemas:core:2.0:ResourceType";

/// Schema of schemas.
pub const SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:Schema";

/// Schema of list responses.
pub const LIST_RESPONSE: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";

/// Schema of patch requests.
pub const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// Schema of search requests.
pub const SEARCH_REQUEST: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";

/// Schema of errors.
pub const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

/// The type of an attribute.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A string.
    Text,
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer,
    /// A date and time.
    Timestamp,
    /// A URI: of a web page (`external`), of anything (`uri`), or of a resource of the named type.
    Reference(&'static [&'static str]),
    /// An object with these sub-attributes.
    Complex(&'static [Attribute]),
}

/// Who may set an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutability {
    /// Clients with write access.
    ReadWrite,
    /// Only the server.
    ReadOnly,
    /// Clients with write access; it is never returned.
    WriteOnly,
}

/// An attribute or sub-attribute.
#[derive(Clone, Copy, Debug)]
pub struct Attribute {
    /// Its name; clients may send it in any case.
    pub name: &'static str,
    /// Type of its values.
    pub kind: Kind,
    /// True if it is multi-valued.
    pub multi: bool,
    /// True if every resource has a value.
    pub required: bool,
    /// True if its values are case-sensitive.
    pub exact: bool,
    /// Who may set it.
    pub mutability: Mutability,
    /// True if no two resources have the same value.
    pub unique: bool,
    /// Values that clients commonly use.
    pub canonical: &'static [&'static str],
    /// Description for people.
    pub about: &'static str,
}

const fn of(name: &'static str, kind: Kind, about: &'static str) -> Attribute {
    Attribute {
        name,
        kind,
        multi: false,
        required: false,
        exact: false,
        mutability: Mutability::ReadWrite,
        unique: false,
        canonical: &[],
        about,
    }
}

const fn text(name: &'static str, about: &'static str) -> Attribute {
    of(name, Kind::Text, about)
}

const fn several(name: &'static str, parts: &'static [Attribute], about: &'static str) -> Attribute {
    Attribute { multi: true, ..of(name, Kind::Complex(parts), about) }
}

const fn read_only(attribute: Attribute) -> Attribute {
    Attribute { mutability: Mutability::ReadOnly, ..attribute }
}

const fn required(attribute: Attribute) -> Attribute {
    Attribute { required: true, ..attribute }
}

const fn multi(attribute: Attribute) -> Attribute {
    Attribute { multi: true, ..attribute }
}

const DISPLAY: Attribute = text("display", "What people call it.");

const TYPE: Attribute = text("type", "What it is for.");

const PRIMARY: Attribute = of("primary", Kind::Boolean, "True for the preferred one; of at most one.");

const NAME: &[Attribute] = &[
    text("formatted", "The full name, as it is to be shown."),
    text("familyName", "The family name."),
    text("givenName", "The given name."),
    text("middleName", "The middle names."),
    text("honorificPrefix", "What stands before the name."),
    text("honorificSuffix", "What stands after the name."),
];

const EMAILS: &[Attribute] =
    &[text("value", "The address."), DISPLAY, Attribute { canonical: &["work", "home", "other"], ..TYPE }, PRIMARY];

const PHONES: &[Attribute] = &[
    text("value", "The number."),
    DISPLAY,
    Attribute { canonical: &["work", "home", "mobile", "fax", "pager", "other"], ..TYPE },
    PRIMARY,
];

const ADDRESSES: &[Attribute] = &[
    text("formatted", "The full address, as it stands on a letter."),
    text("streetAddress", "Street and number."),
    text("locality", "The town."),
    text("region", "The state or region."),
    text("postalCode", "The postal code."),
    text("country", "The country."),
    Attribute { canonical: &["work", "home", "other"], ..TYPE },
    PRIMARY,
];

const VALUES: &[Attribute] = &[text("value", "The value."), DISPLAY, TYPE, PRIMARY];

const MANAGER: &[Attribute] = &[
    Attribute { exact: true, ..text("value", "The manager's id.") },
    Attribute { exact: true, ..of("$ref", Kind::Reference(&["User"]), "Where the manager is.") },
    text("displayName", "What the manager is called."),
];

/// The attributes of every resource.
pub static COMMON: &[Attribute] = &[
    Attribute { exact: true, ..read_only(text("id", "Handset's own id of the user.")) },
    Attribute { exact: true, ..text("externalId", "What the identity provider calls the user.") },
    read_only(of("meta", Kind::Complex(META), "About the resource.")),
    Attribute { exact: true, ..read_only(multi(text("schemas", "The schemas of the resource."))) },
];

const META: &[Attribute] = &[
    Attribute { exact: true, ..text("resourceType", "The kind of resource.") },
    of("created", Kind::Timestamp, "When it was made."),
    of("lastModified", Kind::Timestamp, "When it was last changed: that is when it was made if it never was."),
    Attribute { exact: true, ..of("location", Kind::Reference(&["uri"]), "Where it is.") },
    Attribute { exact: true, ..text("version", "Its version.") },
];

/// The attributes of a user.
pub static USER_ATTRIBUTES: &[Attribute] = &[
    Attribute { unique: true, ..required(text("userName", "The username: one word of at most 64 characters.")) },
    of("name", Kind::Complex(NAME), "The user's name."),
    text("displayName", "The name that is shown."),
    text("nickName", "What friends call the user."),
    of("profileUrl", Kind::Reference(&["external"]), "A page about the user."),
    text("title", "The user's title."),
    text("userType", "What the user is to the company."),
    text("preferredLanguage", "The language that the user prefers."),
    text("locale", "Where the user is, for numbers and times."),
    text("timezone", "The user's time zone."),
    // A user is either active or not, so it cannot be removed. The default for a new user is true.
    required(of("active", Kind::Boolean, "False shuts out all of the user's phones. True unless it is sent.")),
    Attribute {
        exact: true,
        mutability: Mutability::WriteOnly,
        ..text("password", "Taken, and thrown away: Handset has no passwords of users.")
    },
    several("emails", EMAILS, "E-mail addresses. Messages go to the primary one, else that for work, else the first."),
    several("phoneNumbers", PHONES, "Numbers. Texts go to the first one of type mobile, if it has its country."),
    several("addresses", ADDRESSES, "Postal addresses."),
    several("entitlements", VALUES, "What the user is entitled to."),
    several("roles", VALUES, "The user's roles."),
];

/// The attributes of the enterprise extension.
pub static ENTERPRISE_ATTRIBUTES: &[Attribute] = &[
    text("employeeNumber", "The number that the company gave the user."),
    text("costCenter", "The cost center."),
    text("organization", "The organization."),
    text("division", "The division."),
    text("department", "The department."),
    of("manager", Kind::Complex(MANAGER), "The user's manager."),
];

static PROVIDER_CONFIG_ATTRIBUTES: &[Attribute] = &[
    read_only(of("documentationUri", Kind::Reference(&["external"]), "Where help for people is.")),
    read_only(required(of("patch", Kind::Complex(SUPPORTED), "Whether PATCH is known."))),
    read_only(required(of("bulk", Kind::Complex(BULK), "Whether bulk calls are known."))),
    read_only(required(of("filter", Kind::Complex(FILTER), "Whether filters are known."))),
    read_only(required(of("changePassword", Kind::Complex(SUPPORTED), "Whether passwords can be changed."))),
    read_only(required(of("sort", Kind::Complex(SUPPORTED), "Whether lists can be sorted."))),
    read_only(required(of("etag", Kind::Complex(SUPPORTED), "Whether versions are told and guarded."))),
    read_only(required(several("authenticationSchemes", SCHEMES, "How callers prove who they are."))),
];

const IS_SUPPORTED: Attribute = read_only(required(of("supported", Kind::Boolean, "Whether it is known.")));

const SUPPORTED: &[Attribute] = &[IS_SUPPORTED];

const BULK: &[Attribute] = &[
    IS_SUPPORTED,
    read_only(required(of("maxOperations", Kind::Integer, "The most operations of a call."))),
    read_only(required(of("maxPayloadSize", Kind::Integer, "The most bytes of a call."))),
];

const FILTER: &[Attribute] =
    &[IS_SUPPORTED, read_only(required(of("maxResults", Kind::Integer, "The most resources of a page.")))];

const SCHEMES: &[Attribute] = &[
    read_only(required(Attribute {
        canonical: &["oauth", "oauth2", "oauthbearertoken", "httpbasic", "httpdigest"],
        ..text("type", "The scheme.")
    })),
    read_only(required(text("name", "What it is called."))),
    read_only(required(text("description", "What it is."))),
    read_only(of("specUri", Kind::Reference(&["external"]), "Where its specification is.")),
    read_only(of("documentationUri", Kind::Reference(&["external"]), "Where help for people is.")),
    read_only(of("primary", Kind::Boolean, "True for the preferred one.")),
];

static RESOURCE_TYPE_ATTRIBUTES: &[Attribute] = &[
    read_only(text("id", "The kind's id.")),
    read_only(required(text("name", "The kind's name."))),
    read_only(text("description", "What it is.")),
    read_only(required(of("endpoint", Kind::Reference(&["uri"]), "Where its resources are."))),
    Attribute { exact: true, ..read_only(required(of("schema", Kind::Reference(&["uri"]), "Its schema."))) },
    read_only(required(several("schemaExtensions", EXTENSIONS, "What is added to its schema."))),
];

const EXTENSIONS: &[Attribute] = &[
    Attribute { exact: true, ..read_only(required(of("schema", Kind::Reference(&["uri"]), "The schema."))) },
    read_only(required(of("required", Kind::Boolean, "Whether each resource has it."))),
];

static SCHEMA_ATTRIBUTES: &[Attribute] = &[
    read_only(required(text("id", "The schema's URI."))),
    read_only(required(text("name", "The schema's name."))),
    read_only(text("description", "What it is.")),
    read_only(required(several("attributes", SCHEMA_ATTRIBUTE, "Its attributes."))),
];

const SCHEMA_ATTRIBUTE: &[Attribute] = &[
    read_only(required(text("name", "The attribute's name."))),
    read_only(required(Attribute { canonical: DATA_TYPES, ..text("type", "What it holds.") })),
    read_only(required(of("multiValued", Kind::Boolean, "Whether it holds several."))),
    read_only(text("description", "What it is.")),
    read_only(required(of("required", Kind::Boolean, "Whether each resource has it."))),
    read_only(multi(text("canonicalValues", "Values that are commonly used."))),
    read_only(of("caseExact", Kind::Boolean, "Whether capitals matter.")),
    read_only(Attribute {
        canonical: &["readOnly", "readWrite", "immutable", "writeOnly"],
        ..text("mutability", "Who may set it.")
    }),
    read_only(Attribute {
        canonical: &["always", "never", "default", "request"],
        ..text("returned", "When it is shown.")
    }),
    read_only(Attribute {
        canonical: &["none", "server", "global"],
        ..text("uniqueness", "Among which resources it is unique.")
    }),
    read_only(multi(text("referenceTypes", "What it may lead to."))),
    read_only(several("subAttributes", SUB_ATTRIBUTE, "What it is made of.")),
];

const SUB_ATTRIBUTE: &[Attribute] = &[
    read_only(required(text("name", "The attribute's name."))),
    read_only(required(Attribute { canonical: DATA_TYPES, ..text("type", "What it holds.") })),
    read_only(required(of("multiValued", Kind::Boolean, "Whether it holds several."))),
    read_only(text("description", "What it is.")),
    read_only(required(of("required", Kind::Boolean, "Whether each resource has it."))),
    read_only(multi(text("canonicalValues", "Values that are commonly used."))),
    read_only(of("caseExact", Kind::Boolean, "Whether capitals matter.")),
    read_only(text("mutability", "Who may set it.")),
    read_only(text("returned", "When it is shown.")),
    read_only(text("uniqueness", "Among which resources it is unique.")),
    read_only(multi(text("referenceTypes", "What it may lead to."))),
];

const DATA_TYPES: &[&str] = &["string", "complex", "boolean", "decimal", "integer", "dateTime", "reference", "binary"];

/// A published schema.
struct Schema {
    id: &'static str,
    name: &'static str,
    about: &'static str,
    attributes: &'static [Attribute],
}

static SCHEMAS: [Schema; 5] = [
    Schema { id: USER, name: "User", about: "A person who uses the app.", attributes: USER_ATTRIBUTES },
    Schema {
        id: ENTERPRISE,
        name: "EnterpriseUser",
        about: "What companies add to a user.",
        attributes: ENTERPRISE_ATTRIBUTES,
    },
    Schema {
        id: PROVIDER_CONFIG,
        name: "ServiceProviderConfig",
        about: "What this server knows.",
        attributes: PROVIDER_CONFIG_ATTRIBUTES,
    },
    Schema {
        id: RESOURCE_TYPE,
        name: "ResourceType",
        about: "A kind of resource.",
        attributes: RESOURCE_TYPE_ATTRIBUTES,
    },
    Schema { id: SCHEMA, name: "Schema", about: "What a resource is made of.", attributes: SCHEMA_ATTRIBUTES },
];

impl Attribute {
    /// The sub-attributes.
    #[must_use]
    pub fn parts(&self) -> &'static [Attribute] {
        match self.kind {
            Kind::Complex(parts) => parts,
            Kind::Text | Kind::Boolean | Kind::Integer | Kind::Timestamp | Kind::Reference(_) => &[],
        }
    }

    /// The attribute as published in its schema.
    fn described(&self) -> Value {
        let mut shown = json!({
            "name": self.name,
            "multiValued": self.multi,
            "description": self.about,
            "required": self.required,
            "mutability": match self.mutability {
                Mutability::ReadWrite => "readWrite",
                Mutability::ReadOnly => "readOnly",
                Mutability::WriteOnly => "writeOnly",
            },
            "returned": match self.mutability {
                Mutability::WriteOnly => "never",
                Mutability::ReadWrite | Mutability::ReadOnly => "default",
            },
            "uniqueness": if self.unique { "server" } else { "none" },
        });
        match self.kind {
            Kind::Text => {
                shown["type"] = json!("string");
                shown["caseExact"] = json!(self.exact);
            }
            Kind::Boolean => shown["type"] = json!("boolean"),
            Kind::Integer => shown["type"] = json!("integer"),
            Kind::Timestamp => shown["type"] = json!("dateTime"),
            Kind::Reference(types) => {
                shown["type"] = json!("reference");
                shown["referenceTypes"] = json!(types);
                shown["caseExact"] = json!(self.exact);
            }
            Kind::Complex(parts) => {
                shown["type"] = json!("complex");
                shown["subAttributes"] = parts.iter().map(Attribute::described).collect();
            }
        }
        if !self.canonical.is_empty() {
            shown["canonicalValues"] = json!(self.canonical);
        }
        shown
    }
}

/// An attribute by its name, in any case.
#[must_use]
pub fn find(attributes: &'static [Attribute], name: &str) -> Option<&'static Attribute> {
    attributes.iter().find(|attribute| attribute.name.eq_ignore_ascii_case(name))
}

/// Every schema, as published. `base` is the base URL of SCIM.
#[must_use]
pub fn schemas(base: &str) -> Vec<Value> {
    let shown = |schema: &Schema| {
        json!({
            "schemas": [SCHEMA],
            "id": schema.id,
            "name": schema.name,
            "description": schema.about,
            "attributes": schema.attributes.iter().map(Attribute::described).collect::<Vec<_>>(),
            "meta": {"resourceType": "Schema", "location": format!("{base}/Schemas/{}", schema.id)},
        })
    };
    SCHEMAS.iter().map(shown).collect()
}

/// Every resource type, as published.
#[must_use]
pub fn resource_types(base: &str) -> Vec<Value> {
    vec![json!({
        "schemas": [RESOURCE_TYPE],
        "id": "User",
        "name": "User",
        "description": "A person who uses the app.",
        "endpoint": "/Users",
        "schema": USER,
        "schemaExtensions": [{"schema": ENTERPRISE, "required": false}],
        "meta": {"resourceType": "ResourceType", "location": format!("{base}/ResourceTypes/User")},
    })]
}

/// The server's configuration, as published.
#[must_use]
pub fn provider_config(base: &str) -> Value {
    let known = |known: bool| json!({"supported": known});
    json!({
        "schemas": [PROVIDER_CONFIG],
        "patch": known(true),
        "bulk": {"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": true, "maxResults": super::list::COUNT_MOST},
        "changePassword": known(false),
        "sort": known(true),
        "etag": known(true),
        "authenticationSchemes": [{
            "type": "oauthbearertoken",
            "name": "Key",
            "description": "A key of the workspace with the permission users:manage, as a bearer token.",
            "specUri": "https://www.rfc-editor.org/info/rfc6750",
            "primary": true,
        }],
        "meta": {"resourceType": "ServiceProviderConfig", "location": format!("{base}/ServiceProviderConfig")},
    })
}

/// A list response.
#[must_use]
pub fn list_response(resources: Vec<Value>, total: usize, start: usize) -> Value {
    let mut list = Map::new();
    list.insert("schemas".to_owned(), json!([LIST_RESPONSE]));
    list.insert("totalResults".to_owned(), json!(total));
    list.insert("startIndex".to_owned(), json!(start));
    list.insert("itemsPerPage".to_owned(), json!(resources.len()));
    list.insert("Resources".to_owned(), Value::Array(resources));
    Value::Object(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_capitals_and_each_schema_has_a_name_of_its_own() {
        assert_eq!(find(USER_ATTRIBUTES, "USERNAME").map(|attribute| attribute.name), Some("userName"));
        assert!(find(USER_ATTRIBUTES, "user_name").is_none());
        let schemas = schemas("https://x.example/scim/v2");
        assert_eq!(schemas.len(), 5);
        let password = schemas[0]["attributes"].as_array().unwrap().iter().find(|a| a["name"] == "password").unwrap();
        assert_eq!((&password["mutability"], &password["returned"]), (&json!("writeOnly"), &json!("never")));
    }
}
