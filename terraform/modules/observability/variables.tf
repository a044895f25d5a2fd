# What a caller says about watching. Owns the rules of each value and the thresholds with their reasons; whether
# something exists is always said by a value that is known at plan, never by an id that is not.

variable "name" {
  description = "What everything of this installation is called; the beginning of each alarm's name."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}$", var.name))
    error_message = "`name` is 2 to 31 characters: a lower-case letter, then lower-case letters, digits or `-`."
  }
}

variable "region" {
  description = "The Region of the origin and of this module's resources, but for those that must be in us-east-1."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "`region` is a Region's code such as `eu-central-1`."
  }
}

variable "edge_enabled" {
  description = "Whether there is a distribution to watch. Said apart from its id, which is unknown at the first plan."
  type        = bool
  default     = true
  nullable    = false
}

variable "distribution_id" {
  description = "The distribution; null without an edge."
  type        = string
  default     = null

  validation {
    condition     = !var.edge_enabled || var.distribution_id != null
    error_message = "`distribution_id` must be given unless `edge_enabled` is false."
  }

  validation {
    condition     = var.distribution_id == null || can(regex("^E[A-Z0-9]{5,31}$", var.distribution_id))
    error_message = "`distribution_id` is an id such as `E2QWRUHEXAMPLE`, not a domain name or an ARN."
  }
}

variable "load_balancer_arn_suffix" {
  description = "The load balancer as CloudWatch calls it: `app/NAME/ID`."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^app/[^/]+/[0-9a-f]{16}$", var.load_balancer_arn_suffix))
    error_message = "`load_balancer_arn_suffix` is the part of an ALB's ARN from `app/` on: `app/NAME/16 hexadecimal digits`."
  }
}

variable "target_group_arn_suffix" {
  description = "The target group as CloudWatch calls it: `targetgroup/NAME/ID`."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^targetgroup/[^/]+/[0-9a-f]{16}$", var.target_group_arn_suffix))
    error_message = "`target_group_arn_suffix` is the part of its ARN from `targetgroup/` on: `targetgroup/NAME/16 hexadecimal digits`."
  }
}

variable "autoscaling_group_name" {
  description = "The group of instances; it must publish its own metrics (GroupDesiredCapacity, GroupMaxSize, GroupMinSize, GroupInServiceInstances)."
  type        = string
  nullable    = false

  validation {
    condition     = length(var.autoscaling_group_name) >= 1 && length(var.autoscaling_group_name) <= 255
    error_message = "`autoscaling_group_name` is 1 to 255 characters."
  }
}

variable "certificates" {
  description = "Certificates whose end is watched, by a word for each; ARNs may be unknown at plan, hence the map and the Region."
  type = map(object({
    arn    = string
    region = string
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for word in keys(var.certificates) : can(regex("^[a-z][a-z0-9-]{0,30}$", word))])
    error_message = "The keys of `certificates` are words for alarm names: a lower-case letter, then letters, digits or `-`."
  }

  validation {
    condition = (
      alltrue([
        for c in values(var.certificates) :
        can(regex("^arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/.+$", c.arn))
      ])
    )
    error_message = "`certificates` hold ARNs of ACM certificates."
  }

  # why: an alarm is where its metric is, and there are topics in these Regions only.
  validation {
    condition = (
      alltrue([
        for c in values(var.certificates) :
        c.region == var.region || (c.region == "us-east-1" && var.edge_enabled)
      ])
    )
    error_message = "`certificates` are in `region`, or with an edge in us-east-1."
  }
}

variable "bucket_name" {
  description = "The store's bucket, which sends its events to EventBridge."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.bucket_name))
    error_message = "`bucket_name` is a bucket's name: 3 to 63 lower-case letters, digits, `.` or `-`."
  }
}

variable "store_prefix" {
  description = "What stands before every key of the store: \"\" or `a/b`."
  type        = string
  default     = ""
  nullable    = false

  # why: `*` and `\` mean something in an event pattern.
  validation {
    condition     = var.store_prefix == "" || can(regex("^[A-Za-z0-9_.=-]+(/[A-Za-z0-9_.=-]+)*$", var.store_prefix))
    error_message = "`store_prefix` is empty, or segments of letters, digits, `-`, `_`, `.`, `=` between `/`, no slash at either end."
  }
}

# ---- who is told -----------------------------------------------------------------------------------------------------

variable "alarm_emails" {
  description = "Who gets every alarm by mail. Each address has to confirm, once for each Region."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for address in var.alarm_emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", address))])
    error_message = "`alarm_emails` are mail addresses."
  }
}

variable "event_emails" {
  description = "Who gets a mail when a channel moves. Each address has to confirm."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for address in var.event_emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", address))])
    error_message = "`event_emails` are mail addresses."
  }
}

variable "event_queue" {
  description = "Whether moves of channels also go to a queue, for programs."
  type        = bool
  default     = true
  nullable    = false
}

