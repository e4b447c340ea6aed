//! The page of an invitation or deployment that can no longer be used.

use domain::states::InvitationStatus;
use lambda::Reply;
use lambda_http::http::StatusCode;
use maud::html;

use crate::pages::frame;
use crate::settings::App;

/// Says why the link no longer works, and what to do.
pub(crate) fn page(title: &str, status: InvitationStatus) -> Reply {
    let (headline, what_to_do) = match status {
        InvitationStatus::Used => ("This link has been used", "To set up another phone, please ask for a new link."),
        InvitationStatus::Superseded => ("A newer link was sent", "Please open the link in the newest message."),
        InvitationStatus::Revoked => ("This link was revoked", "Please ask your administrator for a new one."),
        InvitationStatus::Expired | InvitationStatus::Open => {
            ("This link has expired", "Please ask your administrator for a new one.")
        }
    };
    let body = html! {
        h1 { (headline) }
        p { (what_to_do) }
    };
    frame::page(StatusCode::GONE, title, &body, &App::default())
}
