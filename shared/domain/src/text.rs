//! Rules for texts from callers.

mod phone;

use unicode_normalization::UnicodeNormalization as _;

/// The reason for a block.
pub const REASON: TextRule = TextRule::new(Form::Line, 1, 256);

/// A text's allowed length and characters.
#[derive(Clone, Copy, Debug)]
pub struct TextRule {
    /// The fewest characters.
    pub min: usize,
    /// The most characters, or bytes.
    pub max: usize,
    /// True if `max` counts bytes of UTF-8, where storage size matters.
    pub in_bytes: bool,
    /// The allowed form.
    pub form: Form,
}

/// The form of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One line of text: no control characters.
    Line,
    /// As `Line`, without invisible characters: for names that must be distinguishable.
    Name,
    /// As `Name`, and without any white space.
    Word,
    /// One e-mail address, in the plain form `local@domain`.
    Email,
    /// A telephone number in E.164: `+` and 7 to 15 digits with the country code.
    Mobile,
    /// A number as a telephone system shows it: digits, `+`, `*`, `#`, and spacing.
    Number,
    /// Visible ASCII characters: identifiers, versions and tokens that programs make.
    Ascii,
}

impl TextRule {
    /// A rule with a form and a length in characters.
    #[must_use]
    pub const fn new(form: Form, min: usize, max: usize) -> Self {
        Self { min, max, in_bytes: false, form }
    }

    /// A rule with a form and a maximum length in bytes.
    #[must_use]
    pub const fn in_bytes(form: Form, min: usize, max: usize) -> Self {
        Self { min, max, in_bytes: true, form }
    }

    /// The normalized text (trimmed; a mobile number without spacing and trunk zero), or a stable error code
    /// and a sentence.
    ///
    /// # Errors
    /// `too_short`, `too_long`, `control_character` or `invalid_format`.
    pub fn read(self, text: &str) -> Result<String, (&'static str, String)> {
        if text.chars().any(char::is_control) {
            return Err(("control_character", "must not contain control characters".into()));
        }
        let text = match self.form {
            Form::Mobile => phone::mobile(text).map_err(|detail| ("invalid_format", detail.to_owned()))?,
            _ => text.trim().to_owned(),
        };
        let length = text.chars().count();
        if length < self.min {
            let detail = match self.form {
                Form::Email => EMAIL_EXPECTED.to_owned(),
                _ => format!("must have at least {} characters", self.min),
            };
            return Err(("too_short", detail));
        }
        let (length, unit) = if self.in_bytes { (text.len(), "bytes of UTF-8") } else { (length, "characters") };
        if length > self.max {
            return Err(("too_long", format!("must have at most {} {unit}", self.max)));
        }
        match self.form.fault(&text) {
            Some(detail) => Err(("invalid_format", detail.to_owned())),
            None => Ok(text),
        }
    }
}

const EMAIL_EXPECTED: &str = "must be an e-mail address such as anna@example.com";

impl Form {
    fn fault(self, text: &str) -> Option<&'static str> {
        let ok = match self {
            Form::Line => !text.chars().any(is_invisible),
            Form::Name => !text.chars().any(is_invisible_in_name),
            Form::Word => !text.chars().any(|c| c.is_whitespace() || is_invisible_in_name(c)),
            Form::Email => is_email(text),
            Form::Mobile => is_mobile(text),
            Form::Number if phone::has_several(text) => return Some(phone::SEVERAL),
            Form::Number => text.chars().all(|c| c.is_ascii_digit() || " +*#-()./".contains(c)),
            Form::Ascii => text.chars().all(|c| c.is_ascii_graphic() || c == ' '),
        };
        (!ok).then_some(match self {
            Form::Line | Form::Name => "must not contain invisible characters",
            Form::Word => "must not contain spaces or invisible characters",
            Form::Email => EMAIL_EXPECTED,
            Form::Mobile => phone::MALFORMED,
            Form::Number => "may contain only digits, spaces and + * # - ( ) . /",
            Form::Ascii => "may contain only ASCII letters, digits and symbols",
        })
    }
}

/// True for a visible character or a space that does not affect its neighbours.
#[must_use]
pub fn is_visible(c: char) -> bool {
    !c.is_control() && !is_invisible(c)
}

/// True if a mail client might turn part of a text into a link: a page, an e-mail address or a telephone
/// number. This keeps a name such as `Claim at evil.example` from becoming a link that our e-mail seems to
/// recommend. It errs on the safe side: `Ada.Adler` is greeted without a name.
#[must_use]
pub fn looks_like_link(text: &str) -> bool {
    // As mail clients see it: compatibility forms of a letter or a dot count as that letter or dot (UTS 46),
    // and invisible characters are dropped.
    let shows = |c: &char| is_visible(*c) && !matches!(c, '\u{AD}' | '\u{34F}' | '\u{FE00}'..='\u{FE0F}');
    let dot = |c: char| if c == '\u{3002}' { '.' } else { c };
    let text: Vec<char> = text.nfkc().filter(shows).map(dot).collect();
    let label = |at: usize| text[at..].iter().take_while(|c| c.is_alphanumeric() || **c == '-').count();
    let follows = |at: usize| at > 0 && text[at - 1].is_alphanumeric();
    let begins_link = |(at, c): (usize, &char)| match c {
        '@' => true,
        // The last label of a host has at least two letters; initials have one.
        '.' => follows(at) && label(at + 1) > 1,
        ':' => follows(at) && text.get(at + 1).is_some_and(|next| !next.is_whitespace()),
        '/' | '\\' => text.get(at + 1) == Some(c),
        _ => false,
    };
    text.iter().enumerate().any(begins_link) || text.iter().filter(|c| c.is_ascii_digit()).count() > NAME_DIGITS_LIMIT
}

