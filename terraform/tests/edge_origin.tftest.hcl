# The way from the edge to the origin: three modes, one door in the security group, Origin Shield. Owns nothing about
# paths and lifetimes (edge.tftest.hcl) nor about an origin that does not answer (edge_failover.tftest.hcl). Nothing here
# ran against AWS.

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

# ---- Mode vpc --------------------------------------------------------------------------------------------------------

run "a_vpc_origin_reaches_an_internal_load_balancer_over_tls" {
  command = apply

  module {
    source = "./modules/edge"
  }

  assert {
    condition = (
      aws_cloudfront_vpc_origin.this[0].vpc_origin_endpoint_config[0].arn == var.origin.load_balancer_arn &&
      aws_cloudfront_vpc_origin.this[0].vpc_origin_endpoint_config[0].origin_protocol_policy == "https-only" &&
      aws_cloudfront_vpc_origin.this[0].vpc_origin_endpoint_config[0].https_port == 443 &&
      aws_cloudfront_vpc_origin.this[0].vpc_origin_endpoint_config[0].origin_ssl_protocols[0].items == toset(["TLSv1.2"])
    )
    error_message = "The VPC origin does not reach the load balancer with TLS 1.2 on 443."
  }

  assert {
    condition = (
      one(aws_cloudfront_distribution.this.origin).vpc_origin_config[0].vpc_origin_id == output.vpc_origin_id
    )
    error_message = "The distribution does not use the VPC origin."
  }

  assert {
    condition     = length(one(aws_cloudfront_distribution.this.origin).custom_origin_config) == 0
    error_message = "The distribution also has a way over the internet."
  }

  assert {
    condition     = one(aws_cloudfront_distribution.this.origin).domain_name == "origin.example.com"
    error_message = "CloudFront asks for another name than the one on the load balancer's certificate."
  }

  assert {
    condition = (
      length(one(aws_cloudfront_distribution.this.origin).custom_header) == 0 &&
      length(data.aws_secretsmanager_secret_version.origin) == 0
    )
    error_message = "A secret is read, and put into the state, without need."
  }
}

run "inside_the_vpc_plain_http_is_possible" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    origin = {
      load_balancer_arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/headwater/0123456789abcdef"
      domain_name       = "internal-headwater-0123456789.eu-central-1.elb.amazonaws.com"
      security_group_id = "sg-0fedcba9876543210"
      protocol          = "http-only"
    }
  }

  assert {
    condition = (
      aws_cloudfront_vpc_origin.this[0].vpc_origin_endpoint_config[0].origin_protocol_policy == "http-only" &&
      aws_cloudfront_vpc_origin.this[0].vpc_origin_endpoint_config[0].http_port == 80
    )
    error_message = "http-only does not use port 80."
  }

  assert {
    condition = (
      aws_vpc_security_group_ingress_rule.prefix_list[0].from_port == 80 &&
      aws_vpc_security_group_ingress_rule.prefix_list[0].to_port == 80
    )
    error_message = "The security group opens another port than the one that is used."
  }
}

run "a_secret_can_be_sent_inside_the_vpc_as_well" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    send_origin_secret = true
    origin_secret_arn  = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:headwater-origin-AbCdEf"
  }

  assert {
    condition     = nonsensitive(length(one(aws_cloudfront_distribution.this.origin).custom_header)) == 1
    error_message = "The secret header is not sent though asked for."
  }
}

# ---- Mode prefix_list_secret -----------------------------------------------------------------------------------------

run "a_public_origin_gets_the_current_secret_and_tls" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    origin_mode          = "prefix_list_secret"
    origin_secret_arn    = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:headwater-origin-AbCdEf"
    origin_secret_header = "x-headwater-pass"
  }

  assert {
    condition     = length(aws_cloudfront_vpc_origin.this) == 0
    error_message = "A VPC origin is made for a public load balancer."
  }

  assert {
    condition = nonsensitive(
      one(one(aws_cloudfront_distribution.this.origin).custom_header).name == "x-headwater-pass" &&
      one(one(aws_cloudfront_distribution.this.origin).custom_header).value == "example-value-that-is-current"
    )
    error_message = "The origin does not get the current value of the secret in the named header (fact 66)."
  }

  assert {
    condition = nonsensitive(
      one(aws_cloudfront_distribution.this.origin).custom_origin_config[0].origin_protocol_policy == "https-only" &&
      one(aws_cloudfront_distribution.this.origin).custom_origin_config[0].origin_ssl_protocols == toset(["TLSv1.2"])
    )
    error_message = "The secret goes over the internet without TLS 1.2."
  }

  assert {
    condition = (
      nonsensitive(length(one(aws_cloudfront_distribution.this.origin).custom_origin_config[0].origin_mtls_config)) == 0
    )
    error_message = "A client certificate is shown though none was given."
  }

  assert {
    condition     = data.aws_secretsmanager_secret_version.origin[0].region == "eu-central-1"
    error_message = "The secret is looked for in the provider's Region instead of the origin's."
  }
}

