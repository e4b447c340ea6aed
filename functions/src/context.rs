//! Who acts, where and when, at three levels:
//!
//! - [`Origin`]: a caller's request, or a job in the name of the person who started it. An action is the same for
//!   both.
//! - [`EventContext`]: what one event records of that, with the event's identifier. The domain's rules take it.
//! - [`ActionContext`]: one attempt at an action on one device or user: both of the above, and what it reads by.

use aws::Table;
use domain::error::{DomainError, Error};
use domain::models::actor::{Actor, Creator};
use domain::models::job::Job;
use domain::models::workspace::WorkspaceSettings;
use domain::permission::Permission;
use domain::rules::context::EventContext;
use domain::{CommandId, JobId, Time, TokenId, WorkspaceId};
use lambda::{AuthorizedRequest, IdSource};

use crate::settings::OperatorSettings;
use crate::state::AppState;
use crate::triggers::Run;

/// Who acts, where and when.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// The time, and a source of identifiers.
    pub id_source: IdSource,
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// True if the caller has [`Permission::DeploymentsManage`]; always false for jobs and for Handset itself.
    pub may_deploy: bool,
    actor: Actor,
    token_id: Option<TokenId>,
    operation: &'static str,
    request_id: String,
    source_ip: Option<String>,
    job_id: Option<JobId>,
}

impl Origin {
    /// The context of a caller's request.
    pub fn of_request(request: &AuthorizedRequest) -> Self {
        Self {
            id_source: request.http.id_source,
            workspace_id: request.workspace(),
            may_deploy: request.caller.require(Permission::DeploymentsManage).is_ok(),
            actor: request.caller.actor,
            token_id: request.caller.token_id,
            operation: request.http.operation,
            request_id: request.http.request_id.clone(),
            source_ip: request.http.source_ip.clone(),
            job_id: None,
        }
    }

    /// The context of Handset itself, in a run that AWS triggered.
    pub fn of_run(run: &Run, workspace_id: WorkspaceId) -> Self {
        Self {
            id_source: run.id_source,
            workspace_id,
            may_deploy: false,
            actor: Actor::System,
            token_id: None,
            operation: run.operation,
            request_id: run.request_id.clone(),
            source_ip: None,
            job_id: None,
        }
    }

    /// A copy for a job, in the name of its creator.
    pub fn for_job(&self, job: &Job) -> Self {
        Self { job_id: Some(job.job_id), ..self.in_name_of(job.creator()) }
    }

    /// A copy in the name of the creator of a job, source or rule.
    pub fn in_name_of(&self, creator: Creator) -> Self {
        Self { may_deploy: false, actor: creator.actor, token_id: creator.token_id, ..self.clone() }
    }

    /// A copy at another time, with new identifiers.
    pub fn at(&self, id_source: IdSource) -> Self {
        Self { id_source, ..self.clone() }
    }

    /// A copy in the name of Handset itself, for consequences of what someone else started.
    pub fn itself(&self) -> Self {
        Self { may_deploy: false, actor: Actor::System, token_id: None, ..self.clone() }
    }

    /// The context of a new event.
    pub fn new_event_context(&self) -> EventContext {
        EventContext {
            event_id: self.id_source.event_id(),
            workspace_id: self.workspace_id,
            at: self.id_source.now,
            actor: self.actor,
            token_id: self.token_id,
            operation: self.operation,
            request_id: self.request_id.clone(),
            source_ip: self.source_ip.clone(),
            job_id: self.job_id,
        }
    }

    /// The current time.
    pub fn now(&self) -> Time {
        self.id_source.now
    }
}

/// What an action on one device or user needs. Each attempt has its own, since each has its own event.
pub(crate) struct ActionContext<'a> {
    /// The table.
    pub table: &'a Table,
    /// The operator's defaults and limits.
    pub operator: &'a OperatorSettings,
    /// Who acts, where and when.
    pub origin: Origin,
    /// The context of the action's event.
    pub event_context: EventContext,
}

impl<'a> ActionContext<'a> {
    /// The context of one attempt.
    pub fn new(table: &'a Table, operator: &'a OperatorSettings, origin: Origin) -> Self {
        let event_context = origin.new_event_context();
        Self { table, operator, origin, event_context }
    }

    /// The context of one attempt at a request.
    ///
    /// # Errors
    /// `Internal` if the environment names no table.
    pub fn of_request(state: &'a AppState, request: &AuthorizedRequest) -> Result<Self, Error> {
        Ok(Self::new(state.table()?, &state.settings.operator, Origin::of_request(request)))
    }

    /// A new command's identifier.
    pub fn new_command_id(&self) -> CommandId {
        CommandId(self.origin.id_source.new_id())
    }

    /// The workspace's settings.
    ///
    /// # Errors
    /// `NotFound` if there is no workspace; those of the read.
    pub async fn settings(&self) -> Result<WorkspaceSettings, Error> {
        let workspace = self.table.workspace(self.origin.workspace_id).await?;
        Ok(workspace.ok_or(DomainError::NotFound("workspace"))?.settings)
    }
}
