# What may differ between two builds of the image. Owns names, types and limits; never a value that belongs to one
# account or one release: those have no default that would work by accident. See README.md for a table.

# ---- which image ----------------------------------------------------------------------------------------------------

variable "image_dirs" {
  type        = map(string)
  description = "Folder that packer/build made, for each architecture: headwater, its SBOM, its licences."
  # packer/build makes the architecture of the machine it runs on; name one source with -only, or give both folders.
  default = {
    arm64  = "target/image"
    x86_64 = "target/image"
  }
}

variable "config_file" {
  type        = string
  description = "What the image has as /etc/headwater/origin.toml."
  default     = "config/production.toml"
}

# Three that only a release knows; packer/ami finds them. Empty ones validate, and scripts/provision.sh refuses them.

variable "version" {
  type        = string
  description = "What `headwater --version` says, for the name and the tags of the AMI."
  default     = ""

  validation {
    condition     = var.version == "" || length(split(".", var.version)) >= 3
    error_message = "The version must be that of the program, such as 1.4.2."
  }
}

variable "commit" {
  type        = string
  description = "The commit that the program was built from, 40 hexadecimal digits."
  default     = ""

  validation {
    condition     = contains([0, 40], length(var.commit)) && lower(var.commit) == var.commit
    error_message = "The commit must be 40 lower-case hexadecimal digits, as `git rev-parse HEAD` prints them."
  }
}

variable "sbom_sha256" {
  type        = string
  description = "SHA-256 of the SBOM in the image, so that an AMI and its list of parts find each other."
  default     = ""

  validation {
    condition     = contains([0, 64], length(var.sbom_sha256)) && lower(var.sbom_sha256) == var.sbom_sha256
    error_message = "The digest of the SBOM must be 64 lower-case hexadecimal digits, as `sha256sum` prints them."
  }
}

# ---- where it is built ----------------------------------------------------------------------------------------------

variable "region" {
  type        = string
  description = "Region that the image is built in."
  default     = "eu-central-1"

  validation {
    condition     = length(split("-", var.region)) >= 3
    error_message = "The region must be the name of a Region, such as eu-central-1."
  }
}

variable "ami_regions" {
  type        = list(string)
  description = "Other Regions that get a copy."
  default     = []
}

variable "subnet_id" {
  type        = string
  description = "Subnet of the builder, with a way out to Debian's mirror; empty takes the default VPC's."
  default     = ""
}

variable "ssh_interface" {
  type        = string
  description = "How packer reaches the builder: private_ip, or public_ip with a port for packer's own address only."
  default     = "private_ip"

  validation {
    condition     = var.ssh_interface == "private_ip" || var.ssh_interface == "public_ip"
    error_message = "The ssh_interface must be private_ip or public_ip."
  }
}

variable "builder_cidrs" {
  type        = list(string)
  description = "Who may reach the builder's SSH port at its private address: the network that packer runs in."
  default     = ["10.0.0.0/8"]

  validation {
    condition     = length(var.builder_cidrs) > 0 && ! contains(var.builder_cidrs, "0.0.0.0/0")
    error_message = "The builder_cidrs must name networks, and not the whole Internet."
  }
}

variable "kms_key_id" {
  type        = string
  description = "Key that encrypts the image; empty takes the account's aws/ebs, which cannot be shared with others."
  default     = ""
}

variable "root_volume_gib" {
  type        = number
  description = "Root volume: Debian, logs, and the block cache of instances without a disk of their own."
  default     = 16

  validation {
    condition     = var.root_volume_gib >= 8 && var.root_volume_gib <= 1024
    error_message = "The root_volume_gib must be 8 (Debian and logs) to 1024."
  }
}
