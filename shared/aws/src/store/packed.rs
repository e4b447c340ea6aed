//! Compact encodings of a device's states, so that a check-in stays one write of one unit (1,024 bytes: "Amazon
//! DynamoDB Developer Guide", Read/write capacity).

use aws_sdk_dynamodb::types::AttributeValue;
use domain::models::command::{CommandKind, FailedCommand, UnconfirmedWipe};
use domain::models::device::{Device, ServedConfig};
use domain::states::CommandState;
use domain::string_enum::UnknownValue;
use domain::{CommandId, Time};
use serde::Serialize;

use crate::item::Item;

/// Encodes a configuration that is to be fetched again.
const ORDERED: &str = "forced";
/// Encodes a configuration that may be fetched.
const OFFERED: &str = "offered";
/// Prefix of a version that was fetched as ordered and is not installed yet.
const FETCHED: char = '!';

/// A failed command is encoded as a letter for its kind, and the time.
const LETTERS: [(CommandKind, char); 5] = [
    (CommandKind::Wipe, 'w'),
    (CommandKind::Lock, 'l'),
    (CommandKind::ResetPin, 'p'),
    (CommandKind::FactoryReset, 'f'),
    (CommandKind::RefreshConfig, 'c'),
];

/// Encodes a device's states for its row.
pub(crate) fn pack(device: &Device, item: &mut Item) {
    let texts = [
        ("served", device.served.as_ref().map(pack_served)),
        ("failed", device.failed.map(pack_failed)),
        ("unconfirmed", device.unconfirmed.map(pack_unconfirmed)),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            item.insert(name.to_owned(), AttributeValue::S(text));
        }
    }
}

/// Decodes a device's states from its row. An unknown encoding stays, and makes the row unreadable.
pub(crate) fn unpack(item: &mut Item) {
    unpack_one(item, "served", |text| Some(unpack_served(text)));
    unpack_one(item, "failed", unpack_failed);
    unpack_one(item, "unconfirmed", unpack_unconfirmed);
}

fn unpack_one<T: Serialize>(item: &mut Item, name: &str, read: impl Fn(&str) -> Option<T>) {
    let text = item.get(name).and_then(|value| value.as_s().ok());
    let state = text.and_then(|text| read(text)).and_then(|state| serde_dynamo::to_attribute_value(state).ok());
    if let Some(state) = state {
        item.insert(name.to_owned(), state);
    }
}

pub(crate) fn pack_served(served: &ServedConfig) -> String {
    match served {
        ServedConfig::Offered => OFFERED.to_owned(),
        ServedConfig::Ordered => ORDERED.to_owned(),
        ServedConfig::Fetched(version) => format!("{FETCHED}{version}"),
        ServedConfig::Given(version) => version.clone(),
    }
}

fn unpack_served(text: &str) -> ServedConfig {
    match (text, text.strip_prefix(FETCHED)) {
        (OFFERED, _) => ServedConfig::Offered,
        (ORDERED, _) => ServedConfig::Ordered,
        (_, Some(version)) => ServedConfig::Fetched(version.to_owned()),
        (version, None) => ServedConfig::Given(version.to_owned()),
    }
}

fn pack_failed(failed: FailedCommand) -> String {
    let letter = match (LETTERS.iter().find(|(kind, _)| *kind == failed.kind), failed.kind) {
        (Some((_, letter)), _) => letter.to_string(),
        // Of a kind of another release only the letter is known.
        (None, kind) => kind.to_string(),
    };
    format!("{letter}{:x}", failed.at.millis())
}

fn unpack_failed(text: &str) -> Option<FailedCommand> {
    let mut letters = text.chars();
    let letter = letters.next()?;
    let known = LETTERS.iter().find(|(_, known)| *known == letter).map(|(kind, _)| *kind);
    let unknown = || UnknownValue::new(letter.encode_utf8(&mut [0; 4])).map(CommandKind::Unknown);
    let kind = known.or_else(unknown)?;
    Some(FailedCommand { kind, at: unpack_time(letters.as_str())? })
}

fn pack_unconfirmed(wipe: UnconfirmedWipe) -> String {
    format!("{} {} {:x}", wipe.command_id, wipe.state, wipe.at.millis())
}

fn unpack_unconfirmed(text: &str) -> Option<UnconfirmedWipe> {
    let mut parts = text.split(' ');
    let command_id = CommandId::parse(parts.next()?)?;
    let state = parts.next()?;
    let unknown = || UnknownValue::new(state).map(CommandState::Unknown);
    let state = CommandState::parse(state).or_else(unknown)?;
    Some(UnconfirmedWipe { command_id, state, at: unpack_time(parts.next()?)? })
}

fn unpack_time(text: &str) -> Option<Time> {
    Time::from_millis(i64::from_str_radix(text, 16).ok()?)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn time() -> Time {
        Time::parse("2026-11-23T08:00:07Z").unwrap()
    }

    #[test]
    fn a_failed_command_is_kept_in_few_bytes_and_read_again() {
        for kind in CommandKind::ALL {
            let failed = FailedCommand { kind: *kind, at: time() };
            let text = pack_failed(failed);
            assert!(text.len() <= 12, "{text}");
            assert_eq!(unpack_failed(&text), Some(failed));
        }
        // The letter of a kind of another release is kept.
        let unknown = unpack_failed("x19a0b1c2d3e").unwrap();
        assert_eq!((unknown.kind.to_string(), pack_failed(unknown)), ("x".to_owned(), "x19a0b1c2d3e".to_owned()));
        for bad in ["", "w", "X1", "w1g", "w99999999999999999999"] {
            assert_eq!(unpack_failed(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_unconfirmed_wipe_is_kept_as_one_text_and_read_again() {
        let command_id = CommandId(Uuid::from_u128(7));
        for state in CommandState::ALL {
            let wipe = UnconfirmedWipe { command_id, state: *state, at: time() };
            assert_eq!(unpack_unconfirmed(&pack_unconfirmed(wipe)), Some(wipe));
        }
        for bad in [
            "",
            "x",
            &format!("{command_id} failed"),
            &format!("{command_id} failed x"),
            &format!("{command_id} lost! 1"),
        ] {
            assert_eq!(unpack_unconfirmed(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn how_far_a_configuration_has_come_is_kept_as_one_text_and_read_again() {
        let version = || "0af3b2c1".to_owned();
        for (served, text) in [
            (ServedConfig::Offered, "offered"),
            (ServedConfig::Ordered, "forced"),
            (ServedConfig::Fetched(version()), "!0af3b2c1"),
            (ServedConfig::Given(version()), "0af3b2c1"),
        ] {
            assert_eq!((pack_served(&served).as_str(), unpack_served(text)), (text, served));
        }
    }
}
