//! Parses raw e-mails (RFC 5322 and MIME), as far as displaying them needs.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

/// Honest messages do not nest deeper, and a hostile one must not exhaust the stack.
const DEPTH_LIMIT: usize = 10;

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A file in an e-mail.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) content_type: String,
    pub(super) content_id: Option<String>,
    pub(super) content: Vec<u8>,
}

/// The visible content of an e-mail.
#[derive(Debug, Default)]
pub(super) struct Email {
    headers: Vec<(String, String)>,
    pub(super) text: Option<String>,
    pub(super) html: Option<String>,
    pub(super) files: Vec<File>,
}

impl Email {
    /// Parses an e-mail. Never fails: invalid parts are shown as they are.
    pub(super) fn parse(raw: &[u8]) -> Self {
        let (headers, body) = split(raw);
        let mut email = Self::default();
        email.add_part(&headers, body, 0);
        email.headers = headers;
        email
    }

    /// The decoded value of the first header of that name.
    pub(super) fn header(&self, name: &str) -> Option<String> {
        header(&self.headers, name).map(decode_words)
    }

    /// The addresses of a header, with display names.
    pub(super) fn addresses(&self, name: &str) -> Vec<String> {
        let value = self.header(name).unwrap_or_default();
        split_addresses(&value)
    }

    fn add_part(&mut self, headers: &[(String, String)], body: &[u8], depth: usize) {
        let content_type = header(headers, "content-type").unwrap_or("text/plain");
        let kind = main_value(content_type);
        if let Some(boundary) = parameter(content_type, "boundary")
            && kind.starts_with("multipart/")
            && depth < DEPTH_LIMIT
        {
            for part in parts(body, &boundary) {
                let (headers, body) = split(part);
                self.add_part(&headers, body, depth + 1);
            }
            return;
        }
        let content = decode_body(header(headers, "content-transfer-encoding"), body);
        let disposition = header(headers, "content-disposition").unwrap_or_default();
        let name = parameter(disposition, "filename").or_else(|| parameter(content_type, "name"));
        let content_id = header(headers, "content-id").map(|id| id.trim_matches(['<', '>']).to_owned());
        let is_file = name.is_some() || main_value(disposition) == "attachment";
        let as_text = || String::from_utf8_lossy(&content).into_owned();
        match kind.as_str() {
            "text/plain" if !is_file && self.text.is_none() => self.text = Some(as_text()),
            "text/html" if !is_file && self.html.is_none() => self.html = Some(as_text()),
            _ => self.files.push(File {
                name: name.map(|name| decode_words(&name)).unwrap_or_default(),
                content_type: kind,
                content_id,
                content,
            }),
        }
    }
}

/// Splits the unfolded headers from the text after the empty line.
fn split(raw: &[u8]) -> (Vec<(String, String)>, &[u8]) {
    let mut headers: Vec<(String, String)> = Vec::new();
    let mut rest = raw;
    while !rest.is_empty() {
        let end = rest.iter().position(|&byte| byte == b'\n').map_or(rest.len(), |at| at + 1);
        let (line, after) = rest.split_at(end);
        rest = after;
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end_matches(['\r', '\n']);
        if line.is_empty() {
            break;
        }
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = headers.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    (headers, rest)
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = headers.iter().find(|(key, _)| key == name);
    found.map(|(_, value)| value.as_str())
}

/// `text/html; charset=utf-8` without its parameters, in lower case.
fn main_value(value: &str) -> String {
    let main = value.split(';').next().unwrap_or_default();
    main.trim().to_ascii_lowercase()
}

fn parameter(value: &str, name: &str) -> Option<String> {
    value.split(';').skip(1).find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        let is_it = key.trim().eq_ignore_ascii_case(name);
        is_it.then(|| value.trim().trim_matches('"').to_owned())
    })
}

/// The parts between the boundary's lines.
fn parts<'a>(body: &'a [u8], boundary: &str) -> Vec<&'a [u8]> {
    let delimiter = format!("--{boundary}");
    let mut parts = Vec::new();
    let (mut start, mut at) = (None, 0);
    for line in body.split_inclusive(|&byte| byte == b'\n') {
        let is_delimiter = line.starts_with(delimiter.as_bytes());
        if is_delimiter {
            parts.extend(start.map(|start| &body[start..at]));
            start = Some(at + line.len());
            if line[delimiter.len()..].starts_with(b"--") {
                return parts;
            }
        }
        at += line.len();
    }
    parts.extend(start.map(|start| &body[start..]));
    parts
}

fn decode_body(encoding: Option<&str>, body: &[u8]) -> Vec<u8> {
    match encoding.map(str::to_ascii_lowercase).as_deref() {
        Some("base64") => decode_base64(body).unwrap_or_else(|| body.to_vec()),
        Some("quoted-printable") => decode_quoted_printable(body),
        _ => body.to_vec(),
    }
}

fn decode_base64(body: &[u8]) -> Option<Vec<u8>> {
    let dense: Vec<u8> = body.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    LENIENT.decode(dense).ok()
}

