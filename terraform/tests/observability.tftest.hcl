# What modules/observability promises about alarms and who hears of them: each on the right metric, in the Region
# where that metric is, silent at night and not silenced by silence. Owns no AWS: plans against invented values.

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
  alarm_emails             = ["on-call@example.com"]
  event_emails             = ["releases@example.com", "support@example.com"]
  certificates = {
    edge   = { arn = "arn:aws:acm:us-east-1:123456789012:certificate/edge", region = "us-east-1" }
    origin = { arn = "arn:aws:acm:eu-central-1:123456789012:certificate/origin", region = "eu-central-1" }
  }
}

run "alarms_on_the_edge_are_where_its_metrics_are" {
  command = plan
  module { source = "./modules/observability" }

  assert {
    condition     = toset(keys(aws_cloudwatch_metric_alarm.edge)) == toset(["errors", "hits", "latency"])
    error_message = "5xx, hit rate and latency are watched at the edge."
  }
  assert {
    condition = alltrue(flatten([
      for alarm in aws_cloudwatch_metric_alarm.edge : [
        alarm.region == "us-east-1",
        [for q in alarm.metric_query : q.metric[0].namespace == "AWS/CloudFront" if length(q.metric) > 0],
        [for q in alarm.metric_query : q.metric[0].dimensions == tomap({ DistributionId = "E2QWRUHEXAMPLE", Region = "Global" }) if length(q.metric) > 0],
      ]
    ]))
    error_message = "CloudFront's metrics are in us-east-1 under DistributionId and Region=Global (fact 81)."
  }
  assert {
    condition = (
      alltrue([for alarm in aws_cloudwatch_metric_alarm.edge : alarm.treat_missing_data == "notBreaching"])
    )
    error_message = "A quiet night has no requests: nothing at the edge may alarm for want of data."
  }
}

run "a_hit_rate_below_95_percent_for_15_minutes_alarms" {
  command = plan
  module { source = "./modules/observability" }

  assert {
    condition = (
      aws_cloudwatch_metric_alarm.edge["hits"].threshold == 95 &&
      aws_cloudwatch_metric_alarm.edge["hits"].comparison_operator == "LessThanThreshold" &&
      aws_cloudwatch_metric_alarm.edge["hits"].evaluation_periods == 3 &&
      aws_cloudwatch_metric_alarm.edge["hits"].datapoints_to_alarm == 3 &&
      alltrue([for q in aws_cloudwatch_metric_alarm.edge["hits"].metric_query : q.metric[0].period == 300 if length(q.metric) > 0])
    )
    error_message = "Three times five minutes below 95 %."
  }
  assert {
    condition = {
      for q in aws_cloudwatch_metric_alarm.edge["hits"].metric_query : q.id => q.metric[0].metric_name if length(q.metric) > 0
    } == { requests = "Requests", hits = "CacheHitRate" }
    error_message = "The rate is judged beside the number of requests."
  }
}

run "a_rate_of_a_few_requests_says_nothing" {
  command = plan
  module { source = "./modules/observability" }

  assert {
    condition = { for key, alarm in aws_cloudwatch_metric_alarm.edge : key => one([for q in alarm.metric_query : q.expression if q.id == "judged"]) } == {
      errors  = "IF(FILL(requests, 0) >= 60, errors, 0)"
      hits    = "IF(FILL(requests, 0) >= 300, hits, 100)"
      latency = "IF(FILL(requests, 0) >= 300, latency, 0)"
    }
    error_message = "Below the floor a rate is one device's luck and counts as well."
  }
  assert {
    condition = (
      alltrue([
        for alarm in aws_cloudwatch_metric_alarm.edge :
        [for q in alarm.metric_query : q.id if q.return_data == true] == ["judged"]
      ])
    )
    error_message = "Exactly the expression is judged."
  }
}

run "slow_is_the_ninetieth_percentile" {
  command = plan
  module { source = "./modules/observability" }

  assert {
    condition = (
      [
        for q in aws_cloudwatch_metric_alarm.edge["latency"].metric_query :
        [q.metric[0].metric_name, q.metric[0].stat]
        if q.id == "latency"
      ] ==
      [["OriginLatency", "p90"]]
    )
    error_message = "OriginLatency p90."
  }
  assert {
    condition = (
      [
        for q in aws_cloudwatch_metric_alarm.origin_rate["target-latency"].metric_query :
        [q.metric[0].metric_name, q.metric[0].stat]
        if q.id == "latency"
      ] ==
      [["TargetResponseTime", "p90"]]
    )
    error_message = "Without an edge the balancer's own figure is all there is."
  }
}

