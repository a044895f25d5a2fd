# The image without AWS: the steps of headwater.pkr.hcl on a throw-away Debian 12 with a real systemd, once more, and
# then the checks. Owns what is looked at and when; the steps between the marks are those of headwater.pkr.hcl, and
# tests/image.sh, which starts this, compares them.

variable "ssh_key" {
  type        = string
  description = "Private key for the machine."
}

variable "image_dirs" {
  type        = map(string)
  description = "Folder of the program, under the name of the source below."
}

variable "config_file" {
  type        = string
  description = "What the machine has as /etc/headwater/origin.toml."
}

variable "version" {
  type        = string
  description = "As in variables.pkr.hcl."
}

variable "commit" {
  type        = string
  description = "As in variables.pkr.hcl."
}

variable "sbom_sha256" {
  type        = string
  description = "As in variables.pkr.hcl."
}

variable "aws" {
  type        = string
  description = "Address of tests/fake_aws.py."
}

variable "s3" {
  type        = string
  description = "Address of an S3."
}

locals {
  packer_dir = "${path.root}/.."
}

source "null" "test" {
  communicator         = "ssh"
  ssh_host             = "127.0.0.1"
  ssh_port             = 2222
  ssh_username         = "admin"
  ssh_private_key_file = var.ssh_key
}

build {
  sources = ["source.null.test"]

  # begin: the steps
  provisioner "shell" {
    inline = ["install -d -m 0700 /tmp/headwater-image /tmp/headwater-image/program"]
  }
  provisioner "file" {
    sources     = ["${local.packer_dir}/files", "${local.packer_dir}/scripts"]
    destination = "/tmp/headwater-image"
  }
  provisioner "file" {
    source      = "${var.image_dirs[source.name]}/"
    destination = "/tmp/headwater-image/program"
    generated   = true # by packer/build: the template is valid before it ran
  }
  provisioner "file" {
    source      = var.config_file
    destination = "/tmp/headwater-image/origin.toml"
    generated   = true
  }
  provisioner "shell" {
    environment_vars = [
      "HEADWATER_VERSION=${var.version}",
      "HEADWATER_COMMIT=${var.commit}",
      "HEADWATER_SBOM_SHA256=${var.sbom_sha256}",
    ]
    execute_command = "sudo env {{ .Vars }} bash {{ .Path }}"
    inline = [
      "set -eu",
      "cd /tmp/headwater-image/scripts",
      "bash provision.sh /tmp/headwater-image",
      "bash self-test.sh serves",
      "bash finish.sh",
      "bash self-test.sh sealed",
      "rm -rf /tmp/headwater-image",
    ]
  }
  # end: the steps
  provisioner "file" {
    source      = "${local.packer_dir}/tests/machine"
    destination = "/tmp"
  }
  provisioner "shell" {
    inline = ["sudo bash /tmp/machine/listing.sh first"]
  }

  # A second time; what changed is an error.
  # begin: the steps
  provisioner "shell" {
    inline = ["install -d -m 0700 /tmp/headwater-image /tmp/headwater-image/program"]
  }
  provisioner "file" {
    sources     = ["${local.packer_dir}/files", "${local.packer_dir}/scripts"]
    destination = "/tmp/headwater-image"
  }
  provisioner "file" {
    source      = "${var.image_dirs[source.name]}/"
    destination = "/tmp/headwater-image/program"
    generated   = true # by packer/build: the template is valid before it ran
  }
  provisioner "file" {
    source      = var.config_file
    destination = "/tmp/headwater-image/origin.toml"
    generated   = true
  }
  provisioner "shell" {
    environment_vars = [
      "HEADWATER_VERSION=${var.version}",
      "HEADWATER_COMMIT=${var.commit}",
      "HEADWATER_SBOM_SHA256=${var.sbom_sha256}",
    ]
    execute_command = "sudo env {{ .Vars }} bash {{ .Path }}"
    inline = [
      "set -eu",
      "cd /tmp/headwater-image/scripts",
      "bash provision.sh /tmp/headwater-image",
      "bash self-test.sh serves",
      "bash finish.sh",
      "bash self-test.sh sealed",
      "rm -rf /tmp/headwater-image",
    ]
  }
  # end: the steps
  provisioner "file" {
    source      = "${local.packer_dir}/tests/machine"
    destination = "/tmp"
  }
  provisioner "shell" {
    inline = ["sudo bash /tmp/machine/listing.sh second"]
  }

  provisioner "file" {
    source      = "${local.packer_dir}/scripts"
    destination = "/tmp"
  }
  provisioner "shell" {
    environment_vars = ["AWS=${var.aws}", "S3=${var.s3}"]
    execute_command  = "sudo env {{ .Vars }} bash {{ .Path }}"
    inline           = ["exec bash /tmp/machine/run.sh"]
  }
}
