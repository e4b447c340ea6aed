//! HTTP and Lambda: requests, callers, replies, problems and logs.
//!
//! Invariant: this is the only crate that knows of HTTP, of API Gateway and of Lambda, and it knows nothing of
//! AWS's stores. It looks things up through [`CredentialStore`].

pub mod accept;
pub mod caller;
mod error_format;
mod json;
pub mod logging;
pub mod problem;
pub mod reply;
pub mod request;
pub mod scim;
pub mod seam;
mod token;

pub use caller::{
    AuthenticatedRequest, AuthorizedRequest, CredentialStore, Issuer, MultiWorkspaceRequest, PersonRequest,
    authenticate, device_credential,
};
pub use error_format::ErrorFormat;
pub use reply::{Reply, is_https};
pub use request::{IdSource, Request};
pub use token::parse_issuer_keys;
