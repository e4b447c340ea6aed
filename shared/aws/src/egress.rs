//! HTTP calls to hosts outside AWS.

use std::error::Error as StdError;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::time::Duration;

use aws_smithy_async::future::timeout::Timeout;
use aws_smithy_async::rt::sleep::{AsyncSleep as _, SharedAsyncSleep};
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{self, TlsContext};
use aws_smithy_runtime_api::client::dns::{DnsFuture, ResolveDns, ResolveDnsError};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorSettings, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use domain::egress::{EgressPolicy, read_url};
use domain::error::Error;
use thiserror::Error as ThisError;

use crate::clients::{self, Clients};
use crate::roots;

/// An HTTP client for hosts outside AWS.
#[derive(Clone, Debug)]
pub struct EgressClient {
    connector: SharedHttpConnector,
    sleep: SharedAsyncSleep,
    policy: EgressPolicy,
}

/// The most bytes that are read of an issuer's response; a key set has a few thousand.
pub const RESPONSE_LIMIT: usize = 1024 * 1024;

impl EgressClient {
    /// A client for the pages of the issuer, whose URLs the operator configures. Uses the clients' connector if
    /// they have one.
    ///
    /// # Errors
    /// `Internal` if the system's certificate authorities cannot be loaded.
    pub fn for_issuer(clients: &Clients) -> Result<Self, Error> {
        let connector = match &clients.egress {
            Some(connector) => connector.clone(),
            None => SharedHttpConnector::new(
                Connector::builder()
                    .connector_settings(settings())
                    .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
                    .tls_context(context()?)
                    .build(),
            ),
        };
        Ok(Self { connector, sleep: clients.sleep.clone(), policy: EgressPolicy::Public })
    }

    /// A client for URLs of workspaces: only to the public internet, and only to the addresses that were
    /// checked. Uses the clients' connector if they have one.
    ///
    /// # Errors
    /// `Internal` if the system's certificate authorities cannot be loaded.
    pub fn for_workspace_urls(clients: &Clients) -> Result<Self, Error> {
        Self::with_policy(clients, EgressPolicy::Public)
    }

    /// A client for webhooks, with the clients' egress policy.
    ///
    /// # Errors
    /// `Internal` if the system's certificate authorities cannot be loaded.
    pub fn for_webhooks(clients: &Clients) -> Result<Self, Error> {
        Self::with_policy(clients, clients.webhooks)
    }

    fn with_policy(clients: &Clients, policy: EgressPolicy) -> Result<Self, Error> {
        let connector = match &clients.egress {
            Some(connector) => connector.clone(),
            None => SharedHttpConnector::new(
                Connector::builder()
                    .connector_settings(settings())
                    .proxy_config(ProxyConfig::disabled())
                    .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
                    .tls_context(context()?)
                    .build_with_resolver(Resolver(policy)),
            ),
        };
        Ok(Self { connector, sleep: clients.sleep.clone(), policy })
    }

    /// Fetches a page at a workspace's URL by GET, within [`FETCH_TIMEOUT`].
    ///
    /// # Errors
    /// The reason of the failure, without any content of the response.
    pub async fn fetch(
        &self,
        url: &str,
        accept: &'static str,
        bearer: Option<&str>,
        limit: usize,
    ) -> Result<Vec<u8>, FetchError> {
        let fetch_checked = self.fetch_checked(url, accept, bearer, limit);
        Timeout::new(Box::pin(fetch_checked), self.sleep.sleep(FETCH_TIMEOUT))
            .await
            .unwrap_or(Err(FetchError::TimedOut))
    }

    async fn fetch_checked(
        &self,
        url: &str,
        accept: &'static str,
        bearer: Option<&str>,
        limit: usize,
    ) -> Result<Vec<u8>, FetchError> {
        // A host that is an IP address is not resolved, so the rule is checked here.
        let _host = read_url(url).map_err(|(code, _)| FetchError::of_url(code))?;
        let mut request = HttpRequest::get(url).map_err(|_| FetchError::Unreachable)?;
        request.headers_mut().insert("accept", accept);
        request.headers_mut().insert("user-agent", "handset");
        if let Some(bearer) = bearer {
            let sent = request.headers_mut().try_insert("authorization", format!("Bearer {bearer}"));
            let _before = sent.map_err(|_| FetchError::InvalidToken)?;
        }
        self.read_body(request, limit).await
    }

