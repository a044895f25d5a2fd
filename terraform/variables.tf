# What the composition can be told. Owns the rules that join two modules: which world and mode needs a name, a secret, a
# certificate. Limits of one module alone are checked there too; what is repeated here is what an operator types most.
# Never a default for what differs between companies: names, zones, people.

# ---- What it is called --------------------------------------------------------------------------------------------------

variable "name" {
  description = "The name of this installation, the beginning of every resource's name."
  type        = string
  default     = "headwater"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,29}[a-z0-9]$", var.name)) && !startswith(var.name, "internal-")
    error_message = "`name` has 2 to 31 of a-z, 0-9 and `-`, starts with a letter, does not end in `-`, and not starting with internal-, which AWS keeps."
  }
}

variable "tags" {
  description = "Tags of every resource, beside the provider's default_tags."
  type        = map(string)
  default     = {}
  nullable    = false

  # why: instances show their tags as paths of the metadata service; with another character they do not start.
  validation {
    condition     = alltrue([for key in keys(var.tags) : can(regex("^[A-Za-z0-9+=.,_:@-]{1,128}$", key)) && !startswith(lower(key), "aws:")])
    error_message = "A key of `tags` has letters, digits and + - = . , _ : @ (no space, no slash), and does not start with `aws:`."
  }
}

variable "domain" {
  description = <<-EOT
    The public name of the updates and the Route 53 zone it is in. `name` is what devices ask, `origin_name` what the
    edge asks (on the load balancer's certificate). Null: CloudFront's own name, only with a VPC origin.
  EOT
  type = object({
    zone_id     = string
    name        = string
    origin_name = string
  })
  default = null

  validation {
    condition     = var.domain == null ? true : can(regex("^Z[A-Z0-9]{1,31}$", var.domain.zone_id))
    error_message = "`domain.zone_id` is the id of a Route 53 zone: `Z` and up to 31 of A-Z and 0-9."
  }

  validation {
    condition = var.domain == null ? true : alltrue([
      for name in [var.domain.name, var.domain.origin_name] :
      length(name) <= 253 && can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z]{2,63}$", name))
    ])
    error_message = "`domain.name` and `domain.origin_name` are complete host names in lower case, such as updates.example.com."
  }

  # why: the edge would ask itself.
  validation {
    condition     = var.domain == null ? true : var.domain.name != var.domain.origin_name
    error_message = "`domain.origin_name` must differ from `domain.name`: one leads to the origin, the other to the edge."
  }
}

# ---- Which world ----------------------------------------------------------------------------------------------------------

variable "edge_enabled" {
  description = "Whether CloudFront stands in front. False: the same origin on a public load balancer, with larger sizes."
  type        = bool
  default     = true
  nullable    = false

  # why: devices would ask for updates over plain HTTP; CloudFront has a certificate of its own, a load balancer has not.
  validation {
    condition     = var.edge_enabled || var.domain != null
    error_message = "`edge_enabled` = false needs `domain`: a public load balancer needs a name for its certificate."
  }
}

variable "origin_mode" {
  description = "How the origin knows the edge: vpc (private), prefix_list_secret or mtls (both public). Unused without an edge."
  type        = string
  default     = "vpc"
  nullable    = false

  validation {
    condition     = contains(["vpc", "prefix_list_secret", "mtls"], var.origin_mode)
    error_message = "`origin_mode` is `vpc`, `prefix_list_secret` or `mtls`."
  }

  # why: a secret is worth something over HTTPS only (fact 66), and mutual TLS is TLS.
  validation {
    condition     = var.origin_mode == "vpc" || var.domain != null
    error_message = "`origin_mode` other than `vpc` needs `domain`: a public origin is asked over HTTPS, under a name."
  }

  validation {
    condition     = var.origin_mode != "mtls" || var.origin_mtls != null
    error_message = "`origin_mode` = `mtls` needs `origin_mtls`: the edge's certificate and what the load balancer trusts."
  }
}

variable "origin_mtls" {
  description = "For `mtls`: the client certificate of the edge (ACM, us-east-1) and the load balancer's trust store."
  type = object({
    client_certificate_arn = string
    trust_store_arn        = string
  })
  default = null

  validation {
    condition     = var.origin_mtls == null ? true : can(regex("^arn:aws[a-z-]*:acm:us-east-1:[0-9]{12}:certificate/.+$", var.origin_mtls.client_certificate_arn))
    error_message = "`origin_mtls.client_certificate_arn` is a certificate of ACM in us-east-1, where CloudFront looks."
  }

  validation {
    condition     = var.origin_mtls == null ? true : can(regex("^arn:aws[a-z-]*:elasticloadbalancing:[a-z0-9-]+:[0-9]{12}:truststore/.+$", var.origin_mtls.trust_store_arn))
    error_message = "`origin_mtls.trust_store_arn` is a trust store of Elastic Load Balancing."
  }
}

