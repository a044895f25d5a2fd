# What the edge promises viewers: which paths are kept how long, under which key, with which headers, and what an error
# is. Owns the distribution and its policies; the way to the origin is in edge_origin.tftest.hcl, what is refused in
# edge_refusals.tftest.hcl. Nothing here ran against AWS.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name            = "headwater"
  origin_region   = "eu-central-1"
  aliases         = ["updates.example.com"]
  certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-0000-0000-000000000001"

  origin = {
    load_balancer_arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/headwater/0123456789abcdef"
    domain_name       = "origin.example.com"
    security_group_id = "sg-0123456789abcdef0"
    vpc_id            = "vpc-0123456789abcdef0"
  }

  failover_bucket = {
    regional_domain_name = "headwater-example.s3.eu-central-1.amazonaws.com"
  }
}

run "artifacts_are_kept_for_a_year_under_their_path_alone" {
  command = plan

  module {
    source = "./modules/edge"
  }

  assert {
    condition     = aws_cloudfront_cache_policy.this["primary-artifacts"].max_ttl == 31536000
    error_message = "MaxTTL of artifacts is below a year."
  }

  assert {
    condition     = aws_cloudfront_cache_policy.this["primary-artifacts"].default_ttl == 31536000
    error_message = "An artifact without Cache-Control is not kept for a year."
  }

  assert {
    condition     = aws_cloudfront_cache_policy.this["primary-artifacts"].min_ttl == 1
    error_message = "MinTTL of artifacts is not 1: what the origin says about them is overridden, or collapsing can be ended."
  }

  assert {
    condition = alltrue([
      for key in aws_cloudfront_cache_policy.this["primary-artifacts"].parameters_in_cache_key_and_forwarded_to_origin :
      !key.enable_accept_encoding_gzip && !key.enable_accept_encoding_brotli
    ])
    error_message = "An encoding is in the key of artifacts: each of them would be stored more than once."
  }

  assert {
    condition     = aws_cloudfront_distribution.this.ordered_cache_behavior[0].path_pattern == "/artifacts/*"
    error_message = "Artifacts are not the first behaviour."
  }

  assert {
    condition     = aws_cloudfront_distribution.this.ordered_cache_behavior[0].compress == false
    error_message = "The edge compresses artifacts, which weakens their ETag (fact 18)."
  }

  assert {
    condition     = aws_cloudfront_distribution.this.ordered_cache_behavior[0].origin_request_policy_id == null
    error_message = "Something of the first viewer's request goes to the origin beside the key of an artifact."
  }
}

run "channels_are_kept_for_seconds_and_compressed" {
  command = plan

  module {
    source = "./modules/edge"
  }

  assert {
    condition     = aws_cloudfront_cache_policy.this["primary-channels"].min_ttl == 0
    error_message = "MinTTL of channels is above 0: a pointer marked no-store would be kept (fact 3)."
  }

  assert {
    condition     = aws_cloudfront_cache_policy.this["primary-channels"].default_ttl == 30
    error_message = "A channel without Cache-Control is not kept for 30 s."
  }

  assert {
    condition     = aws_cloudfront_cache_policy.this["primary-channels"].max_ttl == 300
    error_message = "A channel can be kept for longer than 300 s."
  }

  assert {
    condition = alltrue([
      for key in aws_cloudfront_cache_policy.this["primary-channels"].parameters_in_cache_key_and_forwarded_to_origin :
      key.enable_accept_encoding_gzip && key.enable_accept_encoding_brotli
    ])
    error_message = "Channels are not offered as gzip and br: with one flag alone the header would not be normalised to both."
  }

  assert {
    condition     = aws_cloudfront_distribution.this.ordered_cache_behavior[1].path_pattern == "/channels/*"
    error_message = "Channels are not the second behaviour."
  }

  assert {
    condition     = aws_cloudfront_distribution.this.ordered_cache_behavior[1].compress == true
    error_message = "The edge does not compress channels."
  }

  assert {
    condition     = aws_cloudfront_distribution.this.ordered_cache_behavior[1].origin_request_policy_id == null
    error_message = "Something of the first viewer's request goes to the origin beside the key of a channel."
  }
}

run "no_key_holds_a_cookie_a_query_or_a_header" {
  command = plan

  module {
    source = "./modules/edge"
  }

  assert {
    condition = alltrue(flatten([
      for policy in aws_cloudfront_cache_policy.this : [
        for key in policy.parameters_in_cache_key_and_forwarded_to_origin : [
          key.cookies_config[0].cookie_behavior == "none",
          key.query_strings_config[0].query_string_behavior == "none",
          key.headers_config[0].header_behavior == "none",
        ]
      ]
    ]))
    error_message = "A cookie, a query string or a header divides the cache."
  }

  assert {
    condition = alltrue([
      for policy in aws_cloudfront_origin_request_policy.default :
      policy.cookies_config[0].cookie_behavior == "none" && policy.query_strings_config[0].query_string_behavior == "none"
    ])
    error_message = "Cookies or query strings reach the origin."
  }

  assert {
    condition = (
      aws_cloudfront_origin_request_policy.default[0].headers_config[0].headers[0].items == toset(["User-Agent"])
    )
    error_message = "Another header than User-Agent reaches the origin; Host would break TLS to it."
  }
}

