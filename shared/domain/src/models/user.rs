//! People who use the app.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::clock::Time;
use crate::error::DomainError;
use crate::ids::{DeviceId, InvitationId, ProfileId, UserId, WorkspaceId};
use crate::input::Fields;
use crate::models::client_account::{ClientAccount, OVERRIDES_LIMIT, SERVICE_ACCOUNT, SIP_USER_NAME};
use crate::models::device::Device;
use crate::models::network::Network;
use crate::models::offer::Purpose;
use crate::models::profile::{SETTINGS_DEPTH, depth_of};
use crate::models::provenance::{Field, Origin, Provenance, read_release};
use crate::models::restriction::{Deleted, Restriction};
use crate::search;
use crate::states::UserStatus;
use crate::stored::Stored;
use crate::string_enum::string_enum;
use crate::text::{EMAIL, Form, MOBILE, SERVICE_LEVEL, TextRule, looks_like_link};
use crate::username::unique_username;

/// A username: a person's name in other systems. Unique in its workspace, whatever its case and width; see
/// [`crate::username`].
pub const USERNAME: TextRule = TextRule::new(Form::Word, 1, 64);

/// The most deleted devices in a user's row.
pub const LEFT_DEVICES_LIMIT: usize = 16;

/// A first or a last name.
pub const NAME: TextRule = TextRule::new(Form::Line, 1, 64);

/// The person's number at the telephone system.
pub const NUMBER: TextRule = TextRule::new(Form::Number, 1, 32);

/// The key by which programs identify a person.
pub const IDENTITY_KEY: TextRule = TextRule::new(Form::Name, 1, 128);

string_enum! {
    /// Where a user was created.
    #[derive(Default)]
    stored Source {
        /// From a program, by a key.
        #[default]
        Api = "api",
        /// From an admin.
        Console = "console",
        /// From a CSV file.
        Csv = "csv",
        /// From a page that is fetched by HTTP.
        Http = "http",
        /// From an identity provider, by SCIM.
        Scim = "scim",
    }
}

/// A person who uses the app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The user.
    pub user_id: UserId,
    /// Username, unique in the workspace.
    pub username: String,
    /// Given name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    /// Family name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    /// E-mail address, to which invitations go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// When the e-mail address was last changed; `None` since creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email_changed_at: Option<Time>,
    /// Mobile number in E.164.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mobile: Option<String>,
    /// When the mobile number was last changed; `None` since creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mobile_changed_at: Option<Time>,
    /// Number at the telephone system, as it shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// Key by which programs identify the user, unique in the workspace: Seam's `user_identity_key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_identity_key: Option<String>,
    /// Creation time.
    pub created_at: Time,
    /// Where the user was created.
    #[serde(default)]
    pub source: Source,
    /// Service level, a name from the workspace's list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_level: Option<String>,
    /// When an admin activated the user before any device was registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activated_at: Option<Time>,
    /// When the user's first device was registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered_at: Option<Time>,
    /// Set while the user is suspended by an admin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspended: Option<Restriction>,
    /// Set while the user's source or identity provider has suspended the user, or the user has vanished from
    /// the source. It is separate from an admin's suspension, and neither lifts the other, except that an admin
    /// who activates the user lifts both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspended_by_source: Option<Restriction>,
    /// Set while the user is locked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked: Option<Restriction>,
    /// Set once the user is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Deleted>,
    /// Carrier networks by provider; at most [`crate::models::network::NETWORK_LIMIT`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub networks: BTreeMap<String, Network>,
    /// When one of the user's devices was last seen, at the first check-in of a day: see [`User::last_seen_with`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_at: Option<Time>,
    /// The user's devices that are not deleted; at most [`crate::limits::DEVICE_LIMIT`].
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub device_ids: BTreeSet<DeviceId>,
    /// Deleted devices without a confirmed wipe: the latest, at most [`LEFT_DEVICES_LIMIT`]. Some may be confirmed or
    /// purged by now.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub left_device_ids: BTreeSet<DeviceId>,
    /// The latest invitation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invitation_id: Option<InvitationId>,
    /// The user's data in client deployment.
    #[serde(default, skip_serializing_if = "ClientAccount::is_empty")]
    pub client: ClientAccount,
    /// Where the user's data comes from.
    #[serde(default, skip_serializing_if = "Provenance::is_empty")]
    pub provenance: Provenance,
    /// True after a rename until the new deployment that it requires is made.
    #[serde(default, skip_serializing_if = "is_false")]
    pub deployment_due: bool,
    /// When that deployment is tried again, if a message limit delayed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_due_at: Option<Time>,
    /// True if that deployment may be sent to any address, since the person who renamed the user may deploy.
    #[serde(default, skip_serializing_if = "is_false")]
    pub due_by_deployer: bool,
    /// Version for optimistic locking: increases by one with each change.
    pub version: u64,
    /// The row as read from the store.
    #[serde(skip)]
    pub stored: Stored,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(truth: &bool) -> bool {
    !truth
}

