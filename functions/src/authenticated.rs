//! Requests that are known to be somebody's: what is remembered of them, and the cursors that they are given, is
//! worth something to nobody else.

use aws::store::members;
use lambda::{AuthorizedRequest, PersonRequest, Request};
use serde_json::json;

/// A request that is known to be somebody's.
pub(crate) trait Authenticated {
    /// The request as it came.
    fn http(&self) -> &Request;
    /// Where it is made: in a workspace, or by a person alone.
    fn scope(&self) -> String;
    /// Who makes it, told apart from all others in the scope.
    fn principal(&self) -> String;
}

impl Authenticated for AuthorizedRequest {
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

impl Authenticated for PersonRequest {
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
