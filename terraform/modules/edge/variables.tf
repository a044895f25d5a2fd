# What the module is told. Owns types, meanings and limits: a value that passes here is one that AWS accepts, as far as
# that can be known without asking it.

# ---- Identity --------------------------------------------------------------------------------------------------------

variable "name" {
  description = "What the names of all resources begin with, for example \"headwater\"; unique in the account."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}$", var.name))
    error_message = "name must be 2 to 31 characters of a-z, 0-9 and \"-\", beginning with a letter."
  }
}

variable "tags" {
  description = "Tags of every resource that can have them. A change replaces the VPC origin, which takes up to 30 minutes (fact 63)."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = length(var.tags) <= 50 && alltrue([for key in keys(var.tags) : !startswith(lower(key), "aws:")])
    error_message = "tags may be 50 at most, and none may begin with \"aws:\"."
  }
}

# ---- What viewers see ------------------------------------------------------------------------------------------------

variable "aliases" {
  description = "Host names of the distribution beside its own *.cloudfront.net one; each must be on the certificate."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for alias in var.aliases : can(regex("^(\\*\\.)?([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", alias))])
    error_message = "aliases must be host names in lower case, such as \"updates.example.com\" or \"*.example.com\"."
  }

  validation {
    condition     = length(distinct(var.aliases)) == length(var.aliases)
    error_message = "aliases must differ from each other."
  }
}

variable "certificate_arn" {
  description = "ACM certificate for the aliases, in us-east-1 (fact 71); null without aliases, for CloudFront's own certificate."
  type        = string
  default     = null

  validation {
    condition     = var.certificate_arn == null || can(regex("^arn:aws[a-z-]*:acm:us-east-1:[0-9]{12}:certificate/.+$", var.certificate_arn))
    error_message = "certificate_arn must be the ARN of an ACM certificate in us-east-1: CloudFront reads them nowhere else (fact 71)."
  }

  validation {
    condition     = (var.certificate_arn != null) == (length(var.aliases) > 0)
    error_message = "certificate_arn and aliases belong together: an alias needs a certificate, and a certificate without alias is never shown."
  }
}

variable "minimum_protocol_version" {
  description = "Oldest TLS that viewers may speak to the aliases. *.cloudfront.net itself always accepts TLSv1."
  type        = string
  default     = "TLSv1.2_2025"
  nullable    = false

  validation {
    condition     = contains(["TLSv1.2_2025", "TLSv1.3_2025"], var.minimum_protocol_version)
    error_message = "minimum_protocol_version must be TLSv1.2_2025 or TLSv1.3_2025 (fact 71)."
  }
}

variable "http_version" {
  description = "Newest HTTP that viewers may speak. \"http2\" while there is a staging distribution (fact 75)."
  type        = string
  default     = "http2and3"
  nullable    = false

  validation {
    condition     = contains(["http1.1", "http2", "http3", "http2and3"], var.http_version)
    error_message = "http_version must be http1.1, http2, http3 or http2and3."
  }
}

variable "ipv6" {
  description = "Whether viewers may connect over IPv6."
  type        = bool
  default     = true
  nullable    = false
}

variable "price_class" {
  description = "Which edge locations serve: PriceClass_100 (North America, Europe), PriceClass_200 (and Asia, Middle East, Africa), PriceClass_All."
  type        = string
  default     = "PriceClass_100"
  nullable    = false

  validation {
    condition     = contains(["PriceClass_100", "PriceClass_200", "PriceClass_All"], var.price_class)
    error_message = "price_class must be PriceClass_100, PriceClass_200 or PriceClass_All."
  }
}

variable "viewer_protocol_policy" {
  description = "What happens to plain HTTP: \"redirect-to-https\", or \"https-only\" (403)."
  type        = string
  default     = "redirect-to-https"
  nullable    = false

  validation {
    condition     = contains(["redirect-to-https", "https-only"], var.viewer_protocol_policy)
    error_message = "viewer_protocol_policy must be redirect-to-https or https-only: nothing is served in the clear."
  }
}