/// The data of a new user.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewUser {
    /// See [`User::username`].
    pub username: String,
    /// See [`User::first_name`].
    pub first_name: Option<String>,
    /// See [`User::last_name`].
    pub last_name: Option<String>,
    /// See [`User::email`].
    pub email: Option<String>,
    /// See [`User::mobile`].
    pub mobile: Option<String>,
    /// See [`User::number`].
    pub number: Option<String>,
    /// See [`User::user_identity_key`].
    pub user_identity_key: Option<String>,
    /// See [`User::service_level`].
    pub service_level: Option<String>,
    /// See [`ClientAccount::sip_user_name`].
    pub sip_user_name: Option<String>,
    /// See [`ClientAccount::service_account`].
    pub service_account: Option<String>,
    /// See [`ClientAccount::profile_id`].
    pub profile_id: Option<ProfileId>,
    /// See [`ClientAccount::overrides`].
    pub overrides: Map<String, Value>,
}

impl NewUser {
    /// Reads the fields of a new user.
    ///
    /// # Errors
    /// Every invalid field.
    pub fn read(mut fields: Fields) -> Result<Self, DomainError> {
        let username = fields.required_text("username", USERNAME);
        check_username(&mut fields, username.as_deref());
        let first_name = fields.text("first_name", NAME);
        let last_name = fields.text("last_name", NAME);
        let email = fields.text("email", EMAIL);
        let mobile = fields.text("mobile", MOBILE);
        let number = fields.text("number", NUMBER);
        let user_identity_key = fields.text("user_identity_key", IDENTITY_KEY);
        let service_level = fields.text("service_level", SERVICE_LEVEL);
        let sip_user_name = fields.text("sip_user_name", SIP_USER_NAME);
        let service_account = fields.text("service_account", SERVICE_ACCOUNT);
        let profile_id = fields.id("profile_id", ProfileId::parse);
        let overrides = read_overrides(&mut fields).unwrap_or_default();
        fields.finish().map_err(DomainError::Invalid)?;
        let username = username.ok_or(DomainError::field("username", "missing", "is required"))?;
        Ok(Self {
            username,
            first_name,
            last_name,
            email,
            mobile,
            number,
            user_identity_key,
            service_level,
            sip_user_name,
            service_account,
            profile_id,
            overrides,
        })
    }

    /// True if it sets the configuration that the user's phones get.
    #[must_use]
    pub fn sets_configuration(&self) -> bool {
        self.profile_id.is_some() || !self.overrides.is_empty()
    }

    /// The value of a field that a source can set.
    pub(crate) fn field(&self, field: Field) -> Option<&String> {
        match field {
            Field::Username => Some(&self.username),
            Field::FirstName => self.first_name.as_ref(),
            Field::LastName => self.last_name.as_ref(),
            Field::Email => self.email.as_ref(),
            Field::Mobile => self.mobile.as_ref(),
            Field::Number => self.number.as_ref(),
            Field::ServiceLevel => self.service_level.as_ref(),
            Field::SipUserName => self.sip_user_name.as_ref(),
            Field::ServiceAccount => self.service_account.as_ref(),
            Field::Unknown(_) => None,
        }
    }
}

