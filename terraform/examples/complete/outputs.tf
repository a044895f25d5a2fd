# What the runbook's commands need.

output "url" {
  description = "Where devices ask."
  value       = module.headwater.url
}

output "store_location" {
  description = "For `headwater --store`."
  value       = module.headwater.store_location
}

output "distribution_id" {
  description = "For `headwater --distribution-id`. Null without an edge."
  value       = module.headwater.distribution_id
}

output "publisher_role_arns" {
  description = "For `role-to-assume` of each product's workflow."
  value       = module.headwater.publisher_role_arns
}

output "autoscaling_group_name" {
  description = "For `aws autoscaling start-instance-refresh`."
  value       = module.headwater.autoscaling_group_name
}

output "dashboard_url" {
  description = "Where the offload can be seen."
  value       = module.headwater.dashboard_url
}
