//! Every kind of row, and its key. No key is made anywhere else.
//!
//! | row | `pk` | `sk` | indexes |
//! |---|---|---|---|
//! | workspace | `WORKSPACE#{workspace}` | `WORKSPACE` | `due` while it has a rule for silent devices |
//! | user | `USER#{workspace}#{user}` | `USER` | `created`, `seen`; `deployed` or `not-deployed`, `profile`, `source` until deleted; `deleted` and `due` (purge) once deleted; `due` while a deployment waits |
//! | user's scim attributes | the user's | `SCIM` | |
//! | user's usage of a month | the user's | `USAGE#{month}` | |
//! | workspace's usage of a month | `USAGE#{workspace}` | `{month}#{shard}` | |
//! | invitation, deployment | `USER#{workspace}#{user}` | `INVITATION#{invitation}` | `due` while its code is kept |
//! | messages sent to a recipient | `SENT#{workspace}#{hash}` | `{channel}#{purpose}` | time to live |
//! | messages of a day | `QUOTA#{workspace}#{channel}#{shard}` | `{day}` | time to live |
//! | device | `DEVICE#{workspace}#{device}` | `DEVICE` | `created`, `owned`, `seen`; `blocked`, `deleted`, `pending` while it is so; `due` (purge) once deleted |
//! | its belongings | the device's | `BELONGINGS` | |
//! | its command | the device's | `COMMAND#{command}` | `due` while it is open |
//! | its push token | the device's | `PUSH` | `due` until its endpoint is settled |
//! | identifier's claim | `IDENTIFIER#{workspace}#{hash}` | `CLAIM` | |
//! | event | `EVENT#{workspace}#{day}` | `{event}` | `device-events`, `user-events`, `type-events` |
//! | key | `KEY#{short}` | `KEY` | `created` |
//! | member | `MEMBER#{hash of issuer and subject}` | `{workspace}` | `created` |
//! | personal access token | `TOKEN#{short}` | `TOKEN` | time to live once over |
//! | its place among its person's | `TOKENS#{hash of issuer and subject}` | `{token}` | time to live with it |
//! | profile | `PROFILE#{workspace}#{profile}` | `PROFILE` | `created` |
//! | when it was given to users | the profile's | `GIVEN` | |
//! | data set | `SOURCE#{workspace}#{source}` | `SOURCE` | `created`; `due` while it is read by schedule |
//! | part of its upload | the data set's | `PART#{upload}#{number}` | time to live |
//! | its staged rows | the data set's | `STAGED#{job}#{attempt}#{number}` | time to live |
//! | by what their users are known | the data set's | `KEYS#{job}#{attempt}#{number}` | time to live |
//! | webhook | `WEBHOOKS#{workspace}` | `WEBHOOK#{webhook}` | `due` (calls) while an earlier secret signs |
//! | delivery | `DELIVERIES#{workspace}#{webhook}` | `DELIVERY#{event}` | `due` (calls) while it is pending; time to live |
//! | job | `JOB#{workspace}#{job}` | `JOB` | `created`; `due` while at work; time to live once over |
//! | outcome of a job's thing | the job's | `ITEM#{id}` | time to live |
//! | remembered call | `IDEMPOTENCY#{workspace, or hash of issuer and subject}#{hash}` | `IDEMPOTENCY` | time to live |
//! | consumer's lease | `LEASE#{consumer}#{event}` | `LEASE` | time to live |
//! | issuer's keys | `ISSUER` | `KEYS` | |
//!
//! Companions, which stand and fall with the row in brackets:
//!
//! | row | `pk` | `sk` | holds |
//! |---|---|---|---|
//! | username [user, until deleted] | `USERNAME#{workspace}#{as it is compared}` | `CLAIM` | `user_id`; unique. Earlier releases left out accents too: see `usernames.rs` |
//! | identity key [user, until deleted] | `IDENTITYKEY#{workspace}#{hash}` | `CLAIM` | `user_id`; unique |
//! | external id [user, until deleted] | `EXTERNALID#{workspace}#{source}#{hash}` | `CLAIM` | `user_id`; unique |
//! | data set's username [user renamed by hand, until deleted] | `SOURCENAME#{workspace}#{source}#{hash}` | `CLAIM` | `user_id` |
//! | profile's name [profile] | `PROFILENAME#{workspace}#{folded}` | `CLAIM` | `profile_id`; unique |
//! | what a profile is called [profile] | `CALLED#{workspace}#{profile}` | `CALLED` | `name`, for lists, which need no settings |
//! | search word [user, device] | `WORD#{workspace}#{kind}` | `{word}#{id}` | |
//! | code [invitation] | `CODE#{hash}` | `CODE` | whose it is; unique |
//! | text message [invitation] | `MESSAGE#{message}` | `MESSAGE` | whose it is, once SNS has taken it |
//! | endpoint's holder [device] | `ENDPOINT#{hash of the ARN}` | `{workspace}#{device}` | |
//! | credential's holder [belongings, until purged] | `CREDENTIAL#{workspace}#{credential}` | `{device}` | |
//! | pointer [key, member, deployment] | `POINTER#{workspace}#{id}` | `POINTER` | the key of its row |
//!
//! In the secrets' table, by `pk` alone: `INVITATION#{invitation}` holds an invitation's or a
//! deployment's code, `USER#{workspace}#{user}` a user's secrets, `SOURCE#{source}` the bearer
//! token of a data set, and `WEBHOOK#{webhook}` the secrets by which a webhook's calls are signed.

use std::collections::{BTreeMap, BTreeSet};

