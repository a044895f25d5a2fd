//! E-10: what goes to the origin and what comes back to the viewer.
//!
//! Owns the header table of fact 40; `link/answer.rs` has the way back. Never opens a connection; what is tried again
//! when one fails is in `attempts.rs`, what is refused before all this in `admission.rs`.

mod answer;

use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT, HOST,
    HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, RANGE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT, VIA,
};
use http::{HeaderMap, Method, Uri};

use super::directives::members;
use super::distribution::Behaviour;
use super::key;

pub use answer::{from_origin, restrict, to_viewer};

/// Who asks, and how the edge names itself.
#[derive(Clone, Copy, Debug)]
pub struct Hop<'a> {
    /// The viewer's address without port, for `X-Forwarded-For`.
    pub viewer: &'a str,
    /// The id of this request, for `X-Amz-Cf-Id`.
    pub request_id: &'a str,
    /// The POP's name, for `X-Amz-Cf-Pop`.
    pub pop: &'a str,
    /// The host in `Via`: `1.1 {host} (CloudFront)`.
    pub via_host: &'a str,
}

const X_AMZ_CF_ID: HeaderName = HeaderName::from_static("x-amz-cf-id");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Fields that belong to one connection (RFC 9110 §7.6.1), beside those that `Connection` names.
const HOP_BY_HOP: [HeaderName; 7] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Removed whatever is forwarded (fact 40), and what the caller or this file sets anew. `X-Edge-*` goes as well.
const NEVER_FORWARDED: [HeaderName; 15] = [
    ACCEPT_ENCODING,
    CONTENT_LENGTH,
    COOKIE,
    EXPECT,
    HeaderName::from_static("proxy-authenticate"),
    HeaderName::from_static("proxy-authorization"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-real-ip"),
    X_AMZ_CF_ID,
    IF_MATCH,
    IF_MODIFIED_SINCE,
    IF_NONE_MATCH,
    IF_RANGE,
    IF_UNMODIFIED_SINCE,
    RANGE,
];

/// Removed although all headers are forwarded, unless they are named: `Host`, so that the origin sees its own name, and
/// `X-HTTP-Method-Override` (fact 40's table).
const ONLY_BY_NAME: [HeaderName; 2] = [HOST, HeaderName::from_static("x-http-method-override")];

/// The header block of a request to the origin, made from the viewer's. The caller adds `Host` (unless the behaviour
/// forwards it and it is here), `Range`, conditions, and what frames a body.
///
/// A viewer's field is forwarded when it is in the key or named by the origin request policy, or when that forwards
/// all. Of the rest only `Content-Type` goes on. `Authorization` of a GET or HEAD goes only where it is named: what it
/// unlocked would be kept for everyone.
#[must_use]
pub fn to_origin(
    method: &Method,
    viewer: &HeaderMap,
    behaviour: &Behaviour,
    hop: &Hop<'_>,
) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(viewer.len() + 6);
    let named = named_by_connection(viewer);
    for (name, value) in viewer {
        if is_forwarded(method, name, behaviour) && !named.contains(name) {
            headers.append(name, value.clone());
        }
    }
    let forwarded_cookies = if behaviour.forward.cookies {
        &key::Selection::All
    } else {
        &behaviour.cache.key.cookies
    };
    set(
        &mut headers,
        COOKIE,
        key::cookies(viewer, forwarded_cookies),
    );
    set_accept_encoding(&mut headers, viewer, behaviour);
    headers
        .entry(USER_AGENT)
        .or_insert(HeaderValue::from_static("Amazon CloudFront"));
    headers.insert(CONNECTION, HeaderValue::from_static("Keep-Alive"));
    append_member(&mut headers, viewer, X_FORWARDED_FOR, hop.viewer);
    append_member(&mut headers, viewer, VIA, &via(hop));
    set(&mut headers, X_AMZ_CF_ID, Some(hop.request_id.to_owned()));
    for (name, value) in &behaviour.origin.custom_headers {
        headers.insert(name, value.clone()); // a viewer cannot forge them
    }
    headers
}

