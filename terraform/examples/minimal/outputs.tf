# What the next commands need.

output "url" {
  description = "Where devices ask."
  value       = module.headwater.url
}

output "store_location" {
  description = "For `headwater publish --store`."
  value       = module.headwater.store_location
}

output "distribution_id" {
  description = "For `headwater promote --distribution-id`."
  value       = module.headwater.distribution_id
}
