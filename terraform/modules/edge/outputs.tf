# What others need to know of the edge: checklist item 18. Never a secret.

output "distribution_id" {
  description = "Id of the distribution: what headwater is told to purge, and the dimension of its metrics."
  value       = aws_cloudfront_distribution.this.id
}

output "distribution_arn" {
  description = "ARN of the distribution: what bucket and publisher policies name."
  value       = aws_cloudfront_distribution.this.arn
}

output "distribution_domain_name" {
  description = "The distribution's own host name, the target of alias records."
  value       = aws_cloudfront_distribution.this.domain_name
}

output "distribution_hosted_zone_id" {
  description = "Zone id that alias records to the distribution need."
  value       = aws_cloudfront_distribution.this.hosted_zone_id
}

output "viewer_minimum_protocol_version" {
  description = "Oldest TLS that viewers can use: the chosen one with aliases, else the TLSv1 of CloudFront's own certificate."
  value       = local.has_certificate ? var.minimum_protocol_version : "TLSv1"
}

output "origin_shield_region" {
  description = "Region of Origin Shield; null without."
  value       = local.origin_shield_region
}

output "vpc_origin_id" {
  description = "Id of the VPC origin; null in the other modes."
  value       = one(aws_cloudfront_vpc_origin.this[*].id)
}

output "security_group_rule_ids" {
  description = "Rules that let CloudFront in: one, or none where they are managed elsewhere."
  value       = terraform_data.ingress.output
}

output "origin_access_control_id" {
  description = "Id of the access control with which the bucket is read; null without failover."
  value       = one(aws_cloudfront_origin_access_control.bucket[*].id)
}

output "cache_policy_ids" {
  description = "Ids of the cache policies by distribution and kind, such as \"primary-artifacts\"."
  value       = local.cache_policy_ids
}

output "origin_request_policy_id" {
  description = "Id of the default behaviour's origin-request policy, ours or AWS's."
  value       = local.default_origin_request_policy_id
}

output "response_headers_policy_ids" {
  description = "Ids of the response-headers policies by distribution and kind."
  value       = local.response_headers_policy_ids
}

output "function_arn" {
  description = "ARN of the viewer-request function of the distribution."
  value       = aws_cloudfront_function.viewer_request["primary"].arn
}

output "web_acl_arn" {
  description = "ARN of the web ACL, ours or the given one; null without."
  value       = local.web_acl_arn
}

output "key_group_id" {
  description = "Id of the key group that opens private channels; null without."
  value       = one(aws_cloudfront_key_group.private[*].id)
}

output "public_key_ids" {
  description = "Ids of the public keys by name: the Key-Pair-Id that whoever signs writes into URLs."
  value       = { for name, key in aws_cloudfront_public_key.this : name => key.id }
}

output "staging_distribution_id" {
  description = "Id of the staging distribution; null without."
  value       = one(aws_cloudfront_distribution.staging[*].id)
}

output "staging_distribution_domain_name" {
  description = "Host name of the staging distribution; null without."
  value       = one(aws_cloudfront_distribution.staging[*].domain_name)
}

output "continuous_deployment_policy_id" {
  description = "Id of the policy that shares the traffic; null without staging."
  value       = one(aws_cloudfront_continuous_deployment_policy.staging[*].id)
}

output "log_delivery_id" {
  description = "Id of the delivery of the distribution's access records; null without."
  value       = try(aws_cloudwatch_log_delivery.access["primary"].id, null)
}

output "log_destination" {
  description = "Bucket and prefix that access records go to, as an ARN; null without."
  value       = local.log_destination_arn
}
