# What the READMEs of the examples promise and a plan of their defaults does not show. Nothing here ran against AWS.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  # examples/complete
  region       = "eu-central-1"
  ami_id       = "ami-0123456789abcdef0"
  domain       = { zone_id = "Z0123456789EXAMPLE", name = "updates.example.com", origin_name = "origin.example.com" }
  products     = { agent = { github = { repository = "example/agent", refs = ["refs/tags/v*"] } } }
  alarm_emails = ["ops@example.com"]
  budget_usd   = 2000

  # examples/attach-to-existing-alb
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

run "a_load_balancer_on_the_internet_is_asked_with_a_secret" {
  command = plan

  module {
    source = "./examples/attach-to-existing-alb"
  }

  variables {
    origin_secret_arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:application-AbCdEf"
    origin_name       = "application.example.com"
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

  assert {
    condition     = module.edge.vpc_origin_id == null
    error_message = "A public load balancer cannot be a VPC origin."
  }
}

run "refuses_a_secret_that_would_go_in_the_clear" {
  command = plan

  module {
    source = "./examples/attach-to-existing-alb"
  }

  variables {
    origin_secret_arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:application-AbCdEf"
  }

  expect_failures = [var.origin_secret_arn]
}

run "refuses_a_name_for_a_secret" {
  command = plan

  module {
    source = "./examples/attach-to-existing-alb"
  }

  variables {
    origin_secret_arn = "application"
    origin_name       = "application.example.com"
  }

  expect_failures = [var.origin_secret_arn]
}

run "the_world_without_an_edge_is_planned_beside_an_edge_in_phase_two" {
  command = plan

  module {
    source = "./examples/complete"
  }

  variables {
    edge_enabled                       = false
    restrict_to_service_security_group = true
  }

  assert {
    condition     = output.distribution_id == null && output.url == "https://updates.example.com"
    error_message = "The other world has an edge, or another name."
  }
}

run "refuses_what_no_value_may_be_in_front_of_an_application" {
  command = plan

  module {
    source = "./examples/attach-to-existing-alb"
  }

  variables {
    region                = "Frankfurt"
    load_balancer_arn     = "application"
    security_group_id     = "application"
    origin_name           = "https://application.example.com"
    artifact_path_pattern = "/*"
    channel_path_pattern  = "latest"
  }

  expect_failures = [
    var.region, var.load_balancer_arn, var.security_group_id, var.origin_name, var.artifact_path_pattern, var.channel_path_pattern,
  ]
}

run "refuses_a_region_that_is_none" {
  command = plan

  module {
    source = "./examples/minimal"
  }

  variables {
    region = "Frankfurt"
  }

  expect_failures = [var.region]
}
