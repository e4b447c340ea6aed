//! `POST /sources`.

use aws::{Commit, Idempotency, Sources};
use domain::SourceId;
use domain::access::Permission;
use domain::input::{Fields, Word};
use domain::refusal::{Failure, Refusal};
use domain::source::{DataSource, SOURCE_LIMIT, Settings, SourceKind};
use lambda::{Call, Reply};
use lambda_http::http::StatusCode;

use crate::attempts::{Before, Once};
use crate::description::About;
use crate::description::schema::thing;
use crate::views;

/// What the operation says of itself.
#[must_use]
pub fn about() -> About {
    About::new("Set up a data set")
        .detail(
            "Where users come from: a file that is uploaded, a page that is read by HTTPS, or an identity provider \
             that pushes by SCIM. That a schedule may wipe phones needs `users:wipe`.",
        )
        .body_by("kind", &<SourceKind as Word>::all(), |mut fields| drop(read(&mut fields, &[])))
        .once()
        .answers(201, "The data set.", thing("Source"))
        .with_header("etag", "The data set's version, for `If-Match`.")
        .refuses([Refusal::TooManySources, Refusal::PermissionMissing(Permission::UsersWipe)])
}

/// Answers 201 with the data set: never its token, only whether one is set. `hosts` are those that the
/// deployment calls. That a schedule may wipe phones takes the right to do so.
///
/// # Errors
/// Every fault of the body; `PermissionMissing`, `TooManySources`.
pub async fn handle(store: &(impl Sources + Idempotency), call: Call, hosts: &[String]) -> Result<Reply, Failure> {
    let mut fields = call.request.body()?;
    let (kind, settings) = read(&mut fields, hosts);
    fields.finish().map_err(Refusal::Invalid)?;
    let kind = kind.ok_or(Refusal::field("kind", "missing", "is required"))?;
    let once = Once::of(&call)?;
    once.attempts(store, &call, || attempt(store, &call, &once, kind, &settings)).await
}

fn read(fields: &mut Fields, hosts: &[String]) -> (Option<SourceKind>, Settings) {
    let kind: Option<SourceKind> = fields.required_word("kind");
    // Without a kind, what the others share is looked at, so that every fault is told.
    (kind, Settings::of_new(fields, kind.unwrap_or(SourceKind::Http), hosts))
}

async fn attempt(
    store: &(impl Sources + Idempotency),
    call: &Call,
    once: &Once,
    kind: SourceKind,
    settings: &Settings,
) -> Result<Reply, Failure> {
    let forgotten = match once.before(store, call).await? {
        Before::New { forgotten } => forgotten,
        Before::Made(made) => {
            let id = SourceId::parse(&made).ok_or(Refusal::NotFound("source"))?;
            let source = store.source(call.workspace(), id).await?.ok_or(Refusal::NotFound("source"))?;
            return Ok(shown(&source));
        }
    };
    if settings.renames_may_wipe == Some(true) {
        call.caller.require(Permission::UsersWipe)?;
    }
    // Two at once may make one more than there may be; that does no harm.
    if store.list_sources(call.workspace(), SOURCE_LIMIT, None).await?.items.len() >= SOURCE_LIMIT {
        return Err(Refusal::TooManySources.into());
    }
    let id = SourceId(call.request.moment.draw());
    let (source, event) = DataSource::create(kind, id, settings.clone(), &call.act());
    let mut commit = Commit::of(&event).put(&source);
    if let Some(token) = settings.token.as_ref().and_then(Option::as_deref) {
        commit = commit.keep_source_token(id, token);
    }
    store.commit(once.remember(commit, call, &id.to_string(), forgotten)).await?;
    Ok(shown(&source))
}

fn shown(source: &DataSource) -> Reply {
    Reply::json(StatusCode::CREATED, &views::source(source)).versioned(source.version)
}
