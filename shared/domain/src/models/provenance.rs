//! Where a user's data comes from, and who may change it.
//!
//! A user from a source or an identity provider follows it, except for the fields that were set by hand: those
//! stay until they are released. Only one source or provider manages a user at a time; changes by another one
//! are refused.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::ids::SourceId;
use crate::input::Fields;
use crate::string_enum::string_enum;
use crate::text::{Form, TextRule};

/// A source's identifier of a user.
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

/// Where an edit comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// An admin or a program, which take precedence over any source.
    #[default]
    Hand,
    /// The user's source or identity provider.
    Source,
}

/// The source of a user's data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// The source; `None` for a user who was created by hand or by an identity provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_id: Option<SourceId>,
    /// The user's identifier in the source or at the identity provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// The user's username in the source, while the user has another one that was set by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_username: Option<String>,
    /// Fields that were set by hand, which the source does not change.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub by_hand: BTreeSet<Field>,
    /// When the user was first found missing in the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vanished_at: Option<Time>,
}

impl Provenance {
    /// True if nothing is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Who manages a user's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Nobody: the user was created by hand.
    Nobody,
    /// A source, while it exists.
    Source(SourceId),
    /// An identity provider.
    Provider,
}

/// Reads `release`: the names of fields that should follow the source again.
pub fn read_release(fields: &mut Fields) -> BTreeSet<Field> {
    let names = fields.texts("release", TextRule::new(Form::Ascii, 1, 64)).unwrap_or_default();
    let mut release = BTreeSet::new();
    for (at, name) in names.iter().enumerate() {
        match Field::parse(name) {
            Some(field) => drop(release.insert(field)),
            None => {
                let known: Vec<&str> = Field::ALL.iter().map(|field| field.as_str()).collect();
                let detail = format!("must be one of {}", known.join(", "));
                fields.add_error(&format!("release.{at}"), "unknown_value", detail);
            }
        }
    }
    release
}
