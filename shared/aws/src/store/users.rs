//! Users.

use std::collections::{BTreeMap, BTreeSet};

use domain::error::Error;
use domain::listing::{Sort, UserSort};
use domain::models::device::Device;
use domain::models::network::{Indicator, quiet_before};
use domain::models::user::User;
use domain::rules::derived::{Derived, Facet, LatestOffers, Order, ThingKind};
use domain::rules::networks::user_indicator;
use domain::search::Query;
use domain::secret::Hash;
use domain::states::UserStatus;
use domain::username::{former_username, unique_username};
use domain::{DeviceId, ProfileId, SourceId, Time, UserId, WorkspaceId};
use serde::Deserialize;

use crate::item::{IndexRow, Item, Read, Row, RowKey, keeps_stored_row};
use crate::list::{Page, Position, Range, Source, last_with};
use crate::store::counts::CountedFilter;
use crate::store::devices::DeviceFilter;
use crate::store::last_logins::{LOGIN_DAY, SEEN};
use crate::store::lists::{ListBasis, Times, Walk, Way, Ways, all_matching, sorted_page};
use crate::store::usernames::{UsernameClaims, keys_of_username};
use crate::store::{due, last_logins, profiles, search, sources};
use crate::table::Table;

keeps_stored_row!(User);

/// The name of the list of users, and the kind of their search words.
pub const USERS: &str = "USER";

/// The key of a user.
#[must_use]
pub fn user_key(workspace: WorkspaceId, id: UserId) -> RowKey {
    RowKey::new(format!("USER#{workspace}#{id}"), "USER")
}

/// Parses the user in the key of a user's row.
#[must_use]
pub fn user_of_key(key: &RowKey) -> Option<UserId> {
    UserId::parse(key.pk.rsplit_once('#').filter(|_| key.sk == "USER")?.1)
}

/// The key of a username's claim.
#[must_use]
pub fn username_key(workspace: WorkspaceId, username: &str) -> RowKey {
    RowKey::new(format!("USERNAME#{workspace}#{}", unique_username(username)), "CLAIM")
}

/// The key that an earlier release used for a username's claim, if it is different. Its user may have another
/// username, which that user's row tells.
#[must_use]
pub fn former_username_key(workspace: WorkspaceId, username: &str) -> Option<RowKey> {
    former_username(username).map(|former| RowKey::new(format!("USERNAME#{workspace}#{former}"), "CLAIM"))
}

/// The claim row of a user's username.
pub(crate) fn username_claim(user: &User) -> IndexRow {
    IndexRow {
        key: username_key(user.workspace_id, &user.username),
        attributes: BTreeMap::from([("user_id", user.user_id.to_string())]),
        unique: true,
    }
}

