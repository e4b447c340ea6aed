//! Devices and the claims of their identifiers.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use domain::error::Error;
use domain::listing::{DeviceSort, Sort};
use domain::models::command::Command;
use domain::models::device::{
    Device, DeviceAttachments, DeviceStatus, DeviceWithCommands, IdentifierClaim, ServedConfig, Status, silent_before,
};
use domain::models::login_day::{login_day, login_day_start};
use domain::models::push::{Push, PushReason};
use domain::models::user::User;
use domain::models::workspace::{Workspace, WorkspaceSettings};
use domain::rules::check_in::CheckInReport;
use domain::rules::derived::{Derived, Facet, Order, ThingKind, pair};
use domain::rules::registration::RegistrationState;
use domain::search::Query;
use domain::secret::{DeviceCredential, Hash};
use domain::states::Platform;
use domain::stored::Stored;
use domain::versions::{first_of, is_older};
use domain::{DeviceId, Time, UserId, WorkspaceId};

use crate::item::{IndexRow, Item, Read, Row, RowKey, from_item, keeps_stored_row};
use crate::list::{Page, Position, Range, Source};
use crate::store::counts::CountedFilter;
use crate::store::last_logins::{LOGIN_DAY, SEEN};
use crate::store::lists::{ListBasis, Times, Walk, Way, Ways, all_matching, sorted_page};
use crate::store::offers::OfferRef;
use crate::store::search::Search;
use crate::store::{attachments, commands, due, last_logins, offers, packed, push_tokens, search, users, workspaces};
use crate::table::{Table, service_error};

keeps_stored_row!(IdentifierClaim);

impl Read for Device {
    // Not all that a plain check-in does not need: the release before cannot read a device without its identifier and
    // model, and decides by `unconfirmed` what may be deleted.
    const DETAILS: &'static [&'static str] = &["nickname", "push_endpoint", "failed"];

    fn stored(&self) -> Option<&Stored> {
        Some(&self.stored)
    }
    fn set_stored(&mut self, stored: Stored) {
        self.stored = stored;
    }
    fn set_version(&mut self, version: u64) {
        self.version = version;
    }
    fn unpack(item: &mut Item) {
        let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).map(String::as_str);
        for (name, value) in fields_of_key(text("pk"), text("sk"), text("owner")) {
            item.entry(name.to_owned()).or_insert(AttributeValue::S(value));
        }
        packed::unpack(item);
    }
}

/// The name of the list of devices, and the kind of their search words.
pub const DEVICES: &str = "DEVICE";

/// The key of a device.
#[must_use]
pub fn device_key(workspace: WorkspaceId, id: DeviceId) -> RowKey {
    RowKey::new(format!("DEVICE#{workspace}#{id}"), "DEVICE")
}

/// The partition of a user's devices in the index `owned`.
#[must_use]
pub fn owner_partition(workspace: WorkspaceId, id: UserId) -> String {
    format!("{workspace}#{id}")
}

/// The fields of a device that are derived from its row's key and owner. Without them, a row whose texts have
/// their maximum length still takes one write unit.
#[must_use]
pub fn fields_of_key(pk: Option<&str>, sk: Option<&str>, owner: Option<&str>) -> Vec<(&'static str, String)> {
    let fields = || {
        let (workspace, device) = pk?.strip_prefix("DEVICE#")?.split_once('#').filter(|_| sk == Some("DEVICE"))?;
        let (_, user) = owner?.split_once('#')?;
        Some([("workspace_id", workspace), ("device_id", device), ("user_id", user)])
    };
    fields().into_iter().flatten().map(|(name, value)| (name, value.to_owned())).collect()
}

