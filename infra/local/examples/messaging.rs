//! The local stack's SNS and SESv2 alone, with their outbox, for `checks/messaging_cases.py`.
//!
//! `cargo run --example messaging -- [PORT]` prints the URL on its own line and serves until it is stopped.
//! Without a port it uses any free one. `sender@example.com` is a verified sender.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write as _;
use std::sync::Arc;

use local::messaging::{Messaging, MessagingConfig};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let port = std::env::args().nth(1).map_or(Ok(0), |port| port.parse())?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    let base_url = format!("http://{}", listener.local_addr()?);
    let messaging = Messaging::new(MessagingConfig {
        region: "eu-central-1".to_owned(),
        account: "123456789012".to_owned(),
        verified_senders: vec!["sender@example.com".to_owned()],
        base_url: base_url.clone(),
        clock: Arc::new(local::stack::system_time),
        topics: Vec::new(),
        configuration_sets: BTreeMap::new(),
        platform_applications: BTreeMap::new(),
    });
    // Topics and log groups have no subscribers here.
    drop(messaging.topic_messages());
    drop(messaging.log_entries());
    writeln!(std::io::stdout(), "{base_url}")?;
    axum::serve(listener, messaging.router().merge(messaging.outbox_router())).await?;
    Ok(())
}
