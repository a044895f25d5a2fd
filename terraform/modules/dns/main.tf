# Where the names lead, and who may issue certificates for them. certificates.tf has the certificates themselves.
#
# Owns the address records. Never counts by the distribution or the load balancer: both depend on certificates from
# here.

locals {
  has_edge   = length(var.edge_names) > 0
  has_origin = var.origin_name != null

  names = concat(var.edge_names, [for name in [var.origin_name] : name if name != null])

  # `*.example.com` is validated, and named in CAA records, as `example.com`.
  bare_names = toset([for name in local.names : trimprefix(name, "*.")])

  # why: AAAA beside A: the distribution answers both, and half of all phones have IPv6 only.
  edge_records = {
    for pair in setproduct(var.edge_names, ["A", "AAAA"]) : "${pair[0]} ${pair[1]}" => { name = pair[0], type = pair[1] }
  }

  origin_types = local.has_origin && var.origin_record ? toset(var.origin_ipv6 ? ["A", "AAAA"] : ["A"]) : toset([])
}

resource "aws_route53_record" "edge" {
  for_each = local.edge_records

  zone_id = var.zone_id
  name    = each.value.name
  type    = each.value.type

  # why: an alias, not a CNAME: it works at the top of a zone, costs nothing and is one look-up less.
  alias {
    name    = var.distribution.domain_name
    zone_id = var.distribution.hosted_zone_id

    # why: Route 53 cannot judge a distribution.
    evaluate_target_health = false
  }
}

resource "aws_route53_record" "origin" {
  for_each = local.origin_types

  zone_id = var.zone_id
  name    = var.origin_name
  type    = each.value

  alias {
    name    = var.load_balancer.dns_name
    zone_id = var.load_balancer.zone_id

    # why: there is no other record to turn to; an answer that fails is better than no answer, and easier to find.
    evaluate_target_health = false
  }
}

resource "aws_route53_record" "caa" {
  for_each = length(var.caa_issuers) > 0 ? local.bare_names : toset([])

  zone_id = var.zone_id
  name    = each.value
  type    = "CAA"
  ttl     = 3600
  records = [for issuer in var.caa_issuers : "0 issue \"${issuer}\""]
}
