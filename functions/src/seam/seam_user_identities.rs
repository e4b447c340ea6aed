//! `/user_identities/…`: users as Seam user identities.

use aws::UserFilter;
use aws::{Commit, Table, retry_on_conflict};
use domain::UserId;
use domain::error::{DomainError, Error};
use domain::input::Fields;
use domain::models::user::{IDENTITY_KEY, NAME, NewUser, User, UserEdit};
use domain::permission::Permission;
use domain::search::Query;
use domain::secret::base58;
use domain::text::{EMAIL, MOBILE};
use domain::text::{Form, TextRule};
use lambda::{AuthorizedRequest, Reply};
use serde_json::json;

use super::paging::Paging;
use super::{Listing, Verbs, done, finish, required_id, route, views};
use crate::context::ActionContext;
use crate::idempotency::{Creation, create_once};
use crate::state::AppState;
use crate::users::deletion::{self, DeleteRequest};
use crate::users::edits::{self, require_key_free};

/// Default and maximum page size.
const LIMIT: (usize, usize) = (100, 500);
/// First and last name in one field.
const FULL_NAME: TextRule = TextRule::new(Form::Line, 1, 129);
/// Recorded reason of a deletion.
const DELETED: &str = "deleted through Seam's API, which knows no wipe";
/// Random characters of a generated username: over 70 bits.
const USERNAME_LENGTH: usize = 12;

/// Returns one user identity or a page of them, or creates, updates or deletes one.
///
/// # Errors
/// `RouteNotFound`, `OnlyMethods`; every invalid field of the parameters; `NotFound`; `PermissionMissing` for a
/// change without `users:manage`.
pub async fn handle(state: &AppState, request: AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    match route(&request, "user_identities") {
        "create" => create(table, &request).await,
        "get" => get(table, &request).await,
        "list" => list(table, &request).await,
        "update" => update(state, &request).await,
        "delete" => delete(state, &request).await,
        _ => Err(DomainError::RouteNotFound.into()),
    }
}

/// A name in Seam's form: the first name is the part before the first space, the last name the rest.
#[derive(Clone, Debug)]
struct FullName {
    full: String,
    first: String,
    last: Option<String>,
}

impl FullName {
    /// Reads `full_name`: `None` if it was not sent, `Some(None)` if it is to be removed.
    fn read(fields: &mut Fields) -> Option<Option<Self>> {
        let Some(full) = fields.text_edit("full_name", FULL_NAME)? else {
            return Some(None);
        };
        let (first, last) = match full.split_once(' ') {
            Some((first, last)) => (first, Some(last)),
            None => (full.as_str(), None),
        };
        let mut part = |text: &str, which: &str| match NAME.read(text) {
            Ok(name) => name,
            Err((code, detail)) => {
                fields.add_error("full_name", code, format!("as a {which} name {detail}"));
                String::new()
            }
        };
        let (first, last) = (part(first, "first"), last.map(|last| part(last, "last")));
        Some(Some(Self { first, last, full }))
    }
}

async fn create(table: &Table, request: &AuthorizedRequest) -> Result<Reply, Error> {
    request.caller.require(Permission::UsersManage)?;
    let mut fields = Verbs::Post.parameters(request)?;
    let user_identity_key = fields.text("user_identity_key", IDENTITY_KEY);
    let email = fields.text("email_address", EMAIL);
    let mobile = fields.text("phone_number", MOBILE);
    let name = FullName::read(&mut fields).flatten();
    fields.finish().map_err(DomainError::Invalid)?;
    let (first_name, last_name) = name.map_or((None, None), |name| (Some(name.first), name.last));
    let username = format!("user-{}", base58(request.http.id_source.random, USERNAME_LENGTH));
    let new = NewUser { username, first_name, last_name, email, mobile, user_identity_key, ..NewUser::default() };
    create_once(
        table,
        request,
        || create_user(table, request, &new),
        async |id| Ok(shown(&there(table, request, UserId::parse(&id)).await?)),
    )
    .await
}

fn shown(user: &User) -> Reply {
    lambda::seam::ok(json!({"user_identity": views::user_identity(user)}))
}

async fn create_user(table: &Table, request: &AuthorizedRequest, new: &NewUser) -> Result<Creation<Reply>, Error> {
    require_key_free(table, request.workspace(), new.user_identity_key.as_deref(), None).await?;
    let event_context = request.new_event_context();
    let (user, change) = User::create(new.clone(), UserId(request.http.id_source.new_id()), &event_context);
    let commit = Commit::from_changes(event_context.event_id, &change);
    Ok(Creation { id: user.user_id.to_string(), commit, result: shown(&user) })
}

