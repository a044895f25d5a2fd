# Who may ask, and on what share of the traffic a change is tried: web ACL, private channels, staging, the function.
# Owns nothing about the origin (edge_origin.tftest.hcl) nor records (edge_records.tftest.hcl). Nothing here ran against
# AWS.

mock_provider "aws" {
  source = "./tests/mocks"

  # Ids of its own: the shared answers give all distributions the same one.
  override_resource {
    target = aws_cloudfront_distribution.staging
    values = {
      id          = "E3STAGING"
      arn         = "arn:aws:cloudfront::123456789012:distribution/E3STAGING"
      domain_name = "d222222abcdef8.cloudfront.net"
    }
  }
}

variables {
  name          = "headwater"
  origin_region = "eu-central-1"
  http_version  = "http2"

  origin = {
    load_balancer_arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/headwater/0123456789abcdef"
    domain_name       = "origin.example.com"
    security_group_id = "sg-0123456789abcdef0"
    vpc_id            = "vpc-0123456789abcdef0"
  }
}

# ---- Web ACL -----------------------------------------------------------------------------------------------------------

run "nothing_is_guarded_recorded_or_staged_unless_asked_for" {
  command = plan

  module {
    source = "./modules/edge"
  }

  assert {
    condition = (
      length(aws_wafv2_web_acl.this) + length(aws_cloudwatch_log_group.waf) == 0 &&
      aws_cloudfront_distribution.this.web_acl_id == null
    )
    error_message = "There is a web ACL."
  }

  assert {
    condition = (
      length(aws_cloudfront_key_group.private) == 0 &&
      alltrue([for behavior in aws_cloudfront_distribution.this.ordered_cache_behavior : behavior.trusted_key_groups == null])
    )
    error_message = "Signatures are asked for."
  }

  assert {
    condition = (
      length(aws_cloudfront_distribution.staging) + length(aws_cloudfront_continuous_deployment_policy.staging) == 0
    )
    error_message = "There is a staging distribution."
  }

  assert {
    condition     = aws_cloudfront_distribution.this.continuous_deployment_policy_id == ""
    error_message = "The distribution would keep the policy of a staging distribution that is taken away."
  }

  assert {
    condition = (
      length(aws_cloudwatch_log_delivery.access) == 0 &&
      length(aws_cloudwatch_log_delivery_destination.access) == 0
    )
    error_message = "Access records are delivered."
  }

  assert {
    condition = (
      aws_cloudfront_monitoring_subscription.this[0].monitoring_subscription[0].realtime_metrics_subscription_config[0].realtime_metrics_subscription_status == "Enabled"
    )
    error_message = "Hit ratio and origin latency are not measured (fact 81)."
  }
}

