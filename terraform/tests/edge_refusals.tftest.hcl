# Every input that the edge refuses, by the validation that refuses it. Owns no promise about what is made: a run here
# ends before a plan does. A run that spoils several variables spoils independent ones (Terraform does not look at a rule that
# reads a refused variable); all of them have to be refused.

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

# ---- Words and numbers -------------------------------------------------------------------------------------------------

run "words_that_aws_does_not_know" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    name                     = "9-to-5"
    tags                     = { "aws:owner" = "updates" }
    minimum_protocol_version = "TLSv1.2_2021"
    http_version             = "http1.0"
    price_class              = "PriceClass_300"
    viewer_protocol_policy   = "allow-all"
    cors_origins             = ["http://www.example.com"]
    cache_tag_header         = "cache tag"
    artifact_path_pattern    = "artifacts/*"
    availability_zone_ids    = ["eu-central-1a"]
    origin_secret_header     = "X_Secret"
    web_acl_arn              = "arn:aws:wafv2:eu-central-1:123456789012:regional/webacl/company/00000000-0000-0000-0000-000000000003"
  }

  expect_failures = [
    var.name,
    var.tags,
    var.minimum_protocol_version,
    var.http_version,
    var.price_class,
    var.viewer_protocol_policy,
    var.cors_origins,
    var.cache_tag_header,
    var.artifact_path_pattern,
    var.availability_zone_ids,
    var.origin_secret_header,
    var.web_acl_arn,
  ]
}

run "numbers_beyond_their_limits" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    artifact_min_ttl            = 0
    channel_max_ttl             = 86401
    error_caching_min_ttl       = 11
    connection_attempts         = 4
    timeouts                    = { connect = 11 }
    hsts                        = { max_age_sec = 63072001 }
    web_acl                     = { rate_limit = 9 }
    forced_cache_control        = { artifacts = "no-store" }
    private_channel_public_keys = { for index in range(6) : "key-${index}" => "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYI\n-----END PUBLIC KEY-----" }
  }

  expect_failures = [
    var.artifact_min_ttl,
    var.channel_max_ttl,
    var.error_caching_min_ttl,
    var.connection_attempts,
    var.timeouts,
    var.hsts,
    var.web_acl,
    var.forced_cache_control,
    var.private_channel_public_keys,
  ]
}

run "numbers_beyond_their_other_limits" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    artifact_min_ttl      = 31536001
    channel_default_ttl   = 301
    error_caching_min_ttl = -1
    connection_attempts   = 0
    timeouts              = { connect = 0 }
    hsts                  = { max_age_sec = -1 }
    web_acl               = { rate_limit = 2000000001 }
  }

  expect_failures = [
    var.artifact_min_ttl,
    var.channel_default_ttl,
    var.error_caching_min_ttl,
    var.connection_attempts,
    var.timeouts,
    var.hsts,
    var.web_acl,
  ]
}

run "a_pointer_that_is_never_kept" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    channel_max_ttl     = 0
    channel_default_ttl = 0
  }

  expect_failures = [var.channel_max_ttl]
}

run "fractions_of_seconds" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    timeouts = { read = 30.5 }
  }

  expect_failures = [var.timeouts]
}

run "a_default_below_zero" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    channel_default_ttl = -1
  }

  expect_failures = [var.channel_default_ttl]
}

run "an_alias_by_its_url" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    aliases         = ["https://updates.example.com"]
    certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-0000-0000-000000000001"
  }

  expect_failures = [var.aliases]
}

run "a_certificate_of_another_region" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    aliases         = ["updates.example.com"]
    certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-0000-0000-000000000001"
  }

  expect_failures = [var.certificate_arn]
}

run "channels_that_are_no_folder" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    channel_path_pattern = "/channels"
  }

  expect_failures = [var.channel_path_pattern]
}

run "a_secret_by_its_name" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    origin_secret_arn = "headwater-origin"
  }

  expect_failures = [var.origin_secret_arn]
}

run "a_name_that_is_too_long" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    name = "a-name-that-is-longer-than-thirty-one-characters"
  }

  expect_failures = [var.name]
}

run "aliases_twice" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    aliases         = ["updates.example.com", "updates.example.com"]
    certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-0000-0000-000000000001"
  }

  expect_failures = [var.aliases]
}

run "an_alias_without_a_certificate" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    certificate_arn = null
    aliases         = ["updates.example.com"]
  }

  expect_failures = [var.certificate_arn]
}

run "a_certificate_without_an_alias" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-0000-0000-000000000001"
  }

  expect_failures = [var.certificate_arn]
}

run "preload_without_subdomains" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    hsts = { preload = true }
  }

  expect_failures = [var.hsts]
}

# ---- The origin --------------------------------------------------------------------------------------------------------

run "an_unknown_mode" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    origin_mode = "public"
  }

  expect_failures = [var.origin_mode]
}

run "a_region_by_its_name" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    origin_region = "Frankfurt"
    origin = {
      load_balancer_arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/headwater/0123456789abcdef"
      domain_name       = "origin.example.com"
      security_group_id = "sg-0123456789abcdef0"
      vpc_id            = "vpc-0123456789abcdef0"
    }
  }

  expect_failures = [var.origin_region]
}

