# CloudFront in front of an application that somebody already runs, as one block. Owns nothing of the application: its
# load balancer, security group and network are looked up, never changed, but for the one rule that lets the edge in.

provider "aws" {
  region = var.region

  default_tags {
    tags = {
      Application = "updates-edge"
      ManagedBy   = "terraform"
    }
  }
}

data "aws_lb" "application" {
  arn = var.load_balancer_arn

  # why: CloudFront reaches a VPC origin by a private address (fact 61), a public one with a secret (fact 66), and would say
  # after minutes only that it cannot.
  lifecycle {
    postcondition {
      condition     = self.internal == (var.origin_secret_arn == null)
      error_message = "`origin_secret_arn` is for a load balancer on the Internet, which needs one; an internal one needs none."
    }
  }
}

# The zones that its subnets are in: some have no VPC origins (fact 61).
data "aws_subnet" "application" {
  for_each = data.aws_lb.application.subnets

  id = each.value
}

module "edge" {
  source = "../../modules/edge"

  name        = "updates-edge"
  origin_mode = var.origin_secret_arn == null ? "vpc" : "prefix_list_secret"

  origin = {
    load_balancer_arn = data.aws_lb.application.arn
    domain_name       = coalesce(var.origin_name, data.aws_lb.application.dns_name)
    security_group_id = var.security_group_id
    vpc_id            = data.aws_lb.application.vpc_id
    protocol          = var.origin_name == null ? "http-only" : "https-only"
  }

  origin_secret_arn     = var.origin_secret_arn
  origin_region         = var.region
  availability_zone_ids = [for subnet in data.aws_subnet.application : subnet.availability_zone_id]

  artifact_path_pattern = var.artifact_path_pattern
  channel_path_pattern  = var.channel_path_pattern

  # why: the application says nothing useful about caching, or says no-store, and cannot be changed. Then CloudFront keeps
  # what is below the artifact pattern whatever it says (MinTTL, fact 3), and tells devices so (fact 73). Only where a URL
  # never gets other bytes: a mistake there is kept as well.
  force_cache_control = true

  # why: the load balancer's idle time-out is the application's; CloudFront must let go of a connection first (fact 85).
  timeouts = {
    keepalive          = min(60, data.aws_lb.application.idle_timeout - 5)
    load_balancer_idle = data.aws_lb.application.idle_timeout
    origin_idle        = data.aws_lb.application.idle_timeout + 10
  }

  # why: on one path it would bind all pages of the host name to HTTPS for a year, whatever becomes of this edge.
  hsts = null

  # why: an application has paths that take more than GET, and headers of its own; both go through as they are, and
  # nothing of them is kept. Without the function, which would answer `/` itself and refuse POST.
  default_behavior = {
    allowed_methods            = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]
    origin_request_policy_name = "Managed-AllViewerExceptHostHeader"
    run_function               = false
    add_response_headers       = false
  }
}
