//! Enumerations with a fixed string for each value.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Declares an enumeration that is written as a fixed string in the table, in JSON and in query parameters. A
/// `stored` one also has a variant for strings of other releases: they are read from rows, kept and shown, but
/// not accepted in requests.
macro_rules! string_enum {
    ($(#[$doc:meta])* stored $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)+
            /// A string of another release.
            Unknown($crate::string_enum::UnknownValue),
        }

        $crate::string_enum::string_enum! { @known $name { $($variant = $word,)+ } Unknown }

        impl $name {
            /// True unless it is a string of another release.
            #[must_use]
            pub const fn is_known(self) -> bool {
                !matches!(self, Self::Unknown(_))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let word = std::borrow::Cow::<'de, str>::deserialize(from)?;
                match Self::parse(&word) {
                    Some(known) => Ok(known),
                    None => $crate::string_enum::UnknownValue::read(&word).map(Self::Unknown),
                }
            }
        }
    };
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $word)] $variant,)+
        }

        $crate::string_enum::string_enum! { @known $name { $($variant = $word,)+ } }
    };
    (@known $name:ident { $($variant:ident = $word:literal,)+ } $($unknown:ident)?) => {
        impl $name {
            /// Every value that this release knows, in the order of declaration.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The value's string.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $($name::$variant => $word,)+
                    $($name::$unknown(word) => word.as_str(),)?
                }
            }

            /// Parses a value.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|member| member.as_str() == word)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                // Later releases may add values, so clients must accept unknown ones.
                schemars::json_schema!({"type": "string", "x-extensible-enum": Self::ALL})
            }
        }

        impl $crate::input::StringEnum for $name {
            fn all() -> Vec<&'static str> {
                Self::ALL.iter().map(|member| member.as_str()).collect()
            }
            fn read(word: &str) -> Option<Self> {
                Self::parse(word)
            }
        }
    };
}
pub(crate) use string_enum;

/// A string that another release has stored and this one does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnknownValue(&'static str);

/// The most bytes of such a string. A row with a longer one is unreadable.
const WORD_LIMIT: usize = 64;

/// The most unknown strings that a process interns. They are never freed, and a release adds only a few.
const WORDS_LIMIT: usize = 1_000;

static INTERNED: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

impl UnknownValue {
    /// The string.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }

    /// Interns a string, if it has the form of one: lower-case letters, digits and separators.
    #[must_use]
    pub fn new(word: &str) -> Option<Self> {
        let is_letter =
            |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || b"._:-".contains(&letter);
        if word.is_empty() || word.len() > WORD_LIMIT || !word.bytes().all(is_letter) {
            return None;
        }
        let mut met = INTERNED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(word) = met.get(word) {
            return Some(Self(word));
        }
        if met.len() >= WORDS_LIMIT {
            return None;
        }
        let word: &'static str = Box::leak(word.to_owned().into_boxed_str());
        met.insert(word);
        Some(Self(word))
    }

    /// Reads the string from a row.
    pub(crate) fn read<E: serde::de::Error>(word: &str) -> Result<Self, E> {
        Self::new(word).ok_or_else(|| E::custom("not a word"))
    }
}

impl fmt::Display for UnknownValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Serialize for UnknownValue {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.0)
    }
}

impl<'de> Deserialize<'de> for UnknownValue {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::new(&std::borrow::Cow::<'de, str>::deserialize(from)?).ok_or_else(|| D::Error::custom("not a word"))
    }
}
