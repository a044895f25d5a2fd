# Alarms on the balancer, the group and certificates. Owns what is wrong behind the edge, or without one: then these
# are all there is. Names are made of `name` alone, so that the group can roll back on them without waiting for them.

locals {
  origin_alarms = merge({
    # why: breaching when there is no data: the balancer counts hosts each minute as long as it has any, so that silence
    # means that there are none.
    healthy-hosts = {
      text       = "Fewer than ${var.thresholds.healthy_hosts_min} instances can serve."
      namespace  = "AWS/ApplicationELB"
      metric     = "HealthyHostCount"
      dimensions = local.target_dimensions
      stat       = "Minimum"
      operator   = "LessThanThreshold"
      threshold  = var.thresholds.healthy_hosts_min
      period     = 60
      periods    = 3
      missing    = "breaching"
    }

    # why: minutes, not seconds: an instance that starts or drains is not healthy for a while, and the group replaces
    # one that stays so. This one says that replacing does not help.
    unhealthy-hosts = {
      text       = "For ${var.thresholds.minutes_with_unhealthy_hosts} min some instance could not serve."
      namespace  = "AWS/ApplicationELB"
      metric     = "UnHealthyHostCount"
      dimensions = local.target_dimensions
      stat       = "Maximum"
      operator   = "GreaterThanThreshold"
      threshold  = 0
      period     = 60
      periods    = var.thresholds.minutes_with_unhealthy_hosts
      missing    = "notBreaching"
    }

    # Counted only when there is one (both below): no data is no error.
    load-balancer-errors = {
      text       = "In 5 min the balancer itself answered ${var.thresholds.load_balancer_errors} requests or more with 5xx."
      namespace  = "AWS/ApplicationELB"
      metric     = "HTTPCode_ELB_5XX_Count"
      dimensions = local.balancer_dimensions
      stat       = "Sum"
      operator   = "GreaterThanOrEqualToThreshold"
      threshold  = var.thresholds.load_balancer_errors
      period     = 300
      periods    = 1
      missing    = "notBreaching"
    }

    # why: connections that fail between balancer and origin are what a keep-alive chain in the wrong order looks like
    # (fact 85), and a full backlog.
    connection-errors = {
      text       = "In 5 min ${var.thresholds.connection_errors} connections or more from the balancer to an instance failed."
      namespace  = "AWS/ApplicationELB"
      metric     = "TargetConnectionErrorCount"
      dimensions = local.target_dimensions
      stat       = "Sum"
      operator   = "GreaterThanOrEqualToThreshold"
      threshold  = var.thresholds.connection_errors
      period     = 300
      periods    = 1
      missing    = "notBreaching"
    }
    }, {
    # The offload, as far as one Region can know it: with an edge the origin sends each artifact about once (fact 58),
    # whatever the number of devices, so that its bytes have a ceiling. Not a share: on a day with little to offload
    # it is silent, on a day with twice the artifacts it may speak.
    for key, alarm in {
      origin-bytes = {
        text       = "In an hour the origin sent more than ${var.thresholds.origin_gigabytes_per_hour} GB although there is an edge: what is offloaded less?"
        namespace  = "AWS/ApplicationELB"
        metric     = "ProcessedBytes"
        dimensions = local.balancer_dimensions
        stat       = "Sum"
        operator   = "GreaterThanThreshold"
        threshold  = var.thresholds.origin_gigabytes_per_hour * 1000000000
        period     = 3600
        periods    = 1
        missing    = "notBreaching"
      }
    } : key => alarm if var.edge_enabled
  })

  origin_rates = {
    # why: a share, with the same floor as at the edge: ten errors are nothing in a flash crowd and a lot at night.
    target-errors = {
      text       = "Instances answered ${var.thresholds.error_percent} % or more of requests with 5xx."
      expression = "IF(FILL(requests, 0) >= ${local.requests_min_per_minute}, 100 * FILL(errors, 0) / requests, 0)"
      metrics = {
        requests = { name = "RequestCount", stat = "Sum" }
        errors   = { name = "HTTPCode_Target_5XX_Count", stat = "Sum" }
      }
      threshold  = var.thresholds.error_percent
      period     = 60
      periods    = 5
      datapoints = 3
    }

    target-latency = {
      text       = "For 15 min a tenth of requests waited ${var.thresholds.latency_milliseconds} ms or longer for an instance's first byte."
      expression = "IF(FILL(requests, 0) >= ${var.thresholds.requests_min}, 1000 * latency, 0)"
      metrics = {
        requests = { name = "RequestCount", stat = "Sum" }
        latency  = { name = "TargetResponseTime", stat = "p90" }
      }
      threshold  = var.thresholds.latency_milliseconds
      period     = 300
      periods    = 3
      datapoints = 3
    }
  }

  # What says that a new image serves worse than the old one. Not the hosts: they come and go in every roll-out.
  rollback_alarm_names = [for key in ["connection-errors", "load-balancer-errors", "target-errors"] : "${var.name}-${key}"]
}

