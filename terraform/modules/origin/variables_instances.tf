# What a caller says about instances: image, type, disk, number, and how they come and go. Owns types, defaults and
# refusals. Never a resource.

# ---- Image and type -------------------------------------------------------------------------------------------------

variable "ami_id" {
  description = "Image of the instances. Null takes the newest of ami_name: handy at first, but then a plan rolls out what was built last."
  type        = string
  default     = null

  validation {
    condition     = var.ami_id == null ? true : can(regex("^ami-[0-9a-f]{8,17}$", var.ami_id))
    error_message = "ami_id must be the id of an image, ami-…; a name goes into ami_name, and a parameter of SSM would defeat automatic rollback (fact 89)."
  }
}

variable "ami_name" {
  description = "Name of the image, with * for any characters, looked at when ami_id is null."
  type        = string
  default     = "headwater-*"
  nullable    = false
}

variable "ami_owners" {
  description = "Accounts whose images are looked at: \"self\", or the account that builds them."
  type        = list(string)
  default     = ["self"]
  nullable    = false

  # why: anybody may publish an image under our name.
  validation {
    condition = (
      length(var.ami_owners) > 0 &&
      alltrue([for owner in var.ami_owners : can(regex("^(self|[0-9]{12})$", owner))])
    )
    error_message = "ami_owners must be \"self\" or account numbers, at least one: an image by name alone could be anybody's."
  }
}

variable "architecture" {
  description = "\"arm64\" or \"x86_64\"; the image and the instance type must have the same."
  type        = string
  default     = "arm64"
  nullable    = false

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "architecture must be \"arm64\" or \"x86_64\"."
  }
}

variable "instance_type" {
  description = "Type of the instances. Behind the edge a small one: what counts is its network, and a disk of its own for blocks."
  type        = string
  # why: 0.94 Gb/s (fact 91), two processors, and an NVMe disk, which is no slower than the network when cold (fact 92).
  default  = "m7gd.large"
  nullable = false

  validation {
    condition     = can(regex("^[a-z0-9-]+\\.[a-z0-9-]+$", var.instance_type))
    error_message = "instance_type must be a type such as m7gd.large."
  }

  # A g right behind the generation is Graviton (m7g, c7gn, im4gn, t4g); a1 was the first of them.
  validation {
    condition = (
      (var.architecture == "arm64") == can(regex("^([a-z]+[0-9]+g[a-z]*|a1)\\.", var.instance_type)) ||
      can(regex("^g[0-9]", var.instance_type))
    )
    error_message = "instance_type and architecture do not fit: arm64 needs a Graviton type (m7g, c7gn, m7gd, …), x86_64 one that is not."
  }
}

variable "network_baseline_gbps" {
  description = "Baseline bandwidth of the instance type in Gb/s, for types that the module has no figure for."
  type        = number
  default     = null

  validation {
    condition     = var.network_baseline_gbps == null ? true : var.network_baseline_gbps > 0
    error_message = "network_baseline_gbps must be more than 0, or null."
  }
}