impl Row for Device {
    const KEY_FIELDS: &'static [&'static str] = &["workspace_id", "device_id", "user_id"];
    const UNVERSIONED: &'static [&'static str] = &["last_login_at"];
    const REPLACED_INDEXES: &'static [(&'static str, &'static str)] = &[(LOGIN_DAY, SEEN)];

    fn key(&self) -> RowKey {
        device_key(self.workspace_id, self.device_id)
    }
    fn version(&self) -> u64 {
        self.version
    }
    fn pack(&self, item: &mut Item) {
        packed::pack(self, item);
    }
    fn indexes(&self) -> Vec<(&'static str, String)> {
        let mut indexes = vec![
            ("list", crate::item::list_partition(DEVICES, self.workspace_id)),
            ("owner", owner_partition(self.workspace_id, self.user_id)),
        ];
        if let Some(blocked) = &self.blocked {
            indexes.push(("blocked_at", blocked.at.to_string()));
        }
        if let Some(since) = self.pending_since() {
            indexes.push(("pending_since", since.to_string()));
        }
        indexes.extend(self.deleted.iter().flat_map(|end| due::deleted_attributes(&self.key(), end)));
        indexes
    }
    fn index_rows(&self) -> BTreeSet<IndexRow> {
        let id = self.device_id.to_string();
        let holder = self.push_endpoint.as_deref().map(|endpoint| IndexRow {
            key: RowKey::new(
                push_tokens::endpoint_partition(endpoint),
                format!("{}#{}", self.workspace_id, self.device_id),
            ),
            attributes: BTreeMap::new(),
            unique: false,
        });
        let seen = self.last_login_at.map(|login| last_logins::device_seen(self.workspace_id, self.device_id, login));
        let words = search::word_index_rows(DEVICES, self.workspace_id, &id, self.search_words());
        words.chain(holder).chain(seen).collect()
    }
    fn former_index_rows(&self) -> BTreeSet<IndexRow> {
        let id = self.device_id.to_string();
        search::former_word_index_rows(DEVICES, self.workspace_id, &id, self.search_words()).collect()
    }
}

/// The key of an identifier's claim.
#[must_use]
pub fn identifier_claim_key(workspace: WorkspaceId, identifier: &str) -> RowKey {
    RowKey::new(format!("IDENTIFIER#{workspace}#{}", Hash::of(identifier).as_str()), "CLAIM")
}

impl Row for IdentifierClaim {
    fn key(&self) -> RowKey {
        identifier_claim_key(self.workspace_id, &self.device_identifier)
    }
    fn version(&self) -> u64 {
        self.version
    }
}

/// Filter of a list of devices.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeviceFilter {
    /// Devices of one user, deleted ones too.
    pub user_id: Option<UserId>,
    /// Active or deleted ones.
    pub status: Option<Status>,
    /// By status for people.
    pub device_status: Option<DeviceStatus>,
    /// Blocked ones, or those that are not.
    pub blocked: Option<bool>,
    /// By platform.
    pub platform: Option<Platform>,
    /// Ones that pushes reach, or those that they do not.
    pub push_in_use: Option<bool>,
    /// Ones with a pending command, or those without.
    pub pending_command: Option<bool>,
    /// Ones with an unconfirmed wipe, or those without.
    pub unconfirmed_wipe: Option<bool>,
    /// By model.
    pub model_name: Option<String>,
    /// By version of the OS.
    pub os_version: Option<String>,
    /// By version of the app.
    pub app_version: Option<String>,
    /// Ones with an older version of the OS.
    pub os_version_below: Option<String>,
    /// Ones with an older version of the app; not those whose version is unknown.
    pub app_version_below: Option<String>,
    /// By the reason why pushes reach them or not.
    pub push_reason: Option<PushReason>,
    /// Ones that were registered within this span.
    pub created: Times,
    /// Ones whose last login was within this span.
    pub last_login: Times,
    /// Ones that a search for their user, model, nickname or identifier finds.
    pub search: Option<Query>,
    /// The order of the list; newest first, or as a search finds them, if not set.
    pub sort: Option<Sort<DeviceSort>>,
    /// Whether derived rows are relied on: [`ListBasis::derived`], which is read if not set. False for work that must
    /// reach all who match, since they lag; a page then costs more.
    pub derived: Option<bool>,
}

