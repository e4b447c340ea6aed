//! Schemas (RFC 7643): the attribute definitions of users and of the discovery resources, and their JSON as served by
//! `/Schemas`, `/ResourceTypes` and `/ServiceProviderConfig`.

use serde_json::{Map, Value, json};

/// URI of the core schema of users.
pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";

/// URI of the enterprise extension of users. Resources have its attributes in an object under this name.
pub const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// URI of the schema of `ServiceProviderConfig`.
pub const PROVIDER_CONFIG: &str = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig";

/// URI of the schema of resource types.
pub const RESOURCE_TYPE: &str = "urn:ietf:params:scim:schemas:core:2.0:ResourceType";

/// URI of the schema of schemas.
pub const SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:Schema";

/// URI of list responses (RFC 7644, 3.4.2).
pub const LIST_RESPONSE: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";

/// URI of PATCH requests (RFC 7644, 3.5.2).
pub const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// URI of search requests (RFC 7644, 3.4.3).
pub const SEARCH_REQUEST: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";

/// URI of error responses (RFC 7644, 3.12).
pub const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

/// The data type of an attribute (RFC 7643, 2.3).
#[derive(Clone, Copy, Debug)]
pub enum DataType {
    /// A string.
    String,
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer,
    /// A date and time, in the format of RFC 3339.
    DateTime,
    /// A URI, with its reference types: `external` for a web page, `uri` for any URI, or the names of resource types.
    Reference(&'static [&'static str]),
    /// An object with these sub-attributes.
    Complex(&'static [Attribute]),
}

/// Who may set an attribute (RFC 7643, 2.2). Handset has no `immutable` attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutability {
    /// Clients may set the attribute.
    ReadWrite,
    /// Only the server sets the attribute.
    ReadOnly,
    /// Clients may set the attribute, and it is never returned.
    WriteOnly,
}

/// The definition of an attribute or sub-attribute (RFC 7643, 2.2 and 7).
#[derive(Clone, Copy, Debug)]
pub struct Attribute {
    /// Name as published; clients may send it in any case.
    pub name: &'static str,
    /// Data type; of a multi-valued attribute, that of each value.
    pub data_type: DataType,
    /// True if the attribute has an array of values.
    pub multi_valued: bool,
    /// True if every resource has a value, so that it cannot be removed.
    pub required: bool,
    /// True if its strings are compared case-sensitively.
    pub case_exact: bool,
    /// Who may set the attribute.
    pub mutability: Mutability,
    /// True for uniqueness `server`, which clients are told. `externalId` has `none`, as in RFC 7643, although no two
    /// users of a workspace may have the same one.
    pub unique: bool,
    /// Suggested values; others are accepted.
    pub canonical_values: &'static [&'static str],
    /// Published description, for administrators of identity providers.
    pub description: &'static str,
}

const fn attribute(name: &'static str, data_type: DataType, description: &'static str) -> Attribute {
    Attribute {
        name,
        data_type,
        multi_valued: false,
        required: false,
        case_exact: false,
        mutability: Mutability::ReadWrite,
        unique: false,
        canonical_values: &[],
        description,
    }
}

const fn string(name: &'static str, description: &'static str) -> Attribute {
    attribute(name, DataType::String, description)
}

const fn boolean(name: &'static str, description: &'static str) -> Attribute {
    attribute(name, DataType::Boolean, description)
}

const fn integer(name: &'static str, description: &'static str) -> Attribute {
    attribute(name, DataType::Integer, description)
}

const fn reference(
    name: &'static str,
    reference_types: &'static [&'static str],
    description: &'static str,
) -> Attribute {
    attribute(name, DataType::Reference(reference_types), description)
}

const fn complex(name: &'static str, sub_attributes: &'static [Attribute], description: &'static str) -> Attribute {
    attribute(name, DataType::Complex(sub_attributes), description)
}

