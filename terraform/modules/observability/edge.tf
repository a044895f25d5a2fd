# Alarms on the distribution. Owns what is wrong as devices see it. All of it is in us-east-1, where CloudFront's
# metrics are; CacheHitRate and OriginLatency need the paid metrics (fact 81), which modules/edge switches on.

locals {
  # A quiet night has no requests and so no data: that is well, hence `notBreaching` throughout. The floor does the same
  # for a nearly quiet one, where a single device's first request makes a hit rate of 0 %.
  requests_min_per_minute = ceil(var.thresholds.requests_min / 5)

  edge_metrics = {
    requests = { name = "Requests", stat = "Sum" }
    errors   = { name = "5xxErrorRate", stat = "Average" }
    hits     = { name = "CacheHitRate", stat = "Average" }
    latency  = { name = "OriginLatency", stat = "p90" }
  }

  edge_alarms = {
    # why: three minutes of five: stale copies hide a short trouble of the origin from devices (fact 9), so that what is
    # seen here is real.
    errors = {
      text       = "Devices get ${var.thresholds.error_percent} % or more 5xx from the edge."
      metrics    = ["requests", "errors"]
      expression = "IF(FILL(requests, 0) >= ${local.requests_min_per_minute}, errors, 0)"
      operator   = "GreaterThanOrEqualToThreshold"
      threshold  = var.thresholds.error_percent
      period     = 60
      periods    = 5
      datapoints = 3
    }

    # why: 15 minutes: the minutes after a release are misses by right, once for each cache (fact 58).
    hits = {
      text       = "For 15 min fewer than ${var.thresholds.hit_percent} % of requests were hits: a key split by something, or a TTL gone."
      metrics    = ["requests", "hits"]
      expression = "IF(FILL(requests, 0) >= ${var.thresholds.requests_min}, hits, 100)"
      operator   = "LessThanThreshold"
      threshold  = var.thresholds.hit_percent
      period     = 300
      periods    = 3
      datapoints = 3
    }

    # why: until the first byte, of misses only: large artifacts do not move it, a slow store or a full group does.
    latency = {
      text       = "For 15 min a tenth of misses waited ${var.thresholds.latency_milliseconds} ms or longer for the origin's first byte."
      metrics    = ["requests", "latency"]
      expression = "IF(FILL(requests, 0) >= ${var.thresholds.requests_min}, latency, 0)"
      operator   = "GreaterThanOrEqualToThreshold"
      threshold  = var.thresholds.latency_milliseconds
      period     = 300
      periods    = 3
      datapoints = 3
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "edge" {
  for_each = { for key, alarm in local.edge_alarms : key => alarm if var.edge_enabled }

  region              = local.edge_region
  alarm_name          = "${var.name}-edge-${each.key}"
  alarm_description   = each.value.text
  comparison_operator = each.value.operator
  threshold           = each.value.threshold
  evaluation_periods  = each.value.periods
  datapoints_to_alarm = each.value.datapoints
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms["edge"].arn]
  ok_actions          = [aws_sns_topic.alarms["edge"].arn]
  tags                = var.tags

  metric_query {
    id          = "judged"
    expression  = each.value.expression
    label       = each.key
    return_data = true
  }

  dynamic "metric_query" {
    for_each = { for id, metric in local.edge_metrics : id => metric if contains(each.value.metrics, id) }

    content {
      id = metric_query.key

      metric {
        namespace   = "AWS/CloudFront"
        metric_name = metric_query.value.name
        dimensions  = local.distribution_dimensions
        period      = each.value.period
        stat        = metric_query.value.stat
      }
    }
  }
}

# The share of bytes that the origin did not see. Only where both metrics are in one Region: an alarm cannot read two.
# Elsewhere origin_bytes in origin.tf stands in, and the dashboard computes the share.
resource "aws_cloudwatch_metric_alarm" "offload" {
  count = var.edge_enabled && local.is_one_region ? 1 : 0

  region              = local.edge_region
  alarm_name          = "${var.name}-edge-offload"
  alarm_description   = "For an hour the origin sent more than ${100 - var.thresholds.offload_percent} % of the bytes that devices got."
  comparison_operator = "LessThanThreshold"
  threshold           = var.thresholds.offload_percent
  evaluation_periods  = 4
  datapoints_to_alarm = 4
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms["edge"].arn]
  ok_actions          = [aws_sns_topic.alarms["edge"].arn]
  tags                = var.tags

  # why: below a gigabyte in 15 minutes health checks and headers are a share of the balancer's bytes worth seeing.
  metric_query {
    id          = "judged"
    expression  = "IF(FILL(edge, 0) >= 1000000000, 100 * (1 - FILL(origin, 0) / edge), 100)"
    label       = "offload"
    return_data = true
  }

  metric_query {
    id = "edge"

    metric {
      namespace   = "AWS/CloudFront"
      metric_name = "BytesDownloaded"
      dimensions  = local.distribution_dimensions
      period      = 900
      stat        = "Sum"
    }
  }

  metric_query {
    id = "origin"

    metric {
      namespace   = "AWS/ApplicationELB"
      metric_name = "ProcessedBytes"
      dimensions  = local.balancer_dimensions
      period      = 900
      stat        = "Sum"
    }
  }
}