/// Loads a user who is not deleted.
async fn there(table: &Table, request: &AuthorizedRequest, id: Option<UserId>) -> Result<User, Error> {
    let user = match id {
        Some(id) => table.user(request.workspace(), id).await?.filter(|user| user.deleted.is_none()),
        None => None,
    };
    Ok(user.ok_or(DomainError::NotFound("user_identity"))?)
}

async fn get(table: &Table, request: &AuthorizedRequest) -> Result<Reply, Error> {
    let mut fields = Verbs::GetPost.parameters(request)?;
    let by_key = fields.value("user_identity_id").is_none() && fields.value("user_identity_key").is_some();
    let id = if by_key {
        let key = fields.text("user_identity_key", IDENTITY_KEY);
        let key = finish(fields, key)?;
        table.id_of_identity_key(request.workspace(), &key).await?
    } else {
        let id = required_id(&mut fields, "user_identity_id", UserId::parse);
        Some(finish(fields, id)?)
    };
    let user = there(table, request, id).await?;
    Ok(shown(&user))
}

/// A page of users, which may be short.
async fn list(table: &Table, request: &AuthorizedRequest) -> Result<Reply, Error> {
    let mut fields = Verbs::GetPost.parameters(request)?;
    let paging = Paging::read(request, &mut fields, LIMIT.1, &["search"]);
    let filter = UserFilter { search: Query::read(&mut fields), ..UserFilter::default() };
    fields.finish().map_err(DomainError::Invalid)?;
    let limit = paging.limit.unwrap_or(LIMIT.0);
    let page = table.list_users(request.workspace(), &filter, limit, paging.start()?, request.now()).await?;
    let mut listing = Listing::default();
    for person in page.items.iter().filter(|person| person.user.deleted.is_none()) {
        listing.push(views::user_identity(&person.user))?;
    }
    let pagination = paging.pagination(page.next.as_ref());
    Ok(lambda::seam::ok(json!({"user_identities": listing.items, "pagination": pagination})))
}

/// Changes the fields that are sent; `null` removes a field. The username stays, so no phone is reset.
async fn update(state: &AppState, request: &AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    request.caller.require(Permission::UsersManage)?;
    let mut fields = Verbs::PatchPost.parameters(request)?;
    let id = required_id(&mut fields, "user_identity_id", UserId::parse);
    let name = FullName::read(&mut fields);
    let edit = UserEdit {
        email: fields.text_edit("email_address", EMAIL),
        mobile: fields.text_edit("phone_number", MOBILE),
        user_identity_key: fields.text_edit("user_identity_key", IDENTITY_KEY),
        ..UserEdit::default()
    };
    let id = finish(fields, id)?;
    retry_on_conflict(table, || async {
        let user = there(table, request, Some(id)).await?;
        // A full name that equals the shown one changes nothing: Seam's form does not tell where the first name ends.
        let name = name.clone().filter(|name| name.as_ref().map(|name| &name.full) != user.full_name().as_ref());
        let edit = match name {
            None => edit.clone(),
            Some(name) => {
                let (first, last) = name.map_or((None, None), |name| (Some(name.first), name.last));
                UserEdit { first_name: Some(first), last_name: Some(last), ..edit.clone() }
            }
        };
        let context = ActionContext::of_request(state, request)?;
        done(table, edits::edit(&context, &user, &edit).await?).await
    })
    .await
}

/// Deletes a user with their phones, without a wipe. Repeated calls succeed as long as the user's row exists.
async fn delete(state: &AppState, request: &AuthorizedRequest) -> Result<Reply, Error> {
    let table = state.table()?;
    request.caller.require(Permission::UsersManage)?;
    let mut fields = Verbs::DeletePost.parameters(request)?;
    let id = required_id(&mut fields, "user_identity_id", UserId::parse);
    let id = finish(fields, id)?;
    retry_on_conflict(table, || async {
        let user = table.user(request.workspace(), id).await?.ok_or(DomainError::NotFound("user_identity"))?;
        let context = ActionContext::of_request(state, request)?;
        done(table, deletion::delete(&context, &user, &DeleteRequest::without_wipe(DELETED)).await?).await
    })
    .await
}
