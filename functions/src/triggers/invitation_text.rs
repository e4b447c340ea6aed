//! The text message of an invitation: its link, with as many words as fit. It names nobody.

use domain::sms::segments;

/// Longest first, in GSM characters only. The link's page offers to install the app.
const WORDINGS: [&str; 3] = [
    "You are invited to use the app. Install and open it by this link, and please keep it to yourself: ",
    "You are invited to use the app. Install and open it: ",
    "Your app: ",
];

/// The text, with the longest wording that needs no more segments than the shortest one.
pub(crate) fn compose(code: &str, public_url: &str) -> String {
    let [longest, shorter, shortest] = WORDINGS.map(|wording| format!("{wording}{public_url}/i/{code}"));
    let least = segments(&shortest);
    [longest, shorter].into_iter().find(|text| segments(text) == least).unwrap_or(shortest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "2222222222222222222222";

    fn base(length: usize) -> String {
        let host = "x".repeat(length - "https://.example".len());
        format!("https://{host}.example")
    }

    #[test]
    fn it_is_one_segment_wherever_the_address_allows() {
        assert_eq!(base(40).len(), 40);
        for length in [20, 40, 60, 125] {
            let text = compose(CODE, &base(length));
            assert_eq!(segments(&text), 1, "{length}: {text}");
            assert!(text.ends_with(&format!("{}/i/{CODE}", base(length))), "{text}");
        }
        assert!(compose(CODE, &base(30)).contains("to yourself"));
        assert!(compose(CODE, &base(40)).contains("invited"));
        assert_eq!(segments(&compose(CODE, &base(126))), 2);
    }

    #[test]
    fn an_address_outside_of_gsms_alphabet_takes_no_more_than_it_must() {
        let text = compose(CODE, "https://händler-ω.example");
        assert_eq!(segments(&text), 1, "{text}");
    }
}
