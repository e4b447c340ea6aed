//! How long work may take: it looks at the clock before each thing, and stops shortly before its
//! run would be ended. What is left is taken up by the next one.

use chrono::Duration;
use domain::Time;
use domain::secret::Random;
use lambda::IdSource;

use crate::state::Clock;

/// A clock, and until when there is time.
#[derive(Clone, Debug)]
pub struct Deadline {
    clock: Clock,
    random: Random,
    until: Time,
}

impl Deadline {
    /// Until a moment.
    #[must_use]
    pub fn new(clock: Clock, random: Random, until: Time) -> Self {
        Self { clock, random, until }
    }

    /// Now, and chance.
    #[must_use]
    pub fn id_source(&self) -> IdSource {
        IdSource::new(self.clock.now(), self.random)
    }

    /// True if there is time left for something that may take so long.
    #[must_use]
    pub fn has(&self, needed: Duration) -> bool {
        self.id_source().now.plus(needed) <= self.until
    }

    /// True if there is no time left to begin anything.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.id_source().now >= self.until
    }
}
