//! Sample requests for each operation: one table for all tests that call every operation.
//!
//! A name in braces in a path or in a body is filled in by the caller: `{user}` is the identifier of a user,
//! `{fresh}` a name that is not used yet. [`functions::OPERATIONS`] has the access of each operation.

use std::sync::LazyLock;

use http::Method;
use serde_json::{Value, json};

use crate::oidc::ISSUER;

/// What a field accepts, and thereby what it rejects. Numbers are maximum lengths, unless noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A line of text for people.
    Line(usize),
    /// Printable ASCII.
    Ascii(usize),
    /// A username.
    Username,
    /// An e-mail address.
    Email,
    /// A mobile number with its calling code.
    Mobile,
    /// A telephone system's number.
    Number,
    /// An https URL.
    Url(usize),
    /// A value of an enumeration.
    Choice,
    /// Permissions.
    Permissions,
    /// An integer between two bounds.
    Integer(i64, i64),
    /// True or false.
    Boolean,
    /// A future time.
    Future,
    /// A past time.
    Past,
    /// Any time.
    Timestamp,
    /// An identifier.
    Id,
    /// Up to a hundred distinct identifiers.
    Ids,
    /// Up to twenty workspaces of which the caller is a member.
    Workspaces,
    /// Names of service levels.
    Levels,
    /// A credential service's endpoints.
    Endpoints,
    /// A search text.
    Search,
    /// A device's custom metadata.
    Metadata,
    /// An object with fields of its own.
    Object,
    /// ASCII of at least four characters.
    Pin(usize),
    /// A configuration's settings.
    Settings,
    /// Names of fields.
    Fields,
    /// Types of events.
    Types,
    /// A JSON Pointer (RFC 6901).
    Pointer(usize),
    /// A version of numbers.
    Version(usize),
}

use Kind::{
    Ascii, Boolean, Choice, Email, Endpoints, Fields, Future, Id, Ids, Integer, Levels, Line, Metadata, Mobile, Number,
    Object, Past, Permissions, Pin, Pointer, Search, Settings, Timestamp, Types, Url, Username, Version, Workspaces,
};

/// A field of a body; a name with a dot is a field of a nested object.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// True if it is required.
    pub required: bool,
    /// What it accepts.
    pub kind: Kind,
}

const fn required(name: &'static str, kind: Kind) -> Field {
    Field { name, required: true, kind }
}

const fn optional(name: &'static str, kind: Kind) -> Field {
    Field { name, required: false, kind }
}

/// A sample request of an operation.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The operation's name.
    pub operation: &'static str,
    /// The request's method.
    pub method: Method,
    /// Its path and query, with placeholders in braces.
    pub path: &'static str,
    /// Its body, with placeholders in braces.
    pub body: Option<Value>,
    /// The fields of the body; empty if there are none, or if another sample of the operation lists them.
    pub fields: Vec<Field>,
    /// True for a second sample of a route, with another body.
    pub is_variant: bool,
}

/// A request without placeholders.
#[derive(Clone, Debug)]
pub struct SampleRequest {
    /// Its method.
    pub method: Method,
    /// Its path and query.
    pub path: String,
    /// Its body.
    pub body: Option<Value>,
}

impl SampleRequest {
    /// A request that is not in the table.
    #[must_use]
    pub fn new(method: Method, path: impl Into<String>, body: Option<Value>) -> Self {
        Self { method, path: path.into(), body }
    }
}

impl Sample {
    /// The request with its placeholders filled in.
    pub fn fill_placeholders(&self, value_of: impl Fn(&str) -> String) -> SampleRequest {
        SampleRequest {
            method: self.method.clone(),
            path: fill_text(self.path, &value_of),
            body: self.body.as_ref().map(|body| fill_value(body, &value_of)),
        }
    }

    fn with_fields(self, fields: impl Into<Vec<Field>>) -> Self {
        Self { fields: fields.into(), ..self }
    }

    fn variant(self) -> Self {
        Self { is_variant: true, ..self }
    }
}

/// A text with its placeholders filled in.
fn fill_text(text: &str, value_of: &impl Fn(&str) -> String) -> String {
    let mut parts = text.split('{');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let (name, rest) = part.split_once('}').expect("each `{` has its `}`");
        text + &value_of(name) + rest
    })
}

fn fill_value(value: &Value, value_of: &impl Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => fill_text(text, value_of).into(),
        Value::Array(items) => items.iter().map(|item| fill_value(item, value_of)).collect(),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| (name.clone(), fill_value(value, value_of)));
            Value::Object(fields.collect())
        }
        other => other.clone(),
    }
}

