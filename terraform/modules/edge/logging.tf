# What is recorded: one access record per request (standard logging v2, fact 82) and the paid metrics (fact 81).
# Owns the delivery; the bucket, its policy and its lifetime belong to whoever passes it in. Never records cookies or,
# unless asked to, addresses of devices.

locals {
  log_destination_arn = var.access_logs == null ? null : join("/", compact([var.access_logs.bucket_arn, var.access_logs.prefix]))

  log_sources = var.access_logs == null ? {} : merge(
    { primary = aws_cloudfront_distribution.this.arn },
    local.has_staging ? { staging = aws_cloudfront_distribution.staging[0].arn } : {}
  )
}

resource "aws_cloudwatch_log_delivery_source" "access" {
  for_each = local.log_sources

  region       = local.global_region
  name         = "${var.name}-${each.key}-access"
  log_type     = "ACCESS_LOGS"
  resource_arn = each.value
  tags         = var.tags
}

resource "aws_cloudwatch_log_delivery_destination" "access" {
  count = var.access_logs == null ? 0 : 1

  region = local.global_region
  name   = "${var.name}-access"
  tags   = var.tags

  # why: columns, so that "which release, which country, how many bytes" scans one column and not whole lines.
  output_format = "parquet"

  delivery_destination_configuration {
    destination_resource_arn = local.log_destination_arn
  }
}

resource "aws_cloudwatch_log_delivery" "access" {
  for_each = local.log_sources

  region                   = local.global_region
  delivery_source_name     = aws_cloudwatch_log_delivery_source.access[each.key].name
  delivery_destination_arn = aws_cloudwatch_log_delivery_destination.access[0].arn
  record_fields            = var.access_logs.record_fields
  tags                     = var.tags

  # why: a partition per distribution and hour, in Hive's form: a query about a release day reads that day.
  s3_delivery_configuration {
    enable_hive_compatible_path = true
    suffix_path                 = "{DistributionId}/{yyyy}/{MM}/{dd}/{HH}"
  }
}

# Fact 81: without it there is no CacheHitRate and no OriginLatency, on which the alarms stand.
resource "aws_cloudfront_monitoring_subscription" "this" {
  count = var.monitoring_subscription ? 1 : 0

  distribution_id = aws_cloudfront_distribution.this.id

  monitoring_subscription {
    realtime_metrics_subscription_config {
      realtime_metrics_subscription_status = "Enabled"
    }
  }
}
