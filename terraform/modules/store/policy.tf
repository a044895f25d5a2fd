# Who may come in besides the roles of this account: nobody but the distributions, nobody without TLS.
#
# Owns the text of the bucket's policy; main.tf applies it. Never names a publisher or an origin: their roles carry their own
# permissions (modules/publisher, modules/origin).

locals {
  # What stands before every key of headwater's, and is "" for a store at the top of its bucket.
  below = var.prefix == "" ? "" : "${var.prefix}/"

  # From variables alone: known in a plan, so that plans and tests show the whole text.
  bucket_arn  = "arn:aws:s3:::${var.bucket_name}"
  objects_arn = "${local.bucket_arn}/${local.below}"

  reads_for_distributions = [
    for folder in ["artifacts", "channels"] : "${local.objects_arn}${folder}/*"
  ]

  # `*` of a policy goes across slashes: an artifact whose own name holds `/.headwater/` is refused to distributions too.
  private_objects = [
    "${local.objects_arn}.headwater/*",
    "${local.objects_arn}*/.headwater/*",
  ]

  transport_statements = [
    {
      Sid       = "DenyWithoutTls"
      Effect    = "Deny"
      Principal = { AWS = "*" }
      Action    = "s3:*"
      Resource  = [local.bucket_arn, "${local.bucket_arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    },
    {
      Sid       = "DenyOldTls"
      Effect    = "Deny"
      Principal = { AWS = "*" }
      Action    = "s3:*"
      Resource  = [local.bucket_arn, "${local.bucket_arn}/*"]
      Condition = { NumericLessThan = { "s3:TlsVersion" = var.minimum_tls_version } }
    },
  ]

  # What publishers tell each other is nobody's business, whatever a distribution's behaviours say.
  private_statements = [
    {
      Sid       = "DenyPrivateObjectsToDistributions"
      Effect    = "Deny"
      Principal = { Service = "cloudfront.amazonaws.com" }
      Action    = "s3:GetObject"
      Resource  = local.private_objects
    },
  ]

  # why: fact 69, origin access control signs as the service; without both conditions any account's distribution could
  # be pointed at this bucket. No s3:ListBucket: what is missing is 403 to a distribution and never a listing.
  read_statements = [
    for distributions in [var.distribution_arns] : {
      Sid       = "AllowDistributionsToRead"
      Effect    = "Allow"
      Principal = { Service = "cloudfront.amazonaws.com" }
      Action    = "s3:GetObject"
      Resource  = local.reads_for_distributions
      Condition = {
        StringEquals = {
          "aws:SourceArn"     = distributions
          "aws:SourceAccount" = distinct([for arn in distributions : split(":", arn)[4]])
        }
      }
    } if length(distributions) > 0
  ]

  # An object under a key that its readers may not use is an outage, and a way to hold releases to ransom: a key that
  # the request itself brings, or one of another account.
  ransom_statements = concat([
    {
      Sid       = "DenyKeysThatRequestsBring"
      Effect    = "Deny"
      Principal = { AWS = "*" }
      Action    = "s3:PutObject"
      Resource  = "${local.bucket_arn}/*"
      Condition = { Null = { "s3:x-amz-server-side-encryption-customer-algorithm" = "false" } }
    },
    ], [
    for key in [var.kms_key_arn] : {
      Sid       = "DenyOtherKeys"
      Effect    = "Deny"
      Principal = { AWS = "*" }
      Action    = "s3:PutObject"
      Resource  = "${local.bucket_arn}/*"
      Condition = {
        Null            = { "s3:x-amz-server-side-encryption-aws-kms-key-id" = "false" }
        StringNotEquals = { "s3:x-amz-server-side-encryption-aws-kms-key-id" = key }
      }
    } if key != null
  ])

  policy = {
    Version = "2012-10-17"
    Statement = concat(
      local.transport_statements,
      local.private_statements,
      local.read_statements,
      local.ransom_statements,
    )
  }

  # What the owner of a customer managed key adds to its policy: CloudFront reads through origin access control, and
  # the key's policy is the only place that can let a service in (fact 69).
  kms_key_statements = [
    for key in [var.kms_key_arn] : {
      Sid       = "AllowDistributionsToDecrypt"
      Effect    = "Allow"
      Principal = { Service = "cloudfront.amazonaws.com" }
      Action    = "kms:Decrypt"
      Resource  = "*"
      Condition = { StringEquals = { "aws:SourceArn" = var.distribution_arns } }
    } if key != null && length(var.distribution_arns) > 0
  ]
}
