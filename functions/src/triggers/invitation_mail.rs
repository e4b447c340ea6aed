//! The e-mail of an invitation.

use aws::Email;
use domain::error::Error;
use domain::models::offer::Offer;
use domain::models::user::User;
use maud::html;

use crate::settings::App;
use crate::triggers::email_layout::{self, Addressee, EmailLayout, SMALL};

const SUBJECT: &str = "Your invitation to the app";
/// Content ID of the QR code in the HTML.
const PICTURE: &str = "invitation-qr";

/// The e-mail; `None` if the user has no address.
pub(crate) fn compose(
    user: &User,
    invitation: &Offer,
    code: &str,
    public_url: &str,
    app: &App,
) -> Result<Option<Email>, Error> {
    let Some(Addressee { to, name }) = Addressee::of(user) else {
        return Ok(None);
    };
    let link = format!("{public_url}/i/{code}");
    let message = InvitationText {
        name: name.as_deref(),
        link: &link,
        code,
        devices: invitation.devices,
        until: &invitation.expires_at.day(),
        stores: &email_layout::stores(app),
    };
    let layout = EmailLayout { subject: SUBJECT, text: text(&message), html: page(&message) };
    email_layout::message(invitation, to, layout, &link, PICTURE, None).map(Some)
}

/// Content of the e-mail, for both plain text and HTML.
struct InvitationText<'a> {
    name: Option<&'a str>,
    link: &'a str,
    code: &'a str,
    devices: u32,
    until: &'a str,
    stores: &'a [(&'static str, String)],
}

fn text(message: &InvitationText<'_>) -> String {
    let InvitationText { name, link, code, devices, until, stores } = message;
    format!(
        "{}you are invited to use the app. Open this link on your phone:\n\n{link}\n\n\
         {}\
         Or enter this code in the app:\n\n{code}\n\n\
         This code works for {} until {until}. Please keep it to yourself.\n\n\
         If you did not expect this message, you can ignore it.\n",
        email_layout::greeting_as_text(*name),
        email_layout::stores_as_text(stores),
        email_layout::good_for(*devices)
    )
}

fn page(message: &InvitationText<'_>) -> String {
    let InvitationText { name, link, code, devices, until, stores } = message;
    let content = html! {
        (email_layout::greeting_as_html(*name))
        p { "you are invited to use the app. Open this message on your phone and press:" }
        (email_layout::button(link, "Use the app"))
        (email_layout::stores_as_html(stores))
        p { "Reading this on a computer? Scan this code with your phone\u{2019}s camera:" }
        (email_layout::picture(PICTURE, "QR code of your invitation"))
        p { "Or enter this code in the app:" }
        (email_layout::code(code))
        p style=(SMALL) { "This code works for " (email_layout::good_for(*devices)) " until " (until) ". Please keep it to yourself." }
        p style=(SMALL) { "If you did not expect this message, you can ignore it." }
    };
    email_layout::page(SUBJECT, &content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(stores: &'static [(&'static str, String)]) -> InvitationText<'static> {
        InvitationText {
            name: Some("<b>Anna</b> & Co"),
            link: "https://example.com/i/abc",
            code: "abc",
            devices: 3,
            until: "2026-12-01",
            stores,
        }
    }

    #[test]
    fn a_name_is_text_whatever_it_holds_and_the_message_stays_small() {
        let html = page(&message(&[]));
        assert!(html.contains("&lt;b&gt;Anna&lt;/b&gt; &amp; Co") && !html.contains("<b>Anna"));
        assert!(html.contains("3 phones") && html.len() < email_layout::SIZE_LIMIT);
        assert!(
            crate::pages::qr::png("https://example.com/i/abcdefghijklmnopqrstuv").unwrap().len()
                < email_layout::SIZE_LIMIT / 2
        );
    }
}