const fn multi_valued(attribute: Attribute) -> Attribute {
    Attribute { multi_valued: true, ..attribute }
}

const fn read_only(attribute: Attribute) -> Attribute {
    Attribute { mutability: Mutability::ReadOnly, ..attribute }
}

const fn required(attribute: Attribute) -> Attribute {
    Attribute { required: true, ..attribute }
}

const fn case_exact(attribute: Attribute) -> Attribute {
    Attribute { case_exact: true, ..attribute }
}

const DISPLAY: Attribute = string("display", "A readable label for this value. Stored and returned, not used.");

const TYPE: Attribute = string("type", "A label for the purpose of this value. Stored and returned, not used.");

const PRIMARY: Attribute = boolean(
    "primary",
    "True for the preferred value of the attribute. At most one value is primary: a PATCH that makes another value \
     primary sets this one to false.",
);

const NAME_SUB_ATTRIBUTES: &[Attribute] = &[
    string("formatted", "The full name, formatted for display. Stored and returned, not used."),
    string("familyName", "The family name. Sets the user's last name in Handset; at most 64 characters."),
    string("givenName", "The given name. Sets the user's first name in Handset; at most 64 characters."),
    string("middleName", "The middle names. Stored and returned, not used."),
    string("honorificPrefix", "The title before the name, such as \"Dr.\". Stored and returned, not used."),
    string("honorificSuffix", "The suffix after the name, such as \"III\". Stored and returned, not used."),
];

const EMAIL_SUB_ATTRIBUTES: &[Attribute] = &[
    string("value", "The e-mail address. An entry without a value is ignored."),
    DISPLAY,
    Attribute {
        canonical_values: &["work", "home", "other"],
        ..string("type", "The purpose of the address. \"work\" is used if no address is primary.")
    },
    PRIMARY,
];

const PHONE_NUMBER_SUB_ATTRIBUTES: &[Attribute] = &[
    string(
        "value",
        "The telephone number, also as a \"tel:\" URI (RFC 3966). A value that Handset uses must be one number only. \
         An entry without a value is ignored.",
    ),
    DISPLAY,
    Attribute {
        canonical_values: &["work", "home", "mobile", "fax", "pager", "other"],
        ..string(
            "type",
            "The purpose of the number. Handset uses the first number of type \"mobile\" and the first of type \
             \"work\".",
        )
    },
    PRIMARY,
];

const ADDRESS_SUB_ATTRIBUTES: &[Attribute] = &[
    string("formatted", "The full address, formatted for display or a mailing label; may contain line breaks."),
    string("streetAddress", "The street, house number and similar parts; may contain line breaks."),
    string("locality", "The city or town."),
    string("region", "The state or region."),
    string("postalCode", "The postal code."),
    string("country", "The country, preferably as an ISO 3166-1 alpha-2 code; this is not checked."),
    Attribute { canonical_values: &["work", "home", "other"], ..TYPE },
    PRIMARY,
];

/// Sub-attributes of a multi-valued attribute that has no special ones (RFC 7643, 2.4).
const DEFAULT_SUB_ATTRIBUTES: &[Attribute] =
    &[string("value", "The value. An entry without a value is ignored."), DISPLAY, TYPE, PRIMARY];

const MANAGER_SUB_ATTRIBUTES: &[Attribute] = &[
    case_exact(string("value", "The identifier of the manager. It need not be a user of Handset.")),
    case_exact(reference("$ref", &["User"], "The URI of the manager's resource. Not checked.")),
    string("displayName", "The name of the manager, as the client sends it."),
];

/// The attributes that every resource has (RFC 7643, 3.1), and `schemas` (3).
pub static COMMON_ATTRIBUTES: &[Attribute] = &[
    case_exact(read_only(string(
        "id",
        "The unique identifier of the resource, assigned by Handset. It never changes.",
    ))),
    case_exact(string(
        "externalId",
        "The identifier of the user at the client, which can be used in filters; at most 256 bytes. No two users of a \
         workspace have the same one.",
    )),
    read_only(complex("meta", META_SUB_ATTRIBUTES, "Metadata of the resource, set by Handset.")),
    case_exact(read_only(multi_valued(string("schemas", "The URIs of the schemas that the resource uses.")))),
];

