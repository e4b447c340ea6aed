//! Versions of apps and operating systems, which are compared number by number.

use crate::search::fold;

/// The digits to which a version's numbers are filled up in [`version_order`]: those of the largest number.
const DIGITS: usize = 20;

/// True if a version is older than another: compared number by number; missing numbers count as 0. Only the leading
/// digits of each part count, so `17.5-beta` is not older than `17.5`.
#[must_use]
pub fn is_older(version: &str, least: &str) -> bool {
    numbers(version) < numbers(least)
}

/// A text by which versions are ordered: first by their numbers, then by how they are written. Every version that is
/// [older](is_older) than another comes before [`first_of`] that one, and no other does.
#[must_use]
pub fn version_order(version: &str) -> String {
    let written: String = fold(version).chars().filter(|c| !c.is_control()).collect();
    format!("{} {written}", first_of(version))
}

/// The beginning of the orders of all versions with the numbers of this one.
#[must_use]
pub fn first_of(version: &str) -> String {
    numbers(version).iter().map(|number| format!("{number:0DIGITS$}")).collect::<Vec<_>>().join(".")
}

fn numbers(version: &str) -> Vec<u64> {
    let part = |part: &str| {
        let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap_or(0)
    };
    let mut numbers: Vec<u64> = version.split('.').map(part).collect();
    while numbers.last() == Some(&0) {
        numbers.pop();
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_number_by_number() {
        for (version, least, older) in [
            ("9", "10", true),
            ("10.1", "10.0.5", false),
            ("4.2", "4.2.0", false),
            ("4.2.0", "4.2", false),
            ("4.2", "4.2.1", true),
            ("17.5-beta", "17.5", false),
            ("unknown", "1", true),
            ("", "1", true),
            ("99999999999999999999999", "1", true),
        ] {
            assert_eq!(is_older(version, least), older, "{version} < {least}");
            assert_eq!(version_order(version) < first_of(least), older, "{version} < {least}");
        }
    }

    #[test]
    fn versions_are_ordered_by_their_numbers() {
        let ordered = ["", "9", "26", "26-beta", "26.0", "26.1", "26.1.2", "26.9", "26.010", "26.10", "26.10.1", "100"];
        let mut sorted = ordered;
        sorted.reverse();
        sorted.sort_by_key(|version| version_order(version));
        assert_eq!(sorted, ordered);
        // The longest version that input allows.
        assert!(version_order(&"1.".repeat(16)).len() <= 16 * (DIGITS + 1) + 33);
    }
}
