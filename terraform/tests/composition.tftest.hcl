# The composition in each mode, and every refusal of its own. Owns no resource: what a module makes of its inputs is in
# that module's file. Nothing here ran against AWS.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

# ---- Modes ----------------------------------------------------------------------------------------------------------------

run "everything_by_default_is_a_private_origin_behind_cloudfronts_own_name" {
  command = plan

  assert {
    condition     = output.url == "https://d111111abcdef8.cloudfront.net"
    error_message = "Without a domain devices are not told CloudFront's own name."
  }

  assert {
    condition     = output.vpc_origin_id == "vo_example" && module.origin.listener_protocol == "HTTP"
    error_message = "Without a domain the edge does not reach the origin over a VPC origin, in the clear inside the network."
  }

  assert {
    condition     = length(module.dns) == 0 && length(module.secret) == 0 && length(module.github_oidc) == 0 && length(module.publisher) == 0
    error_message = "Something is made that nobody asked for."
  }

  assert {
    condition     = output.bucket_name == "headwater-store-123456789012-eu-central-1"
    error_message = "The bucket's name is not made of name, account and Region."
  }
}

run "a_public_origin_with_a_secret_shares_it_with_the_edge" {
  command = plan

  variables {
    origin_mode = "prefix_list_secret"
    domain      = { zone_id = "Z0123456789EXAMPLE", name = "updates.example.com", origin_name = "origin.example.com" }
  }

  assert {
    condition     = output.origin_secret_arn != null && strcontains(module.origin.user_data, output.origin_secret_arn)
    error_message = "Instances do not know where the secret is."
  }

  assert {
    condition     = !strcontains(module.origin.user_data, "example-value-that-is-current")
    error_message = "The secret itself stands in the user data."
  }

  assert {
    condition     = output.vpc_origin_id == null && module.origin.listener_protocol == "HTTPS"
    error_message = "The edge does not come over the Internet, by HTTPS."
  }
}

run "a_public_origin_with_mutual_tls_needs_no_secret" {
  command = plan

  variables {
    origin_mode = "mtls"
    domain      = { zone_id = "Z0123456789EXAMPLE", name = "updates.example.com", origin_name = "origin.example.com" }

    origin_mtls = {
      client_certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"
      trust_store_arn        = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:truststore/edge/0123456789abcdef"
    }
  }

  assert {
    condition     = output.origin_secret_arn == null && output.vpc_origin_id == null
    error_message = "A secret or a VPC origin is made beside mutual TLS."
  }
}

run "a_network_that_is_there_is_used_and_none_is_made" {
  command = plan

  variables {
    network = {
      vpc_id                   = "vpc-0aaaaaaaaaaaaaaaa"
      load_balancer_subnet_ids = ["subnet-0aaaaaaaaaaaaaaa1", "subnet-0aaaaaaaaaaaaaaa2"]
      instance_subnet_ids      = ["subnet-0aaaaaaaaaaaaaaa3", "subnet-0aaaaaaaaaaaaaaa4"]
      availability_zone_ids    = ["euc1-az1", "euc1-az2"]
    }
  }

  assert {
    condition     = length(module.network) == 0 && output.vpc_id == "vpc-0aaaaaaaaaaaaaaaa"
    error_message = "A second network is made."
  }
}

run "a_provider_of_identities_that_is_there_is_used" {
  command = plan

  variables {
    github_oidc_provider_arn = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
    products                 = { agent = { github = { repository = "example/agent", environments = ["release"] } } }
  }

  assert {
    condition     = length(module.github_oidc) == 0
    error_message = "The account would have two providers for one issuer, which IAM refuses."
  }

  assert {
    condition     = strcontains(module.publisher["agent"].trust_json, "repo:example/agent:environment:release")
    error_message = "The publisher does not trust the environment of its repository, or more than that."
  }
}

run "a_capacity_of_ones_own_replaces_the_argued_one" {
  command = plan

  variables {
    capacity = { instance_type = "c7gd.xlarge", min_size = 3, max_size = 9, block_cache = { kind = "instance_store" }, network_baseline_gbps = 1.876 }
  }

  assert {
    condition     = local.capacity.instance_type == "c7gd.xlarge" && local.capacity.max_size == 9
    error_message = "The given capacity is not used."
  }
}

# ---- Refusals ---------------------------------------------------------------------------------------------------------------
# Each run gives many variables one bad value each; a variable with several rules stands in several runs.

run "refuses_what_no_value_may_be" {
  command = plan

  variables {
    name                         = "Headwater"
    tags                         = { "aws:mine" = "x" }
    origin_mode                  = "open"
    origin_secret_header         = "x-amz-secret"
    vpc_cidr                     = "10.0.0.0/28"
    az_count                     = 1
    nat                          = "many"
    bucket_name                  = "Under_Score"
    store_prefix                 = "/a/"
    kms_key_arn                  = "arn:aws:kms:eu-central-1:123456789012:alias/mine"
    object_lock                  = { mode = "LOOSE", days = 30 }
    products                     = { "*" = { trusted_role_arns = ["arn:aws:iam::123456789012:role/release"] } }
    github_oidc_provider_arn     = "arn:aws:iam::123456789012:oidc-provider/example.com"
    permissions_boundary         = "boundary"
    ami_id                       = "debian-12"
    capacity                     = { instance_type = "m7gd.large", min_size = 1, max_size = 4, block_cache = { kind = "instance_store" } }
    load_balancer_capacity_units = 99
    environment                  = { HEADWATER_ORIGIN_SECRETS = "x" }
    origin_shield_region         = "eu-north-1"
    price_class                  = "PriceClass_300"
    http_version                 = "http4"
    cors_origins                 = ["http://example.com"]
    private_path_patterns        = ["/*"]
    alarm_emails                 = ["ops"]
    event_emails                 = ["releases @example.com"]
    thresholds                   = { origin_gigabyte_per_hour = 500 }
    budget                       = { limit_usd = 0, emails = ["ops@example.com"] }
  }

  expect_failures = [
    var.name, var.tags, var.origin_mode, var.origin_secret_header, var.vpc_cidr, var.az_count, var.nat, var.bucket_name,
    var.store_prefix, var.kms_key_arn, var.object_lock, var.products, var.github_oidc_provider_arn, var.permissions_boundary,
    var.ami_id, var.capacity, var.load_balancer_capacity_units, var.environment, var.origin_shield_region,
    var.price_class, var.http_version, var.cors_origins, var.private_path_patterns, var.alarm_emails, var.event_emails,
    var.thresholds, var.budget,
  ]
}

