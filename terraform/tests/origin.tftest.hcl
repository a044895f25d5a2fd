# The origin behind its usual edge: load balancer, instances, their number and their end. Every promise of
# modules/origin/README.md; the modes of the front door are in origin_front_door.tftest.hcl, refusals in
# origin_refusals.tftest.hcl.

mock_provider "aws" {
  source = "./tests/mocks"
}

override_data {
  target = data.aws_region.current
  values = { region = "eu-central-1" }
}

override_data {
  target = data.aws_caller_identity.current
  values = { account_id = "123456789012" }
}

override_data {
  target = data.aws_partition.current
  values = { partition = "aws" }
}

override_data {
  target = data.aws_ami.origin
  values = {
    id               = "ami-00000000000000abc"
    root_device_name = "/dev/xvda"
  }
}

override_data {
  target = data.aws_ec2_managed_prefix_list.s3
  values = { id = "pl-00000000000000053" }
}

override_resource {
  target = aws_lb.origin
  values = {
    arn        = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/updates-int/0123456789abcdef"
    arn_suffix = "app/updates-int/0123456789abcdef"
  }
}

override_resource {
  target = aws_lb_target_group.origin
  values = {
    arn        = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/updat-1/fedcba9876543210"
    arn_suffix = "targetgroup/updat-1/fedcba9876543210"
  }
}

override_resource {
  target = aws_launch_template.origin
  values = { id = "lt-00000000000000001", latest_version = 7 }
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
    condition     = aws_lb.origin.internal && aws_lb.origin.name == "updates-int" && aws_lb.origin.load_balancer_type == "application"
    error_message = "Behind a VPC origin the load balancer must have private addresses only."
  }

  assert {
    condition     = aws_lb.origin.drop_invalid_header_fields && aws_lb.origin.desync_mitigation_mode == "defensive"
    error_message = "The load balancer must drop what is not a header and defend against smuggling (fact 84)."
  }

  # The keep-alive chain of fact 85: CloudFront 60 <= balancer < origin 75 (config/production.toml).
  assert {
    condition     = aws_lb.origin.idle_timeout == 65 && aws_lb.origin.idle_timeout >= 60 && aws_lb.origin.idle_timeout < 75
    error_message = "The load balancer's idle time-out must lie between the edge's keep-alive and the origin's idle time-out."
  }

  assert {
    condition     = aws_lb.origin.client_keep_alive == 3600 && aws_lb.origin.enable_deletion_protection && aws_lb.origin.enable_zonal_shift
    error_message = "Keep-alive, deletion protection and zonal shift must be as documented."
  }

  assert {
    condition     = length(aws_lb.origin.access_logs) == 0 && length(aws_lb.origin.minimum_load_balancer_capacity) == 0
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
    condition     = aws_lb.origin.access_logs[0].bucket == "updates-logs" && aws_lb.origin.access_logs[0].enabled && aws_lb.origin.access_logs[0].prefix == "load-balancer"
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
    condition     = aws_lb_target_group.origin.health_check[0].timeout > 1.5 && aws_lb_target_group.origin.health_check[0].timeout < aws_lb_target_group.origin.health_check[0].interval
    error_message = "The time-out must be above the 1.5 s that /readyz takes at the most, and below the interval."
  }

  assert {
    condition     = aws_lb_target_group.origin.port == 8080 && aws_lb_target_group.origin.protocol == "HTTP" && aws_lb_target_group.origin.target_type == "instance"
    error_message = "Bytes must come from the data port of instances."
  }

  assert {
    condition     = aws_lb_target_group.origin.deregistration_delay == "300" && aws_lb_target_group.origin.slow_start == 0
    error_message = "Requests under way get 300 s, and new instances their share at once."
  }

  assert {
    condition     = aws_lb_target_group.origin.load_balancing_algorithm_type == "least_outstanding_requests" && aws_lb_target_group.origin.stickiness[0].enabled == false
    error_message = "Requests must go to the instance with the fewest under way, without cookies."
  }

  assert {
    condition     = aws_lb_target_group.origin.target_group_health[0].unhealthy_state_routing[0].minimum_healthy_targets_count == 1
    error_message = "With no healthy instance at all (S3 away) the balancer must go on sending to those that are there."
  }

  assert {
    condition     = length(aws_lb_target_group.origin.name_prefix) <= 6 && aws_lb_target_group.origin.name_prefix == "updat-"
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
    condition     = aws_vpc_security_group_egress_rule.ranges["10.20.0.0/16"].to_port == 443 && aws_vpc_security_group_egress_rule.ranges["10.20.0.0/16"].from_port == 443
    error_message = "Named ranges must be reachable with HTTPS only."
  }
}