variable "block_cache" {
  description = "Where blocks of artifacts survive a restart: \"instance_store\" (the type's own NVMe disk) or \"gp3\" (size_gib, iops, throughput in MiB/s of the root volume)."
  type = object({
    kind       = string
    size_gib   = optional(number)
    iops       = optional(number)
    throughput = optional(number)
  })
  default  = { kind = "instance_store" }
  nullable = false

  validation {
    condition     = contains(["instance_store", "gp3"], var.block_cache.kind)
    error_message = "block_cache.kind must be \"instance_store\" or \"gp3\"."
  }

  # A d among the letters behind the generation (m7gd, c6id, r5dn), and the storage families.
  validation {
    condition = var.block_cache.kind == "instance_store" ? can(regex(
      "^([a-z]+[0-9]+[a-z]*d[a-z]*|i[0-9]+[a-z]*|im4gn|is4gen)\\.", var.instance_type
    )) : true
    error_message = "block_cache.kind \"instance_store\" needs a type with a disk of its own (m7gd, c7gd, r7gd, c6id, i4g, …); choose one, or kind = \"gp3\"."
  }

  validation {
    condition = (
      var.block_cache.kind == "gp3" ? true
      : var.block_cache.size_gib == null &&
      var.block_cache.iops == null &&
      var.block_cache.throughput == null
    )
    error_message = "block_cache.size_gib, iops and throughput are for kind = \"gp3\"; the disk of an instance is as it is."
  }

  validation {
    condition = (
      var.block_cache.size_gib == null ? true
      : var.block_cache.size_gib >= 8 &&
      var.block_cache.size_gib <= 16384 &&
      floor(var.block_cache.size_gib) == var.block_cache.size_gib
    )
    error_message = "block_cache.size_gib must be a whole number from 8 to 16384."
  }

  validation {
    condition = (
      var.block_cache.iops == null ? true
      : var.block_cache.iops >= 3000 &&
      var.block_cache.iops <= 80000
    )
    error_message = "block_cache.iops must be 3000 to 80000 (fact 92)."
  }

  validation {
    condition = (
      var.block_cache.throughput == null ? true
      : var.block_cache.throughput >= 125 &&
      var.block_cache.throughput <= 2000
    )
    error_message = "block_cache.throughput must be 125 to 2000 MiB/s (fact 92)."
  }

  # EBS gives at most a quarter of a MiB/s for each operation per second.
  validation {
    condition     = coalesce(var.block_cache.throughput, 250) * 4 <= coalesce(var.block_cache.iops, 3000)
    error_message = "block_cache.throughput may be at most a quarter of block_cache.iops (3000 where none is given)."
  }
}

variable "volume_kms_key_arn" {
  description = "Customer-managed key of the volumes, which AWSServiceRoleForAutoScaling must be allowed to use; null means the account's EBS key."
  type        = string
  default     = null

  validation {
    condition = (
      var.volume_kms_key_arn == null ? true
      : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+", var.volume_kms_key_arn))
    )
    error_message = "volume_kms_key_arn must be the ARN of a key in KMS (not of an alias)."
  }
}

# ---- How many -------------------------------------------------------------------------------------------------------

variable "min_size" {
  description = "Instances that always run. With the edge two, for availability alone: an artifact leaves the origin once or twice (fact 58). Without it half of what a release needs, since a group grows minutes after a crowd has come; the composition says so."
  type        = number
  default     = 2
  nullable    = false

  validation {
    condition     = var.min_size >= 1 && floor(var.min_size) == var.min_size
    error_message = "min_size must be a whole number of at least 1; 2 survive the loss of a zone."
  }
}

variable "max_size" {
  description = "Instances at the most. With the edge four: a cold start of all caches. Without it peak bits per second by 70 % of the type's baseline: a million devices, 500 MB and six hours are 283 m7g.large (fact 91)."
  type        = number
  default     = 4
  nullable    = false

  validation {
    condition     = var.max_size >= var.min_size && floor(var.max_size) == var.max_size
    error_message = "max_size must be a whole number, not below min_size."
  }
}

variable "network_out_target_bytes" {
  description = "Bytes that an instance sends in a minute at which the group grows; null is 65 % of the type's baseline."
  type        = number
  default     = null

  validation {
    condition     = var.network_out_target_bytes == null ? true : var.network_out_target_bytes >= 1000000
    error_message = "network_out_target_bytes must be at least 1000000 bytes a minute, or null."
  }

  validation {
    condition = (
      var.network_out_target_bytes != null ? true
      : var.network_baseline_gbps != null ? true
      : contains(keys(local.network_baselines_gbps), var.instance_type)
    )
    error_message = "No baseline bandwidth is known for this instance_type: give network_baseline_gbps (AWS lists it for each type) or network_out_target_bytes."
  }
}

