# The origin behind its usual edge: the load balancer, its targets, and who may talk to whom. Every promise of
# modules/origin/README.md; the other modes of the front door are in origin_front_door.tftest.hcl, instances in
# origin_instances.tftest.hcl, their number and their end in origin_scaling.tftest.hcl, refusals in origin_refusals*.

mock_provider "aws" {
  source = "./tests/mocks"
}

override_data {
  target = data.aws_ec2_managed_prefix_list.s3
  values = { id = "pl-00000000000000053" }
}

override_resource {
  target = aws_security_group.load_balancer
  values = { id = "sg-00000000000000a1b" }
}

override_resource {
  target = aws_security_group.instances
  values = { id = "sg-00000000000000005" }
}

variables {
  name                     = "updates"
  vpc_id                   = "vpc-00000000000000001"
  load_balancer_subnet_ids = ["subnet-00000000000000001", "subnet-00000000000000002"]
  instance_subnet_ids      = ["subnet-00000000000000001", "subnet-00000000000000002"]
  origin_mode              = "vpc"

  store = {
    bucket_arn = "arn:aws:s3:::updates-store"
    location   = "s3://updates-store/prod/eu"
  }

  tags = { team = "releases" }
}

# ---- Load balancer --------------------------------------------------------------------------------------------------

run "the_load_balancer_is_internal_and_strict" {
  command = apply

  module {
    source = "./modules/origin"
  }

  assert {
    condition = (
      aws_lb.origin.internal &&
      aws_lb.origin.name == "updates-int" &&
      aws_lb.origin.load_balancer_type == "application"
    )
    error_message = "Behind a VPC origin the load balancer must have private addresses only."
  }

  assert {
    condition     = aws_lb.origin.drop_invalid_header_fields && aws_lb.origin.desync_mitigation_mode == "defensive"
    error_message = "The load balancer must drop what is not a header and defend against smuggling (fact 84)."
  }

  # The keep-alive chain of fact 85: CloudFront 60 <= balancer < origin 75 (config/production.toml).
  assert {
    condition = (
      aws_lb.origin.idle_timeout == 65 &&
      aws_lb.origin.idle_timeout >= 60 &&
      aws_lb.origin.idle_timeout < 75
    )
    error_message = "The load balancer's idle time-out must lie between the edge's keep-alive and the origin's idle time-out."
  }

  assert {
    condition = (
      aws_lb.origin.client_keep_alive == 3600 &&
      aws_lb.origin.enable_deletion_protection &&
      aws_lb.origin.enable_zonal_shift
    )
    error_message = "Keep-alive, deletion protection and zonal shift must be as documented."
  }

  assert {
    condition = (
      length(aws_lb.origin.access_logs) == 0 &&
      length(aws_lb.origin.minimum_load_balancer_capacity) == 0
    )
    error_message = "Access logs and reserved capacity cost money and must be asked for."
  }
}

run "logs_and_capacity_are_there_when_asked_for" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    access_log_bucket            = "updates-logs"
    load_balancer_capacity_units = 500
    deletion_protection          = false
  }

  assert {
    condition = (
      aws_lb.origin.access_logs[0].bucket == "updates-logs" &&
      aws_lb.origin.access_logs[0].enabled &&
      aws_lb.origin.access_logs[0].prefix == "load-balancer"
    )
    error_message = "Access logs must go to the named bucket."
  }

  assert {
    condition     = aws_lb.origin.minimum_load_balancer_capacity[0].capacity_units == 500
    error_message = "Capacity must be reserved as asked (fact 87)."
  }

  assert {
    condition     = aws_lb.origin.enable_deletion_protection == false
    error_message = "Deletion protection must be possible to turn off."
  }
}

run "health_is_asked_where_the_world_cannot" {
  command = apply

  module {
    source = "./modules/origin"
  }

  assert {
    condition = (
      aws_lb_target_group.origin.health_check[0].port == "8081" &&
      aws_lb_target_group.origin.health_check[0].path == "/readyz" &&
      aws_lb_target_group.origin.health_check[0].protocol == "HTTP" &&
      aws_lb_target_group.origin.health_check[0].matcher == "200"
    )
    error_message = "Health must be /readyz of the admin listener."
  }

  # server.drain_delay of config/production.toml is 20 s: the balancer must have noticed by then.
  assert {
    condition     = aws_lb_target_group.origin.health_check[0].interval * aws_lb_target_group.origin.health_check[0].unhealthy_threshold <= 20
    error_message = "An instance that says 503 must be out of the target group within the drain delay of 20 s."
  }

  assert {
    condition = (
      aws_lb_target_group.origin.health_check[0].timeout > 1.5 &&
      aws_lb_target_group.origin.health_check[0].timeout < aws_lb_target_group.origin.health_check[0].interval
    )
    error_message = "The time-out must be above the 1.5 s that /readyz takes at the most, and below the interval."
  }

  assert {
    condition = (
      aws_lb_target_group.origin.port == 8080 &&
      aws_lb_target_group.origin.protocol == "HTTP" &&
      aws_lb_target_group.origin.target_type == "instance"
    )
    error_message = "Bytes must come from the data port of instances."
  }

  assert {
    condition = (
      aws_lb_target_group.origin.deregistration_delay == "300" &&
      aws_lb_target_group.origin.slow_start == 0
    )
    error_message = "Requests under way get 300 s, and new instances their share at once."
  }

  assert {
    condition = (
      aws_lb_target_group.origin.load_balancing_algorithm_type == "least_outstanding_requests" &&
      aws_lb_target_group.origin.stickiness[0].enabled == false
    )
    error_message = "Requests must go to the instance with the fewest under way, without cookies."
  }

  assert {
    condition     = aws_lb_target_group.origin.target_group_health[0].unhealthy_state_routing[0].minimum_healthy_targets_count == 1
    error_message = "With no healthy instance at all (S3 away) the balancer must go on sending to those that are there."
  }

  assert {
    condition = (
      length(aws_lb_target_group.origin.name_prefix) <= 6 &&
      aws_lb_target_group.origin.name_prefix == "updat-"
    )
    error_message = "A target group's prefix may have six characters; with one it can be replaced without a gap."
  }
}

