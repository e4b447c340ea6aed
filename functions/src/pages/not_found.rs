//! `$default`: whatever no route takes. And what no operation takes: the methods that a path does not have.

use domain::error::{DomainError, Error};
use lambda::{Reply, Request, problem, seam};
use lambda_http::http::{HeaderName, HeaderValue};

/// The paths that have a route, each with its methods; where GET is, HEAD is too. `tests/` holds this list
/// against `template.yaml`, which is the routing table.
pub const ROUTES: &[(&str, &[&str])] = &[
    ("/.well-known/apple-app-site-association", &["GET"]),
    ("/.well-known/assetlinks.json", &["GET"]),
    ("/deployments", &["GET"]),
    ("/deployments/auto", &["POST"]),
    ("/deployments/users/{user_id}", &["DELETE"]),
    ("/deployments/{deployment_id}", &["DELETE"]),
    ("/deployments/{deployment_id}/qr", &["GET"]),
    ("/devices", &["GET", "POST"]),
    ("/devices/bulk", &["POST"]),
    ("/devices/export", &["GET"]),
    ("/devices/get", &["GET", "POST"]),
    ("/devices/list", &["GET", "POST"]),
    ("/devices/me/check-in", &["POST"]),
    ("/devices/me/commands/{command_id}", &["POST"]),
    ("/devices/me/config", &["POST"]),
    ("/devices/update", &["PATCH", "POST"]),
    ("/devices/{device_id}", &["DELETE", "GET", "PATCH"]),
    ("/devices/{device_id}/block", &["POST"]),
    ("/devices/{device_id}/commands", &["GET"]),
    ("/devices/{device_id}/commands/{command_id}", &["DELETE"]),
    ("/devices/{device_id}/credential-services/{service}", &["PUT"]),
    ("/devices/{device_id}/credentials/{acs_credential_id}", &["DELETE", "PUT"]),
    ("/devices/{device_id}/lock", &["POST"]),
    ("/devices/{device_id}/unblock", &["POST"]),
    ("/devices/{device_id}/wipe", &["POST"]),
    ("/docs", &["GET"]),
    ("/events", &["GET"]),
    ("/events/export", &["GET"]),
    ("/events/get", &["ANY"]),
    ("/events/list", &["ANY"]),
    ("/i/{code}", &["GET", "POST"]),
    ("/jobs", &["GET"]),
    ("/jobs/{job_id}", &["DELETE", "GET"]),
    ("/keys", &["GET", "POST"]),
    ("/keys/{key_id}", &["DELETE"]),
    ("/members", &["GET", "POST"]),
    ("/members/{member_id}", &["DELETE"]),
    ("/members/{member_id}/tokens", &["GET"]),
    ("/members/{member_id}/tokens/{token_id}", &["DELETE"]),
    ("/memberships", &["GET"]),
    ("/memberships/{workspace_id}", &["DELETE"]),
    ("/memberships/{workspace_id}/accept", &["POST"]),
    ("/openapi.json", &["GET"]),
    ("/phones/{proxy+}", &["ANY"]),
    ("/profiles", &["GET", "POST"]),
    ("/profiles/{profile_id}", &["DELETE", "GET", "PATCH"]),
    ("/sources", &["GET", "POST"]),
    ("/sources/{source_id}", &["DELETE", "GET", "PATCH"]),
    ("/sources/{source_id}/parts/{number}", &["PUT"]),
    ("/sources/{source_id}/sync", &["POST"]),
    ("/scim/v2/{proxy+}", &["ANY"]),
    ("/r/{code}", &["GET"]),
    ("/tokens", &["GET", "POST"]),
    ("/tokens/{token_id}", &["DELETE"]),
    ("/usage", &["GET"]),
    ("/user_identities/{proxy+}", &["ANY"]),
    ("/users", &["GET", "POST"]),
    ("/users/bulk", &["POST"]),
    ("/users/export", &["GET"]),
    ("/users/{user_id}", &["DELETE", "GET", "PATCH"]),
    ("/users/{user_id}/activate", &["POST"]),
    ("/users/{user_id}/deploy", &["POST"]),
    ("/users/{user_id}/force-config", &["POST"]),
    ("/users/{user_id}/invitations", &["GET"]),
    ("/users/{user_id}/invitations/{invitation_id}", &["DELETE"]),
    ("/users/{user_id}/invite", &["POST"]),
    ("/users/{user_id}/lock-and-wipe", &["POST"]),
    ("/users/{user_id}/networks/{provider}", &["PUT"]),
    ("/users/{user_id}/reset-pin", &["POST"]),
    ("/users/{user_id}/secrets", &["PUT"]),
    ("/users/{user_id}/suspend", &["POST"]),
    ("/users/{user_id}/usage", &["GET"]),
    ("/webhooks", &["GET", "POST"]),
    ("/webhooks/create", &["ANY"]),
    ("/webhooks/{webhook_id}", &["DELETE", "GET", "PATCH"]),
    ("/webhooks/{webhook_id}/deliveries", &["GET"]),
    ("/webhooks/{webhook_id}/deliveries/{event_id}/redeliver", &["POST"]),
    ("/webhooks/{webhook_id}/rotate-secret", &["POST"]),
    ("/workspace", &["GET", "PATCH"]),
    ("/workspaces/{proxy+}", &["ANY"]),
];

