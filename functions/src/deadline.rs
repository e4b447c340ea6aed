//! The time limit of a run: work checks the clock before each step and stops shortly before Lambda would end the run.
//! The next run continues with the rest.

use chrono::Duration;
use domain::Time;
use domain::secret::Random;
use lambda::IdSource;

use crate::state::Clock;

/// A clock, and the time at which work must stop.
#[derive(Clone, Debug)]
pub struct Deadline {
    clock: Clock,
    random: Random,
    until: Time,
}

impl Deadline {
    /// A deadline at `until`.
    #[must_use]
    pub fn new(clock: Clock, random: Random, until: Time) -> Self {
        Self { clock, random, until }
    }

    /// It, or a time after now if that is earlier.
    #[must_use]
    pub fn or_after(self, time: Duration) -> Self {
        let until = self.until.min(self.id_source().now.plus(time));
        Self { until, ..self }
    }

    /// The current time, and a source of identifiers.
    #[must_use]
    pub fn id_source(&self) -> IdSource {
        IdSource::new(self.clock.now(), self.random)
    }

    /// True if there is time for a step that may take `needed`.
    #[must_use]
    pub fn has(&self, needed: Duration) -> bool {
        self.id_source().now.plus(needed) <= self.until
    }

    /// True if there is no time to start another step.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.id_source().now >= self.until
    }
}
