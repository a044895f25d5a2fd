//! Which edge is told, and by whose credentials.
//!
//! Names the one concrete adapter. Never decides what it is told.

use std::sync::Arc;

use jiff::Timestamp;

use super::clock;
use crate::aws::Session;
use crate::cdn::{CloudFront, Edge};

/// The control plane of a distribution, with region, credentials and endpoint from the usual places; `endpoint_url`
/// overrides theirs. Asks nobody yet.
pub async fn cdn(distribution: String, endpoint_url: Option<&str>) -> Arc<dyn Edge> {
    let session = Session::load(None).await;
    let usual = session.endpoint_url("CLOUDFRONT");
    let endpoint_url = endpoint_url.or(usual.as_deref());
    Arc::new(CloudFront::new(
        session.sdk_config(),
        distribution,
        endpoint_url,
    ))
}

/// The time of a purge by hand.
#[must_use]
pub fn now() -> Timestamp {
    clock()()
}
