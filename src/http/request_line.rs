//! The request line: method, target, version, and the grammar of hosts.
//!
//! Owns RFC 9112 §3 and the part of RFC 3986 that names a host. Reads strictly from left to right and stops at the
//! first offence. Never decodes a path: that is the locator's business (`model/locator.rs`).

use std::net::Ipv6Addr;
use std::ops::Range;

use super::head::{HttpVersion, Method, Refusal};

/// A request line by its parts; positions count from its first byte.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct RequestLine {
    pub(super) method: Method,
    pub(super) version: HttpVersion,
    pub(super) target: Range<usize>,
    pub(super) path: Range<usize>,
    /// With the line end.
    pub(super) len: usize,
}

const BAD_METHOD: Refusal = Refusal::BadRequest("the method is not a token followed by one space");
const BAD_TARGET: Refusal =
    Refusal::BadRequest("the request target is not visible ASCII followed by one space");
const BAD_VERSION: Refusal =
    Refusal::BadRequest("the request line does not end in HTTP/d.d and CRLF");
const BAD_FORM: Refusal =
    Refusal::BadRequest("the request target has no form that its method allows");
const BAD_AUTHORITY: Refusal =
    Refusal::BadRequest("the authority in the request target is not valid");
const HAS_FRAGMENT: Refusal = Refusal::BadRequest("the request target has a fragment");

