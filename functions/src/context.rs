//! Who does something, where and when: a caller by a request, or a job in the name of whoever
//! began it. What an action does is the same for both.

use aws::Table;
use domain::error::{DomainError, Error};
use domain::models::actor::{Actor, Maker};
use domain::models::job::Job;
use domain::models::workspace::Settings;
use domain::permission::Permission;
use domain::rules::context::EventContext;
use domain::{CommandId, JobId, Time, TokenId, WorkspaceId};
use lambda::{AuthorizedRequest, IdSource};

use crate::settings::Defaults;
use crate::state::AppState;
use crate::triggers::Run;

/// Who does something.
#[derive(Clone, Debug)]
pub(crate) struct RequestContext {
    /// When, and chance.
    pub id_source: IdSource,
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// True for a caller who may deploy; a job is begun with what it needs, and has nothing more.
    pub may_deploy: bool,
    actor: Actor,
    token_id: Option<TokenId>,
    operation: &'static str,
    request_id: String,
    address: Option<String>,
    job_id: Option<JobId>,
}

impl RequestContext {
    /// The caller of a request.
    pub fn of_request(request: &AuthorizedRequest) -> Self {
        Self {
            id_source: request.http.id_source,
            workspace_id: request.workspace(),
            may_deploy: request.caller.require(Permission::DeploymentsManage).is_ok(),
            actor: request.caller.actor,
            token_id: request.caller.token_id,
            operation: request.http.operation,
            request_id: request.http.request_id.clone(),
            address: request.http.address.clone(),
            job_id: None,
        }
    }

    /// Handset itself, in a run that AWS has set off.
    pub fn of_run(run: &Run, workspace_id: WorkspaceId) -> Self {
        Self {
            id_source: run.id_source,
            workspace_id,
            may_deploy: false,
            actor: Actor::System,
            token_id: None,
            operation: run.operation,
            request_id: run.request_id.clone(),
            address: None,
            job_id: None,
        }
    }

    /// The same, for a job, in the name of whoever began it.
    pub fn for_job(&self, job: &Job) -> Self {
        Self { job_id: Some(job.job_id), ..self.in_name_of(job.maker()) }
    }

    /// The same, in the name of whoever made what is at work.
    pub fn in_name_of(&self, maker: Maker) -> Self {
        Self { may_deploy: false, actor: maker.actor, token_id: maker.token_id, ..self.clone() }
    }

    /// The same, at another moment.
    pub fn at(&self, id_source: IdSource) -> Self {
        Self { id_source, ..self.clone() }
    }

    /// Handset itself, in what was begun by somebody else.
    pub fn itself(&self) -> Self {
        Self { may_deploy: false, actor: Actor::System, token_id: None, ..self.clone() }
    }

    /// A new act, with an event of its own.
    pub fn event_context(&self) -> EventContext {
        EventContext {
            event_id: self.id_source.event_id(),
            workspace_id: self.workspace_id,
            at: self.id_source.now,
            actor: self.actor,
            token_id: self.token_id,
            operation: self.operation,
            request_id: self.request_id.clone(),
            address: self.address.clone(),
            job_id: self.job_id,
        }
    }

    /// When.
    pub fn now(&self) -> Time {
        self.id_source.now
    }
}

/// What an action on one device or user is decided with. Each attempt has its own, since each has an event of its own.
pub(crate) struct ActionContext<'a> {
    /// Where the rows are.
    pub table: &'a Table,
    /// What holds where a workspace has settled nothing.
    pub defaults: &'a Defaults,
    /// Who does it, where and when.
    pub request: RequestContext,
    /// The same, as its event tells it.
    pub event: EventContext,
}

impl<'a> ActionContext<'a> {
    /// For one attempt.
    pub fn new(table: &'a Table, defaults: &'a Defaults, request: RequestContext) -> Self {
        let event = request.event_context();
        Self { table, defaults, request, event }
    }

    /// For one attempt at what a request asks for.
    ///
    /// # Errors
    /// `Internal` if the environment names no table.
    pub fn of_request(state: &'a AppState, request: &AuthorizedRequest) -> Result<Self, Error> {
        Ok(Self::new(state.table()?, &state.settings.defaults, RequestContext::of_request(request)))
    }

    /// The identifier of a new command.
    pub fn new_command_id(&self) -> CommandId {
        CommandId(self.request.id_source.new_id())
    }

    /// What the workspace has settled.
    ///
    /// # Errors
    /// As reading a row.
    pub async fn settings(&self) -> Result<Settings, Error> {
        let workspace = self.table.workspace(self.request.workspace_id).await?;
        Ok(workspace.ok_or(DomainError::NotFound("workspace"))?.settings)
    }
}
