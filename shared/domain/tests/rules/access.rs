//! Who may what, and for how long an issuer's keys are believed.

use domain::error::DomainError;
use domain::models::actor::Actor;
use domain::permission::Permission;
use domain::rules::access::{Caller, IssuerKeys};

use crate::common::at;
use crate::keys::caller;

fn holding(permissions: &[Permission]) -> Caller {
    caller(Actor::System, permissions)
}

#[test]
fn one_of_several_permissions_is_enough_and_none_is_not() {
    use Permission as P;
    const ANY: &[Permission] = &[P::DevicesManage, P::UsersManage];
    const ONLY: &[Permission] = &[P::UsersWipe];
    for enough in [&[P::DevicesManage][..], &[P::UsersManage, P::EventsRead], ANY] {
        assert_eq!(holding(enough).require_any(ANY), Ok(()), "{enough:?}");
    }
    for lacking in [&[][..], &[P::DevicesRead, P::UsersWipe]] {
        assert_eq!(holding(lacking).require_any(ANY), Err(DomainError::PermissionsMissing(ANY)), "{lacking:?}");
    }
    assert_eq!(holding(ONLY).require_any(ONLY), Ok(()));
    assert_eq!(holding(ANY).require_any(ONLY), Err(DomainError::PermissionMissing(P::UsersWipe)));
}

#[test]
fn an_issuers_keys_vouch_for_its_own_tokens_and_for_a_day() {
    let issuer = "https://issuer.example";
    let keys = IssuerKeys { issuer: issuer.to_owned(), keys: Vec::new(), fetched_at: at(0) };
    let day = 24 * 60;
    for (minutes, believed) in [(0, true), (day - 1, true), (day, false), (day + 1, false)] {
        assert_eq!(keys.vouch_for(issuer, at(minutes)), believed, "after {minutes} minutes");
        assert!(!keys.vouch_for("https://other.example", at(minutes)));
    }
}