run "refuses_a_zone_a_certificate_a_network_and_a_disk_that_are_none" {
  command = plan

  variables {
    domain   = { zone_id = "example.com", name = "updates.example.com", origin_name = "origin.example.com" }
    products = { agent = {} }
    capacity = { instance_type = "m7gd.large", min_size = 2, max_size = 4, block_cache = { kind = "tape" } }

    origin_mtls = {
      client_certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/x"
      trust_store_arn        = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:truststore/edge/0123456789abcdef"
    }

    network = {
      vpc_id                   = "default"
      load_balancer_subnet_ids = ["subnet-0aaaaaaaaaaaaaaa1", "subnet-0aaaaaaaaaaaaaaa2"]
      instance_subnet_ids      = ["subnet-0aaaaaaaaaaaaaaa3", "subnet-0aaaaaaaaaaaaaaa4"]
      availability_zone_ids    = ["euc1-az1", "euc1-az2"]
    }
  }

  expect_failures = [var.domain, var.products, var.capacity, var.origin_mtls, var.network]
}

run "refuses_names_with_a_scheme_and_subnets_in_one_place" {
  command = plan

  variables {
    domain = { zone_id = "Z0123456789EXAMPLE", name = "https://updates.example.com", origin_name = "origin.example.com" }

    origin_mtls = {
      client_certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/x"
      trust_store_arn        = "edge"
    }

    network = {
      vpc_id                   = "vpc-0aaaaaaaaaaaaaaaa"
      load_balancer_subnet_ids = ["subnet-0aaaaaaaaaaaaaaa1", "subnet-0aaaaaaaaaaaaaaa1"]
      instance_subnet_ids      = ["subnet-0aaaaaaaaaaaaaaa3", "subnet-0aaaaaaaaaaaaaaa4"]
      availability_zone_ids    = ["euc1-az1", "euc1-az2"]
    }
  }

  expect_failures = [var.domain, var.origin_mtls, var.network]
}

run "refuses_an_edge_that_asks_itself_and_subnets_by_name" {
  command = plan

  variables {
    domain = { zone_id = "Z0123456789EXAMPLE", name = "updates.example.com", origin_name = "updates.example.com" }

    network = {
      vpc_id                   = "vpc-0aaaaaaaaaaaaaaaa"
      load_balancer_subnet_ids = ["private-a", "private-b"]
      instance_subnet_ids      = ["subnet-0aaaaaaaaaaaaaaa3", "subnet-0aaaaaaaaaaaaaaa4"]
      availability_zone_ids    = ["euc1-az1", "euc1-az2"]
    }
  }

  expect_failures = [var.domain, var.network]
}

run "refuses_names_of_zones_where_ids_are_meant_and_an_unknown_architecture" {
  command = plan

  variables {
    architecture = "riscv64"

    network = {
      vpc_id                   = "vpc-0aaaaaaaaaaaaaaaa"
      load_balancer_subnet_ids = ["subnet-0aaaaaaaaaaaaaaa1", "subnet-0aaaaaaaaaaaaaaa2"]
      instance_subnet_ids      = ["subnet-0aaaaaaaaaaaaaaa3", "subnet-0aaaaaaaaaaaaaaa4"]
      availability_zone_ids    = ["eu-central-1a", "eu-central-1b"]
    }
  }

  expect_failures = [var.network, var.architecture]
}

run "refuses_a_world_without_edge_that_has_no_name" {
  command = plan

  variables {
    edge_enabled = false
  }

  expect_failures = [var.edge_enabled]
}

run "refuses_a_public_origin_without_a_name" {
  command = plan

  variables {
    origin_mode = "prefix_list_secret"
  }

  expect_failures = [var.origin_mode]
}

run "refuses_mutual_tls_without_certificates" {
  command = plan

  variables {
    origin_mode = "mtls"
    domain      = { zone_id = "Z0123456789EXAMPLE", name = "updates.example.com", origin_name = "origin.example.com" }
  }

  expect_failures = [var.origin_mode]
}

run "refuses_the_second_phase_a_web_acl_and_keys_without_an_edge" {
  command = plan

  variables {
    edge_enabled                       = false
    domain                             = { zone_id = "Z0123456789EXAMPLE", name = "updates.example.com", origin_name = "origin.example.com" }
    restrict_to_service_security_group = true
    web_acl                            = {}
    private_channel_public_keys        = { "2026" = "x" }
  }

  expect_failures = [var.restrict_to_service_security_group, var.web_acl, var.private_channel_public_keys]
}

run "refuses_staging_beside_http3_and_sizes_of_another_architecture" {
  command = plan

  variables {
    staging      = { weight = 0.05 }
    architecture = "x86_64"
  }

  expect_failures = [var.staging, var.architecture]
}
