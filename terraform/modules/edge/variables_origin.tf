# What the module is told about the origin: which load balancer, how it is reached, how long it is waited for, and which
# bucket stands in for it. Owns types, meanings and limits, as variables.tf does.

variable "origin_mode" {
  description = "How CloudFront reaches the load balancer and nobody else does: \"vpc\" (internal, facts 61-64), \"prefix_list_secret\" (public, secret header, facts 65-66) or \"mtls\" (public, client certificate, fact 67)."
  type        = string
  default     = "vpc"
  nullable    = false

  validation {
    condition     = contains(["vpc", "prefix_list_secret", "mtls"], var.origin_mode)
    error_message = "origin_mode must be vpc, prefix_list_secret or mtls."
  }
}

variable "origin" {
  description = "The load balancer. domain_name is what CloudFront asks for: Host header, SNI and the name on its certificate. load_balancer_arn is needed for mode vpc, security_group_id for managed rules, vpc_id for phase two of them; port is 443 or 80 by protocol."
  type = object({
    load_balancer_arn = optional(string)
    domain_name       = string
    security_group_id = optional(string)
    vpc_id            = optional(string)
    port              = optional(number)
    protocol          = optional(string, "https-only")
  })
  nullable = false

  validation {
    condition     = can(regex("^([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?\\.)+[A-Za-z]{2,}$", var.origin.domain_name))
    error_message = "origin.domain_name must be a host name, without scheme, port or path; an address is not possible."
  }

  validation {
    condition     = contains(["https-only", "http-only"], var.origin.protocol)
    error_message = "origin.protocol must be https-only or http-only; match-viewer would store an answer once for both anyway (fact 15)."
  }

  validation {
    condition     = var.origin.protocol == "https-only" || var.origin_mode == "vpc"
    error_message = "origin.protocol may be http-only in origin_mode vpc only: over the internet the secret and the bytes need TLS (fact 66)."
  }

  validation {
    # Nobody but AWS gets a certificate for this name, and an invalid one drops the connection (fact 51): 502 for ever.
    condition     = var.origin.protocol == "http-only" || !endswith(lower(var.origin.domain_name), ".elb.amazonaws.com")
    error_message = "origin.domain_name must be a name on the load balancer's certificate when the protocol is https-only, not *.elb.amazonaws.com."
  }

  validation {
    condition     = var.origin_mode == "vpc" || !contains(var.aliases, lower(var.origin.domain_name))
    error_message = "origin.domain_name must not be one of the aliases: CloudFront would ask itself."
  }

  validation {
    condition = (
      var.origin.port == null ||
      try(contains([80, 443], var.origin.port) || (var.origin.port >= 1024 && var.origin.port <= 65535), false)
    )
    error_message = "origin.port must be 80, 443 or 1024 to 65535: CloudFront connects to no other one."
  }

  validation {
    # Fact 61: no Gateway Load Balancer.
    condition = (
      var.origin.load_balancer_arn == null ||
      can(regex("^arn:aws[a-z-]*:elasticloadbalancing:[a-z0-9-]+:[0-9]{12}:loadbalancer/(app|net)/.+$", var.origin.load_balancer_arn))
    )
    error_message = "origin.load_balancer_arn must be the ARN of an Application or Network Load Balancer."
  }

  validation {
    condition = (
      var.origin.load_balancer_arn == null ||
      try(split(":", var.origin.load_balancer_arn)[3] == var.origin_region, false)
    )
    error_message = "origin.load_balancer_arn must be in origin_region."
  }

  validation {
    condition     = var.origin_mode != "vpc" || var.origin.load_balancer_arn != null
    error_message = "origin.load_balancer_arn is required in origin_mode vpc."
  }

  validation {
    condition     = !var.manage_security_group_rules || var.origin.security_group_id != null
    error_message = "origin.security_group_id is required unless manage_security_group_rules is false."
  }
}

variable "origin_region" {
  description = "Region of the load balancer; its security group, its secret and Origin Shield follow from it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.origin_region))
    error_message = "origin_region must be the code of a Region, such as \"eu-central-1\"."
  }
}

variable "origin_shield_enabled" {
  description = "Whether all edge caches ask one Region's cache before the origin: one fetch per object instead of one per regional cache (facts 56, 58)."
  type        = bool
  default     = true
  nullable    = false
}

