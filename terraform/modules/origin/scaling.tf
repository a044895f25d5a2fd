# How many instances there are, where, and how one generation follows another. Owns the group and what makes it grow.
# Never how an instance ends: lifecycle.tf.

locals {
  # Baseline bandwidth in Gb/s (fact 91). Bursts are above it, but a release lasts longer than a burst. Types with a
  # disk (m7gd) have the network of those without.
  network_baselines_gbps = merge(
    {
      "c6in.large"   = 3.125
      "c6in.4xlarge" = 25
      "c9g.large"    = 1
      "c9g.16xlarge" = 34
      "i3en.large"   = 2.1
      "i4g.large"    = 0.781
      "m8g.48xlarge" = 50
      "t3.medium"    = 0.256
    },
    merge([
      for family in ["m7g", "m7gd", "m8g", "m8gd"] : {
        "${family}.medium"   = 0.52
        "${family}.large"    = 0.937
        "${family}.xlarge"   = 1.876
        "${family}.2xlarge"  = 3.75
        "${family}.16xlarge" = 30
      }
    ]...),
    merge([
      for family in ["c7gn", "c8gn"] : {
        "${family}.medium"  = 3.125
        "${family}.2xlarge" = 25
        "${family}.4xlarge" = 50
        "${family}.8xlarge" = 100
      }
    ]...),
  )

  network_baseline_gbps = (
    var.network_baseline_gbps != null ? var.network_baseline_gbps
    : lookup(local.network_baselines_gbps, var.instance_type, null)
  )

  has_checkpoints = length(var.instance_refresh.checkpoint_percentages) > 0

  # why: 65 %, because new instances help three to six minutes later (metric, alarm, boot), and the demand of those
  # minutes must fit into the rest. Gb/s to the bytes of a minute, which is what the metric counts.
  network_out_target_bytes = coalesce(
    var.network_out_target_bytes, try(floor(local.network_baseline_gbps * 1000000000 / 8 * 60 * 0.65 + 0.5), null),
  )
}