variable "hsts" {
  description = "Strict-Transport-Security of every answer; null leaves it to the origin."
  type = object({
    max_age_sec        = optional(number, 31536000)
    include_subdomains = optional(bool, false)
    preload            = optional(bool, false)
  })
  default = {}

  validation {
    condition     = var.hsts == null || try(var.hsts.max_age_sec >= 0 && var.hsts.max_age_sec <= 63072000, false)
    error_message = "hsts.max_age_sec must be 0 to 63072000 (two years)."
  }

  validation {
    # What the preload list asks for (hstspreload.org).
    condition     = var.hsts == null || try(!var.hsts.preload || (var.hsts.include_subdomains && var.hsts.max_age_sec >= 31536000), false)
    error_message = "hsts.preload needs include_subdomains and a max_age_sec of at least 31536000."
  }
}

variable "cors_origins" {
  description = "Web origins whose pages may read answers, \"*\" for all; empty for none. Simple GET and HEAD only: a preflight is answered 405."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for origin in var.cors_origins : origin == "*" || can(regex("^https://[a-z0-9*.-]+(:[0-9]+)?$", origin))])
    error_message = "cors_origins must be \"*\" or https:// with a host in lower case and without a path, such as \"https://www.example.com\"."
  }
}

# ---- The origin ------------------------------------------------------------------------------------------------------

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
    condition     = var.origin.port == null || try(contains([80, 443], var.origin.port) || (var.origin.port >= 1024 && var.origin.port <= 65535), false)
    error_message = "origin.port must be 80, 443 or 1024 to 65535: CloudFront connects to no other one."
  }

  validation {
    # Fact 61: no Gateway Load Balancer.
    condition     = var.origin.load_balancer_arn == null || can(regex("^arn:aws[a-z-]*:elasticloadbalancing:[a-z0-9-]+:[0-9]{12}:loadbalancer/(app|net)/.+$", var.origin.load_balancer_arn))
    error_message = "origin.load_balancer_arn must be the ARN of an Application or Network Load Balancer."
  }

  validation {
    condition     = var.origin.load_balancer_arn == null || try(split(":", var.origin.load_balancer_arn)[3] == var.origin_region, false)
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
    condition     = var.origin_shield_region == null || contains(values(local.origin_shield_regions), coalesce(var.origin_shield_region, "none"))
    error_message = "origin_shield_region must be one that offers Origin Shield (fact 56): ${join(", ", sort(distinct(values(local.origin_shield_regions))))}."
  }

  validation {
    condition     = !var.origin_shield_enabled || var.origin_shield_region != null || contains(keys(local.origin_shield_regions), var.origin_region)
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
    condition     = var.origin_mode != "vpc" || length(setintersection(var.availability_zone_ids, ["use1-az3", "usw1-az2", "apne1-az3", "cac1-az3"])) == 0
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
    condition     = !var.restrict_to_service_security_group || (var.manage_security_group_rules && var.origin.vpc_id != null)
    error_message = "restrict_to_service_security_group needs manage_security_group_rules and origin.vpc_id."
  }
}

variable "send_origin_secret" {
  description = "Whether requests to the origin carry the secret header; null for exactly in origin_mode prefix_list_secret."
  type        = bool
  default     = null

  validation {
    condition     = var.send_origin_secret == null || var.send_origin_secret == true || var.origin_mode != "prefix_list_secret"
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
    condition     = var.origin_secret_arn == null || can(regex("^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:.+$", var.origin_secret_arn))
    error_message = "origin_secret_arn must be the ARN of a secret in Secrets Manager."
  }

  validation {
    condition     = !(var.send_origin_secret == true || var.origin_mode == "prefix_list_secret") || var.origin_secret_arn != null
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
    condition     = !anytrue([for prefix in ["x-amz-", "x-edge-", "x-forwarded-", "proxy-"] : startswith(var.origin_secret_header, prefix)]) && !contains(["host", "via", "cookie", "range", "te", "x-real-ip"], var.origin_secret_header)
    error_message = "origin_secret_header must not be a header that CloudFront sets or removes itself."
  }
}

