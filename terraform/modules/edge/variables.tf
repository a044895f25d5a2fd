# What the module is told about itself and about viewers; the rest stands in variables_origin.tf, variables_cache.tf and
# variables_access.tf. Owns types, meanings and limits: a value that passes here is one that AWS accepts, as far as that
# can be known without asking it.

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
    condition = (
      alltrue([for alias in var.aliases : can(regex("^(\\*\\.)?([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", alias))])
    )
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
    condition = (
      var.certificate_arn == null ||
      can(regex("^arn:aws[a-z-]*:acm:us-east-1:[0-9]{12}:certificate/.+$", var.certificate_arn))
    )
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
    condition = (
      var.hsts == null ||
      try(!var.hsts.preload || (var.hsts.include_subdomains && var.hsts.max_age_sec >= 31536000), false)
    )
    error_message = "hsts.preload needs include_subdomains and a max_age_sec of at least 31536000."
  }
}

variable "cors_origins" {
  description = "Web origins whose pages may read answers, \"*\" for all; empty for none. Simple GET and HEAD only: a preflight is refused."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition = (
      alltrue([for origin in var.cors_origins : origin == "*" || can(regex("^https://[a-z0-9*.-]+(:[0-9]+)?$", origin))])
    )
    error_message = "cors_origins must be \"*\" or https:// with a host in lower case and without a path, such as \"https://www.example.com\"."
  }
}
