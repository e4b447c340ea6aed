//! Requests that are known to be somebody's: what is remembered of them, and the cursors that they are given, is
//! worth something to nobody else.

use aws::store::members;
use lambda::{AuthorizedRequest, PersonRequest, Request};

/// A request that is known to be somebody's.
pub(crate) trait Authenticated {
    /// The request.
    fn request(&self) -> &Request;
    /// Where it is made: in a workspace, or by a person alone.
    fn scope(&self) -> String;
    /// Who makes it, told apart from all others in the place.
    fn principal(&self) -> String;
}

impl Authenticated for AuthorizedRequest {
    fn request(&self) -> &Request {
        &self.request
    }
    fn scope(&self) -> String {
        self.workspace().to_string()
    }
    fn principal(&self) -> String {
        serde_json::json!(self.caller.actor).to_string()
    }
}

impl Authenticated for PersonRequest {
    fn request(&self) -> &Request {
        &self.request
    }
    fn scope(&self) -> String {
        members::person_hash(&self.person.issuer, &self.person.subject).as_str().to_owned()
    }
    fn principal(&self) -> String {
        "own".to_owned()
    }
}
