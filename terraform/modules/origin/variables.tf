# What a caller says about the origin: names, places, front door. Owns types, defaults and refusals; instances and sizes
# are in variables_instances.tf. Never a resource.

variable "name" {
  description = "Prefix of all names, and the name of the Auto Scaling group with \"-origin\" behind it."
  type        = string
  nullable    = false

  # why: it begins the load balancer's name, which AWS refuses with "internal-" in front or a hyphen at the end.
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,29}[a-z0-9]$", var.name)) && !startswith(var.name, "internal-")
    error_message = "name must be 2 to 31 characters, lower-case letters, digits and hyphens, starting with a letter, not ending in a hyphen, not starting with \"internal-\"."
  }
}

variable "tags" {
  description = "Tags of everything that can have them, instances included."
  type        = map(string)
  default     = {}
  nullable    = false

  # why: instances show their tags as paths of the metadata service, and one with another character in a key does not
  # start at all.
  validation {
    condition = alltrue([
      for key in keys(var.tags) : can(regex("^[A-Za-z0-9+=.,_:@-]{1,128}$", key)) && !startswith(key, "aws:")
    ])
    error_message = "Keys of tags must be letters, digits and + - = . , _ : @ (no spaces, no slashes), and not start with aws:."
  }
}

# ---- Where ----------------------------------------------------------------------------------------------------------

variable "vpc_id" {
  description = "The VPC. With a VPC origin in front it needs an internet gateway (fact 61)."
  type        = string
  nullable    = false

  validation {
    condition     = startswith(var.vpc_id, "vpc-")
    error_message = "vpc_id must be the id of a VPC, vpc-…."
  }
}

variable "load_balancer_subnet_ids" {
  description = "Subnets of the load balancer, in two zones or more: private ones when internal, else public ones."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(distinct(var.load_balancer_subnet_ids)) >= 2
    error_message = "load_balancer_subnet_ids must name at least two subnets: a load balancer needs two zones."
  }
}

variable "instance_subnet_ids" {
  description = "Private subnets of the instances. They reach S3, Secrets Manager and Auto Scaling by endpoints or NAT."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(distinct(var.instance_subnet_ids)) >= 2
    error_message = "instance_subnet_ids must name at least two subnets, so that the loss of a zone is not the loss of the origin."
  }
}

variable "egress_security_group_ids" {
  description = "Security groups of interface endpoints that instances may reach with HTTPS."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "egress_cidr_blocks" {
  description = "IPv4 ranges beside S3 that instances may reach with HTTPS: where there are no endpoints, 0.0.0.0/0 through NAT."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for cidr in var.egress_cidr_blocks : can(cidrnetmask(cidr))])
    error_message = "egress_cidr_blocks must be IPv4 ranges such as 10.20.0.0/16."
  }
}

# ---- The front door -------------------------------------------------------------------------------------------------

variable "internal" {
  description = "Whether the load balancer has private addresses only: true for origin_mode \"vpc\", else false."
  type        = bool
  default     = true
  nullable    = false

  validation {
    condition     = var.origin_mode == "vpc" ? var.internal : true
    error_message = "origin_mode \"vpc\" needs internal = true: a VPC origin reaches private addresses, public ones would be a second door."
  }

  validation {
    condition     = local.comes_over_internet ? !var.internal : true
    error_message = "origin_mode \"prefix_list_secret\" and \"mtls\" need internal = false: there the edge comes over the internet."
  }
}

variable "public_ingress" {
  description = "Whether everybody may connect: the world without an edge. Ports of the edge are opened by the edge module."
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = var.public_ingress ? var.origin_mode == null : true
    error_message = "public_ingress is for the world without an edge: with it, origin_mode must be null."
  }

  validation {
    condition     = var.public_ingress ? !var.internal : true
    error_message = "public_ingress needs internal = false."
  }

  # why: artifacts are verified against digests, but the channel document that says which ones is only as true as TLS.
  validation {
    condition     = var.public_ingress ? var.certificate_arn != null : true
    error_message = "public_ingress needs certificate_arn: devices must not fetch channel documents in the clear."
  }
}

