# Every input about who may ask, about staging and about records that the edge refuses, by the rule that refuses it.
# Owns no promise about what is made: a run here ends before a plan does.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name          = "headwater"
  origin_region = "eu-central-1"

  origin = {
    load_balancer_arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/headwater/0123456789abcdef"
    domain_name       = "origin.example.com"
    security_group_id = "sg-0123456789abcdef0"
    vpc_id            = "vpc-0123456789abcdef0"
  }
}

# ---- Who may ask -------------------------------------------------------------------------------------------------------

run "a_window_that_waf_does_not_know" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    web_acl = { evaluation_window_sec = 30 }
  }

  expect_failures = [var.web_acl]
}

run "a_method_list_that_refuses_downloads" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    web_acl = { allowed_methods = ["GET"] }
  }

  expect_failures = [var.web_acl]
}

run "a_method_that_is_none" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    web_acl = { allowed_methods = ["GET", "HEAD", "FETCH"] }
  }

  expect_failures = [var.web_acl]
}

run "a_rule_group_that_is_not_of_aws" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    web_acl = { managed_rule_groups = ["MyRules"] }
  }

  expect_failures = [var.web_acl]
}

run "a_retention_that_cloudwatch_does_not_know" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    web_acl = { log_retention_days = 100 }
  }

  expect_failures = [var.web_acl]
}

run "two_web_acls" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    web_acl_arn = "arn:aws:wafv2:us-east-1:123456789012:global/webacl/company/00000000-0000-0000-0000-000000000003"
    web_acl     = {}
  }

  expect_failures = [var.web_acl_arn]
}

run "a_private_key" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    private_channel_public_keys = { "2026" = "-----BEGIN PRIVATE KEY-----\nMFkwEwYHKoZIzj0CAQYI\n-----END PRIVATE KEY-----" }
  }

  expect_failures = [var.private_channel_public_keys]
}

run "a_key_with_a_name_that_aws_refuses" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    private_channel_public_keys = { "Key 1" = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYI\n-----END PUBLIC KEY-----" }
  }

  expect_failures = [var.private_channel_public_keys]
}

run "a_private_path_that_no_behaviour_keeps" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    private_path_patterns       = ["/private/*"]
    private_channel_public_keys = { "2026" = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYI\n-----END PUBLIC KEY-----" }
  }

  expect_failures = [var.private_path_patterns]
}

run "a_private_path_without_a_key" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    private_path_patterns = ["/channels/beta/*"]
  }

  expect_failures = [var.private_path_patterns]
}

run "a_private_path_twice" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    private_path_patterns       = ["/channels/beta/*", "/channels/beta/*"]
    private_channel_public_keys = { "2026" = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYI\n-----END PUBLIC KEY-----" }
  }

  expect_failures = [var.private_path_patterns]
}

# ---- Changes and records -----------------------------------------------------------------------------------------------

run "staging_together_with_http3" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    staging = { weight = 0.05 }
  }

  expect_failures = [var.staging]
}

run "staging_together_with_http3_alone" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    staging      = { weight = 0.05 }
    http_version = "http3"
  }

  expect_failures = [var.staging]
}

run "staging_without_traffic" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    staging      = {}
    http_version = "http2"
  }

  expect_failures = [var.staging]
}

run "staging_by_weight_and_by_header" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    staging      = { weight = 0.05, header = { name = "aws-cf-cd-trial", value = "yes" } }
    http_version = "http2"
  }

  expect_failures = [var.staging]
}

run "staging_with_more_than_fifteen_percent" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    staging      = { weight = 0.16 }
    http_version = "http2"
  }

  expect_failures = [var.staging]
}

run "staging_by_a_header_that_cloudfront_does_not_read" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    staging      = { header = { name = "x-trial", value = "yes" } }
    http_version = "http2"
  }

  expect_failures = [var.staging]
}

run "sessions_that_end_before_they_begin" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    staging      = { weight = 0.05, session_stickiness = { idle_ttl = 600, maximum_ttl = 300 } }
    http_version = "http2"
  }

  expect_failures = [var.staging]
}

run "sessions_of_a_header" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    staging      = { header = { name = "aws-cf-cd-trial", value = "yes" }, session_stickiness = { idle_ttl = 300, maximum_ttl = 600 } }
    http_version = "http2"
  }

  expect_failures = [var.staging]
}

run "overrides_beyond_the_limits_of_what_they_override" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    staging      = { weight = 0.05, overrides = { error_caching_min_ttl = 11 } }
    http_version = "http2"
  }

  expect_failures = [var.staging]
}

run "an_override_that_contradicts_what_stays" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    staging      = { weight = 0.05, overrides = { channel_max_ttl = 10 } }
    http_version = "http2"
  }

  expect_failures = [var.staging]
}

run "records_into_something_that_is_no_bucket" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    access_logs = { bucket_arn = "arn:aws:logs:us-east-1:123456789012:log-group:access" }
  }

  expect_failures = [var.access_logs]
}

run "records_below_a_prefix_with_slashes" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    access_logs = { bucket_arn = "arn:aws:s3:::headwater-example-logs", prefix = "/edge/" }
  }

  expect_failures = [var.access_logs]
}

run "records_of_cookies" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    access_logs = { bucket_arn = "arn:aws:s3:::headwater-example-logs", record_fields = ["date", "cs(Cookie)"] }
  }

  expect_failures = [var.access_logs]
}

run "records_of_nothing" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    access_logs = { bucket_arn = "arn:aws:s3:::headwater-example-logs", record_fields = [] }
  }

  expect_failures = [var.access_logs]
}