/// All samples.
#[must_use]
pub fn samples() -> &'static [Sample] {
    static TABLE: LazyLock<Vec<Sample>> = LazyLock::new(table);
    &TABLE
}

/// The samples of an operation with a route.
///
/// # Panics
/// If there are none: every operation needs one.
#[must_use]
pub fn of(operation: &str) -> Vec<&'static Sample> {
    let samples: Vec<_> = samples().iter().filter(|sample| sample.operation == operation).collect();
    assert!(!samples.is_empty(), "`testkit::samples` has no sample request of the operation {operation}");
    samples
}

/// The identifier of an upload.
pub const UPLOAD: &str = "0190f3c4-7b5e-7a11-8c1d-000000000001";

/// A credential of an access system.
pub const ACS_CREDENTIAL: &str = "0190f3c4-7b5e-7a11-8c1d-000000000002";

/// URL of webhooks that receive nothing.
pub const HOOK: &str = "https://hooks.example.com/";

/// The path of Seam's update of a device, which has a route of its own.
pub const SEAM_UPDATE: &str = "/devices/update";

/// The most that a usage report may add to a count.
const COUNT_LIMIT: i64 = 1_000_000_000_000;

/// The largest daily quota of a channel that a workspace can set.
const QUOTA_LIMIT: i64 = 10_000_000;

fn sample(operation: &'static str, method: Method, path: &'static str, body: Option<Value>) -> Sample {
    Sample { operation, method, path, body, fields: Vec::new(), is_variant: false }
}

fn get(operation: &'static str, path: &'static str) -> Sample {
    sample(operation, Method::GET, path, None)
}

fn post(operation: &'static str, path: &'static str, body: Value) -> Sample {
    sample(operation, Method::POST, path, Some(body))
}

fn patch(operation: &'static str, path: &'static str, body: Value) -> Sample {
    sample(operation, Method::PATCH, path, Some(body))
}

fn put(operation: &'static str, path: &'static str, body: Value) -> Sample {
    sample(operation, Method::PUT, path, Some(body))
}

fn delete(operation: &'static str, path: &'static str) -> Sample {
    sample(operation, Method::DELETE, path, None)
}

fn reason_field() -> [Field; 1] {
    [optional("reason", Line(256))]
}

/// The optional fields of a command.
fn command_fields() -> [Field; 2] {
    [optional("reason", Line(256)), optional("expires_in_days", Integer(1, 365))]
}

/// The fields of every bulk call with named objects.
fn bulk_fields() -> [Field; 2] {
    [required("ids", Ids), optional("dry_run", Boolean)]
}

/// The filter fields for users in a body.
fn user_filter() -> [Field; 15] {
    [
        optional("filter", Object),
        optional("filter.status", Choice),
        optional("filter.service_level", Line(40)),
        optional("filter.network_indicator", Choice),
        optional("filter.created_since", Timestamp),
        optional("filter.created_before", Timestamp),
        optional("filter.last_seen_since", Timestamp),
        optional("filter.last_seen_before", Timestamp),
        optional("filter.pending_command", Boolean),
        optional("filter.unconfirmed_wipe", Boolean),
        optional("filter.deployed", Boolean),
        optional("filter.profile_id", Id),
        optional("filter.source_id", Id),
        optional("filter.force_pending", Boolean),
        optional("filter.search", Search),
    ]
}

/// The fields of a user; for a new one only `username` is required.
fn user(username: Field) -> [Field; 12] {
    [
        username,
        optional("first_name", Line(64)),
        optional("last_name", Line(64)),
        optional("email", Email),
        optional("mobile", Mobile),
        optional("number", Number),
        optional("user_identity_key", Line(128)),
        optional("service_level", Line(40)),
        optional("sip_user_name", Line(64)),
        optional("service_account", Line(64)),
        optional("profile_id", Id),
        optional("overrides", Settings),
    ]
}

