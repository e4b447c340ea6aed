//! Where a user's data come from, and who may change what of them.
//!
//! A user who comes from a data set, or from an identity provider, follows it, but for the fields that
//! somebody has set by hand: those stay as they are until they are released. One of them at a time holds
//! a user; what another says of the user is refused.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::clock::Time;
use crate::error::DomainError;
use crate::event::Event;
use crate::ids::SourceId;
use crate::input::Fields;
use crate::string_enum::string_enum;
use crate::text::{Form, TextRule};
use crate::user::{Source, User, UserEdit};

/// What a data set calls a user.
pub const EXTERNAL_ID: TextRule = TextRule::in_bytes(Form::Line, 1, 256);

string_enum! {
    /// The fields of a user that a data set can set.
    stored Field {
        /// See [`User::username`].
        Username = "username",
        /// See [`User::first_name`].
        FirstName = "first_name",
        /// See [`User::last_name`].
        LastName = "last_name",
        /// See [`User::email`].
        Email = "email",
        /// See [`User::mobile`].
        Mobile = "mobile",
        /// See [`User::number`].
        Number = "number",
        /// See [`User::service_level`].
        ServiceLevel = "service_level",
        /// See [`crate::deployment::ClientAccount::sip_user_name`].
        SipUserName = "sip_user_name",
        /// See [`crate::deployment::ClientAccount::service_account`].
        ServiceAccount = "service_account",
    }
}

/// Who makes an edit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// An admin or a program, who knows better than any data set.
    #[default]
    Hand,
    /// The data set, or the identity provider, that the user comes from.
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
    /// The username by which the data set knows the user, while somebody has given them another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_username: Option<String>,
    /// The fields that were set by hand, which the data set leaves alone.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub by_hand: BTreeSet<Field>,
    /// When the data set was first found to know the user no more.
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
    /// A data set, for as long as it is there.
    DataSet(SourceId),
    /// An identity provider.
    Provider,
}

/// Who holds a user. A name that an identity provider has given shows its hand, whoever made the user.
#[must_use]
pub fn holder(user: &User) -> Holder {
    match user.provenance.source_id {
        Some(id) => Holder::DataSet(id),
        None if user.source.is_followed() || user.provenance.external_id.is_some() => Holder::Provider,
        None => Holder::Nobody,
    }
}

/// Lets an identity provider write to a user whom no data set holds. `is_there` tells whether the data
/// set that the user comes from still is.
///
/// # Errors
/// `HeldByOtherSource`.
pub fn require_no_data_set(user: &User, is_there: bool) -> Result<(), DomainError> {
    match holder(user) {
        Holder::DataSet(_) if is_there => Err(DomainError::HeldByOtherSource),
        Holder::DataSet(_) | Holder::Provider | Holder::Nobody => Ok(()),
    }
}

/// A user as a data set, or an identity provider, takes them over: what they have, and it says otherwise,
/// counts as set by hand, so nothing that somebody typed is overwritten.
#[must_use]
pub fn taken_over(user: &User, source: Source, source_id: Option<SourceId>, says: &UserEdit) -> User {
    let mut after = user.clone();
    after.source = source;
    if user.provenance.source_id.is_some() {
        after.provenance.external_id = None;
    }
    after.provenance.source_id = source_id;
    after.provenance.source_username = None;
    after.provenance.vanished_at = None;
    let differs =
        |field: &Field| user.field(*field).is_some_and(|has| says.of(*field).is_some_and(|to| to != Some(has)));
    after.provenance.by_hand.extend(Field::ALL.iter().copied().filter(differs));
    after
}

/// Tells in an event that a user was taken over.
pub fn tell_taken_over(event: &mut Event, before: &User, after: &User) {
    event.change("source", before.source.as_str(), after.source.as_str());
    let shown = |id: Option<SourceId>| id.map(String::from);
    event.change("source_id", shown(before.provenance.source_id), shown(after.provenance.source_id));
    event.change("by_hand", json!(before.provenance.by_hand), json!(after.provenance.by_hand));
}

/// Reads `release`: the names of fields that follow the data set again.
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