    /// The complete response body of a request.
    async fn read_body(&self, request: HttpRequest, limit: usize) -> Result<Vec<u8>, FetchError> {
        let response =
            self.connector.call(request).await.map_err(|error| FetchError::of(&error, error.is_timeout()))?;
        let status = response.status().as_u16();
        match status {
            200 => {}
            300..=399 => return Err(FetchError::Redirected(status)),
            other => return Err(FetchError::Status(other)),
        }
        let length = response.headers().get("content-length").and_then(|length| length.parse::<usize>().ok());
        if length.is_some_and(|length| length > limit) {
            return Err(FetchError::TooLarge(limit));
        }
        let bytes = read_within(response.into_body(), limit).await?;
        if length.is_some_and(|length| length != bytes.len()) {
            return Err(FetchError::Truncated);
        }
        Ok(bytes)
    }

    /// Posts to a workspace's URL, within [`FETCH_TIMEOUT`]. Redirects are not followed but returned as
    /// responses. Only the first `limit` bytes of the response body are read; a body that breaks off or stalls
    /// is not an error.
    ///
    /// # Errors
    /// Why there is no response.
    pub async fn post(
        &self,
        url: &str,
        headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
        limit: usize,
    ) -> Result<Answer, FetchError> {
        let post_checked =
            Timeout::new(Box::pin(self.post_checked(url, headers, body)), self.sleep.sleep(FETCH_TIMEOUT));
        let response = post_checked.await.unwrap_or(Err(FetchError::TimedOut))?;
        let status = response.status().as_u16();
        let reading = Timeout::new(Box::pin(read_start(response.into_body(), limit)), self.sleep.sleep(BODY_TIMEOUT));
        Ok(Answer { status, body_start: reading.await.unwrap_or_default() })
    }

    async fn post_checked(
        &self,
        url: &str,
        headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
    ) -> Result<HttpResponse, FetchError> {
        // A host that is an IP address is not resolved, so the rule is checked here.
        let _host = self.policy.read_url(url).map_err(|(code, _)| FetchError::of_url(code))?;
        let mut request = HttpRequest::new(SdkBody::from(body));
        request.set_method("POST").map_err(|_| FetchError::Unreachable)?;
        request.set_uri(url).map_err(|_| FetchError::Unreachable)?;
        request.headers_mut().insert("user-agent", "handset");
        for (name, value) in headers {
            let sent = request.headers_mut().try_insert(name, value);
            let _before = sent.map_err(|_| FetchError::Unreachable)?;
        }
        self.connector.call(request).await.map_err(|error| FetchError::of(&error, error.is_timeout()))
    }

    /// Waits, by the timer of its time limits.
    pub async fn pause(&self, time: Duration) {
        clients::pause(&self.sleep, time).await;
    }

    /// Gets a page of the issuer, within [`FETCH_TIMEOUT`] and up to its size limit; redirects are not followed.
    ///
    /// # Errors
    /// `Unavailable` if the response is not a 200, or larger than [`RESPONSE_LIMIT`].
    pub async fn get(&self, url: &str) -> Result<Vec<u8>, Error> {
        let mut request = HttpRequest::get(url).map_err(|e| Error::internal("reading a URL", e))?;
        request.headers_mut().insert("accept", "application/json");
        let read = self.read_body(request, RESPONSE_LIMIT);
        let read =
            Timeout::new(Box::pin(read), self.sleep.sleep(FETCH_TIMEOUT)).await.unwrap_or(Err(FetchError::TimedOut));
        read.map_err(|fault| Error::unavailable("the issuer", fault))
    }
}

/// The time limit of a call, from the first byte sent to the last byte read.
pub const FETCH_TIMEOUT: Duration = Duration::from_secs(15);

/// The time limit for reading the start of a response body, after its status.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// The response to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Start of the body.
    pub body_start: Vec<u8>,
}

/// Why a page could not be fetched.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
pub enum FetchError {
    /// The host is, or resolves to, an address that is not on the public internet.
    #[error("the host is not on the public internet")]
    NotPublic,
    /// The port belongs to another protocol.
    #[error("the port belongs to another protocol")]
    PortNotAllowed,
    /// The connection could not be made.
    #[error("the host cannot be reached")]
    Unreachable,
    /// There was no response, or not a complete one, within the time limit.
    #[error("it did not respond in time")]
    TimedOut,
    /// The response is a redirect.
    #[error("it responded with a redirect ({0}), which is not followed")]
    Redirected(u16),
    /// The response has an error status.
    #[error("it responded with status {0}")]
    Status(u16),
    /// The response is larger than the limit.
    #[error("it is larger than {0} bytes")]
    TooLarge(usize),
    /// The response ended early.
    #[error("the response is incomplete")]
    Truncated,
    /// The bearer token is not a valid header value.
    #[error("the bearer token cannot be sent")]
    InvalidToken,
}

