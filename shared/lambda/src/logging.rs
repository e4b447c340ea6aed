//! Logs: JSON, one line for each run, with the whole chain of causes of what went wrong.

use std::error::Error;
use std::fmt;

use tracing_subscriber::EnvFilter;

/// Prints an error with all that caused it; `Display` alone gives the outermost only.
#[derive(Debug)]
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

/// Writes logs as JSON to the standard output, where Lambda takes them from.
pub fn start() {
    let filter = EnvFilter::try_from_env("HANDSET_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_target(false)
        .without_time()
        .with_env_filter(filter)
        .init();
}
