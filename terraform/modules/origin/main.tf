# What the other files of this module share: where it is, what things are called, which front door it has.
# Never a resource: the load balancer is in load_balancer.tf, instances in instances.tf, their number in scaling.tf,
# their end in lifecycle.tf, what they may do in iam.tf, who may talk to them in security_groups.tf.

data "aws_region" "current" {}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  region     = data.aws_region.current.region
  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition

  # why: fixed, because user data and the role name the group before it is there.
  autoscaling_group_name = "${var.name}-origin"
  lifecycle_hook_name    = "${var.name}-drain"

  # What the image listens on.
  data_port  = 8080
  admin_port = 8081

  # ---- The front door ----
  wants_secret_rule   = var.origin_mode == "prefix_list_secret"
  verifies_clients    = var.origin_mode == "mtls"
  comes_over_internet = local.wants_secret_rule || local.verifies_clients

  listener_protocol = coalesce(var.listener_protocol, var.certificate_arn == null ? "HTTP" : "HTTPS")
  is_https          = local.listener_protocol == "HTTPS"
  listener_port     = local.is_https ? 443 : 80

  # ---- The store: "s3://BUCKET/A/B" is A/B/ before every key, or nothing ----
  store_folders = slice(split("/", var.store.location), 3, length(split("/", var.store.location)))
  store_prefix  = length(local.store_folders) == 0 ? "" : "${join("/", local.store_folders)}/"
}
