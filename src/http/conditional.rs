//! Preconditions: whether a request is to be answered, answered with "you have it", or refused.
//!
//! Owns RFC 9110 §13: the comparison of tags and dates and the order in which they count. Never looks at `Range`
//! itself. The object exists when this is asked: a 404 beats every precondition (§13.2.1).

use std::time::SystemTime;

use super::head::{Method, RequestHead};

/// What a precondition is compared with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Validators<'a> {
    /// A strong tag, with its quotes.
    pub(super) etag: &'a [u8],
    /// Whole seconds.
    pub(super) last_modified: SystemTime,
    /// Whether `last_modified` is a strong validator (RFC 9110 §8.8.2.2).
    pub(super) date_is_strong: bool,
}

/// What the preconditions of a request come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// Answer the request.
    Proceed,
    /// 304
    NotModified,
    /// 412
    PreconditionFailed,
}

/// Evaluates the preconditions in the order of RFC 9110 §13.2.2, `If-Range` excepted.
///
/// A list of tags that is not one matches nothing, so that a client which cannot write a tag gets the whole object
/// (`If-None-Match`) or a refusal (`If-Match`), never somebody else's bytes. An invalid date is no condition at all
/// (§13.1.3, §13.1.4: "MUST ignore").
pub(super) fn evaluate(head: &RequestHead, object: Validators<'_>) -> Verdict {
    let is_read = matches!(head.method, Method::Get | Method::Head);
    if let Some(tags) = &head.if_match {
        // Steps 1 and 2: the date is not looked at beside a tag.
        if !matches_any(tags, |tag| tag.is_strong && tag.opaque == object.etag) {
            return Verdict::PreconditionFailed;
        }
    } else if let Some(date) = parse_date(head.if_unmodified_since.as_deref())
        && object.last_modified > date
    {
        return Verdict::PreconditionFailed;
    }
    if let Some(tags) = &head.if_none_match {
        // Steps 3 and 4: likewise.
        if matches_any(tags, |tag| tag.opaque == object.etag) {
            return if is_read {
                Verdict::NotModified
            } else {
                Verdict::PreconditionFailed
            };
        }
    } else if let Some(date) = parse_date(head.if_modified_since.as_deref())
        && is_read
        && object.last_modified <= date
    {
        return Verdict::NotModified;
    }
    Verdict::Proceed
}

/// Whether `Range` counts as far as `If-Range` is concerned (RFC 9110 §13.1.5, step 5 of §13.2.2).
///
/// A tag must be strong and equal; a date must be exactly ours, and ours must be a strong validator.
pub(super) fn is_range_applicable(head: &RequestHead, object: Validators<'_>) -> bool {
    match head.if_range.as_deref() {
        None => true,
        Some(value @ ([b'"', ..] | [b'W', b'/', ..])) => value == object.etag, // ours is strong: a `W/` differs
        date => object.date_is_strong && parse_date(date) == Some(object.last_modified),
    }
}

/// One member of a list of tags.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Tag<'a> {
    is_strong: bool,
    /// With its quotes.
    opaque: &'a [u8],
}