variable "origin_client_certificate_arn" {
  description = "Client certificate that CloudFront shows in origin_mode mtls: ACM, us-east-1, extended key usage clientAuth (fact 67)."
  type        = string
  default     = null

  validation {
    condition     = var.origin_client_certificate_arn == null || can(regex("^arn:aws[a-z-]*:acm:us-east-1:[0-9]{12}:certificate/.+$", var.origin_client_certificate_arn))
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
    condition     = var.failover_bucket == null || can(regex("^[a-z0-9][a-z0-9.-]+\\.s3[.-][a-z0-9-]+\\.amazonaws\\.com$", var.failover_bucket.regional_domain_name))
    error_message = "failover_bucket.regional_domain_name must be the bucket's name in its Region, such as \"b.s3.eu-central-1.amazonaws.com\": the global name redirects at first."
  }

  validation {
    condition     = var.failover_bucket == null || can(regex("^([A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*)?$", var.failover_bucket.prefix))
    error_message = "failover_bucket.prefix must be empty or like \"a/b\", without slashes at its ends."
  }
}

# ---- What is cached, and how long ------------------------------------------------------------------------------------

variable "artifact_path_pattern" {
  description = "Paths that name their bytes for ever. Only these may be kept against the origin's word (fact 3)."
  type        = string
  default     = "/artifacts/*"
  nullable    = false

  validation {
    condition     = can(regex("^/[A-Za-z0-9_.~/-]+/\\*$", var.artifact_path_pattern))
    error_message = "artifact_path_pattern must be a folder with \"/*\" at its end, such as \"/artifacts/*\"; not \"/*\", which would make everything immutable."
  }
}

variable "channel_path_pattern" {
  description = "Paths of pointers, which change."
  type        = string
  default     = "/channels/*"
  nullable    = false

  validation {
    condition     = can(regex("^/[A-Za-z0-9_.~/-]+/\\*$", var.channel_path_pattern))
    error_message = "channel_path_pattern must be a folder with \"/*\" at its end, such as \"/channels/*\"."
  }

  validation {
    condition     = !startswith(var.channel_path_pattern, trimsuffix(var.artifact_path_pattern, "*"))
    error_message = "channel_path_pattern must not lie within artifact_path_pattern, which would match first and keep pointers for a year."
  }
}

variable "artifact_min_ttl" {
  description = "Seconds that an artifact is kept whatever the origin says; at least a year with force_cache_control."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.artifact_min_ttl >= 1 && var.artifact_min_ttl <= 31536000 && floor(var.artifact_min_ttl) == var.artifact_min_ttl
    error_message = "artifact_min_ttl must be 1 to 31536000 whole seconds: 0 would let one no-store end collapsing (fact 26)."
  }
}

variable "channel_default_ttl" {
  description = "Seconds that a channel is kept when the origin says nothing."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.channel_default_ttl >= 0 && var.channel_default_ttl <= var.channel_max_ttl && floor(var.channel_default_ttl) == var.channel_default_ttl
    error_message = "channel_default_ttl must be whole seconds, 0 to channel_max_ttl."
  }
}

variable "channel_max_ttl" {
  description = "Seconds that a channel is kept at most, stale or not (fact 9)."
  type        = number
  default     = 300
  nullable    = false

  validation {
    condition     = var.channel_max_ttl >= 1 && var.channel_max_ttl <= 86400 && floor(var.channel_max_ttl) == var.channel_max_ttl
    error_message = "channel_max_ttl must be 1 to 86400 whole seconds: a pointer that is a day old misleads."
  }
}

variable "force_cache_control" {
  description = "For an application whose headers cannot be changed: artifacts are kept for a year whatever it says, and viewers get forced_cache_control (facts 3, 73)."
  type        = bool
  default     = false
  nullable    = false
}

variable "forced_cache_control" {
  description = "What viewers get as Cache-Control with force_cache_control. An hour for artifacts: the header is put on their errors, too, and a proxy would keep a 404 as long."
  type = object({
    artifacts = optional(string, "public, max-age=3600, immutable")
    channels  = optional(string, "public, max-age=30")
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for value in values(var.forced_cache_control) : can(regex("max-age=[0-9]+", value))])
    error_message = "forced_cache_control must hold a max-age each."
  }
}

variable "error_caching_min_ttl" {
  description = "Seconds that 404 and 5xx are kept at least (fact 22)."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.error_caching_min_ttl >= 0 && var.error_caching_min_ttl <= 10 && floor(var.error_caching_min_ttl) == var.error_caching_min_ttl
    error_message = "error_caching_min_ttl must be 0 to 10 whole seconds: longer, and a device that asks too early pins \"not found\" beyond the release (fact 22)."
  }
}