use domain::access::IssuerKeys;
use domain::command::Command;
use domain::device::{Deleted, Device, DeviceAttachments, IdentifierClaim, PushToken};
use domain::event::{Event, EventType};
use domain::idempotency::IdempotencyRecord;
use domain::invitation::{Channel, Invitation, Purpose};
use domain::job::{Job, JobItem, KEPT};
use domain::key::Key as ApiKey;
use domain::member::Member;
use domain::message::{DailyCount, Recipient, RecipientHistory};
use domain::profile::{Profile, ProfileAssignment};
use domain::scim::document::ScimAttributes;
use domain::search::fold;
use domain::secret::Hash;
use domain::source::data::KeyHash;
use domain::source::{DataSource, UPLOAD_KEPT};
use domain::stored::Stored;
use domain::token::{self, Token};
use domain::usage::{Usage, UsageScope};
use domain::user::{Source as UserSource, User, former_username, unique_username};
use domain::webhook::{Delivery, KEPT as DELIVERY_KEPT, Secrets, Webhook};
use domain::workspace::Workspace;
use domain::{
    CommandId, CredentialId, DeviceId, EventId, InvitationId, JobId, ProfileId, SourceId, Time, TokenId, UserId,
    WebhookId, WorkspaceId,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::item::{IndexRow, Key, Read, Row};

/// The attributes of the indexes' keys that follow from a thing's fields. (Some indexes are also ordered by a field,
/// `created_at`.)
pub const INDEXED: &[&str] = &[
    "list",
    "owner",
    "login_day",
    "blocked_at",
    "pending_since",
    "deleted_at",
    "due_shard",
    "due_at",
    "deployed",
    "not_deployed",
    "of_profile",
    "of_source",
    "of_device",
    "of_user",
    "of_type",
];

/// Says of things that are changed that they keep the row that they were read as.
macro_rules! kept {
    ($($thing:ty),+ $(,)?) => {
        $(impl Read for $thing {
            fn stored(&self) -> Option<&Stored> {
                Some(&self.stored)
            }
            fn keep(&mut self, stored: Stored) {
                self.stored = stored;
            }
        })+
    };
}

kept!(
    ApiKey,
    DeviceAttachments,
    Command,
    DataSource,
    Delivery,
    Device,
    Event,
    ProfileAssignment,
    IdentifierClaim,
    Invitation,
    Job,
    ScimAttributes,
    Member,
    Profile,
    PushToken,
    RecipientHistory,
    DailyCount,
    Token,
    Usage,
    User,
    Webhook,
    Workspace,
);

/// Says of things that are only made, replaced and removed that they keep nothing of their row.
macro_rules! not_kept {
    ($($thing:ty),+ $(,)?) => {
        $(impl Read for $thing {})+
    };
}

not_kept!(
    CodeOwner,
    IssuerKeys,
    JobItem,
    Lease,
    Pointer,
    IdempotencyRecord,
    IdempotencyRow,
    Secrets,
    StagedKeys,
    StagedRows,
    TokenPlace,
    UploadPart,
);

/// How many partitions the index of what is due is spread over.
pub const DUE_SHARDS: u8 = 16;

/// A partition of what `run-due` drives.
#[must_use]
pub fn due_shard(shard: u8) -> String {
    format!("DUE#{shard:02}")
}

/// A partition of what `purge-deleted` drives.
#[must_use]
pub fn purge_shard(shard: u8) -> String {
    format!("PURGE#{shard:02}")
}

/// A partition of what `deliver-webhook` drives.
#[must_use]
pub fn calls_shard(shard: u8) -> String {
    format!("CALLS#{shard:02}")
}

/// The attributes by which `deliver-webhook` finds a row.
fn due_calls(key: &Key, at: Time) -> Vec<(&'static str, String)> {
    vec![("due_shard", calls_shard(shard_of(key))), ("due_at", at.to_string())]
}

/// The attributes by which `run-due` finds a row.
fn due(key: &Key, at: Time) -> Vec<(&'static str, String)> {
    vec![("due_shard", due_shard(shard_of(key))), ("due_at", at.to_string())]
}

/// The attributes by which a deleted thing is listed and found by `purge-deleted`.
fn ended(key: &Key, end: &Deleted) -> [(&'static str, String); 3] {
    [
        ("deleted_at", end.at.to_string()),
        ("due_shard", purge_shard(shard_of(key))),
        ("due_at", end.purge_after.to_string()),
    ]
}

fn shard_of(key: &Key) -> u8 {
    Sha256::digest(format!("{}/{}", key.pk, key.sk))[0] % DUE_SHARDS
}

/// A list of a workspace, in the index `created` and those beside it.
#[must_use]
pub fn list(kind: &str, workspace: WorkspaceId) -> String {
    format!("{kind}#{workspace}")
}

/// The partition of the search words of a kind.
#[must_use]
pub fn words_partition(kind: &str, workspace: WorkspaceId) -> String {
    format!("WORD#{workspace}#{kind}")
}

/// The identifier at the end of a search word's sort key.
#[must_use]
pub fn word_and_id(sk: &str) -> Option<(&str, &str)> {
    sk.rsplit_once('#')
}

fn word_companions<'a>(
    kind: &'static str,
    workspace: WorkspaceId,
    id: &'a str,
    words: impl IntoIterator<Item = String> + 'a,
) -> impl Iterator<Item = IndexRow> + 'a {
    words.into_iter().map(move |word| IndexRow {
        key: Key::new(words_partition(kind, workspace), format!("{word}#{id}")),
        attributes: BTreeMap::new(),
        unique: false,
    })
}

/// The key of a workspace.
#[must_use]
pub fn workspace(id: WorkspaceId) -> Key {
    Key::new(format!("WORKSPACE#{id}"), "WORKSPACE")
}

impl Row for Workspace {
    fn key(&self) -> Key {
        workspace(self.workspace_id)
    }
    fn version(&self) -> u64 {
        self.version
    }
    fn indexes(&self) -> Vec<(&'static str, String)> {
        self.silent_rule_at.map(|at| due(&self.key(), at)).unwrap_or_default()
    }
}

/// The list of users, and the kind of their search words.
pub const USERS: &str = "USER";

/// The key of a user.
#[must_use]
pub fn user(workspace: WorkspaceId, id: UserId) -> Key {
    Key::new(format!("USER#{workspace}#{id}"), "USER")
}

/// The user whose row has a key.
#[must_use]
pub fn user_of(key: &Key) -> Option<UserId> {
    UserId::parse(key.pk.rsplit_once('#').filter(|_| key.sk == "USER")?.1)
}

