# The bucket of access logs: the edge's records (standard logging v2, fact 82), the balancer's, and the store's.
#
# Owns the bucket, who may write and for how long things stay. Never who reads: that is IAM's. The deliveries themselves
# belong to modules/edge, modules/origin and modules/store.

locals {
  log_bucket_name = coalesce(var.log_bucket_name, "${var.name}-logs-${local.account_id}-${var.region}")
  log_bucket_arn  = "arn:${local.partition}:s3:::${local.log_bucket_name}"

  log_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "NothingWithoutTls"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [local.log_bucket_arn, "${local.log_bucket_arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      {
        # why: the source is named: without these conditions every account's distribution could deliver here.
        Sid       = "TheEdgeWritesRecords"
        Effect    = "Allow"
        Principal = { Service = "delivery.logs.amazonaws.com" }
        Action    = "s3:PutObject"
        Resource  = "${local.log_bucket_arn}/*"
        Condition = {
          StringEquals = { "aws:SourceAccount" = local.account_id, "s3:x-amz-acl" = "bucket-owner-full-control" }
          ArnLike      = { "aws:SourceArn" = "arn:${local.partition}:logs:${local.edge_region}:${local.account_id}:delivery-source:*" }
        }
      },
      {
        Sid       = "TheEdgeLooksWhoseBucketItIs"
        Effect    = "Allow"
        Principal = { Service = "delivery.logs.amazonaws.com" }
        Action    = "s3:GetBucketAcl"
        Resource  = local.log_bucket_arn
        Condition = {
          StringEquals = { "aws:SourceAccount" = local.account_id }
          ArnLike      = { "aws:SourceArn" = "arn:${local.partition}:logs:${local.edge_region}:${local.account_id}:delivery-source:*" }
        }
      },
      {
        Sid       = "TheBalancerWritesRecords"
        Effect    = "Allow"
        Principal = { Service = "logdelivery.elasticloadbalancing.amazonaws.com" }
        Action    = "s3:PutObject"
        Resource  = "${local.log_bucket_arn}/*"
        Condition = {
          StringEquals = { "aws:SourceAccount" = local.account_id }
          ArnLike      = { "aws:SourceArn" = "arn:${local.partition}:elasticloadbalancing:${var.region}:${local.account_id}:loadbalancer/*" }
        }
      },
      {
        Sid       = "TheStoreWritesRecords"
        Effect    = "Allow"
        Principal = { Service = "logging.s3.amazonaws.com" }
        Action    = "s3:PutObject"
        Resource  = "${local.log_bucket_arn}/*"
        Condition = {
          StringEquals = { "aws:SourceAccount" = local.account_id }
          ArnLike      = { "aws:SourceArn" = "arn:${local.partition}:s3:::${var.bucket_name}" }
        }
      },
    ]
  })
}

resource "aws_s3_bucket" "logs" {
  region = var.region
  bucket = local.log_bucket_name
  tags   = var.tags

  lifecycle {
    # why: records of who fetched what are asked for after something went wrong, a mistaken destroy included.
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_public_access_block" "logs" {
  region                  = var.region
  bucket                  = aws_s3_bucket.logs.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "logs" {
  region = var.region
  bucket = aws_s3_bucket.logs.id

  # why: no ACLs at all: standard logging v2 needs none, unlike the legacy one.
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "logs" {
  region = var.region
  bucket = aws_s3_bucket.logs.id

  # why: keys of S3: a load balancer delivers to no others.
  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_versioning" "logs" {
  region = var.region
  bucket = aws_s3_bucket.logs.id

  # why: records that somebody removes or overwrites stay for a week.
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "logs" {
  region = var.region
  bucket = aws_s3_bucket.logs.id

  rule {
    id     = "forget"
    status = "Enabled"

    filter {}

    expiration {
      days = var.log_retention_days
    }

    noncurrent_version_expiration {
      noncurrent_days = 7
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }

  # why: rules about versions need versions.
  depends_on = [aws_s3_bucket_versioning.logs]
}

resource "aws_s3_bucket_policy" "logs" {
  region = var.region
  bucket = aws_s3_bucket.logs.id
  policy = local.log_policy

  # why: S3 works on one change of a bucket's protection at a time.
  depends_on = [aws_s3_bucket_public_access_block.logs]
}