const META_SUB_ATTRIBUTES: &[Attribute] = &[
    case_exact(string("resourceType", "The name of the resource type.")),
    attribute("created", DataType::DateTime, "The time at which the resource was created."),
    attribute(
        "lastModified",
        DataType::DateTime,
        "The time of the last change of the resource, also by an administrator of Handset or a phone of the user; the \
         creation time if it never changed.",
    ),
    case_exact(reference("location", &["uri"], "The URI of the resource.")),
    case_exact(string(
        "version",
        "The version of the resource, which is also its ETag: for If-Match and If-None-Match.",
    )),
];

/// The attributes of the core `User` schema (RFC 7643, 4.1). `groups`, `ims`, `photos` and `x509Certificates` are
/// ignored.
pub static USER_ATTRIBUTES: &[Attribute] = &[
    Attribute {
        unique: true,
        ..required(string(
            "userName",
            "The username of the user in Handset: at most 64 characters without spaces, unique in the workspace \
             regardless of case. A change other than in case resets the user's phones to factory settings and deploys \
             them anew; for a user with phones, the client's API key needs the permission users:wipe.",
        ))
    },
    complex("name", NAME_SUB_ATTRIBUTES, "The components of the user's name."),
    string("displayName", "The name to display for the user. Stored and returned, not used."),
    string("nickName", "The casual name of the user. Stored and returned, not used."),
    reference("profileUrl", &["external"], "The URL of a page about the user. Stored and returned, not used."),
    string("title", "The job title of the user. Stored and returned, not used."),
    string(
        "userType",
        "The relationship of the user to the organization, such as \"Contractor\". Stored and returned, not used.",
    ),
    string("preferredLanguage", "The preferred language of the user. Stored and returned, not used."),
    string("locale", "The location of the user, for formats of numbers and times. Stored and returned, not used."),
    string("timezone", "The time zone of the user. Stored and returned, not used."),
    // Required, since a user is either active or not: it cannot be removed.
    required(boolean(
        "active",
        "The administrative status. False suspends the user, so that all phones of the user lose access; true lifts \
         this suspension. It is returned as false also while an administrator of Handset suspends the user, which only \
         an administrator can lift. A new user is active by default.",
    )),
    Attribute {
        mutability: Mutability::WriteOnly,
        ..case_exact(string("password", "Accepted but discarded: users of Handset have no passwords."))
    },
    multi_valued(complex(
        "emails",
        EMAIL_SUB_ATTRIBUTES,
        "E-mail addresses of the user. Handset sends invitations to the primary address, otherwise to the first of \
         type \"work\", otherwise to the first; the others are only stored and returned.",
    )),
    multi_valued(complex(
        "phoneNumbers",
        PHONE_NUMBER_SUB_ATTRIBUTES,
        "Telephone numbers of the user. The first of type \"mobile\" receives text messages if it has a country code; \
         the first of type \"work\" is the user's number at the telephone system. The others are only stored and \
         returned.",
    )),
    multi_valued(complex(
        "addresses",
        ADDRESS_SUB_ATTRIBUTES,
        "Postal addresses of the user. Stored and returned, not used.",
    )),
    multi_valued(complex(
        "entitlements",
        DEFAULT_SUB_ATTRIBUTES,
        "Entitlements of the user in other systems. Stored and returned; they grant nothing in Handset.",
    )),
    multi_valued(complex(
        "roles",
        DEFAULT_SUB_ATTRIBUTES,
        "Roles of the user in the organization. Stored and returned; they grant nothing in Handset.",
    )),
];

