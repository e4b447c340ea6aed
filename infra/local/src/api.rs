//! Calls to the API from within the process: as any client makes them, but without a socket.

use axum::body::Bytes;
use chrono::{DateTime, Utc};
use http::{Method, Request, StatusCode};
use serde_json::Value;

use crate::stack::Stack;

/// A client of the API, with or without a credential.
#[derive(Clone, Copy)]
pub struct Api<'a> {
    stack: &'a Stack,
    credential: Option<&'a str>,
}

/// A response of the API.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its body; `null` if it is not JSON.
    pub body: Value,
}

impl<'a> Api<'a> {
    /// A client without a credential.
    #[must_use]
    pub fn anonymous(stack: &'a Stack) -> Self {
        Self { stack, credential: None }
    }

    /// The client with a credential.
    #[must_use]
    pub fn with_credential(self, credential: &'a str) -> Self {
        Self { credential: Some(credential), ..self }
    }

    /// The system's time.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.stack.now()
    }

    /// Sends a request with a JSON body; without a body if it is `null`.
    pub async fn send(&self, method: Method, path: &str, idempotency_key: Option<&str>, body: &Value) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        if let Some(credential) = self.credential {
            request = request.header("authorization", format!("Bearer {credential}"));
        }
        if let Some(key) = idempotency_key {
            request = request.header("idempotency-key", key);
        }
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        match request.body(body) {
            Ok(request) => self.answer(request).await,
            Err(_) => Answer { status: StatusCode::BAD_REQUEST, body: Value::Null },
        }
    }

    /// Sends a POST without an idempotency key.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, None, body).await
    }

    async fn answer(&self, request: Request<Bytes>) -> Answer {
        let response = self.stack.http(request).await;
        let body = serde_json::from_slice(response.body()).unwrap_or_default();
        Answer { status: response.status(), body }
    }
}

impl Answer {
    /// The error for people: all invalid fields, or else the detail.
    #[must_use]
    pub fn error_text(&self) -> String {
        let fault = |fault: &Value| Some(format!("{} {}", fault["field"].as_str()?, fault["detail"].as_str()?));
        let faults: Vec<String> = self.body["errors"].as_array().into_iter().flatten().filter_map(fault).collect();
        match (faults.is_empty(), self.body["detail"].as_str()) {
            (false, _) => faults.join("; "),
            (true, Some(detail)) => detail.to_owned(),
            (true, None) => format!("the API answered {}", self.status.as_u16()),
        }
    }
}