impl DeviceFilter {
    pub(crate) fn matches(&self, device: &Device, now: Time) -> bool {
        fn matches_or_any<T: PartialEq>(wanted: Option<&T>, actual: &T) -> bool {
            wanted.is_none_or(|wanted| wanted == actual)
        }
        matches_or_any(self.user_id.as_ref(), &device.user_id)
            && matches_or_any(self.status.as_ref(), &device.status())
            && matches_or_any(self.device_status.as_ref(), &device.device_status(now))
            && matches_or_any(self.blocked.as_ref(), &device.blocked.is_some())
            && matches_or_any(self.platform.as_ref(), &device.platform)
            && matches_or_any(self.push_in_use.as_ref(), &Push::for_display(device).reason.in_use())
            && matches_or_any(self.pending_command.as_ref(), &device.has_pending_command(now))
            && matches_or_any(self.unconfirmed_wipe.as_ref(), &device.unconfirmed_wipe().is_some())
            && matches_or_any(self.model_name.as_ref(), &device.model_name)
            && matches_or_any(self.push_reason.as_ref(), &Push::for_display(device).reason)
            && self.created.include(device.created_at)
            && self.last_login.include_some(device.last_login_at)
            && self.matches_versions(device)
    }

    fn matches_versions(&self, device: &Device) -> bool {
        let (os, app) = (device.os_version.as_str(), device.app_version.as_deref());
        self.os_version.as_deref().is_none_or(|wanted| wanted == os)
            && self.app_version.as_deref().is_none_or(|wanted| app == Some(wanted))
            && self.os_version_below.as_deref().is_none_or(|least| is_older(os, least))
            && self.app_version_below.as_deref().is_none_or(|least| app.is_some_and(|app| is_older(app, least)))
    }

    /// What of the filter is a value of a facet, but for `status`, which counts tell apart.
    fn facets(&self) -> Vec<(Facet, String)> {
        // A silent device is in use as far as events say.
        let status = self.device_status.map(|status| match status {
            DeviceStatus::Silent => DeviceStatus::InUse.as_str(),
            other => other.as_str(),
        });
        let of_version = |version: &Option<String>, facet, with_status| {
            version.as_deref().map(|version| match status {
                Some(status) => (with_status, pair(version, status)),
                None => (facet, version.to_owned()),
            })
        };
        let os = of_version(&self.os_version, Facet::OsVersion, Facet::OsVersionStatus);
        let app = of_version(&self.app_version, Facet::AppVersion, Facet::AppVersionStatus);
        // By itself, it is found by its last login.
        let is_silent = self.device_status == Some(DeviceStatus::Silent);
        let status = status.filter(|_| os.is_none() && app.is_none() && !is_silent);
        let facets = [
            os,
            app,
            status.map(|status| (Facet::DeviceStatus, status.to_owned())),
            self.blocked.map(|blocked| (Facet::Blocked, blocked.to_string())),
            self.platform.map(|platform| (Facet::Platform, platform.as_str().to_owned())),
            self.model_name.clone().map(|model| (Facet::ModelName, model)),
            self.push_in_use.map(|in_use| (Facet::PushInUse, in_use.to_string())),
            self.push_reason.map(|reason| (Facet::PushReason, reason.as_str().to_owned())),
        ];
        facets.into_iter().flatten().collect()
    }

    /// The span of last logins of the devices that it wants, if it is one.
    fn logins(&self, now: Time) -> Option<Times> {
        let silent = (self.device_status == Some(DeviceStatus::Silent)).then(|| silent_before(now));
        let before = self.last_login.before.into_iter().chain(silent).min();
        let logins = Times { before, ..self.last_login };
        (!logins.is_all()).then_some(logins)
    }

