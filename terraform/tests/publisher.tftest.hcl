# What modules/publisher promises: one product, one distribution, one repository, and nobody with a key that lasts.
#
# Owns nothing of AWS: every run is a plan against a mocked provider. That headwater works under this policy, and that
# it is refused elsewhere, is shown by tests/it/publisher_policy.rs with the policy's text.

mock_provider "aws" {}

variables {
  name              = "headwater"
  product           = "agent"
  bucket_arn        = "arn:aws:s3:::example-updates"
  prefix            = "prod"
  distribution_arn  = "arn:aws:cloudfront::111122223333:distribution/E2QWRUHEXAMPLE"
  oidc_provider_arn = "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"
  github = {
    repository   = "example/agent"
    refs         = ["refs/tags/v*"]
    environments = ["release"]
  }
}

run "writes_one_product_and_nothing_else" {
  command = plan
  module { source = "./modules/publisher" }

  assert {
    condition = toset(flatten([
      for statement in jsondecode(output.policy_json).Statement : statement.Resource
      if length([for action in flatten([statement.Action]) : action if startswith(action, "s3:") && action != "s3:ListBucket"]) > 0
      ])) == toset([
      "arn:aws:s3:::example-updates/prod/artifacts/agent/*",
      "arn:aws:s3:::example-updates/prod/channels/agent/*",
    ])
    error_message = "Objects may be touched below the product's two folders only."
  }
  assert {
    condition = toset(flatten([
      for statement in jsondecode(output.policy_json).Statement : statement.Action
      ])) == toset([
      "s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts",
      "s3:ListBucket",
      "cloudfront:CreateInvalidation", "cloudfront:GetInvalidation", "cloudfront:ListInvalidations",
    ])
    error_message = "Exactly the actions that headwater uses: none on versions, none that lists every upload."
  }
  assert {
    condition     = alltrue([for statement in jsondecode(output.policy_json).Statement : statement.Effect == "Allow" && !strcontains(jsonencode(statement.Action), "*")])
    error_message = "No action may hold a wildcard."
  }
}

run "lists_one_product_and_an_empty_folder" {
  command = plan
  module { source = "./modules/publisher" }

  assert {
    condition = [
      for statement in jsondecode(output.policy_json).Statement : [statement.Resource, statement.Condition]
      if statement.Action == "s3:ListBucket"
      ] == [[
        "arn:aws:s3:::example-updates",
        { StringLike = { "s3:prefix" = ["prod/artifacts/agent/*", "prod/channels/agent/*", "prod/.headwater/"] } },
    ]]
    error_message = "Listing has to end at the product's folders, by its prefix."
  }
}

run "at_the_top_of_a_bucket_nothing_stands_before_the_folders" {
  command = plan
  module { source = "./modules/publisher" }
  variables {
    prefix           = ""
    distribution_arn = null
  }

  assert {
    condition     = strcontains(output.policy_json, "\"arn:aws:s3:::example-updates/artifacts/agent/*\"") && !strcontains(output.policy_json, "//")
    error_message = "Without a prefix there is no slash before the folders: ${output.policy_json}"
  }
  assert {
    condition     = !strcontains(output.policy_json, "cloudfront:")
    error_message = "Without a distribution there is nothing to purge."
  }
}

run "purges_one_distribution" {
  command = plan
  module { source = "./modules/publisher" }

  assert {
    condition = [
      for statement in jsondecode(output.policy_json).Statement : statement.Resource
      if strcontains(jsonencode(statement.Action), "cloudfront:")
    ] == ["arn:aws:cloudfront::111122223333:distribution/E2QWRUHEXAMPLE"]
    error_message = "Only the one distribution may be purged."
  }
}

run "a_key_of_kms_is_used_through_s3_for_the_product_only" {
  command = plan
  module { source = "./modules/publisher" }
  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/0b1c2d3e-0000-4000-8000-000000000000"
  }

  assert {
    condition = [
      for statement in jsondecode(output.policy_json).Statement : [statement.Action, statement.Resource, statement.Condition.StringLike]
      if strcontains(jsonencode(statement.Action), "kms:")
      ] == [[
        ["kms:Decrypt", "kms:GenerateDataKey"],
        "arn:aws:kms:eu-central-1:111122223333:key/0b1c2d3e-0000-4000-8000-000000000000",
        {
          "kms:ViaService" = "s3.*.amazonaws.com"
          "kms:EncryptionContext:aws:s3:arn" = [
            "arn:aws:s3:::example-updates",
            "arn:aws:s3:::example-updates/prod/artifacts/agent/*",
            "arn:aws:s3:::example-updates/prod/channels/agent/*",
          ]
        },
    ]]
    error_message = "The key may be used through S3, for this bucket, and to encrypt and decrypt only."
  }
}

run "trusts_tags_and_an_environment_of_one_repository" {
  command = plan
  module { source = "./modules/publisher" }

  assert {
    condition = jsondecode(output.trust_json).Statement == [{
      Sid       = "WorkflowsOfOneRepository"
      Effect    = "Allow"
      Principal = { Federated = "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com" }
      Action    = "sts:AssumeRoleWithWebIdentity"
      Condition = {
        StringEquals = { "token.actions.githubusercontent.com:aud" = "sts.amazonaws.com" }
        StringLike = {
          "token.actions.githubusercontent.com:sub" = [
            "repo:example/agent:ref:refs/tags/v*",
            "repo:example/agent:environment:release",
          ]
        }
      }
    }]
    error_message = "Only these subjects, and only tokens that were made for AWS: ${output.trust_json}"
  }
  assert {
    condition     = aws_iam_role.publisher.max_session_duration == 3600
    error_message = "Credentials last an hour."
  }
}

run "trusts_roles_of_aws_instead" {
  command = plan
  module { source = "./modules/publisher" }
  variables {
    github               = null
    oidc_provider_arn    = null
    trusted_role_arns    = ["arn:aws:iam::111122223333:role/ci/release"]
    permissions_boundary = "arn:aws:iam::111122223333:policy/boundary"
    max_session_duration = 7200
  }

  assert {
    condition = jsondecode(output.trust_json).Statement == [{
      Sid       = "RolesOfAws"
      Effect    = "Allow"
      Principal = { AWS = ["arn:aws:iam::111122223333:role/ci/release"] }
      Action    = "sts:AssumeRole"
    }]
    error_message = "Only the named role may take this one on: ${output.trust_json}"
  }
  assert {
    condition     = aws_iam_role.publisher.permissions_boundary == "arn:aws:iam::111122223333:policy/boundary" && aws_iam_role.publisher.max_session_duration == 7200
    error_message = "Boundary and duration have to be what was asked for."
  }
}

run "a_long_product_gets_a_role_of_its_own_all_the_same" {
  command = plan
  module { source = "./modules/publisher" }
  variables {
    name    = "headwater-of-a-long-named-team"
    product = "a-product-whose-name-is-as-long-as-names-of-products-may-be-at-a"
  }

  assert {
    condition     = length(output.role_name) == 64 && output.role_name != "headwater-of-a-long-named-team-publish-a-product-whose-name-is-as"
    error_message = "A name that is too long ends with what tells it apart: ${output.role_name}"
  }
}

run "the_provider_takes_tokens_for_aws_only" {
  command = plan
  module { source = "./modules/publisher/oidc" }

  assert {
    condition     = aws_iam_openid_connect_provider.github.url == "https://token.actions.githubusercontent.com" && aws_iam_openid_connect_provider.github.client_id_list == toset(["sts.amazonaws.com"])
    error_message = "The provider is GitHub's, with one audience."
  }
}
