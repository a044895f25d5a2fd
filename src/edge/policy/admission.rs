//! E-10, before anything else: which requests are refused at once.
//!
//! Owns the limits of fact 42 and the refusals of fact 24 and of a behaviour's methods. Never writes an answer.

use http::{HeaderMap, Method, Uri};

use super::distribution::{AllowedMethods, Behaviour};

/// Bytes of a request without its body (its target counts), and of the header block of an origin's answer (fact 42).
pub const HEADER_BLOCK_MAX: usize = 32_768;

/// Bytes of a request's target (fact 42).
pub const URL_MAX: usize = 8_192;

/// Why a request goes no further.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// 413: its header block or its target is too large. The connection is closed as well.
    TooLarge,
    /// 403: a GET with a body.
    BodyOfGet,
    /// 403: the behaviour does not let this method through.
    Method,
}

impl Refusal {
    /// The status of the answer.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::TooLarge => 413,
            Self::BodyOfGet | Self::Method => 403,
        }
    }

    /// Whether the connection is closed after the answer.
    #[must_use]
    pub fn closes(self) -> bool {
        matches!(self, Self::TooLarge)
    }

    /// For `x-edge-detailed-result-type`.
    #[must_use]
    pub fn detailed_result_type(self) -> &'static str {
        match self {
            Self::TooLarge | Self::BodyOfGet => "InvalidRequest",
            Self::Method => "InvalidRequestMethod",
        }
    }
}

/// Whether a request is let in. `has_body`: it has `Transfer-Encoding`, or a `Content-Length` above 0.
pub fn admit(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    has_body: bool,
    behaviour: &Behaviour,
) -> Result<(), Refusal> {
    let target = target_bytes(uri);
    if target > URL_MAX || target + header_block_bytes(headers) > HEADER_BLOCK_MAX {
        return Err(Refusal::TooLarge);
    }
    if !lets_through(behaviour.methods, method) {
        return Err(Refusal::Method);
    }
    if has_body && method == Method::GET {
        return Err(Refusal::BodyOfGet);
    }
    Ok(())
}

/// Bytes of the field lines as they are on the wire: name, colon, space, value, line end.
#[must_use]
pub fn header_block_bytes(headers: &HeaderMap) -> usize {
    headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len())
        .sum()
}

fn target_bytes(uri: &Uri) -> usize {
    uri.path().len() + uri.query().map_or(0, |query| "?".len() + query.len())
}

fn lets_through(methods: AllowedMethods, method: &Method) -> bool {
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    match methods {
        AllowedMethods::Read => is_read,
        AllowedMethods::ReadAndOptions => is_read || method == Method::OPTIONS,
        AllowedMethods::All => {
            is_read
                || matches!(
                    *method,
                    Method::OPTIONS | Method::PUT | Method::PATCH | Method::POST | Method::DELETE
                )
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::USER_AGENT;

    use super::super::testing;
    use super::*;

    /// A request whose target and whose field line have so many bytes.
    fn sized(target: usize, header_block: usize) -> Result<(), Refusal> {
        let uri = format!("/{}?{}", "a".repeat(9), "b".repeat(target - 11));
        let value = "c".repeat(header_block - "user-agent: \r\n".len());
        let headers = HeaderMap::from_iter([(USER_AGENT, HeaderValue::from_str(&value).unwrap())]);
        let uri = uri.parse().unwrap();
        admit(&Method::GET, &uri, &headers, false, &testing::behaviour())
    }

    #[test]
    fn e10_admission() {
        for (row, target, header_block, expected) in [
            ("T52 a URL of 8,192 bytes", 8_192, 100, Ok(())),
            (
                "T52 a URL of 8,193 bytes",
                8_193,
                100,
                Err(Refusal::TooLarge),
            ),
            ("T52 a request of 32,768 bytes", 100, 32_668, Ok(())),
            (
                "T52 a request of 32,769 bytes",
                100,
                32_669,
                Err(Refusal::TooLarge),
            ),
            ("T52 the target counts", 101, 32_668, Err(Refusal::TooLarge)),
        ] {
            assert_eq!(sized(target, header_block), expected, "{row}");
        }
        assert_eq!(
            (Refusal::TooLarge.status(), Refusal::TooLarge.closes()),
            (413, true),
            "T52"
        );
    }

    #[test]
    fn e10_methods() {
        use AllowedMethods::{All, Read, ReadAndOptions};
        for (row, methods, method, has_body, expected) in [
            ("fact 37", Read, "GET", false, Ok(())),
            ("fact 37", Read, "HEAD", false, Ok(())),
            ("fact 37", Read, "OPTIONS", false, Err(Refusal::Method)),
            ("fact 37", Read, "POST", true, Err(Refusal::Method)),
            ("fact 37", ReadAndOptions, "OPTIONS", false, Ok(())),
            ("fact 37", ReadAndOptions, "GET", false, Ok(())),
            (
                "fact 37",
                ReadAndOptions,
                "DELETE",
                false,
                Err(Refusal::Method),
            ),
            ("fact 37", All, "PUT", true, Ok(())),
            ("fact 37", All, "PATCH", true, Ok(())),
            ("fact 37", All, "POST", true, Ok(())),
            ("fact 37", All, "DELETE", false, Ok(())),
            ("fact 37", All, "OPTIONS", false, Ok(())),
            ("fact 37", All, "TRACE", false, Err(Refusal::Method)),
            ("fact 37", All, "M-SEARCH", false, Err(Refusal::Method)),
            ("fact 37", All, "get", false, Err(Refusal::Method)),
            ("fact 24", All, "GET", true, Err(Refusal::BodyOfGet)),
            ("fact 24", Read, "GET", true, Err(Refusal::BodyOfGet)),
            ("fact 24 names GET only", Read, "HEAD", true, Ok(())),
        ] {
            let behaviour = Behaviour {
                methods,
                ..testing::behaviour()
            };
            let named = Method::from_bytes(method.as_bytes()).unwrap();
            let uri = Uri::from_static("/");
            let found = admit(&named, &uri, &HeaderMap::new(), has_body, &behaviour);
            assert_eq!(found, expected, "{row}: {method} under {methods:?}");
        }
        for refusal in [Refusal::Method, Refusal::BodyOfGet] {
            assert_eq!(
                (refusal.status(), refusal.closes()),
                (403, false),
                "{refusal:?}"
            );
        }
    }
}
