//! Whose due deliveries are tried next: webhooks take turns, fairly among workspaces.

use std::collections::{BTreeMap, VecDeque};

use aws::RowKey;
use domain::{WebhookId, WorkspaceId};

/// The most turns of one workspace at once.
const TURNS_OF_A_WORKSPACE: usize = 8;

/// A webhook's due deliveries.
#[derive(Debug)]
pub(crate) struct DueWebhook {
    /// Its workspace.
    pub workspace_id: WorkspaceId,
    /// The webhook.
    pub webhook_id: WebhookId,
    /// The deliveries that were not tried yet, by the keys of their rows.
    pub deliveries: VecDeque<RowKey>,
    /// Calls that failed in this run.
    pub failures: usize,
}

/// The webhooks that wait for a turn, and how many turns each workspace has at the moment.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    waiting: VecDeque<DueWebhook>,
    busy: BTreeMap<WorkspaceId, usize>,
}

impl Turns {
    /// Turns for these webhooks.
    pub fn new(waiting: impl IntoIterator<Item = DueWebhook>) -> Self {
        Self { waiting: waiting.into_iter().collect(), busy: BTreeMap::new() }
    }

    /// Begins the next turn: of the workspace with the fewest at the moment, that of the webhook which has waited
    /// longest. `None` if no webhook may begin now.
    pub fn begin(&mut self) -> Option<DueWebhook> {
        let busy = |due: &DueWebhook| self.busy.get(&due.workspace_id).copied().unwrap_or_default();
        let may_begin = self.waiting.iter().enumerate().filter(|(_, due)| busy(due) < TURNS_OF_A_WORKSPACE);
        let (at, _) = may_begin.min_by_key(|(_, due)| busy(due))?;
        let due = self.waiting.remove(at)?;
        *self.busy.entry(due.workspace_id).or_default() += 1;
        Some(due)
    }

    /// Ends a turn. A webhook with deliveries left waits for another.
    pub fn end(&mut self, due: DueWebhook) {
        if let Some(busy) = self.busy.get_mut(&due.workspace_id) {
            *busy -= 1;
        }
        if !due.deliveries.is_empty() {
            self.waiting.push_back(due);
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn due(workspace: u128, webhook: u128) -> DueWebhook {
        DueWebhook {
            workspace_id: WorkspaceId(Uuid::from_u128(workspace)),
            webhook_id: WebhookId(Uuid::from_u128(webhook)),
            deliveries: VecDeque::from([RowKey::new("", "")]),
            failures: 0,
        }
    }

    fn webhook(due: &DueWebhook) -> u128 {
        due.webhook_id.0.as_u128()
    }

    #[test]
    fn the_workspace_with_the_fewest_turns_comes_next_and_none_has_more_than_its_share() {
        let mut turns = Turns::new((0..20).map(|n| due(1, n)).chain([due(2, 100), due(2, 101)]));
        let mut begin = || turns.begin().map(|due| webhook(&due));
        let first: Vec<u128> = std::iter::from_fn(&mut begin).collect();
        assert_eq!(first[..4], [0, 100, 1, 101]);
        assert_eq!(first.len(), TURNS_OF_A_WORKSPACE + 2);
    }

    #[test]
    fn a_webhook_with_deliveries_left_waits_for_its_next_turn_behind_the_others_of_its_workspace() {
        let mut turns = Turns::new([due(1, 1), due(1, 2)]);
        let first = turns.begin().unwrap();
        turns.end(first);
        let second = turns.begin().unwrap();
        assert_eq!(webhook(&second), 2);
        turns.end(DueWebhook { deliveries: VecDeque::new(), ..second });
        assert_eq!(turns.begin().map(|due| webhook(&due)), Some(1));
        assert!(turns.begin().is_none());
    }
}