/// The fields of a source that is fetched from a page; `field` makes those that only a new one requires.
fn source(field: fn(&'static str, Kind) -> Field) -> Vec<Field> {
    vec![
        field("name", Line(64)),
        field("kind", Choice),
        field("mapping", Object),
        required("mapping.username", Line(128)),
        optional("mapping.external_id", Line(128)),
        optional("mapping.first_name", Line(128)),
        optional("mapping.last_name", Line(128)),
        optional("mapping.email", Line(128)),
        optional("mapping.mobile", Line(128)),
        optional("mapping.number", Line(128)),
        optional("mapping.service_level", Line(128)),
        optional("mapping.sip_user_name", Line(128)),
        optional("mapping.service_account", Line(128)),
        optional("key_field", Choice),
        optional("vanish_policy", Choice),
        optional("vanish_limit_percent", Integer(1, 100)),
        optional("delimiter", Choice),
        field("url", Url(2048)),
        field("format", Choice),
        optional("items", Pointer(256)),
        optional("token", Ascii(4096)),
        optional("every_hours", Integer(1, 168)),
        optional("renames_may_wipe", Boolean),
    ]
}

/// The body of a source that is fetched from a page.
#[must_use]
pub fn page(name: &str) -> Value {
    json!({
        "name": name, "kind": "http", "mapping": {"username": "login"}, "format": "json",
        "url": "https://hr.example.com/people", "token": "a token",
    })
}

/// The body of a webhook that receives nothing.
#[must_use]
pub fn hook() -> Value {
    json!({"url": HOOK, "event_types": ["webhook.disabled"]})
}

fn table() -> Vec<Sample> {
    [devices(), users(), deployments(), bulk(), workspace(), sources(), seam(), people(), pages()].concat()
}

fn devices() -> Vec<Sample> {
    vec![
        post(
            "register-device",
            "/devices",
            json!({
                "code": "{code}", "device_identifier": "{fresh}", "platform": "ios", "model_name": "iPhone 17",
                "os_version": "26.1", "app_version": "4.2.0", "push_token": "token-of-{fresh}",
            }),
        )
        .with_fields([
            required("code", Ascii(64)),
            required("device_identifier", Ascii(128)),
            required("platform", Choice),
            required("model_name", Line(64)),
            required("os_version", Ascii(32)),
            optional("app_version", Ascii(32)),
            optional("push_token", Ascii(4096)),
            optional("nickname", Line(48)),
        ]),
        post("check-in-device", "/devices/me/check-in", json!({"usage": {"sequence": 1}})).with_fields([
            optional("os_version", Ascii(32)),
            optional("app_version", Ascii(32)),
            optional("push_token", Ascii(4096)),
            optional("pin_failures", Integer(0, 1_000_000)),
            optional("config_version", Ascii(8)),
            optional("usage", Object),
            required("usage.sequence", Integer(1, i64::MAX)),
            optional("usage.messages_sent", Integer(0, COUNT_LIMIT)),
            optional("usage.messages_received", Integer(0, COUNT_LIMIT)),
            optional("usage.messages_archived", Integer(0, COUNT_LIMIT)),
            optional("usage.attachment_bytes", Integer(0, COUNT_LIMIT)),
            optional("usage.calls", Integer(0, COUNT_LIMIT)),
        ]),
        post("report-command", "/devices/me/commands/{command}", json!({"result": "succeeded"}))
            .with_fields([required("result", Choice), optional("detail", Line(256))]),
        post("download-config", "/devices/me/config", json!({})),
        get("get-overview", "/overview"),
        get("search", "/search?q=ours"),
        get("list-devices", "/devices"),
        get("get-device", "/devices/{device}"),
        patch("update-device", "/devices/{device}", json!({"nickname": "{fresh}"}))
            .with_fields([optional("nickname", Line(48)), optional("custom_metadata", Metadata)]),
        post("block-device", "/devices/{device}/block", json!({"reason": "lost"})).with_fields(reason_field()),
        post("unblock-device", "/devices/{device}/unblock", json!({})).with_fields(reason_field()),
        delete("delete-device", "/devices/{deletable_device}"),
        post("wipe-device", "/devices/{device}/wipe", json!({"reason": "lost"})).with_fields(command_fields()),
        post("lock-device", "/devices/{device}/lock", json!({})).with_fields(command_fields()),
        get("list-commands", "/devices/{device}/commands"),
        delete("cancel-command", "/devices/{deletable_device}/commands/{delivered_command}"),
        get("export-devices", "/devices/export"),
    ]
}

fn users() -> Vec<Sample> {
    vec![
        post("create-user", "/users", json!({"username": "{fresh}"})).with_fields(user(required("username", Username))),
        get("get-user", "/users/{user}"),
        get("list-users", "/users"),
        patch("update-user", "/users/{user}", json!({"first_name": "{fresh}"}))
            .with_fields([&user(optional("username", Username))[..], &[optional("release", Fields)]].concat()),
        post("activate-user", "/users/{other_user}/activate", json!({})),
        post("suspend-user", "/users/{other_user}/suspend", json!({"reason": "away"})).with_fields(reason_field()),
        delete("delete-user", "/users/{deletable_user}"),
        sample(
            "delete-user",
            Method::DELETE,
            "/users/{deletable_user}",
            Some(json!({"without_wipe": true, "reason": "gone"})),
        )
        .with_fields([optional("without_wipe", Boolean), optional("reason", Line(256))])
        .variant(),
        post("lock-and-wipe-user", "/users/{other_user}/lock-and-wipe", json!({})).with_fields(command_fields()),
        post("reset-pin", "/users/{other_user}/reset-pin", json!({})).with_fields(command_fields()),
        post("invite-user", "/users/{user}/invite", json!({"channel": "email"}))
            .with_fields([required("channel", Choice), optional("devices", Integer(1, 3))]),
        get("list-invitations", "/users/{other_user}/invitations"),
        delete("revoke-invitation", "/users/{other_user}/invitations/{invitation}"),
        put("report-network", "/users/{user}/networks/verizon", json!({"status": "enabled"})).with_fields([
            required("status", Choice),
            optional("status_at", Past),
            optional("reason", Choice),
            optional("mdn_provisioning", Choice),
            optional("last_seen_at", Past),
            optional("last_archived_at", Past),
        ]),
        get("get-usage", "/users/{user}/usage"),
        get("get-usage", "/usage"),
        get("export-users", "/users/export"),
        get("scim", "/scim/v2/Users/{user}"),
    ]
}

fn deployments() -> Vec<Sample> {
    let profile = [
        optional("name", Line(64)),
        optional("settings", Object),
        optional("schema", Object),
        optional("default", Boolean),
    ];
    vec![
        post("deploy-config", "/users/{user}/deploy", json!({})).with_fields([optional("profile_id", Id)]),
        post("auto-deploy", "/deployments/auto", json!({"ids": ["{user}"]})).with_fields(bulk_fields()),
        post("auto-deploy", "/deployments/auto", json!({"filter": {"search": "nobody"}}))
            .with_fields([&[optional("dry_run", Boolean)], &user_filter()[..]].concat())
            .variant(),
        post("set-force-config", "/users/{user}/force-config", json!({})),
        get("list-deployments", "/deployments"),
        delete("revoke-deployment", "/deployments/{revocable_deployment}"),
        get("get-deployment-qr", "/deployments/{deployment}/qr"),
        put("set-user-secrets", "/users/{user}/secrets", json!({"client_password": "correct horse"})).with_fields([
            optional("client_password", Ascii(128)),
            optional("pbx_sip_password", Ascii(128)),
            optional("teleworker_sip_password", Ascii(128)),
            optional("voicemail_pin", Pin(16)),
        ]),
        delete("undeploy-user", "/deployments/users/{other_user}"),
        get("redirect", "/r/{code}"),
        post("create-profile", "/profiles", json!({"name": "{fresh}", "settings": {"a": 1}})).with_fields([
            required("name", Line(64)),
            required("settings", Object),
            optional("schema", Object),
            optional("default", Boolean),
        ]),
        get("list-profiles", "/profiles"),
        get("get-profile", "/profiles/{profile}"),
        patch("update-profile", "/profiles/{profile}", json!({"name": "{fresh}"})).with_fields(profile),
        delete("delete-profile", "/profiles/{unused_profile}"),
    ]
}

fn bulk() -> Vec<Sample> {
    let users = |body: Value| post("bulk-users", "/users/bulk", body);
    let devices = |body: Value| post("bulk-devices", "/devices/bulk", body);
    let action = [required("action", Choice)];
    vec![
        users(json!({"action": "activate", "ids": ["{user}"]})).with_fields([&action[..], &bulk_fields()].concat()),
        users(json!({"action": "deploy", "ids": ["{user}"]}))
            .with_fields([&[optional("profile_id", Id)], &bulk_fields()[..]].concat())
            .variant(),
        users(json!({"action": "force_config", "ids": ["{user}"]})).with_fields(bulk_fields()).variant(),
        users(json!({"action": "lock_and_wipe", "ids": ["{user}"]}))
            .with_fields([bulk_fields(), command_fields()].concat())
            .variant(),
        users(json!({"action": "delete", "ids": ["{user}"], "without_wipe": true, "reason": "gone"}))
            .with_fields([optional("without_wipe", Boolean), optional("reason", Line(256)), required("ids", Ids)])
            .variant(),
        users(json!({"action": "invite", "ids": ["{user}"], "channel": "sms"}))
            .with_fields(
                [&[required("channel", Choice), optional("devices", Integer(1, 3))][..], &bulk_fields()].concat(),
            )
            .variant(),
        users(json!({"action": "suspend", "filter": {"search": "nobody"}}))
            .with_fields([&reason_field()[..], &[optional("dry_run", Boolean)], &user_filter()].concat())
            .variant(),
        devices(json!({"action": "unblock", "ids": ["{device}"]})).with_fields([&action[..], &bulk_fields()].concat()),
        devices(json!({"action": "wipe", "ids": ["{device}"]}))
            .with_fields([&action[..], &bulk_fields()].concat())
            .variant(),
        devices(json!({"action": "lock", "ids": ["{device}"]}))
            .with_fields([bulk_fields(), command_fields()].concat())
            .variant(),
        devices(json!({"action": "block", "filter": {"search": "nobody"}}))
            .with_fields([
                optional("reason", Line(256)),
                optional("dry_run", Boolean),
                optional("filter", Object),
                optional("filter.user_id", Id),
                optional("filter.status", Choice),
                optional("filter.device_status", Choice),
                optional("filter.blocked", Boolean),
                optional("filter.platform", Choice),
                optional("filter.push_in_use", Boolean),
                optional("filter.pending_command", Boolean),
                optional("filter.unconfirmed_wipe", Boolean),
                optional("filter.model_name", Line(64)),
                optional("filter.os_version", Ascii(32)),
                optional("filter.app_version", Ascii(32)),
                optional("filter.os_version_below", Ascii(32)),
                optional("filter.app_version_below", Ascii(32)),
                optional("filter.push_reason", Choice),
                optional("filter.created_since", Timestamp),
                optional("filter.created_before", Timestamp),
                optional("filter.last_login_since", Timestamp),
                optional("filter.last_login_before", Timestamp),
                optional("filter.search", Search),
            ])
            .variant(),
        get("get-job", "/jobs/{job}"),
        get("list-jobs", "/jobs"),
        delete("cancel-job", "/jobs/{job}"),
    ]
}

fn workspace() -> Vec<Sample> {
    vec![
        get("get-workspace", "/workspace"),
        patch("update-workspace", "/workspace", json!({"name": "{fresh}"})),
        patch(
            "update-workspace",
            "/workspace",
            json!({"name": "{fresh}", "silent_devices": {"after_days": 30, "action": "block"}}),
        )
        .with_fields([
            optional("name", Line(100)),
            optional("retention_days", Integer(1, 3650)),
            optional("invitation_days", Integer(1, 365)),
            optional("check_in_minutes", Integer(5, 1440)),
            optional("sender", Email),
            optional("sms_sender", Ascii(16)),
            optional("emails_per_day", Integer(0, QUOTA_LIMIT)),
            optional("texts_per_day", Integer(0, QUOTA_LIMIT)),
            optional("minimum_versions", Object),
            optional("minimum_versions.app", Version(32)),
            optional("minimum_versions.ios", Version(32)),
            optional("minimum_versions.android", Version(32)),
            optional("silent_devices", Object),
            required("silent_devices.after_days", Integer(7, 3650)),
            required("silent_devices.action", Choice),
            optional("pin_limit", Integer(0, 100)),
            optional("service_levels", Levels),
            optional("dry_run", Boolean),
        ])
        .variant(),
        get("list-events", "/events"),
        get("export-events", "/events/export"),
        post("create-webhook", "/webhooks", hook()).with_fields([
            required("url", Url(2048)),
            optional("event_types", Types),
            optional("description", Line(200)),
        ]),
        get("list-webhooks", "/webhooks"),
        get("get-webhook", "/webhooks/{webhook}"),
        patch("update-webhook", "/webhooks/{webhook}", json!({"description": "{fresh}"})).with_fields([
            optional("url", Url(2048)),
            optional("event_types", Types),
            optional("description", Line(200)),
            optional("enabled", Boolean),
        ]),
        delete("delete-webhook", "/webhooks/{webhook}"),
        post("rotate-webhook-secret", "/webhooks/{webhook}/rotate-secret", json!({})),
        get("list-deliveries", "/webhooks/{webhook}/deliveries"),
        post("redeliver", "/webhooks/{webhook}/deliveries/{delivered_event}/redeliver", json!({})),
    ]
}

fn sources() -> Vec<Sample> {
    vec![
        post("create-source", "/sources", json!({"name": "{fresh}", "kind": "scim"})),
        post("create-source", "/sources", page("{fresh}")).with_fields(source(required)).variant(),
        get("list-sources", "/sources"),
        get("get-source", "/sources/{source}"),
        patch("update-source", "/sources/{page}", json!({"name": "{fresh}", "mapping": {"username": "login"}}))
            .with_fields({
                let mut fields = source(optional);
                fields.retain(|field| field.name != "kind");
                fields
            }),
        delete("delete-source", "/sources/{source}"),
        put("upload-source-part", "/sources/{source}/parts/1?upload={upload}&last=true&start=false", json!("{fresh}")),
        post("sync-users", "/sources/{source}/sync", json!({"dry_run": true}))
            .with_fields([optional("user_ids", Ids), optional("dry_run", Boolean)]),
    ]
}

/// Access systems' credentials, and Seam's API.
fn seam() -> Vec<Sample> {
    let of_device = || json!({"device_id": "{device}"});
    let rename = || json!({"device_id": "{device}", "name": "x"});
    vec![
        put("issue-credential", "/devices/{device}/credentials/{acs_credential}", json!({})),
        delete("revoke-credential", "/devices/{device}/credentials/{acs_credential}"),
        put(
            "report-credential-service",
            "/devices/{device}/credential-services/assa_abloy",
            json!({"endpoints": [{"endpoint_id": "e", "is_active": true}]}),
        )
        .with_fields([required("endpoints", Endpoints), optional("problem", Line(256))]),
        get("seam-phones", "/phones/list"),
        get("seam-devices", "/devices/get?device_id={device}"),
        post("seam-devices", "/devices/get", of_device()),
        get("seam-devices", "/devices/list"),
        post("seam-devices", "/devices/list", json!({})),
        patch("seam-devices", SEAM_UPDATE, rename()),
        post("seam-devices", SEAM_UPDATE, rename()),
        get("seam-events", "/events/list?since=2026-01-01T00:00:00Z"),
        get("seam-events", "/events/get?event_id={deactivated}"),
        get("seam-user-identities", "/user_identities/get?user_identity_id={user}"),
        get("seam-workspaces", "/workspaces/get"),
        get("seam-workspaces", "/workspaces/list"),
        post("seam-webhooks", "/webhooks/create", hook()),
    ]
}

/// Access: keys, members, memberships and personal access tokens.
fn people() -> Vec<Sample> {
    vec![
        post("create-key", "/keys", json!({"name": "{fresh}", "permissions": ["workspace:manage"]})).with_fields([
            required("name", Line(100)),
            required("permissions", Permissions),
            optional("expires_at", Future),
        ]),
        get("list-keys", "/keys"),
        delete("revoke-key", "/keys/{key}"),
        post("add-member", "/members", json!({"issuer": ISSUER, "subject": "{fresh}", "role": "viewer"})).with_fields(
            [
                required("issuer", Url(255)),
                required("subject", Ascii(255)),
                optional("name", Line(100)),
                required("role", Choice),
            ],
        ),
        get("list-members", "/members"),
        delete("remove-member", "/members/{member}"),
        get("list-member-tokens", "/members/{owner}/tokens"),
        delete("revoke-member-token", "/members/{owner}/tokens/{token}"),
        get("list-memberships", "/memberships"),
        sample("accept-membership", Method::POST, "/memberships/{workspace}/accept", None),
        delete("decline-membership", "/memberships/{workspace}"),
        post(
            "create-token",
            "/tokens",
            json!({"name": "{fresh}", "workspace_ids": ["{workspace}"], "expires_at": "2026-12-31T00:00:00Z"}),
        )
        .with_fields([
            required("name", Line(100)),
            required("workspace_ids", Workspaces),
            optional("permissions", Permissions),
            required("expires_at", Future),
        ]),
        get("list-tokens", "/tokens"),
        delete("revoke-token", "/tokens/{token}"),
    ]
}

/// Public pages.
fn pages() -> Vec<Sample> {
    vec![
        get("open-invitation", "/i/{code}"),
        sample("open-invitation", Method::POST, "/i/{code}", None),
        get("app-links", "/.well-known/apple-app-site-association"),
        get("app-links", "/.well-known/assetlinks.json"),
        get("get-docs", "/docs"),
        get("get-openapi", "/openapi.json"),
        get("not-found", "/nowhere"),
    ]
}