/// The key of a username's claim.
#[must_use]
pub fn username(workspace: WorkspaceId, username: &str) -> Key {
    Key::new(format!("USERNAME#{workspace}#{}", unique_username(username)), "CLAIM")
}

/// The key under which an earlier release has made a username's claim, if it is another one. Whoever holds
/// it may be called otherwise: their own row tells.
#[must_use]
pub fn former_claim(workspace: WorkspaceId, username: &str) -> Option<Key> {
    former_username(username).map(|former| Key::new(format!("USERNAME#{workspace}#{former}"), "CLAIM"))
}

/// The claim of a user to their username.
pub(crate) fn username_claim(user: &User) -> IndexRow {
    IndexRow {
        key: username(user.workspace_id, &user.username),
        attributes: BTreeMap::from([("user_id", user.user_id.to_string())]),
        unique: true,
    }
}

impl Row for User {
    const SETS: &'static [(&'static str, usize)] = &[("device_ids", domain::device::DEVICE_LIMIT)];
    const PARTS: &'static [&'static str] = &["client", "provenance"];
    // Identity providers ask for it.
    const DATED: bool = true;

    fn key(&self) -> Key {
        user(self.workspace_id, self.user_id)
    }
    fn version(&self) -> u64 {
        self.version
    }
    fn indexes(&self) -> Vec<(&'static str, String)> {
        let mut indexes = vec![("list", list(USERS, self.workspace_id))];
        indexes.extend(self.last_seen_at.map(|seen| ("login_day", seen.day())));
        indexes.extend(self.deleted.iter().flat_map(|end| ended(&self.key(), end)));
        if self.deleted.is_none() {
            indexes.extend(self.deployment_due_at.iter().flat_map(|at| due(&self.key(), *at)));
            let profile = self.client.profile_id.map(|id| users_of_profile(self.workspace_id, id));
            let source = self.provenance.source_id.map(|id| users_of_source(self.workspace_id, id));
            indexes.extend(profile.map(|partition| ("of_profile", partition)));
            indexes.extend(source.map(|partition| ("of_source", partition)));
            match self.client.deployment_id {
                Some(_) => indexes.push(("deployed", self.created_at.to_string())),
                None => indexes.push(("not_deployed", self.created_at.to_string())),
            }
        }
        indexes
    }
    fn former_companions(&self) -> BTreeSet<IndexRow> {
        if self.deleted.is_some() {
            return BTreeSet::new();
        }
        let known = self.provenance.source_id.zip(self.provenance.source_username.as_deref());
        let keys = [
            former_claim(self.workspace_id, &self.username),
            known.and_then(|(source, name)| former_source_username(self.workspace_id, source, name)),
        ];
        let own = || BTreeMap::from([("user_id", self.user_id.to_string())]);
        keys.into_iter().flatten().map(|key| IndexRow { key, attributes: own(), unique: true }).collect()
    }
    fn index_rows(&self) -> BTreeSet<IndexRow> {
        let id = self.user_id.to_string();
        // A deleted user's name is free for another.
        let claim = self.deleted.is_none().then(|| username_claim(self));
        let known = self.user_identity_key.as_deref().filter(|_| self.deleted.is_none()).map(|name| IndexRow {
            key: identity_key(self.workspace_id, name),
            attributes: BTreeMap::from([("user_id", id.clone())]),
            unique: true,
        });
        let external = self.deleted.is_none().then(|| claimed_external_id(self)).flatten().map(|key| IndexRow {
            key,
            attributes: BTreeMap::from([("user_id", id.clone())]),
            unique: true,
        });
        // Not unique: whoever is renamed by hand must not be in a data set's way. It is checked by the user.
        let followed = self.deleted.is_none().then(|| known_to_source(self)).flatten().map(|key| IndexRow {
            key,
            attributes: BTreeMap::from([("user_id", id.clone())]),
            unique: false,
        });
        let words = word_companions(USERS, self.workspace_id, &id, self.search_words());
        words.chain(claim).chain(known).chain(external).chain(followed).collect()
    }
    fn vacant(&self) -> BTreeSet<Key> {
        let former = || former_claim(self.workspace_id, &self.username);
        self.deleted.is_none().then(former).flatten().into_iter().collect()
    }
}

/// The key of the claim to the key by which programs know a user.
#[must_use]
pub fn identity_key(workspace: WorkspaceId, name: &str) -> Key {
    Key::new(format!("IDENTITYKEY#{workspace}#{}", Hash::of(name).as_str()), "CLAIM")
}

/// The key of what is kept of what an identity provider says of a user.
#[must_use]
pub fn scim_attributes(workspace: WorkspaceId, id: UserId) -> Key {
    Key::new(user(workspace, id).pk, "SCIM")
}

impl Row for ScimAttributes {
    fn key(&self) -> Key {
        scim_attributes(self.workspace_id, self.user_id)
    }
    fn version(&self) -> u64 {
        self.version
    }
}

/// The key of the claim that a user has to their name in their data set, or else with the identity
/// provider.
fn claimed_external_id(user: &User) -> Option<Key> {
    let source = match user.source {
        // So does one of a kind that another release knows.
        UserSource::Csv | UserSource::Http | UserSource::Unknown(_) => Some(user.provenance.source_id?),
        UserSource::Scim | UserSource::Api | UserSource::Console => None,
    };
    let name = user.provenance.external_id.as_deref()?;
    Some(external_id(user.workspace_id, source, name))
}

/// The key of the claim to a name in a data set, or with an identity provider.
#[must_use]
pub fn external_id(workspace: WorkspaceId, source: Option<SourceId>, name: &str) -> Key {
    let scope = source.map_or_else(|| "SCIM".to_owned(), |id| id.to_string());
    Key::new(format!("EXTERNALID#{workspace}#{scope}#{}", Hash::of(name).as_str()), "CLAIM")
}

/// The key by which a user is found by the username that their data set knows them by.
fn known_to_source(user: &User) -> Option<Key> {
    let name = user.provenance.source_username.as_deref()?;
    Some(source_username(user.workspace_id, user.provenance.source_id?, name))
}