run "floods_and_foreign_methods_are_refused" {
  command = apply

  module {
    source = "./modules/edge"
  }

  variables {
    web_acl = {
      rate_limit          = 2000
      managed_rule_groups = ["AWSManagedRulesKnownBadInputsRuleSet"]
    }
  }

  assert {
    condition     = aws_wafv2_web_acl.this[0].scope == "CLOUDFRONT" && aws_wafv2_web_acl.this[0].region == "us-east-1"
    error_message = "The web ACL is not where CloudFront looks for it (fact 74)."
  }

  assert {
    condition     = aws_cloudfront_distribution.this.web_acl_id == aws_wafv2_web_acl.this[0].arn
    error_message = "The distribution does not use the web ACL."
  }

  assert {
    condition     = length(aws_wafv2_web_acl.this[0].default_action[0].allow) == 1
    error_message = "What no rule refuses does not pass."
  }

  assert {
    condition = one([
      for rule in aws_wafv2_web_acl.this[0].rule : rule.statement[0].rate_based_statement[0].limit == 2000 &&
      rule.statement[0].rate_based_statement[0].aggregate_key_type == "IP" &&
      rule.statement[0].rate_based_statement[0].evaluation_window_sec == 300 &&
      rule.action[0].block[0].custom_response[0].response_code == 429 if rule.name == "rate"
    ])
    error_message = "An address is not limited to 2,000 requests in five minutes with 429."
  }

  assert {
    condition = one([
      for rule in aws_wafv2_web_acl.this[0].rule :
      rule.statement[0].not_statement[0].statement[0].regex_match_statement[0].regex_string == "^(GET|HEAD)$" &&
      length(rule.statement[0].not_statement[0].statement[0].regex_match_statement[0].field_to_match[0].method) == 1 &&
      rule.action[0].block[0].custom_response[0].response_code == 405 if rule.name == "methods"
    ])
    error_message = "Another method than GET and HEAD passes, or is refused with another status than 405."
  }

  assert {
    condition = one([
      for rule in aws_wafv2_web_acl.this[0].rule :
      rule.statement[0].managed_rule_group_statement[0].vendor_name == "AWS" && length(rule.override_action[0].none) == 1
      if rule.name == "AWSManagedRulesKnownBadInputsRuleSet"
    ])
    error_message = "The rule group is missing, or only counts."
  }

  assert {
    condition = (
      length(distinct([for rule in aws_wafv2_web_acl.this[0].rule : rule.priority])) == length(aws_wafv2_web_acl.this[0].rule)
    )
    error_message = "Two rules have one priority, which AWS refuses."
  }

  assert {
    condition = (
      startswith(aws_cloudwatch_log_group.waf[0].name, "aws-waf-logs-") && aws_cloudwatch_log_group.waf[0].region == "us-east-1" &&
      aws_cloudwatch_log_group.waf[0].retention_in_days == 365 &&
      aws_wafv2_web_acl_logging_configuration.this[0].logging_filter[0].default_behavior == "DROP"
    )
    error_message = "Refusals are not logged where WAF can, or for ever, or everything is logged."
  }
}

run "the_method_rule_lets_pass_what_the_behaviours_do" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    web_acl          = {}
    default_behavior = { allowed_methods = ["GET", "HEAD", "OPTIONS"], run_function = false }
  }

  assert {
    condition = one([
      for rule in aws_wafv2_web_acl.this[0].rule : rule.statement[0].not_statement[0].statement[0].regex_match_statement[0].regex_string
      if rule.name == "methods"
    ]) == "^(GET|HEAD|OPTIONS)$"
    error_message = "The web ACL refuses a method that the distribution allows."
  }
}

run "a_web_acl_that_exists_can_be_used" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    web_acl_arn = "arn:aws:wafv2:us-east-1:123456789012:global/webacl/company/00000000-0000-0000-0000-000000000003"
  }

  assert {
    condition = (
      aws_cloudfront_distribution.this.web_acl_id == var.web_acl_arn &&
      length(aws_wafv2_web_acl.this) == 0
    )
    error_message = "The given web ACL is not used, or a second one is made."
  }
}

# ---- Private channels --------------------------------------------------------------------------------------------------

run "keys_close_artifacts_and_channels" {
  command = apply

  module {
    source = "./modules/edge"
  }

  variables {
    private_channel_public_keys = {
      "2026" = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEu8v2T2m3TnYd0C3lCOJlP3VwFQzT\nkA==\n-----END PUBLIC KEY-----"
    }
  }

  assert {
    condition = (
      aws_cloudfront_key_group.private[0].items == toset([for key in aws_cloudfront_public_key.this : key.id])
    )
    error_message = "The key is not in the group."
  }

  assert {
    condition     = endswith(aws_cloudfront_public_key.this["2026"].encoded_key, "-----END PUBLIC KEY-----\n")
    error_message = "The key has no final line feed: every plan would show a change."
  }

  assert {
    condition = alltrue([
      for behavior in aws_cloudfront_distribution.this.ordered_cache_behavior : behavior.trusted_key_groups == tolist([output.key_group_id])
    ])
    error_message = "Artifacts or channels are open."
  }

  assert {
    condition     = try(length(aws_cloudfront_distribution.this.default_cache_behavior[0].trusted_key_groups), 0) == 0
    error_message = "The health of the origin is asked for with a signature."
  }
}

