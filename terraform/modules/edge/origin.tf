# The way from CloudFront to the load balancer and, when that does not answer, to the bucket.
# Owns the VPC origin, the rule that lets CloudFront in, the secret header, and the Region of Origin Shield. Changes
# nothing else of the load balancer: it may belong to somebody who runs it without us.

# ---- Origin Shield ---------------------------------------------------------------------------------------------------

locals {
  # Fact 56: the Regions that offer Origin Shield, each standing for itself, and for the others the one AWS names. A
  # Region that is not here is newer than the list: say origin_shield_region.
  origin_shield_regions = {
    us-east-1      = "us-east-1"
    us-east-2      = "us-east-2"
    us-west-2      = "us-west-2"
    ap-south-1     = "ap-south-1"
    ap-northeast-1 = "ap-northeast-1"
    ap-northeast-2 = "ap-northeast-2"
    ap-southeast-1 = "ap-southeast-1"
    ap-southeast-2 = "ap-southeast-2"
    eu-central-1   = "eu-central-1"
    eu-west-1      = "eu-west-1"
    eu-west-2      = "eu-west-2"
    sa-east-1      = "sa-east-1"

    us-west-1    = "us-west-2"
    af-south-1   = "eu-west-1"
    ap-east-1    = "ap-southeast-1"
    ca-central-1 = "us-east-1"
    eu-south-1   = "eu-central-1"
    eu-west-3    = "eu-west-2"
    eu-north-1   = "eu-west-2"
    me-south-1   = "ap-south-1"
  }

  origin_shield_region = !var.origin_shield_enabled ? null : (
    var.origin_shield_region != null ? var.origin_shield_region : local.origin_shield_regions[var.origin_region]
  )

  # One element or none, for the dynamic blocks of both distributions.
  origin_shields = compact([local.origin_shield_region])
}

# ---- The origin, in three modes --------------------------------------------------------------------------------------

locals {
  is_vpc  = var.origin_mode == "vpc"
  is_mtls = var.origin_mode == "mtls"

  uses_tls    = var.origin.protocol == "https-only"
  origin_port = coalesce(var.origin.port, local.uses_tls ? 443 : 80)

  # The port that the protocol does not use must be there, and is never connected to.
  http_port  = local.uses_tls ? 80 : local.origin_port
  https_port = local.uses_tls ? local.origin_port : 443

  # Fact 51: the newest that CloudFront speaks to origins.
  origin_ssl_protocols = ["TLSv1.2"]

  # Known in a plan, unlike the ARN of a secret that the same plan makes.
  sends_secret = var.send_origin_secret == null ? var.origin_mode == "prefix_list_secret" : var.send_origin_secret
}

# Tags that the provider adds by itself count, too: a changed tag is a changed VPC origin (below).
data "aws_default_tags" "this" {}

locals {
  vpc_origin = {
    arn      = var.origin.load_balancer_arn
    http     = local.http_port
    https    = local.https_port
    protocol = var.origin.protocol
    tls      = local.origin_ssl_protocols
    tags     = merge(data.aws_default_tags.this.tags, var.tags)
  }

  vpc_origin_hash = substr(sha256(jsonencode(local.vpc_origin)), 0, 8)
}

# Fact 63: AWS refuses (409 CannotUpdateEntityWhileInUse) to change a VPC origin that a distribution uses, even its
# tags, and the provider would try to. This makes every change a new one beside the old one: then the distribution moves
# over, then the old one goes.
resource "terraform_data" "vpc_origin" {
  count = local.is_vpc ? 1 : 0

  input = local.vpc_origin_hash
}

resource "aws_cloudfront_vpc_origin" "this" {
  count = local.is_vpc ? 1 : 0

  tags = var.tags

  vpc_origin_endpoint_config {
    name                   = "${var.name}-${local.vpc_origin_hash}"
    arn                    = var.origin.load_balancer_arn
    http_port              = local.http_port
    https_port             = local.https_port
    origin_protocol_policy = var.origin.protocol

    origin_ssl_protocols {
      items    = local.origin_ssl_protocols
      quantity = length(local.origin_ssl_protocols)
    }
  }

  # Fact 61: up to 15 minutes to deploy, which is also where the provider would give up.
  timeouts {
    create = "30m"
    update = "30m"
    delete = "30m"
  }

  lifecycle {
    create_before_destroy = true
    replace_triggered_by  = [terraform_data.vpc_origin]
  }
}

# Fact 66: a header that only CloudFront and the origin know. Its value ends up in the state, because a distribution is
# an ordinary resource: keep the state encrypted, and who may read it few.
data "aws_secretsmanager_secret_version" "origin" {
  count = local.sends_secret ? 1 : 0

  region    = var.origin_region
  secret_id = var.origin_secret_arn

  lifecycle {
    postcondition {
      # why no others: a load balancer's rule reads * and ? as wildcards, and the origin's list is separated by commas.
      condition     = can(regex("^[A-Za-z0-9._~+/=-]{16,128}$", jsondecode(self.secret_string).current))
      error_message = "The secret must be JSON with a text \"current\" of 16 to 128 characters of A-Z, a-z, 0-9 and ._~+/=-"
    }
  }
}

