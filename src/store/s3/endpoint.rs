//! The address of a bucket.
//!
//! Owns where the bucket's name stands, in the path or in the host name, and how a key becomes a URL. Never asks
//! anybody: pure.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::S3Options;

/// The region that S3-compatible servers expect when nobody names one.
const REGION_DEFAULT: &str = "us-east-1";

/// RFC 3986 §2.3: what Signature Version 4 leaves as it is, in a path and in a query.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The same for a path, whose slashes stay.
const ESCAPED_IN_PATH: &AsciiSet = &ESCAPED.remove(b'/');

/// Why a bucket has no address.
#[derive(Debug, thiserror::Error)]
pub(super) enum EndpointError {
    #[error("no region is known; set `store.region`, AWS_REGION or the region of the profile")]
    NoRegion,
    #[error("`{0}` is not the URL of a server: http:// or https://, a host, and no query")]
    Url(String),
}

/// Where a bucket is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Endpoint {
    /// The URL of the bucket, without a slash at its end.
    pub(super) bucket_url: String,
    /// The region that requests are signed for.
    pub(super) region: String,
}

impl Endpoint {
    pub(super) fn of(options: &S3Options) -> Result<Self, EndpointError> {
        let region = options.region.clone();
        let bucket = &options.bucket;
        let Some(url) = &options.endpoint_url else {
            let region = region.ok_or(EndpointError::NoRegion)?;
            // The certificate of `*.s3.REGION.amazonaws.com` covers no second dot.
            let in_path = options.path_style.unwrap_or(bucket.contains('.'));
            let domain = if region.starts_with("cn-") {
                "amazonaws.com.cn"
            } else {
                "amazonaws.com"
            };
            let bucket_url = if in_path {
                format!("https://s3.{region}.{domain}/{bucket}")
            } else {
                format!("https://{bucket}.s3.{region}.{domain}")
            };
            return Ok(Self { bucket_url, region });
        };
        let refuse = || EndpointError::Url(without_credentials(url));
        let (scheme, rest) = url.split_once("://").ok_or_else(refuse)?;
        let rest = rest.trim_end_matches('/');
        let host = rest.split('/').next().unwrap_or_default();
        if !matches!(scheme, "http" | "https") || host.is_empty() || rest.contains(['?', '#', '@'])
        {
            return Err(refuse());
        }
        let bucket_url = if options.path_style.unwrap_or(true) {
            format!("{scheme}://{rest}/{bucket}")
        } else {
            format!("{scheme}://{bucket}.{rest}")
        };
        let region = region.unwrap_or_else(|| REGION_DEFAULT.to_owned());
        Ok(Self { bucket_url, region })
    }

    /// The URL of an object, or of the bucket itself when `key` is empty.
    pub(super) fn url(&self, key: &str, query: &[(&str, &str)]) -> String {
        let mut url = self.bucket_url.clone();
        if !key.is_empty() {
            url.push('/');
            url.extend(utf8_percent_encode(key, ESCAPED_IN_PATH));
        }
        for (at, (name, value)) in query.iter().enumerate() {
            url.push(if at == 0 { '?' } else { '&' });
            url.extend(utf8_percent_encode(name, ESCAPED));
            url.push('=');
            url.extend(utf8_percent_encode(value, ESCAPED));
        }
        url
    }
}

/// A URL for a message: what stands before an `@` may be a password.
fn without_credentials(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((_, host)) => format!("…@{host}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::options;
    use super::*;

    #[test]
    fn on_aws_the_bucket_is_in_the_host_name_unless_it_has_a_dot() {
        let mut options = options(None);
        options.bucket = "updates".to_owned();
        options.region = Some("eu-west-1".to_owned());
        let endpoint = Endpoint::of(&options).unwrap();
        assert_eq!(
            endpoint.bucket_url,
            "https://updates.s3.eu-west-1.amazonaws.com"
        );
        options.bucket = "updates.example".to_owned();
        options.region = Some("cn-north-1".to_owned());
        let endpoint = Endpoint::of(&options).unwrap();
        assert_eq!(
            endpoint.bucket_url,
            "https://s3.cn-north-1.amazonaws.com.cn/updates.example"
        );
    }

    #[test]
    fn on_another_server_the_bucket_is_in_the_path_unless_that_is_refused() {
        let mut options = options(Some("http://127.0.0.1:9000/"));
        options.bucket = "b".to_owned();
        options.region = None;
        let endpoint = Endpoint::of(&options).unwrap();
        assert_eq!(endpoint.bucket_url, "http://127.0.0.1:9000/b");
        assert_eq!(endpoint.region, "us-east-1");
        options.path_style = Some(false);
        let endpoint = Endpoint::of(&options).unwrap();
        assert_eq!(endpoint.bucket_url, "http://b.127.0.0.1:9000");
    }

    #[test]
    fn aws_without_a_region_and_what_is_no_url_are_refused_without_the_password() {
        let mut nowhere = options(None);
        nowhere.region = None;
        assert!(matches!(
            Endpoint::of(&nowhere),
            Err(EndpointError::NoRegion)
        ));
        for url in [
            "s3.example",
            "ftp://a",
            "http://",
            "http://a?b",
            "http://user:secret@host",
        ] {
            let refusal = Endpoint::of(&options(Some(url))).unwrap_err().to_string();
            assert!(!refusal.contains("secret"), "{refusal}");
        }
    }

    #[test]
    fn a_key_and_a_query_are_escaped_as_signatures_want_it() {
        let endpoint = Endpoint {
            bucket_url: "http://s/b".to_owned(),
            region: String::new(),
        };
        assert_eq!(
            endpoint.url("a b/c%3a+d~ü#?[x]", &[("uploads", ""), ("prefix", "a+b/c")]),
            "http://s/b/a%20b/c%253a%2Bd~%C3%BC%23%3F%5Bx%5D?uploads=&prefix=a%2Bb%2Fc"
        );
        assert_eq!(endpoint.url("", &[]), "http://s/b");
    }
}
