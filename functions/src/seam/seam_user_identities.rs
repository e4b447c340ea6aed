//! `/user_identities/…`: our users, seen through Seam's words.

use aws::stores::UserFilter;
use aws::{Commit, Invitations, Profiles, Users, Workspaces};
use domain::UserId;
use domain::access::Permission;
use domain::input::Fields;
use domain::refusal::{Failure, Refusal};
use domain::search::Query;
use domain::secret::base58;
use domain::text::{Form, TextRule};
use domain::user::{EMAIL, IDENTITY_KEY, MOBILE, NAME, NewUser, User, UserEdit};
use lambda::{Call, Reply};
use serde_json::json;

use super::paging::Paging;
use super::{Listing, Verbs, done, required_id, route, views, whole};
use crate::attempts::attempts;
use crate::doer::Doer;
use crate::settings::Defaults;
use crate::users::actions::{UserAction, edited, prepare, require_key_free};

/// How many a page has unless more or fewer are asked for, and at most.
const LIMIT: (usize, usize) = (100, 500);
/// First and last name as one.
const FULL_NAME: TextRule = TextRule::new(Form::Line, 1, 129);
/// The reason that stands on a delete.
const DELETED: &str = "deleted through Seam's API, which knows no wipe";
/// Random characters of a generated username: over 70 bits.
const USERNAME_LENGTH: usize = 12;

/// Answers with a user identity, with a page of them, or that one was changed.
///
/// # Errors
/// `RouteNotFound`, `OnlyMethods`; every fault of the parameters; `NotFound`; `PermissionMissing`
/// for a change without `users:manage`.
pub async fn handle(
    store: &(impl Users + Invitations + Workspaces + Profiles),
    call: Call,
    defaults: &Defaults,
) -> Result<Reply, Failure> {
    match route(&call, "user_identities") {
        "create" => create(store, &call).await,
        "get" => get(store, &call).await,
        "list" => list(store, &call).await,
        "update" => update(store, &call, defaults).await,
        "delete" => delete(store, &call, defaults).await,
        _ => Err(Refusal::RouteNotFound.into()),
    }
}

/// First and last name: what stands before the first blank, and the rest.
fn names(full_name: &str) -> Result<(String, Option<String>), Refusal> {
    let (first, last) = match full_name.split_once(' ') {
        Some((first, last)) => (first, Some(last)),
        None => (full_name, None),
    };
    let read = |text: &str| NAME.read(text).map_err(|(code, detail)| Refusal::field("full_name", code, detail));
    Ok((read(first)?, last.map(read).transpose()?))
}

async fn create(store: &impl Users, call: &Call) -> Result<Reply, Failure> {
    call.caller.require(Permission::UsersManage)?;
    let mut fields = Verbs::Post.parameters(call)?;
    let user_identity_key = fields.text("user_identity_key", IDENTITY_KEY);
    let email = fields.text("email_address", EMAIL);
    let mobile = fields.text("phone_number", MOBILE);
    let full_name = fields.text("full_name", FULL_NAME);
    fields.finish().map_err(Refusal::Invalid)?;
    let (first_name, last_name) = match &full_name {
        Some(full_name) => names(full_name).map(|(first, last)| (Some(first), last))?,
        None => (None, None),
    };
    let username = format!("user-{}", base58(call.request.moment.random, USERNAME_LENGTH));
    let new = NewUser { username, first_name, last_name, email, mobile, user_identity_key, ..NewUser::default() };
    attempts(store, || async {
        require_key_free(store, call.workspace(), new.user_identity_key.as_deref(), None).await?;
        let (user, event) = User::create(new.clone(), UserId(call.request.moment.draw()), &call.act());
        store.commit(Commit::of(&event).put(&user)).await?;
        Ok(lambda::seam::ok(json!({"user_identity": views::user_identity(&user)})))
    })
    .await
}

/// A user who is not deleted.
async fn there(store: &impl Users, call: &Call, id: Option<UserId>) -> Result<User, Failure> {
    let user = match id {
        Some(id) => store.user(call.workspace(), id).await?.filter(|user| user.deleted.is_none()),
        None => None,
    };
    Ok(user.ok_or(Refusal::NotFound("user_identity"))?)
}

