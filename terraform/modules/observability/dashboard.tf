# One page for a release day: is it well, is it offloaded, what does it cost. Owns the layout and the sums.
#
# Widgets may mix Regions where alarms may not: the share of bytes that the origin did not see is computed here. Sums of
# money are list prices of the first tier times bytes, never an invoice.

locals {
  edge_metric = {
    for id, name in {
      requests = "Requests"
      bytes    = "BytesDownloaded"
      hits     = "CacheHitRate"
      latency  = "OriginLatency"
      errors   = "5xxErrorRate"
      refusals = "4xxErrorRate"
    } :
    id => ["AWS/CloudFront", name, "DistributionId", local.distribution_dimensions.DistributionId, "Region", "Global"]
  }

  balancer_metric = {
    for id, name in { bytes = "ProcessedBytes", errors = "HTTPCode_ELB_5XX_Count" } :
    id => ["AWS/ApplicationELB", name, "LoadBalancer", var.load_balancer_arn_suffix]
  }

  target_metric = {
    for id, name in {
      latency     = "TargetResponseTime"
      errors      = "HTTPCode_Target_5XX_Count"
      connections = "TargetConnectionErrorCount"
      unhealthy   = "UnHealthyHostCount"
    } :
    id => [
      "AWS/ApplicationELB", name,
      "TargetGroup", var.target_group_arn_suffix, "LoadBalancer", var.load_balancer_arn_suffix,
    ]
  }

  group_metric = {
    for id, name in { desired = "GroupDesiredCapacity", serving = "GroupInServiceInstances", most = "GroupMaxSize" } :
    id => ["AWS/AutoScaling", name, "AutoScalingGroupName", var.autoscaling_group_name]
  }

  group_network = ["AWS/EC2", "NetworkOut", "AutoScalingGroupName", var.autoscaling_group_name]

  in_edge = { region = local.edge_region }
  hidden  = { visible = false }

  from_zero = { yAxis = { left = { min = 0 } } }
  percent   = { yAxis = { left = { min = 0, max = 100 } } }

  # What the same bytes cost in the other world too, so that both stand side by side.
  price_without_edge = var.prices.instance_per_gigabyte + var.prices.load_balancer_per_gigabyte

  usd = {
    edge    = "bytes / 1000000000 * ${var.prices.edge_per_gigabyte}"
    no_edge = "bytes / 1000000000 * ${local.price_without_edge}"
  }

  a_day           = { stat = "Sum", period = 86400 }
  here            = { region = var.region }
  counted_in_edge = merge(local.a_day, local.in_edge, local.hidden, { id = "bytes" })
  counted_here    = merge(local.a_day, local.here, local.hidden, { id = "bytes" })

  money = [
    {
      edge = true
      metrics = [
        concat(local.edge_metric.bytes, [local.counted_in_edge]),
        [merge(local.in_edge, { id = "with", expression = local.usd.edge, label = "with the edge", period = 86400 })],
        [merge(local.in_edge, { id = "without", expression = local.usd.no_edge, label = "without it", period = 86400 })],
      ]
    },
    {
      edge = false
      metrics = [
        concat(local.balancer_metric.bytes, [local.counted_here]),
        [merge(local.here, { id = "without", expression = local.usd.no_edge, label = "as it is", period = 86400 })],
        [merge(local.here, { id = "with", expression = local.usd.edge, label = "with an edge", period = 86400 })],
      ]
    },
  ]

  # A row is its height and its widgets; a widget is a width, a title, metrics and the rest of its properties.
  rows_of_edge = [
    {
      height = 6
      widgets = [
        {
          width      = 8
          title      = "Offload: bytes that the origin did not send, %"
          properties = local.percent
          metrics = [
            concat(local.edge_metric.bytes, [merge(local.in_edge, local.hidden, { id = "edge", stat = "Sum", period = 3600 })]),
            concat(local.balancer_metric.bytes, [merge(local.hidden, { id = "origin", region = var.region, stat = "Sum", period = 3600 })]),
            [{ id = "offload", expression = "100 * (1 - origin / edge)", label = "offload", region = local.edge_region, period = 3600 }],
          ]
        },
        {
          width = 8
          title = "Hits of cacheable requests, %"
          properties = {
            yAxis       = local.percent.yAxis
            annotations = { horizontal = [{ label = "alarm", value = var.thresholds.hit_percent }] }
          }
          metrics = [concat(local.edge_metric.hits, [merge(local.in_edge, { label = "hits", stat = "Average", period = 300 })])]
        },
        {
          width      = 8
          title      = "Bytes: to devices, and from the origin"
          properties = local.from_zero
          metrics = [
            concat(local.edge_metric.bytes, [merge(local.in_edge, { label = "edge to devices", stat = "Sum", period = 300 })]),
            concat(local.balancer_metric.bytes, [{ label = "origin to edge", region = var.region, stat = "Sum", period = 300 }]),
          ]
        },
      ]
    },
    {
      height = 6
      widgets = [
        {
          width      = 8
          title      = "Requests at the edge"
          properties = {}
          metrics = [
            concat(local.edge_metric.requests, [merge(local.in_edge, { label = "requests", stat = "Sum", period = 60 })]),
          ]
        },
        {
          width      = 8
          title      = "Errors at the edge, %"
          properties = local.from_zero
          metrics = [
            concat(local.edge_metric.errors, [merge(local.in_edge, { label = "5xx", stat = "Average", period = 60 })]),
            concat(local.edge_metric.refusals, [merge(local.in_edge, { label = "4xx", stat = "Average", period = 60 })]),
          ]
        },
        {
          width      = 8
          title      = "First byte of a miss, ms"
          properties = local.from_zero
          metrics = [
            concat(local.edge_metric.latency, [merge(local.in_edge, { label = "p50", stat = "p50", period = 300 })]),
            concat(local.edge_metric.latency, [merge(local.in_edge, { label = "p90", stat = "p90", period = 300 })]),
          ]
        },
      ]
    },
  ]

  rows_of_origin = [
    {
      height = 6
      widgets = [
        {
          width      = 8
          title      = "Instances"
          properties = local.from_zero
          metrics = [
            concat(local.group_metric.serving, [{ label = "serving", region = var.region, stat = "Average", period = 60 }]),
            concat(local.group_metric.desired, [{ label = "wanted", region = var.region, stat = "Average", period = 60 }]),
            concat(local.group_metric.most, [{ label = "at most", region = var.region, stat = "Average", period = 60 }]),
            concat(local.target_metric.unhealthy, [{ label = "unhealthy", region = var.region, stat = "Maximum", period = 60 }]),
          ]
        },
        {
          width      = 8
          title      = "Errors behind the balancer"
          properties = local.from_zero
          metrics = [
            concat(local.target_metric.errors, [{ label = "5xx of instances", region = var.region, stat = "Sum", period = 60 }]),
            concat(local.balancer_metric.errors, [{ label = "5xx of the balancer", region = var.region, stat = "Sum", period = 60 }]),
            concat(local.target_metric.connections, [{ label = "failed connections", region = var.region, stat = "Sum", period = 60 }]),
          ]
        },
        {
          width      = 8
          title      = "First byte of an instance, s"
          properties = local.from_zero
          metrics = [
            concat(local.target_metric.latency, [{ label = "p50", region = var.region, stat = "p50", period = 60 }]),
            concat(local.target_metric.latency, [{ label = "p90", region = var.region, stat = "p90", period = 60 }]),
          ]
        },
      ]
    },
    {
      height = 6
      widgets = [
        {
          width      = 12
          title      = "Bytes out of the balancer and of one instance"
          properties = local.from_zero
          metrics = [
            concat(local.balancer_metric.bytes, [{ label = "balancer", region = var.region, stat = "Sum", period = 300 }]),
            concat(local.group_network, [{ label = "mean instance", region = var.region, stat = "Average", period = 300 }]),
          ]
        },
        {
          width      = 12
          title      = "A day's bytes at list price, USD: an estimate without requests, hours and tiers"
          properties = local.from_zero
          metrics    = [for world in local.money : world.metrics if world.edge == var.edge_enabled][0]
        },
      ]
    },
  ]

  rows = concat([for row in local.rows_of_edge : row if var.edge_enabled], local.rows_of_origin)

  dashboard = {
    start          = "-PT12H"
    periodOverride = "inherit"
    widgets = concat(
      [{
        type = "text", x = 0, y = 0, width = 24, height = 2
        properties = {
          markdown = join(" ", compact([
            "# ${var.name}\n",
            var.edge_enabled ? "Distribution ${local.distribution_dimensions.DistributionId}." : "No edge.",
            "Origin in ${var.region}.",
            "Data of CloudFront comes a few minutes late. After a release misses are right: once for each cache.",
          ]))
        }
      }],
      flatten([
        for r, row in local.rows : [
          for w, widget in row.widgets : {
            type   = "metric"
            x      = sum(concat([0], [for before in slice(row.widgets, 0, w) : before.width]))
            y      = 2 + sum(concat([0], [for before in slice(local.rows, 0, r) : before.height]))
            width  = widget.width
            height = row.height
            properties = merge(
              { title = widget.title, view = "timeSeries", stacked = false, region = var.region, metrics = widget.metrics },
              widget.properties,
            )
          }
        ]
      ]),
    )
  }
}

resource "aws_cloudwatch_dashboard" "this" {
  region         = var.region
  dashboard_name = var.name
  dashboard_body = jsonencode(local.dashboard)
}
