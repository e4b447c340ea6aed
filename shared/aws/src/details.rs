//! Second rows: some fields of an object are stored in a row of their own, beside the main row.
//!
//! It keeps the main row small: a check-in writes the main row of a device and must cost one unit. Every change of the
//! object also writes the main row, whose version guards both. Outside of this file, the attributes of the second row are
//! among those of the main one, with a prefix to their names.
//!
//! The release before keeps these fields in the main row. Until a change or `reindex` has moved a field, and whenever that
//! release has written it since, the main row has it, and that value counts.

use aws_sdk_dynamodb::types::AttributeValue;

use crate::item::{Item, Read, RowKey};

/// The sort key of a second row.
pub(crate) const DETAILS: &str = "DETAILS";

/// What precedes the names of the second row's attributes among those of the main one.
const PREFIX: &str = "DETAILS/";

/// The sort key of the rows that have a second one.
const MAIN: &str = crate::store::devices::DEVICES;

/// The key of a row's second row, if it has one.
pub(crate) fn key_beside(main: &RowKey) -> Option<RowKey> {
    (main.sk == MAIN).then(|| RowKey::new(main.pk.clone(), DETAILS))
}

/// The key of the main row of a second row.
pub(crate) fn main_key(key: &RowKey) -> Option<RowKey> {
    (key.sk == DETAILS).then(|| RowKey::new(key.pk.clone(), MAIN))
}

/// The name of a second row's attribute among those of the main one.
pub(crate) fn name(field: &str) -> String {
    format!("{PREFIX}{field}")
}

pub(crate) fn is_detail(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// The name of an attribute in its own row.
pub(crate) fn field(name: &str) -> &str {
    name.strip_prefix(PREFIX).unwrap_or(name)
}

/// An item whose details have the names that they have among the attributes of the main row.
pub(crate) fn rename<R: Read>(mut item: Item) -> Item {
    for detail in R::DETAILS {
        if let Some(value) = item.remove(*detail) {
            item.insert(name(detail), value);
        }
    }
    item
}

/// The opposite: an item whose attributes all have the names of fields.
pub(crate) fn fields(item: Item) -> Item {
    let (mut main, second) = parted(item);
    for (name, value) in second {
        main.entry(name).or_insert(value);
    }
    main
}

/// Adds the attributes of a second row to those of the main one.
pub(crate) fn add(main: &mut Item, second: Item) {
    let own = second.into_iter().filter(|(name, _)| !["pk", "sk"].contains(&name.as_str()));
    main.extend(own.map(|(field, value)| (name(&field), value)));
}

/// The main row and the second one, if it has attributes.
pub(crate) fn split(item: Item) -> (Item, Option<Item>) {
    let (main, mut second) = parted(item);
    let beside = RowKey::of(&main).and_then(|key| key_beside(&key)).filter(|_| !second.is_empty());
    let second = beside.map(|key| {
        second.extend(key.attributes());
        second
    });
    (main, second)
}

fn parted(item: Item) -> (Item, Item) {
    let (second, main): (Item, Item) = item.into_iter().partition(|(name, _)| is_detail(name));
    let own = |(name, value): (String, AttributeValue)| (field(&name).to_owned(), value);
    (main, second.into_iter().map(own).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> AttributeValue {
        AttributeValue::S(value.to_owned())
    }

    fn item(attributes: &[(&str, &str)]) -> Item {
        attributes.iter().map(|(name, value)| ((*name).to_owned(), text(value))).collect()
    }

    #[test]
    fn a_field_of_the_main_row_counts_more_than_one_of_the_second_row() {
        let mut row = item(&[("pk", "DEVICE#w#d"), ("sk", "DEVICE"), ("nickname", "newer")]);
        add(&mut row, item(&[("pk", "DEVICE#w#d"), ("sk", "DETAILS"), ("nickname", "older"), ("failed", "w1")]));
        let read = fields(row.clone());
        assert_eq!((&read["nickname"], &read["failed"]), (&text("newer"), &text("w1")));
        let (main, second) = split(row);
        assert_eq!(main, item(&[("pk", "DEVICE#w#d"), ("sk", "DEVICE"), ("nickname", "newer")]));
        let stored = item(&[("pk", "DEVICE#w#d"), ("sk", "DETAILS"), ("nickname", "older"), ("failed", "w1")]);
        assert_eq!(second, Some(stored));
    }

    #[test]
    fn a_row_without_details_has_no_second_row() {
        let row = item(&[("pk", "DEVICE#w#d"), ("sk", "DEVICE")]);
        assert_eq!(split(row.clone()), (row, None));
    }
}