# ---- Instances ------------------------------------------------------------------------------------------------------

run "an_instance_is_hard_to_abuse" {
  command = apply

  module {
    source = "./modules/origin"
  }

  assert {
    condition = (
      aws_launch_template.origin.metadata_options[0].http_tokens == "required" &&
      aws_launch_template.origin.metadata_options[0].http_put_response_hop_limit == 1 &&
      aws_launch_template.origin.metadata_options[0].http_endpoint == "enabled"
    )
    error_message = "Instance metadata must need a token and end at the first hop."
  }

  assert {
    condition     = aws_launch_template.origin.metadata_options[0].instance_metadata_tags == "enabled"
    error_message = "The image reads instance tags from the metadata."
  }

  assert {
    condition     = aws_launch_template.origin.network_interfaces[0].associate_public_ip_address == "false" && toset(aws_launch_template.origin.network_interfaces[0].security_groups) == toset(["sg-00000000000000005"])
    error_message = "Instances must have no public address, and their own group only."
  }

  assert {
    condition     = aws_launch_template.origin.key_name == null || aws_launch_template.origin.key_name == ""
    error_message = "Nobody logs in by ssh."
  }

  assert {
    condition     = aws_launch_template.origin.monitoring[0].enabled && tobool(aws_launch_template.origin.ebs_optimized)
    error_message = "Scaling counts bytes of a minute, so monitoring must be by the minute."
  }

  assert {
    condition     = aws_launch_template.origin.image_id == "ami-00000000000000abc" && aws_launch_template.origin.instance_type == "m7gd.large"
    error_message = "Without ami_id the newest image of the name must be taken, and by default a small type with a disk."
  }

  assert {
    condition     = aws_launch_template.origin.update_default_version
    error_message = "Who launches from the template by hand must get the current version."
  }
}

run "the_disk_of_the_type_holds_the_blocks" {
  command = apply

  module {
    source = "./modules/origin"
  }

  assert {
    condition = (
      length(aws_launch_template.origin.block_device_mappings) == 1 &&
      aws_launch_template.origin.block_device_mappings[0].device_name == "/dev/xvda" &&
      aws_launch_template.origin.block_device_mappings[0].ebs[0].volume_size == 16 &&
      aws_launch_template.origin.block_device_mappings[0].ebs[0].iops == 3000 &&
      aws_launch_template.origin.block_device_mappings[0].ebs[0].throughput == 125
    )
    error_message = "With an instance store the root volume holds the system only, with explicit figures (fact 92)."
  }

  assert {
    condition     = aws_launch_template.origin.block_device_mappings[0].ebs[0].encrypted == "true" && aws_launch_template.origin.block_device_mappings[0].ebs[0].volume_type == "gp3" && aws_launch_template.origin.block_device_mappings[0].ebs[0].delete_on_termination == "true"
    error_message = "The root volume must be gp3, encrypted, and go with the instance."
  }
}

run "a_named_image_and_a_volume_for_blocks" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    ami_id             = "ami-0123456789abcdef0"
    instance_type      = "c7gn.2xlarge"
    block_cache        = { kind = "gp3", size_gib = 200, iops = 6000, throughput = 1000 }
    volume_kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000001"
  }

  assert {
    condition     = aws_launch_template.origin.image_id == "ami-0123456789abcdef0" && aws_launch_template.origin.instance_type == "c7gn.2xlarge"
    error_message = "A named image and type must be taken."
  }

  assert {
    condition = (
      aws_launch_template.origin.block_device_mappings[0].ebs[0].volume_size == 216 &&
      aws_launch_template.origin.block_device_mappings[0].ebs[0].iops == 6000 &&
      aws_launch_template.origin.block_device_mappings[0].ebs[0].throughput == 1000 &&
      aws_launch_template.origin.block_device_mappings[0].ebs[0].kms_key_id == "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000001"
    )
    error_message = "With gp3 the blocks' room comes on top of the system's, with the figures that were asked for."
  }

  # 25 Gb/s (fact 91): 65 % of it, in bytes of a minute.
  assert {
    condition     = output.network_out_target_bytes == 121875000000
    error_message = "The target must follow the type's baseline."
  }
}

