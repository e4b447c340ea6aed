//! Content negotiation by the `Accept` header (RFC 9110, 12.5.1).

/// The media type that an `Accept` header prefers; the first of several with equal preference. `None` if it
/// accepts none of them.
#[must_use]
pub fn best_match(accept: &str, forms: &[&'static str]) -> Option<&'static str> {
    let mut best = None;
    for form in forms {
        let quality = quality(accept, form);
        if quality > best.map_or(0, |(quality, _)| quality) {
            best = Some((quality, *form));
        }
    }
    best.map(|(_, form)| form)
}

/// The weight of a media type in thousandths, by the most specific range that matches it.
fn quality(accept: &str, form: &str) -> u16 {
    let kind = form.split('/').next().unwrap_or_default();
    let ranges = accept.split(',').filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next()?;
        let specific = if name.eq_ignore_ascii_case(form) {
            2
        } else if name.strip_suffix("/*").is_some_and(|name| name.eq_ignore_ascii_case(kind)) {
            1
        } else if name == "*/*" {
            0
        } else {
            return None;
        };
        let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse::<f32>().ok());
        Some((specific, weight.filter(|weight| (0.0..=1.0).contains(weight)).unwrap_or(0.0)))
    });
    let (_, weight) = ranges.max_by_key(|(specific, _)| *specific).unwrap_or((0, 0.0));
    // Between 0 and 1000 for any input.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 0 to 1000")]
    let thousandths = (weight * 1000.0) as u16;
    thousandths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_liked_best_is_chosen() {
        let forms = ["image/svg+xml", "image/png"];
        let cases = [
            ("*/*", Some("image/svg+xml")),
            ("image/*", Some("image/svg+xml")),
            ("image/png", Some("image/png")),
            ("image/svg+xml;q=0.5, image/png;q=0.8", Some("image/png")),
            ("image/png;q=0.1, */*", Some("image/svg+xml")),
            ("image/svg+xml;q=0, image/*", Some("image/png")),
            ("text/html", None),
            ("image/png;q=0", None),
            ("image/png;q=nan", None),
            ("", None),
        ];
        for (accept, expected) in cases {
            assert_eq!(best_match(accept, &forms), expected, "{accept}");
        }
    }
}