run "the_origin_is_watched_in_its_own_region" {
  command = plan
  module { source = "./modules/observability" }

  assert {
    condition = {
      for key, alarm in aws_cloudwatch_metric_alarm.origin : key => "${alarm.namespace} ${alarm.metric_name} ${alarm.comparison_operator} ${alarm.threshold} ${alarm.treat_missing_data}"
      } == {
      healthy-hosts        = "AWS/ApplicationELB HealthyHostCount LessThanThreshold 2 breaching"
      unhealthy-hosts      = "AWS/ApplicationELB UnHealthyHostCount GreaterThanThreshold 0 notBreaching"
      load-balancer-errors = "AWS/ApplicationELB HTTPCode_ELB_5XX_Count GreaterThanOrEqualToThreshold 10 notBreaching"
      connection-errors    = "AWS/ApplicationELB TargetConnectionErrorCount GreaterThanOrEqualToThreshold 10 notBreaching"
      origin-bytes         = "AWS/ApplicationELB ProcessedBytes GreaterThanThreshold 250000000000 notBreaching"
    }
    error_message = "Hosts are missed when nobody counts them; everything else is counted only when there is something."
  }
  assert {
    condition = (
      alltrue([
        for alarm in merge(aws_cloudwatch_metric_alarm.origin, aws_cloudwatch_metric_alarm.origin_rate) :
        alarm.region == "eu-central-1"
      ])
    )
    error_message = "A balancer's metrics are in its Region."
  }
  assert {
    condition = (
      aws_cloudwatch_metric_alarm.origin["healthy-hosts"].dimensions ==
      tomap({ LoadBalancer = var.load_balancer_arn_suffix, TargetGroup = var.target_group_arn_suffix })
    )
    error_message = "Hosts are counted by target group and balancer together."
  }
  assert {
    condition = (
      [
        for q in aws_cloudwatch_metric_alarm.origin_rate["target-errors"].metric_query :
        q.expression
        if q.id == "judged"
      ] ==
      ["IF(FILL(requests, 0) >= 60, 100 * FILL(errors, 0) / requests, 0)"]
    )
    error_message = "Errors of instances are a share of requests."
  }
}

run "a_group_that_may_not_grow_is_told_by_its_wish" {
  command = plan
  module { source = "./modules/observability" }

  assert {
    condition = { for q in aws_cloudwatch_metric_alarm.at_maximum.metric_query : q.id => q.metric[0].metric_name if length(q.metric) > 0 } == {
      wanted = "GroupDesiredCapacity"
      most   = "GroupMaxSize"
      least  = "GroupMinSize"
    }
    error_message = "What the group wants against what it may have."
  }
  assert {
    condition     = one([for q in aws_cloudwatch_metric_alarm.at_maximum.metric_query : q.expression if length(q.metric) == 0]) == "IF(wanted >= most AND most > least, 1, 0)"
    error_message = "A group of a fixed size would ring for ever."
  }
  assert {
    condition = (
      aws_cloudwatch_metric_alarm.at_maximum.evaluation_periods == 15 &&
      aws_cloudwatch_metric_alarm.at_maximum.treat_missing_data == "missing"
    )
    error_message = "15 minutes; without the group's metrics the alarm must show that it knows nothing."
  }
}

run "in_two_regions_no_alarm_computes_the_offload" {
  command = plan
  module { source = "./modules/observability" }

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.offload) == 0
    error_message = "An alarm cannot read metrics of two Regions; the ceiling on the origin's bytes stands in."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.origin["origin-bytes"].period == 3600
    error_message = "The ceiling is for an hour: a release is filled within minutes."
  }
}