resource "aws_autoscaling_group" "origin" {
  name                = local.autoscaling_group_name
  min_size            = var.min_size
  max_size            = var.max_size
  vpc_zone_identifier = var.instance_subnet_ids
  target_group_arns   = [aws_lb_target_group.origin.arn]

  # No desired_capacity: how many there are between min and max is for the policies below, not for the next apply.

  # why: a number, never $Latest: a roll-out must know what it goes back to (fact 89).
  launch_template {
    id      = aws_launch_template.origin.id
    version = tostring(aws_launch_template.origin.latest_version)
  }

  # why: an instance whose process cannot serve is replaced too, and a roll-out of an image that does not serve stops at
  # its first instance.
  health_check_type         = "ELB"
  health_check_grace_period = var.health_check_grace_period
  default_instance_warmup   = var.instance_refresh.instance_warmup
  max_instance_lifetime     = var.max_instance_lifetime

  # why: the replacement must be healthy before the unhealthy one goes. While S3 is away no new instance gets ready, and
  # so none of the old ones is lost, which serve on from memory and disk.
  instance_maintenance_policy {
    min_healthy_percentage = 100
    max_healthy_percentage = var.instance_refresh.max_healthy_percentage
  }

  # Evenly, but rather all in one zone than too few.
  availability_zone_distribution {
    capacity_distribution_strategy = "balanced-best-effort"
  }

  # why: here and in lifecycle.tf. Here it exists before the first instance does; AWS reads it only when it makes the
  # group, so changes come from there.
  initial_lifecycle_hook {
    name                 = local.lifecycle_hook_name
    lifecycle_transition = local.drain_hook.lifecycle_transition
    heartbeat_timeout    = local.drain_hook.heartbeat_timeout
    default_result       = local.drain_hook.default_result
  }

  # A new version of the launch template starts it. Others of the group's settings do not replace instances, and with
  # skip_matching would not find one to replace.
  instance_refresh {
    strategy = "Rolling"

    preferences {
      min_healthy_percentage = 100
      max_healthy_percentage = var.instance_refresh.max_healthy_percentage
      instance_warmup        = tostring(var.instance_refresh.instance_warmup)
      skip_matching          = var.instance_refresh.skip_matching
      auto_rollback          = var.instance_refresh.auto_rollback
      checkpoint_percentages = local.has_checkpoints ? var.instance_refresh.checkpoint_percentages : null
      checkpoint_delay       = local.has_checkpoints ? tostring(var.instance_refresh.checkpoint_delay) : null

      dynamic "alarm_specification" {
        for_each = length(var.rollback_alarm_names) == 0 ? [] : [var.rollback_alarm_names]

        content {
          alarms = alarm_specification.value
        }
      }
    }
  }

  # why: a stopped instance starts in about half a minute where a new one takes two to five. It is paid for its volume.
  dynamic "warm_pool" {
    for_each = var.warm_pool == null ? [] : [var.warm_pool]

    content {
      pool_state                  = warm_pool.value.pool_state
      min_size                    = warm_pool.value.min_size
      max_group_prepared_capacity = warm_pool.value.max_group_prepared_capacity

      instance_reuse_policy {
        reuse_on_scale_in = warm_pool.value.reuse_on_scale_in
      }
    }
  }

  # Free, and what the dashboard and a roll-out are read by.
  metrics_granularity = "1Minute"
  enabled_metrics = [
    "GroupDesiredCapacity", "GroupInServiceInstances", "GroupMaxSize", "GroupMinSize", "GroupPendingInstances",
    "GroupTerminatingInstances", "GroupTotalInstances",
  ]

  # The first apply ends well only when the image serves. At least, not exactly: later there may be more.
  min_elb_capacity          = var.capacity_timeout == "0" ? null : var.min_size
  wait_for_capacity_timeout = var.capacity_timeout

  dynamic "tag" {
    for_each = merge(var.tags, { Name = local.autoscaling_group_name })

    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = true
    }
  }

  timeouts {
    # The deregistration delay, and what AWS takes besides.
    delete = "${ceil(var.deregistration_delay / 60) + 20}m"
  }

  lifecycle {
    ignore_changes = [initial_lifecycle_hook]
  }

  # why: an instance that boots before its role may read, its way is open or its targets are listened for would fail its
  # health check, and the first apply with it.
  depends_on = [
    aws_iam_role_policy.complete_lifecycle,
    aws_iam_role_policy.read,
    aws_lb_listener.origin,
    aws_lb_listener_rule.secret,
    aws_vpc_security_group_egress_rule.endpoints,
    aws_vpc_security_group_egress_rule.load_balancer,
    aws_vpc_security_group_egress_rule.ranges,
    aws_vpc_security_group_egress_rule.s3,
    aws_vpc_security_group_ingress_rule.instances,
  ]
}

# why: bytes are what an origin runs out of (fact 88); processors of a file server are idle when its network is full.
resource "aws_autoscaling_policy" "network_out" {
  name                   = "${var.name}-network-out"
  autoscaling_group_name = aws_autoscaling_group.origin.name
  policy_type            = "TargetTrackingScaling"

  target_tracking_configuration {
    target_value = local.network_out_target_bytes

    predefined_metric_specification {
      predefined_metric_type = "ASGAverageNetworkOut"
    }
  }
}

# A storm of polls moves no bytes, but counts here. The larger of the two wishes wins.
resource "aws_autoscaling_policy" "requests" {
  name                   = "${var.name}-requests"
  autoscaling_group_name = aws_autoscaling_group.origin.name
  policy_type            = "TargetTrackingScaling"

  target_tracking_configuration {
    target_value = var.requests_per_target

    predefined_metric_specification {
      predefined_metric_type = "ALBRequestCountPerTarget"
      resource_label         = "${aws_lb.origin.arn_suffix}/${aws_lb_target_group.origin.arn_suffix}"
    }
  }

  # why: AWS refuses the label while no listener leads to the target group.
  depends_on = [
    aws_lb_listener.origin,
    aws_lb_listener_rule.secret,
  ]
}