run "single_channels_can_be_closed" {
  command = apply

  module {
    source = "./modules/edge"
  }

  variables {
    private_channel_public_keys = {
      "2026" = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEu8v2T2m3TnYd0C3lCOJlP3VwFQzT\nkA==\n-----END PUBLIC KEY-----\n"
    }
    private_path_patterns = ["/channels/agent/beta*", "/artifacts/secret-agent/*"]
  }

  assert {
    condition = [for behavior in aws_cloudfront_distribution.this.ordered_cache_behavior : behavior.path_pattern] == [
      "/channels/agent/beta*", "/artifacts/secret-agent/*", "/artifacts/*", "/channels/*",
    ]
    error_message = "A wider pattern comes before a private one, and opens it."
  }

  assert {
    condition = alltrue([
      for index, behavior in aws_cloudfront_distribution.this.ordered_cache_behavior :
      index < 2 ? behavior.trusted_key_groups == tolist([output.key_group_id]) : behavior.trusted_key_groups == null
    ])
    error_message = "A private path is open, or a public one closed."
  }

  assert {
    condition = (
      aws_cloudfront_distribution.this.ordered_cache_behavior[0].cache_policy_id == output.cache_policy_ids["primary-channels"] &&
      aws_cloudfront_distribution.this.ordered_cache_behavior[1].cache_policy_id == output.cache_policy_ids["primary-artifacts"]
    )
    error_message = "A private path is kept like the other kind: a channel for a year, or an artifact for seconds."
  }
}

# ---- Staging -----------------------------------------------------------------------------------------------------------