run "an_origin_by_its_url" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    origin = {
      load_balancer_arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/headwater/0123456789abcdef"
      domain_name       = "https://origin.example.com/"
      security_group_id = "sg-0123456789abcdef0"
      vpc_id            = "vpc-0123456789abcdef0"
    }
  }

  expect_failures = [var.origin]
}

run "an_origin_by_its_address" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    origin = {
      load_balancer_arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/headwater/0123456789abcdef"
      domain_name       = "192.0.2.1"
      security_group_id = "sg-0123456789abcdef0"
      vpc_id            = "vpc-0123456789abcdef0"
    }
  }

  expect_failures = [var.origin]
}

run "a_protocol_that_the_viewer_chooses" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    origin = {
      load_balancer_arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/headwater/0123456789abcdef"
      domain_name       = "origin.example.com"
      security_group_id = "sg-0123456789abcdef0"
      vpc_id            = "vpc-0123456789abcdef0"
      protocol          = "match-viewer"
    }
  }

  expect_failures = [var.origin]
}

run "a_public_origin_in_the_clear" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    origin = {
      load_balancer_arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/headwater/0123456789abcdef"
      domain_name       = "origin.example.com"
      security_group_id = "sg-0123456789abcdef0"
      vpc_id            = "vpc-0123456789abcdef0"
      protocol          = "http-only"
    }
    origin_mode                   = "mtls"
    origin_client_certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-0000-0000-000000000001"
  }

  expect_failures = [var.origin]
}

run "tls_to_a_name_that_no_certificate_has" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    origin = {
      load_balancer_arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/headwater/0123456789abcdef"
      domain_name       = "headwater-0123456789.eu-central-1.elb.amazonaws.com"
      security_group_id = "sg-0123456789abcdef0"
      vpc_id            = "vpc-0123456789abcdef0"
    }
  }

  expect_failures = [var.origin]
}

run "an_origin_that_is_the_edge_itself" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    origin = {
      load_balancer_arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/headwater/0123456789abcdef"
      domain_name       = "updates.example.com"
      security_group_id = "sg-0123456789abcdef0"
      vpc_id            = "vpc-0123456789abcdef0"
    }
    aliases                       = ["updates.example.com"]
    certificate_arn               = "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-0000-0000-000000000001"
    origin_mode                   = "mtls"
    origin_client_certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-0000-0000-000000000001"
  }

  expect_failures = [var.origin]
}

run "a_port_that_cloudfront_does_not_use" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    origin = {
      load_balancer_arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/headwater/0123456789abcdef"
      domain_name       = "origin.example.com"
      security_group_id = "sg-0123456789abcdef0"
      vpc_id            = "vpc-0123456789abcdef0"
      port              = 22
    }
  }

  expect_failures = [var.origin]
}

run "a_port_that_is_none" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    origin = {
      load_balancer_arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/headwater/0123456789abcdef"
      domain_name       = "origin.example.com"
      security_group_id = "sg-0123456789abcdef0"
      vpc_id            = "vpc-0123456789abcdef0"
      port              = 65536
    }
  }

  expect_failures = [var.origin]
}

run "a_gateway_load_balancer" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    origin = {
      load_balancer_arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/gwy/headwater/0123456789abcdef"
      domain_name       = "origin.example.com"
      security_group_id = "sg-0123456789abcdef0"
      vpc_id            = "vpc-0123456789abcdef0"
    }
  }

  expect_failures = [var.origin]
}

run "a_load_balancer_of_another_region" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    origin = {
      load_balancer_arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/headwater/0123456789abcdef"
      domain_name       = "origin.example.com"
      security_group_id = "sg-0123456789abcdef0"
      vpc_id            = "vpc-0123456789abcdef0"
    }
  }

  expect_failures = [var.origin]
}

run "a_vpc_origin_without_a_load_balancer" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    origin = {
      domain_name       = "origin.example.com"
      security_group_id = "sg-0123456789abcdef0"
      vpc_id            = "vpc-0123456789abcdef0"
    }
  }

  expect_failures = [var.origin]
}

run "a_rule_without_a_security_group" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    origin = {
      load_balancer_arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/headwater/0123456789abcdef"
      domain_name       = "origin.example.com"
      vpc_id            = "vpc-0123456789abcdef0"
    }
  }

  expect_failures = [var.origin]
}

run "a_shield_where_there_is_none" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    origin_shield_region = "eu-north-1"
  }

  expect_failures = [var.origin_shield_region]
}

run "a_region_of_which_nobody_says_the_nearest_shield" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    origin_shield_region = null
    origin_region        = "eu-south-2"
    origin = {
      load_balancer_arn = "arn:aws:elasticloadbalancing:eu-south-2:123456789012:loadbalancer/app/headwater/0123456789abcdef"
      domain_name       = "origin.example.com"
      security_group_id = "sg-0123456789abcdef0"
      vpc_id            = "vpc-0123456789abcdef0"
    }
  }

  expect_failures = [var.origin_shield_region]
}

