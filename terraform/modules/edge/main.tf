# What several files of the module agree on: names, constants, and the one or two variants of the distribution's
# settings. Owns no resource that exists in AWS. Read next: distribution.tf.
#
# why create_before_destroy stands on everything that a distribution refers to: AWS refuses to delete a policy, a
# function, a key group or a VPC origin that is in use. With it, and only with it, Terraform changes the distribution
# first and deletes afterwards, also when something is switched off and merely goes away.
#
# why the names of policies, functions, keys and the VPC origin carry a hash of their content, and a change replaces
# instead of updating: an update in place takes effect before the distribution's own change is known to be accepted, and
# nothing is left to go back to. What is replaced takes effect with the distribution that names it, and as long as both
# are there their names have to differ.

locals {
  # why: CloudFront's resources outside the distribution (ACM, WAF, logs) live in one Region only (facts 71, 74, 82).
  global_region = "us-east-1"

  # Fact 1: the largest lifetime that is worth naming; also CloudFront's own MaxTTL (fact 4).
  year_sec = 31536000

  origin_id       = "origin"
  bucket_id       = "bucket"
  origin_group_id = "origin-or-bucket"

  # The variable decides when both are known; in a plan only the aliases are.
  has_certificate = length(var.aliases) > 0
  has_failover    = var.failover_bucket != null
  has_staging     = var.staging != null

  # What staging may differ in. Everything else is shared, so that a trial tries one thing.
  primary = {
    artifact_min_ttl      = var.artifact_min_ttl
    channel_default_ttl   = var.channel_default_ttl
    channel_max_ttl       = var.channel_max_ttl
    force_cache_control   = var.force_cache_control
    error_caching_min_ttl = var.error_caching_min_ttl
    connection_attempts   = var.connection_attempts
    connect_timeout       = var.timeouts.connect
    read_timeout          = var.timeouts.read
    function_code         = file("${path.module}/../../functions/viewer-request.js")
  }

  variants = merge(
    { primary = local.primary },
    local.has_staging ? {
      staging = {
        artifact_min_ttl      = coalesce(var.staging.overrides.artifact_min_ttl, local.primary.artifact_min_ttl)
        channel_default_ttl   = coalesce(var.staging.overrides.channel_default_ttl, local.primary.channel_default_ttl)
        channel_max_ttl       = coalesce(var.staging.overrides.channel_max_ttl, local.primary.channel_max_ttl)
        force_cache_control   = coalesce(var.staging.overrides.force_cache_control, local.primary.force_cache_control)
        error_caching_min_ttl = coalesce(var.staging.overrides.error_caching_min_ttl, local.primary.error_caching_min_ttl)
        connection_attempts   = coalesce(var.staging.overrides.connection_attempts, local.primary.connection_attempts)
        connect_timeout       = coalesce(var.staging.overrides.connect_timeout, local.primary.connect_timeout)
        read_timeout          = coalesce(var.staging.overrides.read_timeout, local.primary.read_timeout)
        function_code         = coalesce(var.staging.overrides.function_code, local.primary.function_code)
      }
    } : {}
  )
}