variable "default_behavior" {
  description = "What is neither artifact nor channel; never cached. For an existing application with pages: all seven methods, origin_request_policy_name \"Managed-AllViewerExceptHostHeader\", run_function false."
  type = object({
    allowed_methods            = optional(list(string), ["GET", "HEAD"])
    origin_request_policy_name = optional(string)
    run_function               = optional(bool, true)
  })
  default  = {}
  nullable = false

  validation {
    condition = contains([
      "GET,HEAD", "GET,HEAD,OPTIONS", "DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT",
    ], join(",", sort(distinct(var.default_behavior.allowed_methods))))
    error_message = "default_behavior.allowed_methods must be GET and HEAD, these and OPTIONS, or all seven: CloudFront knows no other sets."
  }

  validation {
    condition     = !var.default_behavior.run_function || alltrue([for method in var.default_behavior.allowed_methods : contains(["GET", "HEAD"], method)])
    error_message = "default_behavior.run_function must be false where more than GET and HEAD is allowed: the function refuses the rest."
  }

  validation {
    condition     = var.default_behavior.origin_request_policy_name == null || try(startswith(var.default_behavior.origin_request_policy_name, "Managed-") && var.default_behavior.origin_request_policy_name != "Managed-AllViewer", false)
    error_message = "default_behavior.origin_request_policy_name must be a policy managed by AWS (\"Managed-...\"), and not Managed-AllViewer: the origin's certificate is not for the viewer's Host."
  }
}

variable "cache_tag_header" {
  description = "Header of the origin's answers that lists cache tags (fact 79); null for no tags."
  type        = string
  default     = "cache-tag"

  validation {
    condition     = var.cache_tag_header == null || can(regex("^[A-Za-z0-9][A-Za-z0-9-]{0,63}$", var.cache_tag_header))
    error_message = "cache_tag_header must be the name of a header, or null."
  }
}

# ---- Who may ask -----------------------------------------------------------------------------------------------------

variable "web_acl" {
  description = "A web ACL of the module's own: requests per address and window, methods (null: those of default_behavior), rule groups of AWS. Refusals are logged. null for none."
  type = object({
    rate_limit            = optional(number, 10000)
    evaluation_window_sec = optional(number, 300)
    allowed_methods       = optional(list(string))
    managed_rule_groups   = optional(list(string), [])
    log_retention_days    = optional(number, 365)
    log_kms_key_arn       = optional(string)
  })
  default = null

  validation {
    condition     = var.web_acl == null || try(var.web_acl.rate_limit >= 10 && var.web_acl.rate_limit <= 2000000000, false)
    error_message = "web_acl.rate_limit must be 10 to 2000000000 requests per address and window."
  }

  validation {
    condition     = var.web_acl == null || try(contains([60, 120, 300, 600], var.web_acl.evaluation_window_sec), false)
    error_message = "web_acl.evaluation_window_sec must be 60, 120, 300 or 600."
  }

  validation {
    condition = var.web_acl == null || try(var.web_acl.allowed_methods == null, false) || try(
      length(setsubtract(["GET", "HEAD"], var.web_acl.allowed_methods)) == 0 &&
      length(setsubtract(var.web_acl.allowed_methods, ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"])) == 0, false
    )
    error_message = "web_acl.allowed_methods must hold GET and HEAD, and of others only OPTIONS, PUT, POST, PATCH, DELETE."
  }

  validation {
    condition     = var.web_acl == null || try(length(var.web_acl.managed_rule_groups) <= 20 && alltrue([for group in var.web_acl.managed_rule_groups : can(regex("^AWSManagedRules[A-Za-z0-9]+$", group))]), false)
    error_message = "web_acl.managed_rule_groups must be at most 20 names of AWS, such as \"AWSManagedRulesKnownBadInputsRuleSet\"."
  }

  validation {
    condition     = var.web_acl == null || try(contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1827, 3653], var.web_acl.log_retention_days), false)
    error_message = "web_acl.log_retention_days must be a number of days that CloudWatch Logs knows, such as 30, 90 or 365."
  }
}

