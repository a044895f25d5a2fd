# What the origin refuses of names, places and its front door: one bad input for every validation of
# modules/origin/variables.tf, up to the load balancer. Never what it does with good ones: origin_front_door.tftest.hcl.

mock_provider "aws" {
  source = "./tests/mocks"
}

# Good by itself; each run spoils one thing.
variables {
  name                     = "updates"
  vpc_id                   = "vpc-00000000000000001"
  load_balancer_subnet_ids = ["subnet-00000000000000001", "subnet-00000000000000002"]
  instance_subnet_ids      = ["subnet-00000000000000003", "subnet-00000000000000004"]
  origin_mode              = "vpc"
  store                    = { bucket_arn = "arn:aws:s3:::updates-store", location = "s3://updates-store" }
}

run "a_name_that_ends_in_a_hyphen" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    name = "updates-"
  }

  expect_failures = [var.name]
}

run "a_name_that_aws_keeps_for_itself" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    name = "internal-updates"
  }

  expect_failures = [var.name]
}

run "a_tag_that_instances_cannot_show" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    tags = { "cost centre" = "42" }
  }

  expect_failures = [var.tags]
}

run "a_vpc_that_is_none" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    vpc_id = "subnet-00000000000000001"
  }

  expect_failures = [var.vpc_id]
}

run "a_load_balancer_in_one_subnet" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    load_balancer_subnet_ids = ["subnet-00000000000000001", "subnet-00000000000000001"]
  }

  expect_failures = [var.load_balancer_subnet_ids]
}

run "instances_in_one_subnet" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    instance_subnet_ids = ["subnet-00000000000000001"]
  }

  expect_failures = [var.instance_subnet_ids]
}

run "a_range_that_is_none" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    egress_cidr_blocks = ["10.20.0.0"]
  }

  expect_failures = [var.egress_cidr_blocks]
}

run "a_vpc_origin_with_public_addresses" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    origin_mode = "vpc"
    internal    = false
  }

  expect_failures = [var.internal]
}

run "a_secret_mode_with_private_addresses" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    origin_mode       = "prefix_list_secret"
    internal          = true
    certificate_arn   = "arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-0000-0000-000000000001"
    origin_secret_arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:updates-origin-AbCdEf"
  }

  expect_failures = [var.internal]
}

run "an_mtls_mode_with_private_addresses" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    origin_mode          = "mtls"
    internal             = true
    certificate_arn      = "arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-0000-0000-000000000001"
    mtls_trust_store_arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:truststore/edge/0123456789abcdef"
  }

  expect_failures = [var.internal]
}

run "an_open_door_beside_the_edge" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    origin_mode          = "mtls"
    internal             = false
    public_ingress       = true
    certificate_arn      = "arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-0000-0000-000000000001"
    mtls_trust_store_arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:truststore/edge/0123456789abcdef"
  }

  expect_failures = [var.public_ingress]
}

run "an_open_door_to_private_addresses" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    origin_mode     = null
    internal        = true
    public_ingress  = true
    certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-0000-0000-000000000001"
  }

  expect_failures = [var.public_ingress]
}

run "an_open_door_without_tls" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    origin_mode    = null
    internal       = false
    public_ingress = true
  }

  expect_failures = [var.public_ingress]
}

run "an_unknown_mode" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    origin_mode = "public"
  }

  expect_failures = [var.origin_mode]
}

run "a_certificate_that_is_none" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    certificate_arn = "arn:aws:iam::123456789012:server-certificate/origin"
  }

  expect_failures = [var.certificate_arn]
}

run "a_secret_mode_without_tls" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    origin_mode       = "prefix_list_secret"
    internal          = false
    origin_secret_arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:updates-origin-AbCdEf"
  }

  expect_failures = [var.certificate_arn]
}

run "an_mtls_mode_without_tls" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    origin_mode          = "mtls"
    internal             = false
    mtls_trust_store_arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:truststore/edge/0123456789abcdef"
  }

  expect_failures = [var.certificate_arn]
}

run "an_unknown_listener_protocol" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    listener_protocol = "TLS"
  }

  expect_failures = [var.listener_protocol]
}

run "https_without_a_certificate" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    listener_protocol = "HTTPS"
  }

  expect_failures = [var.listener_protocol]
}

run "plain_http_for_a_secret" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    listener_protocol = "HTTP"
    origin_mode       = "prefix_list_secret"
    internal          = false
    certificate_arn   = "arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-0000-0000-000000000001"
    origin_secret_arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:updates-origin-AbCdEf"
  }

  expect_failures = [var.listener_protocol]
}

run "plain_http_for_devices" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    listener_protocol = "HTTP"
    origin_mode       = null
    internal          = false
    public_ingress    = true
    certificate_arn   = "arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-0000-0000-000000000001"
  }

  expect_failures = [var.listener_protocol]
}

run "tls_that_cloudfront_does_not_speak" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    ssl_policy = "ELBSecurityPolicy-TLS13-1-3-2021-06"
  }

  expect_failures = [var.ssl_policy]
}

run "tls_that_nobody_should_speak" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    ssl_policy = "ELBSecurityPolicy-2016-08"
  }

  expect_failures = [var.ssl_policy]
}

run "a_secret_that_is_no_arn" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    origin_secret_arn = "updates-origin"
  }

  expect_failures = [var.origin_secret_arn]
}

run "a_secret_mode_without_a_secret" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    origin_mode     = "prefix_list_secret"
    internal        = false
    certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-0000-0000-000000000001"
  }

  expect_failures = [var.origin_secret_arn]
}

run "an_alias_for_the_key_of_the_secret" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    origin_secret_kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:alias/secret"
  }

  expect_failures = [var.origin_secret_kms_key_arn]
}

run "a_header_that_is_too_long" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    origin_secret_header = "x-origin-secret-with-a-name-beyond-forty-characters"
  }

  expect_failures = [var.origin_secret_header]
}

run "a_header_that_would_be_dropped" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    origin_secret_header = "x_origin_secret"
  }

  expect_failures = [var.origin_secret_header]
}

run "a_trust_store_that_is_none" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    mtls_trust_store_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-0000-0000-000000000001"
  }

  expect_failures = [var.mtls_trust_store_arn]
}

run "an_mtls_mode_without_a_trust_store" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    origin_mode     = "mtls"
    internal        = false
    certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-0000-0000-000000000001"
  }

  expect_failures = [var.mtls_trust_store_arn]
}
