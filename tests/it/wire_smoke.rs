//! The harness itself: the standard release is served.
use crate::harness::fixture::{self, ARTIFACTS};
use crate::harness::origin::Origin;

#[test]
fn every_artifact_of_the_standard_release_is_served_as_published() {
    let origin = Origin::shared();
    for artifact in ARTIFACTS.iter() {
        let response = origin.get(&fixture::url(artifact.name), "");
        assert_eq!(response.status, 200, "{}", artifact.name);
        assert!(response.body == artifact.body, "{}", artifact.name);
    }
}
