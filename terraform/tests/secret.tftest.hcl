# What modules/secret promises: one container, two accepted values, no reader from elsewhere. Owns no AWS: plans and one
# apply against invented values.

mock_provider "aws" {
  source = "./tests/mocks"

  override_data {
    target = data.aws_secretsmanager_random_password.first
    values = { random_password = "first-generated-value" }
  }
}

variables {
  name = "headwater"
}

run "the_first_value_has_room_for_two" {
  command = apply
  module { source = "./modules/secret" }

  assert {
    condition = nonsensitive(jsondecode(aws_secretsmanager_secret_version.first.secret_string)) == {
      current  = "first-generated-value"
      previous = ""
    }
    error_message = "The value is JSON with `current` and an empty `previous`: what instances and the listener read."
  }
  assert {
    condition     = output.header == "x-origin-secret"
    error_message = "The header is the origin's own default."
  }
  assert {
    condition     = can(regex("^arn:aws:secretsmanager:", output.secret_arn))
    error_message = "The ARN is handed on."
  }
}

run "a_value_has_no_wildcards_and_enough_characters" {
  command = plan
  module { source = "./modules/secret" }

  assert {
    condition     = data.aws_secretsmanager_random_password.first.exclude_punctuation
    error_message = "`*` and `?` in a value are wildcards in a load balancer's rule."
  }
  assert {
    condition     = data.aws_secretsmanager_random_password.first.password_length == 48
    error_message = "A value has 48 characters unless the caller says otherwise."
  }
}

run "a_later_apply_leaves_a_rotated_value_alone" {
  command = plan
  module { source = "./modules/secret" }

  override_data {
    target = data.aws_secretsmanager_random_password.first
    values = { random_password = "another-generated-value" }
  }

  assert {
    condition = (
      nonsensitive(jsondecode(aws_secretsmanager_secret_version.first.secret_string)).current ==
      "first-generated-value"
    )
    error_message = "A newly generated value must not replace the one that is in use."
  }
}

run "the_policy_refuses_other_accounts_and_the_public" {
  command = plan
  module { source = "./modules/secret" }

  assert {
    condition = [for s in jsondecode(output.policy_json).Statement : [s.Effect, s.Action, s.Condition]] == [[
      "Deny", "secretsmanager:*", { StringNotEquals = { "aws:PrincipalAccount" = "123456789012" } },
    ]]
    error_message = "Without named readers the policy only refuses other accounts; it grants nothing to anybody."
  }
  assert {
    condition     = aws_secretsmanager_secret_policy.this.block_public_policy
    error_message = "A public policy must be refused."
  }
}

run "named_readers_are_the_only_ones" {
  command = plan
  module { source = "./modules/secret" }

  variables {
    reader_role_arns = ["arn:aws:iam::123456789012:role/instances"]
  }

  assert {
    condition = [
      for s in jsondecode(output.policy_json).Statement : [s.Effect, s.Condition.ArnNotEquals["aws:PrincipalArn"]]
      if s.Action == "secretsmanager:GetSecretValue"
      ] == [["Deny", [
        "arn:aws:iam::123456789012:role/instances", "arn:aws:iam::123456789012:root",
    ]]]
    error_message = "Reading is refused to everyone but the readers and the account's root, who can repair the list."
  }
}

run "options_reach_the_secret" {
  command = plan
  module { source = "./modules/secret" }

  variables {
    kms_key_arn          = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
    recovery_window_days = 0
    tags                 = { owner = "releases" }
  }

  assert {
    condition = (
      aws_secretsmanager_secret.this.kms_key_id == var.kms_key_arn &&
      aws_secretsmanager_secret.this.recovery_window_in_days == 0 &&
      aws_secretsmanager_secret.this.tags == tomap({ owner = "releases" })
    )
    error_message = "Key, window and tags are the caller's."
  }
  assert {
    condition     = length(aws_secretsmanager_secret.this.replica) == 0
    error_message = "A copy in another Region is one more place to leak from."
  }
}

run "bad_inputs_are_refused" {
  command = plan
  module { source = "./modules/secret" }

  variables {
    name                 = "Headwater"
    header               = "X-Origin-Secret"
    length               = 31
    kms_key_arn          = "alias/aws/secretsmanager"
    reader_role_arns     = ["arn:aws:iam::123456789012:user/somebody"]
    recovery_window_days = 3
  }

  expect_failures = [
    var.name, var.header, var.length, var.kms_key_arn, var.reader_role_arns, var.recovery_window_days,
  ]
}

run "headers_that_cloudfront_keeps_are_refused" {
  command = plan
  module { source = "./modules/secret" }

  variables {
    header = "x-edge-secret"
  }

  expect_failures = [var.header]
}
