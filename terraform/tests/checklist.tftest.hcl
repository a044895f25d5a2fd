# What a review of such a distribution looks for first, as one list: point 19 of the checklist for the Terraform, each line of
# it one run. The modules' own files say the same in more detail; this one stays when a module is rewritten.
# Nothing here ran against AWS.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  name          = "headwater"
  origin_region = "eu-north-1"

  origin = {
    load_balancer_arn = "arn:aws:elasticloadbalancing:eu-north-1:123456789012:loadbalancer/app/headwater/0123456789abcdef"
    domain_name       = "origin.example.com"
    security_group_id = "sg-0123456789abcdef0"
    vpc_id            = "vpc-0123456789abcdef0"
  }

  # Of the origin.
  vpc_id                   = "vpc-0123456789abcdef0"
  load_balancer_subnet_ids = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
  instance_subnet_ids      = ["subnet-0123456789abcdef2", "subnet-0123456789abcdef3"]
  certificate_arn          = null

  store = {
    bucket_arn = "arn:aws:s3:::headwater-example"
    location   = "s3://headwater-example"
  }
}

run "artifacts_may_be_kept_for_a_year" {
  command = plan

  module {
    source = "./modules/edge"
  }

  assert {
    condition     = aws_cloudfront_cache_policy.this["primary-artifacts"].max_ttl >= 31536000
    error_message = "MaxTTL of artifacts is below a year."
  }
}

run "no_cookie_query_or_header_is_in_any_key" {
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
    error_message = "Something of a device is in a cache key: each device could have a copy of its own."
  }
}

run "origin_shield_is_where_it_is_offered" {
  command = plan

  module {
    source = "./modules/edge"
  }

  assert {
    condition     = output.origin_shield_region == "eu-west-2"
    error_message = "The Region of Origin Shield for eu-north-1 is not the one that AWS names, eu-west-2 (fact 56)."
  }
}

run "http3_and_staging_are_refused_together" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    http_version = "http2and3"
    staging      = { weight = 0.05 }
  }

  expect_failures = [var.staging]
}

run "a_public_origin_without_a_secret_is_refused_at_the_edge" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    origin_mode = "prefix_list_secret"
  }

  expect_failures = [var.origin_secret_arn]
}

run "a_public_origin_without_a_secret_is_refused_at_the_origin" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    origin_mode     = "prefix_list_secret"
    internal        = false
    certificate_arn = "arn:aws:acm:eu-north-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"
  }

  expect_failures = [var.origin_secret_arn]
}

run "not_found_is_forgotten_within_ten_seconds" {
  command = plan

  module {
    source = "./modules/edge"
  }

  assert {
    condition = alltrue([
      for response in aws_cloudfront_distribution.this.custom_error_response : response.error_caching_min_ttl <= 10
    ]) && contains([for response in aws_cloudfront_distribution.this.custom_error_response : response.error_code], 404)
    error_message = "A device that asks before a release pins its 404 for longer than ten seconds."
  }
}

run "nobody_but_the_edge_reaches_the_load_balancer" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    origin_mode = "vpc"
  }

  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.public) == 0
    error_message = "With an edge in front the load balancer is open to everybody."
  }

  assert {
    condition     = length(aws_security_group.load_balancer.ingress) == 0
    error_message = "A rule stands in the security group itself, where no other module sees it."
  }
}

run "a_price_class_that_is_none_is_refused" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    price_class = "PriceClass_300"
  }

  expect_failures = [var.price_class]
}

run "the_edge_lets_go_of_connections_before_the_load_balancer_does" {
  command = plan

  module {
    source = "./modules/edge"
  }

  assert {
    condition     = one(aws_cloudfront_distribution.this.origin[*].vpc_origin_config[0].origin_keepalive_timeout) <= var.timeouts.load_balancer_idle
    error_message = "CloudFront sends on connections that the load balancer closes (fact 85)."
  }
}

run "the_load_balancer_lets_go_of_connections_before_the_origin_does" {
  command = plan

  module {
    source = "./modules/origin"
  }

  assert {
    condition     = aws_lb.origin.idle_timeout >= 60 && aws_lb.origin.idle_timeout < 75
    error_message = "The load balancer's idle time-out is not between the edge's 60 s and the origin's 75 s (fact 85)."
  }
}