variable "origin_mode" {
  description = "How the edge comes in: \"vpc\", \"prefix_list_secret\" or \"mtls\"; null where there is no edge."
  type        = string
  default     = null

  validation {
    condition     = var.origin_mode == null ? true : contains(["vpc", "prefix_list_secret", "mtls"], var.origin_mode)
    error_message = "origin_mode must be \"vpc\", \"prefix_list_secret\", \"mtls\" or null."
  }
}

variable "certificate_arn" {
  description = "Certificate of the listener, in this Region; null makes it plain HTTP, which only a VPC origin may use."
  type        = string
  default     = null

  validation {
    condition = (
      var.certificate_arn == null ? true
      : can(regex("^arn:[a-z-]+:acm:[a-z0-9-]+:[0-9]{12}:certificate/.+", var.certificate_arn))
    )
    error_message = "certificate_arn must be the ARN of an ACM certificate."
  }

  validation {
    condition     = local.comes_over_internet ? var.certificate_arn != null : true
    error_message = "origin_mode \"prefix_list_secret\" and \"mtls\" need certificate_arn: a secret header or a client's certificate is worth nothing without TLS (fact 66)."
  }
}

variable "listener_protocol" {
  description = "\"HTTPS\" or \"HTTP\", where certificate_arn is not known before the apply; null follows certificate_arn."
  type        = string
  default     = null

  validation {
    condition     = var.listener_protocol == null ? true : contains(["HTTPS", "HTTP"], var.listener_protocol)
    error_message = "listener_protocol must be \"HTTPS\", \"HTTP\" or null."
  }

  validation {
    condition     = var.listener_protocol == "HTTPS" ? var.certificate_arn != null : true
    error_message = "listener_protocol \"HTTPS\" needs certificate_arn."
  }

  validation {
    condition = (
      var.listener_protocol == "HTTP" ? !var.public_ingress && !local.comes_over_internet
      : true
    )
    error_message = "listener_protocol \"HTTP\" is for origin_mode \"vpc\" only."
  }
}

variable "ssl_policy" {
  description = "What TLS the listener speaks. The default takes TLS 1.2, CloudFront's newest towards origins, and 1.3."
  type        = string
  # why: TLSv1.3 is not in CloudFront's list of protocols towards origins (fact 51), so a policy of 1.3 alone would cut
  # the edge off.
  default  = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  nullable = false

  validation {
    condition     = can(regex("^ELBSecurityPolicy-(TLS13-1-2|FS-1-2)-[A-Za-z0-9-]+$", var.ssl_policy))
    error_message = "ssl_policy must be one whose oldest protocol is TLS 1.2 (ELBSecurityPolicy-TLS13-1-2-… or ELBSecurityPolicy-FS-1-2-…)."
  }
}

variable "origin_secret_arn" {
  description = "Secret {\"current\", \"previous\"} that the edge sends in a header. Instances read it too, and refuse without it."
  type        = string
  default     = null

  validation {
    condition = (
      var.origin_secret_arn == null ? true
      : can(regex("^arn:[a-z-]+:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:.+", var.origin_secret_arn))
    )
    error_message = "origin_secret_arn must be the ARN of a secret in Secrets Manager."
  }

  validation {
    condition     = var.origin_mode == "prefix_list_secret" ? var.origin_secret_arn != null : true
    error_message = "origin_mode \"prefix_list_secret\" needs origin_secret_arn: anybody's distribution is in the prefix list (fact 65)."
  }
}

variable "origin_secret_kms_key_arn" {
  description = "Customer-managed key that encrypts the secret; null means the account's own key for Secrets Manager."
  type        = string
  default     = null

  validation {
    condition = (
      var.origin_secret_kms_key_arn == null ? true
      : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+", var.origin_secret_kms_key_arn))
    )
    error_message = "origin_secret_kms_key_arn must be the ARN of a key in KMS (not of an alias)."
  }
}

