# The same installation in both worlds: with CloudFront in front, and without. Owns the inputs of both; the integration tests
# of the crate read the plans of these runs, list what differs, and compare them with the server's own configuration.
# Nothing here ran against AWS.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  domain = {
    zone_id     = "Z0123456789EXAMPLE"
    name        = "updates.example.com"
    origin_name = "origin.example.com"
  }

  products = {
    agent    = { github = { repository = "example/agent", refs = ["refs/tags/v*"] } }
    firmware = { trusted_role_arns = ["arn:aws:iam::123456789012:role/release"] }
  }

  alarm_emails = ["ops@example.com"]
  event_emails = ["releases@example.com"]
  budget       = { limit_usd = 2000, emails = ["ops@example.com"] }
}

run "with_edge" {
  command = plan

  assert {
    condition     = output.distribution_id == "E2EXAMPLE" && output.distribution_arn != null && output.distribution_hosted_zone_id == "Z2FDTNDATAQYW2"
    error_message = "The outputs do not name the distribution."
  }

  assert {
    condition     = output.vpc_origin_id == "vo_example"
    error_message = "The edge does not reach the origin through a VPC origin."
  }

  assert {
    condition     = output.origin_secret_arn == null
    error_message = "A VPC origin needs no secret, and a secret that nobody needs is one to lose."
  }

  assert {
    condition     = module.origin.listener_protocol == "HTTPS" && module.origin.listener_port == 443
    error_message = "With a name the way from the edge to the load balancer is not encrypted."
  }

  assert {
    condition     = output.url == "https://updates.example.com"
    error_message = "Devices are not told the public name."
  }

  assert {
    condition     = sort(keys(output.publisher_role_arns)) == tolist(["agent", "firmware"])
    error_message = "Not every product has a publisher."
  }

  assert {
    condition     = strcontains(module.publisher["agent"].policy_json, "distribution/E2EXAMPLE")
    error_message = "The publisher may not purge the distribution."
  }

  assert {
    condition     = strcontains(module.store.policy_json, "arn:aws:cloudfront::123456789012:distribution/E2EXAMPLE")
    error_message = "The distribution cannot read the bucket when the origin fails."
  }

  assert {
    condition     = strcontains(module.origin.user_data, "HEADWATER_STORE=s3://headwater-store-123456789012-eu-central-1") && strcontains(module.origin.user_data, "HEADWATER_ACCESS_LOG=off")
    error_message = "Instances are not told their store, or write records that the edge writes already."
  }
}

# Where the edge comes over the Internet, and shows a secret in a header that is not the default one.
run "with_a_secret" {
  command = plan

  variables {
    origin_mode          = "prefix_list_secret"
    origin_secret_header = "x-pass"
    thresholds           = { origin_gigabytes_per_hour = 40 }
  }

  assert {
    condition     = strcontains(module.origin.user_data, "HEADWATER_ORIGIN_SECRET_HEADER=x-pass")
    error_message = "Instances look for the secret in another header than the one that the edge sends."
  }
}

run "without_edge" {
  command = plan

  variables {
    edge_enabled = false
  }

  assert {
    condition = alltrue([
      for value in [
        output.distribution_id, output.distribution_arn, output.distribution_domain_name, output.distribution_hosted_zone_id,
        output.vpc_origin_id, output.security_group_rule_ids, output.cache_policy_ids, output.log_delivery_id, output.staging_distribution_id,
      ] : value == null
    ])
    error_message = "An output names something of an edge that is not there."
  }

  assert {
    condition     = output.url == run.with_edge.url && output.store_location == run.with_edge.store_location
    error_message = "Devices or publishers would have to be told something else."
  }

  assert {
    condition     = module.origin.listener_protocol == "HTTPS" && module.dns[0].origin_name == "updates.example.com"
    error_message = "The public name does not lead to the load balancer, over HTTPS."
  }

  assert {
    condition     = !strcontains(module.publisher["agent"].policy_json, "distribution/") && !strcontains(module.store.policy_json, "distribution/")
    error_message = "A policy speaks of a distribution that is not there."
  }

  assert {
    condition     = strcontains(module.origin.user_data, "HEADWATER_ACCESS_LOG=json")
    error_message = "Nobody records what devices ask."
  }

  assert {
    condition     = local.capacity.min_size > local.capacity_with_edge.min_size && local.capacity.max_size > local.capacity_with_edge.max_size
    error_message = "The origin that serves every device itself is not larger than the one behind an edge."
  }
}
