# What the origin refuses of images, types, disks, numbers and roll-outs: one bad input for every validation of
# modules/origin/variables_instances.tf. Never what it does with good ones: origin_instances.tftest.hcl.

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

run "an_image_that_is_a_parameter" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    ami_id = "resolve:ssm:/headwater/ami"
  }

  expect_failures = [var.ami_id]
}

run "an_image_of_anybody" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    ami_owners = ["aws-marketplace"]
  }

  expect_failures = [var.ami_owners]
}

run "an_unknown_architecture" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    architecture = "riscv64"
  }

  expect_failures = [var.architecture]
}

run "a_type_of_the_other_architecture" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    architecture = "x86_64"
  }

  expect_failures = [var.instance_type]
}

run "an_intel_type_for_arm64" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    instance_type         = "c6id.large"
    network_baseline_gbps = 0.78
  }

  expect_failures = [var.instance_type]
}

run "a_type_that_is_none" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    instance_type         = "m7gd"
    network_baseline_gbps = 1
    block_cache           = { kind = "gp3" }
  }

  expect_failures = [var.instance_type]
}

run "a_baseline_of_nothing" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    network_baseline_gbps = 0
  }

  expect_failures = [var.network_baseline_gbps]
}

run "an_unknown_kind_of_cache" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    block_cache = { kind = "io2" }
  }

  expect_failures = [var.block_cache]
}

run "an_instance_store_that_the_type_has_not" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    instance_type = "m7g.large"
  }

  expect_failures = [var.block_cache]
}

run "an_instance_store_of_a_wished_size" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    block_cache = { kind = "instance_store", size_gib = 100 }
  }

  expect_failures = [var.block_cache]
}

run "a_cache_that_is_too_small" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    block_cache = { kind = "gp3", size_gib = 4 }
  }

  expect_failures = [var.block_cache]
}

run "fewer_operations_than_gp3_has" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    block_cache = { kind = "gp3", iops = 1000, throughput = 125 }
  }

  expect_failures = [var.block_cache]
}

run "more_throughput_than_gp3_has" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    block_cache = { kind = "gp3", iops = 16000, throughput = 2001 }
  }

  expect_failures = [var.block_cache]
}

run "more_throughput_than_the_operations_carry" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    block_cache = { kind = "gp3", throughput = 1000 }
  }

  expect_failures = [var.block_cache]
}

run "an_alias_for_the_key_of_the_volumes" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    volume_kms_key_arn = "alias/volumes"
  }

  expect_failures = [var.volume_kms_key_arn]
}

run "no_instance_at_all" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    min_size = 0
  }

  expect_failures = [var.min_size]
}

run "fewer_at_most_than_at_least" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    min_size = 5
  }

  expect_failures = [var.max_size]
}

run "a_target_that_any_instance_is_above" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    network_out_target_bytes = 1000
  }

  expect_failures = [var.network_out_target_bytes]
}

run "a_type_whose_network_is_not_known" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    instance_type = "r7gd.large"
  }

  expect_failures = [var.network_out_target_bytes]
}

run "no_requests_per_target" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    requests_per_target = 0
  }

  expect_failures = [var.requests_per_target]
}

run "a_hibernated_warm_pool" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    warm_pool = { pool_state = "Hibernated" }
  }

  expect_failures = [var.warm_pool]
}

run "a_negative_warm_pool" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    warm_pool = { min_size = -1 }
  }

  expect_failures = [var.warm_pool]
}

run "a_warm_pool_that_is_smaller_than_the_group" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    warm_pool = { max_group_prepared_capacity = 1 }
  }

  expect_failures = [var.warm_pool]
}

run "a_reuse_of_instances_whose_disk_is_empty" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    warm_pool = { reuse_on_scale_in = true }
  }

  expect_failures = [var.warm_pool]
}

run "a_drain_below_the_health_check" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    drain_seconds = 10
  }

  expect_failures = [var.drain_seconds]
}

run "a_hook_that_aws_does_not_know" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    lifecycle_heartbeat = 7201
  }

  expect_failures = [var.lifecycle_heartbeat]
}

run "a_hook_that_cuts_the_drain" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    lifecycle_heartbeat = 320
  }

  expect_failures = [var.lifecycle_heartbeat]
}

run "a_hook_that_cuts_the_deregistration" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    lifecycle_heartbeat  = 900
    deregistration_delay = 900
  }

  expect_failures = [var.lifecycle_heartbeat]
}

run "a_grace_that_is_shorter_than_a_boot" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    health_check_grace_period = 30
  }

  expect_failures = [var.health_check_grace_period]
}

run "a_roll_out_that_cannot_start" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    instance_refresh = { max_healthy_percentage = 100 }
  }

  expect_failures = [var.instance_refresh]
}

run "checkpoints_that_do_not_end" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    instance_refresh = { checkpoint_percentages = [20, 50] }
  }

  expect_failures = [var.instance_refresh]
}

run "checkpoints_that_fall" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    instance_refresh = { checkpoint_percentages = [50, 20, 100] }
  }

  expect_failures = [var.instance_refresh]
}

run "a_checkpoint_of_days" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    instance_refresh = { checkpoint_delay = 172801 }
  }

  expect_failures = [var.instance_refresh]
}

run "a_warm_up_of_nothing" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    instance_refresh = { instance_warmup = 0 }
  }

  expect_failures = [var.instance_refresh]
}

run "eleven_alarms" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    rollback_alarm_names = [for number in range(11) : "alarm-${number}"]
  }

  expect_failures = [var.rollback_alarm_names]
}

run "alarms_that_nothing_listens_to" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    rollback_alarm_names = ["updates-5xx"]
    instance_refresh     = { auto_rollback = false }
  }

  expect_failures = [var.rollback_alarm_names]
}

run "a_lifetime_below_a_day" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    max_instance_lifetime = 3600
  }

  expect_failures = [var.max_instance_lifetime]
}

run "a_wait_without_a_unit" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    capacity_timeout = "15"
  }

  expect_failures = [var.capacity_timeout]
}

run "a_boundary_that_is_no_policy" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    permissions_boundary = "arn:aws:iam::123456789012:role/boundary"
  }

  expect_failures = [var.permissions_boundary]
}
