# What the edge does when the origin is slow or does not answer: how long it waits, and that the bucket stands in. Owns
# nothing about how the origin is reached (edge_origin.tftest.hcl). Nothing here ran against AWS.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name          = "headwater"
  origin_region = "eu-central-1"

  origin = {
    load_balancer_arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/headwater/0123456789abcdef"
    domain_name       = "origin.example.com"
    security_group_id = "sg-0fedcba9876543210"
    vpc_id            = "vpc-0123456789abcdef0"
  }
}

# ---- Time-outs ---------------------------------------------------------------------------------------------------------

run "connections_are_given_up_in_the_right_order" {
  command = plan

  module {
    source = "./modules/edge"
  }

  assert {
    condition = (
      one(aws_cloudfront_distribution.this.origin).connection_attempts == 2 &&
      one(aws_cloudfront_distribution.this.origin).connection_timeout == 4
    )
    error_message = "A viewer waits longer than two attempts of four seconds for a connection (facts 13, 46)."
  }

  assert {
    condition = (
      one(aws_cloudfront_distribution.this.origin).vpc_origin_config[0].origin_keepalive_timeout == 60 &&
      one(aws_cloudfront_distribution.this.origin).vpc_origin_config[0].origin_read_timeout == 30
    )
    error_message = "Keep-alive is not 60 s, below the load balancer's 65, or the read time-out not 30 s (facts 47, 48, 85)."
  }
}

run "a_public_origin_has_the_same_time_outs" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    origin_mode                   = "mtls"
    origin_client_certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-0000-0000-000000000002"

    timeouts = {
      read               = 40
      keepalive          = 90
      load_balancer_idle = 90
      origin_idle        = 91
    }
  }

  assert {
    condition = (
      one(aws_cloudfront_distribution.this.origin).custom_origin_config[0].origin_keepalive_timeout == 90 &&
      one(aws_cloudfront_distribution.this.origin).custom_origin_config[0].origin_read_timeout == 40
    )
    error_message = "The time-outs do not hold for a public origin."
  }
}

# ---- Failover ----------------------------------------------------------------------------------------------------------

run "the_bucket_answers_when_the_origin_does_not" {
  command = apply

  module {
    source = "./modules/edge"
  }

  variables {
    failover_bucket = {
      regional_domain_name = "headwater-example.s3.eu-central-1.amazonaws.com"
      prefix               = "updates/production"
    }
  }

  assert {
    condition = (
      one(aws_cloudfront_distribution.this.origin_group).failover_criteria[0].status_codes == toset([500, 502, 503, 504])
    )
    error_message = "Failover is tied to other codes: with 403 or 404 every wrong URL would be asked twice."
  }

  assert {
    condition = (
      [for member in one(aws_cloudfront_distribution.this.origin_group).member : member.origin_id] == ["origin", "bucket"]
    )
    error_message = "The origin is not asked first, or the bucket not second (fact 50)."
  }

  assert {
    condition = alltrue([
      for behavior in aws_cloudfront_distribution.this.ordered_cache_behavior : behavior.target_origin_id == one(aws_cloudfront_distribution.this.origin_group).origin_id
    ])
    error_message = "Artifacts or channels have no failover."
  }

  assert {
    condition     = aws_cloudfront_distribution.this.default_cache_behavior[0].target_origin_id == "origin"
    error_message = "What is not in the bucket is looked for in it."
  }

  assert {
    condition = alltrue([
      for origin in aws_cloudfront_distribution.this.origin : (
        origin.origin_path == "/updates/production" &&
        origin.domain_name == "headwater-example.s3.eu-central-1.amazonaws.com" &&
        origin.origin_access_control_id == output.origin_access_control_id &&
        length(origin.s3_origin_config) == 0 &&
        length(origin.custom_header) == 0 &&
        one(origin.origin_shield).origin_shield_region == "eu-central-1"
      ) if origin.origin_id == "bucket"
    ])
    error_message = "The bucket is not read below its prefix with access control, or gets the origin's secret."
  }

  assert {
    condition = (
      length([for origin in aws_cloudfront_distribution.this.origin : origin if origin.origin_id == "bucket"]) == 1
    )
    error_message = "There is no bucket: the assertion above says nothing."
  }

  assert {
    condition = (
      aws_cloudfront_origin_access_control.bucket[0].signing_behavior == "always" &&
      aws_cloudfront_origin_access_control.bucket[0].signing_protocol == "sigv4" &&
      aws_cloudfront_origin_access_control.bucket[0].origin_access_control_origin_type == "s3"
    )
    error_message = "Requests to the bucket are not always signed (fact 69)."
  }
}

run "a_bucket_without_prefix_is_read_from_its_root" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    failover_bucket = {
      regional_domain_name = "headwater-example.s3.eu-central-1.amazonaws.com"
    }
  }

  assert {
    condition = (
      one([for origin in aws_cloudfront_distribution.this.origin : origin.origin_path if origin.origin_id == "bucket"]) == ""
    )
    error_message = "A path is put before the keys of a bucket that has no prefix."
  }
}

run "without_a_bucket_there_is_one_origin" {
  command = plan

  module {
    source = "./modules/edge"
  }

  assert {
    condition = (
      length(aws_cloudfront_distribution.this.origin) == 1 && length(aws_cloudfront_distribution.this.origin_group) == 0 &&
      length(aws_cloudfront_origin_access_control.bucket) == 0
    )
    error_message = "Something of a failover is made without a bucket."
  }

  assert {
    condition = alltrue([
      for behavior in aws_cloudfront_distribution.this.ordered_cache_behavior : behavior.target_origin_id == "origin"
    ])
    error_message = "A behaviour has no origin."
  }
}