    fn ways(&self, workspace: WorkspaceId, now: Time) -> Ways {
        let kind = ThingKind::Device;
        let list = ("list", crate::item::list_partition(DEVICES, workspace));
        let by_index = |index, order| Walk::of(kind, workspace, Source::newest_first(index, list.clone(), order));
        let owned = self.user_id.map(|user| {
            let owner = ("owner", owner_partition(workspace, user));
            Walk::of(kind, workspace, Source::newest_first("owned", owner, "created_at"))
        });
        let pending = (self.pending_command == Some(true)).then(|| by_index("pending", "pending_since"));
        let deleted = self.status.filter(|status| *status == Status::Deleted);
        let deleted = deleted.map(|status| (Facet::Status, status.as_str().to_owned()));
        // Most devices are not blocked.
        let facets =
            self.facets().into_iter().filter(|(facet, value)| (*facet, value.as_str()) != (Facet::Blocked, "false"));
        let of_facet = |(facet, value): (Facet, String)| {
            let index = match (facet, value.as_str()) {
                (Facet::Blocked, "true") | (Facet::DeviceStatus, "blocked") => Some(("blocked", "blocked_at")),
                (Facet::Status | Facet::DeviceStatus, "deleted") => Some(("deleted", "deleted_at")),
                _ => None,
            };
            let walk = match index {
                Some((index, order)) => by_index(index, order),
                None => Walk::with(kind, workspace, facet, &value),
            };
            Way { walk, facet: Some((facet, value)), derived: index.is_none() }
        };
        let by_login = self.logins(now).map(|logins| Walk::last_logins(kind, workspace, &logins, true));
        let older = [(Order::OsVersion, &self.os_version_below), (Order::AppVersion, &self.app_version_below)];
        let by_version = older.into_iter().filter_map(|(order, version)| {
            let range = Range::Below(first_of(version.as_deref()?));
            Some(Walk::ordered(kind, workspace, order, &range, true))
        });
        let of_range = |walk, derived| Way { walk, facet: None, derived };
        Ways {
            narrow: owned.or(pending),
            ways: deleted
                .into_iter()
                .chain(facets)
                .map(of_facet)
                .chain(by_login.map(|walk| of_range(walk, false)))
                .chain(by_version.map(|walk| of_range(walk, true)))
                .collect(),
            all: Walk::created(kind, workspace, &self.created, true),
        }
    }

    /// What it leaves, whatever the order and the way.
    fn alone(&self) -> Self {
        Self { sort: None, derived: None, ..self.clone() }
    }

    /// All that match, and maybe others, in an order; `None` if they are to be sorted one by one.
    fn walk_in(&self, sort: Sort<DeviceSort>, workspace: WorkspaceId) -> Option<Walk> {
        let (kind, descending) = (ThingKind::Device, sort.descending);
        let ordered = |order, version: &Option<String>| {
            let range = version.as_deref().map_or(Range::All, |least| Range::Below(first_of(least)));
            Walk::ordered(kind, workspace, order, &range, descending)
        };
        let (own, walk) = match sort.by {
            DeviceSort::CreatedAt => (
                Self { created: self.created, ..Self::default() },
                Walk::created(kind, workspace, &self.created, descending),
            ),
            DeviceSort::LastLoginAt if self.last_login.is_all() => {
                (Self::default(), Walk::all_last_logins(kind, workspace, descending))
            }
            DeviceSort::LastLoginAt => (
                Self { last_login: self.last_login, ..Self::default() },
                Walk::last_logins(kind, workspace, &self.last_login, descending),
            ),
            DeviceSort::UserName => (Self::default(), ordered(Order::UserName, &None)),
            DeviceSort::ModelName => (Self::default(), ordered(Order::ModelName, &None)),
            DeviceSort::OsVersion => (
                Self { os_version_below: self.os_version_below.clone(), ..Self::default() },
                ordered(Order::OsVersion, &self.os_version_below),
            ),
            DeviceSort::AppVersion => (
                Self { app_version_below: self.app_version_below.clone(), ..Self::default() },
                ordered(Order::AppVersion, &self.app_version_below),
            ),
        };
        (self.alone() == own).then_some(walk)
    }

    /// What counts the devices that match; `None` if nothing does.
    fn counted(&self) -> Option<CountedFilter> {
        // What time changes is not counted.
        let by_time = matches!(self.device_status, Some(DeviceStatus::InUse | DeviceStatus::Silent));
        let rest = Self {
            status: None,
            device_status: None,
            blocked: None,
            platform: None,
            model_name: None,
            os_version: None,
            app_version: None,
            push_in_use: None,
            push_reason: None,
            ..self.alone()
        };
        if by_time || rest != Self::default() {
            return None;
        }
        let deleted = self.status.map(|status| status == Status::Deleted);
        CountedFilter::of(self.facets(), deleted)
    }
}

/// A device's place in an order; `name` is its user's.
fn place(device: &Device, name: Option<&str>, by: DeviceSort) -> String {
    let order = match by {
        DeviceSort::CreatedAt => return device.created_at.to_string(),
        DeviceSort::LastLoginAt => {
            return device.last_login_at.map(|at| login_day(device.device_id, at)).unwrap_or_default();
        }
        DeviceSort::UserName => Order::UserName,
        DeviceSort::ModelName => Order::ModelName,
        DeviceSort::OsVersion => Order::OsVersion,
        DeviceSort::AppVersion => Order::AppVersion,
    };
    Derived::of_device(device, name).orders.remove(&order).unwrap_or_default()
}

