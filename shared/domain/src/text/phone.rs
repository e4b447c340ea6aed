//! Parses mobile numbers as people write them: with brackets, slashes, and a trunk zero.

use crate::text::is_mobile;

/// The error for a text that is not a mobile number.
pub(super) const MALFORMED: &str = "must be a number with its country code such as +49 170 1234567";

/// The error for two numbers in one field.
pub(super) const SEVERAL: &str = "must be one number only";

const ZERO: &str = "must be in international format such as +49 170 1234567, without a zero in brackets";

/// The fewest digits of a number with its country code; fewer are the beginning of one.
const FEWEST: usize = 7;

/// Calling codes of two digits (ITU-T E.164, List of assigned country codes); 1 and 7 have one digit, all
/// others three.
const TWO_DIGITS: &str = "20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 \
                          66 81 82 84 86 90 91 92 93 94 95 98";

/// Countries whose numbers keep a leading zero when dialled from abroad: Italy, San Marino and the Vatican, and
/// some of Africa (ITU-T E.164, national numbering plans).
const KEEP_ZERO: &str = "39 378 379 225 226 229 241 242";

/// Countries with a trunk zero before a number, where no number itself begins with a zero.
const TRUNK_ZERO: &str = "20 27 31 32 33 40 41 43 44 46 49 60 61 62 63 64 66 81 82 84 90 91 92 94 98 212 213 233 234 254 \
                          255 256 353 355 358 359 380 381 385 386 387 389 421 880 886 961 962 964 966 971 972";

fn is_one_of(codes: &str, code: &str) -> bool {
    codes.split_ascii_whitespace().any(|known| known == code)
}

fn calling_code(digits: &str) -> &str {
    let length = match digits.as_bytes() {
        [b'1' | b'7', ..] => 1,
        [_, _, ..] if is_one_of(TWO_DIGITS, &digits[..2]) => 2,
        _ => 3.min(digits.len()),
    };
    &digits[..length]
}

/// True if a text has two numbers: a second `+`, or a slash, comma, semicolon or word between complete numbers.
pub(super) fn has_several(text: &str) -> bool {
    let digits = |part: &str| part.chars().filter(char::is_ascii_digit).count();
    let between = |c: char| matches!(c, '/' | ',' | ';' | '|' | '&' | '\\') || c.is_alphabetic() || c.is_control();
    let complete = text.split(between).filter(|part| digits(part) >= FEWEST).count();
    complete > 1 || text.matches('+').count() > 1
}

/// A mobile number as it is dialled from abroad: `+` and digits. A trunk zero is left out; an ambiguous one is
/// an error.
pub(super) fn mobile(text: &str) -> Result<String, &'static str> {
    if has_several(text) {
        return Err(SEVERAL);
    }
    let rest = text.trim().trim_start_matches('(').strip_prefix('+').ok_or(MALFORMED)?;
    let mut digits = String::new();
    // For each digit in brackets: the position at which the bracket was opened.
    let (mut brackets, mut open) = (Vec::new(), None);
    for c in rest.chars() {
        match c {
            '0'..='9' => {
                digits.push(c);
                brackets.push(open);
            }
            '(' => open = Some(digits.len()),
            ')' => open = None,
            // A slash separates an area code from the rest; after a complete number it begins another one.
            '/' if digits.len() >= FEWEST => return Err(SEVERAL),
            '-' | '.' | '/' | '\u{2010}'..='\u{2013}' => {}
            c if c.is_whitespace() => {}
            _ => return Err(MALFORMED),
        }
    }
    let code = calling_code(&digits);
    let at = code.len();
    let alone = |zero: usize| {
        let within = |place: usize| brackets.get(place).is_some_and(|opened| *opened == Some(zero));
        digits[zero..].starts_with('0') && within(zero) && !within(zero + 1)
    };
    if (0..digits.len()).any(|place| place != at && alone(place)) {
        return Err(ZERO);
    }
    let in_brackets = brackets.get(at).is_some_and(Option::is_some);
    let (keeps, trunk) = (is_one_of(KEEP_ZERO, code), is_one_of(TRUNK_ZERO, code));
    let national = match digits[at..].strip_prefix('0') {
        Some(_) if keeps && in_brackets => return Err(ZERO),
        Some(rest) if in_brackets || trunk => rest,
        _ => &digits[at..],
    };
    if trunk && national.starts_with('0') {
        return Err(ZERO);
    }
    let number = format!("+{code}{national}");
    if is_mobile(&number) { Ok(number) } else { Err(MALFORMED) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zero_that_is_dialled_only_within_its_country_is_left_out_or_the_number_is_refused() {
        let read = [
            ("+49 (0)170 1234567", "+491701234567"),
            ("+49(0)1701234567", "+491701234567"),
            ("+49 (0) 170 / 1234567", "+491701234567"),
            ("+49 (0170) 1234567", "+491701234567"),
            ("+49 0170 1234567", "+491701234567"),
            ("(+49) 0170/1234567", "+491701234567"),
            ("+(49) 170 1234567", "+491701234567"),
            ("+44 (0)7700 900123", "+447700900123"),
            ("+44\u{A0}(0)\u{2009}7700\u{2011}900123", "+447700900123"),
            ("+353 (0)85 012 3456", "+353850123456"),
            ("+1 (0)201 555 0123", "+12015550123"),
            ("+1 (201) 555-0123", "+12015550123"),
            ("+970 (0)59 123 4567", "+970591234567"),
            // Their zero is part of the number.
            ("+39 06 1234567", "+39061234567"),
            ("+225 07 07 12 34 56", "+2250707123456"),
            ("+2290112345678", "+2290112345678"),
            ("+39 347 1234567", "+393471234567"),
            // Not directly after the calling code, and not alone.
            ("+1 (200) 555-0123", "+12005550123"),
            ("+49 170 (012) 3456", "+491700123456"),
        ];
        for (text, number) in read {
            assert_eq!(mobile(text), Ok(number.to_owned()), "{text}");
        }
        let refused = [
            "+39 (0)347 1234567",
            "+39 (06) 1234567",
            "+225 (0)7 07 12 34 56",
            "+49 170 (0) 1234567",
            "+49 (0)0170 1234567",
        ];
        for text in refused {
            assert_eq!(mobile(text), Err(ZERO), "{text}");
        }
        for text in
            ["0170 1234567", "0049 170 1234567", "+0170 1234567", "(0) +49 170 1234567", "+49 170 x", "", "+", "+("]
                .into_iter()
                .chain(["+49 170 1234567#", "+49 170 1234567 x", "+49*170 1234567"])
        {
            assert_eq!(mobile(text), Err(MALFORMED), "{text}");
        }
    }

    #[test]
    fn two_numbers_in_one_field_are_refused_however_they_are_parted() {
        let refused = [
            "+49 170 1234567 / +49 171 7654321",
            "+49 170 1234567, 0171 7654321",
            "+49 170 1234567;+49 171 7654321",
            "+49 170 1234567 or 0171 7654321",
            "+49 170 1234567 +49 171 7654321",
            "+298 212345 / 212346",
            "+298 212345/7",
            "+372 5123456/7",
        ];
        for text in refused {
            assert_eq!(mobile(text), Err(SEVERAL), "{text}");
        }
        assert_eq!(mobile("+49 170/1234567"), Ok("+491701234567".to_owned()));
        assert!(!has_several("*21*+491701234567#") && !has_several("(0228) 47 11 / 12") && !has_several("030/1234567"));
        assert!(has_several("030 1234567 / 030 7654321"));
    }
}