impl FetchError {
    /// A stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotPublic => "not_public",
            Self::PortNotAllowed => "port_not_allowed",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "no_answer",
            Self::Redirected(_) => "redirected",
            Self::Status(_) => "error_status",
            Self::TooLarge(_) => "too_large",
            Self::Truncated => "cut_off",
            Self::InvalidToken => "token_unsendable",
        }
    }

    /// The error for a stored URL that may no longer be called.
    fn of_url(code: &str) -> Self {
        if code == "port_not_allowed" { Self::PortNotAllowed } else { Self::NotPublic }
    }

    fn of(error: &(dyn StdError + 'static), timed_out: bool) -> Self {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if error.is::<NotPublic>() {
                return Self::NotPublic;
            }
            cause = error.source();
        }
        if timed_out { Self::TimedOut } else { Self::Unreachable }
    }
}

fn settings() -> HttpConnectorSettings {
    HttpConnectorSettings::builder().connect_timeout(Duration::from_secs(3)).read_timeout(FETCH_TIMEOUT).build()
}

fn context() -> Result<TlsContext, Error> {
    let context = TlsContext::builder().with_trust_store(roots::system()).build();
    context.map_err(|e| Error::internal("setting up TLS", e))
}

/// A name resolves to an address that is not on the public internet.
#[derive(Debug, ThisError)]
#[error("the name resolves to an address that is not public")]
struct NotPublic;

/// Resolves names by the system's resolver, and rejects those with any address that the policy forbids. The
/// connection uses these addresses, and does not resolve the name again.
#[derive(Clone, Debug)]
struct Resolver(EgressPolicy);

impl ResolveDns for Resolver {
    fn resolve_dns<'a>(&'a self, name: &'a str) -> DnsFuture<'a> {
        let (name, policy) = (name.to_owned(), self.0);
        DnsFuture::new(async move {
            let look_up = move || (name.as_str(), 0).to_socket_addrs().map(|found| found.map(|at| at.ip()).collect());
            let found = tokio::task::spawn_blocking(look_up).await.map_err(ResolveDnsError::new)?;
            check_addresses(found.map_err(ResolveDnsError::new)?, policy)
        })
    }
}

fn check_addresses(addresses: Vec<IpAddr>, policy: EgressPolicy) -> Result<Vec<IpAddr>, ResolveDnsError> {
    if policy.allows(&addresses) { Ok(addresses) } else { Err(ResolveDnsError::new(NotPublic)) }
}

/// The start of a body, which may be of any kind and may break off.
async fn read_start(body: SdkBody, limit: usize) -> Vec<u8> {
    let mut stream = ByteStream::new(body);
    let mut bytes = Vec::new();
    while bytes.len() < limit {
        let Some(Ok(chunk)) = stream.next().await else {
            break;
        };
        bytes.extend_from_slice(&chunk[..chunk.len().min(limit - bytes.len())]);
    }
    bytes
}

async fn read_within(body: SdkBody, limit: usize) -> Result<Vec<u8>, FetchError> {
    let mut stream = ByteStream::new(body);
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| FetchError::Truncated)?;
        if bytes.len() + chunk.len() > limit {
            return Err(FetchError::TooLarge(limit));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(policy: EgressPolicy, name: &str) -> Result<Vec<IpAddr>, FetchError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let found = runtime.block_on(Resolver(policy).resolve_dns(name));
        found.map_err(|error| FetchError::of(&error, false))
    }

    #[test]
    fn a_name_that_leads_inside_is_refused_when_it_is_looked_up() {
        for name in ["localhost", "127.0.0.1", "10.0.0.1", "169.254.169.254"] {
            assert_eq!(found(EgressPolicy::Public, name), Err(FetchError::NotPublic), "{name}");
        }
        assert!(found(EgressPolicy::Loopback, "localhost").is_ok_and(|found| found.iter().all(IpAddr::is_loopback)));
        assert_eq!(found(EgressPolicy::Loopback, "169.254.169.254"), Err(FetchError::NotPublic));
        assert!(found(EgressPolicy::Public, "8.8.8.8").is_ok());
    }
}
