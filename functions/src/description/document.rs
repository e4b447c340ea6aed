//! Builds the OpenAPI document of all documented operations.

use std::collections::BTreeSet;

use crate::operation::Access;
use domain::error::DomainError;
use domain::input::StringEnum as _;
use domain::models::credential::ServiceKind;
use domain::models::idempotency::IDEMPOTENCY_KEY;
use domain::models::source::PART_LIMIT;
use domain::shape::{self, uuid};
use lambda::problem::{Problem, status};
use lambda_http::http::StatusCode;
use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform as _};
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::description::about::{Answer, Body, MakeSchema, OperationDoc};
use crate::description::request_fields::explain;
use crate::operation::Operation;
use crate::operations::OPERATIONS;

/// Groups of operations: first part of the path, name and description.
const GROUPS: &[(&str, &str, &str)] = &[
    ("overview", "Overview", "The workspace in numbers, and finding anything in it."),
    ("search", "Overview", "The workspace in numbers, and finding anything in it."),
    ("devices", "Devices", "Phones: their state, their access and their commands."),
    ("users", "Users", "The people who hold the devices."),
    ("profiles", "Profiles", "Settings that many users share."),
    ("deployments", "Deployments", "Configurations for the users' phones."),
    ("sources", "Sources", "Where users come from, and how they stay in sync."),
    ("jobs", "Jobs", "Work over many users or devices."),
    ("usage", "Usage", "Usage in numbers."),
    ("events", "Events", "Who did what, to what, when."),
    ("workspace", "Workspace", "The tenant and its settings."),
    ("keys", "Keys", "Credentials of programs."),
    ("members", "Members", "People who sign in."),
    ("memberships", "Members", "People who sign in."),
    ("tokens", "Tokens", "Personal access tokens of people who sign in."),
    ("webhooks", "Webhooks", "Sending events to URLs."),
    ("i", "Links", "The links in messages."),
    ("r", "Links", "The links in messages."),
    ("openapi.json", "Description", "This description."),
    ("docs", "Description", "This description."),
    (".well-known", "Links", "The links in messages."),
];

/// The document (OpenAPI 3.1.1) of all operations that are documented.
pub(crate) fn document() -> Value {
    let mut generator = generator();
    let mut paths = Map::new();
    for operation in OPERATIONS {
        let Some(doc) = operation.doc else { continue };
        let routes: Vec<(&str, &str)> = operation.routes_by_part().collect();
        for (method, path) in &routes {
            let entry = paths.entry((*path).to_owned()).or_insert_with(|| json!({}));
            let id = id_of(operation.name, (*method, *path), &routes);
            entry[method.to_lowercase()] = described(operation, &doc(), &id, path, &mut generator);
        }
    }
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "Handset",
            "version": env!("CARGO_PKG_VERSION"),
            "description": INTRODUCTION,
            "contact": {"name": "The operator of this deployment"},
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "This deployment"}],
        "tags": tags(&paths),
        "paths": paths,
        "components": {
            "schemas": schemas(generator),
            "responses": shared_responses(),
            "headers": headers(),
            "parameters": parameters(),
            "securitySchemes": security_schemes(),
        },
    })
}

fn security_schemes() -> Value {
    let bearer = |description: &str| json!({"type": "http", "scheme": "bearer", "description": description});
    let mut member = bearer("An OpenID Connect access token of a member of the workspace.");
    member["bearerFormat"] = "JWT".into();
    json!({
        "key": bearer("An API key: `seam_…`, shown once when it is created."),
        "token": bearer(
            "A personal access token: `seam_at…`. If it is valid in several workspaces, the header `x-workspace-id` \
             selects one.",
        ),
        "member": member,
        "device": bearer("The credential of a device, shown once when the device is registered."),
    })
}

const INTRODUCTION: &str = "Administers a mobile app's people and phones.

Bodies are JSON with names in `snake_case`; times are UTC in RFC 3339. Errors are `application/problem+json` (RFC 9457): \
`code` is stable, and `errors` lists every invalid field. Lists accept `limit` and `cursor`, and return `items` and \
`next_cursor`. If a reply has an `ETag`, `If-Match` guards changes. Calls that create something accept an \
`Idempotency-Key`, which is remembered for a day. A field that is `null` counts as not sent, unless the field can be \
cleared. Replies may contain fields and values that a later release has added (`x-extensible-enum` lists the known \
values): accept them. Unknown parameters and fields are refused (422), with the nearest known name; from phones, they \
are ignored. HEAD is answered like GET, without the body. A body has at most 256 KiB.