impl Row for User {
    const SETS: &'static [(&'static str, usize)] = &[("device_ids", domain::limits::DEVICE_LIMIT)];
    const NESTED_FIELDS: &'static [&'static str] = &["client", "provenance"];
    // Identity providers ask for the time of the last change.
    const HAS_UPDATED_AT: bool = true;
    const UNVERSIONED: &'static [&'static str] = &["last_seen_at"];
    const REPLACED_INDEXES: &'static [(&'static str, &'static str)] = &[(LOGIN_DAY, SEEN)];

    fn key(&self) -> RowKey {
        user_key(self.workspace_id, self.user_id)
    }
    fn version(&self) -> u64 {
        self.version
    }
    fn indexes(&self) -> Vec<(&'static str, String)> {
        let mut indexes = vec![("list", crate::item::list_partition(USERS, self.workspace_id))];
        indexes.extend(self.deleted.iter().flat_map(|end| due::deleted_attributes(&self.key(), end)));
        if self.deleted.is_none() {
            indexes.extend(self.deployment_due_at.iter().flat_map(|at| due::due_attributes(&self.key(), *at)));
            let profile = self.client.profile_id.map(|id| profiles::profile_users_partition(self.workspace_id, id));
            let source = self.provenance.source_id.map(|id| sources::source_users_partition(self.workspace_id, id));
            indexes.extend(profile.map(|partition| ("of_profile", partition)));
            indexes.extend(source.map(|partition| ("of_source", partition)));
            match self.client.deployment_id {
                Some(_) => indexes.push(("deployed", self.created_at.to_string())),
                None => indexes.push(("not_deployed", self.created_at.to_string())),
            }
        }
        indexes
    }
    fn former_index_rows(&self) -> BTreeSet<IndexRow> {
        let id = self.user_id.to_string();
        let words = search::former_word_index_rows(USERS, self.workspace_id, &id, self.search_words());
        if self.deleted.is_some() {
            return words.collect();
        }
        let known = self.provenance.source_id.zip(self.provenance.source_username.as_deref());
        let keys = [
            former_username_key(self.workspace_id, &self.username),
            known.and_then(|(source, name)| sources::former_source_username_key(self.workspace_id, source, name)),
        ];
        let own = || BTreeMap::from([("user_id", self.user_id.to_string())]);
        let claims = keys.into_iter().flatten().map(|key| IndexRow { key, attributes: own(), unique: true });
        claims.chain(words).collect()
    }
    fn index_rows(&self) -> BTreeSet<IndexRow> {
        let id = self.user_id.to_string();
        // A deleted user's name is free.
        let claim = self.deleted.is_none().then(|| username_claim(self));
        let known = self.user_identity_key.as_deref().filter(|_| self.deleted.is_none()).map(|name| IndexRow {
            key: identity_claim_key(self.workspace_id, name),
            attributes: BTreeMap::from([("user_id", id.clone())]),
            unique: true,
        });
        let external = self
            .deleted
            .is_none()
            .then(|| sources::external_id_claim_key(self))
            .flatten()
            .map(|key| IndexRow { key, attributes: BTreeMap::from([("user_id", id.clone())]), unique: true });
        // Not unique, so that a user renamed by hand does not block a source's new user. The users' rows decide.
        let followed = self
            .deleted
            .is_none()
            .then(|| sources::source_username_claim_key(self))
            .flatten()
            .map(|key| IndexRow { key, attributes: BTreeMap::from([("user_id", id.clone())]), unique: false });
        let seen = self.last_seen_at.map(|seen| last_logins::user_seen(self.workspace_id, self.user_id, seen));
        let words = search::word_index_rows(USERS, self.workspace_id, &id, self.search_words());
        words.chain(seen).chain(claim).chain(known).chain(external).chain(followed).collect()
    }
    fn required_absent(&self) -> BTreeSet<RowKey> {
        let former = || former_username_key(self.workspace_id, &self.username);
        self.deleted.is_none().then(former).flatten().into_iter().collect()
    }
}

/// The key of the claim of an identity key.
#[must_use]
pub fn identity_claim_key(workspace: WorkspaceId, name: &str) -> RowKey {
    RowKey::new(format!("IDENTITYKEY#{workspace}#{}", Hash::of(name).as_str()), "CLAIM")
}

/// Filter of a list of users.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UserFilter {
    /// By status.
    pub status: Option<UserStatus>,
    /// By service level.
    pub service_level: Option<String>,
    /// By the most urgent light of their networks.
    pub network_indicator: Option<Indicator>,
    /// Ones that were created within this span.
    pub created: Times,
    /// Ones that were last seen within this span.
    pub last_seen: Times,
    /// Ones with a pending command on any device, deleted ones too; or those without.
    pub pending_command: Option<bool>,
    /// Ones with an unconfirmed wipe on any device, deleted ones too; or those without.
    pub unconfirmed_wipe: Option<bool>,
    /// Ones with a deployment, or those without; deleted users are neither.
    pub deployed: Option<bool>,
    /// By profile; deleted users have none.
    pub profile_id: Option<ProfileId>,
    /// By source; deleted users have none.
    pub source_id: Option<SourceId>,
    /// Ones with a device that was told to download its configuration, or those without.
    pub force_pending: Option<bool>,
    /// Ones that a search for their name, username, number or address finds.
    pub search: Option<Query>,
    /// The order of the list; newest first, or as a search finds them, if not set.
    pub sort: Option<Sort<UserSort>>,
    /// Whether derived rows are relied on: [`ListBasis::derived`], which is read if not set. False for work that must
    /// reach all who match, since they lag; a page then costs more.
    pub derived: Option<bool>,
}

impl UserFilter {
    fn matches(&self, user: &User, now: Time) -> bool {
        self.status.is_none_or(|status| status == user.status())
            && self.service_level.as_ref().is_none_or(|level| user.service_level.as_ref() == Some(level))
            && self.network_indicator.is_none_or(|light| light == user_indicator(user, now))
            && self.created.include(user.created_at)
            && self.matches_deployed(user)
    }

    fn matches_deployed(&self, user: &User) -> bool {
        let is_active = user.deleted.is_none();
        self.deployed.is_none_or(|wanted| is_active && wanted == user.client.deployment_id.is_some())
            && self.profile_id.is_none_or(|wanted| is_active && user.client.profile_id == Some(wanted))
            && self.source_id.is_none_or(|wanted| is_active && user.provenance.source_id == Some(wanted))
    }

