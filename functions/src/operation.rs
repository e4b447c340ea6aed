//! The definition of an operation: its name, access, routes, handler and documentation.

use std::fmt;

use domain::error::{DomainError, Error};
use domain::permission::Permission;
use futures::future::BoxFuture;
use lambda::{AuthorizedRequest, ErrorFormat, MultiWorkspaceRequest, PersonRequest, Reply, Request};
use serde_json::Value;

use crate::description::OperationDoc;
use crate::state::AppState;
use crate::triggers::Run;

/// A handler of one kind of request, such as an authorized one.
pub type Handler<R, T = Reply> = for<'a> fn(&'a AppState, R) -> BoxFuture<'a, Result<T, Error>>;

/// Who may call an operation, with the matching handler.
#[derive(Clone, Copy)]
pub enum Entry {
    /// A key or member with this permission.
    Admin(Permission, Handler<AuthorizedRequest>),
    /// A key or member with any of these permissions; the handler checks further.
    AnyAdmin(&'static [Permission], Handler<AuthorizedRequest>),
    /// A key or member with this permission in the workspace that they name, or in any of theirs if they name none.
    AdminAnywhere(Permission, Handler<MultiWorkspaceRequest>),
    /// A signed-in member, acting for themselves.
    Member(Handler<PersonRequest>),
    /// A signed-in person, even without a membership, acting for themselves.
    SignedIn(Handler<PersonRequest>),
    /// A device, with its own credential.
    Device(Handler<Request>),
    /// The holder of an invitation or deployment code. No cache may keep the reply, whatever its headers say: it may
    /// contain the code.
    Code(Handler<Request>),
    /// Anyone.
    Public(Handler<Request>),
    /// AWS only: a queue, stream, schedule or the operator.
    Internal(Handler<Run, Value>),
}

/// Who may call an operation: its [`Entry`] without the handler, for the description and the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A key or a member with this permission; a member may use a personal access token.
    Permission(Permission),
    /// A key or a member with any of these; which one is required depends on the object.
    AnyOf(&'static [Permission]),
    /// A person who has signed in, across all workspaces of which they are a member; no key, no personal access token.
    Member,
    /// Anyone who has signed in, member of a workspace or not; no key, no personal access token.
    SignedIn,
    /// The device's own credential, checked in the operation's own read or write.
    Device,
    /// A code in the body or path.
    Code,
    /// Anyone.
    Public,
    /// Only AWS: there is no route, and IAM decides who may invoke it.
    Internal,
}

/// An operation: one Lambda function.
pub struct Operation {
    /// Name of its file, its function in `template.yaml` and its `operationId`.
    pub name: &'static str,
    /// Who may call it, and its handler.
    pub entry: Entry,
    /// Its routes: a method and a path each, such as `GET /devices/{device_id}`. GET includes HEAD; ANY stands for
    /// every method, and the handler distinguishes them.
    pub routes: &'static [&'static str],
    /// The format of its errors.
    pub error_format: ErrorFormat,
    /// True if it reads a query.
    pub reads_query: bool,
    /// True if it reads a body.
    pub reads_body: bool,
    /// Its OpenAPI documentation, compiled for tests only: a test generates the published description from it.
    #[cfg(test)]
    pub doc: Option<fn() -> OperationDoc>,
}

impl Operation {
    const fn new(name: &'static str, entry: Entry) -> Self {
        Self {
            name,
            entry,
            routes: &[],
            error_format: ErrorFormat::Problem,
            reads_query: false,
            reads_body: false,
            #[cfg(test)]
            doc: None,
        }
    }

    pub(crate) const fn admin(name: &'static str, permission: Permission, run: Handler<AuthorizedRequest>) -> Self {
        Self::new(name, Entry::Admin(permission, run))
    }

    pub(crate) const fn any_admin(
        name: &'static str,
        permissions: &'static [Permission],
        run: Handler<AuthorizedRequest>,
    ) -> Self {
        Self::new(name, Entry::AnyAdmin(permissions, run))
    }