/// The attributes of the enterprise extension (RFC 7643, 4.3).
pub static ENTERPRISE_ATTRIBUTES: &[Attribute] = &[
    string(
        "employeeNumber",
        "The identifier that the organization assigned to the user. Stored and returned, not used.",
    ),
    string("costCenter", "The name of the user's cost center. Stored and returned, not used."),
    string("organization", "The name of the user's organization. Stored and returned, not used."),
    string("division", "The name of the user's division. Stored and returned, not used."),
    string("department", "The name of the user's department. Stored and returned, not used."),
    complex("manager", MANAGER_SUB_ATTRIBUTES, "The manager of the user. Stored and returned, not used."),
];

/// The attributes of `ServiceProviderConfig` (RFC 7643, 5).
static PROVIDER_CONFIG_ATTRIBUTES: &[Attribute] = &[
    read_only(reference("documentationUri", &["external"], "The URL of the server's documentation.")),
    read_only(required(complex("patch", SUPPORTED_SUB_ATTRIBUTES, "Support for PATCH requests."))),
    read_only(required(complex("bulk", BULK_SUB_ATTRIBUTES, "Support for bulk requests, and their limits."))),
    read_only(required(complex("filter", FILTER_SUB_ATTRIBUTES, "Support for filters, and the limit of a response."))),
    read_only(required(complex(
        "changePassword",
        SUPPORTED_SUB_ATTRIBUTES,
        "Support for changing the passwords of users.",
    ))),
    read_only(required(complex("sort", SUPPORTED_SUB_ATTRIBUTES, "Support for sorting the results of a query."))),
    read_only(required(complex(
        "etag",
        SUPPORTED_SUB_ATTRIBUTES,
        "Support for ETags: versions of resources, and conditional requests by If-Match and If-None-Match.",
    ))),
    read_only(required(multi_valued(complex(
        "authenticationSchemes",
        AUTHENTICATION_SCHEME_SUB_ATTRIBUTES,
        "The authentication schemes that the server accepts.",
    )))),
];

const SUPPORTED: Attribute = read_only(required(boolean("supported", "True if the server supports this feature.")));

const SUPPORTED_SUB_ATTRIBUTES: &[Attribute] = &[SUPPORTED];

const BULK_SUB_ATTRIBUTES: &[Attribute] = &[
    SUPPORTED,
    read_only(required(integer("maxOperations", "The maximum number of operations in a bulk request."))),
    read_only(required(integer("maxPayloadSize", "The maximum size of a bulk request, in bytes."))),
];

const FILTER_SUB_ATTRIBUTES: &[Attribute] = &[
    SUPPORTED,
    read_only(required(integer(
        "maxResults",
        "The maximum number of resources in one response; the others follow page by page.",
    ))),
];

const AUTHENTICATION_SCHEME_SUB_ATTRIBUTES: &[Attribute] = &[
    read_only(required(Attribute {
        canonical_values: &["oauth", "oauth2", "oauthbearertoken", "httpbasic", "httpdigest"],
        ..string("type", "The authentication scheme.")
    })),
    read_only(required(string("name", "The common name of the authentication scheme."))),
    read_only(required(string("description", "The description of the authentication scheme."))),
    read_only(reference("specUri", &["external"], "The URL of the specification of the authentication scheme.")),
    read_only(reference(
        "documentationUri",
        &["external"],
        "The URL of the documentation of the authentication scheme.",
    )),
    read_only(boolean("primary", "True for the preferred authentication scheme.")),
];

/// The attributes of resource types (RFC 7643, 6).
static RESOURCE_TYPE_ATTRIBUTES: &[Attribute] = &[
    read_only(string("id", "The identifier of the resource type.")),
    read_only(required(string("name", "The name of the resource type."))),
    read_only(string("description", "The description of the resource type.")),
    read_only(required(reference("endpoint", &["uri"], "The path of the resource type, relative to the base URL."))),
    case_exact(read_only(required(reference("schema", &["uri"], "The URI of the core schema of the resource type.")))),
    read_only(required(multi_valued(complex(
        "schemaExtensions",
        SCHEMA_EXTENSION_SUB_ATTRIBUTES,
        "The schema extensions of the resource type.",
    )))),
];