/// The key of a username that a data set knows a user by who is called otherwise.
#[must_use]
pub fn source_username(workspace: WorkspaceId, source: SourceId, name: &str) -> Key {
    Key::new(format!("SOURCENAME#{workspace}#{source}#{}", Hash::of(unique_username(name)).as_str()), "CLAIM")
}

/// The key that an earlier release has made for it, if it is another one.
#[must_use]
pub fn former_source_username(workspace: WorkspaceId, source: SourceId, name: &str) -> Option<Key> {
    let former = Hash::of(former_username(name)?);
    Some(Key::new(format!("SOURCENAME#{workspace}#{source}#{}", former.as_str()), "CLAIM"))
}

/// The first part of an invitation's sort key.
pub const INVITATION: &str = "INVITATION#";

/// The key of an invitation.
#[must_use]
pub fn invitation(workspace: WorkspaceId, user_id: UserId, id: InvitationId) -> Key {
    Key::new(user(workspace, user_id).pk, format!("{INVITATION}{id}"))
}

/// The key of a code.
#[must_use]
pub fn code(hash: &Hash) -> Key {
    Key::new(format!("CODE#{}", hash.as_str()), "CODE")
}

/// The key of a text message, by the identifier that SNS gave it.
#[must_use]
pub fn text_message(message_id: &str) -> Key {
    Key::new(format!("MESSAGE#{message_id}"), "MESSAGE")
}

/// Whose a code is, or a text message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeOwner {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The user.
    pub user_id: UserId,
    /// The invitation.
    pub invitation_id: InvitationId,
}

/// The key of an invitation's secret.
#[must_use]
pub fn invitation_secret(id: InvitationId) -> String {
    format!("INVITATION#{id}")
}

/// The key of a user's secrets.
#[must_use]
pub fn user_secrets(workspace: WorkspaceId, id: UserId) -> String {
    user(workspace, id).pk
}

impl Row for Invitation {
    fn key(&self) -> Key {
        invitation(self.workspace_id, self.user_id, self.invitation_id)
    }
    fn version(&self) -> u64 {
        self.version
    }
    fn indexes(&self) -> Vec<(&'static str, String)> {
        if !self.keeps_code() {
            return Vec::new();
        }
        due(&self.key(), self.expires_at)
    }
    fn index_rows(&self) -> BTreeSet<IndexRow> {
        let owner = BTreeMap::from([
            ("workspace_id", self.workspace_id.to_string()),
            ("user_id", self.user_id.to_string()),
            ("invitation_id", self.invitation_id.to_string()),
        ]);
        // What SNS reports of a text names it by its identifier alone.
        let texted = self.delivery.message_id.as_deref().filter(|_| self.channel == Channel::Sms);
        let texted = texted.map(|id| IndexRow { key: text_message(id), attributes: owner.clone(), unique: false });
        let code = IndexRow { key: code(&self.code_hash), attributes: owner, unique: true };
        // A deployment is asked for by its identifier alone.
        let asked = self.purpose == Purpose::Deploy;
        let pointer = asked.then(|| pointer_companion(self.workspace_id, &self.invitation_id.to_string(), &self.key()));
        texted.into_iter().chain([code]).chain(pointer).collect()
    }
}

/// The key of what counts the messages of a kind to a recipient.
#[must_use]
pub fn sent_to(recipient: &Recipient) -> Key {
    let Recipient { workspace_id, hash, purpose, channel } = recipient;
    Key::new(format!("SENT#{workspace_id}#{}", hash.as_str()), format!("{channel}#{purpose}"))
}

impl Row for RecipientHistory {
    fn key(&self) -> Key {
        let Self { workspace_id, recipient, purpose, channel, .. } = self.clone();
        sent_to(&Recipient { workspace_id, hash: recipient, purpose, channel })
    }
    fn version(&self) -> u64 {
        self.version
    }
    fn time_to_live(&self) -> Option<i64> {
        self.at.last().map(|last| last.plus(chrono::Duration::days(2)).seconds())
    }
}

/// The key of what counts a part of a day's messages. The parts have partitions of their own.
#[must_use]
pub fn sent_today(workspace: WorkspaceId, channel: Channel, day: &str, shard: u8) -> Key {
    Key::new(format!("QUOTA#{workspace}#{channel}#{shard:02}"), day)
}

impl Row for DailyCount {
    fn key(&self) -> Key {
        sent_today(self.workspace_id, self.channel, &self.day, self.shard)
    }
    fn version(&self) -> u64 {
        self.version
    }
    fn time_to_live(&self) -> Option<i64> {
        let day = Time::parse(&format!("{}T00:00:00Z", self.day))?;
        Some(day.plus(chrono::Duration::days(3)).seconds())
    }
}

/// The list of devices, and the kind of their search words.
pub const DEVICES: &str = "DEVICE";

/// The key of a device.
#[must_use]
pub fn device(workspace: WorkspaceId, id: DeviceId) -> Key {
    Key::new(format!("DEVICE#{workspace}#{id}"), "DEVICE")
}

/// The partition of a user's devices in the index `owned`.
#[must_use]
pub fn owner(workspace: WorkspaceId, id: UserId) -> String {
    format!("{workspace}#{id}")
}

/// The partition of an endpoint's holders.
#[must_use]
pub fn endpoint_partition(endpoint: &str) -> String {
    format!("ENDPOINT#{}", Hash::of(endpoint).as_str())
}

/// The device that a holder's sort key names.
#[must_use]
pub fn endpoint_holder(sk: &str) -> Option<(WorkspaceId, DeviceId)> {
    let (workspace, device) = sk.split_once('#')?;
    Some((WorkspaceId::parse(workspace)?, DeviceId::parse(device)?))
}

/// The fields of a device that its row's key and owner tell: with these left out, a row whose
/// texts are all as long as they may be is still written by one unit.
#[must_use]
pub fn told(pk: Option<&str>, sk: Option<&str>, owner: Option<&str>) -> Vec<(&'static str, String)> {
    let told = || {
        let (workspace, device) = pk?.strip_prefix("DEVICE#")?.split_once('#').filter(|_| sk == Some("DEVICE"))?;
        let (_, user) = owner?.split_once('#')?;
        Some([("workspace_id", workspace), ("device_id", device), ("user_id", user)])
    };
    told().into_iter().flatten().map(|(name, value)| (name, value.to_owned())).collect()
}