Handset also supports Seam's API (`/phones/…`, `/devices/get|list|update`, `/events/get|list`, `/user_identities/…`, \
`/webhooks/create`, `/workspaces/…`) and SCIM 2.0 (`/scim/v2/…`), which have documents of their own.";

/// The operation ID: the operation's name. Further routes add the method if only that differs, else the last part of
/// the path.
fn id_of(name: &str, (method, path): (&str, &str), routes: &[(&str, &str)]) -> String {
    if routes.first().is_some_and(|first| *first == (method, path)) {
        return name.to_owned();
    }
    let same_path = routes.iter().any(|other| other.1 == path && other.0 != method);
    let end = path.rsplit('/').next().unwrap_or_default();
    let more = if same_path { method.to_lowercase() } else { end.replace('.', "-") };
    format!("{name}-{more}")
}

fn group(path: &str) -> &'static str {
    let first = path.split('/').nth(1).unwrap_or_default();
    GROUPS.iter().find(|(part, ..)| *part == first).map_or("Other", |(_, name, _)| name)
}

fn tags(paths: &Map<String, Value>) -> Value {
    let used: Vec<&str> = paths.keys().map(|path| group(path)).collect();
    let mut tags: Vec<Value> = Vec::new();
    for (_, name, description) in GROUPS.iter().filter(|(_, name, _)| used.contains(name)) {
        if tags.iter().all(|tag| tag["name"] != *name) {
            tags.push(json!({"name": name, "description": description}));
        }
    }
    tags.into()
}

fn described(
    operation: &Operation,
    about: &OperationDoc,
    id: &str,
    path: &str,
    generator: &mut SchemaGenerator,
) -> Value {
    let mut view = json!({
        "operationId": id,
        "summary": about.summary,
        "description": description(operation, about),
        "tags": [group(path)],
        "parameters": parameters_of(operation, about, path),
        "responses": responses(operation, about, path, generator),
        "security": security(operation.access()),
    });
    if let Some(body) = &about.body {
        view["requestBody"] = request_body(operation, about, body);
    }
    if let Some(permission) = permission(operation.access()) {
        view["x-permission"] = permission.into();
    }
    view
}

fn description(operation: &Operation, about: &OperationDoc) -> String {
    let needs = permission(operation.access()).map(|permission| format!("Needs {permission}."));
    let detail = (!about.detail.is_empty()).then(|| about.detail.to_owned());
    let parts: Vec<String> = detail.into_iter().chain(needs).collect();
    if parts.is_empty() { format!("{}.", about.summary) } else { parts.join("\n\n") }
}

/// The required permission, in Markdown; `None` if access does not depend on one.
fn permission(access: Access) -> Option<String> {
    match access {
        Access::Permission(permission) => Some(format!("`{permission}`")),
        Access::AnyOf(permissions) => {
            Some(permissions.iter().map(|permission| format!("`{permission}`")).collect::<Vec<_>>().join(" or "))
        }
        Access::Member | Access::SignedIn => None,
        Access::Device | Access::Code | Access::Public | Access::Internal => None,
    }
}

/// The accepted credentials. Permissions are in `x-permission`, since the lists of OpenAPI are for OAuth scopes.
fn security(access: Access) -> Value {
    match access {
        Access::Permission(_) | Access::AnyOf(_) => json!([{"key": []}, {"token": []}, {"member": []}]),
        Access::Member | Access::SignedIn => json!([{"member": []}]),
        Access::Device => json!([{"device": []}]),
        Access::Code | Access::Public | Access::Internal => json!([]),
    }
}

fn is_admins(access: Access) -> bool {
    matches!(access, Access::Permission(_) | Access::AnyOf(_))
}

fn request_body(operation: &Operation, about: &OperationDoc, body: &Body) -> Value {
    match body {
        Body::Json(shape) => {
            if operation.is_strict() {
                shape.close_all();
            }
            let mut schema = shape.schema();
            explain(&about.fields, &mut schema);
            json!({"required": !shape.required().is_empty(), "content": {"application/json": {"schema": schema}}})
        }
        Body::Of(media_type) => {
            let mut content = Map::new();
            content.insert((*media_type).to_owned(), json!({"schema": text()}));
            json!({"required": true, "content": content})
        }
    }
}