variable "requests_per_target" {
  description = "Requests to one instance in a minute at which the group grows."
  type        = number
  # why: 5,000 a second. A small answer costs 8.5 µs of processor (ARCHITECTURE.md), so this is a twentieth of one
  # core, and far above what the bytes of downloads allow: it catches storms of polls, which move no bytes.
  default  = 300000
  nullable = false

  validation {
    condition     = var.requests_per_target >= 1
    error_message = "requests_per_target must be at least 1."
  }
}

variable "warm_pool" {
  description = "Instances that are booted ahead and wait, stopped or running; null keeps none. What comes back from a scale-in is kept with reuse_on_scale_in."
  type = object({
    min_size                    = optional(number, 0)
    max_group_prepared_capacity = optional(number)
    pool_state                  = optional(string, "Stopped")
    reuse_on_scale_in           = optional(bool, false)
  })
  default = null

  validation {
    condition     = var.warm_pool == null ? true : contains(["Stopped", "Running"], var.warm_pool.pool_state)
    error_message = "warm_pool.pool_state must be \"Stopped\" or \"Running\"; hibernation needs an image that is made for it."
  }

  validation {
    condition = (
      var.warm_pool == null ? true
      : var.warm_pool.min_size >= 0 &&
      floor(var.warm_pool.min_size) == var.warm_pool.min_size
    )
    error_message = "warm_pool.min_size must be a whole number of at least 0."
  }

  validation {
    condition = (
      try(var.warm_pool.max_group_prepared_capacity, null) == null ? true
      : var.warm_pool.max_group_prepared_capacity >= var.min_size
    )
    error_message = "warm_pool.max_group_prepared_capacity counts running and waiting instances together: it must be at least min_size, or left out."
  }

  # why: a stopped instance loses the disk that the blocks are on, so there is nothing in it worth keeping.
  validation {
    condition = (
      var.warm_pool == null ? true
      : !var.warm_pool.reuse_on_scale_in || var.warm_pool.pool_state == "Running" || var.block_cache.kind == "gp3"
    )
    error_message = "warm_pool.reuse_on_scale_in keeps nothing in \"Stopped\" instances with block_cache.kind \"instance_store\": their disk is empty afterwards. Use \"Running\", gp3, or no reuse."
  }
}

# ---- How they come and go -------------------------------------------------------------------------------------------

variable "drain_seconds" {
  description = "What a stopping process takes at the most: server.drain_delay and server.drain_grace of config/production.toml together."
  type        = number
  default     = 320
  nullable    = false

  validation {
    condition     = var.drain_seconds >= 20 && var.drain_seconds <= 7000
    error_message = "drain_seconds must be 20 to 7000: two periods of the health check at least."
  }
}

variable "lifecycle_heartbeat" {
  description = "Seconds that a leaving instance has to drain before it is ended anyway; null is a minute more than deregistration_delay and drain_seconds."
  type        = number
  default     = null

  validation {
    condition = (
      var.lifecycle_heartbeat == null ? true
      : var.lifecycle_heartbeat >= 30 &&
      var.lifecycle_heartbeat <= 7200
    )
    error_message = "lifecycle_heartbeat must be 30 to 7200 seconds (fact 89)."
  }

  validation {
    condition = (
      var.lifecycle_heartbeat == null ? true
      : var.lifecycle_heartbeat > max(var.deregistration_delay, var.drain_seconds)
    )
    error_message = "lifecycle_heartbeat must be more than deregistration_delay and drain_seconds, or downloads are cut."
  }
}

variable "health_check_grace_period" {
  description = "Seconds from a start until failed health checks count: boot, settings, cache disk and first look at the store."
  type        = number
  default     = 180
  nullable    = false

  validation {
    condition     = var.health_check_grace_period >= 60 && var.health_check_grace_period <= 3600
    error_message = "health_check_grace_period must be 60 to 3600 seconds: a booting instance must not be replaced for booting."
  }
}