run "a_secret_that_is_no_json_stops_the_plan" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    origin_mode       = "prefix_list_secret"
    origin_secret_arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:headwater-origin-AbCdEf"
  }

  override_data {
    target = data.aws_secretsmanager_secret_version.origin
    values = {
      secret_string = "just-a-text-without-any-structure"
    }
  }

  expect_failures = [data.aws_secretsmanager_secret_version.origin]
}

run "a_secret_with_a_wildcard_stops_the_plan" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    origin_mode       = "prefix_list_secret"
    origin_secret_arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:headwater-origin-AbCdEf"
  }

  override_data {
    target = data.aws_secretsmanager_secret_version.origin
    values = {
      secret_string = "{\"current\":\"a-value-that-ends-in-a-star*\",\"previous\":\"\"}"
    }
  }

  expect_failures = [data.aws_secretsmanager_secret_version.origin]
}

# ---- Mode mtls -------------------------------------------------------------------------------------------------------

run "a_public_origin_can_check_a_certificate_instead" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    origin_mode                   = "mtls"
    origin_client_certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-0000-0000-000000000002"
  }

  assert {
    condition = (
      one(aws_cloudfront_distribution.this.origin).custom_origin_config[0].origin_mtls_config[0].client_certificate_arn == var.origin_client_certificate_arn
    )
    error_message = "CloudFront does not show its certificate to the load balancer (fact 67)."
  }

  assert {
    condition = (
      length(aws_cloudfront_vpc_origin.this) == 0 &&
      length(one(aws_cloudfront_distribution.this.origin).vpc_origin_config) == 0
    )
    error_message = "A VPC origin stands beside mTLS, a combination that nobody confirms."
  }
}

# ---- The security group: one door, never to everybody ------------------------------------------------------------------

run "phase_one_admits_the_prefix_list_and_nothing_else" {
  command = plan

  module {
    source = "./modules/edge"
  }

  assert {
    condition = (
      length(aws_vpc_security_group_ingress_rule.prefix_list) == 1 &&
      length(aws_vpc_security_group_ingress_rule.service_group) == 0
    )
    error_message = "The first apply does not make exactly the prefix list's rule."
  }

  assert {
    condition     = length(data.aws_security_group.cloudfront_service) == 0
    error_message = "The first apply looks for a group that is not there before the first VPC origin is (fact 62)."
  }

  assert {
    condition = (
      data.aws_ec2_managed_prefix_list.cloudfront[0].name == "com.amazonaws.global.cloudfront.origin-facing"
    )
    error_message = "Another prefix list than CloudFront's is admitted (fact 65)."
  }

  assert {
    condition = (
      aws_vpc_security_group_ingress_rule.prefix_list[0].prefix_list_id == data.aws_ec2_managed_prefix_list.cloudfront[0].id &&
      aws_vpc_security_group_ingress_rule.prefix_list[0].security_group_id == "sg-0fedcba9876543210" &&
      aws_vpc_security_group_ingress_rule.prefix_list[0].ip_protocol == "tcp" &&
      aws_vpc_security_group_ingress_rule.prefix_list[0].from_port == 443 &&
      aws_vpc_security_group_ingress_rule.prefix_list[0].to_port == 443
    )
    error_message = "The rule does not admit CloudFront to port 443 of the load balancer alone; each further port weighs 55 (fact 65)."
  }

  assert {
    condition = alltrue([
      for rule in concat(aws_vpc_security_group_ingress_rule.prefix_list, aws_vpc_security_group_ingress_rule.service_group) :
      rule.cidr_ipv4 == null && rule.cidr_ipv6 == null
    ])
    error_message = "Addresses are admitted; 0.0.0.0/0 would be the whole internet."
  }
}

run "phase_two_admits_the_service_group_and_nothing_else" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    restrict_to_service_security_group = true
  }

  assert {
    condition = (
      length(aws_vpc_security_group_ingress_rule.prefix_list) == 0 &&
      length(aws_vpc_security_group_ingress_rule.service_group) == 1
    )
    error_message = "The second apply does not leave exactly the service group's rule."
  }

  assert {
    condition = (
      data.aws_security_group.cloudfront_service[0].name == "CloudFront-VPCOrigins-Service-SG" &&
      data.aws_security_group.cloudfront_service[0].vpc_id == "vpc-0123456789abcdef0"
    )
    error_message = "Another group than CloudFront's own in the load balancer's VPC is looked up (fact 62)."
  }

  assert {
    condition = (
      aws_vpc_security_group_ingress_rule.service_group[0].referenced_security_group_id == data.aws_security_group.cloudfront_service[0].id &&
      aws_vpc_security_group_ingress_rule.service_group[0].from_port == 443 &&
      aws_vpc_security_group_ingress_rule.service_group[0].cidr_ipv4 == null
    )
    error_message = "The rule does not admit CloudFront's group to port 443 alone."
  }
}

