//! `POST /members`.

use aws::{Commit, Table};
use domain::MemberId;
use domain::error::{DomainError, Error};
use domain::input::Fields;
use domain::models::member::{ISSUER, Member, NAME, SUBJECT};
use domain::permission::{Permission, Role};
use domain::rules::members;
use lambda::{AuthorizedRequest, Reply};
use lambda_http::http::StatusCode;

use crate::description::OperationDoc;
use crate::idempotency::{Creation, create_once};
use crate::state::AppState;
use crate::views;

/// OpenAPI documentation of the operation.
#[must_use]
pub fn doc() -> OperationDoc {
    OperationDoc::new("Add a member")
        .detail(
            "Adds a person by the identifier that their issuer has for them. The caller can grant only a role whose \
             permissions they hold. The membership takes effect once the person has signed in and accepted it.",
        )
        .body(|fields| drop(NewMember::read(fields)))
        .idempotent()
        .answers::<views::Member>(201, "The member.")
        .refuses([DomainError::PermissionNotHeld(Permission::UsersWipe), DomainError::MemberExists])
}

/// Returns 201 with the member.
///
/// # Errors
/// Every invalid field of the body; `PermissionNotHeld` for a role with permissions that the caller lacks;
/// `MemberExists`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    let wanted = NewMember::read(request.http.body()?)?;
    domain::rules::keys::may_grant(&request.caller, &wanted.role.permissions())?;
    create_once(table, &request, || create(table, &request, &wanted), |id| repeat(table, &request, id)).await
}

struct NewMember {
    issuer: String,
    subject: String,
    name: Option<String>,
    role: Role,
}

impl NewMember {
    fn read(mut fields: Fields) -> Result<Self, DomainError> {
        let issuer = fields.required_text("issuer", ISSUER);
        if issuer.as_ref().is_some_and(|issuer| !issuer.starts_with("https://")) {
            fields.add_error("issuer", "invalid_format", "must be an https URL");
        }
        let subject = fields.required_text("subject", SUBJECT);
        let name = fields.text("name", NAME);
        let role = fields.required_enum("role");
        fields.finish().map_err(DomainError::Invalid)?;
        Ok(Self {
            issuer: issuer.unwrap_or_default(),
            subject: subject.unwrap_or_default(),
            name,
            role: role.unwrap_or(Role::Viewer),
        })
    }
}

async fn repeat(table: &Table, request: &AuthorizedRequest, id: String) -> Result<Reply, Error> {
    let id = MemberId::parse(&id).ok_or(DomainError::NotFound("member"))?;
    Ok(shown(&table.member_by_id(request.workspace(), id).await?.ok_or(DomainError::NotFound("member"))?))
}

async fn create(table: &Table, request: &AuthorizedRequest, wanted: &NewMember) -> Result<Creation<Reply>, Error> {
    let workspace_id = request.workspace();
    if table.membership(workspace_id, &wanted.issuer, &wanted.subject).await?.is_some() {
        return Err(DomainError::MemberExists.into());
    }
    let _there = table.workspace(workspace_id).await?.ok_or(DomainError::NotFound("workspace"))?;
    let event_context = request.new_event_context();
    let member = Member {
        workspace_id,
        member_id: MemberId(request.http.id_source.new_id()),
        issuer: wanted.issuer.clone(),
        subject: wanted.subject.clone(),
        name: wanted.name.clone(),
        role: wanted.role,
        created_at: event_context.at,
        created_by: event_context.creator(),
        pending: true,
        accepted_at: None,
        version: 1,
        stored: domain::stored::Stored::default(),
    };
    let commit = Commit::with_event(&members::add(&member, &event_context)).put(&member);
    Ok(Creation { id: member.member_id.to_string(), commit, result: shown(&member) })
}

fn shown(member: &Member) -> Reply {
    Reply::json(StatusCode::CREATED, &views::Member::from(member))
}
