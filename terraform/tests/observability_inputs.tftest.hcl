# Every input that modules/observability refuses. Owns no promise about what it makes of good ones.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name                     = "headwater"
  region                   = "eu-central-1"
  distribution_id          = "E2QWRUHEXAMPLE"
  load_balancer_arn_suffix = "app/headwater/0123456789abcdef"
  target_group_arn_suffix  = "targetgroup/headwater/0123456789abcdef"
  autoscaling_group_name   = "headwater-group"
  bucket_name              = "example-updates"
}

run "bad_names_are_refused" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    name                     = "Headwater"
    region                   = "Frankfurt"
    distribution_id          = "d111111abcdef8.cloudfront.net"
    load_balancer_arn_suffix = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/headwater/0123456789abcdef"
    target_group_arn_suffix  = "headwater"
    autoscaling_group_name   = ""
    bucket_name              = "s3://example-updates"
    store_prefix             = "a/*/b"
  }

  expect_failures = [
    var.name, var.region, var.distribution_id, var.load_balancer_arn_suffix, var.target_group_arn_suffix,
    var.autoscaling_group_name, var.bucket_name, var.store_prefix,
  ]
}

run "bad_readers_are_refused" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    alarm_emails            = ["on-call"]
    event_emails            = ["releases at example.com"]
    event_queue_reader_arns = ["123456789012"]
    budget                  = { limit_usd = 0, emails = ["finance@example.com"] }
    prices                  = { edge_per_gigabyte = -1 }
    log_retention_days      = 0
    log_bucket_name         = "Logs"
    certificates            = { Edge = { arn = "arn:aws:acm:us-east-1:123456789012:certificate/x", region = "us-east-1" } }
  }

  expect_failures = [
    var.alarm_emails, var.event_emails, var.event_queue_reader_arns, var.budget, var.prices, var.log_retention_days,
    var.log_bucket_name, var.certificates,
  ]
}

run "a_budget_that_tells_nobody_is_refused" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    budget = { limit_usd = 100, emails = [] }
  }

  expect_failures = [var.budget]
}

run "an_edge_without_a_distribution_is_refused" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    distribution_id = null
  }

  expect_failures = [var.distribution_id]
}

run "logs_in_the_store_are_refused" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    log_bucket_name = "example-updates"
  }

  expect_failures = [var.log_bucket_name]
}

run "what_is_no_certificate_is_refused" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    certificates = { edge = { arn = "arn:aws:iam::123456789012:server-certificate/x", region = "us-east-1" } }
  }

  expect_failures = [var.certificates]
}

run "a_certificate_where_nobody_listens_is_refused" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    edge_enabled    = false
    distribution_id = null
    certificates    = { edge = { arn = "arn:aws:acm:us-east-1:123456789012:certificate/x", region = "us-east-1" } }
  }

  expect_failures = [var.certificates]
}

run "percentages_are_percentages" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    thresholds = { hit_percent = 101 }
  }

  expect_failures = [var.thresholds]
}

run "counts_are_whole" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    thresholds = { healthy_hosts_min = 0 }
  }

  expect_failures = [var.thresholds]
}

run "times_and_bytes_are_positive" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    thresholds = { latency_milliseconds = 0 }
  }

  expect_failures = [var.thresholds]
}

run "cloudwatch_looks_back_a_day_at_most" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    thresholds = { minutes_at_maximum = 1441 }
  }

  expect_failures = [var.thresholds]
}

run "refuses_a_log_bucket_whose_name_would_be_too_long" {
  command = plan
  module { source = "./modules/observability" }

  variables {
    name         = "a-name-with-thirty-one-letters0"
    region       = "ap-southeast-1"
    certificates = {}
  }

  expect_failures = [var.log_bucket_name]
}
