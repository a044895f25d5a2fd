//! The invalidation API, driven by CloudFront's own SDK as a release engineer's program would, and byte by byte where
//! the SDK would never go.
//!
//! Owns what the API answers and when an object is really fetched again. Which paths a batch means is tested beside the
//! rule.

use std::fmt::Write as _;
use std::time::Duration;

use aws_sdk_cloudfront::Client;
use aws_sdk_cloudfront::config::{BehaviorVersion, Config, Credentials, Region};
use aws_sdk_cloudfront::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cloudfront::types::{Invalidation, InvalidationBatch, Paths};

use crate::cli_sandbox::until;
use crate::edge_cli::{Edge, asked};
use crate::harness::fixture::CHANNEL;
use crate::harness::origin::{Origin, Setup, StoreDir};
use crate::harness::wire::Conn;

const DISTRIBUTION: &str = "EDFDVBD6EXAMPLE";

/// Invalidations take effect before they are answered.
const AT_ONCE: &str = "[desk]\ninvalidation_effective_median = \"0s\"\ninvalidation_effective_p95 = \"0s\"\n\
                       invalidation_completed_median = \"0s\"\ninvalidation_completed_p95 = \"0s\"\n";

/// They stay in progress for the whole test.
const NEVER: &str = "[desk]\ninvalidation_effective_median = \"1h\"\ninvalidation_effective_p95 = \"1h\"\n\
                     invalidation_completed_median = \"1h\"\ninvalidation_completed_p95 = \"1h\"\n";

/// An SDK client whose endpoint is the edge. The credentials are nobody's.
struct Engineer {
    client: Client,
    runtime: tokio::runtime::Runtime,
}

impl Engineer {
    fn of(edge: &Edge) -> Self {
        let http = aws_smithy_http_client::Builder::new().build_http();
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("nobody", "nothing", None, None, "test"))
            .endpoint_url(format!("http://{}", edge.address))
            .http_client(http)
            .build();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        Self {
            client: Client::from_conf(config),
            runtime: runtime.unwrap(),
        }
    }

    /// Creates an invalidation; the code of the error when it is refused.
    fn create(&self, reference: &str, paths: &[&str]) -> Result<Invalidation, String> {
        let paths = Paths::builder()
            .quantity(i32::try_from(paths.len()).unwrap())
            .set_items(Some(paths.iter().map(|&path| path.to_owned()).collect()))
            .build()
            .unwrap();
        self.create_batch(DISTRIBUTION, reference, paths)
    }

    fn create_batch(
        &self,
        distribution: &str,
        reference: &str,
        paths: Paths,
    ) -> Result<Invalidation, String> {
        let batch = InvalidationBatch::builder()
            .paths(paths)
            .caller_reference(reference)
            .build()
            .unwrap();
        let request = self
            .client
            .create_invalidation()
            .distribution_id(distribution)
            .invalidation_batch(batch);
        let created = self.runtime.block_on(request.send()).map_err(code)?;
        let invalidation = created.invalidation().unwrap().clone();
        assert!(created.location().unwrap().ends_with(invalidation.id()));
        Ok(invalidation)
    }

    fn get(&self, id: &str) -> Result<Invalidation, String> {
        let request = self
            .client
            .get_invalidation()
            .distribution_id(DISTRIBUTION)
            .id(id);
        let found = self.runtime.block_on(request.send()).map_err(code)?;
        Ok(found.invalidation().unwrap().clone())
    }

    /// All pages of so many entries: their ids, page by page.
    fn list(&self, items_max: i32) -> Vec<Vec<String>> {
        let mut pages = Vec::new();
        let mut marker = None;
        loop {
            let request = self
                .client
                .list_invalidations()
                .distribution_id(DISTRIBUTION)
                .max_items(items_max)
                .set_marker(marker.clone());
            let page = self.runtime.block_on(request.send()).unwrap();
            let list = page.invalidation_list().unwrap();
            assert_eq!(list.max_items(), items_max);
            assert_eq!(list.marker(), marker.as_deref().unwrap_or_default());
            assert_eq!(list.quantity(), i32::try_from(list.items().len()).unwrap());
            assert_eq!(list.is_truncated(), list.next_marker().is_some());
            pages.push(
                list.items()
                    .iter()
                    .map(|item| item.id().to_owned())
                    .collect(),
            );
            match list.next_marker() {
                Some(next) => marker = Some(next.to_owned()),
                None => return pages,
            }
        }
    }
}

