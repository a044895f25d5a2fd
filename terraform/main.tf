# The composition: a network, the store, the origin, the edge in front of it, names, alarms, and one publisher for each
# product. Owns what follows from two modules at once (which world, which mode, which sizes); everything else is the
# module's own. Never holds a provider block, nor a resource that a module could own.
#
# why modules are named by index (`module.edge[0].x`) and never by splat: the edge's certificate comes from dns, whose records
# point to the edge. Between outputs that is a line; a splat waits for all of a module, which makes it a circle.

data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

locals {
  # ---- Which of the two worlds ----
  has_edge = var.edge_enabled

  # The origin's own front door. Without the edge it is whoever asks.
  origin_mode = local.has_edge ? var.origin_mode : null

  # why: only a VPC origin reaches a load balancer without a public address (fact 61).
  is_internal = local.origin_mode == "vpc"
  uses_secret = local.origin_mode == "prefix_list_secret"
  uses_mtls   = local.origin_mode == "mtls"
  has_domain  = var.domain != null

  # The name under which the origin is reached: the edge's own name for its origin, or without an edge the public one.
  origin_name = !local.has_domain ? null : local.has_edge ? var.domain.origin_name : var.domain.name

  # ---- How large ----
  # why: with the edge and Origin Shield an artifact leaves the origin once or twice, however many devices there are
  # (fact 58); two small instances are there for availability. m7gd.large: 0.94 Gb/s (fact 91), and an NVMe disk for
  # blocks, because gp3's 125 MiB/s are less than most network baselines (fact 92).
  capacity_with_edge = {
    instance_type = "m7gd.large"
    min_size      = 2
    max_size      = 4
    block_cache   = { kind = "instance_store", size_gib = null, iops = null, throughput = null }

    network_baseline_gbps = null
  }

  # why: without it every byte of every device leaves an instance. A million devices that fetch 500 MB within six hours
  # need 185 Gb/s; at 70 % of c7gn.2xlarge's 25 Gb/s (fact 91) those are eleven. Half of them always run: a group grows
  # only minutes after a crowd has come (metric, alarm, boot). The type has no disk of its own, so gp3 with bandwidth.
  capacity_without_edge = {
    instance_type = "c7gn.2xlarge"
    min_size      = 6
    max_size      = 12
    block_cache   = { kind = "gp3", size_gib = 200, iops = 6000, throughput = 1000 }

    network_baseline_gbps = null
  }

  capacity = var.capacity != null ? var.capacity : local.has_edge ? local.capacity_with_edge : local.capacity_without_edge

  # ---- Where ----
  region     = data.aws_region.current.region
  account_id = data.aws_caller_identity.current.account_id

  # Names of buckets are taken once in the world: account and Region make this one ours.
  bucket_name = coalesce(var.bucket_name, "${var.name}-store-${local.account_id}-${local.region}")

  builds_network = var.network == null

  network = local.builds_network ? {
    vpc_id                   = module.network[0].vpc_id
    load_balancer_subnet_ids = local.is_internal ? module.network[0].private_subnet_ids : module.network[0].public_subnet_ids
    instance_subnet_ids      = module.network[0].private_subnet_ids
    availability_zone_ids    = module.network[0].private_availability_zone_ids

    egress_security_group_ids = [module.network[0].endpoint_security_group_id]
    egress_cidr_blocks        = var.nat == "none" ? [] : ["0.0.0.0/0"]
  } : var.network

  # ---- Who publishes ----
  wants_github = anytrue([for product in var.products : product.github != null])
  oidc_provider_arn = (
    var.github_oidc_provider_arn != null ? var.github_oidc_provider_arn : one(module.github_oidc[*].provider_arn)
  )
}

module "network" {
  source = "./modules/network"
  count  = local.builds_network ? 1 : 0

  name     = var.name
  cidr     = var.vpc_cidr
  az_count = var.az_count
  nat      = var.nat
  tags     = var.tags
}

module "store" {
  source = "./modules/store"

  name        = var.name
  bucket_name = local.bucket_name
  prefix      = var.store_prefix

  # A publish leaves thousands of versions of its lease; they go after a day instead of with the artifacts.
  products = keys(var.products)

  kms_key_arn = var.kms_key_arn
  object_lock = var.object_lock

  # The failover reads the bucket as the distribution, and no other one may.
  distribution_arns = local.has_edge ? [module.edge[0].distribution_arn] : []

  log_bucket = module.observability.log_bucket_name
  tags       = var.tags
}

module "secret" {
  source = "./modules/secret"
  count  = local.uses_secret ? 1 : 0

  name   = var.name
  header = var.origin_secret_header
  tags   = var.tags
}

module "dns" {
  source = "./modules/dns"
  count  = local.has_domain ? 1 : 0

  name        = var.name
  zone_id     = var.domain.zone_id
  edge_names  = local.has_edge ? [var.domain.name] : []
  origin_name = local.origin_name

  # A VPC origin is found by its ARN: public DNS need not know private addresses.
  origin_record = !local.is_internal

  distribution = local.has_edge ? {
    domain_name    = module.edge[0].distribution_domain_name
    hosted_zone_id = module.edge[0].distribution_hosted_zone_id
  } : null

  load_balancer = {
    dns_name = module.origin.load_balancer_dns_name
    zone_id  = module.origin.load_balancer_zone_id
  }

  tags = var.tags
}

module "origin" {
  source = "./modules/origin"

  name                     = var.name
  vpc_id                   = local.network.vpc_id
  load_balancer_subnet_ids = local.network.load_balancer_subnet_ids
  instance_subnet_ids      = local.network.instance_subnet_ids
  internal                 = local.is_internal

