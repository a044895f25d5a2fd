# What a caller says about names. Owns the rules of each; whether a zone exists or answers is Route 53's business, never
# checked here.

variable "name" {
  description = "What everything of this installation is called."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}$", var.name))
    error_message = "`name` is 2 to 31 characters: a lower-case letter, then lower-case letters, digits or `-`."
  }
}

variable "zone_id" {
  description = "The public hosted zone of Route 53 that all names are in."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^Z[A-Z0-9]{1,31}$", var.zone_id))
    error_message = "`zone_id` is `Z` and up to 31 upper-case letters or digits; the id, not the zone's name."
  }
}

variable "edge_names" {
  description = <<-EOT
    The host names that devices ask, led to the distribution; the first is the certificate's own name. Empty without an
    edge: then there is no certificate in us-east-1, and `origin_name` is what devices ask.
  EOT
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition = alltrue([
      for name in var.edge_names :
      length(name) <= 253 && can(regex("^(\\*\\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$", name))
    ])
    error_message = "`edge_names` are lower-case host names such as `updates.example.com` or `*.example.com`, no final dot."
  }

  validation {
    condition     = length(distinct(var.edge_names)) == length(var.edge_names)
    error_message = "`edge_names` must not hold a name twice."
  }

  # why: an edge whose origin has the edge's own name would ask itself.
  validation {
    condition     = var.origin_name == null || !contains(var.edge_names, coalesce(var.origin_name, "none"))
    error_message = "`edge_names` must not hold `origin_name`: the edge would ask itself."
  }
}

variable "origin_name" {
  description = "The host name that is led to the load balancer, on the regional certificate; null for neither."
  type        = string
  default     = null

  validation {
    condition = var.origin_name == null || (
      length(coalesce(var.origin_name, "-")) <= 253 &&
      can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$", var.origin_name))
    )
    error_message = "`origin_name` is a lower-case host name such as `origin.example.com` without a wildcard or final dot."
  }
}

variable "distribution" {
  description = "Where `edge_names` lead: the distribution's domain_name and hosted_zone_id; null without an edge."
  type = object({
    domain_name    = string
    hosted_zone_id = string
  })
  default = null

  # why: here and not at `edge_names`: certificates depend on that variable, the distribution on certificates.
  validation {
    condition     = length(var.edge_names) == 0 || var.distribution != null
    error_message = "`distribution` must be given when there are `edge_names`."
  }
}

variable "load_balancer" {
  description = "Where `origin_name` leads: the load balancer's dns_name and zone_id; null when there is no such record."
  type = object({
    dns_name = string
    zone_id  = string
  })
  default = null

  validation {
    condition     = var.origin_name == null || var.load_balancer != null || !var.origin_record
    error_message = "`load_balancer` must be given when `origin_name` is, unless `origin_record` is false."
  }
}

variable "origin_record" {
  description = <<-EOT
    Whether `origin_name` gets a record. A VPC origin is found by its ARN and needs none: false keeps private addresses
    out of public DNS; the certificate is issued all the same.
  EOT
  type        = bool
  default     = true
  nullable    = false
}

variable "origin_ipv6" {
  description = "Whether `origin_name` gets an AAAA record too; for a dualstack load balancer."
  type        = bool
  default     = false
  nullable    = false
}

variable "key_algorithm" {
  description = "The key of both certificates: RSA_2048 for old devices, EC_prime256v1 for short handshakes."
  type        = string
  default     = "RSA_2048"
  nullable    = false

  # why: those that CloudFront and load balancers both take.
  validation {
    condition     = contains(["RSA_2048", "EC_prime256v1"], var.key_algorithm)
    error_message = "`key_algorithm` is RSA_2048 or EC_prime256v1."
  }
}

variable "caa_issuers" {
  description = "Who may issue certificates for these names, as CAA records (RFC 8659); empty for no records."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition = length(var.caa_issuers) == 0 || anytrue([
      for issuer in var.caa_issuers : contains(["amazon.com", "amazontrust.com", "awstrust.com", "amazonaws.com"], issuer)
    ])
    error_message = "`caa_issuers` is empty or holds amazon.com (or amazontrust.com, awstrust.com, amazonaws.com): ACM issues the certificates."
  }
}

variable "tags" {
  description = "Tags of every resource that has them."
  type        = map(string)
  default     = {}
  nullable    = false
}