/// The result of [`Table::record_login`].
#[derive(Debug)]
pub enum Login {
    /// The login is recorded, and nothing else has changed. Contains the device as it was before.
    Recorded(Box<Device>),
    /// Nothing was recorded, because there is more to do or the device has no access. Contains the device's row, if
    /// there is one.
    NotRecorded(Option<Box<Device>>),
}

/// A device with its related rows.
#[derive(Clone, Debug)]
pub struct DeviceDetails {
    /// The device.
    pub device: Device,
    /// Its user; `None` once purged.
    pub user: Option<User>,
    /// Its identifier's claim.
    pub claim: Option<IdentifierClaim>,
    /// Its attachments, if it has any.
    pub attachments: Option<DeviceAttachments>,
    /// Its workspace.
    pub workspace: Option<Workspace>,
}

impl DeviceDetails {
    /// Its workspace's settings.
    #[must_use]
    pub fn settings(&self) -> WorkspaceSettings {
        self.workspace.as_ref().map(|workspace| workspace.settings.clone()).unwrap_or_default()
    }
}

/// Adds the conditions that the endpoint of a device is not to be enabled again ([`Push::re_enabled`]), and gives
/// their values.
fn enabled_endpoint(now: Time, conditions: &mut Vec<String>) -> Vec<(String, String)> {
    let due = PushReason::ALL.iter().filter_map(|reason| Some((*reason, reason.re_enable_after()?)));
    let mut values = Vec::new();
    for (n, (reason, after)) in due.enumerate() {
        let other = format!("NOT #push.#reason IN (:push{n})");
        values.push((format!(":push{n}"), reason.to_string()));
        if after.is_zero() {
            conditions.push(other);
        } else {
            conditions.push(format!("({other} OR #push.#since > :since{n})"));
            values.push((format!(":since{n}"), now.minus(after).to_string()));
        }
    }
    values
}

impl Table {
    /// A device.
    pub async fn device(&self, workspace: WorkspaceId, id: DeviceId) -> Result<Option<Device>, Error> {
        self.get(&device_key(workspace, id)).await
    }

    /// A device with its related rows.
    pub async fn device_details(&self, workspace: WorkspaceId, id: DeviceId) -> Result<Option<DeviceDetails>, Error> {
        let Some(device) = self.device(workspace, id).await? else {
            return Ok(None);
        };
        let user = users::user_key(workspace, device.user_id);
        let claim = identifier_claim_key(workspace, &device.device_identifier);
        let attachments = attachments::attachments_key(workspace, id);
        let workspace_key = workspaces::workspace_key(workspace);
        let keys = [&user, &claim, &attachments, &workspace_key];
        let found = self.get_many(keys.map(RowKey::clone)).await?;
        Ok(Some(DeviceDetails {
            user: found.row(&user)?,
            claim: found.row(&claim)?,
            attachments: found.row(&attachments)?,
            workspace: found.row(&workspace_key)?,
            device,
        }))
    }

    /// Devices in the order of these identifiers; missing ones are left out.
    pub async fn devices(&self, workspace: WorkspaceId, ids: &BTreeSet<DeviceId>) -> Result<Vec<Device>, Error> {
        self.rows_with(ids.iter().map(|id| device_key(workspace, *id)).collect()).await
    }

    /// The devices of a user, deleted ones too. A device that was just registered may be missing.
    pub async fn device_ids_of_user(&self, workspace: WorkspaceId, user: UserId) -> Result<Vec<DeviceId>, Error> {
        let source = Source::newest_first("owned", ("owner", owner_partition(workspace, user)), "created_at");
        let (mut ids, mut start) = (Vec::new(), None);
        loop {
            let (items, next) = self.query(&source, OWNED_PAGE, start.as_ref()).await?;
            let id = |item: &Item| DeviceId::parse(RowKey::of(item)?.pk.rsplit_once('#')?.1);
            ids.extend(items.iter().filter_map(id));
            start = next;
            if start.is_none() {
                return Ok(ids);
            }
        }
    }