/// The code of a refusal, and that it has a message and the id of its request.
fn code<E: ProvideErrorMetadata + std::fmt::Debug, R: std::fmt::Debug>(
    error: SdkError<E, R>,
) -> String {
    let metadata = error.meta();
    assert!(metadata.message().is_some(), "{error:?}");
    metadata.code().unwrap_or("none").to_owned()
}

fn release() -> Origin {
    let files: [(&str, &[u8]); 2] = [("a", b"first"), ("b/c", b"second")];
    Setup::new().store(&StoreDir::with_files(&files)).start()
}

#[track_caller]
fn x_cache(edge: &Edge, target: &str) -> String {
    let response = edge.get(target, "");
    assert_eq!(response.status, 200, "{target}");
    response.need("x-cache").to_owned()
}

const A: &str = "/artifacts/agent/1.0.0/a";
const B: &str = "/artifacts/agent/1.0.0/b/c";
const MISS: &str = "Miss from cloudfront";
const HIT: &str = "Hit from cloudfront";

fn warm(edge: &Edge) {
    for target in [A, B, CHANNEL] {
        assert_eq!(x_cache(edge, target), MISS, "{target}");
        assert_eq!(x_cache(edge, target), HIT, "{target}");
    }
}

#[test]
fn a_path_is_fetched_again_everywhere_and_nothing_else_is() {
    let origin = release();
    let edge = Edge::start(origin.data, AT_ONCE, &["--pops", "3"]);
    let engineer = Engineer::of(&edge);
    let at = |pop: usize, target: &str| {
        let response = edge.get(target, &format!("X-Edge-Pop: {pop}\r\n"));
        response.need("x-cache").to_owned()
    };
    for pop in 0..3 {
        at(pop, A);
        at(pop, B);
        assert_eq!((at(pop, A).as_str(), at(pop, B).as_str()), (HIT, HIT));
    }
    let invalidation = engineer.create("one", &[A]).unwrap();
    assert_eq!(invalidation.status(), "Completed");
    assert_eq!(
        invalidation
            .invalidation_batch()
            .unwrap()
            .caller_reference(),
        "one"
    );
    assert_eq!(asked(&origin, A), 1);
    assert_ne!(at(0, A), HIT);
    for pop in 0..3 {
        at(pop, A);
        assert_eq!((at(pop, A).as_str(), at(pop, B).as_str()), (HIT, HIT));
    }
    assert_eq!(asked(&origin, A), 2);
}

#[test]
fn a_wildcard_and_a_tag_mean_what_they_name() {
    let origin = release();
    let edge = Edge::start(origin.data, AT_ONCE, &["--pops", "1", "--shield", "off"]);
    let engineer = Engineer::of(&edge);
    warm(&edge);
    engineer
        .create("wildcard", &["/artifacts/agent/1.0.0/b*"])
        .unwrap();
    assert_eq!(
        [
            x_cache(&edge, A),
            x_cache(&edge, B),
            x_cache(&edge, CHANNEL)
        ],
        [HIT, MISS, HIT]
    );
    let tags = edge.get(A, "").need("cache-tag").to_owned();
    let tag = tags.split(',').next_back().unwrap().trim().to_owned();
    engineer
        .create("tag", &[&format!("#{}", tag.to_uppercase())])
        .unwrap();
    assert_eq!([x_cache(&edge, A), x_cache(&edge, B)], [MISS, MISS]);
}

#[test]
fn a_repeat_is_the_same_batch_and_other_content_is_refused() {
    let origin = Origin::shared();
    let edge = Edge::start(origin.data, NEVER, &[]);
    let engineer = Engineer::of(&edge);
    let first = engineer
        .create("release-7", &["/channels/*", "/a&b<c>"])
        .unwrap();
    assert_eq!(first.status(), "InProgress");
    assert_eq!((first.id().len(), &first.id()[..1]), (14, "I"));
    let batch = first.invalidation_batch().unwrap();
    assert_eq!(batch.paths().unwrap().items(), ["/channels/*", "/a&b<c>"]);
    let repeat = engineer
        .create("release-7", &["/channels/*", "/a&b<c>"])
        .unwrap();
    assert_eq!(repeat.id(), first.id());
    assert_eq!(
        engineer.create("release-7", &["/channels/*"]).unwrap_err(),
        "InvalidationBatchAlreadyExists"
    );
    assert_eq!(engineer.list(100), [[first.id().to_owned()]]);
    assert_eq!(engineer.get(first.id()).unwrap().id(), first.id());
}

