# What others need of names and certificates. A certificate leaves here only validated: CloudFront and load balancers
# refuse any other.

output "edge_certificate_arn" {
  description = "The validated certificate of `edge_names` in us-east-1; null without an edge."
  value       = one(aws_acm_certificate_validation.edge[*].certificate_arn)
}

output "origin_certificate_arn" {
  description = "The validated certificate of `origin_name` in the provider's Region; null without such a name."
  value       = one(aws_acm_certificate_validation.origin[*].certificate_arn)
}

output "edge_names" {
  description = "The names that lead to the distribution."
  value       = var.edge_names
}

output "origin_name" {
  description = "The name that leads to the load balancer; null without one."
  value       = var.origin_name
}