    /// As [`Table::devices`], for display only: unreadable rows are left out too.
    pub async fn devices_to_show(
        &self,
        workspace: WorkspaceId,
        ids: &BTreeSet<DeviceId>,
    ) -> Result<Vec<Device>, Error> {
        self.readable_rows_with(ids.iter().map(|id| device_key(workspace, *id)).collect()).await
    }

    /// A page of devices.
    ///
    /// # Errors
    /// `SortNotAvailable` if the filter leaves more than can be sorted.
    pub async fn list_devices(
        &self,
        workspace: WorkspaceId,
        filter: &DeviceFilter,
        limit: usize,
        start: Option<Position>,
        now: Time,
    ) -> Result<Page<Device>, Error> {
        let Some(sort) = filter.sort else {
            return self.unsorted_devices(workspace, filter, limit, start, now).await;
        };
        if let Some(walk) = filter.walk_in(sort, workspace) {
            return self.walked(&walk, limit, start, |device: &Device| filter.matches(device, now)).await;
        }
        let all = all_matching(|limit, start| self.unsorted_devices(workspace, filter, limit, start, now)).await?;
        let names = match sort.by {
            DeviceSort::UserName => self.user_names(workspace, &all).await?,
            _ => BTreeMap::new(),
        };
        let placed = |device: Device| {
            let name = names.get(&device.user_id).map(String::as_str);
            (place(&device, name, sort.by), device.device_id.0, device)
        };
        sorted_page(all.into_iter().map(placed).collect(), sort.descending, limit, start.as_ref())
    }

    async fn unsorted_devices(
        &self,
        workspace: WorkspaceId,
        filter: &DeviceFilter,
        limit: usize,
        start: Option<Position>,
        now: Time,
    ) -> Result<Page<Device>, Error> {
        match &filter.search {
            Some(query) => {
                let search = Search { workspace, filter, query, now };
                self.search_devices(&search, limit, start).await
            }
            None => {
                let ways = filter.ways(workspace, now);
                let walk = self.way(workspace, ways, filter.derived, start.as_ref()).await?;
                self.walked(&walk, limit, start, |device: &Device| filter.matches(device, now)).await
            }
        }
    }

    /// What a list of devices rests on, with its workspace.
    pub async fn basis_of_devices(&self, workspace: WorkspaceId, filter: &DeviceFilter) -> Result<ListBasis, Error> {
        self.list_basis(workspace, ThingKind::Device, filter.counted()).await
    }

    /// Since when the oldest pending command has waited, if any is pending.
    pub async fn oldest_pending_command(&self, workspace: WorkspaceId) -> Result<Option<Time>, Error> {
        let list = ("list", crate::item::list_partition(DEVICES, workspace));
        let source = Source { descending: false, ..Source::newest_first("pending", list, "pending_since") };
        let (items, _) = self.query(&source, 1, None).await?;
        let since = items.first().and_then(|item| item.get("pending_since")?.as_s().ok());
        Ok(since.and_then(|since| Time::parse(since)))
    }

    /// The names of the devices' users.
    pub async fn user_names(
        &self,
        workspace: WorkspaceId,
        devices: &[Device],
    ) -> Result<BTreeMap<UserId, String>, Error> {
        let ids = devices.iter().map(|device| device.user_id).collect();
        Ok(self.users(workspace, &ids).await?.into_iter().map(|user| (user.user_id, user.name())).collect())
    }

    /// Devices with their open commands; missing ones are left out.
    pub async fn devices_with_commands(
        &self,
        workspace: WorkspaceId,
        ids: &BTreeSet<DeviceId>,
    ) -> Result<Vec<DeviceWithCommands>, Error> {
        let devices = self.devices(workspace, ids).await?;
        let keys: Vec<RowKey> = devices.iter().flat_map(open_command_keys).collect();
        let found = self.get_many(keys).await?;
        let phone = |device: Device| {
            let open =
                open_command_keys(&device).filter_map(|key| found.row(&key).transpose()).collect::<Result<_, _>>()?;
            Ok(DeviceWithCommands { device, open_commands: open })
        };
        devices.into_iter().map(phone).collect()
    }