async fn get(store: &impl Users, call: &Call) -> Result<Reply, Failure> {
    let mut fields = Verbs::GetPost.parameters(call)?;
    let by_key = fields.value("user_identity_id").is_none() && fields.value("user_identity_key").is_some();
    let id = if by_key {
        let key = fields.text("user_identity_key", IDENTITY_KEY);
        let key = whole(fields, key)?;
        store.id_of_identity_key(call.workspace(), &key).await?
    } else {
        let id = required_id(&mut fields, "user_identity_id", UserId::parse);
        Some(whole(fields, id)?)
    };
    let user = there(store, call, id).await?;
    Ok(lambda::seam::ok(json!({"user_identity": views::user_identity(&user)})))
}

/// A page, which may be short.
async fn list(store: &impl Users, call: &Call) -> Result<Reply, Failure> {
    let mut fields = Verbs::GetPost.parameters(call)?;
    let paging = Paging::read(call, &mut fields, LIMIT.1);
    let filter = UserFilter { search: Query::read(&mut fields), ..UserFilter::default() };
    fields.finish().map_err(Refusal::Invalid)?;
    let limit = paging.limit.unwrap_or(LIMIT.0);
    let page = store.list_users(call.workspace(), &filter, limit, paging.start()?, call.now()).await?;
    let mut listing = Listing::default();
    for person in page.items.iter().filter(|person| person.user.deleted.is_none()) {
        listing.push(views::user_identity(&person.user))?;
    }
    let pagination = paging.pagination(page.next.as_ref());
    Ok(lambda::seam::ok(json!({"user_identities": listing.items, "pagination": pagination})))
}

/// Changes what is sent; `null` takes it away. The username stays, so no phone is reset.
async fn update(
    store: &(impl Users + Invitations + Workspaces + Profiles),
    call: &Call,
    defaults: &Defaults,
) -> Result<Reply, Failure> {
    call.caller.require(Permission::UsersManage)?;
    let mut fields = Verbs::PatchPost.parameters(call)?;
    let id = required_id(&mut fields, "user_identity_id", UserId::parse);
    let edit = read_edit(&mut fields);
    let full_name = fields.text("full_name", FULL_NAME);
    let id = whole(fields, id)?;
    let edit = edit?;
    attempts(store, || async {
        let user = there(store, call, Some(id)).await?;
        let mut edit = edit.clone();
        if full_name.is_some() && full_name == user.full_name() {
            // Written back as it was shown: where the first name ends is not for Seam to say.
            (edit.first_name, edit.last_name) = (None, None);
        }
        let prepared = edited(store, &Doer::of_call(call), &user, &edit, defaults).await?;
        done(store, prepared.commit).await
    })
    .await
}

fn read_edit(fields: &mut Fields) -> Result<UserEdit, Refusal> {
    let (first_name, last_name) = match fields.edited_text("full_name", FULL_NAME) {
        None => (None, None),
        Some(None) => (Some(None), Some(None)),
        Some(Some(full_name)) => names(&full_name).map(|(first, last)| (Some(Some(first)), Some(last)))?,
    };
    Ok(UserEdit {
        first_name,
        last_name,
        email: fields.edited_text("email_address", EMAIL),
        mobile: fields.edited_text("phone_number", MOBILE),
        user_identity_key: fields.edited_text("user_identity_key", IDENTITY_KEY),
        ..UserEdit::default()
    })
}

/// Deletes a user with their phones, which are not wiped. Answers so each time, as long as the
/// user's row is there.
async fn delete(
    store: &(impl Users + Invitations + Workspaces + Profiles),
    call: &Call,
    defaults: &Defaults,
) -> Result<Reply, Failure> {
    call.caller.require(Permission::UsersManage)?;
    let mut fields = Verbs::DeletePost.parameters(call)?;
    let id = required_id(&mut fields, "user_identity_id", UserId::parse);
    let id = whole(fields, id)?;
    let action = UserAction::Delete { without_wipe: true, reason: Some(DELETED.to_owned()) };
    attempts(store, || async {
        let user = store.user(call.workspace(), id).await?.ok_or(Refusal::NotFound("user_identity"))?;
        let prepared = prepare(store, &Doer::of_call(call), &user, &action, defaults).await?;
        done(store, prepared.commit).await
    })
    .await
}
