//! Users, their invitations, and the codes of these.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use domain::deployment::{SecretKind, UserSecrets};
use domain::device::Device;
use domain::error::Error;
use domain::invitation::Invitation;
use domain::message::{DailyCount, DailyQuota, Recipient, RecipientHistory};
use domain::network::{Indicator, user_indicator};
use domain::search::Query;
use domain::secret::Hash;
use domain::user::{User, UserStatus};
use domain::{DeviceId, InvitationId, ProfileId, SourceId, Time, UserId, WorkspaceId};
use serde::Deserialize;

use crate::item::{Item, Key, Read, TIME_TO_LIVE};
use crate::list::{Page, Position, Range, Source};
use crate::rows::{self, CodeOwner, Pointer};
use crate::stores::devices::DeviceFilter;
use crate::table::Table;
use crate::usernames::{UsernameClaims, keys_of_username};

/// Which users a list shows.
#[derive(Clone, Debug, Default)]
pub struct UserFilter {
    /// Those who stand so.
    pub status: Option<UserStatus>,
    /// Those of a service level.
    pub service_level: Option<String>,
    /// Those whose networks' most pressing light is this.
    pub network_indicator: Option<Indicator>,
    /// Those who were last seen before.
    pub last_seen_before: Option<Time>,
    /// Those of whom a device has something to do, held or left behind; or those of whom none has.
    pub pending_command: Option<bool>,
    /// Those of whom a device was to be wiped, held or left behind, and has not said that it is; or those of whom none.
    pub unconfirmed_wipe: Option<bool>,
    /// Those who have a deployment, or who have none; deleted users are neither.
    pub deployed: Option<bool>,
    /// Those of a profile; deleted users have none.
    pub profile_id: Option<ProfileId>,
    /// Those who come from a data set; deleted users come from none.
    pub source_id: Option<SourceId>,
    /// Those who hold a device that is to download its configuration, or who hold none.
    pub force_pending: Option<bool>,
    /// Those whose name, username, number or address was typed.
    pub search: Option<Query>,
}

impl UserFilter {
    fn keeps(&self, user: &User, now: Time) -> bool {
        self.status.is_none_or(|status| status == user.status())
            && self.service_level.as_ref().is_none_or(|level| user.service_level.as_ref() == Some(level))
            && self.network_indicator.is_none_or(|light| light == user_indicator(user, now))
            && self.last_seen_before.is_none_or(|before| user.last_seen_at.is_some_and(|seen| seen < before))
            && self.keeps_deployed(user)
    }

    fn keeps_deployed(&self, user: &User) -> bool {
        let there = user.deleted.is_none();
        self.deployed.is_none_or(|wanted| there && wanted == user.client.deployment_id.is_some())
            && self.profile_id.is_none_or(|wanted| there && user.client.profile_id == Some(wanted))
            && self.source_id.is_none_or(|wanted| there && user.provenance.source_id == Some(wanted))
    }

    fn keeps_with(&self, person: &UserWithDevices, now: Time) -> bool {
        let pending = || person.known().any(|device| device.has_pending_command(now));
        let unconfirmed = || person.known().any(|device| device.unconfirmed_wipe().is_some());
        let forced = || person.devices.iter().any(Device::is_forced);
        self.pending_command.is_none_or(|wanted| wanted == pending())
            && self.unconfirmed_wipe.is_none_or(|wanted| wanted == unconfirmed())
            && self.force_pending.is_none_or(|wanted| wanted == forced())
    }

    /// The narrowest index for what is asked, but for a search and for pending commands.
    fn source(&self, workspace: WorkspaceId) -> Source {
        let list = ("list", rows::list(rows::USERS, workspace));
        if self.status == Some(UserStatus::Deleted) {
            return Source::newest("deleted", list, "deleted_at");
        }
        if let Some(before) = self.last_seen_before {
            // The day of the bound is looked at too: the rest of it is decided row by row.
            let day = before.plus(chrono::Duration::days(1)).day();
            return Source { range: Range::Below(day), ..Source::newest("seen", list, "login_day") };
        }
        if let Some(id) = self.source_id {
            return Source::newest("source", ("of_source", rows::users_of_source(workspace, id)), "created_at");
        }
        if let Some(id) = self.profile_id {
            return Source::newest("profile", ("of_profile", rows::users_of_profile(workspace, id)), "created_at");
        }
        match self.deployed {
            Some(true) => return Source::newest("deployed", list, "deployed"),
            Some(false) => return Source::newest("not-deployed", list, "not_deployed"),
            None => {}
        }
        Source::newest("created", list, "created_at")
    }
}

/// A user, with the devices that they hold.
#[derive(Clone, Debug)]
pub struct UserWithDevices {
    /// The user.
    pub user: User,
    /// The devices.
    pub devices: Vec<Device>,
    /// The deleted ones that were left behind: see [`User::left_device_ids`].
    pub left: Vec<Device>,
}