run "rules_can_be_left_to_others" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    manage_security_group_rules = false

    origin = {
      load_balancer_arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/headwater/0123456789abcdef"
      domain_name       = "origin.example.com"
    }
  }

  assert {
    condition = (
      length(aws_vpc_security_group_ingress_rule.prefix_list) + length(aws_vpc_security_group_ingress_rule.service_group) == 0
    )
    error_message = "A rule is made though somebody else makes them."
  }
}

run "a_public_origin_admits_the_prefix_list" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    origin_mode                   = "mtls"
    origin_client_certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-0000-0000-000000000002"
  }

  assert {
    condition = (
      length(aws_vpc_security_group_ingress_rule.prefix_list) == 1 &&
      aws_vpc_security_group_ingress_rule.prefix_list[0].cidr_ipv4 == null
    )
    error_message = "A public load balancer is open to others than CloudFront."
  }
}

# ---- Origin Shield -----------------------------------------------------------------------------------------------------

run "origin_shield_stands_where_the_origin_is" {
  command = plan

  module {
    source = "./modules/edge"
  }

  assert {
    condition     = one(one(aws_cloudfront_distribution.this.origin).origin_shield).enabled
    error_message = "Every regional cache asks the origin by itself (fact 58)."
  }

  assert {
    condition = (
      one(one(aws_cloudfront_distribution.this.origin).origin_shield).origin_shield_region == "eu-central-1"
    )
    error_message = "Origin Shield stands in another Region than the origin, which has one."
  }

  assert {
    condition     = output.origin_shield_region == "eu-central-1"
    error_message = "The output names another Region."
  }
}

# Fact 56, word for word, beside the table of the module: a slip in one of them shows.
run "every_region_is_mapped_as_aws_says" {
  command = plan

  module {
    source = "./modules/edge"
  }

  assert {
    condition = local.origin_shield_regions == {
      us-east-1      = "us-east-1"
      us-east-2      = "us-east-2"
      us-west-2      = "us-west-2"
      ap-south-1     = "ap-south-1"
      ap-northeast-1 = "ap-northeast-1"
      ap-northeast-2 = "ap-northeast-2"
      ap-southeast-1 = "ap-southeast-1"
      ap-southeast-2 = "ap-southeast-2"
      eu-central-1   = "eu-central-1"
      eu-west-1      = "eu-west-1"
      eu-west-2      = "eu-west-2"
      sa-east-1      = "sa-east-1"
      us-west-1      = "us-west-2"
      af-south-1     = "eu-west-1"
      ap-east-1      = "ap-southeast-1"
      ca-central-1   = "us-east-1"
      eu-south-1     = "eu-central-1"
      eu-west-3      = "eu-west-2"
      eu-north-1     = "eu-west-2"
      me-south-1     = "ap-south-1"
    }
    error_message = "A Region is mapped to another one than fact 56 names."
  }
}

run "a_region_without_shield_uses_the_nearest_one" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    origin_region = "eu-north-1"

    origin = {
      load_balancer_arn = "arn:aws:elasticloadbalancing:eu-north-1:123456789012:loadbalancer/app/headwater/0123456789abcdef"
      domain_name       = "origin.example.com"
      security_group_id = "sg-0fedcba9876543210"
    }
  }

  assert {
    condition     = one(one(aws_cloudfront_distribution.this.origin).origin_shield).origin_shield_region == "eu-west-2"
    error_message = "Stockholm does not use London's Origin Shield (fact 56)."
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.prefix_list[0].region == "eu-north-1"
    error_message = "The rule is made in another Region than the load balancer's."
  }
}

run "a_region_newer_than_the_table_can_be_served" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    origin_region        = "eu-south-2"
    origin_shield_region = "eu-west-1"

    origin = {
      load_balancer_arn = "arn:aws:elasticloadbalancing:eu-south-2:123456789012:loadbalancer/app/headwater/0123456789abcdef"
      domain_name       = "origin.example.com"
      security_group_id = "sg-0fedcba9876543210"
    }
  }

  assert {
    condition     = one(one(aws_cloudfront_distribution.this.origin).origin_shield).origin_shield_region == "eu-west-1"
    error_message = "The named Region is not used."
  }
}

run "origin_shield_can_be_left_out" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    origin_shield_enabled = false
  }

  assert {
    condition     = length(one(aws_cloudfront_distribution.this.origin).origin_shield) == 0
    error_message = "Origin Shield is on though switched off."
  }
}