variable "origin_secret_header" {
  description = "Header in which the edge sends its secret; instances are told."
  type        = string
  default     = "x-origin-secret"
  nullable    = false

  # why: 40 characters are what a rule of the listener takes; other characters are dropped as invalid before it looks.
  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{0,39}$", var.origin_secret_header))
    error_message = "origin_secret_header must be 1 to 40 lower-case letters, digits and hyphens."
  }
}

variable "mtls_trust_store_arn" {
  description = "Trust store with the authority that signed the edge's certificate; for origin_mode \"mtls\"."
  type        = string
  default     = null

  validation {
    condition = (
      var.mtls_trust_store_arn == null ? true
      : can(regex("^arn:[a-z-]+:elasticloadbalancing:[a-z0-9-]+:[0-9]{12}:truststore/.+", var.mtls_trust_store_arn))
    )
    error_message = "mtls_trust_store_arn must be the ARN of a trust store of Elastic Load Balancing."
  }

  validation {
    condition     = var.origin_mode == "mtls" ? var.mtls_trust_store_arn != null : true
    error_message = "origin_mode \"mtls\" needs mtls_trust_store_arn: it is the origin that verifies (fact 67)."
  }
}

# ---- The load balancer ----------------------------------------------------------------------------------------------

variable "idle_timeout" {
  description = "Seconds after which the load balancer closes an idle connection: at least the edge's 60, less than the origin's 75."
  type        = number
  default     = 65
  nullable    = false

  # why: who closes first must be the client, then the balancer, then the server; else requests meet a closing
  # connection and become 502 (fact 85).
  validation {
    condition     = var.idle_timeout >= 60 && var.idle_timeout < 75
    error_message = "idle_timeout must be 60 to 74: not below the edge's keep-alive of 60 s, and below limits.idle_timeout of 75 s (fact 85)."
  }
}

variable "client_keep_alive" {
  description = "Seconds that a connection from a client may live in all, 60 to 604800."
  type        = number
  default     = 3600
  nullable    = false

  validation {
    condition     = var.client_keep_alive >= 60 && var.client_keep_alive <= 604800
    error_message = "client_keep_alive must be 60 to 604800 seconds (fact 84)."
  }
}

variable "deregistration_delay" {
  description = "Seconds that requests under way may take when their instance leaves. Longer where slow devices come directly."
  type        = number
  # why: behind the edge a fill takes seconds to minutes; devices on slow lines take hours (fact 86). It ends early when
  # the last request does.
  default  = 300
  nullable = false

  validation {
    condition     = var.deregistration_delay >= 30 && var.deregistration_delay <= 3600
    error_message = "deregistration_delay must be 30 to 3600 seconds."
  }
}

variable "slow_start" {
  description = "Seconds over which a new instance gets up to its share: 0 for none, or 30 to 900 with \"round_robin\"."
  type        = number
  # why: it would spare an instance that is slow while cold. An origin without blocks fetches each once from S3 at about
  # the speed of its network, and the edge asks seldom; a slow start would only lengthen a roll-out.
  default  = 0
  nullable = false

  validation {
    condition     = var.slow_start == 0 || (var.slow_start >= 30 && var.slow_start <= 900)
    error_message = "slow_start must be 0 or 30 to 900 seconds (fact 86)."
  }

  validation {
    condition     = var.slow_start == 0 || var.load_balancing_algorithm == "round_robin"
    error_message = "slow_start needs load_balancing_algorithm = \"round_robin\"."
  }
}

variable "load_balancing_algorithm" {
  description = "\"least_outstanding_requests\" or \"round_robin\"."
  type        = string
  # why: answers differ by seven orders of magnitude, a channel document and an image of gigabytes; counting requests in
  # turn would stack the large ones.
  default  = "least_outstanding_requests"
  nullable = false

  validation {
    condition     = contains(["least_outstanding_requests", "round_robin"], var.load_balancing_algorithm)
    error_message = "load_balancing_algorithm must be \"least_outstanding_requests\" or \"round_robin\"."
  }
}