run "behaviours_use_their_policies" {
  command = apply

  module {
    source = "./modules/edge"
  }

  assert {
    condition = alltrue([
      for behavior in aws_cloudfront_distribution.this.ordered_cache_behavior :
      behavior.cache_policy_id == aws_cloudfront_cache_policy.this[behavior.path_pattern == "/artifacts/*" ? "primary-artifacts" : "primary-channels"].id
    ])
    error_message = "A behaviour uses another kind's cache policy."
  }

  assert {
    condition = (
      aws_cloudfront_cache_policy.this["primary-artifacts"].id != aws_cloudfront_cache_policy.this["primary-channels"].id
    )
    error_message = "The two cache policies cannot be told apart: the assertion above says nothing."
  }

  assert {
    condition = alltrue([
      for behavior in aws_cloudfront_distribution.this.ordered_cache_behavior :
      behavior.response_headers_policy_id == aws_cloudfront_response_headers_policy.this[behavior.path_pattern == "/artifacts/*" ? "primary-artifacts" : "primary-channels"].id
    ])
    error_message = "A behaviour uses another kind's response-headers policy."
  }

  assert {
    condition = (
      aws_cloudfront_distribution.this.default_cache_behavior[0].cache_policy_id == data.aws_cloudfront_cache_policy.disabled.id
    )
    error_message = "What is neither artifact nor channel is cached."
  }

  assert {
    condition     = data.aws_cloudfront_cache_policy.disabled.name == "Managed-CachingDisabled"
    error_message = "The managed policy is not found by its name."
  }

  assert {
    condition = (
      aws_cloudfront_distribution.this.default_cache_behavior[0].origin_request_policy_id == aws_cloudfront_origin_request_policy.default[0].id
    )
    error_message = "The default behaviour does not use its origin-request policy."
  }

  assert {
    condition = (
      aws_cloudfront_distribution.this.default_cache_behavior[0].response_headers_policy_id == aws_cloudfront_response_headers_policy.this["primary-default"].id
    )
    error_message = "The default behaviour does not use its response-headers policy."
  }

  assert {
    condition = alltrue([
      for behavior in concat(
        [for behavior in aws_cloudfront_distribution.this.ordered_cache_behavior : behavior.function_association],
        [for behavior in aws_cloudfront_distribution.this.default_cache_behavior : behavior.function_association],
      ) : length(behavior) == 1 && one(behavior).event_type == "viewer-request" && one(behavior).function_arn == output.function_arn
    ])
    error_message = "A behaviour runs without the viewer-request function."
  }

  # ---- Checklist item 18 ----
  assert {
    condition = alltrue([
      output.distribution_id == "E2EXAMPLE", output.distribution_domain_name == "d111111abcdef8.cloudfront.net",
      output.distribution_hosted_zone_id == "Z2FDTNDATAQYW2", output.vpc_origin_id == "vo_example",
      length(output.security_group_rule_ids) == 1, length(output.cache_policy_ids) == 2,
      length(output.response_headers_policy_ids) == 3, output.viewer_minimum_protocol_version == "TLSv1.2_2025",
    ])
    error_message = "An output does not say what was made."
  }
}

run "only_get_and_head_pass" {
  command = plan

  module {
    source = "./modules/edge"
  }

  assert {
    condition = alltrue([
      for behavior in concat(
        [for behavior in aws_cloudfront_distribution.this.ordered_cache_behavior : [behavior.allowed_methods, behavior.cached_methods]],
        [for behavior in aws_cloudfront_distribution.this.default_cache_behavior : [behavior.allowed_methods, behavior.cached_methods]],
      ) : behavior[0] == toset(["GET", "HEAD"]) && behavior[1] == toset(["GET", "HEAD"])
    ])
    error_message = "Another method than GET and HEAD passes."
  }
}

run "an_error_is_forgotten_after_a_second_and_never_dressed_up" {
  command = plan

  module {
    source = "./modules/edge"
  }

  assert {
    condition = (
      toset([for error in aws_cloudfront_distribution.this.custom_error_response : error.error_code]) == toset([404, 500, 502, 503, 504])
    )
    error_message = "404 or one of the 5xx keeps CloudFront's ten seconds (fact 22)."
  }

  assert {
    condition = (
      alltrue([for error in aws_cloudfront_distribution.this.custom_error_response : error.error_caching_min_ttl == 1])
    )
    error_message = "An error is kept for another time than a second."
  }

  assert {
    condition = alltrue([
      for error in aws_cloudfront_distribution.this.custom_error_response : error.response_code == null && error.response_page_path == null
    ])
    error_message = "An updater does not see the real status."
  }
}