/// Whether the value is `*`, or a list of which one member fits.
fn matches_any(value: &[u8], fits: impl Fn(Tag<'_>) -> bool) -> bool {
    value == b"*" || parse_tags(value, fits) == Some(true)
}

/// RFC 9110 §8.8.3: `1#entity-tag`; `None` when it is not one, otherwise whether a tag fits. Anything but a quote may
/// stand inside a tag: commas must (`etagc`), spaces and backslashes are what older grammars allowed.
fn parse_tags(mut rest: &[u8], fits: impl Fn(Tag<'_>) -> bool) -> Option<bool> {
    let mut found = None;
    loop {
        rest = rest.trim_ascii_start();
        match rest {
            [] => return found,
            [b',', after @ ..] => {
                rest = after;
                continue;
            }
            _ => {}
        }
        let (is_strong, quoted) = match rest.strip_prefix(b"W/") {
            Some(quoted) => (false, quoted), // §8.8.3: case-sensitive
            None => (true, rest),
        };
        let inside = quoted.strip_prefix(b"\"")?;
        let opaque_len = memchr::memchr(b'"', inside)? + 2;
        let (opaque, after) = quoted.split_at(opaque_len);
        found = Some(found == Some(true) || fits(Tag { is_strong, opaque }));
        rest = after.trim_ascii_start();
        if !matches!(rest, [] | [b',', ..]) {
            return None;
        }
    }
}

/// The three forms of RFC 9110 §5.6.7. Several lines of a date field were joined and so are no date (§13.1.3).
fn parse_date(value: Option<&[u8]>) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(value?).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::testing::head_with;
    use super::*;

    const TAG: &str = "\"5e5f\"";

    /// 784111777: the date of every example in RFC 9110.
    fn object() -> Validators<'static> {
        Validators {
            etag: TAG.as_bytes(),
            last_modified: SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777),
            date_is_strong: true,
        }
    }

    fn verdict(method: &str, lines: &str) -> Verdict {
        evaluate(&head_with(method, lines.as_bytes()), object())
    }

    #[test]
    fn a_tag_in_if_none_match_is_compared_weakly() {
        for value in [
            TAG,
            "W/\"5e5f\"",
            "*",
            "\"a\", \"5e5f\"",
            "\"a\",W/\"5e5f\",\"b\"",
            ",, \t\"a\" ,\t,\"5e5f\" ,",
            "\"5e5f\" , \"\"",
            "\"a,b\", \"5e5f\"",
            "\"a b\\\", \"5e5f\"",
            "\"a, W/\", \"5e5f\"",
        ] {
            let lines = format!("If-None-Match: {value}\r\n");
            assert_eq!(verdict("GET", &lines), Verdict::NotModified, "{value}");
            assert_eq!(verdict("HEAD", &lines), Verdict::NotModified, "{value}");
            assert_eq!(
                verdict("PUT", &lines),
                Verdict::PreconditionFailed,
                "{value}"
            );
        }
    }

    #[test]
    fn a_tag_in_if_match_is_compared_strongly() {
        for (value, expected) in [
            (TAG, Verdict::Proceed),
            ("*", Verdict::Proceed),
            ("\"a\", \"5e5f\"", Verdict::Proceed),
            ("W/\"5e5f\"", Verdict::PreconditionFailed),
            ("W/\"5e5f\", \"a\"", Verdict::PreconditionFailed),
            ("W/\"5e5f\", \"5e5f\"", Verdict::Proceed),
            ("\"5E5F\"", Verdict::PreconditionFailed),
            ("\"\"", Verdict::PreconditionFailed),
        ] {
            assert_eq!(
                verdict("GET", &format!("If-Match: {value}\r\n")),
                expected,
                "{value}"
            );
        }
    }

    #[test]
    fn a_list_that_is_none_matches_nothing_even_beside_the_right_tag() {
        for value in [
            "",
            ",",
            "5e5f",
            "\"5e5f",
            "5e5f\"",
            "'5e5f'",
            "w/\"5e5f\"",
            "W/ \"5e5f\"",
            "W\"5e5f\"",
            "W/",
            "\"5e5f\"x",
            "\"5e5f\" \"a\"",
            "\"5e5f\", *",
            "*, \"5e5f\"",
            "**",
            "* *",
            "\"5e5f\", x",
            "x, \"5e5f\"",
            "\"5e5f\";",
            "\"a\", \"5e5f",
            "\"5e5f\"\"",
        ] {
            assert_eq!(
                verdict("GET", &format!("If-None-Match: {value}\r\n")),
                Verdict::Proceed,
                "{value}"
            );
            assert_eq!(
                verdict("GET", &format!("If-Match: {value}\r\n")),
                Verdict::PreconditionFailed,
                "{value}"
            );
        }
    }

    #[test]
    fn bytes_above_ascii_may_stand_inside_a_tag() {
        let lines = [b"If-None-Match: \"\xff\x80\", \"5e5f\"\r\n".as_slice()].concat();
        assert_eq!(
            evaluate(&head_with("GET", &lines), object()),
            Verdict::NotModified
        );
    }

    #[test]
    fn tags_on_several_lines_are_one_list() {
        let lines = "If-None-Match: \"a\"\r\nIf-None-Match: \"5e5f\"\r\n";
        assert_eq!(verdict("GET", lines), Verdict::NotModified);
    }

    #[test]
    fn all_three_forms_of_a_date_are_the_same_date() {
        for date in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(
                verdict("GET", &format!("If-Modified-Since: {date}\r\n")),
                Verdict::NotModified,
                "{date}"
            );
            assert_eq!(
                verdict("GET", &format!("If-Unmodified-Since: {date}\r\n")),
                Verdict::Proceed,
                "{date}"
            );
            let head = head_with("GET", format!("If-Range: {date}\r\n").as_bytes());
            assert!(is_range_applicable(&head, object()), "{date}");
        }
    }

    #[test]
    fn one_second_decides() {
        let (before, after) = (
            "Sun, 06 Nov 1994 08:49:36 GMT",
            "Sun, 06 Nov 1994 08:49:38 GMT",
        );
        assert_eq!(
            verdict("GET", &format!("If-Modified-Since: {before}\r\n")),
            Verdict::Proceed
        );
        assert_eq!(
            verdict("GET", &format!("If-Modified-Since: {after}\r\n")),
            Verdict::NotModified
        );
        assert_eq!(
            verdict("GET", &format!("If-Unmodified-Since: {before}\r\n")),
            Verdict::PreconditionFailed
        );
        assert_eq!(
            verdict("GET", &format!("If-Unmodified-Since: {after}\r\n")),
            Verdict::Proceed
        );
    }

    #[test]
    fn an_invalid_date_is_no_condition() {
        for date in [
            "",
            "0",
            "yesterday",
            "784111777",
            "1994-11-06T08:49:37Z",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 PST",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Sun, 31 Feb 2094 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
            "\u{ff}",
        ] {
            for name in ["If-Modified-Since", "If-Unmodified-Since"] {
                assert_eq!(
                    verdict("GET", &format!("{name}: {date}\r\n")),
                    Verdict::Proceed,
                    "{name}: {date}"
                );
            }
        }
        let twice = "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n".repeat(2);
        assert_eq!(verdict("GET", &twice), Verdict::Proceed);
    }

    #[test]
    fn if_modified_since_is_for_get_and_head() {
        let lines = "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
        assert_eq!(verdict("HEAD", lines), Verdict::NotModified);
        assert_eq!(verdict("POST", lines), Verdict::Proceed);
    }

    #[test]
    fn a_date_beside_a_tag_is_not_looked_at() {
        let (past, future) = (
            "Sun, 06 Nov 1904 08:49:37 GMT",
            "Sat, 06 Nov 2094 08:49:37 GMT",
        );
        let past = past.replace("1904", "1994").replace(":37", ":00");
        assert_eq!(
            verdict(
                "GET",
                &format!("If-Match: *\r\nIf-Unmodified-Since: {past}\r\n")
            ),
            Verdict::Proceed
        );
        assert_eq!(
            verdict(
                "GET",
                &format!("If-None-Match: \"a\"\r\nIf-Modified-Since: {future}\r\n")
            ),
            Verdict::Proceed
        );
        // Also when the tag's list is no list.
        assert_eq!(
            verdict(
                "GET",
                &format!("If-None-Match: a\r\nIf-Modified-Since: {future}\r\n")
            ),
            Verdict::Proceed
        );
    }

    #[test]
    fn if_range_takes_the_strong_tag_or_the_exact_date() {
        for (value, expected) in [
            (TAG, true),
            ("W/\"5e5f\"", false),
            ("\"a\"", false),
            ("5e5f", false),
            ("*", false),
            ("", false),
            ("\"5e5f\", \"a\"", false),
            ("Sun, 06 Nov 1994 08:49:37 GMT", true),
            ("Sun, 06 Nov 1994 08:49:36 GMT", false),
            ("Sun, 06 Nov 1994 08:49:38 GMT", false),
            ("Mon, 06 Nov 1994 08:49:37 GMT", false),
        ] {
            let head = head_with("GET", format!("If-Range: {value}\r\n").as_bytes());
            assert_eq!(is_range_applicable(&head, object()), expected, "{value}");
        }
        assert!(is_range_applicable(&head_with("GET", b""), object()));
    }

    #[test]
    fn if_range_with_a_date_needs_an_object_that_cannot_change_within_a_second() {
        let weak = Validators {
            date_is_strong: false,
            ..object()
        };
        let date = head_with("GET", b"If-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
        assert!(!is_range_applicable(&date, weak));
        assert!(is_range_applicable(
            &head_with("GET", b"If-Range: \"5e5f\"\r\n"),
            weak
        ));
    }

    proptest! {
        #[test]
        fn our_tag_is_found_in_any_list_and_never_where_it_is_not(
            before in prop::collection::vec("(W/)?\"[!#-~]{0,6}\"", 0..4),
            after in prop::collection::vec("(W/)?\"[!#-~]{0,6}\"", 0..4),
            comma in "[ \t]{0,2},[ \t,]{0,2}",
        ) {
            let others: Vec<_> = before.iter().chain(&after).map(String::as_str).collect();
            let is_other = others.iter().any(|tag| tag.trim_start_matches("W/") == TAG);
            let mut with = others.clone();
            with.insert(before.len(), TAG);
            let matches = |text: &str| matches_any(text.as_bytes(), |tag| tag.opaque == TAG.as_bytes());
            prop_assert!(matches(&with.join(&comma)));
            prop_assert_eq!(matches(&others.join(&comma)), is_other);
        }

        #[test]
        fn no_value_makes_a_comparison_panic(value in prop::collection::vec(any::<u8>(), 0..50)) {
            let _ = matches_any(&value, |tag| tag.is_strong);
            let _ = parse_date(Some(&value));
        }
    }
}
