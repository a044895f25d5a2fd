//! E-2: which requests share one cached object.
//!
//! Owns the cache key and what of a request is in it. Never says what a key's object is.

use http::{HeaderMap, HeaderName, Method, Uri};

/// Which of several named things take part.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum Selection {
    /// None (CloudFront's default).
    #[default]
    None,
    /// These.
    Only(Vec<String>),
    /// All but these.
    AllExcept(Vec<String>),
    /// All.
    All,
}

impl Selection {
    /// Whether anything can take part at all.
    #[must_use]
    pub fn any(&self) -> bool {
        !matches!(self, Self::None)
    }
}

/// What is in a key beside distribution and path. All of it is forwarded to the origin as well.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct KeyParts {
    /// Query parameters; case and order matter.
    pub query: Selection,
    /// Headers.
    pub headers: Vec<HeaderName>,
    /// Cookies.
    pub cookies: Selection,
    /// `Accept-Encoding`, normalised, may say gzip.
    pub gzip: bool,
    /// … and br.
    pub brotli: bool,
}

/// A cache key. Two requests with equal keys get the same object.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Key(pub std::sync::Arc<str>);

impl Key {
    /// The path part, for invalidations: with the query string if that is in the key (fact 76).
    #[must_use]
    pub fn path(&self) -> &str {
        todo!()
    }
}

/// The key of a request.
#[must_use]
pub fn key(domain: &str, method: &Method, uri: &Uri, headers: &HeaderMap, parts: &KeyParts) -> Key {
    todo!("{domain} {method} {uri} {headers:?} {parts:?}")
}

/// `Accept-Encoding` as it enters the key and goes to the origin: `br,gzip`, `gzip`, `br`, or `None` (identity).
#[must_use]
pub fn accept_encoding(headers: &HeaderMap, parts: &KeyParts) -> Option<&'static str> {
    todo!("{headers:?} {parts:?}")
}
