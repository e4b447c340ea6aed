//! Push notifications through SNS platform endpoints.

use std::collections::HashMap;

use aws_sdk_sns::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sns::operation::create_platform_endpoint::CreatePlatformEndpointError;
use aws_sdk_sns::types::MessageAttributeValue;
use domain::states::Platform;
use thiserror::Error;

use crate::clients::Clients;

/// A push that wakes the app; it gets its work at check-in.
#[derive(Clone, Debug)]
pub struct Wake {
    /// Type of the event.
    pub event_type: &'static str,
}

/// Why an operation on an endpoint failed.
#[derive(Debug, Error)]
pub enum PushError {
    /// The endpoint is disabled: its token no longer works.
    #[error("the endpoint is disabled")]
    Disabled,
    /// The endpoint or its platform application no longer exists.
    #[error("the endpoint is gone")]
    Gone,
    /// SNS rejects it permanently, with its error code.
    #[error("SNS refused: {0}")]
    Refused(String),
    /// SNS did not answer, or is throttling.
    #[error("SNS is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// SNS with the platform applications.
#[derive(Clone, Debug)]
pub struct Pusher {
    client: aws_sdk_sns::Client,
    ios: Option<String>,
    android: Option<String>,
}

impl Pusher {
    /// A pusher; platforms without an application get no pushes.
    #[must_use]
    pub fn new(clients: &Clients, ios: Option<String>, android: Option<String>) -> Self {
        Self { client: clients.sns.clone(), ios, android }
    }

    async fn attributes(&self, endpoint: &str) -> Result<HashMap<String, String>, PushError> {
        let get = self.client.get_endpoint_attributes().endpoint_arn(endpoint);
        Ok(get.send().await.map_err(push_error)?.attributes.unwrap_or_default())
    }

    async fn enable(&self, endpoint: &str, token: &str) -> Result<(), PushError> {
        let attributes = self.attributes(endpoint).await?;
        let is =
            |name: &str, value: &str| attributes.get(name).is_some_and(|actual| actual.eq_ignore_ascii_case(value));
        // SNS returns Apple's tokens in lower case, so case is ignored.
        if is("Token", token) && is("Enabled", "true") {
            return Ok(());
        }
        let set = self.client.set_endpoint_attributes().endpoint_arn(endpoint);
        let set = set.attributes("Token", token).attributes("Enabled", "true");
        set.send().await.map(drop).map_err(push_error)
    }
}

impl Pusher {
    /// The platform application of a platform; `None` if push is off for it.
    pub fn application(&self, platform: Platform) -> Option<&str> {
        match platform {
            Platform::Ios => self.ios.as_deref(),
            Platform::Android => self.android.as_deref(),
            Platform::ThirdParty | Platform::Unknown(_) => None,
        }
    }

    /// The endpoint of a token: a new one, or SNS's existing one, enabled.
    pub async fn endpoint(&self, application: &str, token: &str) -> Result<String, PushError> {
        let create = self.client.create_platform_endpoint().platform_application_arn(application).token(token);
        let endpoint = match create.send().await {
            Ok(output) => output.endpoint_arn.unwrap_or_default(),
            Err(error) => existing(&error).ok_or_else(|| push_error(error))?,
        };
        // SNS returns an existing endpoint for the token even if it is disabled.
        self.enable(&endpoint, token).await?;
        Ok(endpoint)
    }

    /// Whether SNS still sends to an endpoint.
    pub async fn enabled(&self, endpoint: &str) -> Result<bool, PushError> {
        Ok(self.attributes(endpoint).await?.get("Enabled").is_some_and(|enabled| enabled == "true"))
    }

    /// Deletes an endpoint; succeeds if it no longer exists.
    pub async fn remove(&self, endpoint: &str) -> Result<(), PushError> {
        match self.client.delete_endpoint().endpoint_arn(endpoint).send().await.map_err(push_error) {
            Ok(_) | Err(PushError::Gone) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Sends a push.
    pub async fn wake(&self, endpoint: &str, wake: &Wake) -> Result<(), PushError> {
        let publish = self
            .client
            .publish()
            .target_arn(endpoint)
            .message_structure("json")
            .message(payload(wake))
            .set_message_attributes(Some(attributes()));
        publish.send().await.map(drop).map_err(push_error)
    }
}

/// The payload for each push service: a background notification without visible content, with the event type only.
fn payload(wake: &Wake) -> String {
    let apns = serde_json::json!({"aps": {"content-available": 1}, "type": wake.event_type}).to_string();
    let fcm = serde_json::json!({
        "fcmV1Message": {"message": {"data": {"type": wake.event_type}, "android": {"priority": "high"}}}
    });
    let texts = serde_json::json!({
        "default": wake.event_type,
        "APNS": apns,
        "APNS_SANDBOX": apns,
        "GCM": fcm.to_string(),
    });
    texts.to_string()
}

/// Apple requires the push type and priority 5 for background pushes ("Sending notification requests to APNs");
/// SNS takes both as message attributes ("Mobile push notification headers").
fn attributes() -> HashMap<String, MessageAttributeValue> {
    let text = |value: &str| MessageAttributeValue::builder().data_type("String").string_value(value).build().ok();
    let pairs = [("AWS.SNS.MOBILE.APNS.PUSH_TYPE", "background"), ("AWS.SNS.MOBILE.APNS.PRIORITY", "5")];
    pairs.into_iter().filter_map(|(name, value)| Some((name.to_owned(), text(value)?))).collect()
}

/// The endpoint in SNS's error, when one exists for the token with other attributes.
fn existing(error: &SdkError<CreatePlatformEndpointError>) -> Option<String> {
    let message = error.as_service_error()?.message()?;
    let (_, rest) = message.split_once("Endpoint ")?;
    let (endpoint, _) = rest.split_once(" already exists")?;
    endpoint.starts_with("arn:").then(|| endpoint.to_owned())
}

fn push_error<E>(error: SdkError<E>) -> PushError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let service = error.as_service_error();
    let code = service.and_then(ProvideErrorMetadata::code).unwrap_or_default();
    let message = service.and_then(ProvideErrorMetadata::message).unwrap_or_default();
    match code {
        // SNS's error for a push to an endpoint that does not exist.
        "InvalidParameter" | "InvalidParameterException" if message.contains("No endpoint found") => PushError::Gone,
        "EndpointDisabled" | "EndpointDisabledException" => PushError::Disabled,
        "NotFound" | "NotFoundException" => PushError::Gone,
        "InvalidParameter"
        | "InvalidParameterException"
        | "InvalidParameterValue"
        | "PlatformApplicationDisabled"
        | "PlatformApplicationDisabledException"
        | "ParameterValueInvalid"
        // The role covers the endpoints of the deployment's platform applications.
        | "AuthorizationError"
        | "AuthorizationErrorException" => PushError::Refused(code.to_owned()),
        _ => PushError::Unavailable(Box::new(error)),
    }
}