/// Checks that earlier releases can store the name too: in their unique form one character may become eighteen
/// (U+FDFA).
fn check_username(fields: &mut Fields, username: Option<&str>) {
    if username.is_some_and(|username| search::fold(username).len() > crate::username::LIMIT) {
        fields.add_error("username", "too_long", "contains characters that expand to too many letters");
    }
}

/// An edit of a user. An outer `None` leaves a field as it is, an inner one clears it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UserEdit {
    /// See [`User::username`].
    pub username: Option<String>,
    /// See [`User::first_name`].
    pub first_name: Option<Option<String>>,
    /// See [`User::last_name`].
    pub last_name: Option<Option<String>>,
    /// See [`User::email`].
    pub email: Option<Option<String>>,
    /// See [`User::mobile`].
    pub mobile: Option<Option<String>>,
    /// See [`User::number`].
    pub number: Option<Option<String>>,
    /// See [`User::user_identity_key`].
    pub user_identity_key: Option<Option<String>>,
    /// See [`User::service_level`].
    pub service_level: Option<Option<String>>,
    /// See [`ClientAccount::sip_user_name`].
    pub sip_user_name: Option<Option<String>>,
    /// See [`ClientAccount::service_account`].
    pub service_account: Option<Option<String>>,
    /// See [`ClientAccount::profile_id`].
    pub profile_id: Option<Option<ProfileId>>,
    /// See [`ClientAccount::overrides`].
    pub overrides: Option<Map<String, Value>>,
    /// Fields that should follow the user's source again.
    pub release: BTreeSet<Field>,
    /// Where the edit comes from.
    pub origin: Origin,
}

impl UserEdit {
    /// True if it sets the configuration that the user's phones get.
    #[must_use]
    pub fn sets_configuration(&self) -> bool {
        self.profile_id.is_some() || self.overrides.is_some()
    }

    /// Reads an edit: `null` clears a field.
    ///
    /// # Errors
    /// Every invalid field.
    pub fn read(mut fields: Fields) -> Result<Self, DomainError> {
        let username = fields.text("username", USERNAME);
        if fields.is_null("username") {
            fields.add_error("username", "missing", "cannot be removed");
        }
        check_username(&mut fields, username.as_deref());
        let edit = Self {
            username,
            first_name: fields.text_edit("first_name", NAME),
            last_name: fields.text_edit("last_name", NAME),
            email: fields.text_edit("email", EMAIL),
            mobile: fields.text_edit("mobile", MOBILE),
            number: fields.text_edit("number", NUMBER),
            user_identity_key: fields.text_edit("user_identity_key", IDENTITY_KEY),
            service_level: fields.text_edit("service_level", SERVICE_LEVEL),
            sip_user_name: fields.text_edit("sip_user_name", SIP_USER_NAME),
            service_account: fields.text_edit("service_account", SERVICE_ACCOUNT),
            profile_id: match fields.is_null("profile_id") {
                true => Some(None),
                false => fields.id("profile_id", ProfileId::parse).map(Some),
            },
            overrides: read_overrides(&mut fields),
            release: read_release(&mut fields),
            origin: Origin::Hand,
        };
        fields.finish().map_err(DomainError::Invalid)?;
        Ok(edit)
    }

    /// The edit of one field: an outer `None` leaves it, an inner one clears it.
    #[must_use]
    pub fn get(&self, field: Field) -> Option<Option<&str>> {
        fn text(value: Option<&Option<String>>) -> Option<Option<&str>> {
            value.map(Option::as_deref)
        }
        match field {
            Field::Username => self.username.as_deref().map(Some),
            Field::FirstName => text(self.first_name.as_ref()),
            Field::LastName => text(self.last_name.as_ref()),
            Field::Email => text(self.email.as_ref()),
            Field::Mobile => text(self.mobile.as_ref()),
            Field::Number => text(self.number.as_ref()),
            Field::ServiceLevel => text(self.service_level.as_ref()),
            Field::SipUserName => text(self.sip_user_name.as_ref()),
            Field::ServiceAccount => text(self.service_account.as_ref()),
            Field::Unknown(_) => None,
        }
    }