run "a_zone_without_vpc_origins" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    availability_zone_ids = ["use1-az2", "use1-az3"]
  }

  expect_failures = [var.availability_zone_ids]
}

run "phase_two_of_a_public_origin" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    restrict_to_service_security_group = true
    origin_mode                        = "mtls"
    origin_client_certificate_arn      = "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-0000-0000-000000000001"
  }

  expect_failures = [var.restrict_to_service_security_group]
}

run "phase_two_without_a_vpc" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    restrict_to_service_security_group = true
    origin = {
      load_balancer_arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/headwater/0123456789abcdef"
      domain_name       = "origin.example.com"
      security_group_id = "sg-0123456789abcdef0"
    }
  }

  expect_failures = [var.restrict_to_service_security_group]
}

run "phase_two_of_rules_that_others_make" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    restrict_to_service_security_group = true
    manage_security_group_rules        = false
  }

  expect_failures = [var.restrict_to_service_security_group]
}

run "a_public_origin_without_a_secret" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    origin_secret_arn = null
    origin_mode       = "prefix_list_secret"
  }

  expect_failures = [var.origin_secret_arn]
}

run "a_secret_asked_for_and_not_named" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    origin_secret_arn  = null
    send_origin_secret = true
  }

  expect_failures = [var.origin_secret_arn]
}

run "a_public_origin_that_keeps_its_secret" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    send_origin_secret = false
    origin_mode        = "prefix_list_secret"
    origin_secret_arn  = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:headwater-origin-AbCdEf"
  }

  expect_failures = [var.send_origin_secret]
}

run "a_secret_in_the_clear" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    send_origin_secret = true
    origin_secret_arn  = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:headwater-origin-AbCdEf"
    origin = {
      load_balancer_arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/headwater/0123456789abcdef"
      domain_name       = "origin.example.com"
      security_group_id = "sg-0123456789abcdef0"
      vpc_id            = "vpc-0123456789abcdef0"
      protocol          = "http-only"
    }
  }

  expect_failures = [var.send_origin_secret]
}

run "a_secret_header_that_cloudfront_overwrites" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    origin_secret_header = "x-forwarded-secret"
  }

  expect_failures = [var.origin_secret_header]
}

run "mtls_without_a_certificate" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    origin_client_certificate_arn = null
    origin_mode                   = "mtls"
  }

  expect_failures = [var.origin_client_certificate_arn]
}

run "a_client_certificate_without_mtls" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    origin_client_certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-0000-0000-000000000001"
  }

  expect_failures = [var.origin_client_certificate_arn]
}

run "a_client_certificate_of_another_region" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    origin_client_certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-0000-0000-000000000001"
    origin_mode                   = "mtls"
  }

  expect_failures = [var.origin_client_certificate_arn]
}

run "a_read_time_out_beyond_the_quota" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    timeouts = { read = 121 }
  }

  expect_failures = [var.timeouts]
}

run "a_keep_alive_beyond_the_quota" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    timeouts = { keepalive = 121, load_balancer_idle = 130, origin_idle = 140 }
  }

  expect_failures = [var.timeouts]
}

run "a_load_balancer_that_hangs_up_before_the_edge" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    timeouts = { keepalive = 66 }
  }

  expect_failures = [var.timeouts]
}

run "an_origin_that_hangs_up_before_the_load_balancer" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    timeouts = { origin_idle = 65 }
  }

  expect_failures = [var.timeouts]
}

run "a_bucket_by_its_global_name" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    failover_bucket = { regional_domain_name = "headwater-example.s3.amazonaws.com" }
  }

  expect_failures = [var.failover_bucket]
}

run "a_prefix_with_slashes_at_its_ends" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    failover_bucket = { regional_domain_name = "headwater-example.s3.eu-central-1.amazonaws.com", prefix = "/updates/" }
  }

  expect_failures = [var.failover_bucket]
}

# ---- What is cached ----------------------------------------------------------------------------------------------------

run "an_immutable_everything" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    artifact_path_pattern = "/*"
  }

  expect_failures = [var.artifact_path_pattern]
}

run "pointers_among_what_never_changes" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    channel_path_pattern = "/artifacts/latest/*"
  }

  expect_failures = [var.channel_path_pattern]
}

run "a_set_of_methods_that_cloudfront_does_not_know" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    default_behavior = { allowed_methods = ["GET", "HEAD", "POST"], run_function = false }
  }

  expect_failures = [var.default_behavior]
}

run "methods_that_the_function_refuses" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    default_behavior = { allowed_methods = ["GET", "HEAD", "OPTIONS"] }
  }

  expect_failures = [var.default_behavior]
}

run "the_viewers_host_for_the_origin" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    default_behavior = { origin_request_policy_name = "Managed-AllViewer" }
  }

  expect_failures = [var.default_behavior]
}

run "an_origin_request_policy_of_unknown_content" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    default_behavior = { origin_request_policy_name = "mine" }
  }

  expect_failures = [var.default_behavior]
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
