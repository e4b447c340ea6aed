//! Sources: a token is stored exactly for those that record one, and nothing of a sync outlives it.

use std::collections::BTreeSet;

use aws::Row as _;
use domain::models::event::EventType;
use domain::models::source::DataSource;
use domain::states::JobState;

use super::{Audit, read_all};

impl Audit {
    pub(super) fn sources(&mut self) {
        let sources: Vec<DataSource> = read_all(&self.main, |pk, sk| pk.starts_with("SOURCE#") && sk == "SOURCE");
        let created = self.count(EventType::SourceCreated, |_| true);
        let deleted = self.count(EventType::SourceDeleted, |_| true);
        let present = sources.len();
        self.check(
            "SOURCE# rows",
            format!("one for each of {created} source.created, without {deleted} source.deleted"),
            created == present + deleted,
            present,
        );
        let stored: BTreeSet<&String> = self.secrets.keys().filter(|key| key.starts_with("SOURCE#")).collect();
        let with_token = sources.iter().filter(|source| source.page.as_ref().is_some_and(|page| page.token_set));
        let recorded: Vec<String> =
            with_token.map(|source| aws::store::sources::source_secret_pk(source.source_id)).collect();
        let matches = stored.len() == recorded.len()
            && recorded.iter().all(|key| stored.iter().any(|stored| stored.starts_with(key.as_str())));
        let found = format!("{stored:?}");
        self.check("SOURCE# secrets", format!("one for each source with `token_set`: {recorded:?}"), matches, found);
        let is_syncing = self.jobs.iter().any(|job| job.state == JobState::Running);
        let staged = self.main.keys().filter(|key| key.contains("| STAGED#") || key.contains("| KEYS#")).count();
        self.check("STAGED# and KEYS# rows", "none without a running sync", is_syncing || staged == 0, staged);
        for source in &sources {
            let is_used = source.upload.as_ref().is_some_and(|upload| upload.job_id.is_some());
            let prefix = format!("{}#{} | PART#", source.workspace_id, source.source_id);
            let parts = self.main.keys().filter(|key| key.contains(&prefix)).count();
            self.check(
                source.key(),
                "no PART# rows of an upload that a sync has used",
                is_syncing || !is_used || parts == 0,
                parts,
            );
        }
    }
}
