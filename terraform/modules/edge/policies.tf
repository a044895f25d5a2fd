# How long the edge keeps what, what tells two objects apart, and what a viewer is told about it.
# Owns the cache, origin-request and response-headers policies. Never puts a cookie, a query string or a header into a
# cache key: nothing that Headwater serves depends on them, and every further value divides the cache (fact 14).

# ---- Managed by AWS, found by name: ids are not ours to remember (fact 5) -------------------------------------------

# why: what is neither an artifact nor a channel is an answer about this moment (/healthz).
data "aws_cloudfront_cache_policy" "disabled" {
  name = "Managed-CachingDisabled"
}

data "aws_cloudfront_origin_request_policy" "default" {
  count = var.default_behavior.origin_request_policy_name == null ? 0 : 1

  name = var.default_behavior.origin_request_policy_name
}

# ---- Cache policies --------------------------------------------------------------------------------------------------

locals {
  cache_policies = merge([
    for variant, settings in local.variants : {
      "${variant}-artifacts" = {
        comment = "Released artifacts: immutable, told apart by their path alone"

        # why: 1 and not 0, so that a stray no-store cannot end collapsing (fact 26). A whole year only where the
        # application's own headers cannot be repaired (fact 3), and only here, where a path names its bytes for ever:
        # the same on a pointer would pin a mistake.
        min_ttl     = max(settings.artifact_min_ttl, settings.force_cache_control ? local.year_sec : 0)
        default_ttl = local.year_sec
        max_ttl     = local.year_sec

        # why: artifacts are compressed already; encodings in the key would store each of them up to three times, and an
        # edge that compresses weakens the ETag, which ends If-Range resumption (facts 17, 18).
        encodings = false
      }

      "${variant}-channels" = {
        comment = "Channel documents and redirects: pointers, asked for again after seconds"

        # why: 0, always. Above it CloudFront would keep what the origin marked no-store (fact 3).
        min_ttl     = 0
        default_ttl = settings.channel_default_ttl

        # The limit also of stale-while-revalidate and stale-if-error (fact 9): this is how long devices go on with the
        # last known channel while neither origin nor bucket answers.
        max_ttl = settings.channel_max_ttl

        # Both flags together: the header is normalised to one of three values (fact 17).
        encodings = true
      }
    }
  ]...)

  cache_policy_hashes = { for key, policy in local.cache_policies : key => substr(sha256(jsonencode(policy)), 0, 8) }
}

# The provider would update a policy in place, name included: this makes a changed one a new one.
resource "terraform_data" "cache_policy" {
  for_each = local.cache_policy_hashes

  input = each.value
}

resource "aws_cloudfront_cache_policy" "this" {
  for_each = local.cache_policies

  name        = "${var.name}-${each.key}-${local.cache_policy_hashes[each.key]}"
  comment     = each.value.comment
  min_ttl     = each.value.min_ttl
  default_ttl = each.value.default_ttl
  max_ttl     = each.value.max_ttl

  parameters_in_cache_key_and_forwarded_to_origin {
    enable_accept_encoding_gzip   = each.value.encodings
    enable_accept_encoding_brotli = each.value.encodings

    # why: a forwarded cookie ends collapsing as well (fact 26).
    cookies_config {
      cookie_behavior = "none"
    }

    headers_config {
      header_behavior = "none"
    }

    query_strings_config {
      query_string_behavior = "none"
    }
  }

  lifecycle {
    create_before_destroy = true
    replace_triggered_by  = [terraform_data.cache_policy[each.key]]
  }
}

# ---- Origin-request policy -------------------------------------------------------------------------------------------

# For the default behaviour only. Artifacts and channels have none: a miss is answered to everybody who waits for it, so
# that nothing of the one who happened to be first may matter (facts 14, 26). Never the Host header: the origin's
# certificate is for the origin's own name (fact 40).
resource "aws_cloudfront_origin_request_policy" "default" {
  count = var.default_behavior.origin_request_policy_name == null ? 1 : 0

  name    = "${var.name}-default"
  comment = "User-Agent for the origin's log; no cookie, no query string"

  cookies_config {
    cookie_behavior = "none"
  }

  # why: without it the origin sees "Amazon CloudFront" (fact 40) and cannot tell a monitor from a scanner.
  headers_config {
    header_behavior = "whitelist"

    headers {
      items = ["User-Agent"]
    }
  }

  query_strings_config {
    query_string_behavior = "none"
  }

  lifecycle {
    create_before_destroy = true
  }
}

# ---- Response-headers policies ---------------------------------------------------------------------------------------

locals {
  # Facts 3 and 73: for an application whose headers cannot be changed. CloudFront adds these to what viewers get, error
  # answers included, and never reads them itself; its own lifetime comes from the cache policy.
  forced_cache_control = {
    artifacts = var.forced_cache_control.artifacts
    channels  = var.forced_cache_control.channels
    default   = null
  }

  response_headers_policies = merge([
    for variant, settings in local.variants : {
      for kind, cache_control in local.forced_cache_control : "${variant}-${kind}" => {
        cache_control = settings.force_cache_control ? cache_control : null
        hsts          = var.hsts
        cors_origins  = var.cors_origins
      } if kind != "default" || var.default_behavior.add_response_headers
    }
  ]...)

  response_headers_policy_hashes = {
    for key, policy in local.response_headers_policies : key => substr(sha256(jsonencode(policy)), 0, 8)
  }
}

resource "terraform_data" "response_headers_policy" {
  for_each = local.response_headers_policy_hashes

  input = each.value
}

resource "aws_cloudfront_response_headers_policy" "this" {
  for_each = local.response_headers_policies

  name    = "${var.name}-${each.key}-${local.response_headers_policy_hashes[each.key]}"
  comment = each.value.cache_control == null ? "Cache-Control is the origin's" : "Cache-Control replaced for viewers"

  security_headers_config {
    # Bytes for an updater are no page, whatever they look like.
    content_type_options {
      override = true
    }

    dynamic "strict_transport_security" {
      for_each = each.value.hsts == null ? [] : [each.value.hsts]

      content {
        access_control_max_age_sec = strict_transport_security.value.max_age_sec
        include_subdomains         = strict_transport_security.value.include_subdomains
        preload                    = strict_transport_security.value.preload
        override                   = true
      }
    }
  }

  dynamic "custom_headers_config" {
    for_each = each.value.cache_control == null ? [] : [each.value.cache_control]

    content {
      items {
        header   = "Cache-Control"
        value    = custom_headers_config.value
        override = true
      }
    }
  }

  dynamic "cors_config" {
    for_each = length(each.value.cors_origins) == 0 ? [] : [each.value.cors_origins]

    content {
      # why: what is served is the same for everybody, so a credential would be sent for nothing.
      access_control_allow_credentials = false
      access_control_max_age_sec       = 86400
      origin_override                  = true

      access_control_allow_headers {
        items = ["*"]
      }

      access_control_allow_methods {
        items = ["GET", "HEAD"]
      }

      access_control_allow_origins {
        items = cors_config.value
      }

      # What a downloader in a page needs in order to resume and to verify.
      access_control_expose_headers {
        items = ["Content-Length", "Content-Range", "ETag"]
      }
    }
  }

  lifecycle {
    create_before_destroy = true
    replace_triggered_by  = [terraform_data.response_headers_policy[each.key]]
  }
}

# What the behaviours and the outputs name them by: "primary-artifacts" and so on.
locals {
  cache_policy_ids            = { for key, policy in aws_cloudfront_cache_policy.this : key => policy.id }
  response_headers_policy_ids = { for key, policy in aws_cloudfront_response_headers_policy.this : key => policy.id }
}
