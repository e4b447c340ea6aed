//! Bodies that several operations take.

use domain::error::DomainError;
use domain::input::Fields;
use domain::models::command::{CommandKind, CommandRequest};
use domain::text::REASON;
use lambda::AuthorizedRequest;

/// The reason in a body, which may be left out.
///
/// # Errors
/// Every fault of the body.
pub(crate) fn reason(request: &AuthorizedRequest) -> Result<Option<String>, DomainError> {
    let mut fields = request.http.body()?;
    let reason = read_reason(&mut fields);
    fields.finish().map_err(DomainError::Invalid)?;
    Ok(reason)
}

/// Reads the reason of something that is done.
pub(crate) fn read_reason(fields: &mut Fields) -> Option<String> {
    fields.text("reason", REASON)
}

/// The order of a kind in a body. See [`CommandRequest::read`].
///
/// # Errors
/// Every fault of the body.
pub(crate) fn order(request: &AuthorizedRequest, kind: CommandKind) -> Result<CommandRequest, DomainError> {
    let mut fields = request.http.body()?;
    let order = CommandRequest::read(kind, &mut fields);
    fields.finish().map_err(DomainError::Invalid)?;
    Ok(order)
}