    fn matches_with_devices(&self, person: &UserWithDevices, now: Time) -> bool {
        let pending = || person.all_devices().any(|device| device.has_pending_command(now));
        let unconfirmed = || person.all_devices().any(|device| device.unconfirmed_wipe().is_some());
        let forced = || person.devices.iter().any(Device::is_download_ordered);
        let seen = || person.user.last_seen_with(&person.devices);
        (self.last_seen.is_all() || self.last_seen.include_some(seen()))
            && self.pending_command.is_none_or(|wanted| wanted == pending())
            && self.unconfirmed_wipe.is_none_or(|wanted| wanted == unconfirmed())
            && self.force_pending.is_none_or(|wanted| wanted == forced())
    }

    /// What of the filter is a value of a facet.
    fn facets(&self) -> Vec<(Facet, String)> {
        // Orange is a matter of time alone.
        let light = self.network_indicator.filter(|light| *light != Indicator::Orange);
        let facets = [
            self.status.map(|status| (Facet::Status, status.as_str().to_owned())),
            self.source_id.map(|id| (Facet::SourceId, id.to_string())),
            self.profile_id.map(|id| (Facet::ProfileId, id.to_string())),
            self.deployed.map(|deployed| (Facet::Deployed, deployed.to_string())),
            self.service_level.clone().map(|level| (Facet::ServiceLevel, level)),
            light.map(|light| (Facet::NetworkIndicator, light.as_str().to_owned())),
        ];
        facets.into_iter().flatten().collect()
    }

    fn ways(&self, workspace: WorkspaceId, now: Time) -> Ways {
        let kind = ThingKind::User;
        let list = || ("list", crate::item::list_partition(USERS, workspace));
        let index = |facet: Facet, value: &str| match (facet, value) {
            (Facet::Status, "deleted") => Some(Source::newest_first("deleted", list(), "deleted_at")),
            (Facet::Deployed, "true") => Some(Source::newest_first("deployed", list(), "deployed")),
            (Facet::Deployed, _) => Some(Source::newest_first("not-deployed", list(), "not_deployed")),
            (Facet::SourceId, id) => {
                let partition = sources::source_users_partition(workspace, SourceId::parse(id)?);
                Some(Source::newest_first("source", ("of_source", partition), "created_at"))
            }
            (Facet::ProfileId, id) => {
                let partition = profiles::profile_users_partition(workspace, ProfileId::parse(id)?);
                Some(Source::newest_first("profile", ("of_profile", partition), "created_at"))
            }
            _ => None,
        };
        let of_facet = |(facet, value): (Facet, String)| match index(facet, &value) {
            Some(source) => {
                Way { walk: Walk::of(kind, workspace, source), facet: Some((facet, value)), derived: false }
            }
            None => {
                let walk = Walk::with(kind, workspace, facet, &value);
                Way { walk, facet: Some((facet, value)), derived: true }
            }
        };
        let of_range = |walk, derived| Way { walk, facet: None, derived };
        let by_login = (!self.last_seen.is_all())
            .then(|| of_range(Walk::last_logins(kind, workspace, &self.last_seen, true), false));
        let quiet = (self.network_indicator == Some(Indicator::Orange)).then(|| {
            let range = Range::AtMost(last_with(&quiet_before(now).day()));
            of_range(Walk::ordered(kind, workspace, Order::NetworkSeen, &range, true), true)
        });
        Ways {
            narrow: None,
            ways: self.facets().into_iter().map(of_facet).chain(by_login).chain(quiet).collect(),
            all: Walk::created(kind, workspace, &self.created, true),
        }
    }

    /// What it leaves, whatever the order and the way.
    fn alone(&self) -> Self {
        Self { sort: None, derived: None, ..self.clone() }
    }

    /// All that match, and maybe others, in an order; `None` if they are to be sorted one by one.
    fn walk_in(&self, sort: Sort<UserSort>, workspace: WorkspaceId) -> Option<Walk> {
        let (kind, descending) = (ThingKind::User, sort.descending);
        let ordered = |order| Walk::ordered(kind, workspace, order, &Range::All, descending);
        let (own, walk) = match sort.by {
            UserSort::CreatedAt => (
                Self { created: self.created, ..Self::default() },
                Walk::created(kind, workspace, &self.created, descending),
            ),
            UserSort::LastSeenAt if self.last_seen.is_all() => {
                (Self::default(), Walk::all_last_logins(kind, workspace, descending))
            }
            UserSort::LastSeenAt => (
                Self { last_seen: self.last_seen, ..Self::default() },
                Walk::last_logins(kind, workspace, &self.last_seen, descending),
            ),
            UserSort::Name => (Self::default(), ordered(Order::Name)),
            UserSort::Username => (Self::default(), ordered(Order::Username)),
        };
        (self.alone() == own).then_some(walk)
    }