/// The path and query of a request to the origin: the whole query when it is forwarded, else what of it is in the key.
#[must_use]
pub fn target(uri: &Uri, behaviour: &Behaviour) -> String {
    let mut target = uri.path().to_owned();
    let query = if behaviour.forward.query {
        &key::Selection::All
    } else {
        &behaviour.cache.key.query
    };
    key::push_query(&mut target, uri, query);
    target
}

fn is_forwarded(method: &Method, name: &HeaderName, behaviour: &Behaviour) -> bool {
    let is_always_removed = NEVER_FORWARDED.contains(name)
        || HOP_BY_HOP.contains(name)
        || name == VIA
        || name == X_FORWARDED_FOR
        || name.as_str().starts_with("x-edge-");
    if is_always_removed {
        return false;
    }
    let is_named =
        behaviour.forward.headers.contains(name) || behaviour.cache.key.headers.contains(name);
    if name == AUTHORIZATION && matches!(*method, Method::GET | Method::HEAD) {
        return is_named;
    }
    is_named
        || name == CONTENT_TYPE
        || (behaviour.forward.all_headers && !ONLY_BY_NAME.contains(name))
}

/// Fact 17: normalised, or `identity`; with both flags off a header as any other.
fn set_accept_encoding(headers: &mut HeaderMap, viewer: &HeaderMap, behaviour: &Behaviour) {
    let parts = &behaviour.cache.key;
    if parts.gzip || parts.brotli {
        let encodings = key::accept_encoding(viewer, parts).unwrap_or("identity");
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(encodings));
        return;
    }
    let is_forwarded = behaviour.forward.all_headers
        || behaviour.forward.headers.contains(&ACCEPT_ENCODING)
        || parts.headers.contains(&ACCEPT_ENCODING);
    if is_forwarded {
        for value in viewer.get_all(ACCEPT_ENCODING) {
            headers.append(ACCEPT_ENCODING, value.clone());
        }
    }
}

/// What `Connection` names (RFC 9110 §7.6.1).
fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    members(headers, &CONNECTION)
        .filter_map(|option| HeaderName::from_bytes(option).ok())
        .collect()
}

fn via(hop: &Hop<'_>) -> String {
    format!("1.1 {} (CloudFront)", hop.via_host)
}

/// Sets a list field to the viewer's members and one more, written as AWS shows it for `X-Forwarded-For`: without
/// spaces.
fn append_member(headers: &mut HeaderMap, viewer: &HeaderMap, name: HeaderName, member: &str) {
    let before = viewer
        .get_all(&name)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let list: Vec<_> = before.chain([member]).collect();
    let list = list.join(",");
    set(headers, name, Some(list));
}

/// Sets a field; a value that no field can hold is left out.
fn set(headers: &mut HeaderMap, name: HeaderName, value: Option<String>) {
    if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
        headers.insert(name, value);
    }
}

/// What the tests of both ways start from.
#[cfg(test)]
mod testing {
    use super::*;

