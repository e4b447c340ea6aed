//! The overview of a workspace, and what a search finds in it.

use std::collections::BTreeMap;

use domain::Time;
use schemars::JsonSchema;
use serde::Serialize;

/// How much of everything a workspace has.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Overview {
    /// Users. Needs `users:read`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "UsersOverview")]
    pub users: Option<UsersOverview>,
    /// Devices. Needs `devices:read`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "DevicesOverview")]
    pub devices: Option<DevicesOverview>,
    /// What is not finished.
    pub open: OpenOverview,
    /// Events of each of the last 30 days (UTC), from today on. Needs `events:read`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<EventsOfDay>")]
    pub events: Option<Vec<EventsOfDay>>,
}

/// How many users there are.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(crate) struct UsersOverview {
    /// Number of users with each status.
    pub status: BTreeMap<String, u64>,
}

/// How many devices there are. Models, versions and so on are those of devices that are not deleted, at most the 100 most
/// frequent of each.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(crate) struct DevicesOverview {
    /// Number of active and of deleted devices.
    pub status: BTreeMap<String, u64>,
    /// Number of devices with each status for people. Silent ones count as in use.
    pub device_status: BTreeMap<String, u64>,
    /// Number of devices with each platform.
    pub platform: BTreeMap<String, u64>,
    /// Number of devices of each model.
    pub model_name: BTreeMap<String, u64>,
    /// Number of devices with each version of the OS.
    pub os_version: BTreeMap<String, u64>,
    /// Number of devices with each version of the app.
    pub app_version: BTreeMap<String, u64>,
    /// Number of devices that pushes reach (`true`), and of those that they do not (`false`).
    pub push_in_use: BTreeMap<String, u64>,
}

/// What is not finished.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(crate) struct OpenOverview {
    /// Commands that devices have yet to carry out. Needs `devices:read`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "OpenThings")]
    pub commands: Option<OpenThings>,
    /// Invitations that can be used. Needs `users:read`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "OpenThings")]
    pub invitations: Option<OpenThings>,
    /// Deployments that can be used. Needs `deployments:read`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "OpenThings")]
    pub deployments: Option<OpenThings>,
    /// Jobs that are running. Needs all three.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "OpenThings")]
    pub jobs: Option<OpenThings>,
}

/// How many are open, and since when the oldest is.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(crate) struct OpenThings {
    /// How many are open.
    pub count: u64,
    /// Since when the oldest is open.
    pub oldest_at: Option<Time>,
}

/// How many events a day had.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(crate) struct EventsOfDay {
    /// The day (UTC), `YYYY-MM-DD`.
    pub day: String,
    /// How many events it had.
    pub count: u64,
}

/// What a search found.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(crate) struct SearchResult {
    /// What was found, at most ten of each kind.
    pub items: Vec<SearchHit>,
}

/// The kinds of things that a search finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(crate) enum HitKind {
    User,
    Device,
    Invitation,
    Deployment,
    Job,
    Profile,
    Source,
    Key,
}

/// Something that a search found.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(crate) struct SearchHit {
    /// What it is.
    pub kind: HitKind,
    /// Its identifier.
    pub id: String,
    /// What it is called.
    pub title: String,
    /// What tells it apart from others that are called the same.
    pub detail: String,
}
