# What the origin refuses of its load balancer and its store: one bad input for every validation of
# modules/origin/variables.tf, from the load balancer on. Never what it does with good ones: origin.tftest.hcl.

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