run "in_one_region_the_offload_is_a_share_of_bytes" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    region       = "us-east-1"
    certificates = {}
  }

  assert {
    condition = { for q in aws_cloudwatch_metric_alarm.offload[0].metric_query : q.id => "${q.metric[0].namespace} ${q.metric[0].metric_name} ${q.metric[0].stat}" if length(q.metric) > 0 } == {
      edge   = "AWS/CloudFront BytesDownloaded Sum"
      origin = "AWS/ApplicationELB ProcessedBytes Sum"
    }
    error_message = "The balancer's bytes against CloudFront's."
  }
  assert {
    condition = (
      aws_cloudwatch_metric_alarm.offload[0].region == "us-east-1" && aws_cloudwatch_metric_alarm.offload[0].threshold == 95 &&
      aws_cloudwatch_metric_alarm.offload[0].treat_missing_data == "notBreaching" &&
      strcontains(join(" ", compact([for q in aws_cloudwatch_metric_alarm.offload[0].metric_query : q.expression])), "100 * (1 - FILL(origin, 0) / edge)")
    )
    error_message = "The share that the origin did not send, alarming below 95 %."
  }
}

run "certificates_are_watched_where_they_are" {
  command = plan
  module { source = "./modules/observability" }

  assert {
    condition = (
      { for key, alarm in aws_cloudwatch_metric_alarm.certificate : key => "${alarm.region} ${alarm.dimensions.CertificateArn}" } ==
      { for key, c in var.certificates : key => "${c.region} ${c.arn}" }
    )
    error_message = "Each certificate's days are counted in its own Region."
  }
  assert {
    condition = (
      alltrue([
        for alarm in aws_cloudwatch_metric_alarm.certificate :
        alarm.metric_name == "DaysToExpiry" && alarm.threshold == 30 && alarm.treat_missing_data == "ignore"
      ])
    )
    error_message = "An expired certificate reports no days: the alarm must keep its state."
  }
}

run "every_alarm_is_told_in_its_own_region" {
  command = plan # an apply would have to destroy the log bucket, which nothing may
  module { source = "./modules/observability" }

  override_resource {
    target          = aws_sns_topic.alarms["edge"]
    override_during = plan
    values          = { arn = "arn:aws:sns:us-east-1:123456789012:headwater-edge-alarms" }
  }
  override_resource {
    target          = aws_sns_topic.alarms["origin"]
    override_during = plan
    values          = { arn = "arn:aws:sns:eu-central-1:123456789012:headwater-alarms" }
  }
  override_resource {
    target          = aws_sns_topic.releases
    override_during = plan
    values          = { arn = "arn:aws:sns:eu-central-1:123456789012:headwater-releases" }
  }
  override_resource {
    target          = aws_sqs_queue.releases
    override_during = plan
    values          = { arn = "arn:aws:sqs:eu-central-1:123456789012:headwater-releases", url = "https://sqs.eu-central-1.amazonaws.com/123456789012/headwater-releases" }
  }
  override_resource {
    target          = aws_sqs_queue.undelivered
    override_during = plan
    values          = { arn = "arn:aws:sqs:eu-central-1:123456789012:headwater-releases-undelivered", url = "https://sqs.eu-central-1.amazonaws.com/123456789012/headwater-releases-undelivered" }
  }
  override_resource {
    target          = aws_cloudwatch_event_rule.release
    override_during = plan
    values          = { arn = "arn:aws:events:eu-central-1:123456789012:rule/headwater-release" }
  }

  assert {
    condition = alltrue([
      for alarm in concat(
        values(aws_cloudwatch_metric_alarm.edge), values(aws_cloudwatch_metric_alarm.origin),
        values(aws_cloudwatch_metric_alarm.origin_rate), values(aws_cloudwatch_metric_alarm.certificate),
        [aws_cloudwatch_metric_alarm.at_maximum, aws_cloudwatch_metric_alarm.undelivered],
      ) :
      alarm.alarm_actions == alarm.ok_actions && one([for arn in alarm.alarm_actions : split(":", arn)[3]]) == alarm.region
    ])
    error_message = "An alarm can only tell a topic of its Region, and tells the end as well as the beginning."
  }
  assert {
    condition = (
      output.alarm_topic_arns ==
      { edge = "arn:aws:sns:us-east-1:123456789012:headwater-edge-alarms", origin = "arn:aws:sns:eu-central-1:123456789012:headwater-alarms" }
    )
    error_message = "Both topics are handed on."
  }
  assert {
    condition = (
      toset([for s in aws_sns_topic_subscription.alarms : "${s.region} ${s.protocol} ${s.endpoint}"]) ==
      toset(["us-east-1 email on-call@example.com", "eu-central-1 email on-call@example.com"])
    )
    error_message = "Who hears of alarms hears of those of both Regions."
  }
  assert {
    condition     = toset([for s in aws_sns_topic_subscription.releases : s.endpoint]) == var.event_emails
    error_message = "Who hears of releases is asked for apart."
  }
  assert {
    condition = alltrue([
      for s in concat(jsondecode(aws_sqs_queue_policy.releases[0].policy).Statement, jsondecode(aws_sqs_queue_policy.undelivered.policy).Statement) :
      s.Condition.ArnEquals["aws:SourceArn"] == "arn:aws:events:eu-central-1:123456789012:rule/headwater-release" if s.Effect == "Allow"
    ])
    error_message = "Only this rule may send to the queues."
  }
  assert {
    condition = (
      jsondecode(aws_sqs_queue.releases[0].redrive_policy) ==
      { deadLetterTargetArn = "arn:aws:sqs:eu-central-1:123456789012:headwater-releases-undelivered", maxReceiveCount = 5 }
    )
    error_message = "What a reader cannot handle ends in the other queue."
  }
  assert {
    condition = (
      alltrue([
        for target in [aws_cloudwatch_event_target.release_mail, aws_cloudwatch_event_target.release_queue[0]] :
        target.dead_letter_config[0].arn == aws_sqs_queue.undelivered.arn
      ])
    )
    error_message = "What cannot be delivered is kept."
  }
}

