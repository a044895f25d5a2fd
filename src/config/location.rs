//! How the place of a store and the address of a service are written: a directory, `s3://BUCKET/PREFIX`, `https://HOST`.
//!
//! Owns what is a bucket, a prefix, a region and an endpoint. Never repeats a text that may hold a credential: people
//! paste URLs with a user name, a password or a signature in them. Read next: `remote.rs`, which reads the keys.

use std::path::PathBuf;

use http::Uri;

use super::schema::PREFIX_BYTES_MAX;

/// A store as it is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// A directory on this machine.
    Directory(PathBuf),
    /// A bucket and what stands before every key.
    Bucket { bucket: String, prefix: String },
}

/// What a store may be.
pub(super) const STORE_FORMS: &str = "a directory or s3://BUCKET[/PREFIX]";

/// Reads a directory or `s3://BUCKET[/PREFIX]`. Anything that looks like a URL and is none of S3 is refused, so that a
/// slip of the pen does not become a directory named `s3:`.
pub(super) fn parse_place(text: &str) -> Result<Place, String> {
    if text.is_empty() {
        return Err(format!("is empty; it has to be {STORE_FORMS}"));
    }
    if let Some(rest) = text.strip_prefix("s3://") {
        return parse_bucket_url(rest);
    }
    let looks_like_s3 = text
        .get(..3)
        .is_some_and(|start| start.eq_ignore_ascii_case("s3:"));
    if looks_like_s3 {
        return Err(
            "begins like a bucket and is none; a bucket is written s3://BUCKET[/PREFIX], in lower case, and a \
             directory of such a name ./s3:NAME"
                .to_owned(),
        );
    }
    match text.split_once("://") {
        Some((scheme, _rest)) if is_scheme(scheme) => Err(format!(
            "is a URL of the scheme `{scheme}`; it has to be {STORE_FORMS}"
        )),
        _ => Ok(Place::Directory(PathBuf::from(text))),
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

fn parse_bucket_url(rest: &str) -> Result<Place, String> {
    let written = |what: &str| format!("{what}; a bucket is written s3://BUCKET[/PREFIX]");
    if rest.contains('@') {
        return Err(written(
            "holds a user name, a password or another `@`, and credentials come from the usual AWS sources",
        ));
    }
    if rest.contains(['?', '#']) {
        return Err(written(
            "holds a query; region, endpoint and the rest are keys of [store]",
        ));
    }
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return Err(written("names no bucket"));
    }
    check_bucket(bucket).map_err(|why| format!("names the bucket `{}`; {why}", shown(bucket)))?;
    // A directory is often written with a slash at its end.
    let trimmed = prefix.strip_suffix('/').filter(|rest| !rest.is_empty());
    let prefix = trimmed.unwrap_or(prefix);
    check_prefix(prefix).map_err(|why| format!("has the prefix `{}`; {why}", shown(prefix)))?;
    Ok(Place::Bucket {
        bucket: bucket.to_owned(),
        prefix: prefix.to_owned(),
    })
}

/// Ends of names that S3 reserves for what cannot be a store, and what these are.
const RESERVED_ENDS: [(&str, &str); 4] = [
    (
        "--x-s3",
        "a directory bucket, which lists without order and cannot be a store",
    ),
    ("--table-s3", "a table bucket"),
    ("--ol-s3", "an access point that only reads"),
    (
        ".mrap",
        "an access point of several regions, where no write is conditional",
    ),
];

/// Starts of names that S3 gives to nobody.
const RESERVED_STARTS: [&str; 3] = ["xn--", "sthree-", "amzn-s3-demo-"];

/// The rules of S3 for names of general purpose buckets. An access point's alias obeys them too.
fn check_bucket(name: &str) -> Result<(), String> {
    let allowed = "allowed: 3 to 63 lower-case letters, digits, `-` and `.`";
    if !(3..=63).contains(&name.len()) || !name.bytes().all(is_of_bucket) {
        return Err(allowed.to_owned());
    }
    let is_edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    if !is_edge(name.bytes().next()) || !is_edge(name.bytes().last()) {
        return Err("it has to begin and end with a letter or a digit".to_owned());
    }
    if name.contains("..") {
        return Err("allowed: no two periods in a row".to_owned());
    }
    if name.parse::<std::net::Ipv4Addr>().is_ok() {
        return Err("allowed: no IP address".to_owned());
    }
    if let Some(start) = RESERVED_STARTS
        .into_iter()
        .find(|start| name.starts_with(start))
    {
        return Err(format!("S3 reserves names that begin with `{start}`"));
    }
    match RESERVED_ENDS
        .into_iter()
        .find(|(end, _what)| name.ends_with(end))
    {
        Some((end, what)) => Err(format!("a name that ends with `{end}` is that of {what}")),
        None => Ok(()),
    }
}

fn is_of_bucket(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.')
}

/// Only what needs no escape in a URL, in a policy or in a shell: the prefix stands in all three.
fn check_prefix(prefix: &str) -> Result<(), String> {
    if prefix.is_empty() {
        return Ok(());
    }
    if prefix.len() > PREFIX_BYTES_MAX {
        return Err(format!(
            "it has {} bytes, allowed: {PREFIX_BYTES_MAX}, the rest of a key is for artifacts",
            prefix.len()
        ));
    }
    if prefix
        .split('/')
        .any(|segment| matches!(segment, "" | "." | ".."))
    {
        return Err("allowed: no empty segment, no `.` and no `..`".to_owned());
    }
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.' | b'=');
    if !prefix.bytes().all(is_plain) {
        return Err(
            "allowed: letters, digits, `-`, `_`, `.`, `=` and `/` between segments".to_owned(),
        );
    }
    Ok(())
}

/// Reads the address of a service, and leaves out a slash at its end.
pub fn read_endpoint(text: &str) -> Result<String, String> {
    const FORMS: &str = "http://HOST[:PORT] or https://HOST[:PORT]";
    if text.contains('@') {
        return Err(format!(
            "holds a user name, a password or another `@`; it has to be {FORMS}, and credentials come from the usual AWS sources"
        ));
    }
    if text.contains(['?', '#']) {
        return Err(format!("holds a query; it has to be {FORMS}"));
    }
    let refused = || format!("is `{}`; it has to be {FORMS}", shown(text));
    let uri: Uri = text.parse().map_err(|_bad_uri| refused())?;
    let (Some(scheme @ ("http" | "https")), Some(authority)) = (uri.scheme_str(), uri.authority())
    else {
        return Err(refused());
    };
    let port = authority.as_str().strip_prefix(authority.host());
    let is_port = match port.map(|port| port.strip_prefix(':')) {
        Some(Some(_digits)) => authority.port_u16().is_some_and(|port| port > 0),
        Some(None) => port == Some(""),
        None => false,
    };
    if !is_port || !is_host(authority.host()) || !matches!(uri.path(), "" | "/") {
        return Err(refused());
    }
    Ok(format!("{scheme}://{authority}"))
}

fn is_host(host: &str) -> bool {
    let bracketed = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    match bracketed {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
        }
    }
}

