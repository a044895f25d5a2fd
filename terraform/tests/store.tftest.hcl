# What modules/store promises: a private bucket, who may read it, what goes by itself, and which values it refuses.
#
# Owns nothing of AWS: every run is a plan against a mocked provider. Shared parts of the installation are not here.

mock_provider "aws" {}

variables {
  name        = "headwater"
  bucket_name = "example-updates"
  prefix      = "prod"
  products    = ["agent", "agent-beta"]
  distribution_arns = [
    "arn:aws:cloudfront::111122223333:distribution/E2QWRUHEXAMPLE",
  ]
}

run "is_private_versioned_and_encrypted" {
  command = plan
  module { source = "./modules/store" }

  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.store.block_public_acls,
      aws_s3_bucket_public_access_block.store.block_public_policy,
      aws_s3_bucket_public_access_block.store.ignore_public_acls,
      aws_s3_bucket_public_access_block.store.restrict_public_buckets,
    ])
    error_message = "Every way to make the bucket public has to be blocked."
  }
  assert {
    condition     = aws_s3_bucket_ownership_controls.store.rule[0].object_ownership == "BucketOwnerEnforced"
    error_message = "ACLs have to be off."
  }
  assert {
    condition     = aws_s3_bucket_versioning.store.versioning_configuration[0].status == "Enabled"
    error_message = "The bucket has to be versioned."
  }
  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.store.rule).apply_server_side_encryption_by_default).sse_algorithm == "AES256"
    error_message = "Without a key of KMS the objects are encrypted with S3's."
  }
  assert {
    condition     = !aws_s3_bucket.store.force_destroy
    error_message = "A bucket with releases in it may not be destroyed with them."
  }
  assert {
    condition     = aws_s3_bucket_notification.store.eventbridge
    error_message = "EventBridge has to be told, or no release event is sent."
  }
  assert {
    condition     = length(aws_s3_bucket_object_lock_configuration.store) == 0 && length(aws_cloudtrail.writes) == 0 && length(aws_s3_bucket_logging.store) == 0
    error_message = "Object Lock, logs and a trail are options, off by default."
  }
}

run "says_where_it_is" {
  command = plan
  module { source = "./modules/store" }

  assert {
    condition     = output.location == "s3://example-updates/prod" && output.bucket_arn == "arn:aws:s3:::example-updates"
    error_message = "The location is what --store takes: ${output.location}, ${output.bucket_arn}"
  }
  assert {
    condition     = output.prefix == "prod" && output.bucket_name == "example-updates" && output.kms_key_arn == null && output.event_bridge
    error_message = "The outputs have to repeat what was asked for."
  }
}

run "refuses_keys_that_requests_bring" {
  command = plan
  module { source = "./modules/store" }

  assert {
    condition = length([
      for statement in jsondecode(output.policy_json).Statement : statement
      if statement.Effect == "Deny" && statement.Action == "s3:PutObject"
      && try(statement.Condition.Null["s3:x-amz-server-side-encryption-customer-algorithm"], "") == "false"
    ]) == 1
    error_message = "Objects under a key that only a request knows have to be refused."
  }
}

run "refuses_whoever_comes_without_tls" {
  command = plan
  module { source = "./modules/store" }

  assert {
    condition = length([
      for statement in jsondecode(output.policy_json).Statement : statement
      if statement.Effect == "Deny" && try(statement.Principal.AWS, "") == "*" && statement.Action == "s3:*"
      && try(statement.Condition.Bool["aws:SecureTransport"], "") == "false"
      && toset(flatten([statement.Resource])) == toset(["arn:aws:s3:::example-updates", "arn:aws:s3:::example-updates/*"])
    ]) == 1
    error_message = "The policy has to refuse every request without TLS, on the bucket and on its objects."
  }
  assert {
    condition = length([
      for statement in jsondecode(output.policy_json).Statement : statement
      if statement.Effect == "Deny" && try(statement.Condition.NumericLessThan["s3:TlsVersion"], "") == "1.2"
    ]) == 1
    error_message = "The policy has to refuse TLS before 1.2."
  }
}

run "lets_its_distributions_read_artifacts_and_channels_and_nothing_else" {
  command = plan
  module { source = "./modules/store" }

  assert {
    condition = [
      for statement in jsondecode(output.policy_json).Statement : [statement.Principal, statement.Action, statement.Resource, statement.Condition]
      if statement.Effect == "Allow"
      ] == [[
        { Service = "cloudfront.amazonaws.com" },
        "s3:GetObject",
        ["arn:aws:s3:::example-updates/prod/artifacts/*", "arn:aws:s3:::example-updates/prod/channels/*"],
        {
          StringEquals = {
            "aws:SourceArn"     = ["arn:aws:cloudfront::111122223333:distribution/E2QWRUHEXAMPLE"]
            "aws:SourceAccount" = ["111122223333"]
          }
        },
    ]]
    error_message = "Exactly one statement may allow anything, and only reading, to this distribution (fact 69)."
  }
  assert {
    condition = length([
      for statement in jsondecode(output.policy_json).Statement : statement
      if statement.Effect == "Deny" && try(statement.Principal.Service, "") == "cloudfront.amazonaws.com"
      && contains(flatten([statement.Resource]), "arn:aws:s3:::example-updates/prod/*/.headwater/*")
      && contains(flatten([statement.Resource]), "arn:aws:s3:::example-updates/prod/.headwater/*")
      && !contains(keys(statement), "Condition")
    ]) == 1
    error_message = "What publishers tell each other has to be refused to every distribution."
  }
}

