# What modules/dns promises: names lead where they should, certificates are in the Regions where they are looked for and
# leave the module validated. Owns no AWS: what ACM would answer is written here.

mock_provider "aws" {
  source = "./tests/mocks"

  override_resource {
    target = aws_acm_certificate.edge
    values = {
      arn = "arn:aws:acm:us-east-1:123456789012:certificate/edge"
      domain_validation_options = [
        {
          domain_name           = "updates.example.com"
          resource_record_name  = "_1.updates.example.com."
          resource_record_type  = "CNAME"
          resource_record_value = "_a.acm-validations.aws."
        },
        {
          domain_name           = "*.updates.example.com"
          resource_record_name  = "_1.updates.example.com."
          resource_record_type  = "CNAME"
          resource_record_value = "_a.acm-validations.aws."
        },
      ]
    }
  }

  override_resource {
    target = aws_acm_certificate.origin
    values = {
      arn = "arn:aws:acm:eu-central-1:123456789012:certificate/origin"
      domain_validation_options = [{
        domain_name           = "origin.example.com"
        resource_record_name  = "_2.origin.example.com."
        resource_record_type  = "CNAME"
        resource_record_value = "_b.acm-validations.aws."
      }]
    }
  }
}

variables {
  name        = "headwater"
  zone_id     = "Z0123456789EXAMPLE"
  edge_names  = ["updates.example.com", "*.updates.example.com"]
  origin_name = "origin.example.com"
  distribution = {
    domain_name    = "d111111abcdef8.cloudfront.net"
    hosted_zone_id = "Z2FDTNDATAQYW2"
  }
  load_balancer = {
    dns_name = "headwater-1.eu-central-1.elb.amazonaws.com"
    zone_id  = "Z215JYRZR1TBD5"
  }
}

run "names_lead_to_the_edge_and_the_origin" {
  command = plan
  module { source = "./modules/dns" }

  assert {
    condition = toset([for r in aws_route53_record.address : "${r.name} ${r.type} ${r.alias[0].name}" if r.name != "origin.example.com"]) == toset([
      "updates.example.com A d111111abcdef8.cloudfront.net",
      "updates.example.com AAAA d111111abcdef8.cloudfront.net",
      "*.updates.example.com A d111111abcdef8.cloudfront.net",
      "*.updates.example.com AAAA d111111abcdef8.cloudfront.net",
    ])
    error_message = "Each name of the edge has A and AAAA, aliases of the distribution."
  }
  assert {
    condition = (
      alltrue([
        for r in aws_route53_record.address :
        (r.alias[0].zone_id == "Z2FDTNDATAQYW2") == (r.name != "origin.example.com") && !r.alias[0].evaluate_target_health
      ])
    )
    error_message = "An alias of a distribution is in CloudFront's zone, and cannot be judged by Route 53."
  }
  assert {
    condition = (
      [for r in aws_route53_record.address : [r.name, r.type, r.alias[0].name] if r.name == "origin.example.com"] ==
      [["origin.example.com", "A", "headwater-1.eu-central-1.elb.amazonaws.com"]]
    )
    error_message = "The origin's name leads to the load balancer, and only to IPv4."
  }
  assert {
    condition     = length(aws_route53_record.caa) == 0
    error_message = "CAA records are an option."
  }
}

run "which_records_there_are_is_known_before_acm_answers" {
  command = plan
  module { source = "./modules/dns" }

  assert {
    condition     = toset(keys(aws_route53_record.validation)) == toset(["updates.example.com", "origin.example.com"])
    error_message = "One record for each name, none twice for a wildcard, and all of them at the first plan."
  }
}

run "certificates_are_where_they_are_looked_for" {
  command = plan
  module { source = "./modules/dns" }

  assert {
    condition = (
      aws_acm_certificate.edge[0].region == "us-east-1" && aws_acm_certificate_validation.edge[0].region == "us-east-1" &&
      aws_acm_certificate.edge[0].domain_name == "updates.example.com" &&
      aws_acm_certificate.edge[0].subject_alternative_names == toset(["*.updates.example.com"])
    )
    error_message = "CloudFront takes certificates of us-east-1 only (fact 71), for all of its names."
  }
  assert {
    condition = (
      aws_acm_certificate.origin[0].domain_name == "origin.example.com" &&
      aws_acm_certificate.origin[0].validation_method == "DNS"
    )
    error_message = "The load balancer's certificate has the origin's name."
  }
}

