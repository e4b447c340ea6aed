//! Derived rows are exactly those that follow from the things, and counts are what a recount gives.

use std::collections::{BTreeMap, BTreeSet};

use aws::store::counts::events_count_key;
use aws::store::derived::{Shadow, Thing};
use aws::{Row as _, RowKey};
use domain::WorkspaceId;
use domain::models::offer::Offer;
use domain::models::user::User;
use domain::rules::derived::{Derived, LatestOffers};

use super::{Audit, read_all};
use crate::rows;

/// A thing, and what is derived from it.
type Expected = (WorkspaceId, Thing, Shadow);

impl Audit {
    pub(super) fn derived_rows(&mut self) {
        let expected = self.things();
        let shadows: Vec<Shadow> = read_all(&self.main, |_, sk| sk == "DERIVED");
        let mut left: BTreeMap<String, Shadow> =
            shadows.into_iter().map(|shadow| (shadow.key().to_string(), shadow)).collect();
        let mut entries = BTreeSet::new();
        let mut counts = BTreeMap::<(WorkspaceId, String), i64>::new();
        for (workspace, thing, shadow) in &expected {
            let key = shadow.key().to_string();
            let found = left.remove(&key);
            let (version, stored) =
                found.as_ref().map(|found| (found.version, found.stored.clone())).unwrap_or_default();
            self.check_equal(
                &key,
                "the shadow is what is derived from the thing",
                found,
                Some(Shadow { version, stored, ..shadow.clone() }),
            );
            entries.extend(shadow.entries(*workspace, *thing).iter().map(RowKey::to_string));
            for (count, n) in shadow.counts(thing.kind()) {
                *counts.entry((*workspace, count)).or_default() += n;
            }
        }
        for key in left.keys() {
            self.check(key, "the shadow's thing is stored", false, "none");
        }
        for event in &self.events {
            let key = events_count_key(event.workspace_id, 0, &event.created_at.day());
            *counts.entry((event.workspace_id, key.sk)).or_default() += 1;
        }
        let present: BTreeSet<String> = self
            .main
            .keys()
            .filter(|key| ["FACET#", "ORDER#"].iter().any(|kind| key.starts_with(kind)))
            .cloned()
            .collect();
        for key in entries.symmetric_difference(&present) {
            self.check(key, "a derived row exists if and only if a thing derives it", false, present.contains(key));
        }
        self.counts(counts);
    }

    /// Compares the counts with a recount; those that are not in it are zero.
    fn counts(&mut self, mut recount: BTreeMap<(WorkspaceId, String), i64>) {
        let stored = rows::counts(&self.main);
        recount.retain(|_, n| *n != 0);
        self.check_equal("COUNTS#", "counts are those of a recount", stored, recount);
    }

    fn things(&self) -> Vec<Expected> {
        let name = |device: &domain::models::device::Device| {
            self.users.iter().find(|user| user.user_id == device.user_id).map(User::name)
        };
        let devices = self.devices.iter().map(|device| {
            let derived = Derived::of_device(device, name(device).as_deref());
            (device.workspace_id, Thing::Device(device.device_id), Shadow::new(device.key().pk, &derived, None))
        });
        let users = self.users.iter().map(|user| {
            let derived = Derived::of_user(user, &self.latest_offers(user));
            (user.workspace_id, Thing::User(user.user_id), Shadow::new(user.key().pk, &derived, None))
        });
        let jobs = self.jobs.iter().filter_map(|job| {
            Some((job.workspace_id, Thing::Job(job.job_id), Shadow::new(job.key().pk, &Derived::of_job(job)?, None)))
        });
        devices.chain(users).chain(jobs).collect()
    }

    fn latest_offers(&self, user: &User) -> LatestOffers {
        let offer = |id| -> Option<Offer> {
            let own = |offer: &&Offer| offer.user_id == user.user_id && Some(offer.invitation_id) == id;
            self.invitations.iter().find(own).cloned()
        };
        LatestOffers { invitation: offer(user.invitation_id), deployment: offer(user.client.deployment_id) }
    }
}
