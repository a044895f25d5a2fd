# The role that publishes one product: who may take it on, and for how long.
#
# Owns the role. What it may do is in permissions.tf, who may take it on in trust.tf. Never makes a user or a key that
# lasts: whoever publishes has credentials for an hour.

locals {
  # IAM takes 64 characters; a longer name keeps what tells it apart.
  full_name = "${var.name}-publish-${var.product}"
  role_name = length(local.full_name) <= 64 ? local.full_name : "${substr(local.full_name, 0, 55)}-${substr(sha256(local.full_name), 0, 8)}"
}

resource "aws_iam_role" "publisher" {
  name                 = local.role_name
  description          = "Publishes ${var.product} to ${var.bucket_arn}, and no other product"
  assume_role_policy   = jsonencode(local.trust)
  max_session_duration = var.max_session_duration
  permissions_boundary = var.permissions_boundary
  tags                 = merge({ Module = "publisher", Product = var.product }, var.tags)
}

resource "aws_iam_role_policy" "publisher" {
  name   = "publish-${var.product}"
  role   = aws_iam_role.publisher.name
  policy = jsonencode(local.policy)
}
