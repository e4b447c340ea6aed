//! Calls to the world outside of AWS.

use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{self, TlsContext};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorSettings, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use domain::refusal::Failure;

use crate::roots;

/// A client for `https` pages of the world outside.
#[derive(Clone, Debug)]
pub struct Outside {
    connector: SharedHttpConnector,
}

/// The largest answer that is read, in bytes.
const ANSWER_LIMIT: usize = 1024 * 1024;

impl Outside {
    /// A client that trusts the system's authorities.
    ///
    /// # Errors
    /// `Internal` if the system's collection cannot be used.
    pub fn new() -> Result<Self, Failure> {
        let context = TlsContext::builder().with_trust_store(roots::system()).build();
        let context = context.map_err(|e| Failure::internal("setting up TLS", e))?;
        let settings = HttpConnectorSettings::builder()
            .connect_timeout(Duration::from_secs(3))
            .read_timeout(Duration::from_secs(10))
            .build();
        let connector = Connector::builder()
            .connector_settings(settings)
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
            .tls_context(context)
            .build();
        Ok(Self { connector: SharedHttpConnector::new(connector) })
    }

    /// A client over a given connector.
    #[must_use]
    pub fn over(connector: SharedHttpConnector) -> Self {
        Self { connector }
    }

    /// A page, read by GET; redirects are not followed.
    ///
    /// # Errors
    /// `Unavailable` if the page does not answer with 200, or with more than a mebibyte.
    pub async fn get(&self, url: &str) -> Result<Vec<u8>, Failure> {
        let mut request = HttpRequest::get(url).map_err(|e| Failure::internal("reading a URL", e))?;
        request.headers_mut().insert("accept", "application/json");
        let response = self.connector.call(request).await;
        let response = response.map_err(|e| Failure::unavailable("the issuer", e))?;
        if response.status().as_u16() != 200 {
            return Err(Failure::unavailable("the issuer", format!("status {}", response.status().as_u16())));
        }
        read(response.into_body()).await
    }
}

async fn read(body: SdkBody) -> Result<Vec<u8>, Failure> {
    let bytes = aws_smithy_types::byte_stream::ByteStream::new(body).collect().await;
    let bytes = bytes.map_err(|e| Failure::unavailable("the issuer", e))?.to_vec();
    if bytes.len() > ANSWER_LIMIT {
        return Err(Failure::unavailable("the issuer", "the answer is too large"));
    }
    Ok(bytes)
}
