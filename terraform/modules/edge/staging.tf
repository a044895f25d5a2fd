# A second distribution for trying a change on a share of the traffic, and the policy that decides which share
# (fact 75). Owns nothing that is not also in distribution.tf. It has a cache of its own: each artifact is filled once
# more.
#
# The order AWS wants, and Terraform follows from the references: this distribution, then the policy that names it, then
# the primary one that names the policy; and backwards to remove it.

resource "aws_cloudfront_distribution" "staging" {
  count = local.has_staging ? 1 : 0

  comment         = "${var.name}: staging"
  staging         = true
  enabled         = true
  is_ipv6_enabled = var.ipv6
  http_version    = var.http_version
  price_class     = var.price_class
  web_acl_id      = local.web_acl_arn
  tags            = var.tags

  # why: edges use the old configuration until the new one has arrived, and Terraform goes on to delete what it needed.
  wait_for_deployment = true

  # No aliases: a name belongs to one distribution, and viewers keep asking the primary one's.

  origin {
    origin_id   = local.origin_id
    domain_name = var.origin.domain_name

    # Facts 46, 13: two attempts of four seconds. Whoever waits for a stale answer or for the bucket waits for all of
    # them. response_completion_timeout stays unset: it would cut large artifacts (fact 49).
    connection_attempts = local.variants.staging.connection_attempts
    connection_timeout  = local.variants.staging.connect_timeout

    dynamic "vpc_origin_config" {
      for_each = aws_cloudfront_vpc_origin.this[*].id

      content {
        vpc_origin_id            = vpc_origin_config.value
        origin_keepalive_timeout = var.timeouts.keepalive
        origin_read_timeout      = local.variants.staging.read_timeout
      }
    }

    dynamic "custom_origin_config" {
      for_each = local.is_vpc ? [] : [var.origin_mode]

      content {
        http_port                = local.http_port
        https_port               = local.https_port
        origin_protocol_policy   = var.origin.protocol
        origin_ssl_protocols     = local.origin_ssl_protocols
        origin_keepalive_timeout = var.timeouts.keepalive
        origin_read_timeout      = local.variants.staging.read_timeout

        # Fact 67: the load balancer checks this certificate; CloudFront shows it.
        dynamic "origin_mtls_config" {
          for_each = local.is_mtls ? [var.origin_mode] : []

          content {
            client_certificate_arn = var.origin_client_certificate_arn
          }
        }
      }
    }

    dynamic "custom_header" {
      for_each = local.sends_secret ? [var.origin_secret_header] : []

      content {
        name  = custom_header.value
        value = local.origin_secrets[0]
      }
    }

    dynamic "origin_shield" {
      for_each = local.origin_shields

      content {
        enabled              = true
        origin_shield_region = origin_shield.value
      }
    }
  }

  # No s3_origin_config: that block names a legacy identity, which access control replaces.
  dynamic "origin" {
    for_each = local.has_failover ? [var.failover_bucket] : []

    content {
      origin_id                = local.bucket_id
      domain_name              = origin.value.regional_domain_name
      origin_path              = local.bucket_path
      origin_access_control_id = aws_cloudfront_origin_access_control.bucket[0].id
      connection_attempts      = local.variants.staging.connection_attempts
      connection_timeout       = local.variants.staging.connect_timeout

      dynamic "origin_shield" {
        for_each = local.origin_shields

        content {
          enabled              = true
          origin_shield_region = origin_shield.value
        }
      }
    }
  }

  # Fact 50: every request tries the first member first.
  dynamic "origin_group" {
    for_each = local.has_failover ? [local.origin_group_id] : []

    content {
      origin_id = origin_group.value

      failover_criteria {
        status_codes = local.failover_status_codes
      }

      member {
        origin_id = local.origin_id
      }

      member {
        origin_id = local.bucket_id
      }
    }
  }

  # The first pattern that matches decides.
  dynamic "ordered_cache_behavior" {
    for_each = local.behaviors

    content {
      path_pattern     = ordered_cache_behavior.value.path_pattern
      target_origin_id = local.cached_target_id

      # GET and HEAD: an origin group fails over for those (fact 50), and nothing else is served.
      allowed_methods = ["GET", "HEAD"]
      cached_methods  = ["GET", "HEAD"]

      cache_policy_id            = local.cache_policy_ids["staging-${ordered_cache_behavior.value.kind}"]
      response_headers_policy_id = local.response_headers_policy_ids["staging-${ordered_cache_behavior.value.kind}"]
      compress                   = ordered_cache_behavior.value.compress
      viewer_protocol_policy     = var.viewer_protocol_policy
      trusted_key_groups         = ordered_cache_behavior.value.is_private ? local.key_group_ids : null

      function_association {
        event_type   = "viewer-request"
        function_arn = aws_cloudfront_function.viewer_request["staging"].arn
      }
    }
  }

  default_cache_behavior {
    # The origin alone: what is asked here is not in the bucket.
    target_origin_id = local.origin_id
    allowed_methods  = var.default_behavior.allowed_methods
    cached_methods   = ["GET", "HEAD"]

    cache_policy_id            = data.aws_cloudfront_cache_policy.disabled.id
    origin_request_policy_id   = local.default_origin_request_policy_id
    response_headers_policy_id = var.default_behavior.add_response_headers ? local.response_headers_policy_ids["staging-default"] : null
    compress                   = false
    viewer_protocol_policy     = var.viewer_protocol_policy

    dynamic "function_association" {
      for_each = var.default_behavior.run_function ? ["viewer-request"] : []

      content {
        event_type   = function_association.value
        function_arn = aws_cloudfront_function.viewer_request["staging"].arn
      }
    }
  }

  # Fact 22: ten seconds unless said otherwise. One, so that a device that asks before a release is everywhere, or while
  # the origin restarts, pins nothing. No page and no other status: an updater must see the real one.
  dynamic "custom_error_response" {
    for_each = local.error_codes

    content {
      error_code            = custom_error_response.value
      error_caching_min_ttl = local.variants.staging.error_caching_min_ttl
    }
  }

  # Fact 79: a bad release is withdrawn by its tag, whatever the number of its paths.
  dynamic "cache_tag_config" {
    for_each = compact([var.cache_tag_header])

    content {
      header_name = cache_tag_config.value
    }
  }

  restrictions {
    geo_restriction {
      restriction_type = "none"
    }
  }

  # why: the certificate that comes with *.cloudfront.net brings its own minimum of TLSv1, which cannot be raised; only
  # with a name of one's own does the minimum below apply (fact 71).
  viewer_certificate {
    acm_certificate_arn            = local.has_certificate ? var.certificate_arn : null
    ssl_support_method             = local.has_certificate ? "sni-only" : null
    minimum_protocol_version       = local.has_certificate ? var.minimum_protocol_version : null
    cloudfront_default_certificate = local.has_certificate ? null : true
  }

  # The door is open before anybody is sent to it.
  depends_on = [terraform_data.ingress]
}

resource "aws_cloudfront_continuous_deployment_policy" "staging" {
  count = local.has_staging ? 1 : 0

  enabled = var.staging.enabled

  staging_distribution_dns_names {
    items    = [aws_cloudfront_distribution.staging[0].domain_name]
    quantity = 1
  }

  traffic_config {
    type = var.staging.weight == null ? "SingleHeader" : "SingleWeight"

    dynamic "single_weight_config" {
      for_each = var.staging.weight == null ? [] : [var.staging.weight]

      content {
        weight = single_weight_config.value

        # A device that reads a channel and then an artifact should meet one configuration for both.
        dynamic "session_stickiness_config" {
          for_each = var.staging.session_stickiness == null ? [] : [var.staging.session_stickiness]

          content {
            idle_ttl    = session_stickiness_config.value.idle_ttl
            maximum_ttl = session_stickiness_config.value.maximum_ttl
          }
        }
      }
    }

    dynamic "single_header_config" {
      for_each = var.staging.header == null ? [] : [var.staging.header]

      content {
        header = single_header_config.value.name
        value  = single_header_config.value.value
      }
    }
  }

  lifecycle {
    # The primary distribution lets go of it first.
    create_before_destroy = true
  }
}
