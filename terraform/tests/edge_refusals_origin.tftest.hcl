# Every input about the way to the origin that the edge refuses, by the rule that refuses it. Owns no promise about
# what is made: a run here ends before a plan does.

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
