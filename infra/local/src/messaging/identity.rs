//! E-mail addresses, and which of them may send.

use std::collections::BTreeMap;

use super::fault::Fault;

/// The address without a display name: `Ada <ada@example.com>` is `ada@example.com`.
pub(super) fn bare(address: &str) -> &str {
    let inner = address.rsplit_once('<').map(|(_, rest)| rest);
    inner.and_then(|rest| rest.split('>').next()).unwrap_or(address).trim()
}

/// The bare address, if SES would accept it. It must be 7-bit ASCII, since SES has no SMTPUTF8.
pub(super) fn checked(address: &str) -> Result<&str, Fault> {
    let address = bare(address);
    let blank = |part: &str| part.chars().any(|character| character.is_control() || character.is_whitespace());
    let wrong = match address.rsplit_once('@') {
        None | Some((_, "")) => "Missing final '@domain'",
        Some(("", _)) => "Missing local name",
        Some((local, _)) if blank(local) => "Local address contains control or whitespace",
        Some((_, domain)) if blank(domain) => "Domain contains control or whitespace",
        Some((_, domain)) if domain.starts_with('.') => "Domain starts with dot",
        Some(_) if !address.is_ascii() => "Address contains characters outside of ASCII",
        Some(_) => return Ok(address),
    };
    Err(Fault::ses_bad_request(wrong))
}

/// The part after the last `@`.
pub(super) fn domain(address: &str) -> &str {
    address.rsplit_once('@').map_or("", |(_, domain)| domain)
}

/// True if the bare address may send: it, the address without its `+label`, its domain, or a parent domain is a
/// verified identity ("Verified identities in Amazon SES", Developer Guide).
pub(super) fn may_send(identities: &BTreeMap<String, bool>, address: &str) -> bool {
    let verified = |identity: &str| identities.get(identity) == Some(&true);
    let address = address.to_lowercase();
    let Some((local, domain)) = address.rsplit_once('@') else {
        return false;
    };
    let unlabelled = local.split('+').next().unwrap_or(local);
    let above = domain.match_indices('.').map(|(at, _)| &domain[at + 1..]);
    verified(&address)
        || verified(&format!("{unlabelled}@{domain}"))
        || std::iter::once(domain).chain(above).any(verified)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_display_name_is_not_the_address() {
        assert_eq!(bare("Ada <ada@example.com>"), "ada@example.com");
        assert_eq!(bare(" ada@example.com "), "ada@example.com");
    }

    #[test]
    fn addresses_that_ses_refuses_are_refused() {
        for wrong in ["", "ada", "ada@", "@example.com", "a da@example.com", "a@b c", "a@.b", "ä@b.c"] {
            assert!(checked(wrong).is_err(), "{wrong}");
        }
        assert_eq!(checked("ada+x@example.com"), Ok("ada+x@example.com"));
    }

    #[test]
    fn an_address_or_its_domain_must_be_verified() {
        let identities = [("ada@one.example", true), ("two.example", true), ("no.example", false)]
            .map(|(name, verified)| (name.to_owned(), verified))
            .into();
        for may in ["ada@one.example", "Ada+label@One.example", "x@two.example", "x@sub.two.example"] {
            assert!(may_send(&identities, may), "{may}");
        }
        for may_not in ["bob@one.example", "x@no.example", "x@nottwo.example", "two.example"] {
            assert!(!may_send(&identities, may_not), "{may_not}");
        }
    }
}
