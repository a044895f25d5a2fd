//! E-10, the way back: what of an origin's answer is kept, and what a viewer gets.
//!
//! Owns the header tables of facts 16 and 41. Never decides how old an answer is: `Age` is the caller's.

use std::time::SystemTime;

use http::HeaderMap;
use http::header::{ACCEPT_ENCODING, COOKIE, DATE, HeaderName, SET_COOKIE, VARY, VIA};

use super::{HOP_BY_HOP, Hop, X_AMZ_CF_ID, named_by_connection, set, via};
use crate::edge::policy::directives::{self, members};
use crate::edge::policy::distribution::Behaviour;
use crate::edge::policy::record::XCache;

const X_AMZ_CF_POP: HeaderName = HeaderName::from_static("x-amz-cf-pop");
const X_CACHE: HeaderName = HeaderName::from_static("x-cache");

/// Changes an origin's answer before it is read, kept or delivered: fields of the one connection go (RFC 9111 §3.1),
/// and `Date` is set to the time it was `received` where it is missing or no date (RFC 9110 §6.6.1).
pub fn from_origin(headers: &mut HeaderMap, received: SystemTime) {
    remove_hop_by_hop(headers);
    if headers.get(DATE).and_then(directives::date).is_none() {
        set(headers, DATE, Some(httpdate::fmt_http_date(received)));
    }
}

/// Changes an answer's header block for the viewer: removes what CloudFront removes, sets `Via`, `X-Cache`,
/// `X-Amz-Cf-Pop`, `X-Amz-Cf-Id`. `Age` is the caller's.
pub fn to_viewer(headers: &mut HeaderMap, x_cache: XCache, hop: &Hop<'_>) {
    remove_hop_by_hop(headers);
    headers.insert(X_CACHE, x_cache.to_value());
    set(headers, VIA, Some(via(hop)));
    set(headers, X_AMZ_CF_POP, Some(hop.pop.to_owned()));
    set(headers, X_AMZ_CF_ID, Some(hop.request_id.to_owned()));
}

/// What of an answer depends on how its path is configured: `Set-Cookie` goes unless cookies are forwarded, `Vary`
/// keeps what is forwarded (fact 16).
pub fn restrict(headers: &mut HeaderMap, behaviour: &Behaviour) {
    if !behaviour.forward.cookies && !behaviour.cache.key.cookies.any() {
        headers.remove(SET_COOKIE);
    }
    let Some(vary) = kept_vary(headers, behaviour) else {
        return;
    };
    headers.remove(VARY);
    if !vary.is_empty() {
        set(headers, VARY, Some(vary));
    }
}

/// `None`: there is no `Vary`.
fn kept_vary(headers: &HeaderMap, behaviour: &Behaviour) -> Option<String> {
    headers.get(VARY)?;
    let kept: Vec<_> = members(headers, &VARY)
        .filter_map(|member| HeaderName::from_bytes(member).ok())
        .filter(|name| {
            *name == ACCEPT_ENCODING
                || *name == COOKIE
                || behaviour.forward.all_headers
                || behaviour.forward.headers.contains(name)
                || behaviour.cache.key.headers.contains(name)
        })
        .map(|name| name.to_string())
        .collect();
    Some(kept.join(", "))
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    for name in named_by_connection(headers) {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::testing::{HOP, field};
    use super::*;
    use crate::edge::policy::distribution::Forwarding;
    use crate::edge::policy::testing::{behaviour, headers};

    #[test]
    fn e10_to_the_viewer() {
        let mut answer = headers(&[
            ("connection", "a, B"),
            ("a", "1"),
            ("b", "2"),
            ("c", "3"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("trailer", "x"),
            ("upgrade", "h2c"),
            ("via", "1.1 upstream"),
            ("x-cache", "Hit from elsewhere"),
            ("etag", "\"x\""),
        ]);
        to_viewer(&mut answer, XCache::RefreshHit, &HOP);
        for (row, name, expected) in [
            ("fact 41", "x-cache", Some("RefreshHit from cloudfront")),
            ("fact 41", "x-amz-cf-pop", Some("FRA56-P1")),
            ("fact 41", "x-amz-cf-id", Some("id-1")),
            ("fact 41", "via", Some("1.1 pop.example (CloudFront)")),
            ("named by Connection", "a", None),
            ("named by Connection", "b", None),
            ("not named", "c", Some("3")),
            ("not named", "etag", Some("\"x\"")),
            ("of the connection", "connection", None),
            ("of the connection", "keep-alive", None),
            ("of the connection", "transfer-encoding", None),
            ("of the connection", "trailer", None),
            ("of the connection", "upgrade", None),
        ] {
            assert_eq!(
                field(&answer, name).as_deref(),
                expected,
                "T51 {row}: {name}"
            );
        }
    }

    #[test]
    fn e10_an_answer_is_dated_where_the_origin_did_not() {
        let received = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let now = "Sun, 06 Nov 1994 08:49:37 GMT";
        for (row, lines, expected) in [
            ("none", &[][..], now),
            ("no date", &[("date", "foo")], now),
            (
                "a date",
                &[("date", "Sun, 22 Nov 2026 10:00:00 GMT")],
                "Sun, 22 Nov 2026 10:00:00 GMT",
            ),
            ("of the connection", &[("connection", "x"), ("x", "1")], now),
        ] {
            let mut answer = headers(lines);
            from_origin(&mut answer, received);
            assert_eq!(field(&answer, "date").as_deref(), Some(expected), "{row}");
            assert_eq!(
                (field(&answer, "connection"), field(&answer, "x")),
                (None, None),
                "{row}"
            );
        }
    }

    #[test]
    fn e10_vary_and_set_cookie_depend_on_what_is_forwarded() {
        let plain = behaviour();
        let mut ring = behaviour();
        ring.cache.key.headers = vec![HeaderName::from_static("x-ring")];
        let cookies = Behaviour {
            forward: Forwarding {
                cookies: true,
                ..Forwarding::default()
            },
            ..behaviour()
        };
        for (row, behaviour, vary, expected) in [
            (
                "fact 16",
                &plain,
                "Accept-Encoding",
                Some("accept-encoding"),
            ),
            ("fact 16", &plain, "Cookie, X-Ring", Some("cookie")),
            ("fact 16", &plain, "X-Ring, User-Agent", None),
            ("fact 16", &plain, "*", None),
            ("fact 16", &ring, "User-Agent, X-Ring", Some("x-ring")),
        ] {
            let mut answer = headers(&[("vary", vary), ("set-cookie", "a=1")]);
            restrict(&mut answer, behaviour);
            assert_eq!(field(&answer, "vary").as_deref(), expected, "{row}: {vary}");
            assert_eq!(field(&answer, "set-cookie"), None, "{row}");
        }
        let mut answer = headers(&[("set-cookie", "a=1"), ("set-cookie", "b=2")]);
        restrict(&mut answer, &cookies);
        assert_eq!(field(&answer, "set-cookie").as_deref(), Some("a=1|b=2"));
        assert_eq!(field(&answer, "vary"), None, "none is made");
    }
}