/// Reads the request line at the start of `bytes`; `None` when its end is not there yet. `is_full` says that no more
/// bytes will be looked at: a target that is still going on is then what is too long.
pub(super) fn parse(
    bytes: &[u8],
    uri_bytes_max: usize,
    is_full: bool,
) -> Result<Option<RequestLine>, Refusal> {
    let Some(method_len) = bytes.iter().position(|byte| !is_token(*byte)) else {
        return Ok(None);
    };
    if method_len == 0 || bytes[method_len] != b' ' {
        return Err(BAD_METHOD);
    }
    let start = method_len + 1;
    let target = &bytes[start..];
    let Some(target_len) = find_target_end(target, uri_bytes_max)? else {
        return if is_full {
            Err(Refusal::UriTooLong)
        } else {
            Ok(None)
        };
    };
    let end = start + target_len;
    let Some(version) = parse_version(&bytes[end + 1..])? else {
        return Ok(None);
    };
    let method_name = &bytes[..method_len];
    let path = find_path(method_name, &target[..target_len])?;
    Ok(Some(RequestLine {
        method: match method_name {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            _ => Method::Other,
        },
        version,
        target: start..end,
        path: start + path.start..start + path.end,
        len: end + 1 + VERSION_LEN,
    }))
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The length of the target, which one space ends. Bytes that RFC 3986 forbids but that are visible ASCII
/// (`"<>\^{|}` and the backtick, a lone `%`) pass: nobody reads the target after us, browsers send some of them raw in
/// queries, and in a path they name something that exists or are 404.
fn find_target_end(bytes: &[u8], uri_bytes_max: usize) -> Result<Option<usize>, Refusal> {
    match bytes
        .iter()
        .take(uri_bytes_max)
        .position(|byte| !byte.is_ascii_graphic())
    {
        Some(len) if len > 0 && bytes[len] == b' ' => Ok(Some(len)),
        Some(_) => Err(BAD_TARGET),
        None if bytes.len() <= uri_bytes_max => Ok(None),
        None => match bytes[uri_bytes_max] {
            b' ' if uri_bytes_max > 0 => Ok(Some(uri_bytes_max)),
            byte if byte.is_ascii_graphic() => Err(Refusal::UriTooLong),
            _ => Err(BAD_TARGET),
        },
    }
}

/// `HTTP/1.1` and its CRLF.
const VERSION_LEN: usize = 10;

/// RFC 9112 §2.3. Case-sensitive, one digit on each side of the dot.
fn parse_version(bytes: &[u8]) -> Result<Option<HttpVersion>, Refusal> {
    for (byte, expected) in bytes.iter().zip(b"HTTP/d.d\r\n") {
        let fits = match expected {
            b'd' => byte.is_ascii_digit(),
            _ => byte == expected,
        };
        if !fits {
            return Err(BAD_VERSION);
        }
    }
    match bytes.get(..VERSION_LEN) {
        None => Ok(None),
        Some(version) => match (version[5], version[7]) {
            (b'1', b'0') => Ok(Some(HttpVersion::Http10)),
            (b'1', _) => Ok(Some(HttpVersion::Http11)),
            _ => Err(Refusal::UnsupportedVersion),
        },
    }
}

/// Where the path of a target is. RFC 9112 §3.2: its four forms, each with the methods that may use it.
fn find_path(method: &[u8], target: &[u8]) -> Result<Range<usize>, Refusal> {
    if method == b"CONNECT" {
        return if is_authority_form(target) {
            Ok(0..target.len())
        } else {
            Err(BAD_FORM)
        };
    }
    if target[0] == b'/' {
        return Ok(0..end_of_path(target, 0)?);
    }
    if target == b"*" && method == b"OPTIONS" {
        return Ok(0..1);
    }
    // Absolute-form. Other schemes than these two are not ours to answer.
    let authority_start = [b"http://".as_slice(), b"https://"]
        .iter()
        .find(|scheme| {
            target
                .get(..scheme.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        })
        .ok_or(BAD_FORM)?
        .len();
    let rest = &target[authority_start..];
    let authority_len = rest
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?' | b'#'))
        .unwrap_or(rest.len());
    if !is_host(&rest[..authority_len]) {
        return Err(BAD_AUTHORITY);
    }
    let path_start = authority_start + authority_len;
    Ok(path_start..end_of_path(target, path_start)?)
}

/// No form of a target has a fragment (RFC 9112 §3.2); cutting one off would give every object a second spelling.
fn end_of_path(target: &[u8], start: usize) -> Result<usize, Refusal> {
    if memchr::memchr(b'#', &target[start..]).is_some() {
        return Err(HAS_FRAGMENT);
    }
    Ok(memchr::memchr(b'?', &target[start..]).map_or(target.len(), |len| start + len))
}

/// RFC 9112 §3.2.3: host and port, both present.
fn is_authority_form(target: &[u8]) -> bool {
    is_host(target)
        && target
            .iter()
            .rposition(|byte| *byte == b':')
            .is_some_and(|colon| {
                colon + 1 < target.len() && target[colon + 1..].iter().all(u8::is_ascii_digit)
            })
}

/// Whether this is a `Host` value (RFC 9110 §7.2: `uri-host [ ":" port ]`) or the authority of an `http` URI.
///
/// An empty host is not: RFC 9112 §3.2 wants an empty `Host` only where the target URI has no authority, and RFC 9110
/// §4.2.1 says that an `http` URI always has one. Nor is user information, an error in a request (§4.2.4).
pub(super) fn is_host(text: &[u8]) -> bool {
    let (host_is_valid, port) = if let [b'[', rest @ ..] = text {
        let Some(end) = memchr::memchr(b']', rest) else {
            return false;
        };
        (is_ip_literal(&rest[..end]), &rest[end + 1..])
    } else {
        let end = memchr::memchr(b':', text).unwrap_or(text.len());
        (end > 0 && is_reg_name(&text[..end]), &text[end..])
    };
    let port_is_valid = match port {
        [] => true,
        [b':', digits @ ..] => digits.iter().all(u8::is_ascii_digit), // RFC 3986 §3.2.3: also none at all
        _ => false,
    };
    host_is_valid && port_is_valid
}

/// RFC 3986 §3.2.2 `IP-literal`, without its brackets.
fn is_ip_literal(text: &[u8]) -> bool {
    if let [b'v' | b'V', future @ ..] = text {
        let Some(dot) = memchr::memchr(b'.', future) else {
            return false;
        };
        let (version, address) = (&future[..dot], &future[dot + 1..]);
        return !version.is_empty()
            && version.iter().all(u8::is_ascii_hexdigit)
            && !address.is_empty()
            && address
                .iter()
                .all(|byte| *byte == b':' || is_unreserved_or_sub_delim(*byte));
    }
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

/// RFC 3986 §3.2.2 `reg-name`, of which every `IPv4address` is one.
fn is_reg_name(mut text: &[u8]) -> bool {
    loop {
        text = match text {
            [] => return true,
            [b'%', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                rest
            }
            [byte, rest @ ..] if is_unreserved_or_sub_delim(*byte) => rest,
            _ => return false,
        }
    }
}

/// RFC 3986 §2.2 and §2.3.
fn is_unreserved_or_sub_delim(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{head_of, is_bad, refusal_of};
    use super::*;

    fn request(line: &str) -> Vec<u8> {
        format!("{line}\r\nHost: h\r\n\r\n").into_bytes()
    }

    #[test]
    fn only_the_exact_names_are_get_and_head() {
        for (name, method) in [
            ("GET", Method::Get),
            ("HEAD", Method::Head),
            ("get", Method::Other),
            ("Head", Method::Other),
            ("GETS", Method::Other),
            ("TRACE", Method::Other),
            ("!#$%&'*+-.^_`|~09az", Method::Other),
        ] {
            let head = head_of(&request(&format!("{name} / HTTP/1.1")));
            assert_eq!(head.method, method, "{name}");
            assert_eq!(head.method_name(), name.as_bytes());
        }
    }

    #[test]
    fn a_method_is_a_token() {
        for byte in 0..=u8::MAX {
            let input = [b"G".as_slice(), &[byte], b"T / HTTP/1.1\r\nHost: h\r\n\r\n"].concat();
            let is_token = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            assert_eq!(is_bad(&input), !is_token, "{byte:#x}");
        }
    }

    #[test]
    fn a_target_is_visible_ascii_and_nothing_else() {
        for byte in 0..=u8::MAX {
            let input = [
                b"GET /a".as_slice(),
                &[byte],
                b"b HTTP/1.1\r\nHost: h\r\n\r\n",
            ]
            .concat();
            let is_legal = byte.is_ascii_graphic() && byte != b'#';
            assert_eq!(is_bad(&input), !is_legal, "{byte:#x}");
        }
    }

    #[test]
    fn one_space_separates_the_parts_of_the_line() {
        for line in [
            "GET  / HTTP/1.1",
            "GET /  HTTP/1.1",
            "GET\t/ HTTP/1.1",
            "GET /\tHTTP/1.1",
            " GET / HTTP/1.1",
            "GET / HTTP/1.1 ",
            "GET / a HTTP/1.1",
            "GET /",
            "GET",
            "GET ",
            "GET HTTP/1.1",
            " / HTTP/1.1",
        ] {
            assert!(is_bad(&request(line)), "{line}");
        }
    }

    #[test]
    fn a_later_minor_version_is_1_1_and_another_major_version_is_505() {
        for (version, expected) in [
            ("1.0", HttpVersion::Http10),
            ("1.1", HttpVersion::Http11),
            ("1.2", HttpVersion::Http11),
            ("1.9", HttpVersion::Http11),
        ] {
            assert_eq!(
                head_of(&request(&format!("GET / HTTP/{version}"))).version,
                expected
            );
        }
        for version in ["0.9", "2.0", "3.0", "9.9"] {
            let input = request(&format!("GET / HTTP/{version}"));
            assert_eq!(refusal_of(&input), Refusal::UnsupportedVersion, "{version}");
        }
    }

    #[test]
    fn a_malformed_version_is_refused() {
        for version in [
            "HTTP/1",
            "HTTP/1.",
            "HTTP/.1",
            "HTTP/11",
            "HTTP/1.10",
            "HTTP/01.1",
            "HTTP/1,1",
            "http/1.1",
            "Http/1.1",
            "HTTP 1.1",
            "HTTPS/1.1",
            "HTTP/1.x",
            "HTTP/-1.1",
            "",
        ] {
            assert!(is_bad(&request(&format!("GET / {version}"))), "{version}");
        }
    }

    #[test]
    fn origin_form_gives_the_path_before_the_query() {
        for (target, path) in [
            ("/", "/"),
            ("/?", "/"),
            ("/a?b?c", "/a"),
            ("//a//b/", "//a//b/"),
            ("/%2e%2E/x", "/%2e%2E/x"),
            ("/a/../b", "/a/../b"),
            ("/\"<>\\^`{|}%zz", "/\"<>\\^`{|}%zz"),
            ("/http://h/x", "/http://h/x"),
        ] {
            let head = head_of(&request(&format!("GET {target} HTTP/1.1")));
            assert_eq!(head.path(), path.as_bytes(), "{target}");
            assert_eq!(head.target(), target.as_bytes());
        }
    }

    #[test]
    fn absolute_form_gives_its_path_and_an_empty_one_is_the_root() {
        for (target, path) in [
            ("http://h/a/b", "/a/b"),
            ("HTTPS://h/a?b", "/a"),
            ("http://h", "/"),
            ("http://h?q", "/"),
            ("http://h/", "/"),
            ("http://[::1]:8080/a", "/a"),
            ("http://h:/a", "/a"),
            ("http://h//evil/a", "//evil/a"),
        ] {
            let head = head_of(&request(&format!("GET {target} HTTP/1.1")));
            assert_eq!(head.path(), path.as_bytes(), "{target}");
            assert_eq!(head.target(), target.as_bytes());
        }
    }

    #[test]
    fn absolute_form_needs_a_valid_authority_and_a_scheme_of_ours() {
        for target in [
            "http:///a",
            "http://",
            "http://?q",
            "http://:80/a",
            "http://user@h/a",
            "http://u:p@h/",
            "http://h:8x/",
            "http://[::1/a",
            "http://[::g]/",
            "http://h\\a/",
            "http:/h/a",
            "http:h",
            "ftp://h/a",
            "httpx://h/",
            "file:///etc/passwd",
            "http//h/a",
            "a",
            "a/b",
            "?q",
            "#f",
            "/#",
            "/a#b?c",
            "/a?b#c",
            "http://h#f",
            "http://h/a#f",
            "..",
            "%2f",
        ] {
            assert!(
                is_bad(&request(&format!("GET {target} HTTP/1.1"))),
                "{target}"
            );
        }
    }

    #[test]
    fn absolute_form_does_not_replace_the_host_field() {
        assert!(is_bad(b"GET http://h/a HTTP/1.1\r\n\r\n"));
        assert!(is_bad(
            b"GET http://h/a HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n"
        ));
        assert_eq!(
            head_of(b"GET http://h/a HTTP/1.1\r\nHost: other\r\n\r\n").path(),
            b"/a"
        );
    }

    #[test]
    fn the_asterisk_is_for_options_alone() {
        assert_eq!(head_of(&request("OPTIONS * HTTP/1.1")).path(), b"*");
        assert_eq!(head_of(&request("OPTIONS /a HTTP/1.1")).path(), b"/a");
        for line in [
            "GET * HTTP/1.1",
            "HEAD * HTTP/1.1",
            "options * HTTP/1.1",
            "OPTIONS ** HTTP/1.1",
        ] {
            assert!(is_bad(&request(line)), "{line}");
        }
    }

    #[test]
    fn an_authority_is_for_connect_alone_and_connect_takes_nothing_else() {
        for target in ["h:443", "[::1]:443", "10.0.0.1:1"] {
            assert_eq!(
                head_of(&request(&format!("CONNECT {target} HTTP/1.1"))).path(),
                target.as_bytes()
            );
            assert!(
                is_bad(&request(&format!("GET {target} HTTP/1.1"))),
                "{target}"
            );
        }
        for target in [
            "h",
            "h:",
            "[::1]",
            ":443",
            "/a",
            "*",
            "http://h:1/",
            "u@h:1",
            "h:1/a",
            "h:1:2",
        ] {
            assert!(
                is_bad(&request(&format!("CONNECT {target} HTTP/1.1"))),
                "{target}"
            );
        }
    }

    #[test]
    fn hosts_are_names_addresses_and_literals_with_an_optional_port() {
        for host in [
            "h",
            "d111.cloudfront.net",
            "10.0.0.7:8080",
            "h:",
            "h:0",
            "[::1]",
            "[::1]:80",
            "[2001:db8::7]:8080",
            "[::ffff:10.0.0.1]",
            "[v1.a:b]",
            "a%20b",
            "a_b",
            "xn--p1ai",
            "a,b",
            "a.b.",
            "255.255.255.255",
            "~!$&'()*+;=",
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            "",
            ":",
            ":80",
            "h:80:80",
            "h:8a",
            "h:-1",
            "u@h",
            "a b",
            "h/",
            "h/a",
            "h?q",
            "h#f",
            "http://h",
            "[::1",
            "::1",
            "[]",
            "[::1]80",
            "[::1]a",
            "[::1]:x",
            "[::g]",
            "[1.2.3.4]",
            "[fe80::1%25eth0]",
            "[v.a]",
            "[v1.]",
            "[vg.a]",
            "[v1a]",
            "a%2",
            "a%zz",
            "a\"",
            "<h>",
            "h\\",
            "a\u{e4}",
            "a, b",
            "h^",
            "h|",
            "[",
            "]",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }
}