run "user_data_says_what_the_image_reads" {
  command = apply

  module {
    source = "./modules/origin"
  }

  variables {
    environment       = { HEADWATER_ACCESS_LOG = "json", HEADWATER_THREADS = "2" }
    origin_secret_arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:updates-origin-AbCdEf"
  }

  assert {
    condition = output.user_data == join("\n", [
      "# What this instance of updates-origin serves, read by headwater-configure at each boot.",
      "AWS_REGION=eu-central-1",
      "HEADWATER_ACCESS_LOG=json",
      "HEADWATER_ASG=updates-origin",
      "HEADWATER_CACHE=auto",
      "HEADWATER_LIFECYCLE_HOOK=updates-drain",
      "HEADWATER_SECRET_ARN=arn:aws:secretsmanager:eu-central-1:123456789012:secret:updates-origin-AbCdEf",
      "HEADWATER_STORE=s3://updates-store/prod/eu",
      "HEADWATER_THREADS=2",
      "",
    ])
    error_message = "User data must be a comment and lines of KEY=VALUE, as the image contract says."
  }

  assert {
    condition     = base64decode(aws_launch_template.origin.user_data) == output.user_data
    error_message = "What the output shows must be what instances get."
  }
}

run "without_a_secret_none_is_named" {
  command = plan

  module {
    source = "./modules/origin"
  }

  assert {
    condition     = !strcontains(output.user_data, "SECRET")
    error_message = "An origin without a secret must not be told of one."
  }
}

# ---- How many -------------------------------------------------------------------------------------------------------

run "the_group_is_small_and_balanced" {
  command = apply

  module {
    source = "./modules/origin"
  }

  assert {
    condition     = aws_autoscaling_group.origin.min_size == 2 && aws_autoscaling_group.origin.max_size == 4
    error_message = "Behind the edge the group must be small by default."
  }

  assert {
    condition     = aws_autoscaling_group.origin.launch_template[0].version == "7" && aws_autoscaling_group.origin.launch_template[0].id == "lt-00000000000000001"
    error_message = "The group must name a version by number: $Latest cannot be rolled back (fact 89)."
  }

  assert {
    condition     = aws_autoscaling_group.origin.health_check_type == "ELB" && aws_autoscaling_group.origin.health_check_grace_period == 180
    error_message = "The group must replace what the load balancer finds unhealthy, after a grace."
  }

  assert {
    condition     = aws_autoscaling_group.origin.instance_maintenance_policy[0].min_healthy_percentage == 100 && aws_autoscaling_group.origin.instance_maintenance_policy[0].max_healthy_percentage == 150
    error_message = "A replacement must be healthy before the unhealthy instance goes, or an outage of S3 empties every cache."
  }

  assert {
    condition     = aws_autoscaling_group.origin.availability_zone_distribution[0].capacity_distribution_strategy == "balanced-best-effort"
    error_message = "Instances must be spread over zones."
  }

  assert {
    condition     = aws_autoscaling_group.origin.min_elb_capacity == 2 && aws_autoscaling_group.origin.wait_for_capacity_timeout == "15m"
    error_message = "The first apply must wait for healthy instances."
  }

  assert {
    condition     = aws_autoscaling_group.origin.target_group_arns == toset(["arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/updat-1/fedcba9876543210"])
    error_message = "The group must register its instances."
  }

  assert {
    condition     = alltrue([for tag in aws_autoscaling_group.origin.tag : tag.propagate_at_launch]) && contains([for tag in aws_autoscaling_group.origin.tag : "${tag.key}=${tag.value}"], "team=releases")
    error_message = "Tags must reach instances."
  }

  assert {
    condition     = length(aws_autoscaling_group.origin.warm_pool) == 0
    error_message = "A warm pool costs money and must be asked for."
  }
}