variable "web_acl_arn" {
  description = "A web ACL that exists already, of scope CLOUDFRONT; instead of web_acl."
  type        = string
  default     = null

  validation {
    condition     = var.web_acl_arn == null || can(regex("^arn:aws[a-z-]*:wafv2:us-east-1:[0-9]{12}:global/webacl/.+$", var.web_acl_arn))
    error_message = "web_acl_arn must be the ARN of a web ACL of scope CLOUDFRONT, which is in us-east-1 (fact 74)."
  }

  validation {
    condition     = var.web_acl_arn == null || var.web_acl == null
    error_message = "web_acl_arn and web_acl exclude each other: a distribution has one web ACL."
  }
}

variable "private_channel_public_keys" {
  description = "Public keys in PEM by name; when there are any, private paths need a signed URL or cookie (fact 70). Two at a time to rotate."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = length(var.private_channel_public_keys) <= 5
    error_message = "private_channel_public_keys may be five at most (fact 70)."
  }

  validation {
    condition     = alltrue([for name in keys(var.private_channel_public_keys) : can(regex("^[a-z0-9-]{1,32}$", name))])
    error_message = "private_channel_public_keys must be named with a-z, 0-9 and \"-\", such as \"2026\"."
  }

  validation {
    condition     = alltrue([for key in values(var.private_channel_public_keys) : can(regex("^-----BEGIN PUBLIC KEY-----\\n[A-Za-z0-9+/=\\n]+\\n-----END PUBLIC KEY-----$", trimspace(key)))])
    error_message = "private_channel_public_keys must be PEM (\"-----BEGIN PUBLIC KEY-----\"): RSA 2048 or ECDSA P-256. Never a private key."
  }
}

variable "private_path_patterns" {
  description = "Which paths the keys close, within the artifact and channel patterns, such as \"/channels/beta/*\"; empty closes all of both."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition = alltrue([
      for pattern in var.private_path_patterns :
      startswith(pattern, trimsuffix(var.artifact_path_pattern, "*")) || startswith(pattern, trimsuffix(var.channel_path_pattern, "*"))
    ])
    error_message = "private_path_patterns must lie within artifact_path_pattern or channel_path_pattern."
  }

  validation {
    condition     = length(var.private_path_patterns) == 0 || length(var.private_channel_public_keys) > 0
    error_message = "private_path_patterns needs private_channel_public_keys: without a key the paths would be open."
  }

  validation {
    # 75 behaviours per distribution by default, three of them taken; the rest of the room is for raising it with care.
    condition     = length(var.private_path_patterns) <= 20 && length(distinct(var.private_path_patterns)) == length(var.private_path_patterns)
    error_message = "private_path_patterns may be 20 at most, all different."
  }
}

# ---- Changes and records -----------------------------------------------------------------------------------------------