impl Row for Device {
    const TOLD: &'static [&'static str] = &["workspace_id", "device_id", "user_id"];

    fn key(&self) -> Key {
        device(self.workspace_id, self.device_id)
    }
    fn version(&self) -> u64 {
        self.version
    }
    fn indexes(&self) -> Vec<(&'static str, String)> {
        let mut indexes =
            vec![("list", list(DEVICES, self.workspace_id)), ("owner", owner(self.workspace_id, self.user_id))];
        if let Some(login) = self.last_login_at {
            indexes.push(("login_day", login.day()));
        }
        if let Some(blocked) = &self.blocked {
            indexes.push(("blocked_at", blocked.at.to_string()));
        }
        if let Some(since) = self.pending_since() {
            indexes.push(("pending_since", since.to_string()));
        }
        indexes.extend(self.deleted.iter().flat_map(|end| ended(&self.key(), end)));
        indexes
    }
    fn index_rows(&self) -> BTreeSet<IndexRow> {
        let id = self.device_id.to_string();
        let holder = self.push_endpoint.as_deref().map(|endpoint| IndexRow {
            key: Key::new(endpoint_partition(endpoint), format!("{}#{}", self.workspace_id, self.device_id)),
            attributes: BTreeMap::new(),
            unique: false,
        });
        word_companions(DEVICES, self.workspace_id, &id, self.search_words()).chain(holder).collect()
    }
}

/// The key of what belongs to a device.
#[must_use]
pub fn attachments(workspace: WorkspaceId, id: DeviceId) -> Key {
    Key::new(device(workspace, id).pk, "BELONGINGS")
}

/// The partition of the devices that hold an access credential.
#[must_use]
pub fn credential_holders(workspace: WorkspaceId, id: CredentialId) -> String {
    format!("CREDENTIAL#{workspace}#{id}")
}

impl Row for DeviceAttachments {
    fn key(&self) -> Key {
        attachments(self.workspace_id, self.device_id)
    }
    fn version(&self) -> u64 {
        self.version
    }
    fn index_rows(&self) -> BTreeSet<IndexRow> {
        let holder = |id: &CredentialId| IndexRow {
            key: Key::new(credential_holders(self.workspace_id, *id), self.device_id.to_string()),
            attributes: BTreeMap::new(),
            unique: false,
        };
        self.credentials.keys().map(holder).collect()
    }
}

/// The key of a device's push token.
#[must_use]
pub fn push_token(workspace: WorkspaceId, id: DeviceId) -> Key {
    Key::new(device(workspace, id).pk, "PUSH")
}

impl Row for PushToken {
    fn key(&self) -> Key {
        push_token(self.workspace_id, self.device_id)
    }
    fn version(&self) -> u64 {
        self.version
    }
    fn indexes(&self) -> Vec<(&'static str, String)> {
        self.mend_at.map(|at| due(&self.key(), at)).unwrap_or_default()
    }
}

/// The first part of a command's sort key.
pub const COMMAND: &str = "COMMAND#";

/// The key of a command.
#[must_use]
pub fn command(workspace: WorkspaceId, device_id: DeviceId, id: CommandId) -> Key {
    Key::new(device(workspace, device_id).pk, format!("{COMMAND}{id}"))
}

impl Row for Command {
    fn key(&self) -> Key {
        command(self.workspace_id, self.device_id, self.command_id)
    }
    fn version(&self) -> u64 {
        self.version
    }
    fn indexes(&self) -> Vec<(&'static str, String)> {
        if self.is_open() { due(&self.key(), self.expires_at) } else { Vec::new() }
    }
}

/// The first part of the sort key of a user's usage.
pub const USAGE: &str = "USAGE#";

/// The partition of a workspace's usage.
#[must_use]
pub fn workspace_usage(workspace: WorkspaceId) -> String {
    format!("{USAGE}{workspace}")
}

/// The key of the usage of a month.
#[must_use]
pub fn usage(workspace: WorkspaceId, of: UsageScope, month: &str) -> Key {
    match of {
        UsageScope::User(id) => Key::new(user(workspace, id).pk, format!("{USAGE}{month}")),
        UsageScope::Shard(shard) => Key::new(workspace_usage(workspace), format!("{month}#{shard:02}")),
    }
}

impl Row for Usage {
    fn key(&self) -> Key {
        usage(self.workspace_id, self.of, &self.month)
    }
    fn version(&self) -> u64 {
        self.version
    }
}

/// The list of profiles.
pub const PROFILES: &str = "PROFILE";

/// The key of a profile.
#[must_use]
pub fn profile(workspace: WorkspaceId, id: ProfileId) -> Key {
    Key::new(format!("PROFILE#{workspace}#{id}"), "PROFILE")
}

/// The key of a profile's name.
#[must_use]
pub fn profile_name(workspace: WorkspaceId, name: &str) -> Key {
    Key::new(format!("PROFILENAME#{workspace}#{}", fold(name)), "CLAIM")
}

/// The key of what a profile is called.
#[must_use]
pub fn profile_called(workspace: WorkspaceId, id: ProfileId) -> Key {
    Key::new(format!("CALLED#{workspace}#{id}"), "CALLED")
}

/// The partition of the users of a profile in the index `profile`.
#[must_use]
pub fn users_of_profile(workspace: WorkspaceId, id: ProfileId) -> String {
    format!("{workspace}#{id}")
}

impl Row for Profile {
    fn key(&self) -> Key {
        profile(self.workspace_id, self.profile_id)
    }
    fn version(&self) -> u64 {
        self.version
    }
    fn indexes(&self) -> Vec<(&'static str, String)> {
        vec![("list", list(PROFILES, self.workspace_id))]
    }
    fn index_rows(&self) -> BTreeSet<IndexRow> {
        let claim = IndexRow {
            key: profile_name(self.workspace_id, &self.name),
            attributes: BTreeMap::from([("profile_id", self.profile_id.to_string())]),
            unique: true,
        };
        let called = IndexRow {
            key: profile_called(self.workspace_id, self.profile_id),
            attributes: BTreeMap::from([("name", self.name.clone())]),
            unique: false,
        };
        BTreeSet::from([claim, called])
    }
}

