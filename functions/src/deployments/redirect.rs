//! `GET /r/{code}`: redirect of a deployment's link. The reply reveals only whether the link is still valid.

use domain::error::Error;
use domain::models::offer::Purpose;
use domain::secret::is_code;
use domain::states::InvitationStatus;
use lambda::{Reply, Request};
use lambda_http::http::{HeaderName, HeaderValue, StatusCode};

use crate::description::OperationDoc;
use crate::pages::deployment_page;
use crate::settings::App;
use crate::state::AppState;
use crate::users::offers::find_by_code;

/// The web link of a deployment.
pub(crate) fn link(public_url: &str, code: &str) -> String {
    format!("{public_url}/r/{code}")
}

/// Platform of the client, by its `User-Agent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Platform {
    Ios,
    Android,
    Desktop,
}

impl Platform {
    fn of(user_agent: &str) -> Self {
        let says = |word: &str| user_agent.contains(word);
        // Windows phones also claim to be iPhones and Android phones.
        if says("Windows") {
            Self::Desktop
        } else if says("iPhone") || says("iPad") || says("iPod") {
            Self::Ios
        } else if says("Android") {
            Self::Android
        } else {
            Self::Desktop
        }
    }
}

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Follow a deployment's link")
        .detail(
            "Redirects iOS and Android to the app or its store; other browsers get a page with the QR code. The \
             answer shows nothing of the deployment but whether its link is still valid.",
        )
        .page(200, "A page with the QR code.")
        .page(302, "Redirect to the store or to the app.")
        .with_header("location", "Address of the store or of the app.")
        .page(404, "The code is unknown.")
        .page(410, "The link is no longer valid: used, revoked, expired, or replaced by a newer one.")
}

/// Redirects a phone. If the app is installed, the phone opens this link in the app and sends no request. Otherwise
/// an iPhone is sent to the store, and its user opens the link again afterwards; an Android phone is sent to the
/// store with the code as referrer, which the installed app reads. Without a configured store, both are sent to the
/// app's own URL scheme. Other clients get a page with the QR code.
///
/// # Errors
/// `Unavailable`; `Internal` if the QR code cannot be rendered.
pub async fn handle(state: &AppState, request: Request) -> Result<Reply, Error> {
    let request = &request;
    let table = state.table()?;
    let public_url = state.public_url()?;
    let app = &state.settings.app;
    let code = request.path("code");
    if !is_code(code) {
        return Ok(deployment_page::unknown());
    }
    let Some(deployment) = find_by_code(table, code, Purpose::Deploy).await? else {
        return Ok(deployment_page::unknown());
    };
    match deployment.status(request.now()) {
        InvitationStatus::Open => {}
        over => return Ok(deployment_page::over(over)),
    }
    let agent = request.header("user-agent").unwrap_or_default();
    Ok(match Platform::of(agent) {
        Platform::Ios => onward(app.ios_store.clone(), code, app),
        Platform::Android => onward(app.android_store.as_deref().map(|store| with_referrer(store, code)), code, app),
        Platform::Desktop => deployment_page::open(&link(public_url, code), code, app)?,
    })
}

fn onward(store: Option<String>, code: &str, app: &App) -> Reply {
    let target = store.unwrap_or_else(|| in_app(app, code));
    let mut reply =
        Reply::page(StatusCode::FOUND, String::new()).with(HeaderName::from_static("referrer-policy"), "no-referrer");
    // A configured store address is a valid header value, and so is a code.
    if let Ok(target) = HeaderValue::from_str(&target) {
        reply.headers.push((HeaderName::from_static("location"), target));
    }
    reply
}

/// The link in the app's own URL scheme.
pub(crate) fn in_app(app: &App, code: &str) -> String {
    format!("{}://r/{code}", app.scheme)
}

/// The store's address with the code as referrer ("Play Install Referrer", Android Developers).
fn with_referrer(store: &str, code: &str) -> String {
    let separator = if store.contains('?') { '&' } else { '?' };
    format!("{store}{separator}referrer={code}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_is_known_by_what_it_says() {
        let cases = [
            ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15", Platform::Ios),
            ("Mozilla/5.0 (iPad; CPU OS 12_2 like Mac OS X)", Platform::Ios),
            ("Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 Chrome/131.0 Mobile", Platform::Android),
            ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Safari/605.1.15", Platform::Desktop),
            ("Mozilla/5.0 (Windows Phone 10.0; Android 6.0; Microsoft; Lumia) like iPhone OS 7_0", Platform::Desktop),
            ("curl/8.9", Platform::Desktop),
            ("", Platform::Desktop),
        ];
        for (agent, platform) in cases {
            assert_eq!(Platform::of(agent), platform, "{agent}");
        }
    }

    #[test]
    fn the_referrer_joins_what_the_stores_address_holds() {
        assert_eq!(with_referrer("https://s.example/app?id=a", "c"), "https://s.example/app?id=a&referrer=c");
        assert_eq!(with_referrer("https://s.example/app", "c"), "https://s.example/app?referrer=c");
    }
}
