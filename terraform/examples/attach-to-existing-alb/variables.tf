# Where the application is, and which of its paths never change.

variable "region" {
  description = "Where the load balancer is."
  type        = string
  default     = "eu-central-1"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "`region` is a Region of AWS such as eu-central-1."
  }
}

variable "load_balancer_arn" {
  description = "The application's load balancer: internal, or on the Internet with `origin_secret_arn`."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:elasticloadbalancing:[a-z0-9-]+:[0-9]{12}:loadbalancer/app/.+$", var.load_balancer_arn))
    error_message = "`load_balancer_arn` is the ARN of an Application Load Balancer."
  }
}

variable "security_group_id" {
  description = "Its security group: the one to which a rule for the edge is added."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^sg-[0-9a-f]{8,17}$", var.security_group_id))
    error_message = "`security_group_id` is `sg-` and 8 to 17 hexadecimal digits."
  }
}

variable "origin_name" {
  description = "A name on the load balancer's certificate, for HTTPS to it. Null: HTTP on port 80, inside the network."
  type        = string
  default     = null

  validation {
    condition     = var.origin_name == null ? true : can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z]{2,63}$", var.origin_name))
    error_message = "`origin_name` is a complete host name in lower case."
  }
}

variable "origin_secret_arn" {
  description = "For a load balancer on the Internet: the secret that the edge sends and its listener asks for. Null: it is internal."
  type        = string
  default     = null

  validation {
    condition     = var.origin_secret_arn == null ? true : can(regex("^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:.+$", var.origin_secret_arn))
    error_message = "`origin_secret_arn` is the ARN of a secret in Secrets Manager."
  }

  # why: over the Internet a secret is sent by HTTPS alone (fact 66), and that needs a name.
  validation {
    condition     = var.origin_secret_arn == null || var.origin_name != null
    error_message = "`origin_secret_arn` needs `origin_name`: the secret goes over HTTPS only."
  }
}

variable "artifact_path_pattern" {
  description = "The paths whose bytes never change, such as /downloads/*."
  type        = string
  default     = "/artifacts/*"
  nullable    = false

  validation {
    condition     = can(regex("^/.+/\\*$", var.artifact_path_pattern))
    error_message = "`artifact_path_pattern` starts with `/` and ends with `/*`; not all paths, which change."
  }
}

variable "channel_path_pattern" {
  description = "The paths that say what is newest, such as /latest/*."
  type        = string
  default     = "/channels/*"
  nullable    = false

  validation {
    condition     = can(regex("^/.+/\\*$", var.channel_path_pattern))
    error_message = "`channel_path_pattern` starts with `/` and ends with `/*`."
  }
}
