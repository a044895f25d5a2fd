# What a caller says about the secret. Owns the rules of each value; never holds the secret itself.

variable "name" {
  description = "What everything of this installation is called; the beginning of the secret's name."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}$", var.name))
    error_message = "`name` is 2 to 31 characters: a lower-case letter, then lower-case letters, digits or `-`."
  }
}

variable "header" {
  description = "The header in which the edge sends the secret; the origin's `server.origin_secret_header`."
  type        = string
  default     = "x-origin-secret"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,39}$", var.header))
    error_message = "`header` is 1 to 40 characters: a lower-case letter, then lower-case letters, digits or `-`."
  }

  # why: CloudFront refuses custom headers with these beginnings.
  validation {
    condition     = !can(regex("^(x-amz-|x-edge-)", var.header))
    error_message = "`header` must not begin with `x-amz-` or `x-edge-`, which CloudFront keeps for itself."
  }
}

variable "length" {
  description = "Characters of a generated value; letters and digits, so 48 are 285 bits."
  type        = number
  default     = 48
  nullable    = false

  # why: the origin refuses short ones, and a load balancer's rule compares at most 128 characters.
  validation {
    condition     = var.length >= 32 && var.length <= 128 && floor(var.length) == var.length
    error_message = "`length` is a whole number from 32 to 128."
  }
}

variable "kms_key_arn" {
  description = "A customer managed key for the secret; null for AWS's own key. Readers then need kms:Decrypt on it."
  type        = string
  default     = null

  validation {
    condition = (
      var.kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.kms_key_arn))
    )
    error_message = "`kms_key_arn` is the ARN of a key (`arn:aws:kms:REGION:ACCOUNT:key/ID`, not of an alias) or null."
  }
}

variable "reader_role_arns" {
  description = <<-EOT
    The only roles that may read the values: the instances' role, whoever applies and whoever rotates. Empty: everyone in
    the account whom IAM lets.
  EOT
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition = (
      alltrue([for arn in var.reader_role_arns : can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:role/.+$", arn))])
    )
    error_message = "`reader_role_arns` are ARNs of roles: `arn:aws:iam::ACCOUNT:role/NAME`."
  }
}

variable "recovery_window_days" {
  description = "Days for which a deleted secret can be brought back; 0 deletes at once."
  type        = number
  default     = 7
  nullable    = false

  validation {
    condition     = var.recovery_window_days == 0 || (var.recovery_window_days >= 7 && var.recovery_window_days <= 30)
    error_message = "`recovery_window_days` is 0, or 7 to 30."
  }
}

variable "tags" {
  description = "Tags of every resource that has them."
  type        = map(string)
  default     = {}
  nullable    = false
}