run "topics_take_messages_from_their_senders_only" {
  command = plan
  module { source = "./modules/observability" }

  override_resource {
    target          = aws_sns_topic.alarms
    override_during = plan
    values          = { arn = "arn:aws:sns:eu-central-1:123456789012:headwater-alarms" }
  }
  override_resource {
    target          = aws_sns_topic.releases
    override_during = plan
    values          = { arn = "arn:aws:sns:eu-central-1:123456789012:headwater-releases" }
  }

  # An account where there is a condition; "anyone's" where EventBridge allows none.
  assert {
    condition = {
      for key, topic in merge(aws_sns_topic_policy.alarms, { releases = aws_sns_topic_policy.releases }) : key => [
        for s in jsondecode(topic.policy).Statement : "${s.Effect} ${s.Principal.Service} ${s.Action} ${try(s.Condition.StringEquals["aws:SourceAccount"], "anyone's")}"
      ]
      } == {
      origin   = ["Allow cloudwatch.amazonaws.com sns:Publish 123456789012"]
      edge     = ["Allow cloudwatch.amazonaws.com sns:Publish 123456789012", "Allow events.amazonaws.com sns:Publish anyone's"]
      releases = ["Allow events.amazonaws.com sns:Publish anyone's"]
    }
    error_message = "Alarms of this account, rules where there are rules, nobody else; and nobody may read."
  }
  assert {
    condition = alltrue([
      for kms in aws_kms_key.topics : [
        for s in jsondecode(kms.policy).Statement : s.Condition.StringEquals["aws:SourceAccount"] if try(s.Principal.Service, "") == "cloudwatch.amazonaws.com"
      ] == ["123456789012"]
    ])
    error_message = "Another account's alarms may not use the key."
  }
  assert {
    condition = (
      aws_cloudwatch_event_target.release_mail.arn == aws_sns_topic.releases.arn &&
      aws_sns_topic.releases.arn != aws_sns_topic.alarms["edge"].arn
    )
    error_message = "A move of a channel goes to who asked for releases."
  }
  assert {
    condition = (
      aws_cloudwatch_event_target.purge_failed[0].arn == aws_sns_topic.alarms["edge"].arn &&
      aws_cloudwatch_event_target.purge_failed[0].region == "us-east-1"
    )
    error_message = "A failed purge goes to who hears of alarms."
  }
  assert {
    condition = (
      aws_sqs_queue.releases[0].sqs_managed_sse_enabled &&
      aws_sqs_queue.undelivered.sqs_managed_sse_enabled
    )
    error_message = "Queues are encrypted."
  }
}

run "names_of_alarms_are_known_before_the_group_is" {
  command = plan
  module { source = "./modules/observability" }

  assert {
    condition = (
      length(setsubtract(output.rollback_alarm_names, [for alarm in merge(aws_cloudwatch_metric_alarm.origin, aws_cloudwatch_metric_alarm.origin_rate) : alarm.alarm_name])) ==
      0 &&
      length(output.rollback_alarm_names) == 3
    )
    error_message = "A roll-back is decided by alarms that there are."
  }
  assert {
    condition = (
      output.log_bucket_name == "headwater-logs-123456789012-eu-central-1" &&
      output.log_bucket_arn == "arn:aws:s3:::headwater-logs-123456789012-eu-central-1"
    )
    error_message = "The log bucket's name is known at plan: others count by it."
  }
}

