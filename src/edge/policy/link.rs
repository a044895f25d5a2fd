//! E-10: what goes to the origin and what comes back to the viewer.
//!
//! Owns the header tables of facts 16, 40 and 41. Never opens a connection; what is tried again when one fails is in
//! `attempts.rs`, what is refused before all this in `admission.rs`.

use std::time::SystemTime;

use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, DATE, EXPECT,
    HOST, HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, RANGE, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
    VARY, VIA,
};
use http::{HeaderMap, Method, Uri};

use super::directives::{self, members};
use super::distribution::Behaviour;
use super::key;

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
const X_AMZ_CF_POP: HeaderName = HeaderName::from_static("x-amz-cf-pop");
const X_CACHE: HeaderName = HeaderName::from_static("x-cache");
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

/// The header block of a request to the origin, made from the viewer's. The caller adds `Host` (unless the behaviour forwards
/// it and it is here), `Range`, conditions, and what frames a body.
///
/// A viewer's field is forwarded when it is in the key or named by the origin request policy, or when that forwards all. Of
/// the rest only `Content-Type` goes on. `Authorization` of a GET or HEAD goes only where it is named: what it unlocked
/// would be kept for everyone.
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
    append_member(&mut headers, viewer, X_FORWARDED_FOR, hop.viewer.to_owned());
    append_member(&mut headers, viewer, VIA, via(hop));
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

/// Changes an origin's answer before it is read, kept or delivered: fields of the one connection go (RFC 9111 §3.1), and
/// `Date` is set to the time it was `received` where it is missing or no date (RFC 9110 §6.6.1).
pub fn from_origin(headers: &mut HeaderMap, received: SystemTime) {
    remove_hop_by_hop(headers);
    if headers.get(DATE).and_then(directives::date).is_none() {
        set(headers, DATE, Some(httpdate::fmt_http_date(received)));
    }
}

/// Changes an answer's header block for the viewer: removes what CloudFront removes, sets `Via`, `X-Cache`,
/// `X-Amz-Cf-Pop`, `X-Amz-Cf-Id`. `Age` is the caller's.
pub fn to_viewer(headers: &mut HeaderMap, x_cache: super::record::XCache, hop: &Hop<'_>) {
    remove_hop_by_hop(headers);
    headers.insert(X_CACHE, x_cache.to_value());
    set(headers, VIA, Some(via(hop)));
    set(headers, X_AMZ_CF_POP, Some(hop.pop.to_owned()));
    set(headers, X_AMZ_CF_ID, Some(hop.request_id.to_owned()));
}

/// What of an answer depends on how its path is configured: `Set-Cookie` goes unless cookies are forwarded, `Vary` keeps
/// what is forwarded (fact 16).
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

/// What `Connection` names (RFC 9110 §7.6.1).
fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    members(headers, &CONNECTION)
        .filter_map(|option| HeaderName::from_bytes(option).ok())
        .collect()
}

fn via(hop: &Hop<'_>) -> String {
    format!("1.1 {} (CloudFront)", hop.via_host)
}

/// Sets a list field to the viewer's members and one more, written as AWS shows it for `X-Forwarded-For`: without spaces.
fn append_member(headers: &mut HeaderMap, viewer: &HeaderMap, name: HeaderName, member: String) {
    let before = viewer
        .get_all(&name)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let list: Vec<_> = before.chain([member.as_str()]).collect();
    let list = list.join(",");
    set(headers, name, Some(list));
}

/// Sets a field; a value that no field can hold is left out.
fn set(headers: &mut HeaderMap, name: HeaderName, value: Option<String>) {
    if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
        headers.insert(name, value);
    }
}