#[test]
fn a_batch_takes_effect_after_its_delay_and_is_reported_complete_after_another() {
    let origin = release();
    let config = "[desk]\ninvalidation_effective_median = \"300ms\"\ninvalidation_effective_p95 = \"300ms\"\n\
                  invalidation_completed_median = \"900ms\"\ninvalidation_completed_p95 = \"900ms\"\n";
    let edge = Edge::start(origin.data, config, &["--pops", "1", "--shield", "off"]);
    let engineer = Engineer::of(&edge);
    warm(&edge);
    let asked = std::time::Instant::now();
    let id = engineer.create("delayed", &[A]).unwrap().id().to_owned();
    // Nothing but the edge's own timer makes it effective.
    until("the object is fetched again", || {
        (x_cache(&edge, A) == MISS).then_some(())
    });
    assert!(
        asked.elapsed() >= Duration::from_millis(300),
        "{:?}",
        asked.elapsed()
    );
    until("it is complete", || {
        let seen = engineer.get(&id).unwrap();
        (seen.status() == "Completed").then_some(())
    });
    assert!(
        asked.elapsed() >= Duration::from_millis(900),
        "{:?}",
        asked.elapsed()
    );
    let created = engineer.get(&id).unwrap().create_time().secs();
    let now = jiff::Timestamp::now().as_second();
    assert!((now - 60..=now).contains(&created), "{created} {now}");
}

#[test]
fn pages_follow_each_other_and_the_newest_comes_first() {
    let origin = Origin::shared();
    let edge = Edge::start(origin.data, NEVER, &[]);
    let engineer = Engineer::of(&edge);
    assert_eq!(engineer.list(100), [Vec::<String>::new()]);
    let mut ids: Vec<String> = (0..5)
        .map(|number| {
            let path = format!("/{number}");
            engineer.create(&path, &[&path]).unwrap().id().to_owned()
        })
        .collect();
    ids.reverse();
    let expected: Vec<Vec<String>> = ids.chunks(2).map(<[String]>::to_vec).collect();
    assert_eq!(engineer.list(2), expected);
    assert_eq!(engineer.list(5), [ids]);
}

#[test]
fn every_refusal_has_the_code_of_the_real_service() {
    let origin = Origin::shared();
    let edge = Edge::start(origin.data, NEVER, &[]);
    let engineer = Engineer::of(&edge);
    assert_eq!(
        engineer.get("INOSUCHTHING00").unwrap_err(),
        "NoSuchInvalidation"
    );
    for path in ["no-slash", "/a*b", "#", "#a b"] {
        assert_eq!(
            engineer.create(path, &[path]).unwrap_err(),
            "InvalidArgument",
            "{path}"
        );
    }
    let paths = |quantity: i32| {
        let paths = Paths::builder().quantity(quantity).items("/a");
        paths.build().unwrap()
    };
    assert_eq!(
        engineer
            .create_batch("EOTHER", "other", paths(1))
            .unwrap_err(),
        "NoSuchDistribution"
    );
    assert_eq!(
        engineer
            .create_batch(DISTRIBUTION, "two", paths(2))
            .unwrap_err(),
        "InconsistentQuantities"
    );
}

#[test]
fn what_is_in_progress_has_quotas() {
    let origin = Origin::shared();
    let edge = Edge::start(origin.data, NEVER, &[]);
    let engineer = Engineer::of(&edge);
    for number in 0..15 {
        engineer
            .create(&number.to_string(), &[&format!("/{number}/*")])
            .unwrap();
    }
    assert_eq!(
        engineer.create("one wildcard more", &["/x/*"]).unwrap_err(),
        "TooManyInvalidationsInProgress"
    );
    engineer.create("a path", &["/x"]).unwrap();
}

/// One request and its answer as text: status, fields, body.
fn raw(edge: &Edge, method: &str, path: &str, body: &str) -> (u16, String, String) {
    let mut conn = Conn::open(edge.address);
    let len = body.len();
    conn.send(format!(
        "{method} /2020-05-31/{path} HTTP/1.1\r\nHost: edge.example\r\nContent-Length: {len}\r\n\r\n{body}"
    ));
    let response = conn.response(method);
    let request_id = response.need("x-amzn-requestid").to_owned();
    let location = response.field("location").unwrap_or_default().to_owned();
    let text = String::from_utf8(response.body.clone()).unwrap();
    if response.status >= 400 {
        assert!(
            text.contains(&format!("<RequestId>{request_id}</RequestId>")),
            "{text}"
        );
        assert!(
            text.contains(
                "<ErrorResponse xmlns=\"http://cloudfront.amazonaws.com/doc/2020-05-31/\">"
            )
        );
    }
    (response.status, location, text)
}

