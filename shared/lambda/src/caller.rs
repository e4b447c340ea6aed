//! Who is calling.

use domain::access::{Access, Caller, Permission, Principals, WORKSPACE_HEADERS};
use domain::event::Act;
use domain::refusal::{Failure, Refusal};
use domain::secret::{ApiKey, DeviceCredential};
use domain::{Time, WorkspaceId};

use crate::request::Request;
use crate::token;

/// The OIDC issuer that vouches for admins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// Its identifier, exactly as tokens name it.
    pub url: String,
    /// For whom tokens must be meant, in `aud` or `client_id`.
    pub audience: String,
}

/// A request by a caller who may make it.
#[derive(Clone, Debug)]
pub struct Call {
    /// The request.
    pub request: Request,
    /// The caller.
    pub caller: Caller,
}

impl Call {
    /// A new act of the caller under this request, with an event of its own.
    #[must_use]
    pub fn act(&self) -> Act {
        self.request.act(self.caller.workspace_id, self.caller.actor)
    }

    /// The caller's workspace.
    #[must_use]
    pub fn workspace(&self) -> WorkspaceId {
        self.caller.workspace_id
    }

    /// When the request came.
    #[must_use]
    pub fn now(&self) -> Time {
        self.request.moment.now
    }
}

/// Lets a request in if its key or token is valid now and its holder has one of the permissions: by
/// one read of the key or of the memberships.
///
/// # Errors
/// `CredentialMissing`, `CredentialInvalid`, `CredentialRevoked`, `CredentialExpired`,
/// `PermissionMissing`, `PermissionsMissing`.
pub async fn authenticate(
    request: Request,
    permissions: &'static [Permission],
    issuer: Option<&Issuer>,
    principals: &impl Principals,
) -> Result<Call, Failure> {
    let presented = bearer(&request)?;
    let now = request.moment.now;
    let caller = if let Some(key) = ApiKey::parse(presented) {
        Caller::of_key(principals.key(&key.short).await?, &key, now)?
    } else {
        let issuer = issuer.ok_or(Refusal::CredentialInvalid)?;
        let keys = principals.issuer_keys().await?.ok_or(Refusal::CredentialInvalid)?;
        let subject = token::verify(presented, issuer, &keys, now)?;
        let memberships = principals.memberships(&issuer.url, &subject).await?;
        Caller::of_member(&memberships, wanted_workspace(&request)?)?
    };
    caller.require_any(permissions)?;
    request.check_size()?;
    Ok(Call { request, caller })
}

/// The device credential of a request. Whether it is the device's own is for the operation's own
/// read or write to say.
///
/// # Errors
/// `CredentialMissing`, `CredentialInvalid`.
pub fn device_credential(request: &Request) -> Result<DeviceCredential, Refusal> {
    DeviceCredential::parse(bearer(request)?).ok_or(Refusal::CredentialInvalid)
}

fn bearer(request: &Request) -> Result<&str, Refusal> {
    let header = request.headers.get("authorization").ok_or(Refusal::CredentialMissing)?;
    let (scheme, credential) =
        header.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(Refusal::CredentialInvalid)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(credential.trim()) } else { Err(Refusal::CredentialInvalid) }
}

fn wanted_workspace(request: &Request) -> Result<Option<WorkspaceId>, Refusal> {
    let Some(text) = WORKSPACE_HEADERS.iter().find_map(|name| request.header(name)) else {
        return Ok(None);
    };
    // A workspace that does not exist is like one that the person is no member of.
    WorkspaceId::parse(text).map(Some).ok_or(Refusal::CredentialInvalid)
}

/// Which callers an operation takes, for the log.
#[must_use]
pub fn access_name(access: Access) -> &'static str {
    match access {
        Access::Permission(permission) => permission.as_str(),
        Access::AnyOf(_) => "any of several permissions",
        Access::Device => "device",
        Access::Code => "code",
        Access::Public => "public",
        Access::Internal => "internal",
    }
}