variable "origin_shield_region" {
  description = "Region of Origin Shield; null for the one that AWS names for origin_region (fact 56)."
  type        = string
  default     = null

  validation {
    condition = (
      var.origin_shield_region == null ||
      contains(values(local.origin_shield_regions), coalesce(var.origin_shield_region, "none"))
    )
    error_message = "origin_shield_region must be one that offers Origin Shield (fact 56): ${join(", ", sort(distinct(values(local.origin_shield_regions))))}."
  }

  validation {
    condition = (
      !var.origin_shield_enabled ||
      var.origin_shield_region != null ||
      contains(keys(local.origin_shield_regions), var.origin_region)
    )
    error_message = "origin_shield_region must be said for this origin_region: the list of nearest Regions (fact 56) does not name it."
  }
}

variable "availability_zone_ids" {
  description = "Zone ids (not names) of the load balancer's subnets, to be checked against the zones without VPC origins (fact 61)."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for id in var.availability_zone_ids : can(regex("^[a-z0-9]+-az[0-9]+$", id))])
    error_message = "availability_zone_ids must be zone ids, such as \"euc1-az2\"; names such as \"eu-central-1a\" differ between accounts."
  }

  validation {
    condition = (
      var.origin_mode != "vpc" ||
      length(setintersection(var.availability_zone_ids, ["use1-az3", "usw1-az2", "apne1-az3", "cac1-az3"])) == 0
    )
    error_message = "availability_zone_ids must not hold use1-az3, usw1-az2, apne1-az3 or cac1-az3: these zones have no VPC origins (fact 61)."
  }
}

variable "manage_security_group_rules" {
  description = "Whether the module adds the rule that lets CloudFront in to the load balancer's security group."
  type        = bool
  default     = true
  nullable    = false
}

variable "restrict_to_service_security_group" {
  description = "Phase two, in an apply of its own after the VPC origin exists: admit this account's VPC origins instead of all of CloudFront (fact 62)."
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = !var.restrict_to_service_security_group || var.origin_mode == "vpc"
    error_message = "restrict_to_service_security_group is possible in origin_mode vpc only: the group belongs to VPC origins."
  }

  validation {
    condition = (
      !var.restrict_to_service_security_group ||
      (var.manage_security_group_rules && var.origin.vpc_id != null)
    )
    error_message = "restrict_to_service_security_group needs manage_security_group_rules and origin.vpc_id."
  }
}

variable "send_origin_secret" {
  description = "Whether requests to the origin carry the secret header; null for exactly in origin_mode prefix_list_secret."
  type        = bool
  default     = null

  validation {
    condition = (
      var.send_origin_secret == null ||
      var.send_origin_secret == true ||
      var.origin_mode != "prefix_list_secret"
    )
    error_message = "send_origin_secret must not be false in origin_mode prefix_list_secret: anybody's distribution is in the prefix list (fact 65)."
  }

  validation {
    condition     = var.send_origin_secret != true || var.origin.protocol == "https-only"
    error_message = "send_origin_secret needs origin.protocol https-only: a secret is not sent in the clear (fact 66)."
  }
}

variable "origin_secret_arn" {
  description = "Secret in Secrets Manager, JSON {\"current\", \"previous\"}; needed when the secret header is sent. Its current value is in Terraform's state afterwards."
  type        = string
  default     = null

  validation {
    condition = (
      var.origin_secret_arn == null ||
      can(regex("^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:.+$", var.origin_secret_arn))
    )
    error_message = "origin_secret_arn must be the ARN of a secret in Secrets Manager."
  }

  validation {
    condition = (
      !(var.send_origin_secret == true || var.origin_mode == "prefix_list_secret") ||
      var.origin_secret_arn != null
    )
    error_message = "origin_secret_arn is required in origin_mode prefix_list_secret, and where send_origin_secret is true."
  }
}

