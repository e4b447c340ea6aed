//! Shared parts of e-mails: HTML that reads well on a phone and without pictures, and plain text with the same content.

use aws::{Email, Picture};
use domain::error::Error;
use domain::models::offer::{Offer, Purpose};
use domain::models::user::User;
use maud::{DOCTYPE, Markup, html};

use crate::pages::qr;
use crate::settings::App;

/// Most bytes of a message that Gmail shows without clipping it.
#[cfg(test)]
pub(crate) const SIZE_LIMIT: usize = 100 * 1024;

pub(crate) const SMALL: &str = "font-size:14px;color:#57606a";
const CODE: &str = "text-align:center;font:bold 18px/1.4 Menlo,Consolas,monospace;word-break:break-all";

/// The number of phones that a code works for, in words.
pub(super) fn good_for(devices: u32) -> String {
    match devices {
        1 => "one phone".to_owned(),
        many => format!("{many} phones"),
    }
}

/// The configured app stores: phone type and URL.
pub(crate) fn stores(app: &App) -> Vec<(&'static str, String)> {
    let stores = [("iPhone", &app.ios_store), ("Android", &app.android_store)];
    stores.into_iter().filter_map(|(phones, store)| Some((phones, store.clone()?))).collect()
}

/// The stores as plain text; empty if there are none.
pub(crate) fn stores_as_text(stores: &[(&'static str, String)]) -> String {
    let lines: String = stores.iter().map(|(phones, store)| format!("For {phones}: {store}\n")).collect();
    if lines.is_empty() { lines } else { format!("If you do not have the app yet:\n\n{lines}\n") }
}

/// The stores as a paragraph; empty if there are none.
pub(crate) fn stores_as_html(stores: &[(&'static str, String)]) -> Markup {
    html! {
        @if !stores.is_empty() {
            p {
                "If you do not have the app yet, get it for "
                @for (at, (phones, store)) in stores.iter().enumerate() {
                    @if at > 0 { " or " }
                    a href=(store) { (phones) }
                }
                "."
            }
        }
    }
}

/// A link as a button.
pub(crate) fn button(link: &str, text: &str) -> Markup {
    let style = "display:inline-block;padding:14px 24px;border-radius:8px;background:#1f5fbf;color:#ffffff;\
                 font-weight:bold;text-decoration:none";
    html! { p style="text-align:center;margin:24px 0" { a href=(link) style=(style) { (text) } } }
}

/// The QR code, as one of the e-mail's inline pictures.
pub(crate) fn picture(name: &str, alt: &str) -> Markup {
    html! {
        p style="text-align:center" {
            img src=(format!("cid:{name}")) width="240" height="240" alt=(alt) style="max-width:100%;height:auto";
        }
    }
}

/// A code to type in.
pub(crate) fn code(code: &str) -> Markup {
    html! { p style=(CODE) { (code) } }
}

/// A whole HTML page around its content.
pub(crate) fn page(title: &str, said: &Markup) -> String {
    let body = "margin:0;padding:24px 16px;background:#f4f5f7;color:#1b1f24;font:16px/1.5 Helvetica,Arial,sans-serif";
    let card = "max-width:480px;margin:0 auto;padding:24px;background:#ffffff;border-radius:12px";
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light";
                title { (title) }
            }
            body style=(body) { div style=(card) { (said) } }
        }
    }
    .into_string()
}

/// Address and name of the recipient. See [`User::greeting_name`].
pub(crate) struct Addressee {
    pub to: String,
    pub name: Option<String>,
}

impl Addressee {
    /// The addressee for a user; `None` without an e-mail address.
    pub(crate) fn of(user: &User) -> Option<Self> {
        Some(Self { to: user.email.clone()?, name: user.greeting_name() })
    }
}

/// The greeting as plain text.
pub(crate) fn greeting_as_text(name: Option<&str>) -> String {
    format!("{},\n\n", greeting(name))
}

/// The greeting as HTML.
pub(crate) fn greeting_as_html(name: Option<&str>) -> Markup {
    html! { p style="margin-top:0" { (greeting(name)) "," } }
}

fn greeting(name: Option<&str>) -> String {
    name.map_or_else(|| "Hello".to_owned(), |name| format!("Hello {name}"))
}

/// Subject and content of an e-mail, as plain text and HTML.
pub(crate) struct EmailLayout {
    pub subject: &'static str,
    pub text: String,
    pub html: String,
}

/// The e-mail of an offer, with its link as an inline QR code, which is also attached if `attached` names the file. Its
/// tags carry the offer's identifiers, which SES repeats in its reports.
pub(crate) fn message(
    offer: &Offer,
    to: String,
    layout: EmailLayout,
    link: &str,
    inside: &str,
    attached: Option<&str>,
) -> Result<Email, Error> {
    let bytes = qr::png(link)?;
    let picture = |content_id: Option<&str>, name: &str| Picture {
        content_id: content_id.map(str::to_owned),
        name: name.to_owned(),
        content_type: "image/png".to_owned(),
        bytes: bytes.clone(),
    };
    let id = match offer.purpose {
        Purpose::Invite | Purpose::Unknown(_) => "invitation_id",
        Purpose::Deploy => "deployment_id",
    };
    let tags = [
        ("workspace_id", offer.workspace_id.to_string()),
        ("user_id", offer.user_id.to_string()),
        (id, offer.invitation_id.to_string()),
    ];
    let within = picture(Some(inside), &format!("{inside}.png"));
    Ok(Email {
        from: None,
        to,
        subject: layout.subject.to_owned(),
        text: layout.text,
        html: layout.html,
        pictures: [within].into_iter().chain(attached.map(|name| picture(None, name))).collect(),
        tags: tags.map(|(name, value)| (name.to_owned(), value)).to_vec(),
    })
}