/// Names of the placeholders in a path.
fn names_in(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn parameters_of(operation: &Operation, about: &OperationDoc, path: &str) -> Vec<Value> {
    let mut parameters: Vec<Value> = names_in(path).map(|name| path_parameter(about, name)).collect();
    let required = about.query.required();
    for (name, schema) in about.query.fields() {
        parameters.push(parameter(about, "query", &name, required.contains(&name), &schema));
    }
    let shared = |name: &str| json!({"$ref": format!("#/components/parameters/{name}")});
    if is_admins(operation.access()) {
        parameters.push(shared("Workspace"));
    }
    if about.idempotent {
        parameters.push(shared("IdempotencyKey"));
    }
    if about.if_match {
        parameters.push(shared("IfMatch"));
    }
    parameters
}

fn path_parameter(about: &OperationDoc, name: &str) -> Value {
    let schema = match name {
        "number" => json!({"type": "integer", "minimum": 1, "maximum": PART_LIMIT}),
        "service" => json!({"type": "string", "enum": ServiceKind::all()}),
        "provider" | "code" => text(),
        _ => uuid(),
    };
    parameter(about, "path", name, true, &schema)
}

/// A parameter with its description.
fn parameter(about: &OperationDoc, place: &str, name: &str, required: bool, schema: &Value) -> Value {
    let mut within = json!({"properties": {name: schema}});
    explain(&about.fields, &mut within);
    let mut schema = within["properties"][name].take();
    let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
    json!({"name": name, "in": place, "required": required, "description": description, "schema": schema})
}

fn parameters() -> Value {
    let header = |name: &str, schema: Value, description: &str| {
        let mut header = json!({"name": name, "in": "header", "required": false});
        header["schema"] = schema;
        header["description"] = description.into();
        header
    };
    json!({
        "Workspace": header(
            "x-workspace-id",
            uuid(),
            "Identifier of the workspace, for a person who is a member of several. A key belongs to one workspace \
             and need not send it.",
        ),
        "IdempotencyKey": header(
            "idempotency-key",
            shape::text(IDEMPOTENCY_KEY),
            "A text that the caller chooses. Repeating a call with the same text within a day creates nothing \
             again.",
        ),
        "IfMatch": header(
            "if-match",
            text(),
            "The `ETag` that the caller has last seen. If the version has changed since, the call is refused.",
        ),
    })
}

fn headers() -> Value {
    json!({
        "RequestId": {"description": "Identifier of the request, also in the audit.", "schema": text()},
        "ETag": {"description": "The version, for `If-Match`.", "schema": text()},
        "WwwAuthenticate": {"description": "Kind of credential that is accepted.", "schema": text()},
        "RetryAfter": {"description": "Seconds to wait before the next try.", "schema": {"type": "integer"}},
    })
}

fn text() -> Value {
    json!({"type": "string"})
}

/// A generator for reply schemas (JSON Schema 2020-12).
fn generator() -> SchemaGenerator {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    settings.with(|settings| settings.definitions_path = "/components/schemas".into()).into_generator()
}

/// Removes from a schema what is not part of the contract: integer widths and line breaks.
fn plain(schema: &mut Schema) {
    let mut each = RecursiveTransform(|schema: &mut Schema| {
        if schema.get("type").is_some_and(|kind| kind.to_string().contains("integer")) {
            schema.remove("format");
        }
        if let Some(Value::String(text)) = schema.get_mut("description") {
            *text = text.replace('\n', " ");
        }
    });
    each.transform(schema);
}

fn schemas(mut generator: SchemaGenerator) -> Map<String, Value> {
    // No operation declares it as a reply, so it is added here.
    generator.subschema_for::<Problem>();
    let mut schemas = generator.take_definitions(true);
    schemas.values_mut().filter_map(|schema| schema.try_into().ok()).for_each(plain);
    schemas
}

fn responses(
    operation: &Operation,
    about: &OperationDoc,
    path: &str,
    generator: &mut SchemaGenerator,
) -> Map<String, Value> {
    let mut responses = Map::new();
    for answer in &about.answers {
        responses.insert(answer.status.to_string(), answered(about, answer, generator));
    }
    let mut refusals: Vec<DocumentedError> =
        usual(operation, about, path).iter().chain(&about.refusals).map(documented_error).collect();
    refusals.sort();
    refusals.dedup();
    for group in refusals.chunk_by(|a, b| a.0 == b.0) {
        if let Some((number, ..)) = group.first() {
            responses.insert(number.to_string(), refused(group));
        }
    }
    for (number, name) in [("429", "Throttled"), ("500", "Failed"), ("503", "Busy")] {
        match responses.get_mut(number) {
            // Returned by one of our rules, or by API Gateway before them.
            Some(ours) => ours["content"]["application/json"] = gateways_own(),
            None => drop(responses.insert(number.to_owned(), response(name))),
        }
    }
    responses
}

fn shared_responses() -> Map<String, Value> {
    let failed = [("internal_error", "Something went wrong on our side.".to_owned())];
    let mut ours = [("Busy", busy()), ("Failed", failure("An error on our side:", &failed))];
    for (_, response) in &mut ours {
        response["content"]["application/json"] = gateways_own();
    }
    let often = often();
    let refused = often.iter().map(|(name, of)| (*name, error(&of.iter().map(documented_error).collect::<Vec<_>>())));
    ours.into_iter()
        .chain([("Throttled", throttled())])
        .chain(refused)
        .map(|(name, response)| (name.to_owned(), response))
        .collect()
}

fn response(name: &str) -> Value {
    json!({"$ref": format!("#/components/responses/{name}")})
}

/// An error: status, code and description.
type DocumentedError = (u16, String, String);

fn documented_error(error: &DomainError) -> DocumentedError {
    // Sentences that contain counts are replaced by general ones.
    let sentence = match error {
        DomainError::Invalid(_) => "The input is invalid; `errors` names every invalid field.".to_owned(),
        DomainError::DeviceLimitReached(_) => {
            "The user already has the most devices allowed. Delete one first; `devices` names them.".to_owned()
        }
        DomainError::WipeFirst(_) => {
            "The user has devices that were never wiped. Wipe them first, or delete without a wipe and give a \
             reason. `devices` names them."
                .to_owned()
        }
        other => other.to_string(),
    };
    (status(error).as_u16(), error.code(), sentence)
}

/// The reply for errors with one status: a shared response, if there is one for exactly these errors.
fn refused(refusals: &[DocumentedError]) -> Value {
    let same = |(_, of): &&(&str, Vec<DomainError>)| {
        of.len() == refusals.len() && of.iter().map(documented_error).all(|told| refusals.contains(&told))
    };
    match often().iter().find(same) {
        Some((name, _)) => response(name),
        None => error(refusals),
    }
}

fn error(refusals: &[DocumentedError]) -> Value {
    let codes: Vec<(&str, String)> = refusals.iter().map(|(_, code, detail)| (code.as_str(), detail.clone())).collect();
    let mut error = failure("Refused:", &codes);
    if refusals.iter().all(|(status, ..)| *status == StatusCode::UNAUTHORIZED.as_u16()) {
        error["headers"]["www-authenticate"] = json!({"$ref": "#/components/headers/WwwAuthenticate"});
    }
    if refusals.iter().all(|(status, ..)| *status == StatusCode::TOO_MANY_REQUESTS.as_u16()) {
        error["headers"]["retry-after"] = json!({"$ref": "#/components/headers/RetryAfter"});
    }
    error
}

/// Named responses for sets of errors that many operations share.
fn often() -> Vec<(&'static str, Vec<DomainError>)> {
    vec![
        ("CallerUnknown", callers_refusals()),
        ("ChangedSince", vec![DomainError::VersionMismatch]),
        ("DeviceUnknown", devices_refusals()),
        ("Invalid", vec![DomainError::Invalid(Vec::new())]),
        ("Malformed", vec![malformed()]),
        ("TooLarge", vec![DomainError::TooLarge]),
    ]
}

fn callers_refusals() -> Vec<DomainError> {
    vec![
        DomainError::CredentialExpired,
        DomainError::CredentialInvalid,
        DomainError::CredentialMissing,
        DomainError::CredentialRevoked,
    ]
}

fn devices_refusals() -> Vec<DomainError> {
    vec![DomainError::CredentialInvalid, DomainError::CredentialMissing, DomainError::ReEnrol]
}

fn malformed() -> DomainError {
    DomainError::Malformed("it ends unexpectedly at line 1 column 2".to_owned())
}

/// Errors that operations need not declare, since they follow from access, path and input.
fn usual(operation: &Operation, about: &OperationDoc, path: &str) -> Vec<DomainError> {
    let access = operation.access();
    let mut refusals = vec![DomainError::TooLarge];
    match access {
        Access::Permission(permission) => refusals.push(DomainError::PermissionMissing(permission)),
        Access::AnyOf(permissions) => refusals.push(DomainError::PermissionsMissing(permissions)),
        Access::Member | Access::SignedIn => refusals.push(DomainError::MemberOnly),
        Access::Device => refusals.extend(devices_refusals()),
        Access::Code | Access::Public | Access::Internal => {}
    }
    if is_admins(access) || matches!(access, Access::Member | Access::SignedIn) {
        refusals.extend(callers_refusals());
    }
    if matches!(about.body, Some(Body::Json(_))) {
        refusals.push(malformed());
    }
    if operation.is_strict() || about.body.is_some() || !about.query.fields().is_empty() {
        refusals.push(DomainError::Invalid(Vec::new()));
    }
    refusals.extend(names_in(path).filter_map(named_by).map(DomainError::NotFound));
    refusals
}

/// The object that a path parameter identifies, if it may not exist.
fn named_by(part: &str) -> Option<&'static str> {
    const NAMED: &[(&str, &str)] = &[
        ("acs_credential_id", "credential"),
        ("workspace_id", "membership"),
        ("command_id", "command"),
        ("deployment_id", "deployment"),
        ("device_id", "device"),
        ("event_id", "delivery"),
        ("invitation_id", "invitation"),
        ("job_id", "job"),
        ("key_id", "key"),
        ("member_id", "member"),
        ("profile_id", "profile"),
        ("service", "credential_service"),
        ("source_id", "source"),
        ("token_id", "token"),
        ("user_id", "user"),
        ("webhook_id", "webhook"),
    ];
    NAMED.iter().find(|(name, _)| *name == part).map(|(_, kind)| *kind)
}