run "the_group_grows_by_bytes_and_by_requests" {
  command = apply

  module {
    source = "./modules/origin"
  }

  # 0.937 Gb/s (fact 91) * 65 % * 60 s / 8.
  assert {
    condition = (
      aws_autoscaling_policy.network_out.target_tracking_configuration[0].predefined_metric_specification[0].predefined_metric_type == "ASGAverageNetworkOut" &&
      aws_autoscaling_policy.network_out.target_tracking_configuration[0].target_value == 4567875000
    )
    error_message = "The group must grow when instances send 65 % of their baseline."
  }

  assert {
    condition     = output.network_out_target_bytes / 60 * 8 / 1000000000 / 0.937 >= 0.6 && output.network_out_target_bytes / 60 * 8 / 1000000000 / 0.937 <= 0.7
    error_message = "The target must be 60 to 70 % of the baseline."
  }

  assert {
    condition = (
      aws_autoscaling_policy.requests.target_tracking_configuration[0].predefined_metric_specification[0].predefined_metric_type == "ALBRequestCountPerTarget" &&
      aws_autoscaling_policy.requests.target_tracking_configuration[0].predefined_metric_specification[0].resource_label ==
      "app/updates-int/0123456789abcdef/targetgroup/updat-1/fedcba9876543210" &&
      aws_autoscaling_policy.requests.target_tracking_configuration[0].target_value == 300000
    )
    error_message = "The resource label must be LOADBALANCER-SUFFIX/TARGETGROUP-SUFFIX (fact 88)."
  }

  assert {
    condition     = aws_autoscaling_policy.network_out.policy_type == "TargetTrackingScaling" && aws_autoscaling_policy.requests.policy_type == "TargetTrackingScaling"
    error_message = "Both policies must track a target."
  }
}

run "a_type_without_a_figure_can_be_told" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    instance_type         = "r7gd.large"
    network_baseline_gbps = 0.8
  }

  assert {
    condition     = output.network_out_target_bytes == 3900000000
    error_message = "network_baseline_gbps must decide."
  }
}

run "the_target_can_be_told" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    instance_type            = "r7gd.large"
    network_out_target_bytes = 1234567890
  }

  assert {
    condition     = output.network_out_target_bytes == 1234567890
    error_message = "network_out_target_bytes must decide."
  }
}

run "a_warm_pool_is_kept_as_asked" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    warm_pool = { min_size = 2, max_group_prepared_capacity = 4, pool_state = "Running", reuse_on_scale_in = true }
  }

  assert {
    condition = (
      aws_autoscaling_group.origin.warm_pool[0].pool_state == "Running" &&
      aws_autoscaling_group.origin.warm_pool[0].min_size == 2 &&
      aws_autoscaling_group.origin.warm_pool[0].max_group_prepared_capacity == 4 &&
      aws_autoscaling_group.origin.warm_pool[0].instance_reuse_policy[0].reuse_on_scale_in
    )
    error_message = "The warm pool must be as asked."
  }
}

# ---- How they come and go -------------------------------------------------------------------------------------------

run "a_roll_out_never_goes_below_full_strength" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    rollback_alarm_names = ["updates-5xx", "updates-healthy-hosts"]
  }

  assert {
    condition = (
      aws_autoscaling_group.origin.instance_refresh[0].strategy == "Rolling" &&
      aws_autoscaling_group.origin.instance_refresh[0].preferences[0].min_healthy_percentage == 100 &&
      aws_autoscaling_group.origin.instance_refresh[0].preferences[0].max_healthy_percentage == 150
    )
    error_message = "A roll-out must start new instances before it ends old ones."
  }

  assert {
    condition = (
      aws_autoscaling_group.origin.instance_refresh[0].preferences[0].auto_rollback &&
      aws_autoscaling_group.origin.instance_refresh[0].preferences[0].skip_matching &&
      toset(aws_autoscaling_group.origin.instance_refresh[0].preferences[0].alarm_specification[0].alarms) == toset(["updates-5xx", "updates-healthy-hosts"])
    )
    error_message = "A roll-out must go back by itself when an alarm rings, and leave alone what is current."
  }

  assert {
    condition = (
      aws_autoscaling_group.origin.instance_refresh[0].preferences[0].checkpoint_percentages == tolist([50, 100]) &&
      aws_autoscaling_group.origin.instance_refresh[0].preferences[0].checkpoint_delay == "600"
    )
    error_message = "A roll-out must pause half way, and watch its alarms at the end."
  }
}