const SCHEMA_EXTENSION_SUB_ATTRIBUTES: &[Attribute] = &[
    case_exact(read_only(required(reference("schema", &["uri"], "The URI of the schema extension.")))),
    read_only(required(boolean("required", "True if every resource of the type must have this extension."))),
];

/// The attributes of schemas (RFC 7643, 7).
static SCHEMA_ATTRIBUTES: &[Attribute] = &[
    read_only(required(string("id", "The URI of the schema."))),
    read_only(required(string("name", "The name of the schema."))),
    read_only(string("description", "The description of the schema.")),
    read_only(required(multi_valued(complex(
        "attributes",
        SCHEMA_ATTRIBUTE_SUB_ATTRIBUTES,
        "The definitions of the schema's attributes.",
    )))),
];

const ATTRIBUTE_NAME: Attribute = read_only(required(string("name", "The name of the attribute.")));

const ATTRIBUTE_TYPE: Attribute = read_only(required(Attribute {
    canonical_values: &["string", "complex", "boolean", "decimal", "integer", "dateTime", "reference", "binary"],
    ..string("type", "The data type of the attribute's values.")
}));

const ATTRIBUTE_MULTI_VALUED: Attribute =
    read_only(required(boolean("multiValued", "True if the attribute can have several values.")));

const ATTRIBUTE_DESCRIPTION: Attribute = read_only(string("description", "The description of the attribute."));

const ATTRIBUTE_REQUIRED: Attribute =
    read_only(required(boolean("required", "True if every resource has a value of the attribute.")));

const ATTRIBUTE_CANONICAL_VALUES: Attribute = read_only(multi_valued(string(
    "canonicalValues",
    "Suggested values, such as \"work\"; other values are accepted.",
)));

const ATTRIBUTE_CASE_EXACT: Attribute =
    read_only(boolean("caseExact", "True if the attribute's strings are compared case-sensitively."));

const ATTRIBUTE_MUTABILITY: Attribute = read_only(string("mutability", "Who may set the attribute, and when."));

const ATTRIBUTE_RETURNED: Attribute = read_only(string("returned", "When responses contain the attribute."));

const ATTRIBUTE_UNIQUENESS: Attribute =
    read_only(string("uniqueness", "Among which resources the attribute's values are unique."));

const ATTRIBUTE_REFERENCE_TYPES: Attribute = read_only(multi_valued(string(
    "referenceTypes",
    "What a reference may refer to: \"external\" for a web page, \"uri\" for any URI, or the name of a resource type.",
)));

const SCHEMA_ATTRIBUTE_SUB_ATTRIBUTES: &[Attribute] = &[
    ATTRIBUTE_NAME,
    ATTRIBUTE_TYPE,
    ATTRIBUTE_MULTI_VALUED,
    ATTRIBUTE_DESCRIPTION,
    ATTRIBUTE_REQUIRED,
    ATTRIBUTE_CANONICAL_VALUES,
    ATTRIBUTE_CASE_EXACT,
    Attribute { canonical_values: &["readOnly", "readWrite", "immutable", "writeOnly"], ..ATTRIBUTE_MUTABILITY },
    Attribute { canonical_values: &["always", "never", "default", "request"], ..ATTRIBUTE_RETURNED },
    Attribute { canonical_values: &["none", "server", "global"], ..ATTRIBUTE_UNIQUENESS },
    ATTRIBUTE_REFERENCE_TYPES,
    read_only(multi_valued(complex(
        "subAttributes",
        SUB_ATTRIBUTE_SUB_ATTRIBUTES,
        "The definitions of a complex attribute's sub-attributes.",
    ))),
];