run "without_an_edge_nothing_is_in_us_east_1" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    edge_enabled    = false
    distribution_id = null
    certificates    = { origin = { arn = "arn:aws:acm:eu-central-1:123456789012:certificate/origin", region = "eu-central-1" } }
  }

  assert {
    condition = (
      length(aws_cloudwatch_metric_alarm.edge) == 0 && length(aws_cloudwatch_metric_alarm.offload) == 0 &&
      length(aws_cloudwatch_event_rule.purge_failed) == 0 && keys(aws_sns_topic.alarms) == ["origin"] && keys(aws_kms_key.topics) == ["origin"]
    )
    error_message = "No distribution, no alarm on one, no topic for it."
  }
  assert {
    condition = (
      !contains(keys(aws_cloudwatch_metric_alarm.origin), "origin-bytes") &&
      contains(keys(aws_cloudwatch_metric_alarm.origin), "healthy-hosts")
    )
    error_message = "Without an edge the origin's bytes have no ceiling: they are the point."
  }
  assert {
    condition = (
      !strcontains(aws_cloudwatch_dashboard.this.dashboard_body, "AWS/CloudFront") &&
      !strcontains(aws_cloudwatch_dashboard.this.dashboard_body, "us-east-1")
    )
    error_message = "The dashboard shows what there is."
  }
}

run "topics_are_encrypted_with_keys_that_their_senders_may_use" {
  command = plan
  module { source = "./modules/observability" }

  assert {
    condition = (
      { for key, kms in aws_kms_key.topics : key => kms.region } == { edge = "us-east-1", origin = "eu-central-1" } &&
      alltrue([for kms in aws_kms_key.topics : kms.enable_key_rotation])
    )
    error_message = "A key for each Region, renewed by AWS."
  }
  assert {
    condition = alltrue([
      for kms in aws_kms_key.topics : toset([
        for s in jsondecode(kms.policy).Statement : s.Principal.Service if can(s.Principal.Service) && jsonencode(s.Action) == jsonencode(["kms:Decrypt", "kms:GenerateDataKey*"])
      ]) == toset(["cloudwatch.amazonaws.com", "events.amazonaws.com"])
    ])
    error_message = "CloudWatch and EventBridge must be able to encrypt, else their messages are lost without a word."
  }
  assert {
    condition = alltrue(flatten([
      for kms in aws_kms_key.topics : [for s in jsondecode(kms.policy).Statement : !can(s.Condition) if try(s.Principal.Service, "") == "events.amazonaws.com"]
    ]))
    error_message = "A condition on EventBridge never matches: SNS and its key would refuse it silently."
  }
}

run "a_budget_speaks_before_the_money_is_spent" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    budget = { limit_usd = 2500, emails = ["finance@example.com"], tag = { key = "service", value = "updates" } }
  }

  assert {
    condition = toset([for n in aws_budgets_budget.this[0].notification : "${n.notification_type} ${n.threshold} ${n.threshold_type}"]) == toset([
      "FORECASTED 100 PERCENTAGE", "ACTUAL 80 PERCENTAGE", "ACTUAL 100 PERCENTAGE",
    ])
    error_message = "The forecast, four fifths, and all of it."
  }
  assert {
    condition = (
      aws_budgets_budget.this[0].limit_amount == "2500" && aws_budgets_budget.this[0].limit_unit == "USD" && aws_budgets_budget.this[0].time_unit == "MONTHLY" &&
      one([for f in aws_budgets_budget.this[0].cost_filter : "${f.name} ${f.values[0]}"]) == "TagKeyValue user:service$updates" &&
      alltrue([for n in aws_budgets_budget.this[0].notification : n.subscriber_email_addresses == toset(["finance@example.com"])])
    )
    error_message = "2500 USD a month for one tag, told by mail."
  }
}

run "without_a_budget_there_is_none" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    event_queue = false
  }

  assert {
    condition     = length(aws_budgets_budget.this) == 0
    error_message = "A budget is an option."
  }
  assert {
    condition = (
      length(aws_sqs_queue.releases) == 0 &&
      length(aws_cloudwatch_event_target.release_queue) == 0 &&
      output.event_queue_arn == null
    )
    error_message = "The queue is an option too; mail remains."
  }
}
