//! Logs: JSON, one line per run, with the complete chain of causes of an error.

use std::error::Error;
use std::fmt;

use tracing_subscriber::EnvFilter;

/// Displays an error with all its causes; its own `Display` shows only the outermost.
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

/// Writes logs as JSON to standard output, where Lambda collects them.
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
