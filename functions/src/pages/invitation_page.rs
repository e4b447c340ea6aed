//! The page behind an invitation's link. It knows the code and nothing else, loads nothing from
//! anywhere, and leaves no trace of its address.

use domain::refusal::Failure;
use lambda::Reply;
use lambda_http::http::{HeaderName, HeaderValue, StatusCode};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::pages::qr;
use crate::settings::App;

const STYLE: &str = "
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}
body{margin:0;display:grid;place-items:center;min-height:100vh;background:Canvas;color:CanvasText}
main{max-width:22rem;padding:2rem 1.25rem;text-align:center}
h1{font-size:1.4rem;margin:0 0 .5rem}
button,a.button{display:block;width:100%;box-sizing:border-box;padding:.85rem 1rem;margin:.75rem 0;border-radius:.6rem;
border:1px solid #1f5fbf;background:#1f5fbf;color:#fff;font:inherit;font-weight:600;text-decoration:none;cursor:pointer}
a.button{background:transparent;color:inherit}
figure{margin:2rem 0 0}svg{background:#fff;border-radius:.6rem;width:15rem;height:15rem}
figcaption,p.small{font-size:.9rem;opacity:.75}";

/// The page of an invitation that can be used.
pub(crate) fn open(link: &str, app: &App) -> Result<Reply, Failure> {
    let picture = qr::svg(link)?;
    let body = html! {
        h1 { "You are invited" }
        p { "Use the app on this phone with your invitation." }
        form method="post" { button type="submit" { "Open the app" } }
        @if let Some(store) = &app.ios_store { a.button href=(store) { "Install it on an iPhone" } }
        @if let Some(store) = &app.android_store { a.button href=(store) { "Install it on Android" } }
        p.small { "Install it first if it is not there yet, then come back to this page." }
        figure {
            (PreEscaped(picture))
            figcaption { "For another phone: scan this with its camera." }
        }
    };
    Ok(page(StatusCode::OK, "Invitation", &body, app))
}

/// The page of an invitation whose time is over, or that was used.
pub(crate) fn over() -> Reply {
    let body = html! {
        h1 { "This invitation is no longer valid" }
        p { "It has been used, or its time is over, or a newer one was sent. Please ask for a new invitation." }
    };
    page(StatusCode::GONE, "Invitation", &body, &App::default())
}

/// The page of a code that is nobody's.
pub(crate) fn unknown() -> Reply {
    let body = html! {
        h1 { "There is no such invitation" }
        p { "Please open the link exactly as it was sent to you." }
    };
    page(StatusCode::NOT_FOUND, "Invitation", &body, &App::default())
}

fn page(status: StatusCode, title: &str, body: &Markup, app: &App) -> Reply {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { main { (body) } }
        }
    };
    let mut reply = Reply::page(status, page.into_string())
        .with(HeaderName::from_static("cache-control"), "no-store")
        .with(HeaderName::from_static("referrer-policy"), "no-referrer")
        .with(HeaderName::from_static("x-content-type-options"), "nosniff");
    let policy = format!(
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self' {}:; frame-ancestors 'none'",
        if app.scheme.is_empty() { "https" } else { &app.scheme }
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        reply.headers.push((HeaderName::from_static("content-security-policy"), policy));
    }
    reply
}
