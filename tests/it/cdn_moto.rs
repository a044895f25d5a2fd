//! The adapter against moto's CloudFront, which others wrote from the same documents.
//!
//! Owns that requests and answers are those of the service: create, get, list, a distribution that is not there. moto
//! makes a second invalidation of a repeated reference, where CloudFront and `headwater edge` find the first again:
//! idempotency is tested against the edge (`cdn_edge.rs`). It checks no permission and completes at once.

use std::time::Duration;

use aws_sdk_cloudfront::config::{BehaviorVersion, Credentials, Region};
use headwater::cdn::{
    Batch, Change, CloudFront, Edge, EdgeError, PurgeSet, Redirects, Reference, Status,
};
use headwater::model::{ChannelName, Product};

use crate::cdn_edge::{run, two_releases};
use crate::harness::aws;
use crate::harness::moto::Moto;

fn cloudfront(moto: &Moto, distribution: &str) -> CloudFront {
    let http = aws_smithy_http_client::Builder::new().build_http();
    let config = aws_config::SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(aws::REGION))
        .credentials_provider(
            aws_credential_types::provider::SharedCredentialsProvider::new(Credentials::new(
                aws::KEY_ID,
                aws::SECRET,
                None,
                None,
                "test",
            )),
        )
        .http_client(http)
        .build();
    CloudFront::new(&config, distribution.to_owned(), Some(&moto.endpoint()))
}

fn batch(number: i64) -> Batch {
    let (product, channel) = ("agent".parse::<Product>(), "stable".parse::<ChannelName>());
    let set = PurgeSet::of(&Change::Channel {
        product: &product.unwrap(),
        channel: &channel.unwrap(),
        redirects: Redirects::Any,
    });
    let reference = Reference::by_hand(jiff::Timestamp::from_second(number).unwrap(), &set);
    Batch { set, reference }
}

#[test]
fn moto_understands_what_the_adapter_says_and_the_other_way_round() {
    let moto = Moto::shared();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let edge = cloudfront(moto, &moto.new_distribution());
    let (first, second) = (batch(1), batch(2));
    runtime.block_on(async {
        let created = edge.create(&first).await.unwrap();
        let other = edge.create(&second).await.unwrap();
        assert_ne!(created.id, other.id);
        assert_eq!(created.status, Status::Completed);
        let age = jiff::Timestamp::now().duration_since(created.created_at.unwrap());
        assert!(age.unsigned_abs() < Duration::from_secs(3_600), "{age:?}");
        assert_eq!(edge.get(&created.id).await.unwrap(), created);
        let found = edge.find(&first.reference).await.unwrap().unwrap();
        assert_eq!(found.id, created.id);
        assert_eq!(edge.find(&batch(3).reference).await.unwrap(), None);
        // A repeat: this is where moto differs from the service that it stands for.
        let repeat = edge.create(&first).await.unwrap();
        assert_ne!(
            repeat.id, created.id,
            "moto has become idempotent: test more of it here"
        );
        let unknown = edge.get("INOSUCHTHING").await.unwrap_err();
        assert!(
            unknown.to_string().contains("NoSuchInvalidation"),
            "{unknown}"
        );
        let nowhere = cloudfront(moto, "ENOSUCHDISTRIBUTION");
        let distribution = "ENOSUCHDISTRIBUTION".to_owned();
        assert_eq!(
            nowhere.create(&first).await.unwrap_err(),
            EdgeError::NoDistribution(distribution)
        );
    });
}

#[test]
fn a_promote_and_an_invalidation_by_hand_reach_moto() {
    let moto = Moto::shared();
    let distribution = moto.new_distribution();
    let store = two_releases();
    let flags = ["--distribution-id", &distribution, "--wait", "--json"];
    let promote = ["promote", "agent", "1.1.0", "--to", "stable"];
    let told = run(&store, &moto.endpoint(), &[&promote[..], &flags].concat());
    let told = told.ok().json();
    assert_eq!(told["purge"]["status"], "Completed");
    let target = format!(
        "/2020-05-31/distribution/{distribution}/invalidation/{}",
        told["purge"]["id"].as_str().unwrap()
    );
    let stored = moto.cloudfront().send("GET", &target, &[], "");
    let text = String::from_utf8(stored.body).unwrap();
    for expected in ["/channels/agent/stable.json", "/channels/agent/stable/*"] {
        assert!(text.contains(&format!("<Path>{expected}</Path>")), "{text}");
    }
    assert!(
        text.contains(told["purge"]["reference"].as_str().unwrap()),
        "{text}"
    );
    let flags = ["--distribution-id", "ENOSUCH", "--json"];
    let release = ["invalidate", "--release", "agent", "1.0.0"];
    let ran = run(&store, &moto.endpoint(), &[&release[..], &flags].concat());
    assert_eq!(ran.code, Some(4), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("there is no distribution `ENOSUCH`"),
        "{}",
        ran.stderr
    );
}
