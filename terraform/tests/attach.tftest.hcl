# The example that puts an edge in front of an application that somebody runs. Owns what it must leave alone.
# Nothing here ran against AWS.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  load_balancer_arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/application/0123456789abcdef"
  security_group_id = "sg-0123456789abcdef0"
}

run "pages_of_the_application_go_through_as_they_are" {
  command = plan

  module {
    source = "./examples/attach-to-existing-alb"
  }

  assert {
    condition     = length(module.edge.response_headers_policy_ids) == 2
    error_message = "Only artifacts and channels get headers of the edge."
  }

  assert {
    condition     = module.edge.vpc_origin_id == "vo_example" && module.edge.key_group_id == null && module.edge.web_acl_arn == null
    error_message = "It is reached in private, and nobody is kept out who was let in before."
  }
}

run "refuses_a_load_balancer_on_the_internet" {
  command = plan

  module {
    source = "./examples/attach-to-existing-alb"
  }

  override_data {
    target = data.aws_lb.application
    values = {
      arn          = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/application/0123456789abcdef"
      dns_name     = "application-0123456789.eu-central-1.elb.amazonaws.com"
      vpc_id       = "vpc-0123456789abcdef0"
      internal     = false
      idle_timeout = 60
      subnets      = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
    }
  }

  expect_failures = [data.aws_lb.application]
}
