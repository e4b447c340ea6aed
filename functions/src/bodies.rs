//! Bodies that several operations take.

use domain::command::{CommandKind, Order};
use domain::device::REASON;
use domain::refusal::Refusal;
use lambda::Call;

/// The reason in a body, which may be left out.
///
/// # Errors
/// Every fault of the body.
pub(crate) fn reason(call: &Call) -> Result<Option<String>, Refusal> {
    let mut fields = call.request.body()?;
    let reason = fields.text("reason", REASON);
    fields.finish().map_err(Refusal::Invalid)?;
    Ok(reason)
}

/// The order of a kind in a body. See [`Order::read`].
///
/// # Errors
/// Every fault of the body.
pub(crate) fn order(call: &Call, kind: CommandKind) -> Result<Order, Refusal> {
    let mut fields = call.request.body()?;
    let order = Order::read(kind, &mut fields);
    fields.finish().map_err(Refusal::Invalid)?;
    Ok(order)
}
