# What goes by itself: abandoned uploads, and versions that are no longer current.
#
# Owns how long the way back stays open. Never expires a current object: retention of releases is `headwater prune`'s,
# which knows what channels name.

locals {
  # Shown as one table in plans; prefix, and the days after which a version that was replaced or removed is gone.
  histories = merge(
    {
      # A channel's history is its audit trail, and small.
      channels = {
        prefix = "${local.below}channels/"
        days   = var.noncurrent_days.channels
        kept   = var.channel_versions_kept
      }
      # Artifacts are never replaced: what is not current was retired or pruned, and this is the time to take it back.
      artifacts = {
        prefix = "${local.below}artifacts/"
        days   = var.noncurrent_days.artifacts
        kept   = null
      }
    },
    # A lease is renewed every 3 s while a publish runs, so an hour leaves 1,200 versions. S3's filters have no
    # wildcards, hence a rule for each product; of other products they go with the artifacts above.
    {
      for product in var.products : "leases-${product}" => {
        prefix = "${local.below}artifacts/${product}/.headwater/"
        days   = var.noncurrent_days.leases
        kept   = null
      }
    },
  )
}

resource "aws_s3_bucket_lifecycle_configuration" "store" {
  bucket = aws_s3_bucket.store.bucket

  rule {
    id     = "abandoned-uploads"
    status = "Enabled"

    # The whole bucket: parts are paid for, and no listing of objects shows them.
    filter {}

    # A cut publish goes on where it was, if it is repeated before this.
    abort_incomplete_multipart_upload {
      days_after_initiation = var.abort_uploads_days
    }
  }

  dynamic "rule" {
    for_each = local.histories

    content {
      id     = "history-of-${rule.key}"
      status = "Enabled"

      filter {
        prefix = rule.value.prefix
      }

      noncurrent_version_expiration {
        noncurrent_days           = rule.value.days
        newer_noncurrent_versions = rule.value.kept
      }

      # The mark of a removal that hides nothing any more. It slows every listing down.
      expiration {
        expired_object_delete_marker = true
      }
    }
  }

  depends_on = [aws_s3_bucket_versioning.store]
}