run "errors_may_be_kept_up_to_ten_seconds" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    error_caching_min_ttl = 10
  }

  assert {
    condition = (
      alltrue([for error in aws_cloudfront_distribution.this.custom_error_response : error.error_caching_min_ttl == 10])
    )
    error_message = "The largest allowed time is not used."
  }
}

run "viewers_get_current_protocols" {
  command = plan

  module {
    source = "./modules/edge"
  }

  assert {
    condition     = aws_cloudfront_distribution.this.viewer_certificate[0].minimum_protocol_version == "TLSv1.2_2025"
    error_message = "Viewers may speak older TLS than TLSv1.2_2025."
  }

  assert {
    condition     = aws_cloudfront_distribution.this.viewer_certificate[0].ssl_support_method == "sni-only"
    error_message = "The certificate is bound to addresses of its own, which is priced by the month, instead of to SNI."
  }

  assert {
    condition     = aws_cloudfront_distribution.this.viewer_certificate[0].acm_certificate_arn == var.certificate_arn
    error_message = "The given certificate is not shown."
  }

  assert {
    condition     = aws_cloudfront_distribution.this.http_version == "http2and3"
    error_message = "HTTP/2 and HTTP/3 are not both spoken."
  }

  assert {
    condition     = aws_cloudfront_distribution.this.is_ipv6_enabled
    error_message = "IPv6 is off."
  }

  assert {
    condition     = aws_cloudfront_distribution.this.price_class == "PriceClass_100"
    error_message = "The price class is not the cheapest one unless asked for."
  }

  assert {
    condition     = aws_cloudfront_distribution.this.aliases == toset(["updates.example.com"])
    error_message = "The distribution does not answer to its alias."
  }

  assert {
    condition = alltrue([
      for policy in concat(
        [for behavior in aws_cloudfront_distribution.this.ordered_cache_behavior : behavior.viewer_protocol_policy],
        [for behavior in aws_cloudfront_distribution.this.default_cache_behavior : behavior.viewer_protocol_policy],
      ) : policy == "redirect-to-https"
    ])
    error_message = "Something is served in the clear."
  }

  assert {
    condition     = aws_cloudfront_distribution.this.restrictions[0].geo_restriction[0].restriction_type == "none"
    error_message = "Devices of some country get no updates."
  }
}

run "newer_tls_can_be_required" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    minimum_protocol_version = "TLSv1.3_2025"
  }

  assert {
    condition     = aws_cloudfront_distribution.this.viewer_certificate[0].minimum_protocol_version == "TLSv1.3_2025"
    error_message = "TLS 1.3 is not required though asked for."
  }
}

run "without_an_alias_cloudfront_shows_its_own_certificate" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    aliases         = []
    certificate_arn = null
  }

  assert {
    condition     = aws_cloudfront_distribution.this.viewer_certificate[0].cloudfront_default_certificate == true
    error_message = "There is no certificate."
  }

  assert {
    condition     = aws_cloudfront_distribution.this.viewer_certificate[0].minimum_protocol_version == null
    error_message = "A minimum is set that AWS does not accept with its own certificate."
  }

  assert {
    condition     = output.viewer_minimum_protocol_version == "TLSv1"
    error_message = "The output hides that *.cloudfront.net accepts TLSv1."
  }
}

run "bad_releases_can_be_withdrawn_by_tag" {
  command = plan

  module {
    source = "./modules/edge"
  }

  assert {
    condition     = aws_cloudfront_distribution.this.cache_tag_config[0].header_name == "cache-tag"
    error_message = "CloudFront does not read the origin's cache tags (fact 79)."
  }
}

run "tags_can_be_left_unread" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    cache_tag_header = null
  }

  assert {
    condition     = length(aws_cloudfront_distribution.this.cache_tag_config) == 0
    error_message = "Tags are read though switched off."
  }
}

run "answers_say_how_to_be_read_and_leave_lifetimes_to_the_origin" {
  command = plan

  module {
    source = "./modules/edge"
  }

  assert {
    condition = alltrue([
      for policy in aws_cloudfront_response_headers_policy.this :
      policy.security_headers_config[0].strict_transport_security[0].access_control_max_age_sec == 31536000 &&
      policy.security_headers_config[0].content_type_options[0].override
    ])
    error_message = "An answer lacks Strict-Transport-Security or nosniff."
  }

  assert {
    condition = (
      alltrue([for policy in aws_cloudfront_response_headers_policy.this : length(policy.custom_headers_config) == 0])
    )
    error_message = "Cache-Control of the origin is overridden without force_cache_control."
  }

  assert {
    condition = (
      alltrue([for policy in aws_cloudfront_response_headers_policy.this : length(policy.cors_config) == 0])
    )
    error_message = "Pages of other origins may read answers though none was named."
  }
}