  egress_security_group_ids = local.network.egress_security_group_ids
  egress_cidr_blocks        = local.network.egress_cidr_blocks

  public_ingress = !local.has_edge
  origin_mode    = local.origin_mode

  # The protocol is known in a plan, the certificate's ARN is not.
  listener_protocol    = local.has_domain ? "HTTPS" : "HTTP"
  certificate_arn      = local.has_domain ? module.dns[0].origin_certificate_arn : null
  origin_secret_arn    = local.uses_secret ? module.secret[0].secret_arn : null
  origin_secret_header = var.origin_secret_header
  mtls_trust_store_arn = local.uses_mtls ? var.origin_mtls.trust_store_arn : null

  ami_id        = var.ami_id
  architecture  = var.architecture
  instance_type = local.capacity.instance_type
  min_size      = local.capacity.min_size
  max_size      = local.capacity.max_size
  block_cache   = local.capacity.block_cache

  network_baseline_gbps = local.capacity.network_baseline_gbps

  load_balancer_capacity_units = var.load_balancer_capacity_units

  store = {
    bucket_arn  = module.store.bucket_arn
    location    = module.store.location
    kms_key_arn = var.kms_key_arn
  }

  # why: an edge keeps complete logs of its own, and behind it the origin cannot see devices anyway (fact 40); without it
  # the origin's records are the only ones.
  environment = merge({ HEADWATER_ACCESS_LOG = local.has_edge ? "off" : "json" }, var.environment)

  access_log_bucket    = module.observability.log_bucket_name
  rollback_alarm_names = module.observability.rollback_alarm_names
  deletion_protection  = var.deletion_protection
  tags                 = var.tags
}

module "edge" {
  source = "./modules/edge"
  count  = local.has_edge ? 1 : 0

  name            = var.name
  aliases         = local.has_domain ? [var.domain.name] : []
  certificate_arn = local.has_domain ? module.dns[0].edge_certificate_arn : null

  origin_mode   = var.origin_mode
  origin_region = local.region

  # why: without a name there is no certificate for the load balancer, and inside the VPC the way from CloudFront's
  # interface to it is ours alone; with a name the link is encrypted.
  origin = {
    load_balancer_arn = module.origin.load_balancer_arn
    domain_name       = local.has_domain ? local.origin_name : module.origin.load_balancer_dns_name
    security_group_id = module.origin.security_group_id
    vpc_id            = local.network.vpc_id
    port              = local.has_domain ? 443 : 80
    protocol          = local.has_domain ? "https-only" : "http-only"
  }

  origin_shield_enabled              = var.origin_shield_enabled
  origin_shield_region               = var.origin_shield_region
  availability_zone_ids              = local.network.availability_zone_ids
  restrict_to_service_security_group = var.restrict_to_service_security_group
  origin_secret_arn                  = local.uses_secret ? module.secret[0].secret_arn : null
  origin_secret_header               = var.origin_secret_header
  origin_client_certificate_arn      = local.uses_mtls ? var.origin_mtls.client_certificate_arn : null

  failover_bucket = {
    regional_domain_name = module.store.bucket_regional_domain_name
    prefix               = module.store.prefix
  }

  price_class                 = var.price_class
  http_version                = var.http_version
  web_acl                     = var.web_acl
  private_channel_public_keys = var.private_channel_public_keys
  private_path_patterns       = var.private_path_patterns
  staging                     = var.staging
  cors_origins                = var.cors_origins

  access_logs = {
    bucket_arn = module.observability.log_bucket_arn
    prefix     = "edge"
  }

  tags = var.tags
}

module "observability" {
  source = "./modules/observability"

  name                     = var.name
  region                   = local.region
  edge_enabled             = local.has_edge
  distribution_id          = local.has_edge ? module.edge[0].distribution_id : null
  load_balancer_arn_suffix = module.origin.load_balancer_arn_suffix
  target_group_arn_suffix  = module.origin.target_group_arn_suffix
  autoscaling_group_name   = module.origin.autoscaling_group_name

  # Whether there is one is known in a plan, its ARN is not.
  certificates = merge(
    local.has_domain ? { origin = { arn = module.dns[0].origin_certificate_arn, region = local.region } } : {},
    local.has_domain && local.has_edge ? { edge = { arn = module.dns[0].edge_certificate_arn, region = "us-east-1" } } : {},
  )

  bucket_name  = local.bucket_name
  store_prefix = var.store_prefix
  alarm_emails = var.alarm_emails
  thresholds   = var.thresholds
  event_emails = var.event_emails
  budget       = var.budget
  tags         = var.tags
}

# One for all products of the account; another stack may have made it already.
module "github_oidc" {
  source = "./modules/publisher/oidc"
  count  = local.wants_github && var.github_oidc_provider_arn == null ? 1 : 0

  tags = var.tags
}

module "publisher" {
  source   = "./modules/publisher"
  for_each = var.products

  name                 = var.name
  product              = each.key
  bucket_arn           = module.store.bucket_arn
  prefix               = module.store.prefix
  kms_key_arn          = var.kms_key_arn
  distribution_arn     = local.has_edge ? module.edge[0].distribution_arn : null
  github               = each.value.github
  oidc_provider_arn    = local.oidc_provider_arn
  trusted_role_arns    = each.value.trusted_role_arns
  max_session_duration = each.value.max_session_duration
  permissions_boundary = var.permissions_boundary
  tags                 = var.tags
}