#[test]
fn documents_are_those_of_the_schema() {
    let origin = Origin::shared();
    let edge = Edge::start(origin.data, NEVER, &[]);
    let path = format!("distribution/{DISTRIBUTION}/invalidation");
    let batch = "<?xml version=\"1.0\"?><InvalidationBatch \
                 xmlns=\"http://cloudfront.amazonaws.com/doc/2020-05-31/\"><Paths><Quantity>1</Quantity><Items>\
                 <Path>/a&amp;b</Path></Items></Paths><CallerReference>r</CallerReference></InvalidationBatch>";
    let (status, location, text) = raw(&edge, "POST", &path, batch);
    let id = location.rsplit('/').next().unwrap();
    assert_eq!(status, 201, "{text}");
    assert_eq!(
        location,
        format!("http://edge.example/2020-05-31/{path}/{id}")
    );
    let pinned = |text: &str| {
        let text = text.replace(id, "[id]");
        let (start, rest) = text.split_once("<CreateTime>").unwrap();
        let (time, end) = rest.split_once("</CreateTime>").unwrap();
        let is_time = time.parse::<jiff::Timestamp>().is_ok() && time.ends_with('Z');
        assert!(is_time, "{time}");
        format!("{start}<CreateTime>[time]</CreateTime>{end}")
    };
    insta::assert_snapshot!("created", pinned(&text));
    let (status, _, text) = raw(&edge, "GET", &format!("{path}?MaxItems=1"), "");
    assert_eq!(status, 200, "{text}");
    insta::assert_snapshot!("listed", pinned(&text));
}

#[test]
fn what_no_sdk_sends_is_refused_as_the_service_does() {
    let origin = Origin::shared();
    let edge = Edge::start(origin.data, NEVER, &[]);
    let path = format!("distribution/{DISTRIBUTION}/invalidation");
    let mut told = String::new();
    for (method, target, body) in [
        ("POST", path.as_str(), ""),
        ("POST", path.as_str(), "<InvalidationBatch>"),
        (
            "POST",
            path.as_str(),
            "<InvalidationBatch><Paths><Quantity>0</Quantity></Paths><CallerReference>r</CallerReference></InvalidationBatch>",
        ),
        (
            "POST",
            path.as_str(),
            "<InvalidationBatch><Paths><Quantity>1</Quantity><Items><Path>/a</Path></Items></Paths><CallerReference></CallerReference></InvalidationBatch>",
        ),
        ("DELETE", path.as_str(), ""),
        ("GET", &format!("{path}?MaxItems=none"), ""),
        ("GET", &format!("{path}?Marker=INOSUCHTHING00"), ""),
        ("GET", "distribution", ""),
        ("GET", "distribution/E&'/invalidation", ""),
    ] {
        let (status, _, text) = raw(&edge, method, target, body);
        let inner = text
            .split_once("<Error>")
            .unwrap()
            .1
            .split_once("</Error>")
            .unwrap()
            .0;
        writeln!(told, "{method} {target}\n  {status} {inner}").unwrap();
    }
    insta::assert_snapshot!("refused", told);
}

#[test]
fn a_body_that_is_announced_too_large_is_refused_before_it_comes() {
    let origin = Origin::shared();
    let edge = Edge::start(origin.data, NEVER, &[]);
    let mut conn = Conn::open(edge.address);
    let len = 64 * 1024 * 1024;
    conn.send(format!(
        "POST /2020-05-31/distribution/{DISTRIBUTION}/invalidation HTTP/1.1\r\nHost: x\r\nContent-Length: {len}\r\n\r\n"
    ));
    let response = conn.response("POST");
    assert_eq!(response.status, 413, "{response:?}");
    assert!(String::from_utf8_lossy(&response.body).contains("<Code>BatchTooLarge</Code>"));
}

#[test]
fn the_control_plane_is_not_in_the_log_of_viewers_and_never_reaches_the_origin() {
    let origin = release();
    let edge = Edge::start(origin.data, AT_ONCE, &[]);
    let engineer = Engineer::of(&edge);
    engineer.create("r", &["/*"]).unwrap();
    edge.get(A, "");
    assert_eq!(edge.log(1)[0]["cs-uri-stem"], A);
    assert!(!origin.log().iter().any(|line| line.contains("2020-05-31")));
}
