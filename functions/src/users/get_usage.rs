//! `GET /users/{user_id}/usage`, and `GET /usage` of the whole workspace.

use domain::UserId;
use domain::error::{DomainError, Error};
use lambda::{AuthorizedRequest, Reply};
use serde_json::{Value, json};

use crate::description::OperationDoc;
use crate::description::schema::{array, object, text, thing};
use crate::description::things::counts;
use crate::state::AppState;
use crate::views;

/// What the operation says of itself.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Get what was used")
        .detail(
            "The counts of each month that has any, the newest first, of at most two years, and their sums; of a \
             user, or of the whole workspace.",
        )
        .shows("The counts.", object([("months", array(counts([("month", text())]))), ("totals", thing("Counts"))]))
}

/// Answers with `{months, totals}`: the counts of each month that has any, the newest first, of at
/// most two years, and their sums.
///
/// # Errors
/// `NotFound`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let months = if request.http.path("user_id").is_empty() {
        table.workspace_usage(request.workspace()).await?
    } else {
        let id = request.http.path_id("user_id", "user", UserId::parse)?;
        table.user(request.workspace(), id).await?.ok_or(DomainError::NotFound("user"))?;
        table.user_usage(request.workspace(), id).await?
    };
    let mut totals = domain::models::usage::Counts::new();
    for counts in months.values() {
        domain::models::usage::add(&mut totals, counts);
    }
    let shown = |(month, counts): (&String, &domain::models::usage::Counts)| {
        let mut view = views::counts(counts);
        view["month"] = Value::String(month.clone());
        view
    };
    let months: Vec<Value> = months.iter().rev().map(shown).collect();
    Ok(Reply::ok(&json!({"months": months, "totals": views::counts(&totals)})))
}
