# What an instance is: image, type, disk, and what it is told at boot. Owns the launch template and the user data.
# Never a secret in either: an instance gets the secret's name and fetches it with its own role.

data "aws_ami" "origin" {
  most_recent = true
  owners      = var.ami_owners

  # Also for an image that is named: it must exist, be ours, and fit the type, or the plan ends here.
  dynamic "filter" {
    for_each = var.ami_id == null ? { name = var.ami_name } : { image-id = var.ami_id }

    content {
      name   = filter.key
      values = [filter.value]
    }
  }

  filter {
    name   = "architecture"
    values = [var.architecture]
  }

  filter {
    name   = "root-device-type"
    values = ["ebs"]
  }
}

locals {
  # ---- What an instance is told (packer's headwater-configure reads exactly these keys) ----
  # why: HEADWATER_CACHE is "auto": the image takes the instance store where there is one, else the root volume.
  settings = merge(
    var.environment,
    {
      AWS_REGION               = local.region
      HEADWATER_ASG            = local.autoscaling_group_name
      HEADWATER_CACHE          = "auto"
      HEADWATER_LIFECYCLE_HOOK = local.lifecycle_hook_name
      HEADWATER_STORE          = var.store.location
    },
    # why: the header too. The listener and the edge follow the variable; an instance that looked into another header would
    # answer everybody 403, and its health, which is asked on the admin port, would say nothing.
    var.origin_secret_arn == null ? {} : {
      HEADWATER_ORIGIN_SECRET_HEADER = var.origin_secret_header
      HEADWATER_SECRET_ARN           = var.origin_secret_arn
    },
  )

  user_data = join("\n", concat(
    ["# What this instance of ${local.autoscaling_group_name} serves, read by headwater-configure at each boot."],
    [for key in sort(keys(local.settings)) : "${key}=${local.settings[key]}"],
    [""],
  ))

  # ---- Disk ----
  # What the image itself needs, logs included; blocks on the root volume come on top.
  system_gib = 16

  root_volume = var.block_cache.kind == "gp3" ? {
    size_gib   = local.system_gib + coalesce(var.block_cache.size_gib, 48)
    iops       = coalesce(var.block_cache.iops, 3000)
    throughput = coalesce(var.block_cache.throughput, 250)
    } : {
    size_gib   = local.system_gib
    iops       = 3000
    throughput = 125
  }
}

resource "aws_launch_template" "origin" {
  name                   = local.autoscaling_group_name
  description            = "Instances of the origin"
  image_id               = coalesce(var.ami_id, data.aws_ami.origin.id)
  instance_type          = var.instance_type
  user_data              = base64encode(local.user_data)
  update_default_version = true

  # why: an instance that shuts itself down must not stay as a stopped one outside the group.
  instance_initiated_shutdown_behavior = "terminate"

  iam_instance_profile {
    arn = aws_iam_instance_profile.origin.arn
  }

  # why: requests need a session token, and its answer dies at the instance's own edge (one hop): no redirected or
  # forwarded request reaches the role's credentials. Tags are settings too (headwater-…).
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
    instance_metadata_tags      = "enabled"
  }

  network_interfaces {
    device_index                = 0
    associate_public_ip_address = false
    delete_on_termination       = true
    security_groups             = [aws_security_group.instances.id]
  }

  # why: explicit, because gp3 without figures has 125 MiB/s, about 1 Gb/s, less than most types' network: a cold fill
  # would wait for the disk (fact 92). What is on it is a copy; it goes with the instance.
  block_device_mappings {
    device_name = data.aws_ami.origin.root_device_name

    ebs {
      volume_type           = "gp3"
      volume_size           = local.root_volume.size_gib
      iops                  = local.root_volume.iops
      throughput            = local.root_volume.throughput
      encrypted             = true
      kms_key_id            = var.volume_kms_key_arn
      delete_on_termination = true
    }
  }

  ebs_optimized = true

  # why: metrics by the minute. With basic monitoring a point is the sum of five minutes, and the group would grow at a
  # fifth of the load it is meant for.
  monitoring {
    enabled = true
  }

  # Instances get their tags from the group; volumes only from here.
  tag_specifications {
    resource_type = "volume"
    tags          = merge(var.tags, { Name = local.autoscaling_group_name })
  }

  tags = merge(var.tags, { Name = local.autoscaling_group_name })
}