/// Those of them that speak Seam's words though other methods of their path have no route, each with
/// the methods that it takes.
const SEAM: &[(&str, &str)] =
    &[("/devices/get", "GET,POST"), ("/devices/list", "GET,POST"), ("/devices/update", "PATCH,POST")];

/// True if the request's route has its method, or answers for itself whatever the method is.
pub(crate) fn allows(request: &Request) -> bool {
    let method = request.method.as_str();
    methods(request).is_none_or(|methods| methods.iter().any(|allowed| *allowed == method || *allowed == "ANY"))
}

/// The methods of the request's route, or of one that its path would have by another method; `None` if there is
/// none.
fn methods(request: &Request) -> Option<&'static [&'static str]> {
    let is_meant = |route: &str| match &request.route {
        Some(taken) => route == taken,
        None => matches(route, &request.raw_path),
    };
    ROUTES.iter().find(|(route, _)| is_meant(route)).map(|(_, methods)| *methods)
}

/// The methods as `Allow` names them.
fn allowed(methods: &[&str]) -> String {
    let with_head = methods.iter().flat_map(|method| [Some(*method), (*method == "GET").then_some("HEAD")]);
    with_head.flatten().collect::<Vec<_>>().join(", ")
}

/// Answers 405 with `Allow` for a path that exists with other methods, else 404.
///
/// # Errors
/// `RouteNotFound`.
pub fn handle(request: &Request) -> Result<Reply, Error> {
    let Some(methods) = methods(request) else {
        return Err(DomainError::RouteNotFound.into());
    };
    if let Some((_, verbs)) = SEAM.iter().find(|(path, _)| *path == request.raw_path) {
        return Ok(seam::refused(&DomainError::OnlyMethods(verbs), &request.request_id));
    }
    let mut reply = problem::reply(&DomainError::MethodNotAllowed.into(), &request.request_id);
    if let Ok(allowed) = HeaderValue::from_str(&allowed(methods)) {
        reply.headers.push((HeaderName::from_static("allow"), allowed));
    }
    Ok(reply)
}

fn matches(route: &str, path: &str) -> bool {
    let (route, path): (Vec<&str>, Vec<&str>) = (route.split('/').collect(), path.split('/').collect());
    let same = |(part, actual): (&&str, &&str)| part == actual || (part.starts_with('{') && !actual.is_empty());
    route.len() == path.len() && route.iter().zip(&path).all(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_matched_part_by_part() {
        assert!(matches("/devices/{device_id}/block", "/devices/1/block"));
        for path in ["/devices//block", "/devices/1/block/", "/devices/1", "/users/1/block"] {
            assert!(!matches("/devices/{device_id}/block", path), "{path}");
        }
    }
}
