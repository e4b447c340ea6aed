//! Search for people and phones by the beginning of any word.

use std::collections::BTreeSet;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use crate::input::Fields;
use crate::text::{Form, TextRule};

/// The most words that index one object.
pub const WORD_LIMIT: usize = 16;

/// The most characters of a word that are compared.
const WORD_LENGTH: usize = 48;

/// A search text.
pub const QUERY: TextRule = TextRule::new(Form::Line, 1, 100);

/// A text without accents and case: `Ångström` and `angstrom` are equal.
#[must_use]
pub fn fold(text: &str) -> String {
    text.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase).collect()
}

/// The folded words of some texts, without duplicates, at most [`WORD_LIMIT`]. A text that looks like a
/// telephone number also gives its digits as one word, since a search for one is read in the same way.
#[must_use]
pub fn words<'a>(texts: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for word in texts.into_iter().flat_map(|text| number(text).into_iter().chain(split(text))) {
        if words.len() == WORD_LIMIT {
            break;
        }
        words.insert(word);
    }
    words
}

fn split(text: &str) -> Vec<String> {
    fold(text)
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(|word| word.chars().take(WORD_LENGTH).collect())
        .collect()
}

/// The digits of a text, so that a telephone number is found however it is spaced.
#[must_use]
pub fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).take(WORD_LENGTH).collect()
}

/// The fewest digits of the end of a number.
const END_LENGTH: usize = 3;

/// The digits of a number from the last to the first: all numbers with the same end begin alike.
#[must_use]
pub fn from_the_end(number: &str) -> String {
    digits(number).chars().rev().collect()
}

/// How [`from_the_end`] begins for the numbers that a typed one may mean: numbers that end with it, without the zeros of
/// a national or international form. `None` if it is no number, or too short.
#[must_use]
pub fn number_end(typed: &str) -> Option<String> {
    let end = from_the_end(typed.trim_start_matches(|c: char| c == '0' || !c.is_ascii_digit()));
    (is_number(typed) && end.len() >= END_LENGTH).then_some(end)
}

/// True if a text looks like a telephone number, or the beginning of one.
fn is_number(text: &str) -> bool {
    text.chars().any(|c| c.is_ascii_digit()) && text.chars().all(|c| c.is_ascii_digit() || " +*#-()./".contains(c))
}

fn number(text: &str) -> Option<String> {
    is_number(text).then(|| digits(text))
}

/// A search: each of its words must begin one of an object's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    prefixes: Vec<String>,
}

impl Query {
    /// Reads the field `search`.
    pub fn read(fields: &mut Fields) -> Option<Self> {
        let text = fields.text("search", QUERY)?;
        let query = Self::parse(&text);
        if query.is_none() {
            fields.add_error("search", "invalid_format", "must contain a letter or a digit");
        }
        query
    }

    /// Parses a search text; `None` if it has no letter or digit.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut prefixes = number(text).map_or_else(|| split(text), |digits| vec![digits]);
        // The longest prefix is looked up in the index, since it finds the fewest objects.
        prefixes.sort_by_key(|prefix| (usize::MAX - prefix.len(), prefix.clone()));
        prefixes.dedup();
        prefixes.truncate(WORD_LIMIT);
        (!prefixes.is_empty()).then_some(Self { prefixes })
    }

    /// The prefix to look up in the index.
    #[must_use]
    pub fn leading(&self) -> &str {
        &self.prefixes[0]
    }

    /// True if an object with these words matches.
    #[must_use]
    pub fn matches(&self, words: &BTreeSet<String>) -> bool {
        self.prefixes.iter().all(|prefix| words.iter().any(|word| word.starts_with(prefix.as_str())))
    }

    /// The word under which the index first finds an object. Its other index rows are skipped, so that it is
    /// listed once.
    #[must_use]
    pub fn first_match<'a>(&self, words: &'a BTreeSet<String>) -> Option<&'a str> {
        words.iter().find(|word| word.starts_with(self.leading())).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_by_their_beginning_whatever_their_accents() {
        let words = words(["Zoë Ångström-O'Neil", "zoe.a@example.com", "iPhone15,2"]);
        for typed in ["zo", "ANGS", "angström zoë", "o neil", "iphone15", "example"] {
            assert!(Query::parse(typed).unwrap().matches(&words), "{typed}");
        }
        for typed in ["oe", "zoe x", "hone15"] {
            assert!(!Query::parse(typed).unwrap().matches(&words), "{typed}");
        }
        assert!(Query::parse(" -- ").is_none());
    }

    #[test]
    fn a_number_is_found_however_it_is_spaced() {
        let words = words(["491701234567", "214711", "*21# 4711"]);
        for typed in ["+49 170", "+49 (170) 123-45", "491701234567", "21 4711", "*21#47", "4711"] {
            assert!(Query::parse(typed).unwrap().matches(&words), "{typed}");
        }
        assert!(!Query::parse("49 171").unwrap().matches(&words));
    }

    #[test]
    fn a_number_is_found_by_its_national_form_and_by_its_end() {
        let stored = from_the_end("+49 170 1234567");
        for typed in ["0170 1234567", "(0170) 123-4567", "1234567", "567", "+491701234567", "0049 170 1234567"] {
            assert!(stored.starts_with(&number_end(typed).unwrap()), "{typed}");
        }
        assert!(!stored.starts_with(&number_end("123456").unwrap()));
        for typed in ["67", "0067", "Ada", "12a34", ""] {
            assert_eq!(number_end(typed), None, "{typed}");
        }
    }

    #[test]
    fn a_thing_has_at_most_sixteen_words() {
        let many: Vec<String> = (0..40).map(|at| format!("w{at}")).collect();
        assert_eq!(words(many.iter().map(String::as_str)).len(), WORD_LIMIT);
    }
}