/// The key of when a profile was given to users.
#[must_use]
pub fn profile_given(workspace: WorkspaceId, id: ProfileId) -> Key {
    Key::new(profile(workspace, id).pk, "GIVEN")
}

impl Row for ProfileAssignment {
    fn key(&self) -> Key {
        profile_given(self.workspace_id, self.profile_id)
    }
    fn version(&self) -> u64 {
        self.version
    }
}

/// The partition of the users of a data set in the index `source`.
#[must_use]
pub fn users_of_source(workspace: WorkspaceId, id: SourceId) -> String {
    format!("{workspace}#{id}")
}

/// The list of data sets.
pub const SOURCES: &str = "SOURCE";
/// The first part of the sort keys of an upload's parts.
pub const PART: &str = "PART#";
/// The first part of the sort keys of staged rows.
pub const STAGED: &str = "STAGED#";
/// The first part of the sort keys of what tells by what the users of staged rows are known.
pub const STAGED_KEYS: &str = "KEYS#";

/// The key of a data set.
#[must_use]
pub fn source(workspace: WorkspaceId, id: SourceId) -> Key {
    Key::new(format!("SOURCE#{workspace}#{id}"), "SOURCE")
}

/// The key of a data set's bearer token.
#[must_use]
pub fn source_secret(id: SourceId) -> String {
    format!("SOURCE#{id}")
}

impl Row for DataSource {
    fn key(&self) -> Key {
        source(self.workspace_id, self.source_id)
    }
    fn version(&self) -> u64 {
        self.version
    }
    fn indexes(&self) -> Vec<(&'static str, String)> {
        let mut indexes = vec![("list", list(SOURCES, self.workspace_id))];
        indexes.extend(self.due_at.iter().flat_map(|at| due(&self.key(), *at)));
        indexes
    }
}

/// The sort keys of the parts of an upload begin so.
#[must_use]
pub fn parts_of(upload: Uuid) -> String {
    format!("{PART}{upload}#")
}

/// A part of an upload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UploadPart {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The data set.
    pub source_id: SourceId,
    /// The upload.
    pub upload_id: Uuid,
    /// Its number, from 1.
    pub number: u32,
    /// Its bytes.
    pub bytes: serde_bytes::ByteBuf,
    /// When it came.
    pub at: Time,
}

impl Row for UploadPart {
    fn key(&self) -> Key {
        let pk = source(self.workspace_id, self.source_id).pk;
        Key::new(pk, format!("{}{:03}", parts_of(self.upload_id), self.number))
    }
    fn version(&self) -> u64 {
        1
    }
    fn time_to_live(&self) -> Option<i64> {
        Some(self.at.plus(UPLOAD_KEPT).seconds())
    }
}

/// Where one taking in of a data set is staged: a repeat of it has a place of its own, so that two can
/// never be mixed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedKey {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The data set.
    pub source_id: SourceId,
    /// The job.
    pub job_id: JobId,
    /// Which taking in.
    pub attempt: Uuid,
}

impl StagedKey {
    /// The sort keys of what the job has staged begin so.
    #[must_use]
    pub fn of_job(kind: &str, job: JobId) -> String {
        format!("{kind}{job}#")
    }

    fn key(&self, kind: &str, number: u32) -> Key {
        let pk = source(self.workspace_id, self.source_id).pk;
        Key::new(pk, format!("{}{}#{number:05}", Self::of_job(kind, self.job_id), self.attempt))
    }

    /// The key of staged rows.
    #[must_use]
    pub fn rows(&self, number: u32) -> Key {
        self.key(STAGED, number)
    }

    /// The key of by what their users are known.
    #[must_use]
    pub fn keys(&self, number: u32) -> Key {
        self.key(STAGED_KEYS, number)
    }
}

/// Rows of a data set, until its sync is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StagedRows {
    /// Where.
    #[serde(flatten)]
    pub stage: StagedKey,
    /// Their number, from 0.
    pub number: u32,
    /// The rows as JSON, compressed (zlib).
    pub rows: serde_bytes::ByteBuf,
    /// When they were staged.
    pub at: Time,
}

impl Row for StagedRows {
    fn key(&self) -> Key {
        self.stage.rows(self.number)
    }
    fn version(&self) -> u64 {
        1
    }
    fn time_to_live(&self) -> Option<i64> {
        Some(self.at.plus(UPLOAD_KEPT).seconds())
    }
}

/// By what the users of a data set's rows are known, until its sync is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StagedKeys {
    /// Where.
    #[serde(flatten)]
    pub stage: StagedKey,
    /// Their number, from 0.
    pub number: u32,
    /// The hashes, eight bytes each, the highest first.
    pub keys: serde_bytes::ByteBuf,
    /// When they were staged.
    pub at: Time,
}

impl StagedKeys {
    /// Hashes as they are kept.
    #[must_use]
    pub fn bytes_of(keys: &[KeyHash]) -> serde_bytes::ByteBuf {
        serde_bytes::ByteBuf::from(keys.iter().flat_map(|key| key.to_be_bytes()).collect::<Vec<u8>>())
    }

    /// The hashes.
    #[must_use]
    pub fn hashes(&self) -> Vec<KeyHash> {
        self.keys.chunks_exact(8).map(|bytes| bytes.iter().fold(0, |hash, byte| hash << 8 | u64::from(*byte))).collect()
    }
}

impl Row for StagedKeys {
    fn key(&self) -> Key {
        self.stage.keys(self.number)
    }
    fn version(&self) -> u64 {
        1
    }
    fn time_to_live(&self) -> Option<i64> {
        Some(self.at.plus(UPLOAD_KEPT).seconds())
    }
}

/// The first part of a webhook's sort key.
pub const WEBHOOK: &str = "WEBHOOK#";
/// The first part of a delivery's sort key.
pub const DELIVERY: &str = "DELIVERY#";

