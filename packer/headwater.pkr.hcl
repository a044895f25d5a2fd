# The image: Debian 12, headwater, and what an instance needs to find out who it is. Owns the order of the steps; never
# does one itself, scripts/ do. Sources are in sources.pkr.hcl, variables in variables.pkr.hcl, the way in is README.md.

packer {
  # Packer reads this block from 1.7 on. Pinned to the version whose arguments the templates are checked against, so that
  # the same commit makes its image in the same way; a newer one is a commit of its own.
  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = "1.8.3"
    }
  }
}

locals {
  packer_dir = path.root
}

build {
  sources = ["source.amazon-ebs.arm64", "source.amazon-ebs.x86_64"]

  # Everything to the matching end is, letter by letter, also in tests/nspawn.pkr.hcl, and tests/image.sh compares the
  # two: what is tested is what is built.
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

  # What was built from what, for whoever rolls it out: terraform's ami_id comes from here.
  post-processor "manifest" {
    output     = "target/ami.json"
    strip_path = true
    custom_data = {
      version     = var.version
      commit      = var.commit
      sbom_sha256 = var.sbom_sha256
    }
  }
}
