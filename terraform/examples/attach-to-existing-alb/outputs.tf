# What to try, and where to point the application's name.

output "distribution_domain_name" {
  description = "CloudFront's own name: try it, then let the public name point to it."
  value       = module.edge.distribution_domain_name
}

output "distribution_id" {
  description = "The distribution, for invalidations."
  value       = module.edge.distribution_id
}

output "security_group_rule_ids" {
  description = "The one thing that was added to the application's own: what lets the edge in."
  value       = module.edge.security_group_rule_ids
}