variable "origin_secret_header" {
  description = "The header in which the edge sends its secret; the listener and the instances look there."
  type        = string
  default     = "x-origin-secret"
  nullable    = false

  validation {
    condition     = can(regex("^x-[a-z0-9-]{1,38}$", var.origin_secret_header)) && !startswith(var.origin_secret_header, "x-amz-") && !startswith(var.origin_secret_header, "x-edge-")
    error_message = "`origin_secret_header` starts with `x-`, has at most 40 characters in lower case, and starts neither with `x-amz-` nor with `x-edge-`."
  }
}

variable "restrict_to_service_security_group" {
  description = "Second phase of a VPC origin: let in only the security group that CloudFront has made (fact 62). False at the first apply."
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = !var.restrict_to_service_security_group || (var.edge_enabled && var.origin_mode == "vpc")
    error_message = "`restrict_to_service_security_group` is for `origin_mode` = `vpc`: only there is such a group."
  }
}

# ---- Network --------------------------------------------------------------------------------------------------------------

variable "network" {
  description = <<-EOT
    A network that is there. Null: one is made. The load balancer's subnets are private with a VPC origin, else public;
    `availability_zone_ids` are those of the load balancer's subnets. Instances reach S3, Secrets Manager and Auto
    Scaling through `egress_security_group_ids` (of interface endpoints) or `egress_cidr_blocks` (through NAT).
  EOT
  type = object({
    vpc_id                    = string
    load_balancer_subnet_ids  = list(string)
    instance_subnet_ids       = list(string)
    availability_zone_ids     = list(string)
    egress_security_group_ids = optional(list(string), [])
    egress_cidr_blocks        = optional(list(string), [])
  })
  default = null

  validation {
    condition     = var.network == null ? true : can(regex("^vpc-[0-9a-f]{8,17}$", var.network.vpc_id))
    error_message = "`network.vpc_id` is the id of a VPC: `vpc-` and 8 to 17 hexadecimal digits."
  }

  validation {
    condition     = var.network == null ? true : length(distinct(var.network.load_balancer_subnet_ids)) >= 2 && length(distinct(var.network.instance_subnet_ids)) >= 2
    error_message = "`network` needs two subnets for the load balancer and two for instances, in different zones."
  }

  validation {
    condition = var.network == null ? true : alltrue([
      for id in concat(var.network.load_balancer_subnet_ids, var.network.instance_subnet_ids) : can(regex("^subnet-[0-9a-f]{8,17}$", id))
    ])
    error_message = "The subnets of `network` are ids: `subnet-` and 8 to 17 hexadecimal digits."
  }

  validation {
    condition     = var.network == null ? true : length(var.network.availability_zone_ids) >= 2 && alltrue([for id in var.network.availability_zone_ids : can(regex("^[a-z0-9]+-az[0-9]+$", id))])
    error_message = "`network.availability_zone_ids` are two ids or more such as euc1-az2, not names such as eu-central-1a."
  }
}

variable "vpc_cidr" {
  description = "Addresses of the network that is made."
  type        = string
  default     = "10.64.0.0/20"
  nullable    = false

  validation {
    condition     = can(cidrhost(var.vpc_cidr, 0)) && can(regex("/(1[6-9]|2[0-2])$", var.vpc_cidr))
    error_message = "`vpc_cidr` is an IPv4 block of /16 to /22."
  }
}

variable "az_count" {
  description = "Availability Zones of the network that is made. Two survive the loss of one; each costs its endpoints."
  type        = number
  default     = 2
  nullable    = false

  validation {
    condition     = contains([2, 3, 4], var.az_count)
    error_message = "`az_count` is 2, 3 or 4."
  }
}

variable "nat" {
  description = "Ways out of the network that is made: none (interface endpoints instead), single, or per_az."
  type        = string
  default     = "none"
  nullable    = false

  validation {
    condition     = contains(["none", "single", "per_az"], var.nat)
    error_message = "`nat` is `none`, `single` or `per_az`."
  }
}