run "allows_nothing_when_there_is_no_distribution" {
  command = plan
  module { source = "./modules/store" }
  variables {
    distribution_arns = []
    prefix            = ""
  }

  assert {
    condition     = alltrue([for statement in jsondecode(output.policy_json).Statement : statement.Effect == "Deny"])
    error_message = "Without a distribution the bucket's policy may only refuse."
  }
  assert {
    condition     = output.location == "s3://example-updates"
    error_message = "Without a prefix the location is the bucket: ${output.location}"
  }
}

run "clears_uploads_and_history_and_never_what_is_current" {
  command = plan
  module { source = "./modules/store" }

  assert {
    condition = [
      for rule in aws_s3_bucket_lifecycle_configuration.store.rule : one(rule.abort_incomplete_multipart_upload).days_after_initiation
      if length(rule.abort_incomplete_multipart_upload) > 0
    ] == [7]
    error_message = "Abandoned uploads have to go after a week."
  }
  assert {
    condition = alltrue([
      for rule in aws_s3_bucket_lifecycle_configuration.store.rule :
      length(rule.transition) == 0 && alltrue([for expiration in rule.expiration : expiration.expired_object_delete_marker])
    ])
    error_message = "No rule may expire or move an object that is current: an expiration is of marks of removals, and S3 takes no days with that."
  }
  assert {
    condition = {
      for rule in aws_s3_bucket_lifecycle_configuration.store.rule : one(rule.filter).prefix => one(rule.noncurrent_version_expiration).noncurrent_days
      if length(rule.noncurrent_version_expiration) > 0
      } == {
      "prod/channels/"                        = 365
      "prod/artifacts/"                       = 30
      "prod/artifacts/agent/.headwater/"      = 1
      "prod/artifacts/agent-beta/.headwater/" = 1
    }
    error_message = "History has to go by its kind: channels late, artifacts sooner, leases at once."
  }
  assert {
    condition     = alltrue([for rule in aws_s3_bucket_lifecycle_configuration.store.rule : rule.status == "Enabled"])
    error_message = "Every rule has to be on."
  }
}

run "a_key_of_kms_is_used_with_a_bucket_key_and_no_other_is_taken" {
  command = plan
  module { source = "./modules/store" }
  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/0b1c2d3e-0000-4000-8000-000000000000"
  }

  assert {
    condition = (
      one(one(aws_s3_bucket_server_side_encryption_configuration.store.rule).apply_server_side_encryption_by_default).sse_algorithm == "aws:kms"
      && one(one(aws_s3_bucket_server_side_encryption_configuration.store.rule).apply_server_side_encryption_by_default).kms_master_key_id == var.kms_key_arn
      && one(aws_s3_bucket_server_side_encryption_configuration.store.rule).bucket_key_enabled
    )
    error_message = "The key has to encrypt, through a bucket key."
  }
  assert {
    condition = length([
      for statement in jsondecode(output.policy_json).Statement : statement
      if statement.Effect == "Deny" && try(statement.Condition.StringNotEquals["s3:x-amz-server-side-encryption-aws-kms-key-id"], "") == var.kms_key_arn
    ]) == 1
    error_message = "Objects under another key have to be refused."
  }
  assert {
    condition     = tolist(jsondecode(output.kms_key_statements_json)[0].Condition.StringEquals["aws:SourceArn"]) == var.distribution_arns
    error_message = "The key's policy has to let the distribution decrypt, and no other."
  }
}

run "object_lock_is_the_default_of_every_new_version" {
  command = plan
  module { source = "./modules/store" }
  variables {
    object_lock = { mode = "GOVERNANCE", days = 90 }
  }

  assert {
    condition     = aws_s3_bucket_object_lock_configuration.store[0].rule[0].default_retention[0].mode == "GOVERNANCE" && aws_s3_bucket_object_lock_configuration.store[0].rule[0].default_retention[0].days == 90
    error_message = "The default retention has to be what was asked for."
  }
}

run "logs_and_a_trail_of_writes_go_to_another_bucket" {
  command = plan
  module { source = "./modules/store" }
  variables {
    log_bucket = "example-logs"
    trail      = { bucket_name = "example-logs", key_prefix = "trail" }
  }

  assert {
    condition     = aws_s3_bucket_logging.store[0].target_bucket == "example-logs" && aws_s3_bucket_logging.store[0].target_prefix == "store/"
    error_message = "Access logs have to go to the log bucket."
  }
  assert {
    condition = {
      for selector in one(aws_cloudtrail.writes[0].advanced_event_selector).field_selector : selector.field => jsonencode(coalescelist(selector.equals, selector.starts_with))
      } == {
      eventCategory    = jsonencode(["Data"])
      readOnly         = jsonencode(["false"])
      "resources.type" = jsonencode(["AWS::S3::Object"])
      "resources.ARN"  = jsonencode(["arn:aws:s3:::example-updates/prod/"])
    }
    error_message = "The trail has to record every write below the prefix, and no read."
  }
  assert {
    condition     = aws_cloudtrail.writes[0].enable_log_file_validation
    error_message = "The trail's files have to be tamper-evident."
  }
}
