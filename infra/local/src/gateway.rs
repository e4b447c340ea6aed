//! HTTP as API Gateway's HTTP APIs do it: a request becomes an event of payload format 2.0 for its route's
//! function, and the function's reply becomes the response. Includes API Gateway's own limits and error
//! responses.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{CONTENT_TYPE, COOKIE, HOST, HeaderName, HeaderValue, SET_COOKIE, USER_AGENT};
use http::{HeaderMap, Request, Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::template::{Function, Route, StackLocation};
use crate::{Invoke, Now, Wait, within};

/// The largest request body of API Gateway ("Quotas for configuring and running an HTTP API").
pub const MAX_BODY: usize = 10 * 1024 * 1024;
/// The largest event and the largest reply of a synchronous invocation ("Lambda quotas").
pub const MAX_PAYLOAD: usize = 6 * 1024 * 1024;
/// How long API Gateway waits for a function.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// The routes of the HTTP API.
pub struct Routes {
    paths: matchit::Router<BTreeMap<String, Target>>,
    default: Option<Target>,
}

#[derive(Clone, Debug)]
struct Target {
    key: String,
    operation: String,
}

/// The route of a request.
#[derive(Debug, PartialEq, Eq)]
pub struct Match {
    /// The route as API Gateway writes it, such as `GET /users/{user_id}`.
    pub key: String,
    /// The operation.
    pub operation: String,
    /// The path's parameters, decoded.
    pub parameters: BTreeMap<String, String>,
}

impl Routes {
    /// The routes of all functions.
    ///
    /// # Errors
    /// A route that conflicts with another.
    pub fn new(functions: &[Function]) -> Result<Self, String> {
        let mut by_path: BTreeMap<&str, BTreeMap<String, Target>> = BTreeMap::new();
        let mut default = None;
        for function in functions {
            for route in &function.routes {
                let target = Target { key: route.key(), operation: function.operation.clone() };
                let before = match route {
                    Route::On { method, path } => by_path.entry(path).or_default().insert(method.clone(), target),
                    Route::Default => default.replace(target),
                };
                if before.is_some() {
                    return Err(format!("two functions have the route {}", route.key()));
                }
            }
        }
        let mut paths = matchit::Router::new();
        for (path, methods) in by_path {
            // A parameter for the rest of the path, in API Gateway's syntax and the router's.
            let path = path
                .strip_suffix("+}")
                .and_then(|path| path.rsplit_once('{'))
                .map_or_else(|| path.to_owned(), |(start, name)| format!("{start}{{*{name}}}"));
            paths.insert(&path, methods).map_err(|error| format!("the route {path}: {error}"))?;
        }
        Ok(Self { paths, default })
    }

    /// The most specific route, or else `$default`, also for a path that only has other methods.
    #[must_use]
    pub fn find(&self, method: &str, path: &str) -> Option<Match> {
        let found = self.paths.at(path).ok();
        let exact = found
            .as_ref()
            .and_then(|found| Some((found.value.get(method).or_else(|| found.value.get("ANY"))?, &found.params)));
        let (target, parameters) = match exact {
            Some((target, params)) => {
                (target, params.iter().map(|(name, value)| (name.to_owned(), percent_decode(value))).collect())
            }
            None => (self.default.as_ref()?, BTreeMap::new()),
        };
        Some(Match { key: target.key.clone(), operation: target.operation.clone(), parameters })
    }
}

/// The HTTP API.
pub struct Gateway {
    routes: Routes,
    location: StackLocation,
    invoke: Invoke,
    now: Now,
    scheme: &'static str,
    wait: Wait,
}

impl Gateway {
    /// An API that runs the operations of its routes.
    #[must_use]
    pub fn new(routes: Routes, location: StackLocation, invoke: Invoke, now: Now, wait: Wait) -> Self {
        Self { routes, location, invoke, now, scheme: "http", wait }
    }

    /// The API behind a proxy that terminates TLS, if `by_https`.
    #[must_use]
    pub fn behind_https(self, by_https: bool) -> Self {
        Self { scheme: if by_https { "https" } else { "http" }, ..self }
    }

    /// Answers a request from `address`.
    pub async fn handle(&self, request: Request<Bytes>, address: &str) -> Response<Bytes> {
        self.answer(&request, address).await.0
    }

    /// As [`Self::handle`], with a log line: the route, never the path or the body.
    pub async fn handle_with_line(&self, request: Request<Bytes>, address: &str) -> (Response<Bytes>, String) {
        let began = Instant::now();
        let (response, found) = self.answer(&request, address).await;
        let (route, operation) = found.map_or(("-".into(), "-".into()), |found| (found.key, found.operation));
        let line = format!(
            "{:<7}{:<34} {} {:>5} ms  {operation}",
            request.method().as_str(),
            path_of(&route),
            response.status().as_u16(),
            began.elapsed().as_millis(),
        );
        (response, line)
    }

    async fn answer(&self, request: &Request<Bytes>, address: &str) -> (Response<Bytes>, Option<Match>) {
        let found = self.routes.find(request.method().as_str(), request.uri().path());
        let response = self.respond(request, found.as_ref(), address).await;
        (response, found)
    }

    async fn respond(&self, request: &Request<Bytes>, found: Option<&Match>, address: &str) -> Response<Bytes> {
        let Some(found) = found else { return gateway_response(StatusCode::NOT_FOUND, "Not Found") };
        if request.body().len() > MAX_BODY {
            return gateway_response(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
        }
        let id = request_id();
        let event = self.event(request, found, address, &id);
        if event.to_string().len() > MAX_PAYLOAD {
            return gateway_response(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
        }
        let run = (self.invoke)(&found.operation, event);
        let mut response = match within(&self.wait, TIMEOUT, run).await {
            None => gateway_response(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"),
            Some(reply) => reply
                .ok()
                .and_then(|reply| response(&reply))
                .unwrap_or_else(|| gateway_response(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")),
        };
        if let Ok(id) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(HeaderName::from_static("apigw-requestid"), id);
        }
        response
    }

    fn event(&self, request: &Request<Bytes>, found: &Match, address: &str, id: &str) -> Value {
        let now = (self.now)();
        let path = percent_decode(request.uri().path());
        let query = request.uri().query().unwrap_or_default();
        let host = text(request.headers(), &HOST);
        let mut event = json!({
            "version": "2.0",
            "routeKey": found.key,
            "rawPath": path,
            "rawQueryString": query,
            "headers": headers(request.headers(), address, self.scheme),
            "requestContext": {
                "accountId": self.location.account,
                "apiId": "local",
                "domainName": host,
                "domainPrefix": host.split('.').next(),
                "http": {
                    "method": request.method().as_str(),
                    "path": path,
                    "protocol": "HTTP/1.1",
                    "sourceIp": address,
                    "userAgent": text(request.headers(), &USER_AGENT),
                },
                "requestId": id,
                "routeKey": found.key,
                "stage": "$default",
                "time": now.format("%d/%b/%Y:%H:%M:%S +0000").to_string(),
                "timeEpoch": now.timestamp_millis(),
            },
        });
        let cookies = cookies(request.headers());
        let parameters = query_parameters(query);
        let (body, encoded) = body(request);
        event["isBase64Encoded"] = json!(encoded);
        if !cookies.is_empty() {
            event["cookies"] = json!(cookies);
        }
        if !parameters.is_empty() {
            event["queryStringParameters"] = json!(parameters);
        }
        if !found.parameters.is_empty() {
            event["pathParameters"] = json!(found.parameters);
        }
        if let Some(body) = body {
            event["body"] = json!(body);
        }
        event
    }
}

fn path_of(route_key: &str) -> &str {
    route_key.split_once(' ').map_or(route_key, |(_, path)| path)
}

/// A response of API Gateway itself.
fn gateway_response(status: StatusCode, message: &str) -> Response<Bytes> {
    let body = json!({ "message": message }).to_string();
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// In API Gateway's format: 15 characters and an equals sign.
fn request_id() -> String {
    let random = crate::random_id();
    let mut id: String = BASE64.encode(random.as_bytes()).replace(['+', '/'], "A").chars().take(15).collect();
    id.push('=');
    id
}

/// Names in lower case, repeated ones joined by commas; cookies are in a separate list.
fn headers(headers: &HeaderMap, address: &str, scheme: &str) -> Map<String, Value> {
    let mut joined = Map::new();
    for name in headers.keys().filter(|name| **name != COOKIE) {
        let values: Vec<String> = headers.get_all(name).iter().map(to_lossy_text).collect();
        joined.insert(name.as_str().to_owned(), json!(values.join(",")));
    }
    let forwarded = [("x-forwarded-for", address), ("x-forwarded-proto", scheme)];
    for (name, value) in forwarded {
        joined.insert(name.to_owned(), json!(value));
    }
    joined
}

fn to_lossy_text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

fn text(headers: &HeaderMap, name: &HeaderName) -> String {
    headers.get(name).map(to_lossy_text).unwrap_or_default()
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    let all: Vec<String> = headers.get_all(COOKIE).iter().map(to_lossy_text).collect();
    all.iter()
        .flat_map(|line| line.split(';'))
        .map(str::trim)
        .filter(|cookie| !cookie.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Decoded; repeated keys joined by commas.
fn query_parameters(query: &str) -> BTreeMap<String, String> {
    let mut joined: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match joined.get_mut(name.as_ref()) {
            Some(before) => {
                before.push(',');
                before.push_str(&value);
            }
            None => {
                joined.insert(name.into_owned(), value.into_owned());
            }
        }
    }
    joined
}

/// The body as text if its type and content are text; else in base64.
fn body(request: &Request<Bytes>) -> (Option<String>, bool) {
    if request.body().is_empty() {
        return (None, false);
    }
    let plain = is_text(&text(request.headers(), &CONTENT_TYPE)).then(|| std::str::from_utf8(request.body()));
    match plain {
        Some(Ok(text)) => (Some(text.to_owned()), false),
        _ => (Some(BASE64.encode(request.body())), true),
    }
}

/// The media types that API Gateway passes to a function as text.
fn is_text(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.starts_with("text/")
        || ["application/json", "application/xml", "application/javascript"].contains(&essence.as_str())
        || essence.starts_with("application/") && (essence.ends_with("+json") || essence.ends_with("+xml"))
}

/// A percent-decoded path. Invalid UTF-8 becomes replacement characters.
fn percent_decode(path: &str) -> String {
    let bytes = path.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%').then(|| path.get(at + 1..at + 3)).flatten();
        match escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A function's reply as a response; `None` if it is invalid or too large.
fn response(reply: &Value) -> Option<Response<Bytes>> {
    if reply.to_string().len() > MAX_PAYLOAD {
        return None;
    }
    if reply.get("statusCode").is_none() {
        return Some(infer_response(reply));
    }
    let status = u16::try_from(reply["statusCode"].as_u64()?).ok()?;
    let body = reply["body"].as_str().unwrap_or_default();
    let body = if reply["isBase64Encoded"] == true { BASE64.decode(body).ok()? } else { body.into() };
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = StatusCode::from_u16(status).ok()?;
    for (name, value) in reply["headers"].as_object().into_iter().flatten() {
        let name = HeaderName::try_from(name.as_str()).ok()?;
        response.headers_mut().insert(name, HeaderValue::from_str(value.as_str()?).ok()?);
    }
    for cookie in reply["cookies"].as_array().into_iter().flatten() {
        response.headers_mut().append(SET_COOKIE, HeaderValue::from_str(cookie.as_str()?).ok()?);
    }
    if !response.headers().contains_key(CONTENT_TYPE) {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    }
    Some(response)
}

/// A reply without a status is a body, sent as JSON with 200.
fn infer_response(reply: &Value) -> Response<Bytes> {
    let body = reply.as_str().map_or_else(|| reply.to_string(), str::to_owned);
    let mut response = Response::new(Bytes::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests;