run "a_roll_out_can_go_without_pauses_and_alarms" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    instance_refresh = { checkpoint_percentages = [], max_healthy_percentage = 200 }
  }

  assert {
    condition = (
      aws_autoscaling_group.origin.instance_refresh[0].preferences[0].checkpoint_percentages == null &&
      aws_autoscaling_group.origin.instance_refresh[0].preferences[0].checkpoint_delay == null &&
      length(aws_autoscaling_group.origin.instance_refresh[0].preferences[0].alarm_specification) == 0 &&
      aws_autoscaling_group.origin.instance_refresh[0].preferences[0].max_healthy_percentage == 200
    )
    error_message = "Without checkpoints and alarms none may be sent to AWS."
  }
}

run "the_drain_is_waited_for" {
  command = apply

  module {
    source = "./modules/origin"
  }

  assert {
    condition = (
      aws_autoscaling_lifecycle_hook.drain.lifecycle_transition == "autoscaling:EC2_INSTANCE_TERMINATING" &&
      aws_autoscaling_lifecycle_hook.drain.default_result == "CONTINUE" &&
      aws_autoscaling_lifecycle_hook.drain.name == "updates-drain"
    )
    error_message = "The hook must hold an instance that ends, and let it go when it says nothing."
  }

  # drain_delay 20 s and drain_grace 300 s of config/production.toml; deregistration delay 300 s.
  assert {
    condition     = aws_autoscaling_lifecycle_hook.drain.heartbeat_timeout == 380 && aws_autoscaling_lifecycle_hook.drain.heartbeat_timeout > tonumber(aws_lb_target_group.origin.deregistration_delay)
    error_message = "The hook must wait longer than the drain and the deregistration."
  }

  assert {
    condition = alltrue([
      for hook in aws_autoscaling_group.origin.initial_lifecycle_hook :
      hook.name == aws_autoscaling_lifecycle_hook.drain.name &&
      hook.lifecycle_transition == aws_autoscaling_lifecycle_hook.drain.lifecycle_transition &&
      hook.heartbeat_timeout == aws_autoscaling_lifecycle_hook.drain.heartbeat_timeout &&
      hook.default_result == aws_autoscaling_lifecycle_hook.drain.default_result
    ]) && length(aws_autoscaling_group.origin.initial_lifecycle_hook) == 1
    error_message = "The first instances must have the same hook as later ones."
  }

  assert {
    condition = (
      strcontains(output.user_data, "HEADWATER_ASG=${output.autoscaling_group_name}\n") &&
      strcontains(output.user_data, "HEADWATER_LIFECYCLE_HOOK=${output.lifecycle_hook_name}\n")
    )
    error_message = "Instances must be told the names of their own group and hook."
  }
}

# ---- What an instance may do ----------------------------------------------------------------------------------------

