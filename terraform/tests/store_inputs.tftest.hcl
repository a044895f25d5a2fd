# Every value that modules/store refuses, one run each: the name says what is wrong with it.

mock_provider "aws" {}

variables {
  name        = "headwater"
  bucket_name = "example-updates"
}

run "refuses_a_name_that_begins_with_a_digit" {
  command = plan
  module { source = "./modules/store" }
  variables {
    name = "1headwater"
  }
  expect_failures = [var.name]
}

run "refuses_a_bucket_with_an_upper_case_letter" {
  command = plan
  module { source = "./modules/store" }
  variables {
    bucket_name = "Example-updates"
  }
  expect_failures = [var.bucket_name]
}

run "refuses_a_bucket_with_a_period" {
  command = plan
  module { source = "./modules/store" }
  variables {
    bucket_name = "updates.example"
  }
  expect_failures = [var.bucket_name]
}

run "refuses_a_bucket_of_two_letters" {
  command = plan
  module { source = "./modules/store" }
  variables {
    bucket_name = "ab"
  }
  expect_failures = [var.bucket_name]
}

run "refuses_a_bucket_with_a_reserved_start" {
  command = plan
  module { source = "./modules/store" }
  variables {
    bucket_name = "xn--updates"
  }
  expect_failures = [var.bucket_name]
}

run "refuses_a_directory_bucket" {
  command = plan
  module { source = "./modules/store" }
  variables {
    bucket_name = "updates--euc1-az1--x-s3"
  }
  expect_failures = [var.bucket_name]
}

run "refuses_a_prefix_with_a_slash_at_its_end" {
  command = plan
  module { source = "./modules/store" }
  variables {
    prefix = "prod/"
  }
  expect_failures = [var.prefix]
}

run "refuses_a_prefix_with_a_wildcard" {
  command = plan
  module { source = "./modules/store" }
  variables {
    prefix = "prod*"
  }
  expect_failures = [var.prefix]
}

run "refuses_a_prefix_that_climbs" {
  command = plan
  module { source = "./modules/store" }
  variables {
    prefix = "a/../b"
  }
  expect_failures = [var.prefix]
}

run "refuses_a_prefix_in_the_private_folder" {
  command = plan
  module { source = "./modules/store" }
  variables {
    prefix = ".headwater"
  }
  expect_failures = [var.prefix]
}

run "refuses_a_prefix_that_is_too_long" {
  command = plan
  module { source = "./modules/store" }
  variables {
    prefix = join("", [for i in range(129) : "a"])
  }
  expect_failures = [var.prefix]
}

run "refuses_a_product_with_a_wildcard" {
  command = plan
  module { source = "./modules/store" }
  variables {
    products = ["agent*"]
  }
  expect_failures = [var.products]
}

run "refuses_more_products_than_rules" {
  command = plan
  module { source = "./modules/store" }
  variables {
    products = [for i in range(998) : "p${i}"]
  }
  expect_failures = [var.products]
}

run "refuses_an_alias_of_a_key" {
  command = plan
  module { source = "./modules/store" }
  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:111122223333:alias/updates"
  }
  expect_failures = [var.kms_key_arn]
}

run "refuses_an_unknown_lock" {
  command = plan
  module { source = "./modules/store" }
  variables {
    object_lock = { mode = "LEGAL", days = 1 }
  }
  expect_failures = [var.object_lock]
}

run "refuses_a_lock_of_no_days" {
  command = plan
  module { source = "./modules/store" }
  variables {
    object_lock = { mode = "COMPLIANCE", days = 0 }
  }
  expect_failures = [var.object_lock]
}

run "refuses_a_lock_of_half_a_day" {
  command = plan
  module { source = "./modules/store" }
  variables {
    object_lock = { mode = "COMPLIANCE", days = 0.5 }
  }
  expect_failures = [var.object_lock]
}

run "refuses_any_distribution_of_an_account" {
  command = plan
  module { source = "./modules/store" }
  variables {
    distribution_arns = ["arn:aws:cloudfront::111122223333:distribution/*"]
  }
  expect_failures = [var.distribution_arns]
}

run "refuses_tls_that_is_too_old" {
  command = plan
  module { source = "./modules/store" }
  variables {
    minimum_tls_version = "1.0"
  }
  expect_failures = [var.minimum_tls_version]
}

run "refuses_tls_that_a_distribution_does_not_speak" {
  command = plan
  module { source = "./modules/store" }
  variables {
    minimum_tls_version = "1.3"
    distribution_arns   = ["arn:aws:cloudfront::111122223333:distribution/E2QWRUHEXAMPLE"]
  }
  expect_failures = [var.minimum_tls_version]
}

run "refuses_uploads_that_are_cut_while_they_run" {
  command = plan
  module { source = "./modules/store" }
  variables {
    abort_uploads_days = 1
  }
  expect_failures = [var.abort_uploads_days]
}

run "refuses_a_history_of_channels_that_is_too_short" {
  command = plan
  module { source = "./modules/store" }
  variables {
    noncurrent_days = { channels = 1 }
  }
  expect_failures = [var.noncurrent_days]
}

run "refuses_a_history_of_leases_of_no_days" {
  command = plan
  module { source = "./modules/store" }
  variables {
    noncurrent_days = { leases = 0 }
  }
  expect_failures = [var.noncurrent_days]
}

run "refuses_no_version_of_a_channel" {
  command = plan
  module { source = "./modules/store" }
  variables {
    channel_versions_kept = 0
  }
  expect_failures = [var.channel_versions_kept]
}

run "refuses_logs_in_the_bucket_itself" {
  command = plan
  module { source = "./modules/store" }
  variables {
    log_bucket = "example-updates"
  }
  expect_failures = [var.log_bucket]
}

run "refuses_a_log_bucket_that_is_an_arn" {
  command = plan
  module { source = "./modules/store" }
  variables {
    log_bucket = "arn:aws:s3:::example-logs"
  }
  expect_failures = [var.log_bucket]
}

run "refuses_a_prefix_of_logs_without_a_slash" {
  command = plan
  module { source = "./modules/store" }
  variables {
    log_prefix = "store"
  }
  expect_failures = [var.log_prefix]
}

run "refuses_a_trail_in_the_bucket_itself" {
  command = plan
  module { source = "./modules/store" }
  variables {
    trail = { bucket_name = "example-updates" }
  }
  expect_failures = [var.trail]
}

run "refuses_a_trail_under_an_alias" {
  command = plan
  module { source = "./modules/store" }
  variables {
    trail = { bucket_name = "example-logs", kms_key_arn = "alias/trail" }
  }
  expect_failures = [var.trail]
}