run "slow_start_goes_with_round_robin" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    slow_start               = 60
    load_balancing_algorithm = "round_robin"
    deregistration_delay     = 3600
  }

  assert {
    condition = (
      aws_lb_target_group.origin.slow_start == 60 &&
      aws_lb_target_group.origin.load_balancing_algorithm_type == "round_robin" &&
      aws_lb_target_group.origin.deregistration_delay == "3600"
    )
    error_message = "Slow start and deregistration delay must be as asked."
  }

  assert {
    condition     = output.lifecycle_heartbeat == 3660
    error_message = "A longer deregistration delay must take the hook's time-out with it."
  }
}

run "names_fit_whatever_they_are" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    name = "abcd-fghijklmnopqrstuvwxyzab-de"
  }

  assert {
    condition     = aws_lb.origin.name == "abcd-fghijklmnopqrstuvwxyzab-int" && length(aws_lb.origin.name) <= 32
    error_message = "The load balancer's name must be cut to AWS's 32 characters, without a double hyphen."
  }

  assert {
    condition     = aws_lb_target_group.origin.name_prefix == "abcd-"
    error_message = "The target group's prefix must be cut to AWS's six characters, without a double hyphen."
  }
}

# ---- Who may talk to whom -------------------------------------------------------------------------------------------

run "nobody_but_the_load_balancer_reaches_an_instance" {
  command = apply

  module {
    source = "./modules/origin"
  }

  variables {
    egress_security_group_ids = ["sg-0000000000000e9d5"]
  }

  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.public) == 0
    error_message = "With an edge in front nothing may come from 0.0.0.0/0."
  }

  assert {
    condition     = { for name, rule in aws_vpc_security_group_ingress_rule.instances : name => rule.from_port } == { data = 8080, admin = 8081 }
    error_message = "Instances take bytes on 8080 and health on 8081."
  }

  assert {
    condition = alltrue([
      for rule in aws_vpc_security_group_ingress_rule.instances :
      rule.referenced_security_group_id == "sg-00000000000000a1b" && rule.security_group_id == "sg-00000000000000005" &&
      rule.cidr_ipv4 == null && rule.prefix_list_id == null && rule.from_port == rule.to_port && rule.ip_protocol == "tcp"
    ])
    error_message = "Both ports must be open to the load balancer's group alone, the admin port above all."
  }

  assert {
    condition = alltrue([
      for rule in aws_vpc_security_group_egress_rule.load_balancer :
      rule.referenced_security_group_id == "sg-00000000000000005" && rule.security_group_id == "sg-00000000000000a1b" &&
      contains([8080, 8081], rule.to_port)
    ])
    error_message = "The load balancer must reach nothing but the two ports of instances."
  }

  assert {
    condition = (
      aws_vpc_security_group_egress_rule.s3.prefix_list_id == "pl-00000000000000053" &&
      aws_vpc_security_group_egress_rule.s3.from_port == 443 && aws_vpc_security_group_egress_rule.s3.to_port == 443
    )
    error_message = "Instances must reach S3 by its prefix list, with HTTPS."
  }

  assert {
    condition = (
      aws_vpc_security_group_egress_rule.endpoints[0].referenced_security_group_id == "sg-0000000000000e9d5" &&
      aws_vpc_security_group_egress_rule.endpoints[0].to_port == 443
    )
    error_message = "Instances must reach the named endpoints with HTTPS."
  }

  assert {
    condition     = length(aws_vpc_security_group_egress_rule.ranges) == 0
    error_message = "By default instances must reach no range of addresses."
  }
}

run "nat_is_a_choice" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    egress_cidr_blocks = ["10.20.0.0/16"]
  }

  assert {
    condition = (
      aws_vpc_security_group_egress_rule.ranges["10.20.0.0/16"].to_port == 443 &&
      aws_vpc_security_group_egress_rule.ranges["10.20.0.0/16"].from_port == 443
    )
    error_message = "Named ranges must be reachable with HTTPS only."
  }
}
