//! Where a user's data come from, and who may change what of them.
//!
//! A user who comes from a source, or from an identity provider, follows it, but for the fields that
//! somebody has set by hand: those stay as they are until they are released. One of them at a time holds
//! a user; what another says of the user is refused.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::ids::SourceId;
use crate::input::Fields;
use crate::string_enum::string_enum;
use crate::text::{Form, TextRule};

/// What a source calls a user.
pub const EXTERNAL_ID: TextRule = TextRule::in_bytes(Form::Line, 1, 256);

string_enum! {
    /// The fields of a user that a source can set.
    stored Field {
        /// The user's username.
        Username = "username",
        /// The user's first name.
        FirstName = "first_name",
        /// The user's last name.
        LastName = "last_name",
        /// The user's e-mail address.
        Email = "email",
        /// The user's mobile number.
        Mobile = "mobile",
        /// The user's number.
        Number = "number",
        /// The user's service level.
        ServiceLevel = "service_level",
        /// See [`crate::models::client_account::ClientAccount::sip_user_name`].
        SipUserName = "sip_user_name",
        /// See [`crate::models::client_account::ClientAccount::service_account`].
        ServiceAccount = "service_account",
    }
}

/// Who makes an edit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// An admin or a program, who knows better than any source.
    #[default]
    Hand,
    /// The source, or the identity provider, that the user comes from.
    Source,
}

/// Where a user's data come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// The source; none for a user who was made by hand, or by an identity provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_id: Option<SourceId>,
    /// What the source, or the identity provider, calls the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// The username by which the source knows the user, while somebody has given them another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_username: Option<String>,
    /// The fields that were set by hand, which the source leaves alone.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub by_hand: BTreeSet<Field>,
    /// When the source was first found to know the user no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vanished_at: Option<Time>,
}

impl Provenance {
    /// True if there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Who says what a user's data are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Nobody: they were made by hand.
    Nobody,
    /// A source, for as long as it is there.
    Source(SourceId),
    /// An identity provider.
    Provider,
}

/// Reads `release`: the names of fields that follow the source again.
pub fn read_release(fields: &mut Fields) -> BTreeSet<Field> {
    let names = fields.texts("release", TextRule::new(Form::Ascii, 1, 64)).unwrap_or_default();
    let mut release = BTreeSet::new();
    for (at, name) in names.iter().enumerate() {
        match Field::parse(name) {
            Some(field) => drop(release.insert(field)),
            None => {
                let known: Vec<&str> = Field::ALL.iter().map(|field| field.as_str()).collect();
                let detail = format!("must be one of {}", known.join(", "));
                fields.fault(&format!("release.{at}"), "unknown_value", detail);
            }
        }
    }
    release
}
