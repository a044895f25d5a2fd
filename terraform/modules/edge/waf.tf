# What is refused before it costs anything: floods and methods that nobody needs. Owns the web ACL and its log.
# Never decides about paths or devices.

locals {
  # What the behaviours let through, unless said otherwise.
  waf_methods = var.web_acl == null ? [] : (
    var.web_acl.allowed_methods == null ? var.default_behavior.allowed_methods : var.web_acl.allowed_methods
  )
}

resource "aws_wafv2_web_acl" "this" {
  count = var.web_acl == null ? 0 : 1

  # Fact 74.
  region      = local.global_region
  scope       = "CLOUDFRONT"
  name        = "${var.name}-edge"
  description = "Method allow-list and rate limit in front of ${var.name}"
  tags        = var.tags

  default_action {
    allow {}
  }

  # why first: the cheapest rule, and what it refuses should not count against an address.
  rule {
    name     = "methods"
    priority = 0

    action {
      block {
        # RFC 9110 §15.5.6: the updater learns what was wrong; a bare 403 would look like a matter of rights.
        custom_response {
          response_code = 405

          response_header {
            name  = "allow"
            value = join(", ", local.waf_methods)
          }
        }
      }
    }

    statement {
      not_statement {
        statement {
          regex_match_statement {
            regex_string = "^(${join("|", local.waf_methods)})$"

            field_to_match {
              method {}
            }

            text_transformation {
              priority = 0
              type     = "NONE"
            }
          }
        }
      }
    }

    visibility_config {
      cloudwatch_metrics_enabled = true
      metric_name                = "${var.name}-methods"
      sampled_requests_enabled   = true
    }
  }

  dynamic "rule" {
    for_each = { for index, group in var.web_acl.managed_rule_groups : group => index + 1 }

    content {
      name     = rule.key
      priority = rule.value

      override_action {
        none {}
      }

      statement {
        managed_rule_group_statement {
          name        = rule.key
          vendor_name = "AWS"
        }
      }

      visibility_config {
        cloudwatch_metrics_enabled = true
        metric_name                = "${var.name}-${rule.key}"
        sampled_requests_enabled   = true
      }
    }
  }

  rule {
    name     = "rate"
    priority = 100

    action {
      block {
        # RFC 6585 §4: an honest updater behind a crowded address waits and comes back.
        custom_response {
          response_code = 429

          response_header {
            name  = "retry-after"
            value = tostring(var.web_acl.evaluation_window_sec)
          }
        }
      }
    }

    statement {
      rate_based_statement {
        # why: per address, the only thing about a viewer that CloudFront vouches for.
        aggregate_key_type    = "IP"
        evaluation_window_sec = var.web_acl.evaluation_window_sec
        limit                 = var.web_acl.rate_limit
      }
    }

    visibility_config {
      cloudwatch_metrics_enabled = true
      metric_name                = "${var.name}-rate"
      sampled_requests_enabled   = true
    }
  }

  visibility_config {
    cloudwatch_metrics_enabled = true
    metric_name                = "${var.name}-edge"
    sampled_requests_enabled   = true
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_cloudwatch_log_group" "waf" {
  count = var.web_acl == null ? 0 : 1

  region = local.global_region

  # why: WAF delivers to log groups with this prefix only.
  name              = "aws-waf-logs-${var.name}-edge"
  retention_in_days = var.web_acl.log_retention_days
  kms_key_id        = var.web_acl.log_kms_key_arn
  tags              = var.tags
}

resource "aws_wafv2_web_acl_logging_configuration" "this" {
  count = var.web_acl == null ? 0 : 1

  region       = local.global_region
  resource_arn = aws_wafv2_web_acl.this[0].arn

  log_destination_configs = [aws_cloudwatch_log_group.waf[0].arn]

  # why: only refusals. What was served is in the access log already.
  logging_filter {
    default_behavior = "DROP"

    filter {
      behavior    = "KEEP"
      requirement = "MEETS_ANY"

      condition {
        action_condition {
          action = "BLOCK"
        }
      }
    }
  }

  # A signature opens a private channel until it expires; a log is no place for it.
  redacted_fields {
    query_string {}
  }
}