/// More digits than this count as a telephone number, whatever separates them.
const NAME_DIGITS_LIMIT: usize = 6;

/// Invisible characters and those that change the writing direction (Unicode's property Bidi_Control): with
/// them one name could pass for another.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{061C}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}')
}

/// Characters that are invisible in a name: Unicode's property Default_Ignorable_Code_Point
/// (DerivedCoreProperties.txt, version 16), line separators, and blanks that Unicode classifies as letters or
/// symbols.
fn is_invisible_in_name(c: char) -> bool {
    is_invisible(c)
        || matches!(c,
            '\u{00AD}' | '\u{034F}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}'
            | '\u{206A}'..='\u{206F}' | '\u{2800}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FFA0}'
            | '\u{FFF0}'..='\u{FFF8}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}'
            | '\u{E0000}'..='\u{E0FFF}')
}

/// True for a character that prints nothing: white space, control characters and invisible ones.
#[must_use]
pub fn is_blank(c: char) -> bool {
    c.is_whitespace() || c.is_control() || is_invisible_in_name(c)
}

/// True if a text has several telephone numbers where one is expected.
#[must_use]
pub fn has_several_numbers(text: &str) -> bool {
    phone::has_several(text)
}

fn is_email(text: &str) -> bool {
    let Some((local, host)) = text.rsplit_once('@') else {
        return false;
    };
    let visible = |c: char| c.is_ascii_graphic() && !"\"(),:;<>@[\\]".contains(c);
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    (1..=64).contains(&local.len())
        && local.chars().all(visible)
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
        && host.contains('.')
        && host.split('.').all(label)
}

fn is_mobile(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        (7..=15).contains(&digits.len()) && !digits.starts_with('0') && digits.chars().all(|c| c.is_ascii_digit())
    })
}

/// A masked e-mail address, recognisable only to those who know it: `a…e@example.com`.
#[must_use]
pub fn masked_email(address: &str) -> String {
    let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    let first = local.chars().next().filter(|_| local.chars().count() > 1);
    let last = local.chars().last().filter(|_| local.chars().count() > 2);
    let shown = |sign: Option<char>| sign.map(String::from).unwrap_or_default();
    format!("{}…{}@{domain}", shown(first), shown(last))
}

/// A masked number (E.164), recognisable only to those who know it: `+49…4567`, or less of a short one.
#[must_use]
pub fn masked_number(number: &str) -> String {
    let digits: Vec<char> = number.chars().collect();
    let last = if digits.len() < 11 { 2 } else { 4 };
    let (first, last) = (digits.iter().take(3), digits.iter().skip(digits.len().saturating_sub(last).max(3)));
    format!("{}…{}", first.collect::<String>(), last.collect::<String>())
}

/// An e-mail address: at most 254 characters (RFC 5321, 4.5.3.1.3, less its angle brackets).
pub const EMAIL: TextRule = TextRule::new(Form::Email, 3, 254);

/// A mobile number, E.164.
pub const MOBILE: TextRule = TextRule::new(Form::Mobile, 8, 16);

/// A service level's name.
pub const SERVICE_LEVEL: TextRule = TextRule::new(Form::Line, 1, 40);

#[cfg(test)]
mod tests {
    use super::*;

