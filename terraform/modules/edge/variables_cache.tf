# What the module is told about paths: what is kept, how long, and what is passed through. Owns types, meanings and
# limits, as variables.tf does.

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
    condition = (
      var.artifact_min_ttl >= 1 &&
      var.artifact_min_ttl <= 31536000 &&
      floor(var.artifact_min_ttl) == var.artifact_min_ttl
    )
    error_message = "artifact_min_ttl must be 1 to 31536000 whole seconds: 0 would let one no-store end collapsing (fact 26)."
  }
}

variable "channel_default_ttl" {
  description = "Seconds that a channel is kept when the origin says nothing."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition = (
      var.channel_default_ttl >= 0 &&
      var.channel_default_ttl <= var.channel_max_ttl &&
      floor(var.channel_default_ttl) == var.channel_default_ttl
    )
    error_message = "channel_default_ttl must be whole seconds, 0 to channel_max_ttl."
  }
}

variable "channel_max_ttl" {
  description = "Seconds that a channel is kept at most, stale or not (fact 9)."
  type        = number
  default     = 300
  nullable    = false

  validation {
    condition = (
      var.channel_max_ttl >= 1 &&
      var.channel_max_ttl <= 86400 &&
      floor(var.channel_max_ttl) == var.channel_max_ttl
    )
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
    condition = (
      var.error_caching_min_ttl >= 0 &&
      var.error_caching_min_ttl <= 10 &&
      floor(var.error_caching_min_ttl) == var.error_caching_min_ttl
    )
    error_message = "error_caching_min_ttl must be 0 to 10 whole seconds: longer, and a device that asks too early pins \"not found\" beyond the release (fact 22)."
  }
}

variable "default_behavior" {
  description = "What is neither artifact nor channel; never cached. For an existing application with pages: all seven methods, origin_request_policy_name \"Managed-AllViewerExceptHostHeader\", run_function and add_response_headers false."
  type = object({
    allowed_methods            = optional(list(string), ["GET", "HEAD"])
    origin_request_policy_name = optional(string)
    run_function               = optional(bool, true)
    add_response_headers       = optional(bool, true)
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
    condition = (
      !var.default_behavior.run_function ||
      alltrue([for method in var.default_behavior.allowed_methods : contains(["GET", "HEAD"], method)])
    )
    error_message = "default_behavior.run_function must be false where more than GET and HEAD is allowed: the function refuses the rest."
  }

  validation {
    condition = (
      var.default_behavior.origin_request_policy_name == null ||
      try(startswith(var.default_behavior.origin_request_policy_name, "Managed-") && var.default_behavior.origin_request_policy_name != "Managed-AllViewer", false)
    )
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
