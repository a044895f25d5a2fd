"""Tries the event patterns of modules/observability on events as AWS sends them.

Owns the samples: S3's notifications and CloudTrail's records of CloudFront, shaped as the user guides show them. The
matcher is moto's, an EventBridge by others (tests/setup/python_tools.sh); that the two pattern files are what Terraform
makes is asserted in tests/observability_documents.tftest.hcl. Never reaches the network.

    PYTHONPATH=target/python python3 -B -m unittest discover terraform/tests/events
"""

import copy
import pathlib
import unittest

from moto.events.models import EventPattern

HERE = pathlib.Path(__file__).parent

OBJECT_CREATED = {
    "version": "0",
    "id": "17793124-05d4-b198-2fde-7ededc63b103",
    "detail-type": "Object Created",
    "source": "aws.s3",
    "account": "123456789012",
    "time": "2026-11-22T10:05:00Z",
    "region": "eu-central-1",
    "resources": ["arn:aws:s3:::example-updates"],
    "detail": {
        "version": "0",
        "bucket": {"name": "example-updates"},
        "object": {
            "key": "prod/channels/agent/stable.json",
            "size": 412,
            "etag": "b1946ac92492d2347c6235b4d2611184",
            "version-id": "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e",
            "sequencer": "00617F08299329D189",
        },
        "request-id": "N4N7GDK58NMKJ12R",
        "requester": "123456789012",
        "source-ip-address": "192.0.2.3",
        "reason": "PutObject",
    },
}

INVALIDATION = {
    "version": "0",
    "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
    "detail-type": "AWS API Call via CloudTrail",
    "source": "aws.cloudfront",
    "account": "123456789012",
    "time": "2026-11-22T10:05:01Z",
    "region": "us-east-1",
    "resources": [],
    "detail": {
        "eventVersion": "1.11",
        "userIdentity": {
            "type": "AssumedRole",
            "arn": "arn:aws:sts::123456789012:assumed-role/headwater-agent-publisher/ci",
        },
        "eventSource": "cloudfront.amazonaws.com",
        "eventName": "CreateInvalidation",
        "errorCode": "TooManyInvalidationsInProgress",
        "requestParameters": {
            "distributionId": "E2QWRUHEXAMPLE",
            "invalidationBatch": {"paths": {"quantity": 1, "items": ["/channels/agent/stable.json"]}},
        },
        "responseElements": None,
    },
}


def pattern(name):
    return EventPattern.load((HERE / name).read_text(encoding="utf-8"))


def changed(event, path, value):
    """The event with another value at `a.b.c`, or without it where the value is `...`."""
    event = copy.deepcopy(event)
    *parents, last = path.split(".")
    node = event
    for parent in parents:
        node = node[parent]
    if value is ...:
        del node[last]
    else:
        node[last] = value
    return event


class Releases(unittest.TestCase):
    """Which writes to the store are news."""

    def is_news(self, key):
        return pattern("release.json").matches_event(changed(OBJECT_CREATED, "detail.object.key", key))

    def test_a_channel_document_is(self):
        for key in ["prod/channels/agent/stable.json", "prod/channels/a.b_c-d/beta-2.json"]:
            self.assertTrue(self.is_news(key), key)

    def test_nothing_else_in_the_store_is(self):
        for key in [
            "prod/artifacts/agent/1.4.2/agent-linux-x86_64.tar.zst",
            "prod/artifacts/agent/1.4.2/release.json",
            "prod/artifacts/agent/1.4.2/channels/x.json",
            "prod/artifacts/agent/.headwater/lease/1.4.2",
            "prod/artifacts/agent/.headwater/upload/1.4.2/note",
            "prod/channels/agent/stable.json.tmp",
            "prod/channels/agent",
            "prod/channels",
        ]:
            self.assertFalse(self.is_news(key), key)

    def test_another_store_in_the_bucket_is_not(self):
        for key in ["channels/agent/stable.json", "staging/channels/agent/stable.json", "pre/prod/channels/a/b.json"]:
            self.assertFalse(self.is_news(key), key)

    def test_another_bucket_is_not(self):
        event = changed(OBJECT_CREATED, "detail.bucket.name", "example-logs")
        self.assertFalse(pattern("release.json").matches_event(event))

    def test_what_is_done_to_it_otherwise_is_not(self):
        for kind in ["Object Deleted", "Object Tags Added", "Object Restore Completed", "Object Storage Class Changed"]:
            event = changed(OBJECT_CREATED, "detail-type", kind)
            self.assertFalse(pattern("release.json").matches_event(event), kind)

    def test_the_way_it_was_written_does_not_matter(self):
        for reason in ["PutObject", "CopyObject", "CompleteMultipartUpload", "POST Object"]:
            event = changed(OBJECT_CREATED, "detail.reason", reason)
            self.assertTrue(pattern("release.json").matches_event(event), reason)


class Purges(unittest.TestCase):
    """Which calls of CloudFront are a purge that failed."""

    def is_failure(self, path=None, value=None):
        event = INVALIDATION if path is None else changed(INVALIDATION, path, value)
        return pattern("purge_failed.json").matches_event(event)

    def test_a_refused_invalidation_is(self):
        self.assertTrue(self.is_failure())
        self.assertTrue(self.is_failure("detail.errorCode", "AccessDenied"))

    def test_one_that_worked_is_not(self):
        self.assertFalse(self.is_failure("detail.errorCode", ...))

    def test_one_of_another_distribution_is_not(self):
        self.assertFalse(self.is_failure("detail.requestParameters.distributionId", "E1OTHER"))

    def test_one_that_does_not_say_of_which_counts_as_ours(self):
        self.assertTrue(self.is_failure("detail.requestParameters", None))

    def test_another_call_is_not(self):
        for name in ["GetInvalidation", "UpdateDistribution"]:
            self.assertFalse(self.is_failure("detail.eventName", name), name)


if __name__ == "__main__":
    unittest.main()