variable "origin_secret_header" {
  description = "Name of the secret header."
  type        = string
  default     = "x-origin-secret"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,63}$", var.origin_secret_header))
    error_message = "origin_secret_header must be 3 to 64 characters of a-z, 0-9 and \"-\", beginning with a letter."
  }

  validation {
    # CloudFront refuses these as custom headers, or overwrites them (fact 40).
    condition = (
      !anytrue([for prefix in ["x-amz-", "x-edge-", "x-forwarded-", "proxy-"] : startswith(var.origin_secret_header, prefix)]) &&
      !contains(["host", "via", "cookie", "range", "te", "x-real-ip"], var.origin_secret_header)
    )
    error_message = "origin_secret_header must not be a header that CloudFront sets or removes itself."
  }
}

variable "origin_client_certificate_arn" {
  description = "Client certificate that CloudFront shows in origin_mode mtls: ACM, us-east-1, extended key usage clientAuth (fact 67)."
  type        = string
  default     = null

  validation {
    condition = (
      var.origin_client_certificate_arn == null ||
      can(regex("^arn:aws[a-z-]*:acm:us-east-1:[0-9]{12}:certificate/.+$", var.origin_client_certificate_arn))
    )
    error_message = "origin_client_certificate_arn must be the ARN of an ACM certificate in us-east-1 (fact 67)."
  }

  validation {
    condition     = (var.origin_mode == "mtls") == (var.origin_client_certificate_arn != null)
    error_message = "origin_client_certificate_arn is required in origin_mode mtls and has no place in the others."
  }
}

variable "connection_attempts" {
  description = "How often CloudFront tries to connect, and to get an answer to GET or HEAD (facts 46, 47)."
  type        = number
  default     = 2
  nullable    = false

  validation {
    condition     = contains([1, 2, 3], var.connection_attempts)
    error_message = "connection_attempts must be 1, 2 or 3 (fact 46)."
  }
}

variable "timeouts" {
  description = "Seconds. connect, read and keepalive are CloudFront's to the load balancer; load_balancer_idle and origin_idle are what stands behind, set elsewhere and only compared here: each must outlive the one before it (fact 85)."
  type = object({
    connect            = optional(number, 4)
    read               = optional(number, 30)
    keepalive          = optional(number, 60)
    load_balancer_idle = optional(number, 65)
    origin_idle        = optional(number, 75)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.timeouts.connect >= 1 && var.timeouts.connect <= 10
    error_message = "timeouts.connect must be 1 to 10 seconds (fact 46)."
  }

  validation {
    condition     = var.timeouts.read >= 1 && var.timeouts.read <= 120
    error_message = "timeouts.read must be 1 to 120 seconds (fact 47)."
  }

  validation {
    condition     = var.timeouts.keepalive >= 1 && var.timeouts.keepalive <= 120
    error_message = "timeouts.keepalive must be 1 to 120 seconds (fact 48)."
  }

  validation {
    condition     = var.timeouts.keepalive <= var.timeouts.load_balancer_idle
    error_message = "timeouts.keepalive must not exceed load_balancer_idle: CloudFront would send on a connection that the load balancer closes (fact 85)."
  }

  validation {
    condition     = var.timeouts.load_balancer_idle < var.timeouts.origin_idle
    error_message = "timeouts.load_balancer_idle must be below origin_idle: else the load balancer answers 502 when the origin closes first (fact 85)."
  }

  validation {
    condition     = alltrue([for seconds in values(var.timeouts) : floor(seconds) == seconds])
    error_message = "timeouts must be whole seconds."
  }
}

variable "failover_bucket" {
  description = "Bucket that answers artifacts and channels when the origin gives 500, 502, 503, 504 or no answer; prefix is the store's, without slashes at its ends. null for none."
  type = object({
    regional_domain_name = string
    prefix               = optional(string, "")
  })
  default = null

  validation {
    condition = (
      var.failover_bucket == null ||
      can(regex("^[a-z0-9][a-z0-9.-]+\\.s3[.-][a-z0-9-]+\\.amazonaws\\.com$", var.failover_bucket.regional_domain_name))
    )
    error_message = "failover_bucket.regional_domain_name must be the bucket's name in its Region, such as \"b.s3.eu-central-1.amazonaws.com\": the global name redirects at first."
  }

  validation {
    condition = (
      var.failover_bucket == null ||
      can(regex("^([A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*)?$", var.failover_bucket.prefix))
    )
    error_message = "failover_bucket.prefix must be empty or like \"a/b\", without slashes at its ends."
  }
}
