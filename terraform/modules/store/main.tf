# The bucket that the origins read and the publishers write, and what S3 itself enforces about it.
#
# Owns the bucket and its settings; who else may come in is in policy.tf, what may go in lifecycle.tf. Never owns a
# user, a key or a publisher's role (modules/publisher), never a distribution (modules/edge).

locals {
  tags = merge({ Name = var.bucket_name, Module = "store" }, var.tags)
}

resource "aws_s3_bucket" "store" {
  bucket        = var.bucket_name
  force_destroy = false
  tags          = local.tags

  # Every release is in here: to destroy it, somebody has to edit this line first.
  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_public_access_block" "store" {
  bucket                  = aws_s3_bucket.store.bucket
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

# Without ACLs a policy is the whole truth about who may read.
resource "aws_s3_bucket_ownership_controls" "store" {
  bucket = aws_s3_bucket.store.bucket

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

# A thief of a publisher's role can remove and replace objects, but not versions: these are the way back.
resource "aws_s3_bucket_versioning" "store" {
  bucket = aws_s3_bucket.store.bucket

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "store" {
  bucket = aws_s3_bucket.store.bucket

  rule {
    # One call to KMS for many objects: an origin that fills its cache would make one for each block otherwise.
    bucket_key_enabled = var.kms_key_arn != null

    apply_server_side_encryption_by_default {
      sse_algorithm     = var.kms_key_arn == null ? "AES256" : "aws:kms"
      kms_master_key_id = var.kms_key_arn
    }
  }
}

resource "aws_s3_bucket_policy" "store" {
  bucket = aws_s3_bucket.store.bucket
  policy = jsonencode(local.policy)

  # S3 refuses two changes of a bucket's access at the same time.
  depends_on = [aws_s3_bucket_public_access_block.store]
}

# Not `object_lock_enabled` of the bucket, which would replace it: this locks a bucket that is there as well. S3 never
# lets Object Lock be switched off again.
resource "aws_s3_bucket_object_lock_configuration" "store" {
  count = var.object_lock == null ? 0 : 1

  bucket = aws_s3_bucket.store.bucket

  rule {
    default_retention {
      mode = var.object_lock.mode
      days = var.object_lock.days
    }
  }

  depends_on = [aws_s3_bucket_versioning.store]
}

# Release events (modules/observability) match on `channels/*`: S3 sends everything, rules choose.
resource "aws_s3_bucket_notification" "store" {
  bucket      = aws_s3_bucket.store.bucket
  eventbridge = var.event_bridge
}

resource "aws_s3_bucket_logging" "store" {
  count = var.log_bucket == null ? 0 : 1

  bucket        = aws_s3_bucket.store.bucket
  target_bucket = var.log_bucket
  target_prefix = var.log_prefix

  # By the day of the event, so that a question about one day reads one folder.
  target_object_key_format {
    partitioned_prefix {
      partition_date_source = "EventTime"
    }
  }
}

# Who wrote what, with the session's name: access logs are best effort, a trail is not. Writes only, because every
# block that an origin reads would be an event.
resource "aws_cloudtrail" "writes" {
  count = var.trail == null ? 0 : 1

  name                          = "${var.name}-store-writes"
  s3_bucket_name                = var.trail.bucket_name
  s3_key_prefix                 = var.trail.key_prefix
  kms_key_id                    = var.trail.kms_key_arn
  enable_log_file_validation    = true
  include_global_service_events = false
  # One bucket's events happen in one region: to record all regions costs nothing more, and misses nothing.
  is_multi_region_trail = true
  tags                  = local.tags

  advanced_event_selector {
    name = "Writes to the store"

    field_selector {
      field  = "eventCategory"
      equals = ["Data"]
    }
    field_selector {
      field  = "resources.type"
      equals = ["AWS::S3::Object"]
    }
    field_selector {
      field       = "resources.ARN"
      starts_with = [local.objects_arn]
    }
    field_selector {
      field  = "readOnly"
      equals = ["false"]
    }
  }
}
