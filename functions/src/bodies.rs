//! Request bodies that several operations share.

use domain::error::DomainError;
use domain::input::Fields;
use domain::models::command::{CommandKind, CommandRequest};
use domain::text::REASON;
use lambda::AuthorizedRequest;

/// The optional reason in a body.
///
/// # Errors
/// Every invalid field of the body.
pub(crate) fn reason(request: &AuthorizedRequest) -> Result<Option<String>, DomainError> {
    let mut fields = request.http.body()?;
    let reason = read_reason(&mut fields);
    fields.finish().map_err(DomainError::Invalid)?;
    Ok(reason)
}

/// Reads the optional `reason`.
pub(crate) fn read_reason(fields: &mut Fields) -> Option<String> {
    fields.text("reason", REASON)
}

/// The command request of a kind in a body. See [`CommandRequest::read`].
///
/// # Errors
/// Every invalid field of the body.
pub(crate) fn order(request: &AuthorizedRequest, kind: CommandKind) -> Result<CommandRequest, DomainError> {
    let mut fields = request.http.body()?;
    let order = CommandRequest::read(kind, &mut fields);
    fields.finish().map_err(DomainError::Invalid)?;
    Ok(order)
}