run "a_change_is_tried_on_a_share_of_the_traffic" {
  command = apply

  module {
    source = "./modules/edge"
  }

  variables {
    aliases         = ["updates.example.com"]
    certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-0000-0000-000000000001"

    failover_bucket = {
      regional_domain_name = "headwater-example.s3.eu-central-1.amazonaws.com"
    }

    access_logs = {
      bucket_arn = "arn:aws:s3:::headwater-example-logs"
    }

    staging = {
      weight             = 0.05
      session_stickiness = { idle_ttl = 300, maximum_ttl = 600 }
      overrides          = { channel_max_ttl = 60, error_caching_min_ttl = 2, connection_attempts = 1 }
    }
  }

  assert {
    condition = (
      aws_cloudfront_distribution.staging[0].staging &&
      length(coalesce(aws_cloudfront_distribution.staging[0].aliases, [])) == 0
    )
    error_message = "The second distribution is none for staging, or claims the primary's name."
  }

  assert {
    condition = (
      aws_cloudfront_continuous_deployment_policy.staging[0].enabled &&
      aws_cloudfront_continuous_deployment_policy.staging[0].staging_distribution_dns_names[0].items == toset(["d222222abcdef8.cloudfront.net"]) &&
      aws_cloudfront_continuous_deployment_policy.staging[0].traffic_config[0].type == "SingleWeight" &&
      aws_cloudfront_continuous_deployment_policy.staging[0].traffic_config[0].single_weight_config[0].weight == 0.05 &&
      aws_cloudfront_continuous_deployment_policy.staging[0].traffic_config[0].single_weight_config[0].session_stickiness_config[0].maximum_ttl == 600
    )
    error_message = "Staging does not get five percent of the sessions."
  }

  assert {
    condition = (
      aws_cloudfront_distribution.this.continuous_deployment_policy_id == output.continuous_deployment_policy_id
    )
    error_message = "The primary distribution shares nothing."
  }

  assert {
    condition = (
      aws_cloudfront_cache_policy.this["staging-channels"].max_ttl == 60 &&
      aws_cloudfront_cache_policy.this["primary-channels"].max_ttl == 300
    )
    error_message = "The trial is not in staging, or already in production."
  }

  assert {
    condition = (
      alltrue([for error in aws_cloudfront_distribution.staging[0].custom_error_response : error.error_caching_min_ttl == 2]) &&
      alltrue([for origin in aws_cloudfront_distribution.staging[0].origin : origin.connection_attempts == 1]) &&
      alltrue([for origin in aws_cloudfront_distribution.this.origin : origin.connection_attempts == 2])
    )
    error_message = "An override is lost, or reaches the primary distribution."
  }

  # A name says what a policy is and what is in it.
  assert {
    condition = (
      trimprefix(aws_cloudfront_cache_policy.this["staging-artifacts"].name, "headwater-staging-") == trimprefix(aws_cloudfront_cache_policy.this["primary-artifacts"].name, "headwater-primary-") &&
      trimprefix(aws_cloudfront_cache_policy.this["staging-channels"].name, "headwater-staging-") != trimprefix(aws_cloudfront_cache_policy.this["primary-channels"].name, "headwater-primary-")
    )
    error_message = "Names do not follow from content."
  }

  assert {
    condition     = length(distinct([for policy in aws_cloudfront_cache_policy.this : policy.name])) == 4
    error_message = "Two policies have one name, which AWS refuses."
  }

  assert {
    condition = (
      { for key, source in aws_cloudwatch_log_delivery_source.access : key => source.resource_arn } == { primary = "arn:aws:cloudfront::123456789012:distribution/E2EXAMPLE", staging = "arn:aws:cloudfront::123456789012:distribution/E3STAGING" }
    )
    error_message = "What staging answers is not recorded."
  }

  # ---- The two are the same but for what is tried ----
  assert {
    condition = alltrue([
      aws_cloudfront_distribution.staging[0].http_version == aws_cloudfront_distribution.this.http_version,
      aws_cloudfront_distribution.staging[0].price_class == aws_cloudfront_distribution.this.price_class,
      aws_cloudfront_distribution.staging[0].is_ipv6_enabled == aws_cloudfront_distribution.this.is_ipv6_enabled,
      aws_cloudfront_distribution.staging[0].viewer_certificate == aws_cloudfront_distribution.this.viewer_certificate,
      aws_cloudfront_distribution.staging[0].cache_tag_config == aws_cloudfront_distribution.this.cache_tag_config,
      aws_cloudfront_distribution.staging[0].restrictions[0].geo_restriction[0].restriction_type == aws_cloudfront_distribution.this.restrictions[0].geo_restriction[0].restriction_type,
      aws_cloudfront_distribution.staging[0].origin_group == aws_cloudfront_distribution.this.origin_group,
      [for error in aws_cloudfront_distribution.staging[0].custom_error_response : error.error_code] == [for error in aws_cloudfront_distribution.this.custom_error_response : error.error_code],
    ])
    error_message = "Staging differs from the primary distribution in something that is not tried."
  }

  assert {
    condition = alltrue(flatten([
      for index, primary in aws_cloudfront_distribution.this.ordered_cache_behavior : [
        for staging in [aws_cloudfront_distribution.staging[0].ordered_cache_behavior[index]] : [
          staging.path_pattern == primary.path_pattern,
          staging.target_origin_id == primary.target_origin_id,
          staging.compress == primary.compress,
          staging.allowed_methods == primary.allowed_methods,
          staging.viewer_protocol_policy == primary.viewer_protocol_policy,
          length(staging.function_association) == length(primary.function_association),
          staging.cache_policy_id == output.cache_policy_ids["staging-${index == 0 ? "artifacts" : "channels"}"],
          staging.response_headers_policy_id == output.response_headers_policy_ids["staging-${index == 0 ? "artifacts" : "channels"}"],
        ]
      ]
    ]))
    error_message = "A behaviour of staging differs from the primary one's, or uses its policies."
  }

  assert {
    condition = alltrue([
      aws_cloudfront_distribution.staging[0].default_cache_behavior[0].target_origin_id == aws_cloudfront_distribution.this.default_cache_behavior[0].target_origin_id,
      aws_cloudfront_distribution.staging[0].default_cache_behavior[0].cache_policy_id == aws_cloudfront_distribution.this.default_cache_behavior[0].cache_policy_id,
      aws_cloudfront_distribution.staging[0].default_cache_behavior[0].origin_request_policy_id == aws_cloudfront_distribution.this.default_cache_behavior[0].origin_request_policy_id,
      aws_cloudfront_distribution.staging[0].default_cache_behavior[0].allowed_methods == aws_cloudfront_distribution.this.default_cache_behavior[0].allowed_methods,
    ])
    error_message = "The default behaviour of staging differs from the primary one's."
  }

  assert {
    condition = alltrue(flatten([
      for primary in aws_cloudfront_distribution.this.origin : [
        for staging in aws_cloudfront_distribution.staging[0].origin : [
          staging.domain_name == primary.domain_name,
          staging.origin_path == primary.origin_path,
          staging.origin_shield == primary.origin_shield,
          staging.origin_access_control_id == primary.origin_access_control_id,
          staging.vpc_origin_config == primary.vpc_origin_config,
        ] if staging.origin_id == primary.origin_id
      ]
    ]))
    error_message = "Staging asks another origin."
  }
}