fn answered(about: &OperationDoc, answer: &Answer, generator: &mut SchemaGenerator) -> Value {
    let mut headers = json!({"x-request-id": {"$ref": "#/components/headers/RequestId"}});
    if about.with_etag {
        headers["etag"] = json!({"$ref": "#/components/headers/ETag"});
    }
    for (name, meaning) in &answer.headers {
        headers[*name] = json!({"description": meaning, "schema": text()});
    }
    let mut view = json!({"description": answer.meaning, "headers": headers});
    if !answer.bodies.is_empty() {
        let body = |(media_type, make): &(&str, MakeSchema)| {
            let mut schema = make(generator);
            plain(&mut schema);
            ((*media_type).to_owned(), json!({"schema": schema}))
        };
        view["content"] = answer.bodies.iter().map(body).collect::<Map<_, _>>().into();
    }
    view
}

/// A problem reply with these codes.
fn failure(meaning: &str, codes: &[(&str, String)]) -> Value {
    let names: BTreeSet<&str> = codes.iter().map(|(code, _)| *code).collect();
    let lines: Vec<String> = codes.iter().map(|(code, detail)| format!("- `{code}`: {detail}")).collect();
    let mut schema = json!({"$ref": "#/components/schemas/Problem"});
    schema["properties"] = json!({"code": {"x-extensible-enum": names}});
    json!({
        "description": format!("{meaning}\n\n{}", lines.join("\n")),
        "headers": {"x-request-id": {"$ref": "#/components/headers/RequestId"}},
        "content": {"application/problem+json": {"schema": schema}},
    })
}

fn busy() -> Value {
    let detail = "The service is busy; nothing is known to have changed. Try again.".to_owned();
    let mut busy = failure("Busy.", &[("unavailable", detail)]);
    busy["headers"]["retry-after"] = json!({"$ref": "#/components/headers/RetryAfter"});
    busy
}

/// API Gateway's own error body, which is not in our format.
fn gateways_own() -> Value {
    json!({"schema": {"type": "object", "properties": {"message": text()}, "required": ["message"]}})
}

fn throttled() -> Value {
    json!({"description": "Too many requests; try again later.", "content": {"application/json": gateways_own()}})
}
