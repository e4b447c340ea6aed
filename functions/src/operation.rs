//! What an operation is: its name, who may call it, where, by which handler, and what it says of itself.

use std::fmt;

use domain::error::{DomainError, Error};
use domain::permission::Permission;
use domain::rules::access::Access;
use futures::future::BoxFuture;
use lambda::{AuthorizedRequest, ErrorFormat, MultiWorkspaceRequest, PersonRequest, Reply, Request};
use serde_json::Value;

use crate::description::OperationDoc;
use crate::state::AppState;
use crate::triggers::Run;

/// A handler of requests of one kind, such as those of a caller who has been let in.
pub type Handler<R, T = Reply> = for<'a> fn(&'a AppState, R) -> BoxFuture<'a, Result<T, Error>>;

/// Who may call an operation, with the handler that takes their requests.
#[derive(Clone, Copy)]
pub enum Entry {
    /// A key or a member with a permission.
    Admin(Permission, Handler<AuthorizedRequest>),
    /// A key or a member with any of these permissions, which the handler looks at more closely.
    AnyAdmin(&'static [Permission], Handler<AuthorizedRequest>),
    /// A key or a member with a permission in the workspace that they name, or in any if they name none.
    AdminAnywhere(Permission, Handler<MultiWorkspaceRequest>),
    /// A member who has signed in, for themselves.
    Person(Handler<PersonRequest>),
    /// Anyone who has signed in, for themselves, before they are a member of any workspace.
    SignedIn(Handler<PersonRequest>),
    /// A device, by its own credential.
    Device(Handler<Request>),
    /// Whoever has a code.
    Code(Handler<Request>),
    /// Anyone.
    Public(Handler<Request>),
    /// AWS alone: a queue, a stream, a schedule, or the operator.
    Internal(Handler<Run, Value>),
}

/// An operation: one Lambda.
pub struct Operation {
    /// Its name: that of its file, of its function in `template.yaml` and of its `operationId`.
    pub name: &'static str,
    /// Who may call it, and its handler.
    pub entry: Entry,
    /// Where it is called: a method and a path each, such as `GET /devices/{device_id}`. GET takes HEAD too; ANY takes
    /// every method, and the handler tells them apart.
    pub routes: &'static [&'static str],
    /// The shape of its errors.
    pub error_format: ErrorFormat,
    /// True if it reads a query.
    pub reads_query: bool,
    /// True if it reads a body.
    pub reads_body: bool,
    /// What it says of itself. The published description is made from it by a test, so the program holds none.
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
        Self::new(name, Entry::Person(run))
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
            Entry::Person(_) => Access::Person,
            Entry::SignedIn(_) => Access::SignedIn,
            Entry::Device(_) => Access::Device,
            Entry::Code(_) => Access::Code,
            Entry::Public(_) => Access::Public,
            Entry::Internal(_) => Access::Internal,
        }
    }

    /// Its routes, each as its method and its path.
    pub fn routes_by_part(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.routes.iter().filter_map(|route| route.split_once(' '))
    }

    /// True if it refuses parameters and fields that it does not know: a misspelled one of an admin or a program must
    /// not be ignored. Phones are older and newer than this release, and the protocols of Seam and of SCIM have rules
    /// of their own.
    #[must_use]
    pub fn is_strict(&self) -> bool {
        let native = self.error_format == ErrorFormat::Problem;
        native && matches!(self.access(), Access::Permission(_) | Access::AnyOf(_) | Access::Person | Access::SignedIn)
    }

    /// Refuses a query or a body that a strict operation does not read at all. In one that it reads, the handler
    /// refuses what it does not know.
    ///
    /// # Errors
    /// A fault of each parameter or field; those of [`Request::body`].
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
