# What a caller says about the network. Owns types, defaults and refusals; never a resource.

variable "name" {
  description = "Prefix of all names and of the Name tags."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}$", var.name))
    error_message = "name must be 2 to 31 characters, lower-case letters, digits and hyphens, starting with a letter."
  }
}

variable "cidr" {
  description = "IPv4 range of the VPC. It is cut into sixteen equal subnets, of which up to eight are used."
  type        = string
  default     = "10.20.0.0/16"
  nullable    = false

  # why: a load balancer wants subnets of /27 or more with eight free addresses, and a VPC origin takes one free IPv4
  # address of the private ones (fact 61); a sixteenth of a /22 is a /26.
  validation {
    condition = (
      can(cidrnetmask(var.cidr)) &&
      try(tonumber(split("/", var.cidr)[1]) >= 16 && tonumber(split("/", var.cidr)[1]) <= 22, false)
    )
    error_message = "cidr must be an IPv4 range from /16 to /22, for example 10.20.0.0/16."
  }

  validation {
    condition     = try(cidrsubnet(var.cidr, 0, 0) == var.cidr, false)
    error_message = "cidr must start at its own network address: 10.20.0.0/16, not 10.20.1.0/16."
  }
}

variable "az_count" {
  description = "In how many availability zones the subnets lie. Two survive the loss of one; each costs its endpoints."
  type        = number
  default     = 2
  nullable    = false

  validation {
    condition     = contains([2, 3, 4], var.az_count)
    error_message = "az_count must be 2, 3 or 4: a load balancer needs two zones."
  }
}

variable "zone_ids" {
  description = "Zone ids in this order instead of the first az_count; null takes those, sorted. To pin what a plan finds."
  type        = list(string)
  default     = null

  validation {
    condition     = var.zone_ids == null ? true : length(distinct(var.zone_ids)) == var.az_count
    error_message = "zone_ids must name az_count different zones."
  }

  validation {
    condition = (
      var.zone_ids == null ? true
      : alltrue([for id in var.zone_ids : can(regex("^[a-z0-9]+-az[0-9]+$", id))])
    )
    error_message = "zone_ids must be zone ids such as euc1-az2, not names such as eu-central-1a, which differ by account."
  }

  validation {
    condition     = var.zone_ids == null ? true : length(setintersection(var.zone_ids, var.excluded_zone_ids)) == 0
    error_message = "zone_ids names a zone of excluded_zone_ids, where CloudFront cannot reach a VPC origin."
  }
}

variable "excluded_zone_ids" {
  description = "Zones that are never used. The default are those in which VPC origins are not offered."
  type        = set(string)
  # why: CloudFront places no interfaces there (fact 61).
  default  = ["use1-az3", "usw1-az2", "apne1-az3", "cac1-az3"]
  nullable = false

  validation {
    condition     = alltrue([for id in var.excluded_zone_ids : can(regex("^[a-z0-9]+-az[0-9]+$", id))])
    error_message = "excluded_zone_ids must be zone ids such as use1-az3."
  }
}

variable "nat" {
  description = "Whether private subnets reach the internet: \"none\" (endpoints only), \"single\" or \"per_az\" NAT gateways."
  type        = string
  # why: an origin talks to S3, Secrets Manager and Auto Scaling alone, and endpoints reach those. What is not reachable
  # cannot be misused, and a NAT gateway would bill every byte of a cold cache.
  default  = "none"
  nullable = false

  validation {
    condition     = contains(["none", "single", "per_az"], var.nat)
    error_message = "nat must be \"none\", \"single\" or \"per_az\"."
  }
}

variable "interface_endpoints" {
  description = "AWS services that private subnets reach without NAT, each by one network interface for each zone."
  type        = set(string)
  # The two that every origin asks: the secret of the edge, and the end of a drain.
  default  = ["secretsmanager", "autoscaling"]
  nullable = false

  validation {
    condition = length(setsubtract(var.interface_endpoints, [
      "autoscaling", "ec2messages", "logs", "monitoring", "secretsmanager", "ssm", "ssmmessages",
    ])) == 0
    error_message = "interface_endpoints may name autoscaling, ec2messages, logs, monitoring, secretsmanager, ssm and ssmmessages."
  }
}

variable "s3_bucket_arns" {
  description = "Buckets that private subnets may read through the S3 endpoint; null means every bucket of this account."
  type        = list(string)
  default     = null

  validation {
    condition = var.s3_bucket_arns == null ? true : (
      length(var.s3_bucket_arns) > 0 &&
      alltrue([for arn in var.s3_bucket_arns : can(regex("^arn:[a-z-]+:s3:::[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", arn))])
    )
    error_message = "s3_bucket_arns must be ARNs of buckets, arn:aws:s3:::NAME, at least one; leave it null for all of the account."
  }
}

variable "flow_logs" {
  description = "Where records of the VPC's traffic go: an S3 bucket (with a policy for delivery.logs.amazonaws.com), or null."
  type = object({
    bucket_arn   = string
    traffic_type = optional(string, "REJECT")
  })
  default = null

  validation {
    condition = (
      var.flow_logs == null ? true
      : can(regex("^arn:[a-z-]+:s3:::[^/]+(/.*)?$", var.flow_logs.bucket_arn))
    )
    error_message = "flow_logs.bucket_arn must be the ARN of a bucket, arn:aws:s3:::NAME, with a folder after it if wanted."
  }

  validation {
    condition     = var.flow_logs == null ? true : contains(["ACCEPT", "REJECT", "ALL"], var.flow_logs.traffic_type)
    error_message = "flow_logs.traffic_type must be ACCEPT, REJECT or ALL."
  }
}

variable "tags" {
  description = "Tags of everything that can have them."
  type        = map(string)
  default     = {}
  nullable    = false
}
