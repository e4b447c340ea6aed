//! The e-mail of a deployment: the link, the QR code, and what to do.

use aws::Email;
use domain::error::Error;
use domain::models::offer::Offer;
use domain::models::user::User;
use maud::html;

use crate::deployments::redirect;
use crate::settings::App;
use crate::triggers::email_layout::{self, Addressee, EmailLayout, SMALL};

const SUBJECT: &str = "Set up the app on your phone";
/// Content ID of the QR code in the HTML.
const PICTURE: &str = "deployment-qr";
/// File name of the attached QR code.
const FILE: &str = "set-up-code.png";

/// The e-mail; `None` if the user has no address.
pub(crate) fn compose(
    user: &User,
    deployment: &Offer,
    code: &str,
    public_url: &str,
    app: &App,
) -> Result<Option<Email>, Error> {
    let Some(Addressee { to, name }) = Addressee::of(user) else {
        return Ok(None);
    };
    let link = redirect::link(public_url, code);
    let devices = email_layout::good_for(deployment.devices);
    let message = DeploymentText {
        name: name.as_deref(),
        link: &link,
        code,
        devices: &devices,
        until: &deployment.expires_at.day(),
        stores: &email_layout::stores(app),
    };
    let layout = EmailLayout { subject: SUBJECT, text: text(&message), html: page(&message) };
    email_layout::message(deployment, to, layout, &link, PICTURE, Some(FILE)).map(Some)
}

/// Content of the e-mail, for both plain text and HTML.
struct DeploymentText<'a> {
    name: Option<&'a str>,
    link: &'a str,
    code: &'a str,
    devices: &'a str,
    until: &'a str,
    stores: &'a [(&'static str, String)],
}

fn text(message: &DeploymentText<'_>) -> String {
    let DeploymentText { name, link, code, devices, until, stores } = message;
    format!(
        "{}your settings for the app are ready.\n\n\
         1. Open this link on your phone, or scan the attached code with its camera:\n\n{link}\n\n\
         2. Install the app if you are asked to, then open the link once more.\n\n\
         3. The app sets itself up. There is nothing to type.\n\n\
         {}\
         Should the app ask for a code, it is this one:\n\n{code}\n\n\
         It sets up {devices} until {until}. Please do not pass it on: whoever has it can use your account.\n\n\
         If you did not expect this message, please tell your administrator.\n",
        email_layout::greeting_as_text(*name),
        email_layout::stores_as_text(stores)
    )
}

fn page(message: &DeploymentText<'_>) -> String {
    let DeploymentText { name, link, code, devices, until, stores } = message;
    let content = html! {
        (email_layout::greeting_as_html(*name))
        p { "your settings for the app are ready. Open this message on your phone and press:" }
        (email_layout::button(link, "Set up the app"))
        p { "Install the app if you are asked to, then press once more. The app sets itself up; there is nothing to type." }
        (email_layout::stores_as_html(stores))
        p { "Reading this on a computer? Scan this code with your phone\u{2019}s camera. It is attached as well." }
        (email_layout::picture(PICTURE, "QR code that sets up the app"))
        p { "Should the app ask for a code, it is this one:" }
        (email_layout::code(code))
        p style=(SMALL) {
            "It sets up " (devices) " until " (until) ". Please do not pass it on: whoever has it can use your account."
        }
        p style=(SMALL) { "If you did not expect this message, please tell your administrator." }
    };
    email_layout::page(SUBJECT, &content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_text_whatever_it_holds_and_the_message_stays_small() {
        let stores = [("iPhone", "https://apps.example/a?b=1&c=2".to_owned())];
        let message = DeploymentText {
            name: Some("<i>Bob</i> & Co"),
            link: "https://e.example/r/abc",
            code: "abc",
            devices: "3 phones",
            until: "2026-12-01",
            stores: &stores,
        };
        let html = page(&message);
        assert!(html.contains("&lt;i&gt;Bob&lt;/i&gt; &amp; Co") && !html.contains("<i>Bob"));
        assert!(html.len() < email_layout::SIZE_LIMIT);
        let text = text(&message);
        assert!(text.contains("https://e.example/r/abc") && text.contains("https://apps.example/a?b=1&c=2"));
    }
}
