# The least that serves updates through CloudFront: no domain, no mail, no product, every default. Owns the Region and
# the tags that every resource gets. Never a value that the composition has a default for.

provider "aws" {
  region = var.region

  default_tags {
    tags = {
      Application = "headwater"
      ManagedBy   = "terraform"
    }
  }
}

module "headwater" {
  source = "../.."
}