/// Sub-attributes have no sub-attributes (RFC 7643, 2.3.8).
const SUB_ATTRIBUTE_SUB_ATTRIBUTES: &[Attribute] = &[
    ATTRIBUTE_NAME,
    ATTRIBUTE_TYPE,
    ATTRIBUTE_MULTI_VALUED,
    ATTRIBUTE_DESCRIPTION,
    ATTRIBUTE_REQUIRED,
    ATTRIBUTE_CANONICAL_VALUES,
    ATTRIBUTE_CASE_EXACT,
    ATTRIBUTE_MUTABILITY,
    ATTRIBUTE_RETURNED,
    ATTRIBUTE_UNIQUENESS,
    ATTRIBUTE_REFERENCE_TYPES,
];

/// A published schema.
struct Schema {
    uri: &'static str,
    name: &'static str,
    description: &'static str,
    attributes: &'static [Attribute],
}

const USER_DESCRIPTION: &str = "A user of the app on phones that Handset manages.";

static SCHEMAS: [Schema; 5] = [
    Schema { uri: USER, name: "User", description: USER_DESCRIPTION, attributes: USER_ATTRIBUTES },
    Schema {
        uri: ENTERPRISE,
        name: "EnterpriseUser",
        description: "Attributes of a user in an organization, added to the User schema.",
        attributes: ENTERPRISE_ATTRIBUTES,
    },
    Schema {
        uri: PROVIDER_CONFIG,
        name: "ServiceProviderConfig",
        description: "The SCIM features that this server supports, and their limits.",
        attributes: PROVIDER_CONFIG_ATTRIBUTES,
    },
    Schema {
        uri: RESOURCE_TYPE,
        name: "ResourceType",
        description: "A resource type: its endpoint, its schema and its schema extensions.",
        attributes: RESOURCE_TYPE_ATTRIBUTES,
    },
    Schema {
        uri: SCHEMA,
        name: "Schema",
        description: "A schema: the definitions of its attributes.",
        attributes: SCHEMA_ATTRIBUTES,
    },
];

