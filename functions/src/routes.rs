//! The routes of all operations: which methods a path has.

use domain::error::{DomainError, Error};
use lambda::{ErrorFormat, Reply, Request, problem, seam};

use crate::operations::OPERATIONS;

/// A path with a route, and its methods.
struct Path {
    methods: Vec<&'static str>,
    /// The format of its errors.
    error_format: ErrorFormat,
}

/// True if a route of the path accepts the method or ANY, or if the path has no route.
pub(crate) fn allows(request: &Request) -> bool {
    let method = request.method.as_str();
    find(request).is_none_or(|path| path.methods.iter().any(|allowed| *allowed == method || *allowed == "ANY"))
}

/// The path of the request's route, or the one that matches with another method; `None` if no path matches.
fn find(request: &Request) -> Option<Path> {
    let is_meant = |path: &str| match &request.route {
        Some(taken) => path == taken,
        None => matches(path, &request.raw_path),
    };
    let all = || OPERATIONS.iter().flat_map(|of| of.routes_by_part().map(move |(method, path)| (of, method, path)));
    let (first, _, path) = all().filter(|(.., path)| is_meant(path)).max_by_key(|(.., path)| is_literal(path))?;
    let mut methods: Vec<_> = all().filter(|(.., other)| *other == path).map(|(_, method, _)| method).collect();
    methods.sort_unstable();
    Some(Path { methods, error_format: first.error_format })
}

/// True for a path without placeholders, which takes precedence over those with one.
fn is_literal(path: &str) -> bool {
    !path.contains('{')
}

/// The value of the `Allow` header.
fn allowed(methods: &[&str]) -> String {
    let with_head = methods.iter().flat_map(|method| [Some(*method), (*method == "GET").then_some("HEAD")]);
    with_head.flatten().collect::<Vec<_>>().join(", ")
}

/// Replies 405 with `Allow` if the path exists with other methods, else 404.
///
/// # Errors
/// `RouteNotFound`.
pub(crate) fn refuse(request: &Request) -> Result<Reply, Error> {
    let Some(path) = find(request) else {
        return Err(DomainError::RouteNotFound.into());
    };
    if path.error_format == ErrorFormat::Seam {
        return Ok(seam::domain_error_reply(&DomainError::OnlyMethods(path.methods.join(",")), &request.request_id));
    }
    let reply = problem::reply(&DomainError::MethodNotAllowed.into(), &request.request_id);
    Ok(reply.with_allow(&allowed(&path.methods)))
}

/// True if a path matches a route.
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
