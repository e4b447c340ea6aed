//! The outbox as a page.
//!
//! Its content is untrusted: all text is escaped, and an e-mail's HTML is in an `<iframe sandbox srcdoc>` that
//! can neither run scripts nor reach this page or the network.

use chrono::{DateTime, Utc};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::outbox::{Attachment, Channel, OutboxItem};

/// A page of all 5,000 items would be slow in a browser; JSON has them all.
const SHOWN: usize = 100;

/// Scripts by nonce only, and images from the page itself only, so that opening the outbox does not reveal that
/// an e-mail was read. Frames inherit it.
pub(super) fn content_security_policy(nonce: &str) -> String {
    format!(
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-src about:; connect-src 'self'; \
         script-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    )
}

/// The page; its script polls `version` to detect new items.
pub(super) fn render<'a>(
    items: impl ExactSizeIterator<Item = &'a OutboxItem>,
    base_url: &str,
    version: &str,
    nonce: &str,
) -> Markup {
    let count = items.len();
    html! {
        (DOCTYPE)
        html lang="en" data-version=(version) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Outbox (" (count) ")" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "Outbox" }
                    p { (summary(count)) }
                }
                main {
                    @if count == 0 { (nothing_yet(base_url)) }
                    @for (index, item) in items.take(SHOWN).enumerate() { (card(item, index == 0)) }
                }
                script nonce=(nonce) { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

fn summary(count: usize) -> String {
    let noun = if count == 1 { "message" } else { "messages" };
    let shown = if count > SHOWN { format!(", the newest {SHOWN} shown") } else { String::new() };
    format!("{count} {noun}, newest first{shown}. Nothing left this machine.")
}

fn nothing_yet(base_url: &str) -> Markup {
    html! {
        p.empty { "Nothing has been sent yet. Messages sent through " code { (base_url) } " appear here automatically." }
    }
}

fn card(item: &OutboxItem, is_open: bool) -> Markup {
    let text = item.text.as_deref().filter(|text| !text.is_empty());
    html! {
        details.card open[is_open] {
            summary {
                span class={ "channel " (channel(item.channel)) } { (channel(item.channel)) }
                span.title { (title(item)) }
                span.to { (item.to) }
                (time(item.sent_at))
            }
            @if let Some(source) = &item.html {
                iframe title="The e-mail" loading="lazy"
                    sandbox="allow-popups allow-popups-to-escape-sandbox"
                    srcdoc=(frame(source, &item.attachments)) {}
            }
            @match (text, &item.html) {
                (Some(text), Some(_)) => details.part { summary { "Text part" } pre { (linked(text)) } },
                (Some(text), None) => pre { (linked(text)) },
                (None, _) => {},
            }
            @if !item.attachments.is_empty() {
                ul.files { @for file in &item.attachments { (attachment(file)) } }
            }
        }
    }
}

fn channel(channel: Channel) -> &'static str {
    match channel {
        Channel::Email => "e-mail",
        Channel::Sms => "text",
        Channel::Push => "push",
    }
}

/// An e-mail's subject, or else the beginning of the text.
fn title(item: &OutboxItem) -> String {
    let of_text = || {
        let text = item.text.as_deref().unwrap_or_default();
        let beginning: String = text.chars().take(80).collect();
        if beginning == text { beginning } else { format!("{beginning}\u{2026}") }
    };
    item.subject.clone().unwrap_or_else(of_text)
}

fn time(at: DateTime<Utc>) -> Markup {
    html! { time datetime=(at.to_rfc3339()) { (at.format("%Y-%m-%d %H:%M:%S UTC")) } }
}

fn attachment(file: &Attachment) -> Markup {
    let inline = file.content_id.as_ref().map(|id| format!(", shown as cid:{id}"));
    html! {
        li {
            @if is_picture(file) { img alt="" src=(data_url(file)); }
            a download=(file.name) href=(data_url(file)) { (file.name) }
            span { (file.content_type) ", " (file.size) " bytes" (inline.unwrap_or_default()) }
        }
    }
}

/// Images cannot run anything, and neither can SVG in an `<img>`.
fn is_picture(file: &Attachment) -> bool {
    file.content_type.starts_with("image/")
}

fn data_url(file: &Attachment) -> String {
    format!("data:{};base64,{}", file.content_type, file.content)
}

/// Escaped text with its web addresses as links.
fn linked(text: &str) -> Markup {
    html! {
        @for piece in text.split_inclusive(char::is_whitespace) {
            @let word = piece.trim_end();
            @if word.starts_with("https://") || word.starts_with("http://") {
                a href=(word) target="_blank" rel="noopener noreferrer" { (word) }
                (piece[word.len()..])
            } @else {
                (piece)
            }
        }
    }
}

/// The document for the frame: with embedded images, and links that open in a new tab.
fn frame(source: &str, files: &[Attachment]) -> String {
    let source = with_pictures(source, files);
    let base = "<base target=\"_blank\">";
    let head = source
        .to_ascii_lowercase()
        .find("<head")
        .and_then(|start| source[start..].find('>').map(|length| start + length + 1));
    match head {
        Some(at) => [&source[..at], base, &source[at..]].concat(),
        None => format!("{base}{source}"),
    }
}

/// Replaces `cid:…` by the attachment with that content id, if there is one.
fn with_pictures(source: &str, files: &[Attachment]) -> String {
    let mut shown = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("cid:") {
        let (before, from_here) = rest.split_at(start);
        let id = content_id(&from_here["cid:".len()..]);
        shown.push_str(before);
        match files.iter().find(|file| file.content_id.as_deref() == Some(id)) {
            Some(file) => shown.push_str(&attribute(&data_url(file))),
            None => shown.push_str(&from_here[.."cid:".len() + id.len()]),
        }
        rest = &from_here["cid:".len() + id.len()..];
    }
    shown + rest
}

/// A content id ends where an attribute or a `url(…)` ends.
fn content_id(rest: &str) -> &str {
    let ends = |character: char| character.is_whitespace() || matches!(character, '"' | '\'' | '>' | '<' | ')');
    rest.split(ends).next().unwrap_or_default()
}

/// The sender chooses the content type, so the URL must not be able to end the attribute that contains it.
fn attribute(url: &str) -> String {
    html! { (url) }.into_string().replace('\'', "&#39;")
}

/// Reloads only when something was sent or the outbox was cleared, so that open items stay open and the scroll
/// position stays.
const SCRIPT: &str = "\
const seen = document.documentElement.dataset.version;
setInterval(async () => {
  try {
    const reply = await fetch(location.href, { method: 'HEAD', cache: 'no-store', headers: { accept: 'text/html' } });
    if (reply.ok && reply.headers.get('etag') !== seen) location.reload();
  } catch { /* The stack is not running; ask again. */ }
}, 2000);
";

const STYLE: &str = "\
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5c6778; --line: #dfe4ea; --page: #f4f6f8; --card: #fff; --accent: #1f5fbf; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ecf1; --soft: #9aa6b5; --line: #2e3743; --page: #12161b; --card: #1a2027; --accent: #86b4ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 52rem; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { margin: 0; font-size: 1.6rem; letter-spacing: -.01em; }
header p, .empty { margin: .2rem 0 1.4rem; color: var(--soft); }
a { color: var(--accent); }
.card { margin: 0 0 .75rem; background: var(--card); border: 1px solid var(--line); border-radius: .6rem; overflow: hidden; }
.card > summary { display: grid; grid-template-columns: auto 1fr auto; gap: 0 .75rem; align-items: baseline; padding: .8rem 1rem; cursor: pointer; list-style: none; }
.card > summary::-webkit-details-marker { display: none; }
.card[open] > summary { border-bottom: 1px solid var(--line); }
summary:focus-visible { outline: 2px solid var(--accent); outline-offset: -2px; }
.channel { padding: 0 .55rem; border-radius: 1rem; background: var(--line); font-size: .8rem; }
.channel.push { background: #d9822b33; }
.channel.text { background: #2d9d5c33; }
.channel.e-mail { background: #1f5fbf33; }
.title { font-weight: 600; overflow-wrap: anywhere; }
.to { grid-column: 2; color: var(--soft); font-size: .9rem; overflow-wrap: anywhere; }
time { grid-row: 1; grid-column: 3; color: var(--soft); font-size: .85rem; font-variant-numeric: tabular-nums; white-space: nowrap; }
iframe { display: block; width: 100%; height: 34rem; max-height: 80vh; border: 0; background: #fff; color-scheme: light; }
pre { margin: 0; padding: 1rem; white-space: pre-wrap; overflow-wrap: anywhere; font: .9rem/1.5 ui-monospace, monospace; }
.part { border-top: 1px solid var(--line); }
.part > summary { padding: .5rem 1rem; color: var(--soft); font-size: .9rem; cursor: pointer; }
.files { margin: 0; padding: .75rem 1rem; border-top: 1px solid var(--line); list-style: none; }
.files li { display: flex; flex-wrap: wrap; gap: .25rem .75rem; align-items: center; overflow-wrap: anywhere; }
.files img { width: 3rem; height: 3rem; object-fit: contain; background: #fff; border-radius: .25rem; }
.files span { color: var(--soft); font-size: .85rem; }
@media (max-width: 34rem) { .card > summary { grid-template-columns: auto 1fr; } time { grid-row: auto; grid-column: 2; } }
";

#[cfg(test)]
mod tests {
    use super::*;

    fn item(html: &str, files: &[Attachment]) -> OutboxItem {
        OutboxItem {
            channel: Channel::Email,
            to: "<script>to()</script>".into(),
            subject: Some("</title><script>subject()</script>".into()),
            text: Some("see https://x.example/\"onclick=\"a() <script>text()</script>".into()),
            html: Some(html.into()),
            attachments: files.to_vec(),
            sent_at: DateTime::UNIX_EPOCH,
        }
    }

    fn file(id: &str, content_type: &str) -> Attachment {
        Attachment {
            name: "\"><script>name()</script>".into(),
            content_type: content_type.into(),
            content_id: Some(id.into()),
            size: 1,
            content: "AA==".into(),
        }
    }

    fn page(item: &OutboxItem) -> String {
        render([item].into_iter(), "http://<b>", "\"1-1\"", "nonce").into_string()
    }

    #[test]
    fn nothing_that_was_sent_becomes_markup_of_the_page() {
        let files = [file("a", "image/png\"><script>type()</script>")];
        let page = page(&item("</iframe><script>html()</script>", &files));
        assert_eq!(page.matches("<script").count(), 1, "only the page's own: {page}");
        assert_eq!(page.matches("<iframe").count(), 1);
        assert_eq!(page.matches("</iframe>").count(), 1);
        assert!(page.contains("href=\"https://x.example/&quot;onclick=&quot;a()\""));
    }

    #[test]
    fn an_address_that_is_no_web_address_is_no_link() {
        let text = linked("javascript:alert(1) https://ok.example\n").into_string();
        assert_eq!(text.matches("<a ").count(), 1);
        assert!(text.contains("javascript:alert(1) <a href=\"https://ok.example\""));
    }

    #[test]
    fn the_frame_runs_no_scripts() {
        let page = page(&item("<p>hello</p>", &[]));
        assert!(page.contains("sandbox=\"allow-popups allow-popups-to-escape-sandbox\""));
        assert!(content_security_policy("n").contains("script-src 'nonce-n'"));
    }

    #[test]
    fn pictures_take_the_place_of_their_content_ids() {
        let files = [file("qr", "image/png"), file("qr2", "image/gif")];
        let source = "<img src=\"cid:qr2\"><img src='cid:qr'><i style=\"background:url(cid:qr)\">cid:other";
        assert_eq!(
            with_pictures(source, &files),
            "<img src=\"data:image/gif;base64,AA==\"><img src='data:image/png;base64,AA=='>\
             <i style=\"background:url(data:image/png;base64,AA==)\">cid:other"
        );
    }

    #[test]
    fn a_content_type_cannot_leave_its_attribute() {
        let files = [file("a", "x\"' onload='y")];
        let shown = with_pictures("<img src=\"cid:a\">", &files);
        assert_eq!(shown, "<img src=\"data:x&quot;&#39; onload=&#39;y;base64,AA==\">");
    }

    #[test]
    fn links_open_outside_of_the_frame() {
        let base = "<base target=\"_blank\">";
        assert_eq!(frame("<p>", &[]), format!("{base}<p>"));
        assert_eq!(
            frame("<!doctype html><HEAD lang=en><title>", &[]),
            format!("<!doctype html><HEAD lang=en>{base}<title>")
        );
    }

    #[test]
    fn an_empty_outbox_says_where_to_send() {
        let page = render([].into_iter(), "http://<b>", "\"0-0\"", "nonce").into_string();
        assert!(page.contains("http://&lt;b&gt;"));
    }
}
