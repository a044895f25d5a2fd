# Every input about viewers and paths that the edge refuses, by the rule that refuses it. Owns no promise about
# what is made: a run here ends before a plan does. A run that spoils several variables spoils independent ones
# (Terraform does not look at a rule that reads a refused variable); all of them have to be refused.

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
