//! AWS clients: one HTTP client and one TLS stack for all services.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_smithy_async::rt::sleep::{AsyncSleep as _, SharedAsyncSleep, TokioSleep};
use aws_smithy_http_client::tls::{self, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::{SharedHttpClient, SharedHttpConnector};
use domain::egress::EgressPolicy;

use crate::roots;
use crate::throttles::Throttles;

/// How to connect to AWS. Lambda provides all of this in its environment, so that nothing is looked up at start.
#[derive(Clone)]
pub struct Connection {
    /// The region.
    pub region: String,
    /// The credentials of the function's role.
    pub credentials: Credentials,
    /// Endpoint of DynamoDB; AWS's own if not set.
    pub dynamodb_endpoint: Option<String>,
    /// Endpoint of SNS; AWS's own if not set.
    pub sns_endpoint: Option<String>,
    /// Endpoint of SESv2; AWS's own if not set.
    pub sesv2_endpoint: Option<String>,
    /// The HTTP client for all calls to AWS.
    pub http: SharedHttpClient,
    /// Timer for the pauses between attempts.
    pub sleep: SharedAsyncSleep,
    /// Connector for calls to sources and webhooks; the network if not set.
    pub egress: Option<SharedHttpConnector>,
    /// Which addresses webhooks may have. Only code can set more than the public internet: no environment
    /// variable changes it.
    pub webhooks: EgressPolicy,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("region", &self.region).finish_non_exhaustive()
    }
}

impl Connection {
    /// A connection by our own client: TLS by `rustls` and `ring`, trusting only the certificate authorities of
    /// AWS's endpoints.
    #[must_use]
    pub fn new(region: String, credentials: Credentials) -> Self {
        Self {
            region,
            credentials,
            dynamodb_endpoint: None,
            sns_endpoint: None,
            sesv2_endpoint: None,
            http: http_client(roots::amazon()),
            sleep: SharedAsyncSleep::new(TokioSleep::new()),
            egress: None,
            webhooks: EgressPolicy::Public,
        }
    }
}

/// An HTTP client that trusts these certificate authorities.
pub(crate) fn http_client(trust: TrustStore) -> SharedHttpClient {
    let context = TlsContext::builder().with_trust_store(trust).build();
    let builder = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring));
    match context {
        Ok(context) => builder.tls_context(context).build_https(),
        Err(_) => builder.build_https(),
    }
}

/// The client configuration of a service. The same for each, but a type of its own in each SDK crate.
macro_rules! config {
    ($sdk:ident, $connection:expr, $endpoint:expr) => {{
        let connection: &Connection = $connection;
        let mut builder = $sdk::Config::builder()
            .behavior_version($sdk::config::BehaviorVersion::v2026_01_12())
            .region($sdk::config::Region::new(connection.region.clone()))
            .credentials_provider(connection.credentials.clone())
            .http_client(connection.http.clone())
            .sleep_impl(connection.sleep.clone())
            .retry_config(retries())
            .timeout_config(timeouts());
        builder.set_endpoint_url($endpoint.clone());
        builder.build()
    }};
}

/// Waits in steps of a second, since longer sleeps are taken for call timeouts.
pub(crate) async fn pause(sleep: &SharedAsyncSleep, time: Duration) {
    let mut left = time;
    while !left.is_zero() {
        let step = left.min(Duration::from_secs(1));
        sleep.sleep(step).await;
        left -= step;
    }
}

/// At most three attempts, with short pauses (50 ms at first, then twice as long, less a random part). A service that
/// does not answer by then is reported to the caller.
fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(50))
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(2))
        .operation_attempt_timeout(Duration::from_secs(5))
        .build()
}

/// The services' clients. Creating one takes microseconds; the first call opens the connection.
#[derive(Clone, Debug)]
pub struct Clients {
    pub(crate) dynamodb: aws_sdk_dynamodb::Client,
    pub(crate) sns: aws_sdk_sns::Client,
    pub(crate) sesv2: aws_sdk_sesv2::Client,
    pub(crate) sleep: SharedAsyncSleep,
    pub(crate) egress: Option<SharedHttpConnector>,
    pub(crate) webhooks: EgressPolicy,
    pub(crate) throttles: Throttles,
}

impl Clients {
    /// Clients over a connection.
    #[must_use]
    pub fn new(connection: &Connection) -> Self {
        let throttles = Throttles::new();
        let dynamodb = config!(aws_sdk_dynamodb, connection, connection.dynamodb_endpoint);
        let dynamodb = dynamodb.to_builder().interceptor(throttles.clone()).build();
        Self {
            dynamodb: aws_sdk_dynamodb::Client::from_conf(dynamodb),
            sns: aws_sdk_sns::Client::from_conf(config!(aws_sdk_sns, connection, connection.sns_endpoint)),
            sesv2: aws_sdk_sesv2::Client::from_conf(config!(aws_sdk_sesv2, connection, connection.sesv2_endpoint)),
            sleep: connection.sleep.clone(),
            egress: connection.egress.clone(),
            webhooks: connection.webhooks,
            throttles,
        }
    }

    /// Waits, by the timer for the pauses between attempts.
    pub async fn pause(&self, time: Duration) {
        pause(&self.sleep, time).await;
    }

    /// Which addresses webhooks may have.
    #[must_use]
    pub fn webhooks(&self) -> EgressPolicy {
        self.webhooks
    }
}
