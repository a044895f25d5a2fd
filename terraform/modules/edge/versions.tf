# What the module needs. Owns the version bounds; never a provider block: whoever calls the module brings the provider.

terraform {
  # why: 1.9 lets a validation look at other variables, 1.11 is what the whole composition is tested with.
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source = "hashicorp/aws"

      # why not 6.0: cache_tag_config came with 6.46.
      version = "~> 6.46"
    }
  }
}