    /// A device's open commands.
    pub async fn open_commands(&self, device: &Device) -> Result<Vec<Command>, Error> {
        self.rows_with(open_command_keys(device).collect()).await
    }

    /// The wipes that these devices record as ended and unconfirmed: see [`Device::unconfirmed`].
    pub async fn unconfirmed_wipes(&self, devices: &[Device]) -> Result<Vec<Command>, Error> {
        let key = |device: &Device| {
            let wipe = device.unconfirmed?;
            Some(commands::command_key(device.workspace_id, device.device_id, wipe.command_id))
        };
        self.rows_with(devices.iter().filter_map(key).collect()).await
    }

    /// The claim of an identifier.
    pub async fn identifier_claim(
        &self,
        workspace: WorkspaceId,
        identifier: &str,
    ) -> Result<Option<IdentifierClaim>, Error> {
        self.get(&identifier_claim_key(workspace, identifier)).await
    }

    /// The claims of devices' identifiers.
    pub async fn identifier_claims(&self, devices: &[Device]) -> Result<Vec<IdentifierClaim>, Error> {
        let key = |device: &Device| identifier_claim_key(device.workspace_id, &device.device_identifier);
        self.rows_with(devices.iter().map(key).collect()).await
    }

    /// The rows that the registration rule needs, in two or three reads. `None` if the offer or its user is missing.
    pub async fn registration(&self, code_of: &OfferRef, identifier: &str) -> Result<Option<RegistrationState>, Error> {
        let user = users::user_key(code_of.workspace_id, code_of.user_id);
        let offer = offers::offer_key(code_of.workspace_id, code_of.user_id, code_of.invitation_id);
        let claim = identifier_claim_key(code_of.workspace_id, identifier);
        let found = self.get_many([user.clone(), offer.clone(), claim.clone()]).await?;
        let (Some(user), Some(offer)) = (found.row::<User>(&user)?, found.row(&offer)?) else {
            return Ok(None);
        };
        let claim: Option<IdentifierClaim> = found.row(&claim)?;
        let claimed = claim.as_ref().map(|claim| claim.device_id);
        let ids: BTreeSet<DeviceId> = user.device_ids.iter().copied().chain(claimed).collect();
        let devices = self.devices(code_of.workspace_id, &ids).await?;
        let named = devices.iter().find(|device| Some(device.device_id) == claimed);
        let commands = match named {
            Some(device) => self.open_commands(device).await?,
            None => Vec::new(),
        };
        Ok(Some(RegistrationState {
            commands,
            claimed_device: devices.iter().find(|device| Some(device.device_id) == claimed).cloned(),
            held: devices.into_iter().filter(|device| user.device_ids.contains(&device.device_id)).collect(),
            offer,
            user,
            claim,
        }))
    }

