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
    for pair in setproduct(var.edge_names, ["A", "AAAA"]) :
    "${pair[0]} ${pair[1]}" => { name = pair[0], type = pair[1], leads_to = "edge" }
  }

  origin_records = {
    for pair in setproduct([for name in [var.origin_name] : name if name != null && var.origin_record], var.origin_ipv6 ? ["A", "AAAA"] : ["A"]) :
    "${pair[0]} ${pair[1]}" => { name = pair[0], type = pair[1], leads_to = "origin" }
  }
}

# why: one resource for both, by name and type: when the public name moves from the distribution to the load balancer or
# back, the record changes in place. As two resources one would be made while the other is still there, which Route 53
# refuses, and the name would be gone meanwhile.
resource "aws_route53_record" "address" {
  for_each = merge(local.edge_records, local.origin_records)

  zone_id = var.zone_id
  name    = each.value.name
  type    = each.value.type

  # why: an alias, not a CNAME: it works at the top of a zone, costs nothing and is one look-up less.
  alias {
    name    = each.value.leads_to == "edge" ? var.distribution.domain_name : var.load_balancer.dns_name
    zone_id = each.value.leads_to == "edge" ? var.distribution.hosted_zone_id : var.load_balancer.zone_id

    # why: Route 53 cannot judge a distribution, and for a load balancer there is no other record to turn to: an answer that
    # fails is better than no answer, and easier to find.
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
