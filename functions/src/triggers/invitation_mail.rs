//! The e-mail of an invitation: plain text, and HTML that reads well on a phone and with pictures
//! off.

use aws::{InlineImage, Message};
use domain::invitation::Invitation;
use domain::refusal::Failure;
use domain::user::User;
use maud::{DOCTYPE, html};

use crate::pages::qr;
use crate::settings::App;

/// The most bytes that Gmail shows of a message without cutting it off.
#[cfg(test)]
const SIZE_LIMIT: usize = 100 * 1024;

/// The e-mail; `None` if the user has no address.
pub(crate) fn compose(
    user: &User,
    invitation: &Invitation,
    code: &str,
    public_url: &str,
    app: &App,
) -> Result<Option<Message>, Failure> {
    let Some(to) = user.email.clone() else {
        return Ok(None);
    };
    let link = format!("{public_url}/i/{code}");
    let name = user.first_name.clone().unwrap_or_else(|| user.name());
    let said = Said {
        name: &name,
        link: &link,
        code,
        devices: invitation.devices,
        until: &invitation.expires_at.day(),
        stores: &stores(app),
    };
    let tags = [
        ("workspace_id", invitation.workspace_id.to_string()),
        ("user_id", invitation.user_id.to_string()),
        ("invitation_id", invitation.invitation_id.to_string()),
    ];
    Ok(Some(Message {
        from: None,
        to,
        subject: "Your invitation to the app".to_owned(),
        text: text(&said),
        html: page(&said),
        images: vec![InlineImage {
            content_id: "invitation-qr".to_owned(),
            name: "invitation.png".to_owned(),
            content_type: "image/png".to_owned(),
            bytes: qr::png(&link)?,
        }],
        tags: tags.map(|(name, value)| (name.to_owned(), value)).to_vec(),
    }))
}

/// What the e-mail says, in either of its forms.
struct Said<'a> {
    name: &'a str,
    link: &'a str,
    code: &'a str,
    devices: u32,
    until: &'a str,
    /// Where the app is to be had: for which phones, and the address.
    stores: &'a [(&'static str, String)],
}

/// Where the app is to be had, as far as the settings say.
fn stores(app: &App) -> Vec<(&'static str, String)> {
    let stores = [("iPhone", &app.ios_store), ("Android", &app.android_store)];
    stores.into_iter().filter_map(|(phones, store)| Some((phones, store.clone()?))).collect()
}

fn good_for(devices: u32) -> String {
    match devices {
        1 => "one phone".to_owned(),
        many => format!("{many} phones"),
    }
}

fn text(said: &Said<'_>) -> String {
    let Said { name, link, code, devices, until, stores } = said;
    let stores: String = stores.iter().map(|(phones, store)| format!("For {phones}: {store}\n")).collect();
    let stores = if stores.is_empty() { stores } else { format!("If you do not have the app yet:\n\n{stores}\n") };
    format!(
        "Hello {name},\n\n\
         you are invited to use the app. Open this link on your phone:\n\n{link}\n\n\
         {stores}\
         Or enter this code in the app:\n\n{code}\n\n\
         It is good for {} until {until}. Please do not pass it on.\n\n\
         If you did not expect this message, you can ignore it.\n",
        good_for(*devices)
    )
}

fn page(said: &Said<'_>) -> String {
    let Said { name, link, code, devices, until, stores } = said;
    let body = "margin:0;padding:24px 16px;background:#f4f5f7;color:#1b1f24;font:16px/1.5 Helvetica,Arial,sans-serif";
    let card = "max-width:480px;margin:0 auto;padding:24px;background:#ffffff;border-radius:12px";
    let button = "display:inline-block;padding:14px 24px;border-radius:8px;background:#1f5fbf;color:#ffffff;\
                  font-weight:bold;text-decoration:none";
    let small = "font-size:14px;color:#57606a";
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light";
                title { "Your invitation to the app" }
            }
            body style=(body) {
                div style=(card) {
                    p style="margin-top:0" { "Hello " (name) "," }
                    p { "you are invited to use the app. Open this message on your phone and press:" }
                    p style="text-align:center;margin:24px 0" { a href=(link) style=(button) { "Use the app" } }
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
                    p { "Reading this on a computer? Scan this code with your phone\u{2019}s camera:" }
                    p style="text-align:center" {
                        img src="cid:invitation-qr" width="240" height="240" alt="QR code of your invitation" style="max-width:100%;height:auto";
                    }
                    p { "Or enter this code in the app:" }
                    p style="text-align:center;font:bold 18px/1.4 Menlo,Consolas,monospace;word-break:break-all" { (code) }
                    p style=(small) {
                        "It is good for " (good_for(*devices)) " until " (until) ". Please do not pass it on."
                    }
                    p style=(small) { "If you did not expect this message, you can ignore it." }
                }
            }
        }
    }
    .into_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(stores: &'static [(&'static str, String)]) -> Said<'static> {
        Said {
            name: "<b>Anna</b> & Co",
            link: "https://example.com/i/abc",
            code: "abc",
            devices: 3,
            until: "2026-12-01",
            stores,
        }
    }

    #[test]
    fn a_name_is_text_whatever_it_holds_and_the_message_stays_small() {
        let html = page(&said(&[]));
        assert!(html.contains("&lt;b&gt;Anna&lt;/b&gt; &amp; Co") && !html.contains("<b>Anna"));
        assert!(html.contains("3 phones") && html.len() < SIZE_LIMIT);
        assert!(qr::png("https://example.com/i/abcdefghijklmnopqrstuv").unwrap().len() < SIZE_LIMIT / 2);
    }
}