    /// Records a login in one write without a read, if the credential is the device's own, the device has access, it is
    /// not the first login of the device's day, and nothing but the time has changed. Each condition repeats a rule: `check_in::authenticate`, [`Device::access`],
    /// `check_in::check_in`, [`Push::re_enabled`].
    pub async fn record_login(
        &self,
        credential: &DeviceCredential,
        report: &CheckInReport,
        now: Time,
    ) -> Result<Login, Error> {
        let key = device_key(credential.workspace_id, credential.device_id);
        let mut conditions = vec![
            "credential_hash = :hash AND epoch = :epoch AND user_status IN (:inactive, :active)".to_owned(),
            "attribute_not_exists(enrolment) AND attribute_not_exists(blocked) AND attribute_not_exists(deleted)"
                .to_owned(),
            "attribute_not_exists(commands) AND attribute_not_exists(replaced) AND attribute_not_exists(erased)"
                .to_owned(),
            "last_login_at >= :day".to_owned(),
        ];
        let mut values = HashMap::from([
            (":hash", credential.hash().as_str().to_owned()),
            (":inactive", "inactive".to_owned()),
            (":active", "active".to_owned()),
            (":now", now.to_string()),
            (":day", login_day_start(credential.device_id, now).to_string()),
        ]);
        let push = enabled_endpoint(now, &mut conditions);
        let reported = [
            ("os_version", ":os", report.os_version.clone()),
            ("app_version", ":app", report.app_version.clone()),
            ("config", ":config", report.config_version.clone()),
            ("push_token_hash", ":token", report.push_token.as_ref().map(|t| Hash::of(t).as_str().to_owned())),
        ];
        for (attribute, name, value) in reported {
            if let Some(value) = value {
                conditions.push(format!("{attribute} = {name}"));
                values.insert(name, value);
            }
        }
        if let Some(version) = &report.config_version {
            // The report of an ordered configuration as installed is a change, even if the version is the same
            // as before.
            conditions.push("(attribute_not_exists(served) OR served <> :fetched)".to_owned());
            values.insert(":fetched", packed::pack_served(&ServedConfig::Fetched(version.clone())));
        }
        let mut numbers = vec![(":epoch", u64::from(credential.epoch))];
        match report.pin_failures {
            None => {}
            Some(0) => conditions.push("attribute_not_exists(pin_failures)".to_owned()),
            Some(failures) => {
                conditions.push("pin_failures = :failures".to_owned());
                numbers.push((":failures", u64::from(failures)));
            }
        }
        if let Some(usage) = &report.usage {
            conditions.push("usage_sequence >= :usage".to_owned());
            numbers.push((":usage", usage.sequence));
        }
        let mut update = self
            .client
            .update_item()
            .table_name(&self.names.main)
            .set_key(Some(key.attributes()))
            .update_expression(LOGIN)
            .condition_expression(conditions.join(" AND "))
            .expression_attribute_names("#push", "push")
            .expression_attribute_names("#reason", "reason")
            .expression_attribute_names("#since", "since")
            .return_values(ReturnValue::AllOld)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        for (name, value) in values.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(push) {
            update = update.expression_attribute_values(name, AttributeValue::S(value));
        }
        for (name, number) in numbers {
            update = update.expression_attribute_values(name, AttributeValue::N(number.to_string()));
        }
        match update.send().await {
            Ok(output) => Ok(Login::Recorded(Box::new(from_item(output.attributes.unwrap_or_default())?))),
            Err(error) => match error.as_service_error() {
                Some(service) if service.is_conditional_check_failed_exception() => {
                    login_not_recorded(error.into_service_error())
                }
                _ => Err(service_error("noting a login", error)),
            },
        }
    }

    /// Records a login of a device that was read, other than the first of its day. False if its row has changed since.
    pub(crate) async fn record_later_login(&self, device: &Device, now: Time) -> Result<bool, Error> {
        let key = device_key(device.workspace_id, device.device_id);
        let update = self
            .client
            .update_item()
            .table_name(&self.names.main)
            .set_key(Some(key.attributes()))
            .update_expression(LOGIN)
            .condition_expression("#version = :version")
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":version", AttributeValue::N(device.version.to_string()))
            .expression_attribute_values(":now", AttributeValue::S(now.to_string()));
        match update.send().await {
            Ok(_) => Ok(true),
            Err(error) if error.as_service_error().is_some_and(|e| e.is_conditional_check_failed_exception()) => {
                Ok(false)
            }
            Err(error) => Err(service_error("noting a login", error)),
        }
    }
}

/// Rows per query for a user's devices.
const OWNED_PAGE: usize = 100;

/// The update for a login. Only a check-in writes these attributes, and this one leaves the version, so that it never
/// collides with an administrator's change. What is decided by them is committed with
/// [`Commit::require_attribute_unchanged`](crate::Commit::require_attribute_unchanged).
const LOGIN: &str = "SET last_login_at = :now";

fn open_command_keys(device: &Device) -> impl Iterator<Item = RowKey> {
    device.commands.iter().map(|open| commands::command_key(device.workspace_id, device.device_id, open.command_id))
}

fn login_not_recorded(error: aws_sdk_dynamodb::operation::update_item::UpdateItemError) -> Result<Login, Error> {
    use aws_sdk_dynamodb::operation::update_item::UpdateItemError as E;
    let E::ConditionalCheckFailedException(refused) = error else {
        return Err(Error::internal("noting a login", error));
    };
    let device = refused.item.filter(|item| !item.is_empty()).map(from_item).transpose()?;
    Ok(Login::NotRecorded(device.map(Box::new)))
}
