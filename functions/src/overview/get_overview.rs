//! `GET /overview`.

use std::collections::BTreeMap;

use aws::Table;
use aws::store::counts::Counts;
use chrono::Duration;
use domain::error::Error;
use domain::models::device::{DeviceStatus, Status};
use domain::permission::Permission;
use domain::rules::derived::{Amount, Facet, Order, ThingKind};
use domain::states::UserStatus;
use domain::{Time, WorkspaceId};
use futures::future::try_join;
use lambda::{AuthorizedRequest, Reply};

use crate::description::OperationDoc;
use crate::state::AppState;
use crate::views::{DevicesOverview, EventsOfDay, OpenOverview, OpenThings, Overview, UsersOverview};

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Get an overview")
        .detail(
            "How many users, devices, open things and events the workspace has. It lags behind changes by seconds. \
             Each part needs the permission of its own list, and is left out without it.",
        )
        .shows::<Overview>("The overview.")
}

/// Days of the overview of events, with today.
const DAYS: i64 = 30;

/// The most values of a facet that are shown: the most frequent ones.
const VALUES: usize = 100;

/// Replies with the workspace's counts, as far as the caller may see them.
///
/// # Errors
/// `Unavailable`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let (table, workspace) = (state.table()?, request.workspace());
    let days: Vec<String> = (0..DAYS).map(|ago| request.now().minus(Duration::days(ago)).day()).collect();
    let since = days.last().map_or("", String::as_str);
    let (counts, oldest) = try_join(table.counts(workspace, since), Oldest::load(table, workspace)).await?;
    let may = |permission| request.caller.require(permission).is_ok();
    let events = may(Permission::EventsRead).then(|| {
        let of_day =
            |day: &String| EventsOfDay { day: day.clone(), count: counts.events.get(day).copied().unwrap_or(0) };
        days.iter().map(of_day).collect()
    });
    Ok(Reply::ok(&Overview {
        users: may(Permission::UsersRead).then(|| UsersOverview { status: user_statuses(&counts) }),
        devices: may(Permission::DevicesRead).then(|| devices(&counts)),
        open: open(&counts, &oldest, may),
        events,
    }))
}

/// Since when the oldest of each kind of open things is open.
struct Oldest {
    command: Option<Time>,
    invitation: Option<Time>,
    deployment: Option<Time>,
    job: Option<Time>,
}

impl Oldest {
    async fn load(table: &Table, workspace: WorkspaceId) -> Result<Self, Error> {
        let of = |kind, order| async move {
            let first = table.first_of_order(workspace, kind, order).await?;
            Ok::<_, Error>(first.and_then(|at| Time::parse(&at)))
        };
        let (command, invitation) =
            try_join(table.oldest_pending_command(workspace), of(ThingKind::User, Order::OpenInvitation)).await?;
        let (deployment, job) =
            try_join(of(ThingKind::User, Order::OpenDeployment), of(ThingKind::Job, Order::OpenJob)).await?;
        Ok(Self { command, invitation, deployment, job })
    }
}

fn user_statuses(counts: &Counts) -> BTreeMap<String, u64> {
    let count = |status: &UserStatus| {
        (status.as_str().to_owned(), counts.of(ThingKind::User, Facet::Status, status.as_str()).total())
    };
    UserStatus::ALL.iter().map(count).collect()
}

fn devices(counts: &Counts) -> DevicesOverview {
    let of = |facet, value: &str| (value.to_owned(), counts.of(ThingKind::Device, facet, value).total());
    let values = |facet| {
        let mut found: Vec<(&str, u64)> =
            counts.values(ThingKind::Device, facet).map(|(value, count)| (value, count.kept)).collect();
        found.retain(|(_, count)| *count > 0);
        found.sort_by_key(|(_, count)| u64::MAX - count);
        found.into_iter().take(VALUES).map(|(value, count)| (value.to_owned(), count)).collect()
    };
    // Whether a device is silent is a matter of time alone.
    let statuses = DeviceStatus::ALL.iter().filter(|status| **status != DeviceStatus::Silent);
    DevicesOverview {
        status: Status::ALL.iter().map(|status| of(Facet::Status, status.as_str())).collect(),
        device_status: statuses.map(|status| of(Facet::DeviceStatus, status.as_str())).collect(),
        platform: values(Facet::Platform),
        model_name: values(Facet::ModelName),
        os_version: values(Facet::OsVersion),
        app_version: values(Facet::AppVersion),
        push_in_use: values(Facet::PushInUse),
    }
}

fn open(counts: &Counts, oldest: &Oldest, may: impl Fn(Permission) -> bool) -> OpenOverview {
    let things = |count, oldest_at: Option<Time>| OpenThings { count, oldest_at: oldest_at.filter(|_| count > 0) };
    let sees_jobs = may(Permission::UsersRead) && may(Permission::DevicesRead) && may(Permission::DeploymentsRead);
    let amount = |kind, amount| counts.amount(kind, amount);
    OpenOverview {
        commands: may(Permission::DevicesRead)
            .then(|| things(amount(ThingKind::Device, Amount::OpenCommands), oldest.command)),
        invitations: may(Permission::UsersRead)
            .then(|| things(amount(ThingKind::User, Amount::OpenInvitations), oldest.invitation)),
        deployments: may(Permission::DeploymentsRead)
            .then(|| things(amount(ThingKind::User, Amount::OpenDeployments), oldest.deployment)),
        jobs: sees_jobs.then(|| things(amount(ThingKind::Job, Amount::RunningJobs), oldest.job)),
    }
}