locals {
  # Only the current value: the origin accepts the previous one as well, for as long as a change takes to arrive
  # everywhere. So the order is: both into the secret, then apply, then the old one out of it.
  origin_secrets = [
    for version in data.aws_secretsmanager_secret_version.origin : jsondecode(version.secret_string).current
  ]
}

# ---- The security group rule -----------------------------------------------------------------------------------------
# Facts 62 and 65. Phase one admits CloudFront's prefix list, which is there before the first VPC origin is, but matches
# everybody's distributions and counts as 55 rules of a group's 60. Phase two, a later apply, admits instead the group
# that AWS makes with the first VPC origin of the VPC: looked up, never made or changed by us. One plan never asks for
# both: in the first apply the group cannot be found, and together they would leave the wider one open.
#
# why all the ordering: a missing rule fails silently, as 504 (fact 62). The distribution depends on the rule, and rules
# are made before others are deleted, so that Terraform opens the new door, moves the distribution, closes the old one.

locals {
  admits_prefix_list   = var.manage_security_group_rules && !var.restrict_to_service_security_group
  admits_service_group = var.manage_security_group_rules && var.restrict_to_service_security_group
}

data "aws_ec2_managed_prefix_list" "cloudfront" {
  count = local.admits_prefix_list ? 1 : 0

  region = var.origin_region
  name   = "com.amazonaws.global.cloudfront.origin-facing"
}

resource "aws_vpc_security_group_ingress_rule" "prefix_list" {
  count = local.admits_prefix_list ? 1 : 0

  region            = var.origin_region
  security_group_id = var.origin.security_group_id
  description       = "CloudFront, any distribution: phase one"
  prefix_list_id    = data.aws_ec2_managed_prefix_list.cloudfront[0].id
  ip_protocol       = "tcp"
  from_port         = local.origin_port
  to_port           = local.origin_port
  tags              = var.tags

  # why: another port changes this rule in place, as a group has no room for the list twice. At least not while a VPC
  # origin is still being made for the new port, which takes a quarter of an hour.
  depends_on = [aws_cloudfront_vpc_origin.this]

  lifecycle {
    create_before_destroy = true
  }
}

data "aws_security_group" "cloudfront_service" {
  count = local.admits_service_group ? 1 : 0

  region = var.origin_region
  name   = "CloudFront-VPCOrigins-Service-SG"
  vpc_id = var.origin.vpc_id
}

# A group in a rule weighs one: two ports fit beside each other, so that another port is another rule.
resource "terraform_data" "origin_port" {
  input = local.origin_port
}

resource "aws_vpc_security_group_ingress_rule" "service_group" {
  count = local.admits_service_group ? 1 : 0

  region                       = var.origin_region
  security_group_id            = var.origin.security_group_id
  description                  = "CloudFront, VPC origins of this VPC: phase two"
  referenced_security_group_id = data.aws_security_group.cloudfront_service[0].id
  ip_protocol                  = "tcp"
  from_port                    = local.origin_port
  to_port                      = local.origin_port
  tags                         = var.tags

  # why: backwards, when all of this is removed: AWS keeps the group, and with it the VPC origin, while a rule names it.
  depends_on = [aws_cloudfront_vpc_origin.this]

  lifecycle {
    create_before_destroy = true
    replace_triggered_by  = [terraform_data.origin_port]
  }
}

# Stands between the rules and the distribution, and changes when a rule takes the other's place.
resource "terraform_data" "ingress" {
  input = concat(
    aws_vpc_security_group_ingress_rule.prefix_list[*].security_group_rule_id,
    aws_vpc_security_group_ingress_rule.service_group[*].security_group_rule_id,
  )
}

# ---- The bucket as failover ------------------------------------------------------------------------------------------

# Fact 69: CloudFront signs each request as the distribution; the bucket's policy (module store) names it.
resource "aws_cloudfront_origin_access_control" "bucket" {
  count = local.has_failover ? 1 : 0

  name                              = "${var.name}-bucket"
  description                       = "Reads the bucket of ${var.name} when its origin does not answer"
  origin_access_control_origin_type = "s3"
  signing_behavior                  = "always"
  signing_protocol                  = "sigv4"

  lifecycle {
    create_before_destroy = true
  }
}

locals {
  # Fact 50, 23: no answer in time counts as 504. Never 403 or 404: what the origin does not have, it does not have, and
  # a second question to the bucket would double the price of every wrong URL.
  failover_status_codes = [500, 502, 503, 504]

  # The keys of the bucket are the paths of the URLs, below the store's prefix.
  bucket_path = local.has_failover ? (var.failover_bucket.prefix == "" ? "" : "/${var.failover_bucket.prefix}") : ""

  # Where artifacts and channels come from.
  cached_target_id = local.has_failover ? local.origin_group_id : local.origin_id
}
