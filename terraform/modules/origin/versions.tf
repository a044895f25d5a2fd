# Which terraform and which provider this module needs. Owns no provider block: the composition's caller says where.

terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.0"
    }
  }
}
