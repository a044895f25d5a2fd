# The certificates of the names, validated by DNS and renewed by ACM as long as the validation records stay.
#
# Owns both certificates and their validation. The edge's is in us-east-1, where CloudFront looks (fact 71), the
# origin's in the provider's Region, where the load balancer does. Never a private key that leaves ACM.

resource "aws_acm_certificate" "edge" {
  count = local.has_edge ? 1 : 0

  region                    = "us-east-1"
  domain_name               = var.edge_names[0]
  subject_alternative_names = slice(var.edge_names, 1, length(var.edge_names))
  validation_method         = "DNS"
  key_algorithm             = var.key_algorithm
  tags                      = merge(var.tags, { Name = "${var.name}-edge" })

  lifecycle {
    # why: a certificate in use cannot be deleted; the next one must be attached first.
    create_before_destroy = true
  }
}

resource "aws_acm_certificate" "origin" {
  count = local.has_origin ? 1 : 0

  domain_name       = var.origin_name
  validation_method = "DNS"
  key_algorithm     = var.key_algorithm
  tags              = merge(var.tags, { Name = "${var.name}-origin" })

  lifecycle {
    create_before_destroy = true
  }
}

locals {
  # why: what to write is known after the request only, so that `for_each` must not be made of it; the names are ours
  # and known before. One record validates a name in every Region and under every certificate of the account.
  validation_options = flatten([
    for certificate in concat(aws_acm_certificate.edge, aws_acm_certificate.origin) : [
      for option in certificate.domain_validation_options : {
        name  = trimprefix(option.domain_name, "*.")
        fqdn  = option.resource_record_name
        type  = option.resource_record_type
        value = option.resource_record_value
      }
    ]
  ])

  # `one`: the options of a name and of its wildcard are the same, and two that differ must not be written as one.
  validation_records = {
    for name in local.bare_names : name => one(distinct([for option in local.validation_options : option if option.name == name]))
  }
}

resource "aws_route53_record" "validation" {
  for_each = local.bare_names

  zone_id = var.zone_id
  name    = local.validation_records[each.value].fqdn
  type    = local.validation_records[each.value].type
  records = [local.validation_records[each.value].value]

  # why: a minute, so that a record that was wrong is forgotten soon; nobody asks for it but ACM.
  ttl = 60

  # why: another installation of this account may validate the same name; the record would be the same.
  allow_overwrite = true
}

resource "aws_acm_certificate_validation" "edge" {
  count = local.has_edge ? 1 : 0

  region                  = "us-east-1"
  certificate_arn         = aws_acm_certificate.edge[0].arn
  validation_record_fqdns = [for name in toset([for n in var.edge_names : trimprefix(n, "*.")]) : aws_route53_record.validation[name].fqdn]
}

resource "aws_acm_certificate_validation" "origin" {
  count = local.has_origin ? 1 : 0

  certificate_arn         = aws_acm_certificate.origin[0].arn
  validation_record_fqdns = [aws_route53_record.validation[var.origin_name].fqdn]
}