variable "instance_refresh" {
  description = "How a new image or template is rolled out: how far above full strength (percent), where to pause (percent, seconds), and whether to go back by itself."
  type = object({
    max_healthy_percentage = optional(number, 150)
    checkpoint_percentages = optional(list(number), [50, 100])
    checkpoint_delay       = optional(number, 600)
    instance_warmup        = optional(number, 120)
    auto_rollback          = optional(bool, true)
    skip_matching          = optional(bool, true)
  })
  default  = {}
  nullable = false

  # why: never below full strength (fact 89); two instances at 150 % are exactly three, without a question of rounding.
  validation {
    condition = (
      var.instance_refresh.max_healthy_percentage >= 110 &&
      var.instance_refresh.max_healthy_percentage <= 200
    )
    error_message = "instance_refresh.max_healthy_percentage must be 110 to 200: the group never goes below 100, so it must be able to go above."
  }

  validation {
    condition = (
      length(var.instance_refresh.checkpoint_percentages) == 0 ? true
      : try(element(var.instance_refresh.checkpoint_percentages, -1) == 100, false) &&
      alltrue([for percent in var.instance_refresh.checkpoint_percentages : percent >= 1 && percent <= 100]) &&
      alltrue([
        for index in range(1, length(var.instance_refresh.checkpoint_percentages)) :
        var.instance_refresh.checkpoint_percentages[index] > var.instance_refresh.checkpoint_percentages[index - 1]
      ])
    )
    error_message = "instance_refresh.checkpoint_percentages must rise from at least 1 and end with 100, so that alarms are watched after the last instance too; [] pauses nowhere."
  }

  validation {
    condition     = var.instance_refresh.checkpoint_delay >= 0 && var.instance_refresh.checkpoint_delay <= 172800
    error_message = "instance_refresh.checkpoint_delay must be 0 to 172800 seconds."
  }

  validation {
    condition     = var.instance_refresh.instance_warmup >= 30 && var.instance_refresh.instance_warmup <= 3600
    error_message = "instance_refresh.instance_warmup must be 30 to 3600 seconds."
  }
}

variable "rollback_alarm_names" {
  description = "CloudWatch alarms of this Region that stop a roll-out and take it back. They must exist before the first one."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = length(var.rollback_alarm_names) <= 10
    error_message = "rollback_alarm_names may name at most 10 alarms."
  }

  validation {
    condition     = length(var.rollback_alarm_names) == 0 || var.instance_refresh.auto_rollback
    error_message = "rollback_alarm_names need instance_refresh.auto_rollback = true."
  }
}

variable "max_instance_lifetime" {
  description = "Seconds after which an instance is replaced, a day to a year: security updates without a way to the internet come by image. Null never."
  type        = number
  default     = null

  validation {
    condition = (
      var.max_instance_lifetime == null ? true
      : var.max_instance_lifetime >= 86400 &&
      var.max_instance_lifetime <= 31536000
    )
    error_message = "max_instance_lifetime must be 86400 to 31536000 seconds, or null."
  }
}

variable "capacity_timeout" {
  description = "How long the first apply waits until min_size instances are healthy behind the load balancer, \"15m\"; \"0\" does not wait."
  type        = string
  default     = "15m"
  nullable    = false

  validation {
    condition     = can(regex("^(0|[1-9][0-9]*[smh])$", var.capacity_timeout))
    error_message = "capacity_timeout must be a number with s, m or h, for example \"15m\", or \"0\"."
  }
}

# ---- Who may look ---------------------------------------------------------------------------------------------------

variable "ssm_enabled" {
  description = "Whether operators may open a session by Systems Manager. It needs the endpoints ssm, ssmmessages and ec2messages, or NAT."
  type        = bool
  default     = false
  nullable    = false
}

variable "permissions_boundary" {
  description = "ARN of a policy that bounds the instances' role; null has none."
  type        = string
  default     = null

  validation {
    condition = (
      var.permissions_boundary == null ? true
      : can(regex("^arn:[a-z-]+:iam::([0-9]{12}|aws):policy/.+", var.permissions_boundary))
    )
    error_message = "permissions_boundary must be the ARN of a policy."
  }
}