run "hsts_can_be_left_to_the_origin_and_pages_let_in" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    hsts         = null
    cors_origins = ["https://www.example.com"]
  }

  assert {
    condition = alltrue([
      for policy in aws_cloudfront_response_headers_policy.this :
      length(policy.security_headers_config[0].strict_transport_security) == 0 && policy.security_headers_config[0].content_type_options[0].override
    ])
    error_message = "Strict-Transport-Security is sent though left to the origin, or nosniff went with it."
  }

  assert {
    condition = alltrue([
      for policy in aws_cloudfront_response_headers_policy.this :
      policy.cors_config[0].access_control_allow_origins[0].items == toset(["https://www.example.com"]) &&
      !policy.cors_config[0].access_control_allow_credentials &&
      contains(policy.cors_config[0].access_control_expose_headers[0].items, "ETag")
    ])
    error_message = "The named page cannot read answers, or reads them with credentials."
  }
}

run "an_application_that_cannot_be_changed_is_cached_all_the_same" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    force_cache_control = true
  }

  assert {
    condition     = aws_cloudfront_cache_policy.this["primary-artifacts"].min_ttl == 31536000
    error_message = "An artifact marked no-store is not kept (fact 3)."
  }

  assert {
    condition     = aws_cloudfront_cache_policy.this["primary-channels"].min_ttl == 0
    error_message = "MinTTL is above 0 on paths whose content changes."
  }

  assert {
    condition = (
      one(aws_cloudfront_response_headers_policy.this["primary-artifacts"].custom_headers_config[0].items).header == "Cache-Control" &&
      one(aws_cloudfront_response_headers_policy.this["primary-artifacts"].custom_headers_config[0].items).value == "public, max-age=3600, immutable" &&
      one(aws_cloudfront_response_headers_policy.this["primary-artifacts"].custom_headers_config[0].items).override
    )
    error_message = "Viewers get the application's Cache-Control for artifacts (fact 73)."
  }

  assert {
    condition = (
      one(aws_cloudfront_response_headers_policy.this["primary-channels"].custom_headers_config[0].items).value == "public, max-age=30"
    )
    error_message = "Viewers get the application's Cache-Control for channels (fact 73)."
  }

  assert {
    condition     = length(aws_cloudfront_response_headers_policy.this["primary-default"].custom_headers_config) == 0
    error_message = "What is not cached gets a lifetime."
  }
}

run "an_existing_application_keeps_its_pages" {
  command = apply

  module {
    source = "./modules/edge"
  }

  variables {
    default_behavior = {
      allowed_methods            = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]
      origin_request_policy_name = "Managed-AllViewerExceptHostHeader"
      run_function               = false
      add_response_headers       = false
    }
  }

  assert {
    condition = (
      try(length(aws_cloudfront_distribution.this.default_cache_behavior[0].response_headers_policy_id), 0) == 0 &&
      length([for key in keys(output.response_headers_policy_ids) : key if endswith(key, "-default")]) == 0
    )
    error_message = "The application's own headers are written over."
  }

  assert {
    condition     = length(aws_cloudfront_distribution.this.default_cache_behavior[0].allowed_methods) == 7
    error_message = "The application's forms are refused."
  }

  assert {
    condition     = data.aws_cloudfront_origin_request_policy.default[0].name == "Managed-AllViewerExceptHostHeader"
    error_message = "The managed policy is not found by its name."
  }

  assert {
    condition     = output.origin_request_policy_id == data.aws_cloudfront_origin_request_policy.default[0].id
    error_message = "Cookies and queries do not reach the application."
  }

  assert {
    condition     = length(aws_cloudfront_distribution.this.default_cache_behavior[0].function_association) == 0
    error_message = "The function takes the application's queries away."
  }

  assert {
    condition = (
      alltrue([for behavior in aws_cloudfront_distribution.this.ordered_cache_behavior : length(behavior.function_association) == 1])
    )
    error_message = "The function is missing where it belongs."
  }
}

run "paths_can_be_the_applications_own" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    artifact_path_pattern = "/download/files/*"
    channel_path_pattern  = "/download/latest/*"
  }

  assert {
    condition = (
      [for behavior in aws_cloudfront_distribution.this.ordered_cache_behavior : behavior.path_pattern] == ["/download/files/*", "/download/latest/*"]
    )
    error_message = "The behaviours do not stand on the given paths."
  }
}
