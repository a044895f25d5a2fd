# Watching one installation. This file owns what the others share: names, who and where, and the documents' common
# words.
#
#   topics.tf      who is told, and the keys that encrypt it     edge.tf     alarms on the distribution, us-east-1
#   origin.tf      alarms on balancer and group                  releases.tf a channel moved, a purge failed
#   logs.tf        the bucket of access logs                     dashboard.tf, budget.tf
#
# Never changes what it watches.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  partition  = data.aws_partition.current.partition
  account_id = data.aws_caller_identity.current.account_id

  # CloudFront's metrics, and what CloudTrail says about it, are in this Region and no other (facts 81, 82).
  edge_region = "us-east-1"

  # CloudWatch computes across Regions on dashboards, never in an alarm.
  is_one_region = var.region == local.edge_region

  distribution_dimensions = { DistributionId = coalesce(var.distribution_id, "none"), Region = "Global" }
  balancer_dimensions     = { LoadBalancer = var.load_balancer_arn_suffix }
  target_dimensions       = { LoadBalancer = var.load_balancer_arn_suffix, TargetGroup = var.target_group_arn_suffix }
  group_dimensions        = { AutoScalingGroupName = var.autoscaling_group_name }
}