impl UserWithDevices {
    /// A user, with those of the devices that are theirs.
    #[must_use]
    pub fn of(user: User, devices: &[Device]) -> Self {
        let among = |ids: &BTreeSet<DeviceId>| {
            devices.iter().filter(|device| ids.contains(&device.device_id)).cloned().collect::<Vec<_>>()
        };
        Self { devices: among(&user.device_ids), left: among(&user.left_device_ids), user }
    }

    /// The devices that the user holds, and those that were left behind.
    pub fn known(&self) -> impl Iterator<Item = &Device> {
        self.devices.iter().chain(&self.left)
    }
}

impl Table {
    /// A user, as they are now.
    pub async fn user(&self, workspace: WorkspaceId, id: UserId) -> Result<Option<User>, Error> {
        self.get(&rows::user(workspace, id)).await
    }

    /// Who has a username of the workspace.
    pub async fn username_claims(&self, workspace: WorkspaceId, username: &str) -> Result<UsernameClaims, Error> {
        Ok(self.holders(workspace, keys_of_username(workspace, username)).await?.of_username(workspace, username))
    }

    /// The user whom programs know by a key.
    pub async fn id_of_identity_key(&self, workspace: WorkspaceId, key: &str) -> Result<Option<UserId>, Error> {
        #[derive(Deserialize)]
        struct Claim {
            user_id: UserId,
        }
        impl Read for Claim {}
        let claim: Option<Claim> = self.get(&rows::identity_key(workspace, key)).await?;
        Ok(claim.map(|claim| claim.user_id))
    }

    /// Users by their identifiers; those that are gone are left out.
    pub async fn users(&self, workspace: WorkspaceId, ids: &BTreeSet<UserId>) -> Result<Vec<User>, Error> {
        let keys: Vec<Key> = ids.iter().map(|id| rows::user(workspace, *id)).collect();
        let found = self.get_many(keys.clone()).await?;
        Ok(keys.iter().filter_map(|key| found.readable(key)).collect())
    }

    /// A page of users: the newest first, or by the word that was found.
    pub async fn list_users(
        &self,
        workspace: WorkspaceId,
        filter: &UserFilter,
        limit: usize,
        start: Option<Position>,
        now: Time,
    ) -> Result<Page<UserWithDevices>, Error> {
        let page = match &filter.search {
            Some(query) => self.users_found(workspace, query, filter, limit, start, now).await?,
            None if filter.pending_command == Some(true) => {
                self.users_pending(workspace, filter, limit, start, now).await?
            }
            None => {
                let source = filter.source(workspace);
                self.page(&source, limit, start, Key::of, |_, user| filter.keeps(user, now)).await?
            }
        };
        let mut people = self.people(workspace, page.items).await?;
        people.retain(|person| filter.keeps_with(person, now));
        Ok(Page { items: people, next: page.next, left_out: page.left_out })
    }
}

impl Table {
    async fn people(&self, workspace: WorkspaceId, users: Vec<User>) -> Result<Vec<UserWithDevices>, Error> {
        let ids = users.iter().flat_map(User::known_device_ids).collect();
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

    /// Users by what was typed.
    async fn users_found(
        &self,
        workspace: WorkspaceId,
        query: &Query,
        filter: &UserFilter,
        limit: usize,
        start: Option<Position>,
        now: Time,
    ) -> Result<Page<User>, Error> {
        let source = Source {
            index: None,
            partition: ("pk", rows::words_partition(rows::USERS, workspace)),
            order: "sk",
            range: Range::Prefix(query.leading().to_owned()),
            descending: false,
        };
        let to_row = |item: &Item| {
            let sk = Key::of(item)?.sk;
            Some(rows::user(workspace, UserId::parse(rows::word_and_id(&sk)?.1)?))
        };
        let wanted = |item: &Item, user: &User| {
            let words = user.search_words();
            let found_by = Key::of(item).and_then(|key| Some(rows::word_and_id(&key.sk)?.0.to_owned()));
            query.first_match(&words).map(str::to_owned) == found_by && query.matches(&words) && filter.keeps(user, now)
        };
        self.page(&source, limit, start, to_row, wanted).await
    }

    /// Users by the devices that have something to do. A user with several such devices is listed
    /// by the first of them that the list comes upon, the one that has waited the shortest: should it
    /// be done before the list goes on, the user shows once more rather than not at all.
    async fn users_pending(
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
        let people = self.people(workspace, users).await?;
        let stands_for = |person: &&UserWithDevices, device: &Device| {
            let pending = person.known().filter(|device| device.has_pending_command(now));
            let first = pending.max_by_key(|device| (device.pending_since(), device.device_id));
            first.map(|first| first.device_id) == Some(device.device_id)
        };
        let user_of = |device: &Device| {
            let person = people.iter().find(|person| person.user.user_id == device.user_id);
            person.filter(|person| stands_for(person, device) && filter.keeps(&person.user, now))
        };
        let items = page.items.iter().filter_map(user_of).map(|person| person.user.clone()).collect();
        Ok(Page { items, next: page.next, left_out: page.left_out })
    }
}

impl Table {
    /// What counts the messages of a kind to a recipient, and those of a day in some of its parts; parts that have
    /// counted none are left out.
    pub async fn sent_before(
        &self,
        recipient: &Recipient,
        quota: &DailyQuota,
        shards: &[u8],
    ) -> Result<(Option<RecipientHistory>, Vec<DailyCount>), Error> {
        let to = rows::sent_to(recipient);
        let part = |shard: &u8| rows::sent_today(quota.workspace_id, quota.channel, &quota.day, *shard);
        let parts: Vec<Key> = shards.iter().map(part).collect();
        let found = self.get_many(parts.iter().cloned().chain([to.clone()])).await?;
        let today = parts.iter().filter_map(|key| found.row(key).transpose()).collect::<Result<_, _>>()?;
        Ok((found.row(&to)?, today))
    }

