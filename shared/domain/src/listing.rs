//! The orders of lists.

use serde_json::{Value, json};

use crate::input::{Fields, StringEnum};
use crate::string_enum::string_enum;

/// The most things that match a filter and can be sorted.
pub const SORT_LIMIT: usize = 2_000;

string_enum! {
    /// What devices are sorted by.
    DeviceSort {
        /// When they were registered.
        CreatedAt = "created_at",
        /// The day of their last login.
        LastLoginAt = "last_login_at",
        /// Their user's name.
        UserName = "user_name",
        /// Their model.
        ModelName = "model_name",
        /// The version of their OS.
        OsVersion = "os_version",
        /// The version of their app.
        AppVersion = "app_version",
    }
}

string_enum! {
    /// What users are sorted by.
    UserSort {
        /// When they were created.
        CreatedAt = "created_at",
        /// The day on which they were last seen.
        LastSeenAt = "last_seen_at",
        /// Their name.
        Name = "name",
        /// Their username.
        Username = "username",
    }
}

/// The order of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sort<K> {
    /// What it is sorted by.
    pub by: K,
    /// True for the greatest first.
    pub descending: bool,
}

impl<K: StringEnum> Sort<K> {
    /// Reads the field `sort`: a field's name, with `-` before it for descending.
    pub fn read(fields: &mut Fields) -> Option<Self> {
        let known: Vec<String> = K::all().iter().flat_map(|name| [(*name).to_owned(), format!("-{name}")]).collect();
        let text = fields.value_with_schema("sort", || json!({"type": "string", "enum": known}))?;
        let sort = text.as_str().and_then(Self::parse);
        if sort.is_none() {
            let code = if matches!(text, Value::String(_)) { "unknown_value" } else { "wrong_type" };
            fields.add_error("sort", code, format!("must be one of {}", known.join(", ")));
        }
        sort
    }

    fn parse(text: &str) -> Option<Self> {
        let (name, descending) = text.strip_prefix('-').map_or((text, false), |name| (name, true));
        K::read(name).map(|by| Self { by, descending })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sort_is_a_name_with_a_minus_for_descending() {
        let read = |text: &str| {
            let mut fields = Fields::from_query(vec![("sort".to_owned(), text.to_owned())]);
            let sort = Sort::<UserSort>::read(&mut fields);
            (sort, fields.finish().is_ok())
        };
        let name = |descending| Some(Sort { by: UserSort::Name, descending });
        assert_eq!((read("name"), read("-name")), ((name(false), true), (name(true), true)));
        for unknown in ["--name", "model_name", "-", "Name"] {
            assert_eq!(read(unknown), (None, false), "{unknown}");
        }
    }
}
