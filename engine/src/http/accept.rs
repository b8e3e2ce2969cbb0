//! Which of the media types on offer a client prefers.

use axum::http::{HeaderMap, header};

/// The index of the offer that `Accept` prefers; among equals, and when it
/// wants none of them, the first.
pub(crate) fn choose(headers: &HeaderMap, offers: &[&str]) -> usize {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let accepted: Vec<(&str, f32)> = values.flat_map(|value| value.split(',')).map(range).collect();
    let quality = |offer: &str| {
        let matching = accepted.iter().filter(|(range, _)| matches(range, offer));
        // The most specific range counts: `text/html` before `text/*` before `*/*`.
        matching
            .max_by_key(|(range, _)| range.len() - 2 * range.matches('*').count())
            .map_or(0.0, |(_, q)| *q)
    };
    let mut best = (0, 0.0);
    for (index, offer) in offers.iter().enumerate() {
        let quality = quality(offer);
        if quality > best.1 {
            best = (index, quality);
        }
    }
    best.0
}

fn range(text: &str) -> (&str, f32) {
    let mut parts = text.split(';').map(str::trim);
    let range = parts.next().unwrap_or_default();
    let quality = parts.find_map(|parameter| parameter.strip_prefix("q=")?.parse().ok());
    (range, quality.unwrap_or(1.0))
}

fn matches(range: &str, offer: &str) -> bool {
    match range.split_once('*') {
        None => range.eq_ignore_ascii_case(offer),
        Some(("*/", "")) => true,
        Some((start, "")) => offer.starts_with(&start.to_ascii_lowercase()),
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_offer_is_chosen() {
        let offers = ["application/json", "text/html"];
        for (accept, expected) in [
            ("", 0),
            ("*/*", 0),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", 1),
            ("text/*", 1),
            ("application/json;q=0.5, text/html;q=0.4", 0),
            ("text/html;q=0, */*", 0),
            ("image/png", 0),
            ("nonsense", 0),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            assert_eq!(choose(&headers, &offers), expected, "{accept}");
        }
        assert_eq!(choose(&HeaderMap::new(), &offers), 0);
    }
}
