//! The frame of the pages behind links: it loads nothing from elsewhere, and sends no referrer.

use lambda::Reply;
use lambda_http::http::{HeaderName, HeaderValue, StatusCode};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::settings::App;

const STYLE: &str = "
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}
body{margin:0;display:grid;place-items:center;min-height:100vh;background:Canvas;color:CanvasText}
main{max-width:22rem;padding:2rem 1.25rem;text-align:center}
h1{font-size:1.4rem;margin:0 0 .5rem}h1,p{text-wrap:balance}
button,a.button{display:block;width:100%;box-sizing:border-box;padding:.85rem 1rem;margin:.75rem 0;border-radius:.6rem;
border:1px solid #1f5fbf;background:#1f5fbf;color:#fff;font:inherit;font-weight:600;text-decoration:none;cursor:pointer}
a.button{background:transparent;color:inherit}
figure{margin:2rem 0 0}svg{background:#fff;border-radius:.6rem;width:15rem;height:15rem}
figcaption,p.small{font-size:.9rem;opacity:.75}";

/// A page with this status, title and body, whose forms may open the app.
pub(crate) fn page(status: StatusCode, title: &str, body: &Markup, app: &App) -> Reply {
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
    let mut reply =
        Reply::page(status, page.into_string()).with(HeaderName::from_static("referrer-policy"), "no-referrer");
    let policy = format!(
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self' {}:; frame-ancestors 'none'",
        if app.scheme.is_empty() { "https" } else { &app.scheme }
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        reply.headers.push((HeaderName::from_static("content-security-policy"), policy));
    }
    reply
}
