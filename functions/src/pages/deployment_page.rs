//! The page of a deployment link on a computer. It shows the code and no other data.

use domain::error::Error;
use domain::states::InvitationStatus;
use lambda::Reply;
use lambda_http::http::StatusCode;
use maud::{PreEscaped, html};

use crate::deployments::redirect::in_app;
use crate::pages::{frame, over, qr};
use crate::settings::App;

/// The page with the link as a QR code, to open it on a phone.
pub(crate) fn open(link: &str, code: &str, app: &App) -> Result<Reply, Error> {
    let picture = qr::svg(link)?;
    let body = html! {
        h1 { "Set up the app on your phone" }
        p { "Scan this with the camera of the phone that you want to set up." }
        figure { (PreEscaped(picture)) }
        p.small { "Are you reading this on that phone or tablet?" }
        a.button href=(in_app(app, code)) { "Open the app" }
        @if let Some(store) = &app.ios_store { a.button href=(store) { "Install it on an iPhone or iPad" } }
        @if let Some(store) = &app.android_store { a.button href=(store) { "Install it on Android" } }
    };
    Ok(frame::page(StatusCode::OK, "Set up the app", &body, app))
}

/// The page of a deployment that can no longer be used.
pub(crate) fn over(status: InvitationStatus) -> Reply {
    over::page("Set up the app", status)
}

/// The page for an unknown code.
pub(crate) fn unknown() -> Reply {
    let body = html! {
        h1 { "Link not found" }
        p { "Please open the link exactly as it was sent to you." }
    };
    frame::page(StatusCode::NOT_FOUND, "Set up the app", &body, &App::default())
}
