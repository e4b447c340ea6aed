//! Tests of routes, events and responses against API Gateway's documentation.

use std::sync::{Arc, Mutex};

use chrono::DateTime;
use futures::FutureExt;

use super::*;
use crate::template::Template;

fn routes() -> Routes {
    let given = [("PublicUrl", "http://x"), ("SenderAddress", "a@b.example")];
    let given = given.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    Routes::new(&Template::read(crate::TEMPLATE, &StackLocation::default(), &given).unwrap().functions).unwrap()
}

fn operation(method: &str, path: &str) -> String {
    routes().find(method, path).unwrap().operation
}

#[test]
fn the_most_specific_route_wins() {
    assert_eq!(operation("POST", "/devices/me/check-in"), "check-in-device");
    assert_eq!(operation("POST", "/devices/me/block"), "block-device");
    for method in ["GET", "HEAD", "PUT"] {
        assert_eq!(operation(method, "/devices"), "list-devices");
    }
    assert_eq!(operation("POST", "/devices"), "register-device");
    assert_eq!(operation("GET", "/i/abc"), "open-invitation");
    assert_eq!(operation("GET", "/.well-known/assetlinks.json"), "app-links");
}

#[test]
fn a_greedy_parameter_takes_the_rest_of_the_path_with_any_method() {
    for method in ["GET", "PATCH", "BREW"] {
        let found = routes().find(method, "/scim/v2/Schemas/urn%3Ax/y").unwrap();
        assert_eq!((found.operation.as_str(), found.key.as_str()), ("scim", "ANY /scim/v2/{proxy+}"));
        assert_eq!(found.parameters["proxy"], "Schemas/urn:x/y");
    }
    assert_eq!(operation("GET", "/scim/v2"), "not-found");
}

#[test]
fn what_has_no_route_goes_to_the_default() {
    for (method, path) in [
        ("GET", "/nowhere"),
        ("GET", "/devices/me/check-in"),
        ("GET", "/devices/"),
        ("GET", "/"),
        ("GET", "/devices/a/b/c"),
    ] {
        let found = routes().find(method, path).unwrap();
        assert_eq!((found.operation.as_str(), found.key.as_str()), ("not-found", "$default"), "{method} {path}");
    }
}

#[test]
fn path_parameters_are_decoded() {
    let found = routes().find("GET", "/devices/a%20b%2Fc+d").unwrap();
    assert_eq!(found.parameters["device_id"], "a b/c+d");
    assert_eq!(found.key, "ANY /devices/{device_id}");
}

/// The event for a request, and the response for `reply`.
async fn exchanged(request: Request<Bytes>, reply: Result<Value, String>) -> (Option<Value>, Response<Bytes>) {
    let seen = Arc::new(Mutex::new(None));
    let sink = Arc::clone(&seen);
    let invoke: Invoke = Arc::new(move |_, event| {
        *sink.lock().unwrap() = Some(event);
        let reply = reply.clone();
        async move { reply }.boxed()
    });
    let now: Now = Arc::new(|| DateTime::from_timestamp(1_583_348_638, 0).unwrap());
    let wait: Wait = Arc::new(|_| futures::future::pending().boxed());
    let gateway = Gateway::new(routes(), StackLocation::default(), invoke, now, wait);
    let response = gateway.handle(request, "192.0.2.1").await;
    let event = seen.lock().unwrap().take();
    (event, response)
}

fn ok() -> Result<Value, String> {
    Ok(json!({ "statusCode": 200, "body": "" }))
}

async fn event(request: Request<Bytes>) -> Value {
    exchanged(request, ok()).await.0.unwrap()
}

