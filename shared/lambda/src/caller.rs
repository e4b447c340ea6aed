//! Authentication and authorization of callers.

use domain::error::{DomainError, Error};
use domain::models::actor::Actor;
use domain::models::key::{AncestorKeys, ApiKey};
use domain::models::member::{Identity, Member, accepted};
use domain::models::token::Token;
use domain::permission::Permission;
use domain::rules::access::{Caller, IssuerKeys, NoWorkspace, Proof};
use domain::rules::context::EventContext;
use domain::secret::{AccessToken, ApiKeySecret, DeviceCredential};
use domain::{Time, WorkspaceId};

use crate::request::Request;
use crate::token;

/// The OIDC issuer that admins sign in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// Its identifier, exactly as in tokens' `iss`.
    pub url: String,
    /// The audience that tokens must have in `aud`, or in `client_id` if they have no `aud`.
    pub audience: String,
}

/// A request whose caller is authorized in one workspace.
#[derive(Clone, Debug)]
pub struct AuthorizedRequest {
    /// The request.
    pub http: Request,
    /// The caller.
    pub caller: Caller,
}

impl AuthorizedRequest {
    /// The context of a new event by the caller.
    #[must_use]
    pub fn new_event_context(&self) -> EventContext {
        let event_context = self.http.new_event_context(self.caller.workspace_id, self.caller.actor);
        EventContext { token_id: self.caller.token_id, ..event_context }
    }

    /// The caller's workspace.
    #[must_use]
    pub fn workspace(&self) -> WorkspaceId {
        self.caller.workspace_id
    }

    /// Time of the request.
    #[must_use]
    pub fn now(&self) -> Time {
        self.http.id_source.now
    }
}

/// A request by a signed-in person for themselves, not in one workspace.
#[derive(Clone, Debug)]
pub struct PersonRequest {
    /// The request.
    pub http: Request,
    /// The person.
    pub person: Identity,
}

impl PersonRequest {
    /// The context of a new event by the person, as one of their memberships.
    #[must_use]
    pub fn new_event_context(&self, member: &Member) -> EventContext {
        self.http.new_event_context(member.workspace_id, Actor::Member(member.member_id))
    }

    /// Time of the request.
    #[must_use]
    pub fn now(&self) -> Time {
        self.http.id_source.now
    }
}

/// A request whose caller is authorized in one or more workspaces and did not have to select one.
#[derive(Clone, Debug)]
pub struct MultiWorkspaceRequest {
    request: AuthenticatedRequest,
    permissions: &'static [Permission],
    /// The caller in each workspace in which they are authorized; never empty.
    pub callers: Vec<Caller>,
}

impl MultiWorkspaceRequest {
    /// The request.
    #[must_use]
    pub fn request(&self) -> &Request {
        &self.request.request
    }

    /// The request in the one workspace that is selected.
    ///
    /// # Errors
    /// As [`AuthenticatedRequest::authorize`].
    pub fn select_workspace(self) -> Result<AuthorizedRequest, DomainError> {
        self.request.authorize(self.permissions)
    }
}

/// A request whose caller is authenticated.
#[derive(Clone, Debug)]
pub struct AuthenticatedRequest {
    request: Request,
    proof: Proof,
}

impl AuthenticatedRequest {
    /// Authorizes the caller if they have one of the permissions in the selected workspace.
    ///
    /// # Errors
    /// `CredentialInvalid` if they have no access to it; an invalid workspace header; `PermissionMissing`,
    /// `PermissionsMissing`; `TooLarge`.
    pub fn authorize(self, permissions: &'static [Permission]) -> Result<AuthorizedRequest, DomainError> {
        self.require_membership()?;
        let caller = self.proof.caller(selected_workspace(&self.request)?).map_err(no_workspace_error)?;
        caller.require_any(permissions)?;
        self.request.check_size()?;
        Ok(AuthorizedRequest { http: self.request, caller })
    }

    /// Authorizes the caller if they have one of the permissions in the selected workspace, or in any workspace
    /// if none is selected.
    ///
    /// # Errors
    /// As [`AuthenticatedRequest::authorize`].
    pub fn authorize_in_any_workspace(
        self,
        permissions: &'static [Permission],
    ) -> Result<MultiWorkspaceRequest, DomainError> {
        self.require_membership()?;
        let everywhere = match selected_workspace(&self.request)? {
            Some(named) => vec![self.proof.caller(Some(named)).map_err(no_workspace_error)?],
            None => self.proof.callers(),
        };
        let may = |caller: &Caller| caller.require_any(permissions);
        let callers: Vec<Caller> = everywhere.iter().filter(|caller| may(caller).is_ok()).cloned().collect();
        if callers.is_empty() {
            everywhere.first().map_or(Err(DomainError::CredentialInvalid), may)?;
        }
        self.request.check_size()?;
        Ok(MultiWorkspaceRequest { request: self, permissions, callers })
    }

    /// Authorizes the caller if they are a signed-in person and a member of a workspace.
    ///
    /// # Errors
    /// `CredentialInvalid` if they are a member of none; `MemberOnly`; `TooLarge`.
    pub fn authorize_member(self) -> Result<PersonRequest, DomainError> {
        self.require_membership()?;
        self.authorize_signed_in()
    }

