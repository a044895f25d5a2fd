# What others need to know of the store.

output "bucket_name" {
  description = "The bucket."
  value       = aws_s3_bucket.store.bucket
}

output "bucket_arn" {
  description = "Its ARN, for the policies of roles."
  value       = local.bucket_arn
}

output "bucket_regional_domain_name" {
  description = "Its host name in its region, for a distribution's origin."
  value       = aws_s3_bucket.store.bucket_regional_domain_name
}

output "prefix" {
  description = "What stands before every key, without slashes at its ends."
  value       = var.prefix
}

output "location" {
  description = "The store as headwater is told it: `--store`, `store.path`, HEADWATER_STORE."
  value       = var.prefix == "" ? "s3://${aws_s3_bucket.store.bucket}" : "s3://${aws_s3_bucket.store.bucket}/${var.prefix}"
}

output "kms_key_arn" {
  description = "The key of KMS that encrypts the objects; null with S3's own keys."
  value       = var.kms_key_arn
}

output "kms_key_statements_json" {
  description = "Statements that the policy of kms_key_arn needs besides those of its account; \"[]\" when none."
  value       = jsonencode(local.kms_key_statements)
}

output "event_bridge" {
  description = "Whether the bucket tells EventBridge what happens in it."
  value       = var.event_bridge
}

output "policy_json" {
  description = "The bucket's policy."
  value       = aws_s3_bucket_policy.store.policy
}

output "trail_arn" {
  description = "The trail of writes; null without one."
  value       = one(aws_cloudtrail.writes[*].arn)
}
