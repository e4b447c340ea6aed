//! Where a user's data come from, and who may change what of them.
//!
//! A user who comes from a data set follows it, but for the fields that somebody has set by hand:
//! those stay as they are until they are released.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::ids::SourceId;
use crate::input::Fields;
use crate::text::{Form, TextRule};

/// What a data set calls a user.
pub const EXTERNAL_ID: TextRule = TextRule::in_bytes(Form::Line, 1, 256);

/// The fields of a user that a data set can set, by their names.
pub const FIELDS: [&str; 9] = [
    "username",
    "first_name",
    "last_name",
    "email",
    "mobile",
    "number",
    "service_level",
    "sip_user_name",
    "service_account",
];

/// Who makes an edit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// An admin or a program, who knows better than any data set.
    #[default]
    Hand,
    /// The data set that the user comes from.
    DataSet,
}

/// Where a user's data come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// The data set; none for a user who was made by hand, or by an identity provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_id: Option<SourceId>,
    /// What the data set, or the identity provider, calls the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// The fields that were set by hand, which the data set leaves alone.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub by_hand: BTreeSet<String>,
    /// When the data set was first found to know the user no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vanished_at: Option<Time>,
    /// When the user was suspended since they had vanished; nobody else's suspension is lifted when
    /// they are back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspended_at: Option<Time>,
}

impl Provenance {
    /// True if there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Reads `release`: the names of fields that follow the data set again.
pub fn read_release(fields: &mut Fields) -> BTreeSet<String> {
    let names = fields.texts("release", TextRule::new(Form::Ascii, 1, 64)).unwrap_or_default();
    for (at, name) in names.iter().enumerate().filter(|(_, name)| !FIELDS.contains(&name.as_str())) {
        let _unknown = name;
        fields.fault(&format!("release.{at}"), "unknown_value", format!("must be one of {}", FIELDS.join(", ")));
    }
    names.into_iter().collect()
}