    /// Authorizes the caller if they are a signed-in person, even without any membership: they accept
    /// memberships before they have one.
    ///
    /// # Errors
    /// `MemberOnly`; `TooLarge`.
    pub fn authorize_signed_in(self) -> Result<PersonRequest, DomainError> {
        if !matches!(self.proof, Proof::Person(_)) {
            self.require_membership()?;
        }
        let person = self.proof.person()?;
        self.request.check_size()?;
        Ok(PersonRequest { http: self.request, person })
    }

    /// Rejects a person without memberships, and a token that gives access to none of its person's memberships.
    fn require_membership(&self) -> Result<(), DomainError> {
        if self.proof.callers().is_empty() { Err(DomainError::CredentialInvalid) } else { Ok(()) }
    }
}

/// The look-ups of callers: one read each, and one read per key in a chain of keys.
pub trait CredentialStore {
    /// The key with this short part, also if revoked or expired.
    fn key(&self, short: &str) -> impl Future<Output = Result<Option<ApiKey>, Error>> + Send;
    /// The chain of keys before a key.
    fn find_ancestors(&self, key: &ApiKey) -> impl Future<Output = Result<AncestorKeys, Error>> + Send;
    /// The personal access token with this short part, also if revoked or expired.
    fn token(&self, short: &str) -> impl Future<Output = Result<Option<Token>, Error>> + Send;
    /// A person's memberships, across all workspaces.
    fn memberships(&self, issuer: &str, subject: &str) -> impl Future<Output = Result<Vec<Member>, Error>> + Send;
    /// The issuer's keys.
    fn issuer_keys(&self) -> impl Future<Output = Result<Option<IssuerKeys>, Error>> + Send;
}

/// Authenticates the sender of a request. Takes one read for a key or for a person's memberships, two for a
/// personal access token (its own row and the memberships), and one more for each key in the chain before a
/// key, so that a key ends with any of them.
///
/// # Errors
/// `CredentialMissing`, `CredentialInvalid`, `CredentialRevoked`, `CredentialExpired`.
pub async fn authenticate(
    request: Request,
    issuer: Option<&Issuer>,
    credentials: &impl CredentialStore,
) -> Result<AuthenticatedRequest, Error> {
    let presented = bearer(&request)?;
    let now = request.id_source.now;
    let proof = if let Some(key) = ApiKeySecret::parse(presented) {
        let key = ApiKey::authenticate(credentials.key(&key.short).await?, &key, now)?;
        let ancestors = credentials.find_ancestors(&key).await?;
        Proof::Key(Caller::of_key(key, &ancestors, now)?)
    } else if let Some(token) = AccessToken::parse(presented) {
        let token = Token::authenticate(credentials.token(&token.short).await?, &token, now)?;
        // A personal access token replaces signing in, so it ends when its issuer is no longer trusted.
        let _vouched = issuer.filter(|issuer| issuer.url == token.issuer).ok_or(DomainError::CredentialInvalid)?;
        let memberships = accepted(credentials.memberships(&token.issuer, &token.subject).await?);
        Proof::Token(Box::new(token), memberships)
    } else {
        let issuer = issuer.ok_or(DomainError::CredentialInvalid)?;
        let keys = credentials.issuer_keys().await?.ok_or(DomainError::CredentialInvalid)?;
        let subject = token::verify(presented, issuer, &keys, now)?;
        let memberships = accepted(credentials.memberships(&issuer.url, &subject).await?);
        Proof::Person(Identity { issuer: issuer.url.clone(), subject, memberships })
    };
    Ok(AuthenticatedRequest { request, proof })
}

/// The device credential of a request. The operation's own read or write checks whether it is the device's.
///
/// # Errors
/// `CredentialMissing`, `CredentialInvalid`.
pub fn device_credential(request: &Request) -> Result<DeviceCredential, DomainError> {
    DeviceCredential::parse(bearer(request)?).ok_or(DomainError::CredentialInvalid)
}

fn bearer(request: &Request) -> Result<&str, DomainError> {
    let header = request.headers.get("authorization").ok_or(DomainError::CredentialMissing)?;
    let (scheme, credential) =
        header.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(DomainError::CredentialInvalid)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(credential.trim()) } else { Err(DomainError::CredentialInvalid) }
}

/// The headers that select a workspace for a member of several: ours, and that of Seam's clients.
const WORKSPACE_HEADERS: [&str; 2] = ["x-workspace-id", "seam-workspace"];

fn no_workspace_error(why: NoWorkspace) -> DomainError {
    match why {
        NoWorkspace::NotAMember => DomainError::CredentialInvalid,
        NoWorkspace::Unnamed => {
            let [header, seams] = WORKSPACE_HEADERS;
            let detail = format!("select a workspace by this header or {seams}, since you are a member of several");
            DomainError::field(header, "missing", detail)
        }
    }
}

fn selected_workspace(request: &Request) -> Result<Option<WorkspaceId>, DomainError> {
    let Some(text) = WORKSPACE_HEADERS.iter().find_map(|name| request.header(name)) else {
        return Ok(None);
    };
    // A workspace that does not exist gives the same error as one without access.
    WorkspaceId::parse(text).map(Some).ok_or(DomainError::CredentialInvalid)
}