# ---- Store ----------------------------------------------------------------------------------------------------------------

variable "bucket_name" {
  description = "The bucket of the store. Null: made of name, account and Region, as names of buckets are taken once in the world."
  type        = string
  default     = null

  validation {
    condition     = var.bucket_name == null ? true : can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket_name))
    error_message = "`bucket_name` has 3 to 63 of a-z, 0-9 and `-`, and neither starts nor ends with `-`; a period would break TLS."
  }
}

variable "store_prefix" {
  description = "The part of the bucket that is the store, without slashes around it; \"\" is all of it."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.store_prefix == "" || can(regex("^[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)*$", var.store_prefix))
    error_message = "`store_prefix` is \"\" or words of a-z, 0-9, `.`, `_` and `-` joined by `/`, such as a/b."
  }
}

variable "kms_key_arn" {
  description = "A key of KMS for the store. Null: keys of S3."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null ? true : can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.kms_key_arn))
    error_message = "`kms_key_arn` is the ARN of a key (not of an alias)."
  }
}

variable "object_lock" {
  description = "How long a released artifact cannot be removed by anyone. Null: not locked; to be decided when the bucket is made."
  type = object({
    mode = string
    days = number
  })
  default = null

  validation {
    condition     = var.object_lock == null ? true : contains(["GOVERNANCE", "COMPLIANCE"], var.object_lock.mode) && var.object_lock.days >= 1 && var.object_lock.days <= 36500
    error_message = "`object_lock` has a mode, GOVERNANCE or COMPLIANCE, and 1 to 36500 days."
  }
}

variable "products" {
  description = <<-EOT
    The products that are published, and who publishes each: GitHub Actions of one repository (`refs` such as
    refs/tags/v*, or `environments`), or roles that are there. One role for each product, for that product alone.
  EOT
  type = map(object({
    github = optional(object({
      repository   = string
      refs         = optional(list(string), [])
      environments = optional(list(string), [])
    }))
    trusted_role_arns    = optional(list(string), [])
    max_session_duration = optional(number, 3600)
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for product in keys(var.products) : can(regex("^[a-z0-9][a-z0-9._-]{0,63}$", product))])
    error_message = "A key of `products` is a product's name: 1 to 64 of a-z, 0-9, `.`, `_` and `-`, not starting with a sign."
  }

  validation {
    condition     = alltrue([for product in values(var.products) : product.github != null || length(product.trusted_role_arns) > 0])
    error_message = "Each of `products` names who publishes it: `github` or `trusted_role_arns`."
  }
}

variable "github_oidc_provider_arn" {
  description = "The account's provider of identities for GitHub Actions, if there is one. Null: it is made where a product asks for it."
  type        = string
  default     = null

  validation {
    condition     = var.github_oidc_provider_arn == null ? true : can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:oidc-provider/token\\.actions\\.githubusercontent\\.com$", var.github_oidc_provider_arn))
    error_message = "`github_oidc_provider_arn` ends with `:oidc-provider/token.actions.githubusercontent.com`."
  }
}

variable "permissions_boundary" {
  description = "A policy that no publisher may exceed. Null: none."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary == null ? true : can(regex("^arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/.+$", var.permissions_boundary))
    error_message = "`permissions_boundary` is the ARN of a policy of IAM."
  }
}

# ---- Origin ---------------------------------------------------------------------------------------------------------------

variable "ami_id" {
  description = "The image of the instances. Null: the newest that Packer has made in this account."
  type        = string
  default     = null

  validation {
    condition     = var.ami_id == null ? true : can(regex("^ami-[0-9a-f]{8,17}$", var.ami_id))
    error_message = "`ami_id` is the id of an image: `ami-` and 8 to 17 hexadecimal digits."
  }
}

variable "architecture" {
  description = "Of the image and the instances: arm64 or x86_64."
  type        = string
  default     = "arm64"
  nullable    = false

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "`architecture` is `arm64` or `x86_64`."
  }

  # why: the sizes that this composition argues for are of Graviton types.
  validation {
    condition     = var.architecture == "arm64" || var.capacity != null
    error_message = "`architecture` = `x86_64` needs `capacity`: the sizes that are there by default are of arm64."
  }
}

