//! What has an identifier, and whose number ends with some digits.

use domain::error::Error;
use domain::models::device::Device;
use domain::models::job::Job;
use domain::models::key::ApiKey;
use domain::models::offer::Offer;
use domain::models::profile::Profile;
use domain::models::source::DataSource;
use domain::models::user::User;
use domain::rules::derived::{Order, ThingKind};
use domain::search::from_the_end;
use domain::{DeviceId, JobId, ProfileId, SourceId, UserId, WorkspaceId};
use uuid::Uuid;

use crate::item::RowKey;
use crate::list::Range;
use crate::store::devices::device_key;
use crate::store::jobs::job_key;
use crate::store::keys::{Pointer, pointer_key};
use crate::store::lists::Walk;
use crate::store::offers::INVITATION;
use crate::store::profiles::profile_key;
use crate::store::sources::source_key;
use crate::store::users::user_key;
use crate::table::Table;

/// What has an identifier; at most one.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// A user.
    pub user: Option<User>,
    /// A device.
    pub device: Option<Device>,
    /// A job.
    pub job: Option<Job>,
    /// A profile.
    pub profile: Option<Profile>,
    /// A source.
    pub source: Option<DataSource>,
    /// An invitation or a deployment.
    pub offer: Option<Offer>,
    /// A key.
    pub key: Option<ApiKey>,
}

impl Table {
    /// What has an identifier in a workspace, to be shown: an unreadable row is left out.
    pub async fn found_by_id(&self, workspace: WorkspaceId, id: Uuid) -> Result<Found, Error> {
        let user = user_key(workspace, UserId(id));
        let device = device_key(workspace, DeviceId(id));
        let job = job_key(workspace, JobId(id));
        let profile = profile_key(workspace, ProfileId(id));
        let source = source_key(workspace, SourceId(id));
        let pointer = pointer_key(workspace, &id.to_string());
        let keys = [&user, &device, &job, &profile, &source, &pointer];
        let found = self.get_many(keys.map(RowKey::clone)).await?;
        let to = found.readable::<Pointer>(&pointer).map(|to| RowKey::new(to.to_pk, to.to_sk));
        let pointed = self.get_many(to.clone()).await?;
        let is_offer = |to: &&RowKey| to.sk.starts_with(INVITATION);
        Ok(Found {
            user: found.readable(&user),
            device: found.readable(&device),
            job: found.readable(&job),
            profile: found.readable(&profile),
            source: found.readable(&source),
            offer: to.as_ref().filter(is_offer).and_then(|to| pointed.readable(to)),
            key: to.as_ref().filter(|to| to.sk == "KEY").and_then(|to| pointed.readable(to)),
        })
    }

    /// Up to `limit` users whose mobile number or number ends so; `end` begins with the last digit.
    pub async fn users_by_number_end(
        &self,
        workspace: WorkspaceId,
        end: &str,
        limit: usize,
    ) -> Result<Vec<User>, Error> {
        let range = Range::Prefix(end.to_owned());
        let mut users = Vec::<User>::new();
        for order in [Order::MobileEnd, Order::NumberEnd] {
            let walk = Walk::ordered(ThingKind::User, workspace, order, &range, false);
            let has_end = |user: &User| {
                let number = if order == Order::MobileEnd { &user.mobile } else { &user.number };
                number.as_deref().is_some_and(|number| from_the_end(number).starts_with(end))
            };
            users.extend(self.walked(&walk, limit, None, has_end).await?.items);
        }
        users.sort_by_key(|user| user.user_id);
        users.dedup_by_key(|user| user.user_id);
        users.truncate(limit);
        Ok(users)
    }
}