    /// What counts the users that match; `None` if nothing does.
    fn counted(&self) -> Option<CountedFilter> {
        // What time changes is not counted.
        let rest = Self {
            status: None,
            service_level: None,
            deployed: None,
            profile_id: None,
            source_id: None,
            network_indicator: self.network_indicator.filter(|light| *light != Indicator::Red),
            ..self.alone()
        };
        (rest == Self::default()).then(|| CountedFilter::of(self.facets(), None)).flatten()
    }
}

/// A user's place in an order.
fn place(user: &User, by: UserSort) -> String {
    let order = match by {
        UserSort::CreatedAt => return user.created_at.to_string(),
        UserSort::LastSeenAt => return user.last_seen_at.map(|at| at.day()).unwrap_or_default(),
        UserSort::Name => Order::Name,
        UserSort::Username => Order::Username,
    };
    Derived::of_user(user, &LatestOffers::default()).orders.remove(&order).unwrap_or_default()
}

/// A user with their devices.
#[derive(Clone, Debug)]
pub struct UserWithDevices {
    /// The user.
    pub user: User,
    /// The devices.
    pub devices: Vec<Device>,
    /// Deleted devices without a confirmed wipe: see [`User::left_device_ids`].
    pub left_behind: Vec<Device>,
}

impl UserWithDevices {
    /// A user, with those of the devices that belong to the user.
    #[must_use]
    pub fn of(user: User, devices: &[Device]) -> Self {
        let among = |ids: &BTreeSet<DeviceId>| {
            devices.iter().filter(|device| ids.contains(&device.device_id)).cloned().collect::<Vec<_>>()
        };
        Self { devices: among(&user.device_ids), left_behind: among(&user.left_device_ids), user }
    }

    /// The devices, and the deleted ones without a confirmed wipe.
    pub fn all_devices(&self) -> impl Iterator<Item = &Device> {
        self.devices.iter().chain(&self.left_behind)
    }
}

impl Table {
    /// A user.
    pub async fn user(&self, workspace: WorkspaceId, id: UserId) -> Result<Option<User>, Error> {
        self.get(&user_key(workspace, id)).await
    }

    /// The claims of a username.
    pub async fn username_claims(&self, workspace: WorkspaceId, username: &str) -> Result<UsernameClaims, Error> {
        Ok(self.holders(workspace, keys_of_username(workspace, username)).await?.of_username(workspace, username))
    }

    /// The user with an identity key.
    pub async fn id_of_identity_key(&self, workspace: WorkspaceId, key: &str) -> Result<Option<UserId>, Error> {
        #[derive(Deserialize)]
        struct Claim {
            user_id: UserId,
        }
        impl Read for Claim {}
        let claim: Option<Claim> = self.get(&identity_claim_key(workspace, key)).await?;
        Ok(claim.map(|claim| claim.user_id))
    }

    /// Users by identifier; missing ones are left out.
    pub async fn users(&self, workspace: WorkspaceId, ids: &BTreeSet<UserId>) -> Result<Vec<User>, Error> {
        self.readable_rows_with(ids.iter().map(|id| user_key(workspace, *id)).collect()).await
    }

    /// A page of users.
    ///
    /// # Errors
    /// `SortNotAvailable` if the filter leaves more than can be sorted.
    pub async fn list_users(
        &self,
        workspace: WorkspaceId,
        filter: &UserFilter,
        limit: usize,
        start: Option<Position>,
        now: Time,
    ) -> Result<Page<UserWithDevices>, Error> {
        let Some(sort) = filter.sort else {
            return self.unsorted_users(workspace, filter, limit, start, now).await;
        };
        if let Some(walk) = filter.walk_in(sort, workspace) {
            let page = self.walked(&walk, limit, start, |user| filter.matches(user, now)).await?;
            return self.with_devices_that_match(workspace, filter, page, now).await;
        }
        let all = all_matching(|limit, start| self.unsorted_users(workspace, filter, limit, start, now)).await?;
        let placed = |person: UserWithDevices| (place(&person.user, sort.by), person.user.user_id.0, person);
        sorted_page(all.into_iter().map(placed).collect(), sort.descending, limit, start.as_ref())
    }