    fn read(form: Form, text: &str) -> Result<String, &'static str> {
        TextRule::new(form, 1, 40).read(text).map_err(|(code, _)| code)
    }

    #[test]
    fn what_a_text_may_be() {
        let cases = [
            (Form::Line, " Zoë Ångström ", Ok("Zoë Ångström")),
            (Form::Line, "a\u{0}b", Err("control_character")),
            (Form::Line, "   ", Err("too_short")),
            (Form::Line, &"x".repeat(41), Err("too_long")),
            (Form::Line, "a\u{202E}b", Err("invalid_format")),
            (Form::Word, "anna.b", Ok("anna.b")),
            (Form::Word, "anna b", Err("invalid_format")),
            (Form::Email, "anna+x@example.com", Ok("anna+x@example.com")),
            (Form::Email, "anna@localhost", Err("invalid_format")),
            (Form::Email, "a@b@example.com", Err("invalid_format")),
            (Form::Email, "anna@-x.com", Err("invalid_format")),
            (Form::Email, "a..b@example.com", Err("invalid_format")),
            (Form::Word, "an\u{AD}na", Err("invalid_format")),
            (Form::Word, "anna\u{E0061}", Err("invalid_format")),
            (Form::Line, "\u{2764}\u{FE0F} Anna", Ok("\u{2764}\u{FE0F} Anna")),
            (Form::Name, "Anna\u{3164}", Err("invalid_format")),
            (Form::Name, "Anna B", Ok("Anna B")),
            (Form::Mobile, "+49 (170) 123-4567", Ok("+491701234567")),
            (Form::Mobile, "0170 1234567", Err("invalid_format")),
            (Form::Mobile, "+01701234567", Err("invalid_format")),
            (Form::Number, "*21# 4711", Ok("*21# 4711")),
            (Form::Number, "x4711", Err("invalid_format")),
            (Form::Ascii, "iPhone15,2", Ok("iPhone15,2")),
            (Form::Ascii, "é", Err("invalid_format")),
        ];
        for (form, text, expected) in cases {
            assert_eq!(read(form, text), expected.map(str::to_owned), "{form:?} {text:?}");
        }
    }

    #[test]
    fn an_address_has_parts_of_a_length_and_a_form() {
        let local = |length: usize| format!("{}@example.com", "a".repeat(length));
        let host = |length: usize| format!("a@{}.com", "x".repeat(length));
        let read = |text: &str| TextRule::new(Form::Email, 3, 254).read(text).is_ok();
        for good in [
            &local(1),
            &local(64),
            &host(1),
            &host(63),
            "a.b@x-y.example.com",
            "a@1.example",
            "!#$%&'*+-/=?^_{|}~@x.org",
        ] {
            assert!(read(good), "{good}");
        }
        for bad in [
            &local(65),
            &host(64),
            "@example.com",
            "a@",
            "a@.com",
            "a@example.",
            "a@example..com",
            "a@x-.com",
            "a@-x.com",
            "a@x_y.com",
            "a@\u{e4}.com",
            ".a@example.com",
            "a.@example.com",
            "a..b@example.com",
            "a b@example.com",
            "a,b@example.com",
            "\u{e4}@example.com",
            "example.com",
        ] {
            assert!(!read(bad), "{bad}");
        }
    }

    #[test]
    fn a_texts_length_is_in_characters_or_where_a_row_has_little_room_in_bytes() {
        let code = |rule: TextRule, text: &str| rule.read(text).err().map(|(code, _)| code);
        let (characters, bytes) = (TextRule::new(Form::Line, 2, 4), TextRule::in_bytes(Form::Line, 2, 4));
        for (text, of_characters, of_bytes) in [
            ("a", Some("too_short"), Some("too_short")),
            ("ab", None, None),
            ("abcd", None, None),
            ("abcde", Some("too_long"), Some("too_long")),
            ("\u{e4}\u{e4}", None, None),
            ("\u{e4}\u{e4}c", None, Some("too_long")),
        ] {
            assert_eq!((code(characters, text), code(bytes, text)), (of_characters, of_bytes), "{text}");
        }
    }

    #[test]
    fn one_number_is_taken_and_two_are_refused() {
        for (text, several) in [
            ("4711", false),
            ("(0228) 47 11 / 12", false),
            ("030 1234567 / 030 7654321", true),
            ("+49 170 1234567 +49 171 7654321", true),
        ] {
            assert_eq!((read(Form::Number, text).is_err(), has_several_numbers(text)), (several, several), "{text}");
        }
        let told = TextRule::new(Form::Number, 1, 64).read("030 1234567 / 030 7654321");
        assert_eq!(told, Err(("invalid_format", phone::SEVERAL.to_owned())));
    }

    #[test]
    fn a_name_looks_like_a_link_where_a_mail_program_would_make_one_of_it() {
        for link in [
            "anna@example",
            "example.com",
            "go to a.co",
            "1.x2",
            "a.b-c",
            "http:x",
            "tel:1",
            "//x",
            "a\\\\x",
            "x\u{3002}com",
            "exa\u{ad}mple\u{200b}.com",
            "1234567",
            "call 12-34-567",
        ] {
            assert!(looks_like_link(link), "{link}");
        }
        for name in [
            "Anna",
            "J. R. Smith",
            "J.R. Smith",
            "A.B",
            "Dr.",
            ".com",
            "a ..b",
            "Anna: 7",
            "Anna:",
            ":x",
            " :x",
            "a/b",
            "a\\b",
            "/",
            "a/\\b",
            "a.",
            "123456",
            "12 34 56",
        ] {
            assert!(!looks_like_link(name), "{name}");
        }
    }

    #[test]
    fn a_masked_number_shows_four_of_its_last_digits_if_it_has_enough() {
        let numbers = [
            ("+123456789", "+12\u{2026}89"),
            ("+1234567890", "+12\u{2026}7890"),
            ("+1", "+1\u{2026}"),
            ("+123", "+12\u{2026}3"),
        ];
        for (number, masked) in numbers {
            assert_eq!(masked_number(number), masked);
        }
        for (address, masked) in [("abc@x.org", "a\u{2026}c@x.org"), ("nobody", "n\u{2026}y@")] {
            assert_eq!(masked_email(address), masked);
        }
    }
}