run "a_change_is_tried_by_whoever_sends_a_header" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    staging = {
      enabled   = false
      header    = { name = "aws-cf-cd-trial", value = "yes" }
      overrides = { function_code = "function handler(event) { return event.request; }", force_cache_control = true }
    }
  }

  assert {
    condition = (
      aws_cloudfront_continuous_deployment_policy.staging[0].traffic_config[0].type == "SingleHeader" &&
      aws_cloudfront_continuous_deployment_policy.staging[0].traffic_config[0].single_header_config[0].header == "aws-cf-cd-trial" &&
      length(aws_cloudfront_continuous_deployment_policy.staging[0].traffic_config[0].single_weight_config) == 0
    )
    error_message = "Staging is not chosen by the header alone."
  }

  assert {
    condition     = !aws_cloudfront_continuous_deployment_policy.staging[0].enabled
    error_message = "The trial cannot be stopped without removing it."
  }

  assert {
    condition = (
      aws_cloudfront_function.viewer_request["staging"].code != aws_cloudfront_function.viewer_request["primary"].code &&
      aws_cloudfront_function.viewer_request["staging"].name != aws_cloudfront_function.viewer_request["primary"].name
    )
    error_message = "A new function cannot be tried."
  }

  assert {
    condition = (
      aws_cloudfront_cache_policy.this["staging-artifacts"].min_ttl == 31536000 &&
      aws_cloudfront_cache_policy.this["primary-artifacts"].min_ttl == 1
    )
    error_message = "Forcing lifetimes cannot be tried."
  }
}

run "a_function_beyond_the_limit_stops_the_plan" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    staging = {
      weight    = 0.01
      overrides = { function_code = join("", [for line in range(700) : "// sixteen bytes"]) }
    }
  }

  expect_failures = [aws_cloudfront_function.viewer_request]
}

run "the_function_is_published_for_the_current_runtime" {
  command = plan

  module {
    source = "./modules/edge"
  }

  assert {
    condition = (
      aws_cloudfront_function.viewer_request["primary"].publish &&
      aws_cloudfront_function.viewer_request["primary"].runtime == "cloudfront-js-2.0"
    )
    error_message = "The function is not published, and could not be associated (fact 72)."
  }

  assert {
    condition     = aws_cloudfront_function.viewer_request["primary"].code == file("./functions/viewer-request.js")
    error_message = "Another code runs than the one that is tested."
  }
}
