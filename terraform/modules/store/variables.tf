# What a store can be. Owns every default and its reason; never a default for what differs between installations.

variable "name" {
  description = "Name of the installation; names of what S3 does not name begin with it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}$", var.name))
    error_message = "name: 2 to 31 of a-z, 0-9 and `-`, the first a letter."
  }
}

variable "bucket_name" {
  description = "The bucket, in all of AWS's accounts the only one of this name."
  type        = string
  nullable    = false

  # The rules of S3 for general purpose buckets, less periods: a name with one has no certificate that fits as a host.
  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket_name))
    error_message = "bucket_name: 3 to 63 of a-z, 0-9 and `-`, a letter or a digit at both ends, and no period."
  }

  validation {
    condition     = !can(regex("^(xn--|sthree-|amzn-s3-demo-)|(--x-s3|--table-s3|--ol-s3|-s3alias)$", var.bucket_name))
    error_message = "bucket_name: S3 reserves xn--, sthree- and amzn-s3-demo- at the start, --x-s3, --table-s3, --ol-s3 and -s3alias at the end."
  }
}

variable "prefix" {
  description = "What stands before every key: \"\" for the whole bucket, or a/b without a slash at either end."
  type        = string
  default     = ""
  nullable    = false

  # The binary's own rule (src/config/location.rs): nothing that would need an escape in a URL, a policy or a shell.
  validation {
    condition     = var.prefix == "" || (length(var.prefix) <= 128 && can(regex("^[A-Za-z0-9_.=-]+(/[A-Za-z0-9_.=-]+)*$", var.prefix)))
    error_message = "prefix: empty, or at most 128 of letters, digits, `-`, `_`, `.`, `=` in segments between `/`, without a slash at either end."
  }

  validation {
    condition     = !anytrue([for segment in split("/", var.prefix) : contains([".", "..", ".headwater"], segment)])
    error_message = "prefix: no segment may be `.`, `..` or `.headwater`."
  }
}

variable "products" {
  description = "Products whose leases are cleared sooner than artifacts are; others work, their leases stay longer."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for product in var.products : can(regex("^[a-z0-9][a-z0-9._-]{0,63}$", product))])
    error_message = "products: each 1 to 64 of a-z, 0-9, `.`, `_`, `-`, the first a letter or a digit."
  }

  # S3 takes 1,000 rules, of which three are not for products.
  validation {
    condition     = length(var.products) <= 997
    error_message = "products: at most 997, S3 takes 1,000 lifecycle rules; leave the rest out."
  }
}

variable "kms_key_arn" {
  description = "A key of KMS that encrypts the objects; null for S3's own keys (SSE-S3)."
  type        = string
  default     = null

  # An ARN of the key, not of an alias: policies name keys, and an alias can be moved to another one.
  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:aws:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    error_message = "kms_key_arn: null, or the ARN of a key (arn:aws:kms:REGION:ACCOUNT:key/ID), not of an alias."
  }
}

variable "object_lock" {
  description = "Default retention of every new version: {mode, days}; null for none. Cannot be taken back, see the README."
  type = object({
    mode = string
    days = number
  })
  default = null

  validation {
    condition     = var.object_lock == null || contains(["GOVERNANCE", "COMPLIANCE"], try(var.object_lock.mode, ""))
    error_message = "object_lock.mode: GOVERNANCE (a privileged role may still remove) or COMPLIANCE (nobody may, root included)."
  }

  validation {
    condition     = var.object_lock == null || (try(var.object_lock.days, 0) >= 1 && try(var.object_lock.days, 0) <= 36500 && try(floor(var.object_lock.days) == var.object_lock.days, false))
    error_message = "object_lock.days: a whole number from 1 to 36500."
  }
}

variable "distribution_arns" {
  description = "Distributions that read the bucket through origin access control; [] for none."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.distribution_arns : can(regex("^arn:aws:cloudfront::[0-9]{12}:distribution/[A-Z0-9]+$", arn))])
    error_message = "distribution_arns: each arn:aws:cloudfront::ACCOUNT:distribution/ID, and no wildcard."
  }
}

