# The documents that modules/observability hands to AWS as text: event patterns and messages, policies, the dashboard.
# That the patterns match what they should is shown by tests/events/test_patterns.py, with the same two files. Owns no
# AWS.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name                     = "headwater"
  region                   = "eu-central-1"
  distribution_id          = "E2QWRUHEXAMPLE"
  load_balancer_arn_suffix = "app/headwater/0123456789abcdef"
  target_group_arn_suffix  = "targetgroup/headwater/0123456789abcdef"
  autoscaling_group_name   = "headwater-group"
  bucket_name              = "example-updates"
  store_prefix             = "prod"
}

run "patterns_are_those_that_are_tried_on_events" {
  command = plan
  module { source = "./modules/observability" }

  assert {
    condition     = jsondecode(output.release_event_pattern) == jsondecode(file("./tests/events/release.json"))
    error_message = "tests/events/release.json must be the pattern of the rule."
  }
  assert {
    condition = (
      jsondecode(output.purge_failure_event_pattern) == jsondecode(file("./tests/events/purge_failed.json"))
    )
    error_message = "tests/events/purge_failed.json must be the pattern of the rule."
  }
  assert {
    condition = (
      aws_cloudwatch_event_rule.release.event_pattern == output.release_event_pattern && aws_cloudwatch_event_rule.release.region == "eu-central-1" &&
      aws_cloudwatch_event_rule.purge_failed[0].event_pattern == output.purge_failure_event_pattern && aws_cloudwatch_event_rule.purge_failed[0].region == "us-east-1"
    )
    error_message = "The bucket's events are in its Region, CloudFront's calls in us-east-1."
  }
}

run "a_store_without_a_prefix_has_its_channels_at_the_root" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    store_prefix = ""
  }

  assert {
    condition     = jsondecode(output.release_event_pattern).detail.object.key == [{ wildcard = "channels/*/*.json" }]
    error_message = "No slash before the first segment."
  }
}

run "messages_use_only_what_they_take_from_the_event" {
  command = plan
  module { source = "./modules/observability" }

  assert {
    condition = alltrue([
      for target in [aws_cloudwatch_event_target.release_mail, aws_cloudwatch_event_target.release_queue[0], aws_cloudwatch_event_target.purge_failed[0]] :
      toset([for found in regexall("<([a-z]+)>", target.input_transformer[0].input_template) : found[0]]) == toset(keys(target.input_transformer[0].input_paths))
    ])
    error_message = "Each word in angle brackets is taken from the event, and nothing is taken in vain."
  }
  assert {
    condition = keys(jsondecode(replace(replace(
      aws_cloudwatch_event_target.release_queue[0].input_transformer[0].input_template, "\"<version>\"", "\"v\""), "/<[a-z]+>/", "\"x\""
    ))) == ["bucket", "etag", "event", "key", "schema", "sequencer", "time", "version_id"]
    error_message = "With its values in place the message is JSON."
  }
  assert {
    condition = alltrue([
      for target in [aws_cloudwatch_event_target.release_mail, aws_cloudwatch_event_target.purge_failed[0]] :
      can(tostring(jsondecode(target.input_transformer[0].input_template)))
    ])
    error_message = "A mail is one quoted string: EventBridge takes a template that is JSON or a string, nothing else."
  }
}

run "the_log_bucket_is_private_and_forgets" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    log_retention_days = 30
  }

  assert {
    condition = (
      aws_s3_bucket_public_access_block.logs.block_public_acls && aws_s3_bucket_public_access_block.logs.block_public_policy &&
      aws_s3_bucket_public_access_block.logs.ignore_public_acls && aws_s3_bucket_public_access_block.logs.restrict_public_buckets &&
      aws_s3_bucket_ownership_controls.logs.rule[0].object_ownership == "BucketOwnerEnforced" &&
      aws_s3_bucket_versioning.logs.versioning_configuration[0].status == "Enabled"
    )
    error_message = "No public way in, no ACLs, and removed records stay for a week."
  }
  assert {
    condition = (
      one([
        for r in aws_s3_bucket_server_side_encryption_configuration.logs.rule :
        r.apply_server_side_encryption_by_default[0].sse_algorithm
      ]) ==
      "AES256"
    )
    error_message = "A load balancer delivers to a bucket with S3's own keys only."
  }
  assert {
    condition = (
      [
        for r in aws_s3_bucket_lifecycle_configuration.logs.rule :
        "${r.expiration[0].days} ${r.noncurrent_version_expiration[0].noncurrent_days} ${r.abort_incomplete_multipart_upload[0].days_after_initiation}"
      ] ==
      ["30 7 1"]
    )
    error_message = "Records go after the caller's days, removed ones after seven, halves after one."
  }
}

