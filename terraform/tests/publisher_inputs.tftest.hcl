# Every value that modules/publisher refuses, one run each: the name says what is wrong with it.

mock_provider "aws" {}

variables {
  name              = "headwater"
  product           = "agent"
  bucket_arn        = "arn:aws:s3:::example-updates"
  oidc_provider_arn = "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"
  github            = { repository = "example/agent", environments = ["release"] }
}

run "refuses_a_name_with_an_upper_case_letter" {
  command = plan
  module { source = "./modules/publisher" }
  variables {
    name = "Headwater"
  }
  expect_failures = [var.name]
}

run "refuses_a_product_with_a_wildcard" {
  command = plan
  module { source = "./modules/publisher" }
  variables {
    product = "agent*"
  }
  expect_failures = [var.product]
}

run "refuses_a_product_of_one_wildcard_character" {
  command = plan
  module { source = "./modules/publisher" }
  variables {
    product = "agen?"
  }
  expect_failures = [var.product]
}

run "refuses_a_product_with_a_variable_of_policies" {
  command = plan
  module { source = "./modules/publisher" }
  variables {
    product = "$${aws:username}"
  }
  expect_failures = [var.product]
}

run "refuses_a_product_with_a_slash" {
  command = plan
  module { source = "./modules/publisher" }
  variables {
    product = "agent/1.0"
  }
  expect_failures = [var.product]
}

run "refuses_a_product_that_begins_with_a_period" {
  command = plan
  module { source = "./modules/publisher" }
  variables {
    product = ".headwater"
  }
  expect_failures = [var.product]
}

run "refuses_a_product_that_is_too_long" {
  command = plan
  module { source = "./modules/publisher" }
  variables {
    product = join("", [for i in range(65) : "a"])
  }
  expect_failures = [var.product]
}

run "refuses_no_product" {
  command = plan
  module { source = "./modules/publisher" }
  variables {
    product = ""
  }
  expect_failures = [var.product]
}

run "refuses_a_bucket_with_a_wildcard" {
  command = plan
  module { source = "./modules/publisher" }
  variables {
    bucket_arn = "arn:aws:s3:::example-*"
  }
  expect_failures = [var.bucket_arn]
}

run "refuses_objects_instead_of_a_bucket" {
  command = plan
  module { source = "./modules/publisher" }
  variables {
    bucket_arn = "arn:aws:s3:::example-updates/*"
  }
  expect_failures = [var.bucket_arn]
}

run "refuses_a_prefix_with_a_wildcard" {
  command = plan
  module { source = "./modules/publisher" }
  variables {
    prefix = "*"
  }
  expect_failures = [var.prefix]
}

run "refuses_an_alias_of_a_key" {
  command = plan
  module { source = "./modules/publisher" }
  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:111122223333:alias/updates"
  }
  expect_failures = [var.kms_key_arn]
}

run "refuses_any_key_of_an_account" {
  command = plan
  module { source = "./modules/publisher" }
  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/*"
  }
  expect_failures = [var.kms_key_arn]
}

run "refuses_any_distribution_of_an_account" {
  command = plan
  module { source = "./modules/publisher" }
  variables {
    distribution_arn = "arn:aws:cloudfront::111122223333:distribution/*"
  }
  expect_failures = [var.distribution_arn]
}

run "refuses_every_repository_of_an_owner" {
  command = plan
  module { source = "./modules/publisher" }
  variables {
    github = { repository = "example/*", refs = [], environments = ["release"] }
  }
  expect_failures = [var.github]
}

run "refuses_every_repository" {
  command = plan
  module { source = "./modules/publisher" }
  variables {
    github = { repository = "*", refs = [], environments = ["release"] }
  }
  expect_failures = [var.github]
}

run "refuses_every_branch" {
  command = plan
  module { source = "./modules/publisher" }
  variables {
    github = { repository = "example/agent", refs = ["refs/heads/*"], environments = [] }
  }
  expect_failures = [var.github]
}

run "refuses_every_tag" {
  command = plan
  module { source = "./modules/publisher" }
  variables {
    github = { repository = "example/agent", refs = ["refs/tags/*"], environments = [] }
  }
  expect_failures = [var.github]
}

run "refuses_every_ref" {
  command = plan
  module { source = "./modules/publisher" }
  variables {
    github = { repository = "example/agent", refs = ["*"], environments = [] }
  }
  expect_failures = [var.github]
}

run "refuses_a_ref_that_runs_on_into_other_claims" {
  command = plan
  module { source = "./modules/publisher" }
  variables {
    github = { repository = "example/agent", refs = ["refs/heads/main:*"], environments = [] }
  }
  expect_failures = [var.github]
}

run "refuses_every_environment" {
  command = plan
  module { source = "./modules/publisher" }
  variables {
    github = { repository = "example/agent", refs = [], environments = ["*"] }
  }
  expect_failures = [var.github]
}

run "refuses_a_whole_repository" {
  command = plan
  module { source = "./modules/publisher" }
  variables {
    github = { repository = "example/agent", refs = [], environments = [] }
  }
  expect_failures = [var.github]
}

run "refuses_a_provider_of_somebody_else" {
  command = plan
  module { source = "./modules/publisher" }
  variables {
    oidc_provider_arn = "arn:aws:iam::111122223333:oidc-provider/accounts.google.com"
  }
  expect_failures = [var.oidc_provider_arn]
}

run "refuses_workflows_without_a_provider" {
  command = plan
  module { source = "./modules/publisher" }
  variables {
    oidc_provider_arn = null
  }
  expect_failures = [var.oidc_provider_arn]
}

run "refuses_a_user" {
  command = plan
  module { source = "./modules/publisher" }
  variables {
    trusted_role_arns = ["arn:aws:iam::111122223333:user/release"]
  }
  expect_failures = [var.trusted_role_arns]
}

run "refuses_a_whole_account" {
  command = plan
  module { source = "./modules/publisher" }
  variables {
    trusted_role_arns = ["arn:aws:iam::111122223333:root"]
  }
  expect_failures = [var.trusted_role_arns]
}

run "refuses_every_role" {
  command = plan
  module { source = "./modules/publisher" }
  variables {
    trusted_role_arns = ["arn:aws:iam::111122223333:role/*"]
  }
  expect_failures = [var.trusted_role_arns]
}

run "refuses_a_role_that_nobody_may_take_on" {
  command = plan
  module { source = "./modules/publisher" }
  variables {
    github = null
  }
  expect_failures = [var.trusted_role_arns]
}

run "refuses_a_session_that_is_too_long" {
  command = plan
  module { source = "./modules/publisher" }
  variables {
    max_session_duration = 86400
  }
  expect_failures = [var.max_session_duration]
}

run "refuses_a_boundary_that_is_no_policy" {
  command = plan
  module { source = "./modules/publisher" }
  variables {
    permissions_boundary = "arn:aws:iam::111122223333:role/boundary"
  }
  expect_failures = [var.permissions_boundary]
}