    /// Sets a field; `None` clears it. A username cannot be cleared.
    pub fn set(&mut self, field: Field, value: Option<String>) {
        match field {
            Field::Username => self.username = value,
            Field::FirstName => self.first_name = Some(value),
            Field::LastName => self.last_name = Some(value),
            Field::Email => self.email = Some(value),
            Field::Mobile => self.mobile = Some(value),
            Field::Number => self.number = Some(value),
            Field::ServiceLevel => self.service_level = Some(value),
            Field::SipUserName => self.sip_user_name = Some(value),
            Field::ServiceAccount => self.service_account = Some(value),
            Field::Unknown(_) => {}
        }
    }

    /// Leaves a field as it is.
    pub fn unset(&mut self, field: Field) {
        match field {
            Field::Username => self.username = None,
            Field::FirstName => self.first_name = None,
            Field::LastName => self.last_name = None,
            Field::Email => self.email = None,
            Field::Mobile => self.mobile = None,
            Field::Number => self.number = None,
            Field::ServiceLevel => self.service_level = None,
            Field::SipUserName => self.sip_user_name = None,
            Field::ServiceAccount => self.service_account = None,
            Field::Unknown(_) => {}
        }
    }
}

/// Reads a user's own settings; `null` clears them.
fn read_overrides(fields: &mut Fields) -> Option<Map<String, Value>> {
    if fields.is_null("overrides") {
        return Some(Map::new());
    }
    match fields.value_with_schema("overrides", || json!({"type": "object"}))? {
        Value::Object(settings) => {
            let value = Value::Object(settings.clone());
            if value.to_string().len() > OVERRIDES_LIMIT {
                fields.add_error("overrides", "too_long", format!("must have at most {OVERRIDES_LIMIT} bytes as JSON"));
            } else if depth_of(&value) > SETTINGS_DEPTH {
                fields.add_error("overrides", "too_deep", format!("must be nested at most {SETTINGS_DEPTH} deep"));
            }
            Some(settings)
        }
        _ => {
            fields.add_error("overrides", "wrong_type", "must be an object");
            None
        }
    }
}

impl Source {
    /// True if users of this kind follow their source.
    #[must_use]
    pub fn follows_source(self) -> bool {
        matches!(self, Self::Csv | Self::Http | Self::Scim)
    }
}

impl User {
    /// The user's devices, and the deleted ones without a confirmed wipe.
    #[must_use]
    pub fn all_device_ids(&self) -> BTreeSet<DeviceId> {
        self.device_ids.union(&self.left_device_ids).copied().collect()
    }

    /// When one of the user's devices was last seen, given the devices. The user's row follows with the first check-in of
    /// a [device's day](crate::models::login_day), so it alone is up to a day behind.
    #[must_use]
    pub fn last_seen_with(&self, devices: &[Device]) -> Option<Time> {
        devices.iter().filter_map(|device| device.last_login_at).chain(self.last_seen_at).max()
    }

    /// The user's status.
    #[must_use]
    pub fn status(&self) -> UserStatus {
        if self.deleted.is_some() {
            UserStatus::Deleted
        } else if self.locked.is_some() {
            UserStatus::Locked
        } else if self.is_suspended() {
            UserStatus::Suspended
        } else if self.registered_at.or(self.activated_at).is_some() {
            UserStatus::Active
        } else {
            UserStatus::Inactive
        }
    }

