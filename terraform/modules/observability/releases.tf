# What happens to releases, told as it happens: a channel moved (publish, promote, rollback, yank), or a purge failed.
#
# Owns the patterns, the words and the queue. A channel moves by one write of `channels/{product}/{channel}.json`;
# nothing else in the store is news. Never a promise of order or of once: EventBridge delivers at least once.

locals {
  store_root = var.store_prefix == "" ? "" : "${var.store_prefix}/"

  # `*` in an event pattern matches `/` too; channel documents are the only objects below channels/.
  release_pattern = {
    source      = ["aws.s3"]
    detail-type = ["Object Created"]
    detail = {
      bucket = { name = [var.bucket_name] }
      object = { key = [{ wildcard = "${local.store_root}channels/*/*.json" }] }
    }
  }

  # why: AWS answers a refused call without saying what was asked for, so that calls without a distribution count as
  # ours.
  purge_pattern = {
    source      = ["aws.cloudfront"]
    detail-type = ["AWS API Call via CloudTrail"]
    detail = {
      eventSource = ["cloudfront.amazonaws.com"]
      eventName   = ["CreateInvalidation"]
      errorCode   = [{ exists = true }]
      "$or" = [
        { requestParameters = { distributionId = [coalesce(var.distribution_id, "none")] } },
        { requestParameters = { distributionId = [{ exists = false }] } },
      ]
    }
  }
}

resource "aws_cloudwatch_event_rule" "release" {
  region        = var.region
  name          = "${var.name}-release"
  description   = "A channel of ${var.bucket_name} was written"
  event_pattern = jsonencode(local.release_pattern)
  tags          = var.tags
}

# why: the key and not product and channel: a transformer takes values whole, it cannot split one. The key names both,
# in this order, and is the path of the document's URL.
resource "aws_cloudwatch_event_target" "release_mail" {
  region    = var.region
  rule      = aws_cloudwatch_event_rule.release.name
  target_id = "mail"
  arn       = aws_sns_topic.releases.arn

  input_transformer {
    input_paths = {
      key  = "$.detail.object.key"
      time = "$.time"
      who  = "$.detail.requester"
    }
    input_template = "\"A channel moved: <key> at <time>, written by <who>. Which release it names now is in the document of that path.\""
  }

  dead_letter_config {
    arn = aws_sqs_queue.undelivered.arn
  }
}

resource "aws_cloudwatch_event_target" "release_queue" {
  count = var.event_queue ? 1 : 0

  region    = var.region
  rule      = aws_cloudwatch_event_rule.release.name
  target_id = "queue"
  arn       = aws_sqs_queue.releases[0].arn

  # A document of its own, so that a program need not know S3's; `sequencer` orders two moves of one channel. In
  # quotes: what a bucket without versions does not send, which would leave a hole in the JSON.
  input_transformer {
    input_paths = {
      bucket    = "$.detail.bucket.name"
      etag      = "$.detail.object.etag"
      event     = "$.id"
      key       = "$.detail.object.key"
      sequencer = "$.detail.object.sequencer"
      time      = "$.time"
      version   = "$.detail.object.version-id"
    }
    input_template = <<-EOT
      {"schema": 1, "event": <event>, "time": <time>, "bucket": <bucket>, "key": <key>, "etag": <etag>, "version_id": "<version>", "sequencer": <sequencer>}
    EOT
  }

  dead_letter_config {
    arn = aws_sqs_queue.undelivered.arn
  }
}

resource "aws_sqs_queue" "releases" {
  count = var.event_queue ? 1 : 0

  region                     = var.region
  name                       = "${var.name}-releases"
  message_retention_seconds  = 4 * 24 * 3600 # a long weekend
  visibility_timeout_seconds = 60
  receive_wait_time_seconds  = 20 # long polling: an empty queue costs next to nothing
  tags                       = var.tags

  # why: SQS's own key: a customer's would have to be opened to EventBridge, and these messages name public documents.
  sqs_managed_sse_enabled = true

  # why: five: a reader that fails that often fails on this message.
  redrive_policy = jsonencode({ deadLetterTargetArn = aws_sqs_queue.undelivered.arn, maxReceiveCount = 5 })
}

