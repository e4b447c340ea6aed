//! The page of an invitation link. It knows the code and no other data.

use domain::error::Error;
use domain::states::InvitationStatus;
use lambda::Reply;
use lambda_http::http::StatusCode;
use maud::{PreEscaped, html};

use crate::pages::{frame, over, qr};
use crate::settings::App;

/// The page of an invitation that can be used.
pub(crate) fn open(link: &str, app: &App) -> Result<Reply, Error> {
    let picture = qr::svg(link)?;
    let body = html! {
        h1 { "You are invited" }
        p { "Set up the app on this device." }
        form method="post" { button type="submit" { "Open the app" } }
        @if let Some(store) = &app.ios_store { a.button href=(store) { "Install it on an iPhone" } }
        @if let Some(store) = &app.android_store { a.button href=(store) { "Install it on Android" } }
        p.small { "If the app is not installed yet, install it first, then come back to this page." }
        figure {
            (PreEscaped(picture))
            figcaption { "To set up another phone, scan this with its camera." }
        }
    };
    Ok(frame::page(StatusCode::OK, "Invitation", &body, app))
}

/// The page of an invitation that can no longer be used.
pub(crate) fn over(status: InvitationStatus) -> Reply {
    over::page("Invitation", status)
}

/// The page for an unknown code.
pub(crate) fn unknown() -> Reply {
    let body = html! {
        h1 { "Invitation not found" }
        p { "Please open the link exactly as it was sent to you." }
    };
    frame::page(StatusCode::NOT_FOUND, "Invitation", &body, &App::default())
}
