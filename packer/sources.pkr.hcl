# The machines that images are built on: Debian's own AMIs, one source for each architecture. Owns how a builder is
# started and what the AMI is called; never what is installed on it, which headwater.pkr.hcl and scripts/ say.

locals {
  # Debian's account for its official AMIs (https://wiki.debian.org/Cloud/AmazonEC2Image/Bookworm).
  debian_owner = "136693071363"
  built_at     = formatdate("YYYYMMDD'T'hhmmss", timestamp())

  tags = {
    Name              = "headwater-${var.version}"
    headwater-version = var.version
    headwater-commit  = var.commit
    headwater-sbom    = "sha256:${var.sbom_sha256}"
    headwater-base    = "debian-12"
    headwater-built   = local.built_at
  }
}

source "amazon-ebs" "arm64" {
  region          = var.region
  instance_type   = "m7g.medium"
  ami_name        = "headwater-${var.version}-arm64-${local.built_at}"
  ami_description = "Headwater ${var.version} on Debian 12, arm64, commit ${var.commit}"

  source_ami_filter {
    owners      = [local.debian_owner]
    most_recent = true
    filters = {
      name                = "debian-12-arm64-*"
      architecture        = "arm64"
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    }
  }

  # The builder has no role: nothing that is built here may depend on credentials, and none can stay behind.
  subnet_id                                 = var.subnet_id
  associate_public_ip_address               = var.ssh_interface == "public_ip"
  temporary_security_group_source_cidrs     = var.ssh_interface == "private_ip" ? var.builder_cidrs : null
  temporary_security_group_source_public_ip = var.ssh_interface == "public_ip" ? true : null

  # A key of this build only, which finish.sh removes from the image.
  communicator              = "ssh"
  ssh_username              = "admin"
  ssh_interface             = var.ssh_interface
  temporary_key_pair_type   = "ed25519"
  ssh_clear_authorized_keys = true
  ssh_timeout               = "5m"

  # IMDSv2 only, on the builder and, as a property of the AMI, on whatever is started from it.
  imds_support = "v2.0"
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  # Every instance type that is worth renting for this has ENA; Intel's older interface (sriov_support) is not set.
  ena_support = true

  # Both: the builder's disk never holds a plain block, and the AMI is encrypted whatever the account's default is.
  encrypt_boot = true
  kms_key_id   = var.kms_key_id
  ami_regions  = var.ami_regions

  # What gp3 includes (fact 92); the launch template decides for the fleet.
  launch_block_device_mappings {
    device_name           = "/dev/xvda"
    volume_type           = "gp3"
    volume_size           = var.root_volume_gib
    iops                  = 3000
    throughput            = 125
    encrypted             = true
    delete_on_termination = true
  }

  tags          = merge(local.tags, { headwater-architecture = "arm64" })
  snapshot_tags = merge(local.tags, { headwater-architecture = "arm64" })
  run_tags      = { Name = "packer-headwater-arm64" }

  # A copy to other Regions and the encryption of it take longer than the plugin waits by default.
  aws_polling {
    delay_seconds = 15
    max_attempts  = 240
  }
}

# The same on the other architecture; the reasons stand above.
source "amazon-ebs" "x86_64" {
  region          = var.region
  instance_type   = "m7i.large"
  ami_name        = "headwater-${var.version}-x86_64-${local.built_at}"
  ami_description = "Headwater ${var.version} on Debian 12, x86_64, commit ${var.commit}"

  source_ami_filter {
    owners      = [local.debian_owner]
    most_recent = true
    filters = {
      name                = "debian-12-amd64-*"
      architecture        = "x86_64"
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    }
  }

  subnet_id                                 = var.subnet_id
  associate_public_ip_address               = var.ssh_interface == "public_ip"
  temporary_security_group_source_cidrs     = var.ssh_interface == "private_ip" ? var.builder_cidrs : null
  temporary_security_group_source_public_ip = var.ssh_interface == "public_ip" ? true : null

  communicator              = "ssh"
  ssh_username              = "admin"
  ssh_interface             = var.ssh_interface
  temporary_key_pair_type   = "ed25519"
  ssh_clear_authorized_keys = true
  ssh_timeout               = "5m"

  imds_support = "v2.0"
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  ena_support = true

  encrypt_boot = true
  kms_key_id   = var.kms_key_id
  ami_regions  = var.ami_regions
  launch_block_device_mappings {
    device_name           = "/dev/xvda"
    volume_type           = "gp3"
    volume_size           = var.root_volume_gib
    iops                  = 3000
    throughput            = 125
    encrypted             = true
    delete_on_termination = true
  }

  tags          = merge(local.tags, { headwater-architecture = "x86_64" })
  snapshot_tags = merge(local.tags, { headwater-architecture = "x86_64" })
  run_tags      = { Name = "packer-headwater-x86_64" }

  aws_polling {
    delay_seconds = 15
    max_attempts  = 240
  }
}