variable "staging" {
  description = "A staging distribution (fact 75): which traffic it gets (weight up to 0.15, or a header beginning with aws-cf-cd-), and what differs in it (overrides; null takes over the primary's value). Only once the distribution exists, and with http_version http2 or http1.1."
  type = object({
    enabled = optional(bool, true)
    weight  = optional(number)
    session_stickiness = optional(object({
      idle_ttl    = number
      maximum_ttl = number
    }))
    header = optional(object({
      name  = string
      value = string
    }))
    overrides = optional(object({
      artifact_min_ttl      = optional(number)
      channel_default_ttl   = optional(number)
      channel_max_ttl       = optional(number)
      force_cache_control   = optional(bool)
      error_caching_min_ttl = optional(number)
      connection_attempts   = optional(number)
      connect_timeout       = optional(number)
      read_timeout          = optional(number)
      function_code         = optional(string)
    }), {})
  })
  default = null

  validation {
    condition     = var.staging == null || !contains(["http3", "http2and3"], var.http_version)
    error_message = "staging and HTTP/3 exclude each other (fact 75): set http_version to http2 while there is a staging distribution."
  }

  validation {
    condition     = var.staging == null || try((var.staging.weight == null) != (var.staging.header == null), false)
    error_message = "staging needs either weight or header."
  }

  validation {
    condition     = var.staging == null || try(var.staging.weight == null, false) || try(var.staging.weight >= 0 && var.staging.weight <= 0.15, false)
    error_message = "staging.weight must be 0 to 0.15 (fact 75)."
  }

  validation {
    condition     = var.staging == null || try(var.staging.header == null, false) || try(can(regex("^aws-cf-cd-[a-z0-9-]+$", var.staging.header.name)) && length(var.staging.header.value) > 0, false)
    error_message = "staging.header.name must begin with \"aws-cf-cd-\" (fact 75), and its value must not be empty."
  }

  validation {
    condition = var.staging == null || try(var.staging.session_stickiness == null, false) || try(
      var.staging.weight != null && var.staging.session_stickiness.idle_ttl >= 300 &&
      var.staging.session_stickiness.idle_ttl <= var.staging.session_stickiness.maximum_ttl &&
      var.staging.session_stickiness.maximum_ttl <= 3600, false
    )
    error_message = "staging.session_stickiness goes with weight, and needs 300 <= idle_ttl <= maximum_ttl <= 3600 (fact 75)."
  }

  validation {
    condition = var.staging == null || try(
      coalesce(var.staging.overrides.artifact_min_ttl, 1) >= 1 && coalesce(var.staging.overrides.artifact_min_ttl, 1) <= 31536000 &&
      coalesce(var.staging.overrides.channel_max_ttl, var.channel_max_ttl) >= 1 &&
      coalesce(var.staging.overrides.channel_max_ttl, var.channel_max_ttl) <= 86400 &&
      coalesce(var.staging.overrides.channel_default_ttl, var.channel_default_ttl) >= 0 &&
      coalesce(var.staging.overrides.channel_default_ttl, var.channel_default_ttl) <= coalesce(var.staging.overrides.channel_max_ttl, var.channel_max_ttl) &&
      coalesce(var.staging.overrides.error_caching_min_ttl, 1) >= 0 && coalesce(var.staging.overrides.error_caching_min_ttl, 1) <= 10 &&
      contains([1, 2, 3], coalesce(var.staging.overrides.connection_attempts, 1)) &&
      coalesce(var.staging.overrides.connect_timeout, 1) >= 1 && coalesce(var.staging.overrides.connect_timeout, 1) <= 10 &&
      coalesce(var.staging.overrides.read_timeout, 1) >= 1 && coalesce(var.staging.overrides.read_timeout, 1) <= 120, false
    )
    error_message = "staging.overrides must keep to the limits of the variables they override."
  }
}

variable "access_logs" {
  description = "Where access records go (fact 82): the bucket, whose policy admits delivery.logs.amazonaws.com, a prefix without slashes at its ends, and which fields. c-ip is not among them. null for no records."
  type = object({
    bucket_arn = string
    prefix     = optional(string, "")
    record_fields = optional(list(string), [
      "date", "time", "DistributionId", "x-edge-location", "c-country", "asn", "cs-method", "cs(Host)", "cs-uri-stem", "sc-status",
      "cs(User-Agent)", "x-edge-result-type", "x-edge-response-result-type", "x-edge-detailed-result-type", "x-edge-request-id",
      "cs-protocol", "cs-protocol-version", "ssl-protocol", "cs-bytes", "sc-bytes", "sc-content-len", "sc-content-type",
      "sc-range-start", "sc-range-end", "time-taken", "time-to-first-byte",
    ])
  })
  default = null

  validation {
    condition     = var.access_logs == null || can(regex("^arn:aws[a-z-]*:s3:::[a-z0-9][a-z0-9.-]+$", var.access_logs.bucket_arn))
    error_message = "access_logs.bucket_arn must be the ARN of a bucket, without a path."
  }

  validation {
    condition     = var.access_logs == null || can(regex("^([A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*)?$", var.access_logs.prefix))
    error_message = "access_logs.prefix must be empty or like \"a/b\", without slashes at its ends."
  }

  validation {
    condition     = var.access_logs == null || try(length(var.access_logs.record_fields) > 0 && !contains(var.access_logs.record_fields, "cs(Cookie)"), false)
    error_message = "access_logs.record_fields must name fields, and cs(Cookie) is none of them: nothing here reads cookies."
  }
}

variable "monitoring_subscription" {
  description = "Whether the paid metrics are on (fact 81): without them there is neither CacheHitRate nor OriginLatency to alarm on."
  type        = bool
  default     = true
  nullable    = false
}
