# What the module is told about who may ask, how a change is tried, and what is recorded. Owns types, meanings and
# limits, as variables.tf does.

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
    condition = (
      var.web_acl == null ||
      try(var.web_acl.rate_limit >= 10 && var.web_acl.rate_limit <= 2000000000, false)
    )
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
    condition = (
      var.web_acl == null ||
      try(length(var.web_acl.managed_rule_groups) <= 20 && alltrue([for group in var.web_acl.managed_rule_groups : can(regex("^AWSManagedRules[A-Za-z0-9]+$", group))]), false)
    )
    error_message = "web_acl.managed_rule_groups must be at most 20 names of AWS, such as \"AWSManagedRulesKnownBadInputsRuleSet\"."
  }

  validation {
    condition = (
      var.web_acl == null ||
      try(contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1827, 3653], var.web_acl.log_retention_days), false)
    )
    error_message = "web_acl.log_retention_days must be a number of days that CloudWatch Logs knows, such as 30, 90 or 365."
  }
}

variable "web_acl_arn" {
  description = "A web ACL that exists already, of scope CLOUDFRONT; instead of web_acl."
  type        = string
  default     = null

  validation {
    condition = (
      var.web_acl_arn == null ||
      can(regex("^arn:aws[a-z-]*:wafv2:us-east-1:[0-9]{12}:global/webacl/.+$", var.web_acl_arn))
    )
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
    condition = (
      alltrue([for key in values(var.private_channel_public_keys) : can(regex("^-----BEGIN PUBLIC KEY-----\\n[A-Za-z0-9+/=\\n]+\\n-----END PUBLIC KEY-----$", trimspace(key)))])
    )
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
    condition = (
      length(var.private_path_patterns) <= 20 &&
      length(distinct(var.private_path_patterns)) == length(var.private_path_patterns)
    )
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
    condition = (
      var.staging == null ||
      try(var.staging.weight == null, false) ||
      try(var.staging.weight >= 0 && var.staging.weight <= 0.15, false)
    )
    error_message = "staging.weight must be 0 to 0.15 (fact 75)."
  }

  validation {
    condition = (
      var.staging == null ||
      try(var.staging.header == null, false) ||
      try(can(regex("^aws-cf-cd-[a-z0-9-]+$", var.staging.header.name)) && length(var.staging.header.value) > 0, false)
    )
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
    condition = (
      var.access_logs == null ||
      can(regex("^arn:aws[a-z-]*:s3:::[a-z0-9][a-z0-9.-]+$", var.access_logs.bucket_arn))
    )
    error_message = "access_logs.bucket_arn must be the ARN of a bucket, without a path."
  }

  validation {
    condition = (
      var.access_logs == null ||
      can(regex("^([A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*)?$", var.access_logs.prefix))
    )
    error_message = "access_logs.prefix must be empty or like \"a/b\", without slashes at its ends."
  }

  validation {
    condition = (
      var.access_logs == null ||
      try(length(var.access_logs.record_fields) > 0 && !contains(var.access_logs.record_fields, "cs(Cookie)"), false)
    )
    error_message = "access_logs.record_fields must name fields, and cs(Cookie) is none of them: nothing here reads cookies."
  }
}

variable "monitoring_subscription" {
  description = "Whether the paid metrics are on (fact 81): without them there is neither CacheHitRate nor OriginLatency to alarm on."
  type        = bool
  default     = true
  nullable    = false
}