#[tokio::test]
async fn a_request_becomes_an_event() {
    let request = Request::post("/users/u%201/invite?a=1&b=x%20y&a=2&c")
        .header("Host", "phones.example.com")
        .header("X-Many", "1")
        .header("X-Many", "2")
        .header("Cookie", "a=1; b=2")
        .header("User-Agent", "curl")
        .header("Content-Type", "application/json; charset=utf-8")
        .body(Bytes::from("{\"é\": 1}"))
        .unwrap();
    let event = event(request).await;
    assert_eq!(event["routeKey"], "POST /users/{user_id}/invite");
    assert_eq!(event["rawPath"], "/users/u 1/invite");
    assert_eq!(event["rawQueryString"], "a=1&b=x%20y&a=2&c");
    assert_eq!(event["queryStringParameters"], json!({"a": "1,2", "b": "x y", "c": ""}));
    assert_eq!(event["pathParameters"], json!({"user_id": "u 1"}));
    assert_eq!(event["cookies"], json!(["a=1", "b=2"]));
    assert_eq!(event["headers"]["x-many"], "1,2");
    assert!(event["headers"].get("cookie").is_none());
    assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("{\"é\": 1}"), &json!(false)));
    let context = &event["requestContext"];
    assert_eq!(context["http"]["sourceIp"], "192.0.2.1");
    assert_eq!(context["http"]["userAgent"], "curl");
    assert_eq!(context["domainName"], "phones.example.com");
    assert_eq!(context["time"], "04/Mar/2020:19:03:58 +0000");
    assert_eq!(context["timeEpoch"], 1_583_348_638_000_i64);
}

#[tokio::test]
async fn what_is_no_text_goes_in_base64() {
    for (content_type, body, encoded) in [
        ("application/json", &b"{\"a\": \"\xff\"}"[..], true),
        ("application/octet-stream", b"abc", true),
        ("application/x-www-form-urlencoded", b"a=b", true),
        ("text/plain", b"abc", false),
        ("application/merge-patch+json", b"{}", false),
    ] {
        let request = Request::post("/devices").header("Content-Type", content_type).body(Bytes::from(body)).unwrap();
        let event = event(request).await;
        assert_eq!(event["isBase64Encoded"], encoded, "{content_type}");
        let expected = if encoded { BASE64.encode(body) } else { String::from_utf8(body.to_vec()).unwrap() };
        assert_eq!(event["body"], expected);
    }
    let empty = event(Request::get("/devices").body(Bytes::new()).unwrap()).await;
    assert!(empty.get("body").is_none());
}

#[tokio::test]
async fn a_reply_becomes_a_response() {
    let reply = json!({
        "statusCode": 201,
        "headers": {"content-type": "application/json", "x-one": "1"},
        "cookies": ["a=1", "b=2"],
        "body": "{}",
    });
    let (_, response) = exchanged(Request::get("/devices").body(Bytes::new()).unwrap(), Ok(reply)).await;
    assert_eq!(response.status(), 201);
    assert_eq!(response.headers()["x-one"], "1");
    assert_eq!(response.headers().get_all(SET_COOKIE).iter().count(), 2);
    assert_eq!(response.headers()["apigw-requestid"].len(), 16);
    assert_eq!(response.body().as_ref(), b"{}");

    let reply = json!({"statusCode": 200, "body": BASE64.encode([0, 255]), "isBase64Encoded": true});
    let (_, response) = exchanged(Request::get("/devices").body(Bytes::new()).unwrap(), Ok(reply)).await;
    assert_eq!(response.body().as_ref(), [0, 255]);

    let (_, response) = exchanged(Request::get("/devices").body(Bytes::new()).unwrap(), Ok(json!({"a": 1}))).await;
    assert_eq!((response.status().as_u16(), response.body().as_ref()), (200, &b"{\"a\":1}"[..]));
}

#[tokio::test]
async fn api_gateways_own_answers() {
    let large = || Request::post("/devices").body(Bytes::from(vec![0; MAX_BODY + 1])).unwrap();
    let (event, response) = exchanged(large(), ok()).await;
    assert_eq!((event.is_none(), response.status().as_u16()), (true, 413));
    assert_eq!(response.body().as_ref(), br#"{"message":"Request Entity Too Large"}"#);

    let get = || Request::get("/devices").body(Bytes::new()).unwrap();
    let too_long = "x".repeat(MAX_PAYLOAD);
    for reply in
        [Err("down".to_owned()), Ok(json!({"statusCode": 99_999})), Ok(json!({"statusCode": 200, "body": too_long}))]
    {
        let (_, response) = exchanged(get(), reply).await;
        assert_eq!(response.status(), 500);
        assert_eq!(response.body().as_ref(), br#"{"message":"Internal Server Error"}"#);
    }
}