    pub(crate) const fn admin_anywhere(
        name: &'static str,
        permission: Permission,
        run: Handler<MultiWorkspaceRequest>,
    ) -> Self {
        Self::new(name, Entry::AdminAnywhere(permission, run))
    }

    pub(crate) const fn person(name: &'static str, run: Handler<PersonRequest>) -> Self {
        Self::new(name, Entry::Member(run))
    }

    pub(crate) const fn signed_in(name: &'static str, run: Handler<PersonRequest>) -> Self {
        Self::new(name, Entry::SignedIn(run))
    }

    pub(crate) const fn device(name: &'static str, run: Handler<Request>) -> Self {
        Self::new(name, Entry::Device(run))
    }

    pub(crate) const fn code(name: &'static str, run: Handler<Request>) -> Self {
        Self::new(name, Entry::Code(run))
    }

    pub(crate) const fn public(name: &'static str, run: Handler<Request>) -> Self {
        Self::new(name, Entry::Public(run))
    }

    pub(crate) const fn internal(name: &'static str, run: Handler<Run, Value>) -> Self {
        Self::new(name, Entry::Internal(run))
    }

    pub(crate) const fn routes(self, routes: &'static [&'static str]) -> Self {
        Self { routes, ..self }
    }

    pub(crate) const fn error_format(self, error_format: ErrorFormat) -> Self {
        Self { error_format, ..self }
    }

    pub(crate) const fn query(self) -> Self {
        Self { reads_query: true, ..self }
    }

    pub(crate) const fn body(self) -> Self {
        Self { reads_body: true, ..self }
    }

    #[cfg(test)]
    pub(crate) const fn doc(self, doc: fn() -> OperationDoc) -> Self {
        Self { doc: Some(doc), ..self }
    }

    #[cfg(not(test))]
    pub(crate) const fn doc(self, _doc: fn() -> OperationDoc) -> Self {
        self
    }

    /// Who may call it.
    #[must_use]
    pub fn access(&self) -> Access {
        match self.entry {
            Entry::Admin(permission, _) | Entry::AdminAnywhere(permission, _) => Access::Permission(permission),
            Entry::AnyAdmin(permissions, _) => Access::AnyOf(permissions),
            Entry::Member(_) => Access::Member,
            Entry::SignedIn(_) => Access::SignedIn,
            Entry::Device(_) => Access::Device,
            Entry::Code(_) => Access::Code,
            Entry::Public(_) => Access::Public,
            Entry::Internal(_) => Access::Internal,
        }
    }

    /// Its routes, split into method and path.
    pub fn routes_by_part(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.routes.iter().filter_map(|route| route.split_once(' '))
    }

    /// True if it refuses unknown parameters and fields, since a misspelled one of an admin or a program must not be
    /// ignored. Phones may run older or newer releases, and Seam and SCIM have their own rules.
    #[must_use]
    pub fn is_strict(&self) -> bool {
        let native = self.error_format == ErrorFormat::Problem;
        native && matches!(self.access(), Access::Permission(_) | Access::AnyOf(_) | Access::Member | Access::SignedIn)
    }

    /// Refuses a query or body that a strict operation does not read at all. Where it reads one, the handler refuses
    /// unknown fields.
    ///
    /// # Errors
    /// `Invalid` with each parameter or field; those of [`Request::body`].
    pub(crate) fn refuse_unread_input(&self, request: &Request) -> Result<(), DomainError> {
        if !self.is_strict() {
            return Ok(());
        }
        if !self.reads_query && request.has_query() {
            request.query()?.finish().map_err(DomainError::Invalid)?;
        }
        if !self.reads_body && request.has_body() {
            request.body()?.finish().map_err(DomainError::Invalid)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation").field("name", &self.name).field("access", &self.access()).finish()
    }
}