    pub const HOP: Hop<'static> = Hop {
        viewer: "192.0.2.2",
        request_id: "id-1",
        pop: "FRA56-P1",
        via_host: "pop.example",
    };

    /// All lines of a field, joined.
    pub fn field(headers: &HeaderMap, name: &str) -> Option<String> {
        let lines: Vec<_> = headers
            .get_all(name)
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect();
        (!lines.is_empty()).then(|| lines.join("|"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::distribution::Forwarding;
    use super::super::key::Selection;
    use super::super::testing::{behaviour, headers, rows};
    use super::testing::{HOP, field};
    use super::*;

    fn forwarding(forward: Forwarding) -> Behaviour {
        Behaviour {
            forward,
            ..behaviour()
        }
    }

    fn all_headers() -> Behaviour {
        forwarding(Forwarding {
            all_headers: true,
            ..Forwarding::default()
        })
    }

    #[test]
    fn e10_what_the_edge_sets_itself() {
        let none = &[][..];
        for (row, lines, name, expected) in [
            ("T51 its own name", none, "user-agent", "Amazon CloudFront"),
            (
                "T51 … not the viewer's",
                &[("user-agent", "curl")],
                "user-agent",
                "Amazon CloudFront",
            ),
            (
                "T51 the connection",
                &[("connection", "close, x")],
                "connection",
                "Keep-Alive",
            ),
            ("T51 the id", none, "x-amz-cf-id", "id-1"),
            (
                "T51 … not the viewer's",
                &[("x-amz-cf-id", "forged")],
                "x-amz-cf-id",
                "id-1",
            ),
            ("T51 the viewer", none, "x-forwarded-for", "192.0.2.2"),
            (
                "T51 the viewer, after those before",
                &[("x-forwarded-for", "192.0.2.4,192.0.2.3")],
                "x-forwarded-for",
                "192.0.2.4,192.0.2.3,192.0.2.2",
            ),
            (
                "T51 … on several lines",
                &[("x-forwarded-for", "a"), ("x-forwarded-for", "b")],
                "x-forwarded-for",
                "a,b,192.0.2.2",
            ),
            (
                "T51 its way",
                &[("via", "1.0 a")],
                "via",
                "1.0 a,1.1 pop.example (CloudFront)",
            ),
        ] {
            for behaviour in [behaviour(), all_headers()] {
                if behaviour.forward.all_headers && name == "user-agent" && !lines.is_empty() {
                    continue; // asked for: the row below
                }
                let sent = to_origin(&Method::GET, &headers(lines), &behaviour, &HOP);
                assert_eq!(
                    field(&sent, name).as_deref(),
                    Some(expected),
                    "{row}: {lines:?}"
                );
            }
        }
        let sent = to_origin(
            &Method::GET,
            &headers(&[("user-agent", "curl")]),
            &all_headers(),
            &HOP,
        );
        assert_eq!(
            field(&sent, "user-agent").as_deref(),
            Some("curl"),
            "T51 all headers"
        );
    }

    /// Whether a viewer's field goes on: by default, with all headers forwarded, when it is named.
    const E10: &str = "
        T51 removed             | accept                 | no  | yes | yes
        T51 removed             | accept-charset         | no  | yes | yes
        T51 removed             | accept-language        | no  | yes | yes
        T51 removed             | referer                | no  | yes | yes
        T51 not the policy's    | x-ring                 | no  | yes | yes
        T51 not the policy's    | origin                 | no  | yes | yes
        T51 not the policy's    | pragma                 | no  | yes | yes
        T51 not the policy's    | cache-control          | no  | yes | yes
        T51 the type of a body  | content-type           | yes | yes | yes
        T51 only by name        | authorization          | no  | no  | yes
        T51 only by name        | x-http-method-override | no  | no  | yes
        T51 only by name        | host                   | no  | no  | yes
        T51 by their own switch | cookie                 | no  | no  | no
        T51 always removed      | expect                 | no  | no  | no
        T51 always removed      | te                     | no  | no  | no
        T51 always removed      | trailer                | no  | no  | no
        T51 always removed      | upgrade                | no  | no  | no
        T51 always removed      | keep-alive             | no  | no  | no
        T51 always removed      | transfer-encoding      | no  | no  | no
        T51 always removed      | proxy-authenticate     | no  | no  | no
        T51 always removed      | proxy-authorization    | no  | no  | no
        T51 always removed      | proxy-connection       | no  | no  | no
        T51 always removed      | x-forwarded-proto      | no  | no  | no
        T51 always removed      | x-real-ip              | no  | no  | no
        T51 always removed      | x-edge-pop             | no  | no  | no
        T51 always removed      | x-edge-                | no  | no  | no
        T51 the caller's        | range                  | no  | no  | no
        T51 the caller's        | if-range               | no  | no  | no
        T51 the caller's        | if-none-match          | no  | no  | no
        T51 the caller's        | if-modified-since      | no  | no  | no
        T51 the caller's        | content-length         | no  | no  | no
    ";

    #[test]
    fn e10_headers() {
        for [row, name, by_default, with_all, by_name] in rows::<5>(E10) {
            let viewer = headers(&[(name, "7")]);
            let goes_on = |behaviour: &Behaviour, expected: &str| {
                let sent = to_origin(&Method::GET, &viewer, behaviour, &HOP);
                assert_eq!(
                    sent.contains_key(name),
                    expected == "yes",
                    "{row}: {name}, {behaviour:?}"
                );
            };
            let named = HeaderName::from_bytes(name.as_bytes()).unwrap();
            goes_on(&behaviour(), by_default);
            goes_on(&all_headers(), with_all);
            goes_on(
                &forwarding(Forwarding {
                    headers: vec![named.clone()],
                    ..Forwarding::default()
                }),
                by_name,
            );
            let mut keyed = behaviour();
            keyed.cache.key.headers = vec![named];
            goes_on(&keyed, by_name);
        }
    }

    #[test]
    fn e10_what_connection_names_ends_here_and_posts_may_be_authorized() {
        let viewer = headers(&[
            ("connection", "x-ring, Keep-Alive"),
            ("x-ring", "1"),
            ("x-other", "2"),
        ]);
        let sent = to_origin(&Method::GET, &viewer, &all_headers(), &HOP);
        assert_eq!(field(&sent, "x-ring"), None, "T51 named by Connection");
        assert_eq!(
            field(&sent, "x-other").as_deref(),
            Some("2"),
            "T51 not named by Connection"
        );
        let viewer = headers(&[("authorization", "Basic x")]);
        let sent = to_origin(&Method::POST, &viewer, &all_headers(), &HOP);
        assert!(
            sent.contains_key("authorization"),
            "T51 what is never kept may be unlocked"
        );
    }

    #[test]
    fn e10_cookies_go_on_where_they_are_in_the_key_or_forwarded() {
        let viewer = headers(&[("cookie", "a=1; id=2"), ("cookie", "b=3")]);
        let keyed = |cookies| {
            let mut keyed = behaviour();
            keyed.cache.key.cookies = cookies;
            keyed
        };
        let id = Selection::Only(vec!["id".into()]);
        let mut both = keyed(id.clone());
        both.forward.cookies = true;
        for (row, configured, expected) in [
            ("T51 none by default", behaviour(), None),
            ("T51 those in the key", keyed(id.clone()), Some("id=2")),
            (
                "T51 all but",
                keyed(Selection::AllExcept(vec!["a".into()])),
                Some("id=2; b=3"),
            ),
            ("T51 all", both, Some("a=1; id=2; b=3")),
        ] {
            let sent = to_origin(&Method::GET, &viewer, &configured, &HOP);
            assert_eq!(field(&sent, "cookie").as_deref(), expected, "{row}");
        }
    }

    #[test]
    fn e10_accept_encoding_goes_on_normalised_or_as_any_other_header() {
        let viewer = headers(&[("accept-encoding", "gzip, deflate, br")]);
        let mut gzip = all_headers();
        gzip.cache.key.gzip = true;
        for (row, viewer, configured, expected) in [
            ("T9 not by default", &viewer, behaviour(), None),
            (
                "T9 with all headers",
                &viewer,
                all_headers(),
                Some("gzip, deflate, br"),
            ),
            ("T9 normalised", &viewer, gzip.clone(), Some("gzip")),
            (
                "T9 … or identity",
                &HeaderMap::new(),
                gzip,
                Some("identity"),
            ),
        ] {
            let sent = to_origin(&Method::GET, viewer, &configured, &HOP);
            assert_eq!(
                field(&sent, "accept-encoding").as_deref(),
                expected,
                "{row}"
            );
        }
    }

    #[test]
    fn e10_a_viewer_cannot_forge_the_origins_secret() {
        let secret = HeaderName::from_static("x-origin-secret");
        let mut configured = all_headers();
        configured.origin.custom_headers = vec![(secret, HeaderValue::from_static("s3"))];
        let forged = headers(&[("x-origin-secret", "guess"), ("x-origin-secret", "again")]);
        let sent = to_origin(&Method::GET, &forged, &configured, &HOP);
        assert_eq!(
            field(&sent, "x-origin-secret").as_deref(),
            Some("s3"),
            "T51"
        );
    }

    #[test]
    fn e10_the_query_goes_to_the_origin_where_it_is_in_the_key_or_forwarded() {
        let uri = "http://a.example/a%20b?x=1&v=2".parse().unwrap();
        let mut behaviour = behaviour();
        assert_eq!(target(&uri, &behaviour), "/a%20b", "T51");
        behaviour.cache.key.query = Selection::Only(vec!["v".into()]);
        assert_eq!(target(&uri, &behaviour), "/a%20b?v=2", "T51");
        behaviour.forward.query = true;
        assert_eq!(target(&uri, &behaviour), "/a%20b?x=1&v=2", "T51");
    }
}
