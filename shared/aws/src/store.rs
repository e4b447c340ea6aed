//! The table: one file per kind of object, with its rows, keys, reads and writes. The keys of a kind are built
//! in its file and nowhere else.
//!
//! | row | `pk` | `sk` | indexes |
//! |---|---|---|---|
//! | workspace | `WORKSPACE#{workspace}` | `WORKSPACE` | `due` while it has a rule for silent devices |
//! | user | `USER#{workspace}#{user}` | `USER` | `created`; `deployed` or `not-deployed`, `profile`, `source` until deleted; `deleted` and `due` (purge) once deleted; `due` while a deployment waits |
//! | user's scim attributes | the user's | `SCIM` | |
//! | user's usage of a month | the user's | `USAGE#{month}` | |
//! | workspace's usage of a month | `USAGE#{workspace}#{shard}` | `{month}#{number}` | |
//! | workspace's usage of a month by an earlier release | `USAGE#{workspace}` | `{month}#{shard}` | |
//! | invitation, deployment | `USER#{workspace}#{user}` | `INVITATION#{invitation}` | `due` while its code is kept |
//! | messages sent to a recipient | `SENT#{workspace}#{hash}` | `{channel}#{purpose}` | time to live |
//! | messages of a day | `QUOTA#{workspace}#{channel}#{shard}` | `{day}` | time to live |
//! | device | `DEVICE#{workspace}#{device}` | `DEVICE` | `created`, `owned`; `blocked`, `deleted`, `pending` while it is so; `due` (purge) once deleted |
//! | its details | the device's | `DETAILS` | |
//! | its attachments | the device's | `BELONGINGS` | |
//! | its command | the device's | `COMMAND#{command}` | `due` while it is open |
//! | its push token | the device's | `PUSH` | `due` until its endpoint works |
//! | identifier's claim | `IDENTIFIER#{workspace}#{hash}` | `CLAIM` | |
//! | event | `EVENT#{workspace}#{day}` | `{event}` | `device-events`, `user-events`, `type-events` |
//! | event of a busy day, in a shard above 0 | `EVENT#{workspace}#{day}#{shard}` | `{event}` | the same |
//! | number of shards of a day's events, if more than one | `EVENTS#{workspace}` | `{day}` | |
//! | key | `KEY#{short}` | `KEY` | `created` |
//! | member | `MEMBER#{hash of issuer and subject}` | `{workspace}` | `created` |
//! | personal access token | `TOKEN#{short}` | `TOKEN` | time to live once ended |
//! | its place among its person's | `TOKENS#{hash of issuer and subject}` | `{token}` | time to live with the token |
//! | profile | `PROFILE#{workspace}#{profile}` | `PROFILE` | `created` |
//! | when it was given to users | the profile's | `GIVEN` | |
//! | source | `SOURCE#{workspace}#{source}` | `SOURCE` | `created`; `due` while it has a schedule |
//! | part of its upload | the source's | `PART#{upload}#{number}` | time to live |
//! | its staged rows | the source's | `STAGED#{job}#{attempt}#{number}` | time to live |
//! | by what their users are known | the source's | `KEYS#{job}#{attempt}#{number}` | time to live |
//! | webhook | `WEBHOOKS#{workspace}` | `WEBHOOK#{webhook}` | `due` (calls) while a former secret signs |
//! | delivery | `DELIVERIES#{workspace}#{webhook}#{shard}` | `DELIVERY#{event}` | `due` (calls) while it is pending; time to live |
//! | delivery by an earlier release | `DELIVERIES#{workspace}#{webhook}` | `DELIVERY#{event}` | the same |
//! | webhooks' call slot | `CALLSLOT#{workspace}#{number}` | `SLOT` | time to live |
//! | job | `JOB#{workspace}#{job}` | `JOB` | `created`; `due` while it runs; time to live once ended |
//! | outcome of a job's thing | the job's | `ITEM#{id}` | time to live |
//! | range of a job | `JOBRANGE#{workspace}#{job}#{number}` | `RANGE` | time to live |
//! | page of a range | the range's | `PAGE#{number}` | time to live |
//! | remembered call | `IDEMPOTENCY#{workspace, or hash of issuer and subject}#{hash}` | `IDEMPOTENCY` | time to live |
//! | consumer's lease | `LEASE#{consumer}#{event}` | `LEASE` | time to live |
//! | issuer's keys | `ISSUER` | `KEYS` | |
//!
//! Index rows, which are written with the row in parentheses:
//!
//! | row | `pk` | `sk` | content |
//! |---|---|---|---|
//! | username (user, until deleted) | `USERNAME#{workspace}#{unique form}` | `CLAIM` | `user_id`; unique. Earlier releases also removed accents: see `usernames.rs` |
//! | identity key (user, until deleted) | `IDENTITYKEY#{workspace}#{hash}` | `CLAIM` | `user_id`; unique |
//! | external id (user, until deleted) | `EXTERNALID#{workspace}#{source}#{hash}` | `CLAIM` | `user_id`; unique |
//! | source's username (user renamed by hand, until deleted) | `SOURCENAME#{workspace}#{source}#{hash}` | `CLAIM` | `user_id` |
//! | profile's name (profile) | `PROFILENAME#{workspace}#{folded}` | `CLAIM` | `profile_id`; unique |
//! | what a profile is called (profile) | `CALLED#{workspace}#{profile}` | `CALLED` | `name`, for lists, which need no settings |
//! | day of a user's last login (user) | the user's | `SEEN` | `list`, `login_day`: in the index `seen` |
//! | day of a device's last login (device) | the device's | `SEEN` | `list`, `login_day`: in the index `seen` |
//! | search word (user, device) | `WORD#{workspace}#{kind}#{letter}#{shard}` | `{word}#{id}` | `letter` begins the word |
//! | search word by an earlier release (user, device) | `WORD#{workspace}#{kind}` | `{word}#{id}` | |
//! | code (invitation) | `CODE#{hash}` | `CODE` | the code's owner; unique |
//! | text message (invitation) | `MESSAGE#{message}` | `MESSAGE` | the message's owner, once SNS has accepted it |
//! | endpoint's holder (device) | `ENDPOINT#{hash of the ARN}` | `{workspace}#{device}` | |
//! | credential's holder (attachments, until purged) | `CREDENTIAL#{workspace}#{credential}` | `{device}` | |
//! | pointer (key, member, invitation) | `POINTER#{workspace}#{id}` | `POINTER` | the key of the main row |
//!
//! Derived rows, which `derived.rs` keeps:
//!
//! | row | `pk` | `sk` | content |
//! |---|---|---|---|
//! | user's shadow | the user's | `DERIVED` | what was derived the last time |
//! | device's shadow | the device's | `DERIVED` | the same |
//! | job's shadow | the job's | `DERIVED` | the same, while it runs |
//! | facet's entry | `FACET#{workspace}#{kind}#{facet}#{shard}#{value}` | `{created_at}#{id}` | |
//! | order's entry | `ORDER#{workspace}#{kind}#{order}#{shard}` | `{value, a tab, id}` | |
//! | count of things | `COUNTS#{workspace}#{shard}` | `{kind}#{facet or amount}#{kept or deleted}#{value}` | `n` |
//! | count of events | `COUNTS#{workspace}#{shard}` | `EVENTS#{day}` | `n` |
//! | mark that everything is derived | `DERIVED` | `ALL` | since when |
//!
//! In the secrets' table, by `pk` alone: `INVITATION#{invitation}` has the code of an invitation or a
//! deployment, `USER#{workspace}#{user}` a user's secrets, `SOURCE#{source}` the bearer token of a source, and
//! `WEBHOOK#{webhook}` the secrets that sign a webhook's calls.

pub mod actors;
pub mod attachments;
pub mod commands;
pub mod counts;
pub mod derived;
mod deriving;
pub mod devices;
pub mod due;
pub mod event_shards;
pub mod events;
mod found;
pub mod idempotency;
pub mod issuer_keys;
pub mod jobs;
pub mod keys;
pub mod last_logins;
pub mod leases;
mod lists;
pub mod members;
pub mod message_counts;
pub mod offers;
mod packed;
pub mod profiles;
pub mod push_tokens;
pub mod reindex;
pub mod scim;
pub mod search;
pub mod secrets;
pub mod sources;
pub mod staging;
pub mod tokens;
pub mod usage;
pub mod usernames;
pub mod users;
pub mod webhooks;
pub mod workspaces;

pub use devices::{DeviceDetails, DeviceFilter, Login};
pub use due::DueRow;
pub use events::EventFilter;
pub use found::Found;
pub use leases::LeaseOutcome;
pub use lists::{ListBasis, Times};
pub use reindex::{Restored, StoredRow, StoredRows};
pub use sources::ClaimedBySource;
pub use staging::StagedRowsOf;
pub use usernames::UsernameClaims;
pub use users::{UserFilter, UserWithDevices};