resource "aws_cloudwatch_metric_alarm" "origin" {
  for_each = local.origin_alarms

  region              = var.region
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.text
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.stat
  comparison_operator = each.value.operator
  threshold           = each.value.threshold
  period              = each.value.period
  evaluation_periods  = each.value.periods
  datapoints_to_alarm = each.value.periods
  treat_missing_data  = each.value.missing
  alarm_actions       = [aws_sns_topic.alarms["origin"].arn]
  ok_actions          = [aws_sns_topic.alarms["origin"].arn]
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "origin_rate" {
  for_each = local.origin_rates

  region              = var.region
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.text
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = each.value.threshold
  evaluation_periods  = each.value.periods
  datapoints_to_alarm = each.value.datapoints
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms["origin"].arn]
  ok_actions          = [aws_sns_topic.alarms["origin"].arn]
  tags                = var.tags

  metric_query {
    id          = "judged"
    expression  = each.value.expression
    label       = each.key
    return_data = true
  }

  dynamic "metric_query" {
    for_each = each.value.metrics

    content {
      id = metric_query.key

      metric {
        namespace   = "AWS/ApplicationELB"
        metric_name = metric_query.value.name
        dimensions  = local.target_dimensions
        period      = each.value.period
        stat        = metric_query.value.stat
      }
    }
  }
}

# The group wants all that it may have: the next crowd finds no room. Without data (`missing`) the alarm says so by its
# state: the group does not publish its metrics, and an alarm that looks well would lie.
resource "aws_cloudwatch_metric_alarm" "at_maximum" {
  region              = var.region
  alarm_name          = "${var.name}-group-at-maximum"
  alarm_description   = "For ${var.thresholds.minutes_at_maximum} min the group wanted as many instances as it may have."
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 1
  evaluation_periods  = var.thresholds.minutes_at_maximum
  datapoints_to_alarm = var.thresholds.minutes_at_maximum
  treat_missing_data  = "missing"
  alarm_actions       = [aws_sns_topic.alarms["origin"].arn]
  ok_actions          = [aws_sns_topic.alarms["origin"].arn]
  tags                = var.tags

  # why: the wish, not what is in service: instances that fail to start must not hide it. A group of a fixed size is always
  # at its maximum, and that is no news.
  metric_query {
    id          = "judged"
    expression  = "IF(wanted >= most AND most > least, 1, 0)"
    label       = "at maximum"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = { wanted = "GroupDesiredCapacity", most = "GroupMaxSize", least = "GroupMinSize" }

    content {
      id = metric_query.key

      metric {
        namespace   = "AWS/AutoScaling"
        metric_name = metric_query.value
        dimensions  = local.group_dimensions
        period      = 60
        stat        = "Maximum"
      }
    }
  }
}

# `ignore` keeps the state when data ends: an expired certificate has no days left to report, and its alarm must not
# end.
resource "aws_cloudwatch_metric_alarm" "certificate" {
  for_each = var.certificates

  region              = each.value.region
  alarm_name          = "${var.name}-certificate-${each.key}"
  alarm_description   = "In ${var.thresholds.certificate_days} days a certificate ends; ACM should have renewed it: is its validation record still there?"
  namespace           = "AWS/CertificateManager"
  metric_name         = "DaysToExpiry"
  dimensions          = { CertificateArn = each.value.arn }
  statistic           = "Minimum"
  comparison_operator = "LessThanThreshold"
  threshold           = var.thresholds.certificate_days
  period              = 86400
  evaluation_periods  = 1
  treat_missing_data  = "ignore"
  alarm_actions       = [aws_sns_topic.alarms[each.value.region == var.region ? "origin" : "edge"].arn]
  ok_actions          = [aws_sns_topic.alarms[each.value.region == var.region ? "origin" : "edge"].arn]
  tags                = var.tags
}
