# What the origin refuses, and where the message is: one bad input for every validation of modules/origin.
# Never what it does with good ones: origin.tftest.hcl.

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

run "an_idle_timeout_below_the_edges_keep_alive" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    idle_timeout = 59
  }

  expect_failures = [var.idle_timeout]
}

run "an_idle_timeout_of_the_origins_own" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    idle_timeout = 75
  }

  expect_failures = [var.idle_timeout]
}

run "a_keep_alive_below_a_minute" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    client_keep_alive = 30
  }

  expect_failures = [var.client_keep_alive]
}

run "a_deregistration_that_waits_for_nobody" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    deregistration_delay = 0
  }

  expect_failures = [var.deregistration_delay]
}

run "a_slow_start_that_aws_does_not_know" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    slow_start               = 10
    load_balancing_algorithm = "round_robin"
  }

  expect_failures = [var.slow_start]
}

run "a_slow_start_without_round_robin" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    slow_start = 60
  }

  expect_failures = [var.slow_start]
}

run "an_unknown_algorithm" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    load_balancing_algorithm = "weighted_random"
  }

  expect_failures = [var.load_balancing_algorithm]
}

run "too_little_reserved_capacity" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    load_balancer_capacity_units = 50
  }

  expect_failures = [var.load_balancer_capacity_units]
}

run "an_arn_for_the_log_bucket" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    access_log_bucket = "arn:aws:s3:::updates-logs"
  }

  expect_failures = [var.access_log_bucket]
}

run "a_log_folder_with_a_slash" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    access_log_prefix = "/load-balancer"
  }

  expect_failures = [var.access_log_prefix]
}

run "a_store_bucket_that_is_none" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    store = { bucket_arn = "updates-store", location = "s3://updates-store" }
  }

  expect_failures = [var.store]
}

run "a_store_with_a_slash_at_its_end" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    store = { bucket_arn = "arn:aws:s3:::updates-store", location = "s3://updates-store/prod/" }
  }

  expect_failures = [var.store]
}

run "a_store_in_another_bucket" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    store = { bucket_arn = "arn:aws:s3:::updates-store", location = "s3://others-store" }
  }

  expect_failures = [var.store]
}

run "an_alias_for_the_key_of_the_store" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    store = { bucket_arn = "arn:aws:s3:::updates-store", location = "s3://updates-store", kms_key_arn = "alias/store" }
  }

  expect_failures = [var.store]
}

run "a_setting_that_the_module_makes" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    environment = { HEADWATER_STORE = "s3://others-store" }
  }

  expect_failures = [var.environment]
}

run "a_setting_with_quotes" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    environment = { HEADWATER_LOG = "\"info\"" }
  }

  expect_failures = [var.environment]
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