/// The partition of a workspace's webhooks.
#[must_use]
pub fn webhooks(workspace: WorkspaceId) -> String {
    format!("WEBHOOKS#{workspace}")
}

/// The key of a webhook.
#[must_use]
pub fn webhook(workspace: WorkspaceId, id: WebhookId) -> Key {
    Key::new(webhooks(workspace), format!("{WEBHOOK}{id}"))
}

/// The key of a webhook's secrets.
#[must_use]
pub fn webhook_secrets(id: WebhookId) -> String {
    format!("{WEBHOOK}{id}")
}

impl Row for Webhook {
    fn key(&self) -> Key {
        webhook(self.workspace_id, self.webhook_id)
    }
    fn version(&self) -> u64 {
        self.version
    }
    fn indexes(&self) -> Vec<(&'static str, String)> {
        self.earlier_secret_until.map(|until| due_calls(&self.key(), until)).unwrap_or_default()
    }
}

/// The partition of a webhook's deliveries.
#[must_use]
pub fn deliveries(workspace: WorkspaceId, id: WebhookId) -> String {
    format!("DELIVERIES#{workspace}#{id}")
}

/// The key of the delivery of an event to a webhook.
#[must_use]
pub fn delivery(workspace: WorkspaceId, id: WebhookId, event: EventId) -> Key {
    Key::new(deliveries(workspace, id), format!("{DELIVERY}{event}"))
}

impl Row for Delivery {
    fn key(&self) -> Key {
        delivery(self.workspace_id, self.webhook_id, self.event_id)
    }
    fn version(&self) -> u64 {
        self.version
    }
    fn indexes(&self) -> Vec<(&'static str, String)> {
        self.next_at.map(|at| due_calls(&self.key(), at)).unwrap_or_default()
    }
    fn time_to_live(&self) -> Option<i64> {
        Some(self.created_at.plus(DELIVERY_KEPT).seconds())
    }
}

/// The list of jobs.
pub const JOBS: &str = "JOB";
/// The first part of the sort key of what became of a job's thing.
pub const ITEM: &str = "ITEM#";

/// The key of a job.
#[must_use]
pub fn job(workspace: WorkspaceId, id: JobId) -> Key {
    Key::new(format!("JOB#{workspace}#{id}"), "JOB")
}

impl Row for Job {
    fn key(&self) -> Key {
        job(self.workspace_id, self.job_id)
    }
    fn version(&self) -> u64 {
        self.version
    }
    fn indexes(&self) -> Vec<(&'static str, String)> {
        let mut indexes = vec![("list", list(JOBS, self.workspace_id))];
        indexes.extend(self.due_at.iter().flat_map(|at| due(&self.key(), *at)));
        indexes
    }
    fn time_to_live(&self) -> Option<i64> {
        self.ended_at.map(|ended| ended.plus(KEPT).seconds())
    }
}

/// The key of what became of a job's thing.
#[must_use]
pub fn job_item(workspace: WorkspaceId, job_id: JobId, id: &str) -> Key {
    Key::new(job(workspace, job_id).pk, format!("{ITEM}{id}"))
}

impl Row for JobItem {
    fn key(&self) -> Key {
        job_item(self.workspace_id, self.job_id, &self.id)
    }
    fn version(&self) -> u64 {
        1
    }
    fn time_to_live(&self) -> Option<i64> {
        Some(self.at.plus(KEPT).seconds())
    }
}

/// The key of an identifier's claim.
#[must_use]
pub fn identifier(workspace: WorkspaceId, identifier: &str) -> Key {
    Key::new(format!("IDENTIFIER#{workspace}#{}", Hash::of(identifier).as_str()), "CLAIM")
}

impl Row for IdentifierClaim {
    fn key(&self) -> Key {
        identifier(self.workspace_id, &self.device_identifier)
    }
    fn version(&self) -> u64 {
        self.version
    }
}

/// The partition of a day's events.
#[must_use]
pub fn events_of_day(workspace: WorkspaceId, day: &str) -> String {
    format!("EVENT#{workspace}#{day}")
}

/// The key of an event.
#[must_use]
pub fn event(workspace: WorkspaceId, id: EventId, at: Time) -> Key {
    Key::new(events_of_day(workspace, &at.day()), id.to_string())
}

/// The partition of a device's events in the index `device-events`.
#[must_use]
pub fn events_of_device(workspace: WorkspaceId, id: DeviceId) -> String {
    format!("{workspace}#{id}")
}

/// The partition of a user's events in the index `user-events`.
#[must_use]
pub fn events_of_user(workspace: WorkspaceId, id: UserId) -> String {
    format!("{workspace}#{id}")
}

/// The partition of a type's events in the index `type-events`.
#[must_use]
pub fn events_of_type(workspace: WorkspaceId, event_type: EventType) -> String {
    format!("{workspace}#{event_type}")
}

impl Row for Event {
    const VERSIONED: bool = false;

    fn key(&self) -> Key {
        event(self.workspace_id, self.event_id, self.created_at)
    }
    fn version(&self) -> u64 {
        1
    }
    fn indexes(&self) -> Vec<(&'static str, String)> {
        let device = self.device_id.map(|id| ("of_device", events_of_device(self.workspace_id, id)));
        let user = self.user_id.map(|id| ("of_user", events_of_user(self.workspace_id, id)));
        let event_type = ("of_type", events_of_type(self.workspace_id, self.event_type));
        [device, user, Some(event_type)].into_iter().flatten().collect()
    }
}

/// The list of keys.
pub const KEYS: &str = "KEY";

/// The key of an API key.
#[must_use]
pub fn api_key(short: &str) -> Key {
    Key::new(format!("KEY#{short}"), "KEY")
}

/// The key of a pointer.
#[must_use]
pub fn pointer(workspace: WorkspaceId, id: &str) -> Key {
    Key::new(format!("POINTER#{workspace}#{id}"), "POINTER")
}

/// The row that a pointer leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    /// Its partition.
    pub to_pk: String,
    /// Its sort key.
    pub to_sk: String,
}

