# The VPC, its subnets and which zones they lie in. Owns addresses; the ways out are in routes.tf and endpoints.tf.
# Never opens anything: what may talk to what is a security group of the module that has the thing.

data "aws_region" "current" {}

data "aws_caller_identity" "current" {}

# why: no filter on the state of a zone. One that is impaired on the day of an apply must not vanish from the list, or
# the plan would move subnets to another one.
data "aws_availability_zones" "offered" {
  all_availability_zones = false

  # Without Local Zones and Wavelength Zones, which have to be opted into.
  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }

  lifecycle {
    postcondition {
      condition     = length(setsubtract(self.zone_ids, var.excluded_zone_ids)) >= var.az_count
      error_message = "The Region offers fewer zones outside excluded_zone_ids than az_count asks for."
    }
  }
}

locals {
  region     = data.aws_region.current.region
  account_id = data.aws_caller_identity.current.account_id

  # why: by zone id, since names (eu-central-1a) mean other zones in other accounts (fact 61 lists ids).
  usable_zone_ids = sort(setsubtract(data.aws_availability_zones.offered.zone_ids, var.excluded_zone_ids))
  zone_ids        = var.zone_ids != null ? var.zone_ids : slice(local.usable_zone_ids, 0, var.az_count)

  # Sixteenths of the range: private ones from the first, public ones from the ninth, so that a further zone moves none.
  private_cidrs = { for index, id in local.zone_ids : id => cidrsubnet(var.cidr, 4, index) }
  public_cidrs  = { for index, id in local.zone_ids : id => cidrsubnet(var.cidr, 4, index + 8) }
}

resource "aws_vpc" "this" {
  cidr_block = var.cidr

  # why: private DNS of the interface endpoints needs both.
  enable_dns_support   = true
  enable_dns_hostnames = true

  tags = merge(var.tags, { Name = var.name })
}

# For the load balancer and the instances: without a way to or from the internet unless `nat` says so.
resource "aws_subnet" "private" {
  for_each = local.private_cidrs

  vpc_id                  = aws_vpc.this.id
  availability_zone_id    = each.key
  cidr_block              = each.value
  map_public_ip_on_launch = false

  tags = merge(var.tags, { Name = "${var.name}-private-${each.key}" })
}

# For a public load balancer (no edge, or an edge that comes over the internet) and for NAT gateways; never for
# instances.
resource "aws_subnet" "public" {
  for_each = local.public_cidrs

  vpc_id                  = aws_vpc.this.id
  availability_zone_id    = each.key
  cidr_block              = each.value
  map_public_ip_on_launch = false

  tags = merge(var.tags, { Name = "${var.name}-public-${each.key}" })
}

# why: the group that things get which name none. Without rules, forgetting one opens nothing.
resource "aws_default_security_group" "closed" {
  vpc_id = aws_vpc.this.id

  ingress = []
  egress  = []

  tags = merge(var.tags, { Name = "${var.name}-closed" })
}

resource "aws_flow_log" "this" {
  count = var.flow_logs == null ? 0 : 1

  vpc_id                   = aws_vpc.this.id
  log_destination_type     = "s3"
  log_destination          = var.flow_logs.bucket_arn
  traffic_type             = var.flow_logs.traffic_type
  max_aggregation_interval = 600

  destination_options {
    file_format                = "parquet"
    hive_compatible_partitions = true
    per_hour_partition         = false
  }

  tags = merge(var.tags, { Name = var.name })
}
