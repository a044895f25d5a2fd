# What differs between two try-outs.

variable "region" {
  description = "Where the store and the origin are. The edge is everywhere."
  type        = string
  default     = "eu-central-1"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "`region` is a Region of AWS such as eu-central-1."
  }
}
