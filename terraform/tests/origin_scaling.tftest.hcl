# How many instances there are, how a roll-out goes, and how one leaves. Never what one is: origin_instances.tftest.hcl.

mock_provider "aws" {
  source = "./tests/mocks"
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
    condition = (
      aws_autoscaling_group.origin.launch_template[0].version == "7" &&
      aws_autoscaling_group.origin.launch_template[0].id == "lt-00000000000000001"
    )
    error_message = "The group must name a version by number: $Latest cannot be rolled back (fact 89)."
  }

  assert {
    condition = (
      aws_autoscaling_group.origin.health_check_type == "ELB" &&
      aws_autoscaling_group.origin.health_check_grace_period == 180
    )
    error_message = "The group must replace what the load balancer finds unhealthy, after a grace."
  }

  assert {
    condition = (
      aws_autoscaling_group.origin.instance_maintenance_policy[0].min_healthy_percentage == 100 &&
      aws_autoscaling_group.origin.instance_maintenance_policy[0].max_healthy_percentage == 150
    )
    error_message = "A replacement must be healthy before the unhealthy instance goes, or an outage of S3 empties every cache."
  }

  assert {
    condition     = aws_autoscaling_group.origin.availability_zone_distribution[0].capacity_distribution_strategy == "balanced-best-effort"
    error_message = "Instances must be spread over zones."
  }

  assert {
    condition = (
      aws_autoscaling_group.origin.min_elb_capacity == 2 &&
      aws_autoscaling_group.origin.wait_for_capacity_timeout == "15m"
    )
    error_message = "The first apply must wait for healthy instances."
  }

  assert {
    condition     = aws_autoscaling_group.origin.target_group_arns == toset(["arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/updat-1/fedcba9876543210"])
    error_message = "The group must register its instances."
  }

  assert {
    condition = (
      alltrue([for tag in aws_autoscaling_group.origin.tag : tag.propagate_at_launch]) &&
      contains([for tag in aws_autoscaling_group.origin.tag : "${tag.key}=${tag.value}"], "team=releases")
    )
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
    condition = (
      output.network_out_target_bytes / 60 * 8 / 1000000000 / 0.937 >= 0.6 &&
      output.network_out_target_bytes / 60 * 8 / 1000000000 / 0.937 <= 0.7
    )
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
    condition = (
      aws_autoscaling_policy.network_out.policy_type == "TargetTrackingScaling" &&
      aws_autoscaling_policy.requests.policy_type == "TargetTrackingScaling"
    )
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
    condition = (
      aws_autoscaling_lifecycle_hook.drain.heartbeat_timeout == 380 &&
      aws_autoscaling_lifecycle_hook.drain.heartbeat_timeout > tonumber(aws_lb_target_group.origin.deregistration_delay)
    )
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
