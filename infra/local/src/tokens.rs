//! `POST /_local/tokens`: a personal access token without signing in, since this machine has no issuer. The
//! operator of the machine is a person like others: `add-member` makes them a member, they accept by
//! `accept-membership`, and `create-token` creates the token, each with its own permissions.

use std::sync::Arc;

use aws::Connection;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use chrono::TimeDelta;
use domain::WorkspaceId;
use domain::error::{DomainError, Error};
use domain::models::actor::Actor;
use domain::models::member::{Identity, accepted};
use domain::permission::Permission;
use domain::rules::access::Caller;
use functions::AppState;
use functions::access::{accept_membership, add_member, create_token};
use lambda::{AuthorizedRequest, ErrorFormat, PersonRequest, Request};
use serde_json::{Map, Value, json};

use crate::Now;
use crate::operations::state;
use crate::template::{StackLocation, Template};

/// The local issuer, unless a real one is configured. It has no keys.
pub(crate) const ISSUER: &str = "https://this-machine.example";
/// The operator's subject.
const SUBJECT: &str = "operator";
/// Default lifetime of a token.
const DEFAULT_LIFETIME: TimeDelta = TimeDelta::days(30);

/// The operator of this machine.
#[derive(Clone)]
pub struct Operator(Arc<Handlers>);

struct Handlers {
    add_member: AppState,
    accept_membership: AppState,
    create_token: AppState,
    now: Now,
}

impl Operator {
    /// The operator of a system.
    ///
    /// # Errors
    /// What the template lacks.
    pub fn new(
        template: &Template,
        location: &StackLocation,
        connection: &Connection,
        now: &Now,
    ) -> Result<Self, String> {
        let state = |name| state(name, template, location, connection, now);
        let handlers = Handlers {
            add_member: state("add-member")?,
            accept_membership: state("accept-membership")?,
            create_token: state("create-token")?,
            now: Arc::clone(now),
        };
        Ok(Self(Arc::new(handlers)))
    }

    /// The route: `{workspace_ids, name?, permissions?, expires_at?}` makes the operator an admin of the
    /// workspaces, and responds as `POST /tokens` does.
    pub fn router(self) -> Router {
        Router::new().route("/_local/tokens", post(create)).with_state(self)
    }

    /// A new token of the operator, in the response of `create-token`.
    ///
    /// # Errors
    /// Those of `create-token`.
    pub async fn token(&self, mut body: Map<String, Value>) -> Result<Value, Error> {
        let ids = body.get("workspace_ids").and_then(Value::as_array).cloned().unwrap_or_default();
        for id in ids.iter().filter_map(|id| WorkspaceId::parse(id.as_str()?)) {
            self.join(id).await?;
        }
        let expires_at = ((self.0.now)() + DEFAULT_LIFETIME).to_rfc3339();
        for (name, value) in [("name", "created on this machine"), ("expires_at", &expires_at)] {
            body.entry(name).or_insert_with(|| json!(value));
        }
        let state = &self.0.create_token;
        let http = request("create-token", state, &Value::Object(body))?;
        let issuer = self.issuer().to_owned();
        let memberships = accepted(state.table()?.memberships(&issuer, SUBJECT).await?);
        let person = Identity { issuer, subject: SUBJECT.to_owned(), memberships };
        let reply = create_token::handle(state, PersonRequest { http, person }).await?;
        serde_json::from_slice(&reply.body).map_err(|e| Error::internal("reading a reply", e))
    }

    /// The operator's issuer.
    fn issuer(&self) -> &str {
        self.0.create_token.settings.issuer.as_ref().map_or(ISSUER, |issuer| &issuer.url)
    }

    /// Makes the operator an admin of a workspace, if it exists and they are not.
    async fn join(&self, workspace_id: WorkspaceId) -> Result<(), Error> {
        let state = &self.0.add_member;
        let operator = json!({"issuer": self.issuer(), "subject": SUBJECT, "name": "Operator", "role": "admin"});
        let permissions = Permission::ALL.iter().copied().collect();
        let caller = Caller { workspace_id, actor: Actor::System, token_id: None, permissions };
        let request_of_admin = AuthorizedRequest { http: request("add-member", state, &operator)?, caller };
        match add_member::handle(state, request_of_admin).await {
            Ok(_) | Err(Error::Refused(DomainError::MemberExists)) => {}
            Err(Error::Refused(DomainError::NotFound(_))) => return Ok(()),
            Err(failure) => return Err(failure),
        }
        let state = &self.0.accept_membership;
        let http = request("accept-membership", state, &json!({}))?;
        let person =
            Identity { issuer: self.issuer().to_owned(), subject: SUBJECT.to_owned(), memberships: Vec::new() };
        accept_membership::accept(state.table()?, &PersonRequest { http, person }, workspace_id).await.map(drop)
    }
}

async fn create(State(operator): State<Operator>, Json(body): Json<Map<String, Value>>) -> Response {
    match operator.token(body).await {
        Ok(made) => (StatusCode::CREATED, Json(made)).into_response(),
        Err(failure) => {
            let reply = ErrorFormat::Problem.reply(&failure, "");
            let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
            (StatusCode::UNPROCESSABLE_ENTITY, Json(body)).into_response()
        }
    }
}

/// A request in the gateway's format.
fn request(operation: &'static str, state: &AppState, body: &Value) -> Result<Request, Error> {
    let http = json!({"method": "POST", "path": "/", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": ""});
    let event = json!({
        "version": "2.0",
        "routeKey": "POST /",
        "rawPath": "/",
        "rawQueryString": "",
        "headers": {},
        "requestContext": {"http": http, "requestId": "local"},
        "body": body.to_string(),
        "isBase64Encoded": false,
    });
    Request::read(operation, state.id_source(), event).map_err(|e| Error::internal("making a request", e))
}