    /// A page of a user's invitations and deployments, the newest first.
    pub async fn list_invitations(
        &self,
        workspace: WorkspaceId,
        user: UserId,
        limit: usize,
        start: Option<Position>,
    ) -> Result<Page<Invitation>, Error> {
        let source = Source::within(rows::user(workspace, user).pk, rows::INVITATION);
        self.rows(&source, limit, start).await
    }

    /// A deployment, by its identifier alone.
    pub async fn deployment(&self, workspace: WorkspaceId, id: InvitationId) -> Result<Option<Invitation>, Error> {
        let pointer: Option<Pointer> = self.get(&rows::pointer(workspace, &id.to_string())).await?;
        match pointer.filter(|pointer| pointer.to_sk.starts_with(rows::INVITATION)) {
            Some(pointer) => self.get(&Key::new(pointer.to_pk, pointer.to_sk)).await,
            None => Ok(None),
        }
    }

    /// The newest deployments of some users; those who have none are left out.
    pub async fn deployments(&self, users: &[&User]) -> Result<BTreeMap<UserId, Invitation>, Error> {
        let key = |user: &&User| {
            let id = user.client.deployment_id?;
            Some((user.user_id, rows::invitation(user.workspace_id, user.user_id, id)))
        };
        let keys: Vec<(UserId, Key)> = users.iter().filter_map(key).collect();
        let found = self.get_many(keys.iter().map(|(_, key)| key.clone())).await?;
        Ok(keys.iter().filter_map(|(user, key)| Some((*user, found.readable(key)?))).collect())
    }

    /// Whose a code is, whether it can still be used or not.
    pub async fn code_owner(&self, hash: &Hash) -> Result<Option<CodeOwner>, Error> {
        self.get(&rows::code(hash)).await
    }

    /// Whose a text message is, by SNS's identifier of it.
    pub async fn message_owner(&self, message_id: &str) -> Result<Option<CodeOwner>, Error> {
        self.get(&rows::text_message(message_id)).await
    }

    /// An invitation, as it is now.
    pub async fn invitation(
        &self,
        workspace: WorkspaceId,
        user: UserId,
        id: InvitationId,
    ) -> Result<Option<Invitation>, Error> {
        self.get(&rows::invitation(workspace, user, id)).await
    }
}

impl Table {
    /// An invitation's code.
    pub async fn invitation_code(&self, id: InvitationId) -> Result<Option<String>, Error> {
        let item = self.get_secret(&rows::invitation_secret(id)).await?;
        Ok(item.and_then(|item| item.get("code")?.as_s().ok().cloned()))
    }

    /// A user's secrets: for a configuration alone.
    pub async fn user_secrets(&self, workspace: WorkspaceId, id: UserId) -> Result<UserSecrets, Error> {
        let item = self.get_secret(&rows::user_secrets(workspace, id)).await?.unwrap_or_default();
        let secret = |kind: &SecretKind| Some((*kind, item.get(kind.as_str())?.as_s().ok()?.clone()));
        Ok(SecretKind::ALL.iter().filter_map(secret).collect())
    }
}

/// The row of an invitation's code. DynamoDB removes it some time after its end, should nothing
/// else have.
pub(crate) fn invitation_secret(id: InvitationId, code: &str, expires_at: Time) -> Item {
    HashMap::from([
        ("pk".to_owned(), AttributeValue::S(rows::invitation_secret(id))),
        ("code".to_owned(), AttributeValue::S(code.to_owned())),
        (TIME_TO_LIVE.to_owned(), AttributeValue::N(expires_at.seconds().to_string())),
    ])
}