    async fn unsorted_users(
        &self,
        workspace: WorkspaceId,
        filter: &UserFilter,
        limit: usize,
        start: Option<Position>,
        now: Time,
    ) -> Result<Page<UserWithDevices>, Error> {
        let page = match &filter.search {
            Some(query) => self.search_users(workspace, query, filter, limit, start, now).await?,
            None if filter.pending_command == Some(true) => {
                self.users_with_pending_commands(workspace, filter, limit, start, now).await?
            }
            None => {
                let ways = filter.ways(workspace, now);
                let walk = self.way(workspace, ways, filter.derived, start.as_ref()).await?;
                self.walked(&walk, limit, start, |user| filter.matches(user, now)).await?
            }
        };
        self.with_devices_that_match(workspace, filter, page, now).await
    }

    /// What a list of users rests on, if it is counted. If not, nothing is read.
    pub async fn basis_of_users(&self, workspace: WorkspaceId, filter: &UserFilter) -> Result<ListBasis, Error> {
        match filter.counted() {
            None => Ok(ListBasis::default()),
            counted => self.list_basis(workspace, ThingKind::User, counted).await,
        }
    }
}

impl Table {
    async fn with_devices_that_match(
        &self,
        workspace: WorkspaceId,
        filter: &UserFilter,
        page: Page<User>,
        now: Time,
    ) -> Result<Page<UserWithDevices>, Error> {
        let mut with_devices = self.with_devices(workspace, page.items).await?;
        with_devices.retain(|person| filter.matches_with_devices(person, now));
        Ok(Page { items: with_devices, next: page.next, unreadable: page.unreadable })
    }

    async fn with_devices(&self, workspace: WorkspaceId, users: Vec<User>) -> Result<Vec<UserWithDevices>, Error> {
        let ids = users.iter().flat_map(User::all_device_ids).collect();
        let mut known = BTreeMap::<UserId, Vec<Device>>::new();
        for device in self.devices_to_show(workspace, &ids).await? {
            known.entry(device.user_id).or_default().push(device);
        }
        let person = |user: User| {
            let devices = known.remove(&user.user_id).unwrap_or_default();
            UserWithDevices::of(user, &devices)
        };
        Ok(users.into_iter().map(person).collect())
    }

    /// A page of a search for users.
    async fn search_users(
        &self,
        workspace: WorkspaceId,
        query: &Query,
        filter: &UserFilter,
        limit: usize,
        start: Option<Position>,
        now: Time,
    ) -> Result<Page<User>, Error> {
        let range = Range::Prefix(query.leading().to_owned());
        let sources = search::sources_of_words(USERS, workspace, query.leading(), &range);
        let to_row = |item: &Item| {
            let sk = RowKey::of(item)?.sk;
            Some(user_key(workspace, UserId::parse(search::word_and_id(&sk)?.1)?))
        };
        let wanted = |item: &Item, user: &User| {
            let words = user.search_words();
            let found_by = RowKey::of(item).and_then(|key| Some(search::word_and_id(&key.sk)?.0.to_owned()));
            query.first_match(&words).map(str::to_owned) == found_by
                && query.matches(&words)
                && filter.matches(user, now)
        };
        self.merged_page(&sources, limit, start, to_row, wanted).await
    }

    /// A page of users with pending commands, by the devices that have them. A user with several such devices
    /// is listed at the first one in the list, the one that has waited the shortest. If that command ends
    /// before the next page, the user is listed a second time rather than not at all.
    async fn users_with_pending_commands(
        &self,
        workspace: WorkspaceId,
        filter: &UserFilter,
        limit: usize,
        start: Option<Position>,
        now: Time,
    ) -> Result<Page<User>, Error> {
        let pending = DeviceFilter { pending_command: Some(true), ..DeviceFilter::default() };
        let page = self.list_devices(workspace, &pending, limit, start, now).await?;
        let ids: BTreeSet<UserId> = page.items.iter().map(|device| device.user_id).collect();
        let users = self.users(workspace, &ids).await?;
        let with_devices = self.with_devices(workspace, users).await?;
        let is_first_match = |person: &&UserWithDevices, device: &Device| {
            let pending = person.all_devices().filter(|device| device.has_pending_command(now));
            let first = pending.max_by_key(|device| (device.pending_since(), device.device_id));
            first.map(|first| first.device_id) == Some(device.device_id)
        };
        let user_of = |device: &Device| {
            let person = with_devices.iter().find(|person| person.user.user_id == device.user_id);
            person.filter(|person| is_first_match(person, device) && filter.matches(&person.user, now))
        };
        let items = page.items.iter().filter_map(user_of).map(|person| person.user.clone()).collect();
        Ok(Page { items, next: page.next, unreadable: page.unreadable })
    }
}