variable "minimum_tls_version" {
  description = "The oldest TLS that the bucket answers."
  type        = string
  default     = "1.2"
  nullable    = false

  validation {
    condition     = contains(["1.2", "1.3"], var.minimum_tls_version)
    error_message = "minimum_tls_version: 1.2 or 1.3."
  }

  # why: fact 51, the newest protocol that CloudFront offers an origin is documented as TLSv1.2.
  validation {
    condition     = var.minimum_tls_version == "1.2" || length(var.distribution_arns) == 0
    error_message = "minimum_tls_version: 1.2 as long as distribution_arns is not empty; CloudFront speaks TLS 1.2 to origins."
  }
}

variable "abort_uploads_days" {
  description = "Days after which the parts of an upload that never ended are removed; until then a publish can be resumed."
  type        = number
  default     = 7
  nullable    = false

  # S3 counts from the beginning of an upload and looks once a day: 1 could cut a running one.
  validation {
    condition     = var.abort_uploads_days >= 2 && var.abort_uploads_days <= 365 && floor(var.abort_uploads_days) == var.abort_uploads_days
    error_message = "abort_uploads_days: a whole number from 2 (a publish that was cut has to be repeated within it) to 365."
  }
}

variable "noncurrent_days" {
  description = "Days that versions stay which were replaced or removed: of channels, of artifacts, of publishers' leases."
  type = object({
    channels  = optional(number, 365)
    artifacts = optional(number, 30)
    leases    = optional(number, 1)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for days in values(var.noncurrent_days) : days >= 1 && days <= 36500 && floor(days) == days])
    error_message = "noncurrent_days: whole numbers from 1 to 36500."
  }

  # A mistake, or a thief, should be found before the way back is gone.
  validation {
    condition     = var.noncurrent_days.channels >= 7 && var.noncurrent_days.artifacts >= 7
    error_message = "noncurrent_days: channels and artifacts at least 7, the time in which a mistake can be taken back."
  }
}

variable "channel_versions_kept" {
  description = "How many replaced versions of each channel stay whatever their age."
  type        = number
  default     = 100
  nullable    = false

  validation {
    condition     = var.channel_versions_kept >= 1 && var.channel_versions_kept <= 100 && floor(var.channel_versions_kept) == var.channel_versions_kept
    error_message = "channel_versions_kept: a whole number from 1 to 100, which is S3's limit."
  }
}

variable "event_bridge" {
  description = "Whether the bucket tells EventBridge what happens in it; release events need it."
  type        = bool
  default     = true
  nullable    = false
}

variable "log_bucket" {
  description = "Bucket for server access logs, which must not be this one; null for none."
  type        = string
  default     = null

  validation {
    condition     = var.log_bucket == null || can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.log_bucket))
    error_message = "log_bucket: null, or the name of a bucket (3 to 63 of a-z, 0-9, `-`, `.`)."
  }

  # Each line that is written would be a line to write.
  validation {
    condition     = var.log_bucket != var.bucket_name
    error_message = "log_bucket: another bucket than bucket_name, which would log its own logs."
  }
}

variable "log_prefix" {
  description = "Before the keys of access logs."
  type        = string
  default     = "store/"
  nullable    = false

  validation {
    condition     = can(regex("^([A-Za-z0-9_.=-]+/)*$", var.log_prefix))
    error_message = "log_prefix: empty, or segments of letters, digits, `-`, `_`, `.`, `=`, each with a slash after it."
  }
}

variable "trail" {
  description = "A CloudTrail trail of every write: where its files go, and the key that encrypts them; null for none."
  type = object({
    bucket_name = string
    key_prefix  = optional(string)
    kms_key_arn = optional(string)
  })
  default = null

  validation {
    condition     = var.trail == null || (can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", try(var.trail.bucket_name, ""))) && try(var.trail.bucket_name, "") != var.bucket_name)
    error_message = "trail.bucket_name: the name of another bucket than the store's."
  }

  validation {
    condition     = try(var.trail.kms_key_arn, null) == null || can(regex("^arn:aws:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", try(var.trail.kms_key_arn, "")))
    error_message = "trail.kms_key_arn: null, or the ARN of a key (arn:aws:kms:REGION:ACCOUNT:key/ID)."
  }
}

variable "tags" {
  description = "Tags of everything that can have some."
  type        = map(string)
  default     = {}
  nullable    = false
}
