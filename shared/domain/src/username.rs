//! How usernames are compared: as in RFC 8265 (profile UsernameCaseMapped, section 3.3), by width, case and
//! normalization form C.
//!
//! The profile's other rules are not enforced, so that existing names with spaces stay usable. That is why the
//! three rules are implemented here: the crate `precis-profiles` compares only names that satisfy the profile,
//! leaves titlecase letters as they are, and needs a table generator at build time.

use unicode_normalization::UnicodeNormalization as _;

use crate::search;

/// The most bytes of the unique form of a username: DynamoDB's partition key has at most 2048 bytes, prefix included.
pub(crate) const LIMIT: usize = 1024;

/// The form in which a username is unique.
#[must_use]
pub fn unique_username(username: &str) -> String {
    let mapped_once = mapped(username);
    // Composition can introduce characters of another case, so it is mapped again (RFC 8264, 7).
    mapped(&mapped_once)
}

fn mapped(text: &str) -> String {
    text.chars().map(width_mapped).flat_map(char::to_lowercase).nfc().collect()
}

/// True if two usernames are equal.
#[must_use]
pub fn same_username(one: &str, other: &str) -> bool {
    unique_username(one) == unique_username(other)
}

/// The form in which earlier releases made usernames unique, without accents, if it is different.
#[must_use]
pub fn former_username(username: &str) -> Option<String> {
    let former = search::fold(username);
    // Stored ones are never longer.
    (former.len() <= LIMIT && former != unique_username(username)).then_some(former)
}

/// The half-width signs from U+FF61 to U+FF9F.
const KATAKANA: &str = "。「」、・ヲァィゥェォャュョッーアイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワン\u{3099}\u{309A}";

/// The full-width symbols from U+FFE0 to U+FFE6, and the half-width ones from U+FFE8 to U+FFEE.
const SIGNS: [(char, &str); 2] = [('\u{FFE0}', "¢£¬\u{AF}¦¥₩"), ('\u{FFE8}', "│←↑→↓■○")];

/// The half-width letters of Hangul: first, last, and the full-width form of the first.
const HANGUL: [(char, char, u32); 5] = [
    ('\u{FFA1}', '\u{FFBE}', 0x3131),
    ('\u{FFC2}', '\u{FFC7}', 0x314F),
    ('\u{FFCA}', '\u{FFCF}', 0x3155),
    ('\u{FFD2}', '\u{FFD7}', 0x315B),
    ('\u{FFDA}', '\u{FFDC}', 0x3161),
];

/// The standard form of a full-width or half-width character (Unicode's decomposition mappings `<wide>` and
/// `<narrow>`).
fn width_mapped(c: char) -> char {
    let of = |first: char, mapped: &str| mapped.chars().nth((c as usize).wrapping_sub(first as usize));
    match c {
        '\u{3000}' => Some(' '),
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(c as u32 - 0xFEE0),
        '\u{FF5F}' => Some('\u{2985}'),
        '\u{FF60}' => Some('\u{2986}'),
        '\u{FF61}'..='\u{FF9F}' => of('\u{FF61}', KATAKANA),
        '\u{FFA0}' => Some('\u{3164}'),
        '\u{FFA1}'..='\u{FFDC}' => {
            let range = HANGUL.iter().find(|(first, last, _)| (*first..=*last).contains(&c));
            range.and_then(|(first, _, mapped)| char::from_u32(mapped + (c as u32 - *first as u32)))
        }
        '\u{FFE0}'..='\u{FFEE}' => {
            SIGNS.iter().rev().find(|(first, _)| *first <= c).and_then(|(first, to)| of(*first, to))
        }
        _ => None,
    }
    .unwrap_or(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_by_width_case_and_normal_form_alone() {
        let same = [
            ("José.Peña", "JOSE\u{301}.PEN\u{303}A"),
            ("ada", "ＡＤＡ"),
            ("Łukasz", "łUKASZ"),
            ("ǅ", "ǆ"),
            ("ΟΔΟΣ", "οδοσ"),
            ("ЖЕНЯ", "женя"),
            ("ｶﾞ", "ガ"),
            ("ﾡ", "ㄱ"),
            ("ẞ", "ß"),
            ("Å", "\u{212B}"),
            ("\u{1FBC}\u{301}", "\u{1FB4}"),
            ("Ada Lovelace", "ada\u{3000}lovelace"),
        ];
        for (one, other) in same {
            assert!(same_username(one, other), "{one} {other}");
        }
        let others = [
            ("josé.peña", "jose.pena"),
            ("ß", "ss"),
            ("ﬁ", "fi"),
            ("²", "2"),
            ("ı", "i"),
            ("ё", "е"),
            ("が", "か"),
            ("َا", "ا"),
        ];
        for (one, other) in others {
            assert!(!same_username(one, other), "{one} {other}");
        }
    }

    #[test]
    fn what_is_mapped_once_stays_as_it_is() {
        for c in '\0'..='\u{FFFF}' {
            for text in [c.to_string(), format!("{c}\u{301}")] {
                let unique = unique_username(&text);
                assert_eq!(unique_username(&unique), unique, "{text:?}");
                assert!(unique.len() <= 3 * text.len(), "{text:?}");
            }
        }
    }

    #[test]
    fn the_former_form_is_told_where_it_is_another_one() {
        assert_eq!(former_username("José").as_deref(), Some("jose"));
        assert_eq!(former_username("JOSE"), None);
        assert_eq!(former_username(&"\u{FDFA}".repeat(64)), None, "nobody could have it");
    }

    #[test]
    fn wide_and_narrow_forms_are_those_that_unicode_decomposes_them_to() {
        use unicode_normalization::UnicodeNormalization as _;
        for c in '\u{FF01}'..='\u{FFEE}' {
            let decomposed: String = c.nfkd().collect();
            let expected = match c {
                // A symbol with a compatibility form of its own is not decomposed further.
                '\u{FFE3}' => "\u{AF}".to_owned(),
                '\u{FFA0}'..='\u{FFDC}' => continue,
                _ => decomposed,
            };
            assert_eq!(width_mapped(c).to_string(), expected, "U+{:04X}", c as u32);
        }
        // Hangul letters stand for themselves, not for parts of a syllable.
        for (narrow, wide) in [
            ('\u{FFA0}', '\u{3164}'),
            ('\u{FFA1}', '\u{3131}'),
            ('\u{FFBE}', '\u{314E}'),
            ('\u{FFC2}', '\u{314F}'),
            ('\u{FFC7}', '\u{3154}'),
            ('\u{FFCA}', '\u{3155}'),
            ('\u{FFD2}', '\u{315B}'),
            ('\u{FFDA}', '\u{3161}'),
            ('\u{FFDC}', '\u{3163}'),
        ] {
            assert_eq!(width_mapped(narrow), wide);
        }
        for same in ['a', '\u{FF00}', '\u{FFBF}', '\u{FFC8}', '\u{FFE7}', '\u{FFEF}', '\u{30AB}'] {
            assert_eq!(width_mapped(same), same, "U+{:04X}", same as u32);
        }
        assert_eq!(width_mapped('\u{3000}'), ' ');
    }
}