run "certificates_leave_validated" {
  command   = apply
  state_key = "validated" # the runs after it plan from nothing
  module { source = "./modules/dns" }

  assert {
    condition = {
      for name, r in aws_route53_record.validation : name => [r.name, r.type, one(r.records), r.ttl]
      } == {
      "updates.example.com" = ["_1.updates.example.com.", "CNAME", "_a.acm-validations.aws.", 60]
      "origin.example.com"  = ["_2.origin.example.com.", "CNAME", "_b.acm-validations.aws.", 60]
    }
    error_message = "Each record is what ACM asked for under that name."
  }
  assert {
    condition = (
      output.edge_certificate_arn == aws_acm_certificate_validation.edge[0].certificate_arn &&
      output.edge_certificate_arn == "arn:aws:acm:us-east-1:123456789012:certificate/edge"
    )
    error_message = "The edge gets its certificate from the validation, so that it waits for it."
  }
  assert {
    condition     = output.origin_certificate_arn == "arn:aws:acm:eu-central-1:123456789012:certificate/origin"
    error_message = "The origin gets the regional one."
  }
}

run "without_an_edge_one_name_leads_to_the_load_balancer" {
  command = plan
  module { source = "./modules/dns" }

  variables {
    edge_names   = []
    distribution = null
    origin_name  = "updates.example.com"
    origin_ipv6  = true
  }

  assert {
    condition = (
      length(aws_acm_certificate.edge) == 0 &&
      output.edge_certificate_arn == null
    )
    error_message = "Without an edge nothing is in us-east-1."
  }
  assert {
    condition = (
      { for key, r in aws_route53_record.address : key => r.alias[0].name } ==
      { for key in ["updates.example.com A", "updates.example.com AAAA"] : key => "headwater-1.eu-central-1.elb.amazonaws.com" }
    )
    error_message = "The public name leads to the load balancer, over IPv6 too, by the record that led to the edge."
  }
}

run "a_private_origin_needs_no_record" {
  command = plan
  module { source = "./modules/dns" }

  variables {
    origin_record = false
    load_balancer = null
  }

  assert {
    condition     = alltrue([for r in aws_route53_record.address : r.name != "origin.example.com"]) && length(aws_acm_certificate.origin) == 1
    error_message = "A VPC origin is found by its ARN; only its certificate has the name."
  }
}

run "issuers_are_named_for_every_name" {
  command = plan
  module { source = "./modules/dns" }

  variables {
    caa_issuers = ["amazon.com", "letsencrypt.org"]
  }

  assert {
    condition     = toset(keys(aws_route53_record.caa)) == toset(["updates.example.com", "origin.example.com"])
    error_message = "Both names have a CAA record."
  }
  assert {
    condition = (
      alltrue([
        for r in aws_route53_record.caa :
        r.records == toset(["0 issue \"amazon.com\"", "0 issue \"letsencrypt.org\""])
      ])
    )
    error_message = "CAA in the form of RFC 8659."
  }
}

run "bad_inputs_are_refused" {
  command = plan
  module { source = "./modules/dns" }

  variables {
    name          = "h"
    zone_id       = "example.com"
    origin_name   = "*.example.com"
    key_algorithm = "RSA_1024"
    caa_issuers   = ["letsencrypt.org"]
  }

  expect_failures = [var.name, var.zone_id, var.origin_name, var.key_algorithm, var.caa_issuers]
}

run "names_of_an_edge_are_host_names" {
  command = plan
  module { source = "./modules/dns" }

  variables {
    edge_names = ["Updates.example.com."]
  }

  expect_failures = [var.edge_names]
}

run "a_name_that_would_lead_nowhere_is_refused" {
  command = plan
  module { source = "./modules/dns" }

  variables {
    distribution  = null
    load_balancer = null
  }

  expect_failures = [var.distribution, var.load_balancer]
}

run "an_edge_that_would_ask_itself_is_refused" {
  command = plan
  module { source = "./modules/dns" }

  variables {
    origin_name = "updates.example.com"
  }

  expect_failures = [var.edge_names]
}

run "a_name_twice_is_refused" {
  command = plan
  module { source = "./modules/dns" }

  variables {
    edge_names = ["updates.example.com", "updates.example.com"]
  }

  expect_failures = [var.edge_names]
}
