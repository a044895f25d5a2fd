# What publishing one product takes, and nothing else.
#
# Owns the list of actions: tests/it/publisher_policy.rs runs every command under this text, and shows what is refused.
# Never allows an action on a version of an object: history is the way back from a stolen role.

locals {
  below = var.prefix == "" ? "" : "${var.prefix}/"

  # The slash after the product is what keeps `agent` out of `agent-beta`; names hold no wildcard (variables.tf).
  folders = [
    "${local.below}artifacts/${var.product}/",
    "${local.below}channels/${var.product}/",
  ]

  object_statement = {
    Sid    = "ReadAndWriteOneProduct"
    Effect = "Allow"
    Action = [
      "s3:GetObject",
      "s3:PutObject",
      "s3:DeleteObject",
      "s3:AbortMultipartUpload",
      "s3:ListMultipartUploadParts",
    ]
    Resource = [for folder in local.folders : "${var.bucket_arn}/${folder}*"]
  }

  # Also what makes an absent object 404 and not 403: S3 asks for this permission with the object's key as the prefix.
  # The last one is a folder that holds nothing: every command asks there whether the store can be reached.
  # Not s3:ListBucketMultipartUploads: it knows no prefix, and would show what every other product uploads.
  list_statement = {
    Sid      = "ListOneProduct"
    Effect   = "Allow"
    Action   = "s3:ListBucket"
    Resource = var.bucket_arn
    Condition = {
      StringLike = {
        "s3:prefix" = concat([for folder in local.folders : "${folder}*"], ["${local.below}.headwater/"])
      }
    }
  }

  # Reading needs it too: parts of an upload are encrypted one by one, and read to make the object of them.
  key_statements = [
    for key in [var.kms_key_arn] : {
      Sid      = "EncryptOneProduct"
      Effect   = "Allow"
      Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource = key
      Condition = {
        StringLike = {
          "kms:ViaService" = "s3.*.amazonaws.com"
          # The bucket with a bucket key, the object without one.
          "kms:EncryptionContext:aws:s3:arn" = concat([var.bucket_arn], local.object_statement.Resource)
        }
      }
    } if key != null
  ]

  # Get and List are for `--wait`, and to find an earlier invalidation of the same move instead of paying for another.
  purge_statements = [
    for distribution in [var.distribution_arn] : {
      Sid      = "PurgeOneDistribution"
      Effect   = "Allow"
      Action   = ["cloudfront:CreateInvalidation", "cloudfront:GetInvalidation", "cloudfront:ListInvalidations"]
      Resource = distribution
    } if distribution != null
  ]

  policy = {
    Version = "2012-10-17"
    Statement = concat(
      [local.object_statement, local.list_statement],
      local.key_statements,
      local.purge_statements,
    )
  }
}