fn pointer_companion(workspace: WorkspaceId, id: &str, to: &Key) -> IndexRow {
    IndexRow {
        key: pointer(workspace, id),
        attributes: BTreeMap::from([("to_pk", to.pk.clone()), ("to_sk", to.sk.clone())]),
        unique: true,
    }
}

impl Row for ApiKey {
    fn key(&self) -> Key {
        api_key(&self.short)
    }
    fn version(&self) -> u64 {
        self.version
    }
    fn indexes(&self) -> Vec<(&'static str, String)> {
        vec![("list", list(KEYS, self.workspace_id))]
    }
    fn index_rows(&self) -> BTreeSet<IndexRow> {
        BTreeSet::from([pointer_companion(self.workspace_id, &self.key_id.to_string(), &self.key())])
    }
}

/// The list of members.
pub const MEMBERS: &str = "MEMBER";

/// What a person is called in keys: nothing that tells who they are.
#[must_use]
pub fn person_hash(issuer: &str, subject: &str) -> Hash {
    // The length keeps apart what would read the same when joined.
    Hash::of(format!("{}|{issuer}|{subject}", issuer.len()))
}

/// The partition of a person's memberships.
#[must_use]
pub fn person(issuer: &str, subject: &str) -> String {
    format!("MEMBER#{}", person_hash(issuer, subject).as_str())
}

/// The key of a membership.
#[must_use]
pub fn member(workspace: WorkspaceId, issuer: &str, subject: &str) -> Key {
    Key::new(person(issuer, subject), workspace.to_string())
}

impl Row for Member {
    fn key(&self) -> Key {
        member(self.workspace_id, &self.issuer, &self.subject)
    }
    fn version(&self) -> u64 {
        self.version
    }
    fn indexes(&self) -> Vec<(&'static str, String)> {
        vec![("list", list(MEMBERS, self.workspace_id))]
    }
    fn index_rows(&self) -> BTreeSet<IndexRow> {
        BTreeSet::from([pointer_companion(self.workspace_id, &self.member_id.to_string(), &self.key())])
    }
}

/// The key of a personal access token.
#[must_use]
pub fn token(short: &str) -> Key {
    Key::new(format!("TOKEN#{short}"), "TOKEN")
}

/// The partition of the places of a person's tokens.
#[must_use]
pub fn tokens_of(issuer: &str, subject: &str) -> String {
    format!("TOKENS#{}", person_hash(issuer, subject).as_str())
}

/// The key of a token's place among its person's.
#[must_use]
pub fn token_place(issuer: &str, subject: &str, id: TokenId) -> Key {
    Key::new(tokens_of(issuer, subject), id.to_string())
}

impl Row for Token {
    fn key(&self) -> Key {
        token(&self.short)
    }
    fn version(&self) -> u64 {
        self.version
    }
    fn time_to_live(&self) -> Option<i64> {
        Some(self.expires_at.plus(token::KEPT).seconds())
    }
}

/// Where a token stands among its person's: a row of its own and no companion, since it ends by its time to live,
/// as the token does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenPlace {
    /// Its partition, of the person.
    #[serde(skip)]
    pub pk: String,
    /// The token's identifier.
    pub token_id: TokenId,
    /// The part of the token that names it.
    pub short: String,
    /// Until when the token is kept.
    pub kept_until: Time,
}

impl TokenPlace {
    /// The place of a token.
    #[must_use]
    pub fn of(token: &Token) -> Self {
        Self {
            pk: tokens_of(&token.issuer, &token.subject),
            token_id: token.token_id,
            short: token.short.clone(),
            kept_until: token.expires_at.plus(token::KEPT),
        }
    }
}

impl Row for TokenPlace {
    fn key(&self) -> Key {
        Key::new(self.pk.clone(), self.token_id.to_string())
    }
    fn version(&self) -> u64 {
        1
    }
    fn time_to_live(&self) -> Option<i64> {
        Some(self.kept_until.seconds())
    }
}

/// What is remembered of a creating call, with the key under which it is found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IdempotencyRow {
    /// Its partition.
    #[serde(skip)]
    pub pk: String,
    /// What is remembered.
    #[serde(flatten)]
    pub remembered: IdempotencyRecord,
}

/// The partition of a call by a principal to an operation under an idempotency key: in a workspace, or of a
/// person alone.
#[must_use]
pub fn call(place: impl std::fmt::Display, principal: &str, operation: &str, idempotency_key: &str) -> String {
    let hash = Hash::of(format!("{principal}|{operation}|{idempotency_key}"));
    format!("IDEMPOTENCY#{place}#{}", hash.as_str())
}

/// The sort key of remembered calls.
pub const CALL: &str = "IDEMPOTENCY";

impl Row for IdempotencyRow {
    fn key(&self) -> Key {
        Key::new(self.pk.clone(), CALL)
    }
    fn version(&self) -> u64 {
        1
    }
    fn time_to_live(&self) -> Option<i64> {
        Some(self.remembered.expires_at.seconds())
    }
}

/// The key of a consumer's lease of an event.
#[must_use]
pub fn lease(consumer: &str, event: EventId) -> Key {
    Key::new(format!("LEASE#{consumer}#{event}"), "LEASE")
}

/// A consumer's hold on an event, and then the mark that it is done with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lease {
    /// Who.
    pub consumer: String,
    /// The event.
    pub event_id: EventId,
    /// Until when nobody else takes it up.
    pub held_until: Time,
    /// When it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_at: Option<Time>,
    /// When the row may go.
    pub forget_at: Time,
    /// Tells one hold from the next.
    pub version: u64,
}

impl Row for Lease {
    fn key(&self) -> Key {
        lease(&self.consumer, self.event_id)
    }
    fn version(&self) -> u64 {
        self.version
    }
    fn time_to_live(&self) -> Option<i64> {
        Some(self.forget_at.seconds())
    }
}

/// The key of the issuer's keys.
#[must_use]
pub fn issuer_keys() -> Key {
    Key::new("ISSUER", "KEYS")
}

impl Row for IssuerKeys {
    fn key(&self) -> Key {
        issuer_keys()
    }
    fn version(&self) -> u64 {
        1
    }
}
