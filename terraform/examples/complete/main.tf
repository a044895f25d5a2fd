# Everything that is meant for production: a domain with certificates on both sides of the edge, publishing from CI,
# a web ACL, alarms, mails, a budget. Owns the Region and the tags that every resource gets; what differs between
# companies is a variable. Never a resource: whatever is missing belongs to a module.

provider "aws" {
  region = var.region

  default_tags {
    tags = {
      Application = "headwater"
      Environment = "production"
      ManagedBy   = "terraform"
    }
  }
}

module "headwater" {
  source = "../.."

  name   = var.name
  domain = var.domain

  # Both worlds from one plan: false is the same origin on a public load balancer.
  edge_enabled = var.edge_enabled

  # why: the second phase is a VPC origin's; said without an edge it would be refused, and the other world has no plan.
  restrict_to_service_security_group = var.edge_enabled && var.restrict_to_service_security_group

  products = var.products

  # why: what devices install is fetched again for months; a thief with the publisher's role must not remove it.
  object_lock = { mode = "GOVERNANCE", days = 30 }

  # why: a fixed image, so that a roll-out happens when this line changes, and can be taken back (fact 89).
  ami_id = var.ami_id

  # why: no device asks this often in five minutes; whoever does is no device (fact 74).
  web_acl = var.edge_enabled ? { rate_limit = 5000 } : null

  # The address range with most devices decides: everywhere costs more than Europe and North America.
  price_class = "PriceClass_All"

  alarm_emails = var.alarm_emails
  event_emails = var.event_emails
  budget       = { limit_usd = var.budget_usd, emails = var.alarm_emails }
}
