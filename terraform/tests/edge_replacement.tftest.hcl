# That what AWS refuses to change in place is made anew beside the old one (facts 63, 75). Owns its mocks, because ids
# have to differ between two generations of a resource, which the shared ones do not.

mock_provider "aws" {
  mock_resource "aws_cloudfront_function" {
    defaults = {
      arn = "arn:aws:cloudfront::123456789012:function/headwater"
    }
  }
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

run "first_generation" {
  command = apply

  module {
    source = "./modules/edge"
  }

  assert {
    condition = (
      can(regex("^headwater-[0-9a-f]{8}$", aws_cloudfront_vpc_origin.this[0].vpc_origin_endpoint_config[0].name))
    )
    error_message = "The VPC origin's name holds no hash: a second one could not be made beside it."
  }

  assert {
    condition = (
      aws_cloudfront_vpc_origin.this[0].timeouts.create == "30m" && aws_cloudfront_vpc_origin.this[0].timeouts.delete == "30m"
    )
    error_message = "Terraform gives up before a VPC origin is deployed."
  }
}

run "nothing_is_replaced_without_a_change" {
  command = apply

  module {
    source = "./modules/edge"
  }

  assert {
    condition     = output.vpc_origin_id == run.first_generation.vpc_origin_id
    error_message = "The VPC origin is replaced without a change."
  }

  assert {
    condition     = output.cache_policy_ids == run.first_generation.cache_policy_ids
    error_message = "A cache policy is replaced without a change."
  }
}

run "another_port_is_another_vpc_origin" {
  command = apply

  module {
    source = "./modules/edge"
  }

  variables {
    origin = {
      load_balancer_arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/headwater/0123456789abcdef"
      domain_name       = "origin.example.com"
      security_group_id = "sg-0123456789abcdef0"
      vpc_id            = "vpc-0123456789abcdef0"
      port              = 8443
    }
  }

  assert {
    condition     = output.vpc_origin_id != run.first_generation.vpc_origin_id
    error_message = "The VPC origin is changed in place, which AWS refuses while it is in use (fact 63)."
  }

  assert {
    condition     = output.distribution_id == run.first_generation.distribution_id
    error_message = "The distribution is replaced, and with it its host name."
  }
}

run "another_tag_is_another_vpc_origin" {
  command = apply

  module {
    source = "./modules/edge"
  }

  variables {
    tags = { owner = "updates" }
  }

  assert {
    condition     = output.vpc_origin_id != run.another_port_is_another_vpc_origin.vpc_origin_id
    error_message = "A tag of the VPC origin is changed in place, which AWS refuses as well (fact 63)."
  }
}

run "another_lifetime_is_another_policy" {
  command = apply

  module {
    source = "./modules/edge"
  }

  variables {
    channel_max_ttl     = 600
    force_cache_control = false
  }

  assert {
    condition = (
      output.cache_policy_ids["primary-channels"] != run.first_generation.cache_policy_ids["primary-channels"]
    )
    error_message = "A policy is changed in place: for all distributions at once, before theirs is accepted."
  }

  assert {
    condition = (
      output.cache_policy_ids["primary-artifacts"] == run.first_generation.cache_policy_ids["primary-artifacts"]
    )
    error_message = "A policy whose content is the same is replaced."
  }

  assert {
    condition     = output.response_headers_policy_ids == run.first_generation.response_headers_policy_ids
    error_message = "A response-headers policy whose content is the same is replaced."
  }
}

run "other_headers_are_another_policy" {
  command = apply

  module {
    source = "./modules/edge"
  }

  variables {
    cors_origins = ["*"]
  }

  assert {
    condition = (
      output.response_headers_policy_ids["primary-artifacts"] != run.first_generation.response_headers_policy_ids["primary-artifacts"]
    )
    error_message = "A response-headers policy is changed in place."
  }
}

run "phase_two" {
  command = apply

  module {
    source = "./modules/edge"
  }

  variables {
    restrict_to_service_security_group = true
  }

  assert {
    condition = (
      length(output.security_group_rule_ids) == 1 &&
      output.security_group_rule_ids != run.first_generation.security_group_rule_ids
    )
    error_message = "Phase two does not put one rule in the place of the other."
  }

  assert {
    condition     = output.vpc_origin_id == run.other_headers_are_another_policy.vpc_origin_id
    error_message = "Phase two replaces the VPC origin."
  }
}

run "another_port_is_another_rule" {
  command = apply

  module {
    source = "./modules/edge"
  }

  variables {
    restrict_to_service_security_group = true

    origin = {
      load_balancer_arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/headwater/0123456789abcdef"
      domain_name       = "origin.example.com"
      security_group_id = "sg-0123456789abcdef0"
      vpc_id            = "vpc-0123456789abcdef0"
      port              = 8443
    }
  }

  assert {
    condition     = output.security_group_rule_ids != run.phase_two.security_group_rule_ids
    error_message = "The rule is changed in place: the old VPC origin is locked out before the distribution has left it."
  }
}
