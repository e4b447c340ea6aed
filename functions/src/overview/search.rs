//! `GET /search`.

use std::collections::BTreeMap;

use aws::{DeviceFilter, Found, Table, UserFilter};
use domain::error::Error;
use domain::input::Fields;
use domain::models::device::Device;
use domain::models::job::Job;
use domain::models::key::ApiKey;
use domain::models::offer::{Offer, Purpose};
use domain::models::profile::Profile;
use domain::models::source::DataSource;
use domain::models::user::User;
use domain::permission::Permission;
use domain::rules::access::Caller;
use domain::search::{QUERY, Query, number_end, words};
use domain::{Time, UserId};
use lambda::{AuthorizedRequest, Reply};
use uuid::Uuid;

use crate::description::OperationDoc;
use crate::jobs::work::Action;
use crate::state::AppState;
use crate::views::{HitKind, SearchHit, SearchResult};

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Search")
        .detail(
            "Finds anything by its identifier, users by the words of their names, usernames, e-mail addresses and \
             numbers, or by the end of a number, devices by their identifiers, models, nicknames and users, and \
             profiles, sources and the newest 100 keys by their names. At most ten of each kind. Each kind needs the \
             permission of its own list, and is left out without it.",
        )
        .query(|mut fields| drop(read(&mut fields)))
        .shows::<SearchResult>("What was found.")
}

/// The most things of a kind.
const MOST: usize = 10;

/// Profiles, sources and keys whose names are compared.
const NAMED: usize = 100;

fn read(fields: &mut Fields) -> Option<String> {
    fields.required_text("q", QUERY)
}

/// Replies with what matches, of each kind that the caller may see.
///
/// # Errors
/// Every invalid field of the query.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let mut fields = request.http.query()?;
    let text = read(&mut fields);
    fields.finish().map_err(domain::error::DomainError::Invalid)?;
    let mut hits = Hits { table: state.table()?, request: &request, items: Vec::new() };
    let text = text.unwrap_or_default();
    if let Ok(id) = Uuid::parse_str(text.trim()) {
        hits.with_id(id).await?;
    } else {
        hits.matching(&text).await?;
    }
    Ok(Reply::ok(&SearchResult { items: hits.items }))
}

/// What is found, as far as the caller may see it.
struct Hits<'a> {
    table: &'a Table,
    request: &'a AuthorizedRequest,
    items: Vec<SearchHit>,
}