variable "event_queue_reader_arns" {
  description = "Roles of other accounts that may read the queue; those of this account need IAM only."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition = (
      alltrue([for arn in var.event_queue_reader_arns : can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:role/.+$", arn))])
    )
    error_message = "`event_queue_reader_arns` are ARNs of roles: `arn:aws:iam::ACCOUNT:role/NAME`."
  }
}

# ---- when they are told ----------------------------------------------------------------------------------------------

variable "thresholds" {
  description = "Where alarms begin; see the README for each."
  type = object({
    requests_min                 = optional(number, 300)  # in 5 min; below, a rate is one device's luck
    error_percent                = optional(number, 1)    # of requests, for 3 of 5 min
    hit_percent                  = optional(number, 95)   # of cacheable requests, for 15 min
    latency_milliseconds         = optional(number, 1000) # p90 until the first byte, for 15 min
    offload_percent              = optional(number, 95)   # of bytes, for an hour; origins in us-east-1 only
    origin_gigabytes_per_hour    = optional(number, 250)  # that leave the load balancer behind an edge
    healthy_hosts_min            = optional(number, 2)    # one can always be lost
    connection_errors            = optional(number, 10)   # in 5 min, from balancer to instances
    load_balancer_errors         = optional(number, 10)   # in 5 min, made by the balancer itself
    certificate_days             = optional(number, 30)   # ACM renews at 60; a month later somebody must look
    undelivered_events_allowed   = optional(number, 0)    # in the dead-letter queue
    minutes_at_maximum           = optional(number, 15)   # of the group
    minutes_with_unhealthy_hosts = optional(number, 10)
  })
  default  = {}
  nullable = false

  validation {
    condition = alltrue([
      for percent in [var.thresholds.error_percent, var.thresholds.hit_percent, var.thresholds.offload_percent] :
      percent > 0 && percent <= 100
    ])
    error_message = "`thresholds`: error_percent, hit_percent and offload_percent are above 0 and at most 100."
  }

  validation {
    condition = alltrue([
      for count in [
        var.thresholds.requests_min, var.thresholds.healthy_hosts_min, var.thresholds.connection_errors,
        var.thresholds.load_balancer_errors, var.thresholds.certificate_days,
      ] : count >= 1 && floor(count) == count
    ])
    error_message = "`thresholds`: requests_min, healthy_hosts_min, connection_errors, load_balancer_errors and certificate_days are whole numbers from 1 on."
  }

  validation {
    condition = (
      var.thresholds.latency_milliseconds > 0 &&
      var.thresholds.origin_gigabytes_per_hour > 0 &&
      var.thresholds.undelivered_events_allowed >= 0
    )
    error_message = "`thresholds`: latency_milliseconds and origin_gigabytes_per_hour are above 0, undelivered_events_allowed is not negative."
  }

  # why: CloudWatch looks back a day at most, and a minute is the shortest period of these metrics.
  validation {
    condition = alltrue([
      for minutes in [var.thresholds.minutes_at_maximum, var.thresholds.minutes_with_unhealthy_hosts] :
      minutes >= 1 && minutes <= 1440 && floor(minutes) == minutes
    ])
    error_message = "`thresholds`: minutes_at_maximum and minutes_with_unhealthy_hosts are whole minutes from 1 to 1440."
  }
}

variable "budget" {
  description = "A limit of US dollars a month for which a forecast is mailed; null for none. `tag` narrows it to resources with that cost allocation tag."
  type = object({
    limit_usd = number
    emails    = set(string)
    tag       = optional(object({ key = string, value = string }))
  })
  default = null

  validation {
    condition = (
      var.budget ==
      null || try(var.budget.limit_usd > 0 && length(var.budget.emails) >= 1 && length(var.budget.emails) <= 10, false)
    )
    error_message = "`budget` has a limit_usd above 0 and 1 to 10 emails."
  }
}

# ---- logs and figures ------------------------------------------------------------------------------------------------

variable "log_retention_days" {
  description = "Days for which access logs are kept."
  type        = number
  default     = 90
  nullable    = false

  validation {
    condition = (
      var.log_retention_days >= 1 &&
      var.log_retention_days <= 3650 &&
      floor(var.log_retention_days) == var.log_retention_days
    )
    error_message = "`log_retention_days` is a whole number from 1 to 3650."
  }
}

variable "log_bucket_name" {
  description = "The name of the log bucket; null for `NAME-logs-ACCOUNT-REGION`."
  type        = string
  default     = null

  validation {
    condition     = var.log_bucket_name == null || can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.log_bucket_name))
    error_message = "`log_bucket_name` is 3 to 63 lower-case letters, digits or `-`, or null."
  }

  # why: S3 takes 63 characters, and would say so in the middle of an apply.
  validation {
    condition     = var.log_bucket_name != null || length("${var.name}-logs-000000000000-${var.region}") <= 63
    error_message = "`log_bucket_name` must be given: made of \"${var.name}\", account and Region it would have more than 63 characters."
  }

  validation {
    condition     = var.log_bucket_name == null || var.log_bucket_name != var.bucket_name
    error_message = "`log_bucket_name` must not be the store's bucket."
  }
}

variable "prices" {
  description = "US dollars for the dashboard's estimate: a gigabyte from CloudFront, one from EC2, one through a load balancer (an LCU-hour)."
  type = object({
    edge_per_gigabyte          = optional(number, 0.085)
    instance_per_gigabyte      = optional(number, 0.09)
    load_balancer_per_gigabyte = optional(number, 0.008)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for price in values(var.prices) : price >= 0])
    error_message = "`prices` are not negative."
  }
}

variable "tags" {
  description = "Tags of every resource that has them."
  type        = map(string)
  default     = {}
  nullable    = false
}
