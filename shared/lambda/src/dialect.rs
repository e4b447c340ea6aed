//! How the failures of an operation are told: each kind of client has a form that it reads.

use domain::refusal::Failure;

use crate::reply::Reply;
use crate::{problem, scim, seam};

/// The form in which failures are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Handset's own: RFC 9457.
    Problem,
    /// SCIM's: RFC 7644, 3.12.
    Scim,
    /// Seam's.
    Seam,
}

impl Dialect {
    /// What a caller is told of a failure.
    #[must_use]
    pub fn tell(self, failure: &Failure, request_id: &str) -> Reply {
        match self {
            Self::Problem => problem::reply(failure, request_id),
            Self::Scim => scim::reply(failure),
            Self::Seam => seam::reply(failure, request_id),
        }
    }

    /// What a caller is told of a fault of ours.
    #[must_use]
    pub fn internal(self, request_id: &str) -> Reply {
        match self {
            Self::Problem => problem::internal(request_id),
            Self::Scim => scim::internal(),
            Self::Seam => seam::internal(request_id),
        }
    }

    /// The headers, beside `x-request-id`, that name the request on each of its replies.
    #[must_use]
    pub fn request_id_header(self) -> Option<&'static str> {
        match self {
            Self::Problem | Self::Scim => None,
            Self::Seam => Some(seam::REQUEST_ID),
        }
    }
}