run "only_named_sources_of_this_account_deliver_logs" {
  command = plan
  module { source = "./modules/observability" }

  assert {
    condition = {
      for s in jsondecode(aws_s3_bucket_policy.logs.policy).Statement : s.Principal.Service => "${s.Condition.StringEquals["aws:SourceAccount"]} ${s.Condition.ArnLike["aws:SourceArn"]}" if s.Action == "s3:PutObject"
      } == {
      "delivery.logs.amazonaws.com"                    = "123456789012 arn:aws:logs:us-east-1:123456789012:delivery-source:*"
      "logdelivery.elasticloadbalancing.amazonaws.com" = "123456789012 arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/*"
      "logging.s3.amazonaws.com"                       = "123456789012 arn:aws:s3:::example-updates"
    }
    error_message = "The edge, the balancer and the store write, each as itself and for this account."
  }
  assert {
    condition = alltrue([
      for s in jsondecode(aws_s3_bucket_policy.logs.policy).Statement :
      s.Effect == "Deny" || (can(s.Principal.Service) && contains(["s3:PutObject", "s3:GetBucketAcl"], s.Action))
    ])
    error_message = "The policy lets nobody read."
  }
  assert {
    condition = [
      for s in jsondecode(aws_s3_bucket_policy.logs.policy).Statement : [s.Principal, s.Action, s.Condition] if s.Effect == "Deny"
    ] == [["*", "s3:*", { Bool = { "aws:SecureTransport" = "false" } }]]
    error_message = "Nothing goes without TLS."
  }
}

run "the_dashboard_is_one_that_cloudwatch_draws" {
  command = plan
  module { source = "./modules/observability" }

  assert {
    condition = alltrue([
      for w in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets :
      contains(["text", "metric"], w.type) && w.x >= 0 && w.y >= 0 && w.width >= 1 && w.x + w.width <= 24 && w.height >= 1 && w.height <= 1000
    ])
    error_message = "A widget is within the 24 columns."
  }
  assert {
    condition = alltrue(flatten([
      for i, a in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : [
        for k, b in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets :
        i == k || a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y
      ]
    ]))
    error_message = "No widget lies on another."
  }
  # A line is names and values of dimensions in pairs after namespace and metric, then its options; or an expression
  # alone.
  assert {
    condition = alltrue(flatten([
      for w in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : [
        for line in w.properties.metrics :
        length(line) == 1 ? can(line[0].expression) : (length(line) % 2 == 1 && can(line[length(line) - 1].region) && alltrue([for word in slice(line, 0, length(line) - 1) : can(tostring(word))]))
      ] if w.type == "metric"
    ]))
    error_message = "A line is namespace, metric, dimensions in pairs and options, or one expression."
  }
  assert {
    condition = alltrue(flatten([
      for w in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : [
        for line in w.properties.metrics : line[length(line) - 1].region == (line[0] == "AWS/CloudFront" ? "us-east-1" : "eu-central-1") if length(line) > 1
      ] if w.type == "metric"
    ]))
    error_message = "Each line is read in the Region of its metric."
  }
  # An expression names ids of its own widget only, and ids are not used twice.
  assert {
    condition = alltrue(flatten([
      for w in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : [
        for line in w.properties.metrics : [
          for word in regexall("[a-z]+", line[0].expression) : contains([for l in w.properties.metrics : try(l[length(l) - 1].id, "")], word)
        ] if length(line) == 1
      ] if w.type == "metric"
    ]))
    error_message = "An expression uses what is in its widget."
  }
}

run "the_dashboard_shows_what_a_release_day_asks" {
  command = plan
  module { source = "./modules/observability" }

  assert {
    condition = length(setsubtract([
      "BytesDownloaded", "ProcessedBytes", "CacheHitRate", "Requests", "5xxErrorRate", "OriginLatency",
      "GroupInServiceInstances", "GroupDesiredCapacity", "GroupMaxSize", "UnHealthyHostCount", "HTTPCode_Target_5XX_Count",
      "HTTPCode_ELB_5XX_Count", "TargetConnectionErrorCount", "TargetResponseTime", "NetworkOut",
      ], flatten([
        for w in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : [
          for line in w.properties.metrics : line[1] if length(line) > 1
        ] if w.type == "metric"
    ]))) == 0
    error_message = "Offload, hits, bytes of both sides, latency, the group, errors and what it costs."
  }
  assert {
    condition = contains(flatten([
      for w in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : [
        for line in w.properties.metrics : line[0].expression if length(line) == 1
      ] if w.type == "metric"
    ]), "100 * (1 - origin / edge)")
    error_message = "The offload is a share of bytes, across Regions."
  }
  assert {
    condition = (
      output.dashboard_url ==
      "https://eu-central-1.console.aws.amazon.com/cloudwatch/home?region=eu-central-1#dashboards/dashboard/headwater"
    )
    error_message = "The link leads to this dashboard."
  }
}

run "money_is_computed_at_the_callers_prices" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    prices = { edge_per_gigabyte = 0.02, instance_per_gigabyte = 0.05 }
  }

  assert {
    condition = toset([
      for line in flatten([
        for w in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : [for l in w.properties.metrics : l[0].expression if length(l) == 1] if w.type == "metric"
      ]) : line if startswith(line, "bytes")
    ]) == toset(["bytes / 1000000000 * 0.02", "bytes / 1000000000 * 0.058"])
    error_message = "With the edge at its price; without, out of EC2 and through the balancer."
  }
}