fn decode_quoted_printable(body: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'=' {
            decoded.push(byte);
        } else if let Some(after) = after.strip_prefix(b"\r\n").or(after.strip_prefix(b"\n")) {
            rest = after;
        } else if let Some(escaped) = hex_byte(after) {
            decoded.push(escaped);
            rest = &after[2..];
        } else {
            decoded.push(byte);
        }
    }
    decoded
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(digits.get(..2)?).ok()?;
    u8::from_str_radix(digits, 16).ok()
}

/// RFC 2047: `=?utf-8?B?…?=` and `=?utf-8?Q?…?=`. White space between two encoded words is removed.
fn decode_words(value: &str) -> String {
    let mut decoded = String::new();
    let mut rest = value;
    let mut after_word = false;
    while let Some(start) = rest.find("=?") {
        let (before, from_here) = rest.split_at(start);
        let Some((word, length)) = encoded_word(from_here) else {
            decoded.push_str(before);
            decoded.push_str("=?");
            rest = &from_here[2..];
            after_word = false;
            continue;
        };
        if !(after_word && before.trim().is_empty()) {
            decoded.push_str(before);
        }
        decoded.push_str(&word);
        rest = &from_here[length..];
        after_word = true;
    }
    decoded + rest
}

/// The encoded word at the beginning, decoded, and its length.
fn encoded_word(value: &str) -> Option<(String, usize)> {
    let mut fields = value.strip_prefix("=?")?.splitn(4, '?');
    let (charset, encoding, text, rest) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    rest.strip_prefix('=')?;
    let bytes = match encoding {
        "B" | "b" => decode_base64(text.as_bytes())?,
        "Q" | "q" => decode_quoted_printable(text.replace('_', " ").as_bytes()),
        _ => return None,
    };
    let length = "=?".len() + charset.len() + 1 + encoding.len() + 1 + text.len() + "?=".len();
    Some((String::from_utf8_lossy(&bytes).into_owned(), length))
}

/// Splits addresses at commas, but not inside a quoted display name.
fn split_addresses(value: &str) -> Vec<String> {
    let mut addresses = vec![String::new()];
    let mut quoted = false;
    for character in value.chars() {
        match character {
            '"' => quoted = !quoted,
            ',' if !quoted => {
                addresses.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(address) = addresses.last_mut() {
            address.push(character);
        }
    }
    let trimmed = addresses.iter().map(|address| address.trim().to_owned());
    trimmed.filter(|address| !address.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIXED: &str = "From: =?utf-8?Q?J=C3=B6?= <jo@example.com>\r\n\
        To: \"Lovelace, Ada\" <ada@example.com>,\r\n bob@example.com\r\n\
        Subject: =?utf-8?B?w6k=?= =?utf-8?Q?_2?=\r\n\
        Content-Type: multipart/mixed; boundary=\"b1\"\r\n\r\n\
        preamble\r\n--b1\r\n\
        Content-Type: multipart/alternative; boundary=b2\r\n\r\n\
        --b2\r\nContent-Type: text/plain; charset=utf-8\r\n\
        Content-Transfer-Encoding: quoted-printable\r\n\r\nh=C3=A9 =\r\nhere\r\n\
        --b2\r\nContent-Type: text/html\r\n\r\n<p>hi</p>\r\n--b2--\r\n\
        --b1\r\nContent-Type: image/png; name=q.png\r\nContent-ID: <qr>\r\n\
        Content-Transfer-Encoding: base64\r\n\r\nAAEC\r\n\
        --b1--\r\n";

    #[test]
    fn a_mixed_message_is_taken_apart() {
        let email = Email::parse(MIXED.as_bytes());
        assert_eq!(email.header("subject").as_deref(), Some("é 2"));
        assert_eq!(email.addresses("from"), ["Jö <jo@example.com>"]);
        assert_eq!(email.addresses("to"), ["\"Lovelace, Ada\" <ada@example.com>", "bob@example.com"]);
        assert_eq!(email.text.as_deref(), Some("hé here\r\n"));
        assert_eq!(email.html.as_deref(), Some("<p>hi</p>\r\n"));
        let file = File {
            name: "q.png".into(),
            content_type: "image/png".into(),
            content_id: Some("qr".into()),
            content: vec![0, 1, 2],
        };
        assert_eq!(email.files, [file]);
    }

    #[test]
    fn nonsense_is_shown_as_it_stands() {
        let email = Email::parse(b"no headers at all");
        assert!(email.header("subject").is_none());
        let email = Email::parse(b"Subject: =?x?=?\n\n\xff=");
        assert_eq!(email.header("subject").as_deref(), Some("=?x?=?"));
        assert_eq!(email.text.as_deref(), Some("\u{fffd}="));
    }

    #[test]
    fn endless_nesting_ends() {
        let part = "Content-Type: multipart/mixed; boundary=b\n\n--b\n";
        let email = Email::parse(part.repeat(10_000).as_bytes());
        assert!(email.files.len() <= 1);
    }
}
