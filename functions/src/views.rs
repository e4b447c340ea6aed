//! The shapes of replies. The doc comments of these types and fields are published in the API description.

mod access;
mod actor;
mod command;
mod device;
mod event;
mod invitation;
mod job;
mod overview;
mod profile;
mod source;
mod user;
mod webhook;
mod workspace;

use schemars::JsonSchema;
use serde::Serialize;

pub(crate) use access::{Key, Member, MemberToken, Membership, NewKey, NewToken, RemovedMember, Token};
pub(crate) use actor::{Actor, Creator, Restriction};
pub(crate) use command::{Command, OwnCommand};
pub(crate) use device::{CheckInResult, Device, DeviceListItem, DeviceSummary, RegisteredDevice};
pub(crate) use event::Event;
pub(crate) use invitation::{DeployedUser, Deployment, Invitation, PhoneConfiguration};
pub(crate) use job::{BulkResult, DryRun, Job, JobItem, JobPage, JobResult};
pub(crate) use overview::{
    DevicesOverview, EventsOfDay, HitKind, OpenOverview, OpenThings, Overview, SearchHit, SearchResult, UsersOverview,
};
pub(crate) use profile::{Profile, ProfileListItem};
pub(crate) use source::{Source, UploadProgress};
pub(crate) use user::{Network, SecretsSet, Usage, User, UserDetails, UserListItem, UserWithDevices, secrets};
pub(crate) use webhook::{Webhook, WebhookDelivery, WebhookWithSecret};
pub(crate) use workspace::{ChangedWorkspace, SilentDevices, Workspace, WorkspacePreview};

/// A page of a list.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(crate) struct List<T> {
    /// Items of this page.
    pub items: Vec<T>,
    /// Cursor of the next page; `null` after the last.
    pub next_cursor: Option<String>,
    /// Number of all items of the list, if it is counted. It lags behind changes by seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub total: Option<u64>,
}