# What could not be delivered to a target, and what no reader could handle.
resource "aws_sqs_queue" "undelivered" {
  region                    = var.region
  name                      = "${var.name}-releases-undelivered"
  message_retention_seconds = 14 * 24 * 3600 # as long as SQS keeps anything
  sqs_managed_sse_enabled   = true
  tags                      = var.tags
}

locals {
  rule_may_send = {
    Sid       = "TheRuleSends"
    Effect    = "Allow"
    Principal = { Service = "events.amazonaws.com" }
    Action    = "sqs:SendMessage"
    Resource  = "*"
    Condition = { ArnEquals = { "aws:SourceArn" = aws_cloudwatch_event_rule.release.arn } }
  }

  others_may_read = {
    Sid       = "NamedRolesRead"
    Effect    = "Allow"
    Principal = { AWS = var.event_queue_reader_arns }
    Action    = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"]
    Resource  = "*"
  }

  tls_only = {
    Sid       = "NothingWithoutTls"
    Effect    = "Deny"
    Principal = "*"
    Action    = "sqs:*"
    Resource  = "*"
    Condition = { Bool = { "aws:SecureTransport" = "false" } }
  }
}

resource "aws_sqs_queue_policy" "releases" {
  count = var.event_queue ? 1 : 0

  region    = var.region
  queue_url = aws_sqs_queue.releases[0].url
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      for statement in concat([local.rule_may_send, local.tls_only], [for s in [local.others_may_read] : s if length(var.event_queue_reader_arns) > 0]) :
      merge(statement, { Resource = aws_sqs_queue.releases[0].arn })
    ]
  })
}

resource "aws_sqs_queue_policy" "undelivered" {
  region    = var.region
  queue_url = aws_sqs_queue.undelivered.url
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [for statement in [local.rule_may_send, local.tls_only] : merge(statement, { Resource = aws_sqs_queue.undelivered.arn })]
  })
}

# No data is no message: a queue that nothing was put into for hours reports nothing.
resource "aws_cloudwatch_metric_alarm" "undelivered" {
  region              = var.region
  alarm_name          = "${var.name}-release-events-undelivered"
  alarm_description   = "Somebody was not told of a release: see the messages in ${aws_sqs_queue.undelivered.name}."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.undelivered.name }
  statistic           = "Maximum"
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.thresholds.undelivered_events_allowed
  period              = 300
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms["origin"].arn]
  ok_actions          = [aws_sns_topic.alarms["origin"].arn]
  tags                = var.tags
}

# ---- purges that failed ------------------------------------------------------------------------------------------------

# CloudFront's calls are recorded in us-east-1, and reach EventBridge only where a trail records management events.
resource "aws_cloudwatch_event_rule" "purge_failed" {
  count = var.edge_enabled ? 1 : 0

  region        = local.edge_region
  name          = "${var.name}-purge-failed"
  description   = "CloudFront refused to invalidate"
  event_pattern = jsonencode(local.purge_pattern)
  tags          = var.tags
}

resource "aws_cloudwatch_event_target" "purge_failed" {
  count = var.edge_enabled ? 1 : 0

  region    = local.edge_region
  rule      = aws_cloudwatch_event_rule.purge_failed[0].name
  target_id = "alarms"
  arn       = aws_sns_topic.alarms["edge"].arn

  input_transformer {
    input_paths = {
      code = "$.detail.errorCode"
      time = "$.time"
      who  = "$.detail.userIdentity.arn"
    }

    # Not "promote again": after a roll-back that would be a step forward.
    input_template = "\"A purge failed with <code> at <time>, asked for by <who>. `headwater invalidate` repeats it.\""
  }
}