run "an_instance_may_only_read" {
  command = apply

  module {
    source = "./modules/origin"
  }

  variables {
    origin_secret_arn         = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:updates-origin-AbCdEf"
    origin_secret_kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000002"

    store = {
      bucket_arn  = "arn:aws:s3:::updates-store"
      location    = "s3://updates-store/prod/eu"
      kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000001"
    }
  }

  # Everything that the role may do at all, in both policies.
  assert {
    condition = toset(flatten([
      for policy in [aws_iam_role_policy.read.policy, aws_iam_role_policy.complete_lifecycle.policy] : [
        for statement in jsondecode(policy).Statement : statement.Action
      ]
      ])) == toset([
      "s3:GetObject", "s3:ListBucket", "kms:Decrypt", "secretsmanager:GetSecretValue",
      "autoscaling:CompleteLifecycleAction", "autoscaling:RecordLifecycleActionHeartbeat",
    ])
    error_message = "An instance may read and say that it has drained, nothing else."
  }

  assert {
    condition = (
      jsondecode(aws_iam_role_policy.read.policy).Statement[0].Action == ["s3:GetObject"] &&
      jsondecode(aws_iam_role_policy.read.policy).Statement[0].Resource == [
        "arn:aws:s3:::updates-store/prod/eu/artifacts/*",
        "arn:aws:s3:::updates-store/prod/eu/channels/*",
      ]
    )
    error_message = "Objects must be read below the store's prefix, artifacts and channels alone."
  }

  # Missing artifacts and channels are 404 only when their own keys match; "prod/eu/" is what /readyz lists.
  assert {
    condition = (
      jsondecode(aws_iam_role_policy.read.policy).Statement[1].Action == ["s3:ListBucket"] &&
      jsondecode(aws_iam_role_policy.read.policy).Statement[1].Resource == ["arn:aws:s3:::updates-store"] &&
      jsondecode(aws_iam_role_policy.read.policy).Statement[1].Condition.StringLike["s3:prefix"] == ["prod/eu/", "prod/eu/artifacts/*", "prod/eu/channels/*"]
    )
    error_message = "Listing must end at the store's prefix, and cover what is missing below it."
  }

  assert {
    condition     = jsondecode(aws_iam_role_policy.read.policy).Statement[2].Resource == ["arn:aws:secretsmanager:eu-central-1:123456789012:secret:updates-origin-AbCdEf"]
    error_message = "The one secret must be readable, no other."
  }

  assert {
    condition = {
      for statement in jsondecode(aws_iam_role_policy.read.policy).Statement :
      statement.Condition.StringEquals["kms:ViaService"] => statement.Resource[0] if statement.Action == ["kms:Decrypt"]
      } == {
      "s3.eu-central-1.amazonaws.com"             = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000001"
      "secretsmanager.eu-central-1.amazonaws.com" = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000002"
    }
    error_message = "Each key must be usable through its own service only."
  }

  assert {
    condition = jsondecode(aws_iam_role_policy.complete_lifecycle.policy).Statement[0].Resource == [
      "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/updates-origin",
    ]
    error_message = "An instance may speak for its own group only."
  }

  assert {
    condition     = jsondecode(aws_iam_role.origin.assume_role_policy).Statement[0].Principal == { Service = "ec2.amazonaws.com" }
    error_message = "Only EC2 may hand the role out."
  }

  assert {
    condition     = length(aws_iam_role_policy_attachment.ssm) == 0
    error_message = "Sessions by Systems Manager must be asked for."
  }
}

run "a_store_at_the_top_of_its_bucket" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    store = { bucket_arn = "arn:aws:s3:::updates-store", location = "s3://updates-store" }
  }

  assert {
    condition = (
      jsondecode(aws_iam_role_policy.read.policy).Statement[0].Resource == ["arn:aws:s3:::updates-store/artifacts/*", "arn:aws:s3:::updates-store/channels/*"] &&
      jsondecode(aws_iam_role_policy.read.policy).Statement[1].Condition.StringLike["s3:prefix"] == ["", "artifacts/*", "channels/*"]
    )
    error_message = "Without a prefix the folders are at the top of the bucket."
  }

  assert {
    condition     = length(jsondecode(aws_iam_role_policy.read.policy).Statement) == 2
    error_message = "Without keys and secret there is nothing else to read."
  }
}

run "operators_may_be_let_in" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    ssm_enabled          = true
    permissions_boundary = "arn:aws:iam::123456789012:policy/boundary"
  }

  assert {
    condition     = aws_iam_role_policy_attachment.ssm[0].policy_arn == "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
    error_message = "Sessions must come by Systems Manager."
  }

  assert {
    condition     = aws_iam_role.origin.permissions_boundary == "arn:aws:iam::123456789012:policy/boundary"
    error_message = "The boundary must reach the role."
  }
}
