//! Sources: a token is stored exactly for those that record one, and nothing of a sync outlives it.

use std::collections::BTreeSet;

use domain::models::event::EventType;
use domain::models::source::DataSource;
use domain::states::JobState;

use super::{Audit, read_all};

impl Audit {
    pub(super) fn sources(&mut self) {
        let sources: Vec<DataSource> = read_all(&self.main, |pk, sk| pk.starts_with("SOURCE#") && sk == "SOURCE");
        let (created, deleted) =
            (self.count(EventType::SourceCreated, |_| true), self.count(EventType::SourceDeleted, |_| true));
        let present = sources.len();
        self.check(
            created == present + deleted,
            format!("{created} source.created, {deleted} deleted, {present} there"),
        );
        let tokens: BTreeSet<&String> = self.secrets.keys().filter(|key| key.starts_with("SOURCE#")).collect();
        let with_token = sources.iter().filter(|source| source.page.as_ref().is_some_and(|page| page.token_set));
        let with_token: Vec<String> =
            with_token.map(|source| aws::store::sources::source_secret_pk(source.source_id)).collect();
        let matches = tokens.len() == with_token.len()
            && with_token.iter().all(|key| tokens.iter().any(|t| t.starts_with(key.as_str())));
        let difference = format!("tokens are stored for {tokens:?}, and recorded for {with_token:?}");
        self.check(matches, difference);
        let at_work = self.jobs.iter().any(|job| job.state == JobState::Running);
        let staged = self.main.keys().filter(|key| key.contains("| STAGED#") || key.contains("| KEYS#")).count();
        self.check(at_work || staged == 0, format!("{staged} rows are left of syncs that are over"));
        for source in &sources {
            let used = source.upload.as_ref().is_some_and(|upload| upload.job_id.is_some());
            let part = format!("{}#{} | PART#", source.workspace_id, source.source_id);
            let parts = self.main.keys().filter(|key| key.contains(&part)).count();
            self.check(at_work || !used || parts == 0, format!("{parts} parts are left of an upload that was used"));
        }
    }
}
