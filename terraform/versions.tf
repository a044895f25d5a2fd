# Which terraform and which provider the composition needs. Owns no provider block: whoever calls it says where it runs,
# as the examples do.

terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.0"
    }
  }
}
