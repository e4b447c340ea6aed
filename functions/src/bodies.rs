//! Bodies that several operations take.

use domain::command::{CommandKind, Order};
use domain::device::REASON;
use domain::input::Fields;
use domain::refusal::Refusal;
use lambda::Call;

/// The reason in a body, which may be left out.
///
/// # Errors
/// Every fault of the body.
pub(crate) fn reason(call: &Call) -> Result<Option<String>, Refusal> {
    let mut fields = call.request.body()?;
    let reason = read_reason(&mut fields);
    fields.finish().map_err(Refusal::Invalid)?;
    Ok(reason)
}

/// Reads the reason of something that is done.
pub(crate) fn read_reason(fields: &mut Fields) -> Option<String> {
    fields.text("reason", REASON)
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