impl Attribute {
    /// The sub-attributes of a complex attribute; none for other types.
    #[must_use]
    pub fn sub_attributes(&self) -> &'static [Attribute] {
        match self.data_type {
            DataType::Complex(sub_attributes) => sub_attributes,
            DataType::String | DataType::Boolean | DataType::Integer | DataType::DateTime | DataType::Reference(_) => {
                &[]
            }
        }
    }

    /// The definition as published in its schema (RFC 7643, 7).
    fn to_json(self) -> Value {
        let mut definition = json!({
            "name": self.name,
            "multiValued": self.multi_valued,
            "description": self.description,
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
        match self.data_type {
            DataType::String => {
                definition["type"] = json!("string");
                definition["caseExact"] = json!(self.case_exact);
            }
            DataType::Boolean => definition["type"] = json!("boolean"),
            DataType::Integer => definition["type"] = json!("integer"),
            DataType::DateTime => definition["type"] = json!("dateTime"),
            DataType::Reference(reference_types) => {
                definition["type"] = json!("reference");
                definition["referenceTypes"] = json!(reference_types);
                definition["caseExact"] = json!(self.case_exact);
            }
            DataType::Complex(sub_attributes) => {
                definition["type"] = json!("complex");
                definition["subAttributes"] = sub_attributes.iter().map(|attribute| attribute.to_json()).collect();
            }
        }
        if !self.canonical_values.is_empty() {
            definition["canonicalValues"] = json!(self.canonical_values);
        }
        definition
    }
}

/// The attribute with a name, in any case.
#[must_use]
pub fn find_attribute(attributes: &'static [Attribute], name: &str) -> Option<&'static Attribute> {
    attributes.iter().find(|attribute| attribute.name.eq_ignore_ascii_case(name))
}

/// The response of `/Schemas`: every schema. `base_url` is that of SCIM, without a slash at its end.
#[must_use]
pub fn schemas(base_url: &str) -> Vec<Value> {
    let to_json = |schema: &Schema| {
        json!({
            "schemas": [SCHEMA],
            "id": schema.uri,
            "name": schema.name,
            "description": schema.description,
            "attributes": schema.attributes.iter().map(|attribute| attribute.to_json()).collect::<Vec<_>>(),
            "meta": {"resourceType": "Schema", "location": format!("{base_url}/Schemas/{}", schema.uri)},
        })
    };
    SCHEMAS.iter().map(to_json).collect()
}

/// The response of `/ResourceTypes`: users only.
#[must_use]
pub fn resource_types(base_url: &str) -> Vec<Value> {
    vec![json!({
        "schemas": [RESOURCE_TYPE],
        "id": "User",
        "name": "User",
        "description": USER_DESCRIPTION,
        "endpoint": "/Users",
        "schema": USER,
        "schemaExtensions": [{"schema": ENTERPRISE, "required": false}],
        "meta": {"resourceType": "ResourceType", "location": format!("{base_url}/ResourceTypes/User")},
    })]
}

/// The response of `/ServiceProviderConfig`.
#[must_use]
pub fn provider_config(base_url: &str) -> Value {
    let feature = |supported: bool| json!({"supported": supported});
    json!({
        "schemas": [PROVIDER_CONFIG],
        "patch": feature(true),
        "bulk": {"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": true, "maxResults": super::list::PAGE_SIZE_LIMIT},
        "changePassword": feature(false),
        "sort": feature(true),
        "etag": feature(true),
        "authenticationSchemes": [{
            "type": "oauthbearertoken",
            "name": "API key",
            "description": "An API key of the workspace with the permission users:manage, sent as a bearer token.",
            "specUri": "https://www.rfc-editor.org/info/rfc6750",
            "primary": true,
        }],
        "meta": {"resourceType": "ServiceProviderConfig", "location": format!("{base_url}/ServiceProviderConfig")},
    })
}

/// A `ListResponse` (RFC 7644, 3.4.2). `start_index` is the position of the first resource, starting at 1.
#[must_use]
pub fn list_response(resources: Vec<Value>, total_results: usize, start_index: usize) -> Value {
    let mut response = Map::new();
    response.insert("schemas".to_owned(), json!([LIST_RESPONSE]));
    response.insert("totalResults".to_owned(), json!(total_results));
    response.insert("startIndex".to_owned(), json!(start_index));
    response.insert("itemsPerPage".to_owned(), json!(resources.len()));
    response.insert("Resources".to_owned(), Value::Array(resources));
    Value::Object(response)
}

/// The schema of a user that defines an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserSchema {
    /// The core schema, whose attributes are at the top level of the resource.
    Core,
    /// The enterprise extension, whose attributes are in an object under its URI.
    Enterprise,
}

impl UserSchema {
    /// The name of an attribute in paths and field errors: for the extension, with its URI as a prefix.
    #[must_use]
    pub fn qualified_name(self, attribute: &Attribute) -> String {
        match self {
            Self::Core => attribute.name.to_owned(),
            Self::Enterprise => format!("{ENTERPRISE}:{}", attribute.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attribute_names_are_case_insensitive_and_a_password_is_never_returned() {
        assert_eq!(find_attribute(USER_ATTRIBUTES, "USERNAME").map(|attribute| attribute.name), Some("userName"));
        assert!(find_attribute(USER_ATTRIBUTES, "user_name").is_none());
        let schemas = schemas("https://x.example/scim/v2");
        assert_eq!(schemas.len(), 5);
        let password = schemas[0]["attributes"].as_array().unwrap().iter().find(|a| a["name"] == "password").unwrap();
        assert_eq!((&password["mutability"], &password["returned"]), (&json!("writeOnly"), &json!("never")));
    }
}