/// Reads the name of a region. It becomes a part of host names.
pub fn read_region(text: &str) -> Result<String, String> {
    let is_label = (1..=63).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-');
    if is_label {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "is `{}`; it has to be the name of a region such as eu-central-1",
            shown(text)
        ))
    }
}

/// What was written, on one line.
pub(super) fn shown(text: &str) -> impl std::fmt::Display + '_ {
    text.escape_debug()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(text: &str) -> (String, String) {
        match parse_place(text) {
            Ok(Place::Bucket { bucket, prefix }) => (bucket, prefix),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_bucket_has_an_optional_prefix_without_slashes_at_its_ends() {
        let pair = |bucket: &str, prefix: &str| (bucket.to_owned(), prefix.to_owned());
        assert_eq!(bucket("s3://updates"), pair("updates", ""));
        assert_eq!(bucket("s3://updates/"), pair("updates", ""));
        assert_eq!(
            bucket("s3://up.da-tes.1/a/b=c/D_e.f"),
            pair("up.da-tes.1", "a/b=c/D_e.f")
        );
        assert_eq!(bucket("s3://updates/prod/"), pair("updates", "prod"));
        let long = "p".repeat(PREFIX_BYTES_MAX);
        assert_eq!(
            bucket(&format!("s3://updates/{long}")),
            pair("updates", &long)
        );
        assert!(parse_place(&format!("s3://updates/{long}p")).is_err());
    }

    #[test]
    fn a_directory_is_anything_that_is_no_url() {
        for text in [
            "store", "./s3:x", "/srv/a b", "C:", "a:b", "s3", "x/s3://y", "ü://z",
        ] {
            let place = parse_place(text).unwrap();
            assert_eq!(place, Place::Directory(PathBuf::from(text)));
        }
    }

    #[test]
    fn what_is_neither_is_refused() {
        for (text, wanted) in [
            ("", "is empty"),
            ("S3://updates", "in lower case"),
            ("s3:/updates", "is written s3://BUCKET"),
            ("s3:updates", "is written s3://BUCKET"),
            ("s3://", "names no bucket"),
            ("s3:///prefix", "names no bucket"),
            ("https://updates.s3.amazonaws.com/x", "the scheme `https`"),
            ("gs://updates", "the scheme `gs`"),
            ("s3://updates?region=x", "keys of [store]"),
            ("s3://updates/a?x", "keys of [store]"),
            ("s3://updates/a#x", "keys of [store]"),
            ("s3://updates//", "no empty segment"),
            ("s3://updates//a", "no empty segment"),
            ("s3://updates/a//b", "no empty segment"),
            ("s3://updates/./b", "no `.`"),
            ("s3://updates/a/..", "no `..`"),
            ("s3://updates/a b", "letters, digits"),
            ("s3://updates/a%20b", "letters, digits"),
            ("s3://updates/ä", "letters, digits"),
            ("s3://updates/a\\b", "letters, digits"),
            ("s3://arn:aws:s3:::updates", "3 to 63 lower-case"),
        ] {
            let refusal = parse_place(text).unwrap_err();
            assert!(refusal.contains(wanted), "{text}: {refusal}");
        }
    }

    #[test]
    fn a_bucket_is_named_as_s3_says() {
        let is_legal = |name: &str| parse_place(&format!("s3://{name}")).is_ok();
        for name in [
            "abc",
            "1.2",
            "a-b",
            "a.b",
            &"a".repeat(63),
            "x-s3alias",
            "1.2.3.4.5",
            "x--s3",
        ] {
            assert!(is_legal(name), "{name}");
        }
        for name in [
            "ab",
            &"a".repeat(64),
            "Updates",
            "up_dates",
            "-abc",
            "abc-",
            ".abc",
            "abc.",
            "a..b",
            "1.2.3.4",
            "xn--abc",
            "sthree-abc",
            "amzn-s3-demo-abc",
            "abc--x-s3",
            "abc--ol-s3",
            "abc--table-s3",
            "abc.mrap",
            "ábc",
        ] {
            assert!(!is_legal(name), "{name}");
        }
    }

    #[test]
    fn what_may_be_a_credential_is_never_repeated() {
        for text in [
            "s3://AKIDEXAMPLE:hush@updates/x",
            "s3://updates/x?X-Amz-Signature=hush",
            "S3://AKIDEXAMPLE:hush@updates",
            "https://AKIDEXAMPLE:hush@updates",
        ] {
            let refusal = parse_place(text).unwrap_err();
            assert!(
                !refusal.contains("hush") && !refusal.contains("AKID"),
                "{refusal}"
            );
        }
        for text in [
            "http://AKIDEXAMPLE:hush@host",
            "hush@",
            "https://host/?hush",
            "https://host/#hush",
        ] {
            let refusal = read_endpoint(text).unwrap_err();
            assert!(
                !refusal.contains("hush") && !refusal.contains("AKID"),
                "{refusal}"
            );
        }
    }

    #[test]
    fn an_endpoint_is_scheme_host_and_port_alone() {
        for (text, read) in [
            ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
            ("https://s3.example.com/", "https://s3.example.com"),
            ("http://[::1]:9000", "http://[::1]:9000"),
            ("http://minio_1", "http://minio_1"),
        ] {
            assert_eq!(read_endpoint(text).as_deref(), Ok(read));
        }
        for text in [
            "",
            "minio",
            "minio:9000",
            "127.0.0.1:9000",
            "ftp://minio",
            "http://",
            "http:///",
            "http://minio/s3",
            "//minio",
            "http://minio:0",
            "http://minio:65536",
            "http://minio:",
            "http://[::1",
            "http://a b",
            "http://a*b",
        ] {
            let refusal = read_endpoint(text).unwrap_err();
            assert!(
                refusal.contains("it has to be http://HOST[:PORT]"),
                "{text}: {refusal}"
            );
        }
    }

    #[test]
    fn a_region_is_a_label_of_a_host_name() {
        for text in ["eu-central-1", "auto", "US"] {
            assert_eq!(read_region(text).as_deref(), Ok(text));
        }
        for text in ["", "-a", "a-", "eu central", "eu.central", &"a".repeat(64)] {
            assert!(read_region(text).is_err(), "{text}");
        }
    }
}
