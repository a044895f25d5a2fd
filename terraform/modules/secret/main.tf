# The secret that the edge sends and the origin asks for (fact 66), with room for two accepted values.
#
# Owns its container, its first value and who may read it. Never a later value: those are put by hand as the README
# says, and an apply leaves them alone.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

# why: made anew at each plan, used at the first apply only; see ignore_changes below. No punctuation: `*` and `?` are
# wildcards in a load balancer's rule.
data "aws_secretsmanager_random_password" "first" {
  password_length            = var.length
  exclude_punctuation        = true
  require_each_included_type = true
}

resource "aws_secretsmanager_secret" "this" {
  # why: a prefix, because the name of a deleted secret stays taken for the recovery window.
  name_prefix             = "${var.name}-origin-"
  description             = "What the edge sends in ${var.header}; JSON with current and previous, both accepted"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.recovery_window_days
  tags                    = var.tags

  # why: no `replica`: origin and listener read it in one Region, and each copy is one more place to leak from.
}

resource "aws_secretsmanager_secret_version" "first" {
  secret_id = aws_secretsmanager_secret.this.id

  secret_string = jsonencode({
    current  = data.aws_secretsmanager_random_password.first.random_password
    previous = ""
  })

  lifecycle {
    # why: rotation puts values beside Terraform; without this the next apply would bring the first one back.
    ignore_changes = [secret_string, version_stages]
  }
}

locals {
  partition  = data.aws_partition.current.partition
  account_id = data.aws_caller_identity.current.account_id

  # The account's root is named so that a list with a mistake can be repaired.
  readers = concat(var.reader_role_arns, ["arn:${local.partition}:iam::${local.account_id}:root"])

  own_account_only = {
    Sid       = "NobodyOutsideTheAccount"
    Effect    = "Deny"
    Principal = "*"
    Action    = "secretsmanager:*"
    Resource  = "*"
    Condition = { StringNotEquals = { "aws:PrincipalAccount" = local.account_id } }
  }

  named_readers_only = {
    Sid       = "NobodyButTheReaders"
    Effect    = "Deny"
    Principal = "*"
    Action    = "secretsmanager:GetSecretValue"
    Resource  = "*"
    Condition = { ArnNotEquals = { "aws:PrincipalArn" = local.readers } }
  }

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [local.own_account_only],
      [for statement in [local.named_readers_only] : statement if length(var.reader_role_arns) > 0],
    )
  })
}

resource "aws_secretsmanager_secret_policy" "this" {
  secret_arn          = aws_secretsmanager_secret.this.arn
  policy              = local.policy
  block_public_policy = true
}