variable "capacity" {
  description = <<-EOT
    The instances and their disk for blocks; `network_baseline_gbps` for types that modules/origin has no figure for. Null:
    what main.tf argues for, two to four m7gd.large behind the edge, six to twelve c7gn.2xlarge without it.
  EOT
  type = object({
    instance_type = string
    min_size      = number
    max_size      = number
    block_cache = object({
      kind       = string
      size_gib   = optional(number)
      iops       = optional(number)
      throughput = optional(number)
    })
    network_baseline_gbps = optional(number)
  })
  default = null

  validation {
    condition     = var.capacity == null ? true : var.capacity.min_size >= 2 && var.capacity.max_size >= var.capacity.min_size && var.capacity.max_size <= 500
    error_message = "`capacity` has a `min_size` of 2 or more (one can always be lost) and a `max_size` from there to 500."
  }

  validation {
    condition     = var.capacity == null ? true : contains(["instance_store", "gp3"], var.capacity.block_cache.kind)
    error_message = "`capacity.block_cache.kind` is `instance_store` or `gp3`."
  }
}

variable "load_balancer_capacity_units" {
  description = "Capacity of the load balancer that is warm before a release (fact 87). Null: it grows by itself."
  type        = number
  default     = null

  validation {
    condition     = var.load_balancer_capacity_units == null ? true : var.load_balancer_capacity_units >= 100 && floor(var.load_balancer_capacity_units) == var.load_balancer_capacity_units
    error_message = "`load_balancer_capacity_units` is a whole number of at least 100."
  }
}

variable "environment" {
  description = "More settings of the process: HEADWATER_ACCESS_LOG, HEADWATER_CACHE_MEMORY_BYTES, HEADWATER_LOG, HEADWATER_THREADS."
  type        = map(string)
  default     = {}
  nullable    = false

  # why: user data is readable by everyone who may describe an instance, so a closed list, with nothing secret in it.
  validation {
    condition     = length(setsubtract(keys(var.environment), ["HEADWATER_ACCESS_LOG", "HEADWATER_CACHE_MEMORY_BYTES", "HEADWATER_LOG", "HEADWATER_THREADS"])) == 0
    error_message = "`environment` may set HEADWATER_ACCESS_LOG, HEADWATER_CACHE_MEMORY_BYTES, HEADWATER_LOG and HEADWATER_THREADS."
  }
}

variable "deletion_protection" {
  description = "Whether the load balancer cannot be removed by accident."
  type        = bool
  default     = true
  nullable    = false
}

# ---- Edge -----------------------------------------------------------------------------------------------------------------

variable "origin_shield_enabled" {
  description = "Whether all regional caches ask one more, so that the origin is asked about once for each artifact (fact 58)."
  type        = bool
  default     = true
  nullable    = false
}

variable "origin_shield_region" {
  description = "The Region of Origin Shield. Null: the origin's own, or the nearest that offers it (fact 56)."
  type        = string
  default     = null

  validation {
    condition = var.origin_shield_region == null ? true : contains([
      "us-east-1", "us-east-2", "us-west-2", "ap-south-1", "ap-northeast-1", "ap-northeast-2", "ap-southeast-1",
      "ap-southeast-2", "eu-central-1", "eu-west-1", "eu-west-2", "sa-east-1",
    ], var.origin_shield_region)
    error_message = "`origin_shield_region` is one of the twelve Regions that offer Origin Shield, see modules/edge."
  }
}

variable "price_class" {
  description = "Which edge locations answer: PriceClass_100 (North America, Europe), PriceClass_200 or PriceClass_All."
  type        = string
  default     = "PriceClass_100"
  nullable    = false

  validation {
    condition     = contains(["PriceClass_100", "PriceClass_200", "PriceClass_All"], var.price_class)
    error_message = "`price_class` is `PriceClass_100`, `PriceClass_200` or `PriceClass_All`."
  }
}

variable "http_version" {
  description = "Newest HTTP that devices may speak. http2 while there is a `staging` distribution (fact 75)."
  type        = string
  default     = "http2and3"
  nullable    = false

  validation {
    condition     = contains(["http1.1", "http2", "http3", "http2and3"], var.http_version)
    error_message = "`http_version` is `http1.1`, `http2`, `http3` or `http2and3`."
  }
}

variable "cors_origins" {
  description = "Web origins whose pages may read answers, \"*\" for all."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for origin in var.cors_origins : origin == "*" || can(regex("^https://[a-z0-9*.-]+(:[0-9]+)?$", origin))])
    error_message = "Each of `cors_origins` is \"*\" or https:// with a host in lower case, without a path."
  }
}

