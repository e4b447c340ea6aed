//! Requests of an identified caller. Their idempotency records and list cursors work for this caller only.

use aws::store::members;
use lambda::{AuthorizedRequest, PersonRequest, Request};
use serde_json::json;

/// A request of an identified caller.
pub(crate) trait CallerScope {
    /// The HTTP request.
    fn http(&self) -> &Request;
    /// The workspace of the request, or a hash of the person if it is made outside any workspace.
    fn scope(&self) -> String;
    /// The caller, unique within the scope.
    fn principal(&self) -> String;
}

impl CallerScope for AuthorizedRequest {
    fn http(&self) -> &Request {
        &self.http
    }
    fn scope(&self) -> String {
        self.workspace().to_string()
    }
    fn principal(&self) -> String {
        json!(self.caller.actor).to_string()
    }
}

impl CallerScope for PersonRequest {
    fn http(&self) -> &Request {
        &self.http
    }
    fn scope(&self) -> String {
        members::person_hash(&self.person.issuer, &self.person.subject).as_str().to_owned()
    }
    fn principal(&self) -> String {
        "own".to_owned()
    }
}
