# What a publisher is. Owns the rule that no name here can stand for more than one product, repository or distribution.

variable "name" {
  description = "Name of the installation; the role's name begins with it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}$", var.name))
    error_message = "name: 2 to 31 of a-z, 0-9 and `-`, the first a letter."
  }
}

variable "product" {
  description = "The one product that the role publishes."
  type        = string
  nullable    = false

  # The binary's own rule (src/model/names.rs). No `*`, `?` or `$`: in a policy these stand for other names.
  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9._-]{0,63}$", var.product))
    error_message = "product: 1 to 64 of a-z, 0-9, `.`, `_`, `-`, the first a letter or a digit."
  }
}

variable "bucket_arn" {
  description = "The store's bucket."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:aws:s3:::[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.bucket_arn))
    error_message = "bucket_arn: arn:aws:s3:::BUCKET, without a key or a wildcard."
  }
}

variable "prefix" {
  description = "What stands before every key of the store: \"\" or a/b without a slash at either end."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.prefix == "" || (length(var.prefix) <= 128 && can(regex("^[A-Za-z0-9_.=-]+(/[A-Za-z0-9_.=-]+)*$", var.prefix)))
    error_message = "prefix: empty, or at most 128 of letters, digits, `-`, `_`, `.`, `=` in segments between `/`, without a slash at either end."
  }
}

variable "kms_key_arn" {
  description = "The key of KMS that encrypts the store; null with S3's own keys."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:aws:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    error_message = "kms_key_arn: null, or the ARN of a key (arn:aws:kms:REGION:ACCOUNT:key/ID), not of an alias."
  }
}

variable "distribution_arn" {
  description = "The distribution that the role may purge; null for none."
  type        = string
  default     = null

  validation {
    condition     = var.distribution_arn == null || can(regex("^arn:aws:cloudfront::[0-9]{12}:distribution/[A-Z0-9]+$", var.distribution_arn))
    error_message = "distribution_arn: null, or arn:aws:cloudfront::ACCOUNT:distribution/ID, and no wildcard."
  }
}

variable "github" {
  description = "The repository whose workflows publish, and from which refs (refs/heads/main, refs/tags/v*) or environments; null for none."
  type = object({
    repository   = string
    refs         = optional(list(string), [])
    environments = optional(list(string), [])
  })
  default = null

  validation {
    condition     = var.github == null || can(regex("^[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}$", try(var.github.repository, "")))
    error_message = "github.repository: OWNER/NAME of one repository, without a wildcard."
  }

  # A wildcard only at the end of a tag or of a folder of branches: refs/heads/* would be whoever may push.
  validation {
    condition = var.github == null || alltrue([
      for ref in try(var.github.refs, []) : can(regex("^refs/(heads/[A-Za-z0-9._/-]*[A-Za-z0-9._-](/\\*)?|tags/[A-Za-z0-9._/-]*[A-Za-z0-9._-]\\*?)$", ref))
    ])
    error_message = "github.refs: each refs/heads/BRANCH, refs/heads/FOLDER/*, refs/tags/TAG or refs/tags/START*; no other wildcard."
  }

  validation {
    condition     = var.github == null || alltrue([for environment in try(var.github.environments, []) : can(regex("^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$", environment))])
    error_message = "github.environments: each a name of letters, digits, `.`, `_`, `-`; no wildcard."
  }

  validation {
    condition     = var.github == null || length(try(var.github.refs, [])) + length(try(var.github.environments, [])) > 0
    error_message = "github: at least one of refs and environments; a whole repository is every branch that anybody can push."
  }
}

variable "oidc_provider_arn" {
  description = "The account's provider for GitHub's tokens (modules/publisher/oidc makes one); needed with github."
  type        = string
  default     = null

  validation {
    condition     = var.oidc_provider_arn == null || can(regex("^arn:aws:iam::[0-9]{12}:oidc-provider/token\\.actions\\.githubusercontent\\.com$", var.oidc_provider_arn))
    error_message = "oidc_provider_arn: null, or arn:aws:iam::ACCOUNT:oidc-provider/token.actions.githubusercontent.com."
  }

  validation {
    condition     = var.github == null || var.oidc_provider_arn != null
    error_message = "oidc_provider_arn: needed as long as github is set; an account has one, modules/publisher/oidc makes it."
  }
}

variable "trusted_role_arns" {
  description = "Roles of AWS that may take this one on, such as that of another CI or of release engineers."
  type        = list(string)
  default     = []
  nullable    = false

  # No user and no account root: both stand for keys that last.
  validation {
    condition     = alltrue([for arn in var.trusted_role_arns : can(regex("^arn:aws:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]+$", arn))])
    error_message = "trusted_role_arns: each arn:aws:iam::ACCOUNT:role/NAME; no user, no account and no wildcard."
  }

  validation {
    condition     = var.github != null || length(var.trusted_role_arns) > 0
    error_message = "trusted_role_arns: at least one as long as github is null, or nobody could publish."
  }
}

variable "max_session_duration" {
  description = "Seconds that credentials of the role last at most."
  type        = number
  default     = 3600
  nullable    = false

  validation {
    condition     = var.max_session_duration >= 3600 && var.max_session_duration <= 43200 && floor(var.max_session_duration) == var.max_session_duration
    error_message = "max_session_duration: a whole number from 3600 (an hour, IAM's least) to 43200."
  }
}

variable "permissions_boundary" {
  description = "A policy that bounds what the role may ever do; null for none."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary == null || can(regex("^arn:aws:iam::([0-9]{12}|aws):policy/[A-Za-z0-9_+=,.@/-]+$", var.permissions_boundary))
    error_message = "permissions_boundary: null, or the ARN of a policy (arn:aws:iam::ACCOUNT:policy/NAME)."
  }
}

variable "tags" {
  description = "Tags of the role."
  type        = map(string)
  default     = {}
  nullable    = false
}