impl Hits<'_> {
    async fn with_id(&mut self, id: Uuid) -> Result<(), Error> {
        let Found { user, device, job, profile, source, offer, key } =
            self.table.found_by_id(self.request.workspace(), id).await?;
        self.users(user.into_iter().collect());
        self.devices(device.into_iter().collect()).await?;
        if let Some(offer) = offer {
            self.offer(&offer).await?;
        }
        self.items.extend(job.filter(|job| may_see_job(&self.request.caller, job)).map(|job| job_hit(&job)));
        self.items.extend(profile.filter(|_| self.may(Permission::DeploymentsRead)).map(profile_hit));
        self.items.extend(source.filter(|_| self.may(Permission::UsersRead)).map(source_hit));
        self.items.extend(key.filter(|_| self.may(Permission::WorkspaceManage)).map(key_hit));
        Ok(())
    }

    async fn matching(&mut self, text: &str) -> Result<(), Error> {
        let (table, workspace, now) = (self.table, self.request.workspace(), self.request.now());
        let Some(query) = Query::parse(text) else {
            return Ok(());
        };
        if self.may(Permission::UsersRead) {
            let filter = UserFilter { search: Some(query.clone()), ..UserFilter::default() };
            let found = table.list_users(workspace, &filter, MOST, None, now).await?;
            let mut users: Vec<User> = found.items.into_iter().map(|person| person.user).collect();
            if let Some(end) = number_end(text) {
                users.extend(table.users_by_number_end(workspace, &end, MOST).await?);
            }
            self.users(users);
        }
        if self.may(Permission::DevicesRead) {
            let filter = DeviceFilter { search: Some(query.clone()), ..DeviceFilter::default() };
            self.devices(table.list_devices(workspace, &filter, MOST, None, now).await?.items).await?;
        }
        if self.may(Permission::DeploymentsRead) {
            let profiles = table.list_profiles(workspace, NAMED, None).await?.items;
            self.items.extend(named(profiles, &query, |profile| &profile.name).map(profile_hit));
        }
        if self.may(Permission::UsersRead) {
            let sources = table.list_sources(workspace, NAMED, None).await?.items;
            self.items.extend(named(sources, &query, |source| &source.name).map(source_hit));
        }
        if self.may(Permission::WorkspaceManage) {
            let keys = table.list_keys(workspace, NAMED, None).await?.items;
            self.items.extend(named(keys, &query, |key| &key.name).map(key_hit));
        }
        Ok(())
    }

    fn may(&self, permission: Permission) -> bool {
        self.request.caller.require(permission).is_ok()
    }

    fn users(&mut self, users: Vec<User>) {
        let users: BTreeMap<UserId, User> = users.into_iter().map(|user| (user.user_id, user)).collect();
        if self.may(Permission::UsersRead) {
            self.items.extend(users.values().take(MOST).map(user_hit));
        }
    }

    async fn devices(&mut self, devices: Vec<Device>) -> Result<(), Error> {
        if devices.is_empty() || !self.may(Permission::DevicesRead) {
            return Ok(());
        }
        let names = self.table.user_names(self.request.workspace(), &devices).await?;
        let now = self.request.now();
        let hit = |device: &Device| device_hit(device, names.get(&device.user_id).map(String::as_str), now);
        self.items.extend(devices.iter().map(hit));
        Ok(())
    }

    async fn offer(&mut self, offer: &Offer) -> Result<(), Error> {
        let needed = match offer.purpose {
            Purpose::Deploy => Permission::DeploymentsRead,
            _ => Permission::UsersRead,
        };
        if self.may(needed) {
            let user = self.table.user(offer.workspace_id, offer.user_id).await?;
            self.items.extend(user.map(|user| offer_hit(offer, &user, self.request.now())));
        }
        Ok(())
    }
}

/// Those with a name that matches.
fn named<'a, T>(things: Vec<T>, query: &'a Query, name: impl Fn(&T) -> &String + 'a) -> impl Iterator<Item = T> + 'a
where
    T: 'a,
{
    things.into_iter().filter(move |thing| query.matches(&words([name(thing).as_str()]))).take(MOST)
}

fn may_see_job(caller: &Caller, job: &Job) -> bool {
    Action::of(job).is_ok_and(|action| action.require_seen_by(caller).is_ok())
}

fn hit(kind: HitKind, id: &impl ToString, title: impl Into<String>, detail: impl Into<String>) -> SearchHit {
    SearchHit { kind, id: id.to_string(), title: title.into(), detail: detail.into() }
}

fn user_hit(user: &User) -> SearchHit {
    hit(HitKind::User, &user.user_id, user.name(), format!("{}, {}", user.username, user.status()))
}

fn device_hit(device: &Device, user: Option<&str>, now: Time) -> SearchHit {
    let detail = [user, Some(device.device_status(now).as_str())].into_iter().flatten().collect::<Vec<_>>().join(", ");
    hit(HitKind::Device, &device.device_id, device.display_name(), detail)
}

fn offer_hit(offer: &Offer, user: &User, now: Time) -> SearchHit {
    let kind = if offer.purpose == Purpose::Deploy { HitKind::Deployment } else { HitKind::Invitation };
    hit(kind, &offer.invitation_id, user.name(), format!("{}, {}", offer.created_at.day(), offer.status(now)))
}

fn job_hit(job: &Job) -> SearchHit {
    let action = job.action.get("action").and_then(|action| action.as_str()).unwrap_or(job.kind.as_str());
    hit(HitKind::Job, &job.job_id, action, format!("{}, {}", job.created_at.day(), job.state))
}

fn profile_hit(profile: Profile) -> SearchHit {
    hit(HitKind::Profile, &profile.profile_id, profile.name, format!("created {}", profile.created_at.day()))
}

fn source_hit(source: DataSource) -> SearchHit {
    hit(HitKind::Source, &source.source_id, source.name, source.kind.as_str())
}

fn key_hit(key: ApiKey) -> SearchHit {
    hit(HitKind::Key, &key.key_id, key.name, format!("created {}", key.created_at.day()))
}
