# What operators and other stacks ask for after an apply. Owns the names of outputs; null stands where a world or a mode
# has no such thing. Never a secret's value.

output "url" {
  description = "Where devices ask for updates."
  value = (
    local.has_domain ? "https://${var.domain.name}"
    : local.has_edge ? "https://${module.edge[0].distribution_domain_name}"
    : null
  )
}

# ---- Edge -----------------------------------------------------------------------------------------------------------------

output "distribution_id" {
  description = "The distribution: `--distribution-id` of every command that moves a channel. Null without an edge."
  value       = one(module.edge[*].distribution_id)
}

output "distribution_arn" {
  description = "The distribution's ARN. Null without an edge."
  value       = one(module.edge[*].distribution_arn)
}

output "distribution_domain_name" {
  description = "CloudFront's own name of the distribution. Null without an edge."
  value       = one(module.edge[*].distribution_domain_name)
}

output "distribution_hosted_zone_id" {
  description = "The zone of that name, for alias records elsewhere. Null without an edge."
  value       = one(module.edge[*].distribution_hosted_zone_id)
}

output "staging_distribution_id" {
  description = "The distribution that tries a change first. Null without `staging`."
  value       = one(module.edge[*].staging_distribution_id)
}

output "vpc_origin_id" {
  description = "CloudFront's interface in the VPC. Null in every other mode."
  value       = one(module.edge[*].vpc_origin_id)
}

output "security_group_rule_ids" {
  description = "The rules that let the edge in. Null without an edge."
  value       = local.has_edge ? module.edge[0].security_group_rule_ids : null
}

output "cache_policy_ids" {
  description = "The cache policies by behaviour. Null without an edge."
  value       = one(module.edge[*].cache_policy_ids)
}

output "log_delivery_id" {
  description = "The delivery of the edge's logs. Null without an edge."
  value       = one(module.edge[*].log_delivery_id)
}

output "log_bucket_arn" {
  description = "Where logs of the edge, the load balancer and the bucket go."
  value       = module.observability.log_bucket_arn
}

# ---- Store and origin ---------------------------------------------------------------------------------------------------

output "store_location" {
  description = "The store as headwater is told it: `--store` or HEADWATER_STORE."
  value       = module.store.location
}

output "bucket_name" {
  description = "The bucket of the store."
  value       = module.store.bucket_name
}

output "kms_key_statements_json" {
  description = "What the policy of `kms_key_arn` needs beside the account's own statements, or the edge cannot read the bucket; \"[]\" when nothing."
  value       = module.store.kms_key_statements_json
}

output "publisher_role_arns" {
  description = "The role that publishes each product, for `role-to-assume` of its workflow."
  value       = { for product, publisher in module.publisher : product => publisher.role_arn }
}

output "origin_secret_arn" {
  description = "The secret that the edge sends, for its rotation. Null unless `origin_mode` = prefix_list_secret."
  value       = one(module.secret[*].secret_arn)
}

output "load_balancer_dns_name" {
  description = "AWS's own name of the load balancer."
  value       = module.origin.load_balancer_dns_name
}

output "security_group_id" {
  description = "The load balancer's security group."
  value       = module.origin.security_group_id
}

output "autoscaling_group_name" {
  description = "The group of instances, for instance refreshes."
  value       = module.origin.autoscaling_group_name
}

output "vpc_id" {
  description = "The network, made or given."
  value       = local.network.vpc_id
}

# ---- Observation ------------------------------------------------------------------------------------------------------------

output "dashboard_url" {
  description = "Where the offload can be seen."
  value       = module.observability.dashboard_url
}

output "alarm_topic_arns" {
  description = "Where alarms are told, by Region."
  value       = module.observability.alarm_topic_arns
}

output "release_topic_arn" {
  description = "Where it is told that a channel moved."
  value       = module.observability.release_topic_arn
}

output "event_queue_arn" {
  description = "The same as a queue, for machines."
  value       = module.observability.event_queue_arn
}
