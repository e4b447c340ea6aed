//! What lists, counts and orders derive from things.

use std::collections::BTreeMap;

use chrono::Duration;
use domain::models::actor::Actor;
use domain::models::device::Device;
use domain::models::job::{JobKind, NewJob, Selection};
use domain::models::network::{Network, NetworkStatus};
use domain::models::offer::Offer;
use domain::models::restriction::Deleted;
use domain::models::user::User;
use domain::rules::derived::{Amount, Derived, Facet, LatestOffers, Order};
use domain::rules::jobs::begin;
use domain::states::JobState;
use domain::{JobId, ProfileId, SourceId};
use serde_json::json;
use uuid::Uuid;

use crate::common::{at, context, found, invitation, user};
use crate::fixture::Fixture;

fn facets(derived: &Derived) -> BTreeMap<&str, &str> {
    derived.facets.iter().map(|(facet, value)| (facet.as_str(), value.as_str())).collect()
}

fn orders(derived: &Derived) -> BTreeMap<&str, &str> {
    derived.orders.iter().map(|(order, value)| (order.as_str(), value.as_str())).collect()
}

fn deleted() -> Deleted {
    Deleted { at: at(5), by: Actor::System, purge_after: at(50) }
}

#[test]
fn a_device_is_found_by_each_of_its_facets() {
    let device = Fixture::with_phones(1).held().remove(0);
    let derived = Derived::of_device(&device, Some("Ada Ångström"));
    let expected = [
        ("app_version", "4.2.0"),
        ("blocked", "false"),
        ("device_status", "in_use"),
        ("model_name", "iPhone 17"),
        ("os_version", "26.1"),
        ("platform", "ios"),
        ("push_in_use", "false"),
        ("push_reason", "endpoint_pending"),
        ("status", "active"),
        ("status_of_app_version", "4.2.0 in_use"),
        ("status_of_os_version", "26.1 in_use"),
    ];
    assert_eq!(facets(&derived), BTreeMap::from(expected));
    let by: Vec<&str> = orders(&derived).into_keys().collect();
    assert_eq!(by, ["app_version", "model_name", "os_version", "user_name"], "it has logged in");
    assert_eq!((orders(&derived)["user_name"], orders(&derived)["model_name"]), ("ada angstrom", "iphone 17"));
    assert_eq!((derived.deleted, derived.amounts), (false, BTreeMap::from([(Amount::Things, 1)])));
    let bare = Device { app_version: None, last_login_at: None, deleted: Some(deleted()), ..device.clone() };
    let bare = Derived::of_device(&bare, None);
    assert!(bare.deleted && !facets(&bare).keys().any(|facet| facet.ends_with("app_version")), "{bare:?}");
    assert_eq!(orders(&bare)["never_seen"], device.created_at.to_string());
}

#[test]
fn a_deleted_user_is_found_by_no_profile_source_or_deployment() {
    let (profile, source) = (ProfileId(Uuid::from_u128(7)), SourceId(Uuid::from_u128(8)));
    let mut active = user();
    active.service_level = Some("gold".to_owned());
    active.client.profile_id = Some(profile);
    active.provenance.source_id = Some(source);
    let gone = User { deleted: Some(deleted()), ..active.clone() };
    let [active, gone] = [active, gone].map(|user| Derived::of_user(&user, &LatestOffers::default()));
    let (profile, source) = (profile.to_string(), source.to_string());
    let all =
        [("invitation", "none"), ("network_indicator", "none"), ("service_level", "gold"), ("status", "inactive")];
    let own = [("deployed", "false"), ("profile_id", profile.as_str()), ("source_id", source.as_str())];
    assert_eq!(facets(&active), all.into_iter().chain(own).collect());
    assert_eq!(facets(&gone), all[..3].iter().copied().chain([("status", "deleted")]).collect());
    assert_eq!((active.deleted, gone.deleted), (false, true));
}

#[test]
fn a_users_place_in_orders_is_by_the_ends_of_numbers_and_the_network_that_is_silent_longest() {
    let network = |days| Network {
        status: NetworkStatus::Enabled,
        status_at: at(0).plus(Duration::days(days)),
        reason: None,
        mdn_provisioning: None,
        last_seen_at: None,
        last_archived_at: None,
    };
    let networks = [("one", network(3)), ("two", network(1)), ("three", network(2))];
    let networks = networks.map(|(name, network)| (name.to_owned(), network)).into_iter().collect();
    let user = User { networks, number: Some("+44 20 79".to_owned()), ..user() };
    let derived = Derived::of_user(&user, &LatestOffers::default());
    let created_at = user.created_at.to_string();
    let expected = [
        ("mobile_end", "765432107194"),
        ("name", "ada adler"),
        ("network_seen", "2026-11-24"),
        ("never_seen", created_at.as_str()),
        ("number_end", "970244"),
        ("username", "ada"),
    ];
    assert_eq!(orders(&derived), BTreeMap::from(expected));
    let seen = Derived::of_user(&User { last_seen_at: Some(at(1)), ..user }, &LatestOffers::default());
    assert!(!seen.orders.contains_key(&Order::NeverSeen));
}

#[test]
fn an_invitation_and_a_deployment_are_open_until_they_end() {
    let user = found(1).user;
    let open = Offer { created_at: at(3), ..invitation(&user, 1) };
    let over = Offer { revoked_at: Some(at(4)), ..open.clone() };
    let of = |invitation: &Offer, deployment: &Offer| {
        let offers = LatestOffers { invitation: Some(invitation.clone()), deployment: Some(deployment.clone()) };
        let derived = Derived::of_user(&user, &offers);
        let open: Vec<Order> = [Order::OpenInvitation, Order::OpenDeployment]
            .into_iter()
            .filter(|order| derived.orders.get(order) == Some(&at(3).to_string()))
            .collect();
        let counted: Vec<Amount> = derived.amounts.into_keys().filter(|amount| *amount != Amount::Things).collect();
        (derived.facets[&Facet::Invitation].clone(), open, counted)
    };
    let (invited, deployed) = (Amount::OpenInvitations, Amount::OpenDeployments);
    assert_eq!(of(&open, &over), ("open".to_owned(), vec![Order::OpenInvitation], vec![invited]));
    assert_eq!(of(&over, &open), ("revoked".to_owned(), vec![Order::OpenDeployment], vec![deployed]));
}

#[test]
fn nothing_is_derived_from_a_job_that_has_ended() {
    let new = NewJob {
        job_id: JobId(Uuid::from_u128(70)),
        kind: JobKind::Users,
        action: json!({"action": "suspend"}),
        action_name: "suspend",
        selection: Selection::Ids(Vec::new()),
        dry_run: false,
    };
    let mut job = begin(new, &context(0)).job.unwrap().after;
    let running = Derived::of_job(&job).unwrap();
    assert_eq!(orders(&running), BTreeMap::from([("open_job", job.created_at.to_string().as_str())]));
    assert_eq!(running.amounts, BTreeMap::from([(Amount::Things, 1), (Amount::RunningJobs, 1)]));
    for ended in [JobState::Finished, JobState::Failed, JobState::Canceled] {
        job.state = ended;
        assert_eq!(Derived::of_job(&job), None, "{ended}");
    }
}