    /// True while the user is suspended by an admin or by their source.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.suspension().is_some()
    }

    /// The suspension; an admin's if there are two.
    #[must_use]
    pub fn suspension(&self) -> Option<&Restriction> {
        self.suspended.as_ref().or(self.suspended_by_source.as_ref())
    }

    /// The value of a field that a source can set.
    #[must_use]
    pub fn field(&self, field: Field) -> Option<&str> {
        match field {
            Field::Username => Some(&self.username),
            Field::FirstName => self.first_name.as_deref(),
            Field::LastName => self.last_name.as_deref(),
            Field::Email => self.email.as_deref(),
            Field::Mobile => self.mobile.as_deref(),
            Field::Number => self.number.as_deref(),
            Field::ServiceLevel => self.service_level.as_deref(),
            Field::SipUserName => self.client.sip_user_name.as_deref(),
            Field::ServiceAccount => self.client.service_account.as_deref(),
            Field::Unknown(_) => None,
        }
    }

    /// Checks that the user is not deleted.
    ///
    /// # Errors
    /// `UserDeleted`.
    pub fn require_not_deleted(&self) -> Result<(), DomainError> {
        if self.deleted.is_some() { Err(DomainError::UserDeleted) } else { Ok(()) }
    }

    /// Checks that the user may use the app.
    ///
    /// # Errors
    /// `UserSuspended`, `UserLocked` or `UserDeleted`.
    pub fn require_app_access(&self) -> Result<(), DomainError> {
        match self.status() {
            UserStatus::Inactive | UserStatus::Active => Ok(()),
            UserStatus::Suspended | UserStatus::Unknown(_) => Err(DomainError::UserSuspended),
            UserStatus::Locked => Err(DomainError::UserLocked),
            UserStatus::Deleted => Err(DomainError::UserDeleted),
        }
    }

    /// True if the deployment that a rename requires can be tried: the user may use the app, and no message
    /// limit delays it.
    #[must_use]
    pub fn is_deployment_due(&self, now: Time) -> bool {
        let waits = self.deployment_due_at.is_some_and(|at| at > now);
        self.deployment_due && !waits && self.require_app_access().is_ok()
    }

    /// Clears the deployment that a rename requires.
    pub fn clear_due_deployment(&mut self) {
        (self.deployment_due, self.deployment_due_at, self.due_by_deployer) = (false, None, false);
    }

    /// The user's latest invitation for a purpose.
    #[must_use]
    pub fn newest_invitation(&self, purpose: Purpose) -> Option<InvitationId> {
        match purpose {
            Purpose::Invite => self.invitation_id,
            Purpose::Deploy => self.client.deployment_id,
            Purpose::Unknown(_) => None,
        }
    }

    /// First and last name; `None` if the user has neither.
    #[must_use]
    pub fn full_name(&self) -> Option<String> {
        let names: Vec<&str> = [&self.first_name, &self.last_name].into_iter().flatten().map(String::as_str).collect();
        (!names.is_empty()).then(|| names.join(" "))
    }

    /// The user's name for people: first and last name, or else the username.
    #[must_use]
    pub fn name(&self) -> String {
        self.full_name().unwrap_or_else(|| self.username.clone())
    }

    /// The user's name in a greeting; `None` if it looks like a link.
    #[must_use]
    pub fn greeting_name(&self) -> Option<String> {
        let name = self.first_name.clone().unwrap_or_else(|| self.name());
        Some(name).filter(|name| !looks_like_link(name))
    }

    /// The words by which a search finds the user.
    #[must_use]
    pub fn search_words(&self) -> BTreeSet<String> {
        let digits = |text: &Option<String>| text.as_deref().map(search::digits);
        let (mobile, number) = (digits(&self.mobile), digits(&self.number));
        // Single words come first, so that a long name cannot crowd them out.
        let texts = [
            mobile.as_deref(),
            number.as_deref(),
            Some(self.username.as_str()),
            self.last_name.as_deref(),
            self.first_name.as_deref(),
            self.number.as_deref(),
            self.email.as_deref(),
        ];
        search::words(texts.into_iter().flatten())
    }
}

/// True for a text that can be looked up as a username; it may be one that a new username may not be.
#[must_use]
pub fn is_username(text: &str) -> bool {
    (1..=crate::username::LIMIT).contains(&unique_username(text).len())
}