variable "load_balancer_capacity_units" {
  description = "Capacity units that are reserved ahead of a release, 100 or more; null reserves none."
  type        = number
  default     = null

  validation {
    condition = (
      var.load_balancer_capacity_units == null ? true
      : var.load_balancer_capacity_units >= 100 &&
      floor(var.load_balancer_capacity_units) == var.load_balancer_capacity_units
    )
    error_message = "load_balancer_capacity_units must be a whole number of at least 100, or null."
  }
}

variable "access_log_bucket" {
  description = "Bucket for the load balancer's access logs, with a policy for log delivery; null writes none."
  type        = string
  default     = null

  validation {
    condition = (
      var.access_log_bucket == null ? true
      : can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.access_log_bucket))
    )
    error_message = "access_log_bucket must be the name of a bucket, not its ARN."
  }
}

variable "access_log_prefix" {
  description = "Folder of the access logs in their bucket."
  type        = string
  default     = "load-balancer"
  nullable    = false

  validation {
    condition = (
      can(regex("^[A-Za-z0-9._/-]*[A-Za-z0-9._-]$", var.access_log_prefix)) &&
      !startswith(var.access_log_prefix, "/") &&
      !strcontains(var.access_log_prefix, "AWSLogs")
    )
    error_message = "access_log_prefix must be a folder without a slash at either end, and without AWSLogs in it."
  }
}

variable "deletion_protection" {
  description = "Whether AWS refuses to delete the load balancer. Turn it off, and apply, before a change that replaces it."
  type        = bool
  default     = true
  nullable    = false
}

# ---- What it serves -------------------------------------------------------------------------------------------------

variable "store" {
  description = "The bucket, where in it the store is (\"s3://BUCKET/PREFIX\"), and the key that encrypts it, if there is one."
  type = object({
    bucket_arn  = string
    location    = string
    kms_key_arn = optional(string)
  })
  nullable = false

  validation {
    condition     = can(regex("^arn:[a-z-]+:s3:::[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.store.bucket_arn))
    error_message = "store.bucket_arn must be the ARN of a bucket, arn:aws:s3:::NAME."
  }

  validation {
    condition     = can(regex("^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._-]+)*$", var.store.location))
    error_message = "store.location must be s3://BUCKET or s3://BUCKET/PREFIX, without a slash at the end."
  }

  validation {
    condition     = try(split("/", var.store.location)[2] == split(":::", var.store.bucket_arn)[1], true)
    error_message = "store.location and store.bucket_arn must name the same bucket."
  }

  validation {
    condition = (
      var.store.kms_key_arn == null ? true
      : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+", var.store.kms_key_arn))
    )
    error_message = "store.kms_key_arn must be the ARN of a key in KMS (not of an alias), or null."
  }
}

variable "environment" {
  description = "Settings of the process: HEADWATER_ACCESS_LOG, HEADWATER_THREADS, HEADWATER_LOG, HEADWATER_CACHE_MEMORY_BYTES."
  type        = map(string)
  default     = {}
  nullable    = false

  # why: the image refuses to start with a key that it does not know, and the others are this module's to say.
  validation {
    condition = length(setsubtract(keys(var.environment), [
      "HEADWATER_ACCESS_LOG", "HEADWATER_CACHE_MEMORY_BYTES", "HEADWATER_LOG", "HEADWATER_THREADS",
    ])) == 0
    error_message = "environment may set HEADWATER_ACCESS_LOG, HEADWATER_CACHE_MEMORY_BYTES, HEADWATER_LOG and HEADWATER_THREADS; the rest follows from other variables."
  }

  # why: what the image takes; systemd gives quotes, backslashes and spaces a meaning.
  validation {
    condition     = alltrue([for value in values(var.environment) : can(regex("^[A-Za-z0-9_.,:/@=+*-]+$", value))])
    error_message = "Values of environment must be letters, digits and _ . , : / @ = + * - and not empty; leave a key out for its default."
  }
}