variable "web_acl" {
  description = "A web ACL of its own at the edge (fact 74): requests per address and window, methods, rule groups of AWS. Null: none."
  type = object({
    rate_limit            = optional(number)
    evaluation_window_sec = optional(number)
    allowed_methods       = optional(list(string))
    managed_rule_groups   = optional(list(string))
    log_retention_days    = optional(number)
    log_kms_key_arn       = optional(string)
  })
  default = null

  validation {
    condition     = var.web_acl == null || var.edge_enabled
    error_message = "`web_acl` is CloudFront's: it needs `edge_enabled` = true."
  }
}

variable "private_channel_public_keys" {
  description = "Public keys in PEM by name: with any, private paths need a signed URL or cookie (fact 70)."
  type        = map(string)
  default     = {}
  nullable    = false

  # why: what somebody believes to be closed would be open.
  validation {
    condition     = length(var.private_channel_public_keys) == 0 || var.edge_enabled
    error_message = "`private_channel_public_keys` close paths at the edge only: they need `edge_enabled` = true."
  }
}

variable "private_path_patterns" {
  description = "Which paths the keys close, such as /channels/beta/*. Empty with keys: all artifacts and channels."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for pattern in var.private_path_patterns : startswith(pattern, "/artifacts/") || startswith(pattern, "/channels/")])
    error_message = "Each of `private_path_patterns` starts with /artifacts/ or /channels/."
  }
}

variable "staging" {
  description = "A staging distribution that tries a change on a part of the traffic (fact 75); a second apply, with `http_version` = http2. Null: none."
  type = object({
    enabled = optional(bool)
    weight  = optional(number)
    session_stickiness = optional(object({
      idle_ttl    = number
      maximum_ttl = number
    }))
    header = optional(object({
      name  = string
      value = string
    }))
    overrides = optional(object({
      artifact_min_ttl      = optional(number)
      channel_default_ttl   = optional(number)
      channel_max_ttl       = optional(number)
      force_cache_control   = optional(bool)
      error_caching_min_ttl = optional(number)
      connection_attempts   = optional(number)
      connect_timeout       = optional(number)
      read_timeout          = optional(number)
      function_code         = optional(string)
    }))
  })
  default = null

  validation {
    condition     = var.staging == null || !contains(["http3", "http2and3"], var.http_version)
    error_message = "`staging` and HTTP/3 exclude each other (fact 75): set `http_version` = http2 meanwhile."
  }
}

# ---- Who hears of it --------------------------------------------------------------------------------------------------------

variable "alarm_emails" {
  description = "Who is told when something is wrong. Each has to confirm once."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for email in var.alarm_emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", email))])
    error_message = "Each of `alarm_emails` is an address such as ops@example.com."
  }
}

variable "event_emails" {
  description = "Who is told when a channel moves, beside the queue. Each has to confirm once."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for email in var.event_emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", email))])
    error_message = "Each of `event_emails` is an address such as releases@example.com."
  }
}

variable "thresholds" {
  description = "Where alarms begin, of those that modules/observability lists: origin_gigabytes_per_hour is twice what one release publishes. What is left out has its default."
  type        = map(number)
  default     = {}
  nullable    = false

  # why: a map that becomes an object loses what the object does not know, and a misspelt threshold would do nothing.
  validation {
    condition = length(setsubtract(keys(var.thresholds), [
      "certificate_days", "connection_errors", "error_percent", "healthy_hosts_min", "hit_percent", "latency_milliseconds",
      "load_balancer_errors", "minutes_at_maximum", "minutes_with_unhealthy_hosts", "offload_percent",
      "origin_gigabytes_per_hour", "requests_min", "undelivered_events_allowed",
    ])) == 0
    error_message = "`thresholds` may have those of modules/observability: certificate_days, connection_errors, error_percent, healthy_hosts_min, hit_percent, latency_milliseconds, load_balancer_errors, minutes_at_maximum, minutes_with_unhealthy_hosts, offload_percent, origin_gigabytes_per_hour, requests_min and undelivered_events_allowed."
  }
}

variable "budget" {
  description = "Dollars a month above which somebody is told, forecast included. Null: no budget."
  type = object({
    limit_usd = number
    emails    = list(string)
  })
  default = null

  validation {
    condition     = var.budget == null ? true : var.budget.limit_usd > 0 && length(var.budget.emails) > 0
    error_message = "`budget` has a `limit_usd` above 0 and at least one address in `emails`."
  }
}
