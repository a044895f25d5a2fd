# What an instance of the origin is, what it is told, and what it may do. Never how many there are:
# origin_scaling.tftest.hcl.

mock_provider "aws" {
  source = "./tests/mocks"
}

override_data {
  target = data.aws_region.current
  values = { region = "eu-central-1" }
}

override_data {
  target = data.aws_caller_identity.current
  values = { account_id = "123456789012" }
}

override_data {
  target = data.aws_partition.current
  values = { partition = "aws" }
}

override_data {
  target = data.aws_ami.origin
  values = {
    id               = "ami-00000000000000abc"
    root_device_name = "/dev/xvda"
  }
}

override_resource {
  target = aws_security_group.instances
  values = { id = "sg-00000000000000005" }
}

variables {
  name                     = "updates"
  vpc_id                   = "vpc-00000000000000001"
  load_balancer_subnet_ids = ["subnet-00000000000000001", "subnet-00000000000000002"]
  instance_subnet_ids      = ["subnet-00000000000000001", "subnet-00000000000000002"]
  origin_mode              = "vpc"

  store = {
    bucket_arn = "arn:aws:s3:::updates-store"
    location   = "s3://updates-store/prod/eu"
  }

  tags = { team = "releases" }
}

# ---- Instances ------------------------------------------------------------------------------------------------------

run "an_instance_is_hard_to_abuse" {
  command = apply

  module {
    source = "./modules/origin"
  }

  assert {
    condition = (
      aws_launch_template.origin.metadata_options[0].http_tokens == "required" &&
      aws_launch_template.origin.metadata_options[0].http_put_response_hop_limit == 1 &&
      aws_launch_template.origin.metadata_options[0].http_endpoint == "enabled"
    )
    error_message = "Instance metadata must need a token and end at the first hop."
  }

  assert {
    condition     = aws_launch_template.origin.metadata_options[0].instance_metadata_tags == "enabled"
    error_message = "The image reads instance tags from the metadata."
  }

  assert {
    condition = (
      aws_launch_template.origin.network_interfaces[0].associate_public_ip_address == "false" &&
      toset(aws_launch_template.origin.network_interfaces[0].security_groups) == toset(["sg-00000000000000005"])
    )
    error_message = "Instances must have no public address, and their own group only."
  }

  assert {
    condition     = aws_launch_template.origin.key_name == null || aws_launch_template.origin.key_name == ""
    error_message = "Nobody logs in by ssh."
  }

  assert {
    condition = (
      aws_launch_template.origin.monitoring[0].enabled &&
      tobool(aws_launch_template.origin.ebs_optimized)
    )
    error_message = "Scaling counts bytes of a minute, so monitoring must be by the minute."
  }

  assert {
    condition = (
      aws_launch_template.origin.image_id == "ami-00000000000000abc" &&
      aws_launch_template.origin.instance_type == "m7gd.large"
    )
    error_message = "Without ami_id the newest image of the name must be taken, and by default a small type with a disk."
  }

  assert {
    condition     = aws_launch_template.origin.update_default_version
    error_message = "Who launches from the template by hand must get the current version."
  }
}

run "the_disk_of_the_type_holds_the_blocks" {
  command = apply

  module {
    source = "./modules/origin"
  }

  assert {
    condition = (
      length(aws_launch_template.origin.block_device_mappings) == 1 &&
      aws_launch_template.origin.block_device_mappings[0].device_name == "/dev/xvda" &&
      aws_launch_template.origin.block_device_mappings[0].ebs[0].volume_size == 16 &&
      aws_launch_template.origin.block_device_mappings[0].ebs[0].iops == 3000 &&
      aws_launch_template.origin.block_device_mappings[0].ebs[0].throughput == 125
    )
    error_message = "With an instance store the root volume holds the system only, with explicit figures (fact 92)."
  }

  assert {
    condition = (
      aws_launch_template.origin.block_device_mappings[0].ebs[0].encrypted == "true" &&
      aws_launch_template.origin.block_device_mappings[0].ebs[0].volume_type == "gp3" &&
      aws_launch_template.origin.block_device_mappings[0].ebs[0].delete_on_termination == "true"
    )
    error_message = "The root volume must be gp3, encrypted, and go with the instance."
  }
}

run "a_named_image_and_a_volume_for_blocks" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    ami_id             = "ami-0123456789abcdef0"
    instance_type      = "c7gn.2xlarge"
    block_cache        = { kind = "gp3", size_gib = 200, iops = 6000, throughput = 1000 }
    volume_kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000001"
  }

  assert {
    condition = (
      aws_launch_template.origin.image_id == "ami-0123456789abcdef0" &&
      aws_launch_template.origin.instance_type == "c7gn.2xlarge"
    )
    error_message = "A named image and type must be taken."
  }

  assert {
    condition = (
      aws_launch_template.origin.block_device_mappings[0].ebs[0].volume_size == 216 &&
      aws_launch_template.origin.block_device_mappings[0].ebs[0].iops == 6000 &&
      aws_launch_template.origin.block_device_mappings[0].ebs[0].throughput == 1000 &&
      aws_launch_template.origin.block_device_mappings[0].ebs[0].kms_key_id == "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000001"
    )
    error_message = "With gp3 the blocks' room comes on top of the system's, with the figures that were asked for."
  }

  # 25 Gb/s (fact 91): 65 % of it, in bytes of a minute.
  assert {
    condition     = output.network_out_target_bytes == 121875000000
    error_message = "The target must follow the type's baseline."
  }
}

run "user_data_says_what_the_image_reads" {
  command = apply

  module {
    source = "./modules/origin"
  }

  variables {
    environment       = { HEADWATER_ACCESS_LOG = "json", HEADWATER_THREADS = "2" }
    origin_secret_arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:updates-origin-AbCdEf"
  }

  assert {
    condition = output.user_data == join("\n", [
      "# What this instance of updates-origin serves, read by headwater-configure at each boot.",
      "AWS_REGION=eu-central-1",
      "HEADWATER_ACCESS_LOG=json",
      "HEADWATER_ASG=updates-origin",
      "HEADWATER_CACHE=auto",
      "HEADWATER_LIFECYCLE_HOOK=updates-drain",
      "HEADWATER_ORIGIN_SECRET_HEADER=x-origin-secret",
      "HEADWATER_SECRET_ARN=arn:aws:secretsmanager:eu-central-1:123456789012:secret:updates-origin-AbCdEf",
      "HEADWATER_STORE=s3://updates-store/prod/eu",
      "HEADWATER_THREADS=2",
      "",
    ])
    error_message = "User data must be a comment and lines of KEY=VALUE, as the image contract says."
  }

  assert {
    condition     = base64decode(aws_launch_template.origin.user_data) == output.user_data
    error_message = "What the output shows must be what instances get."
  }
}

run "without_a_secret_none_is_named" {
  command = plan

  module {
    source = "./modules/origin"
  }

  assert {
    condition     = !strcontains(output.user_data, "SECRET")
    error_message = "An origin without a secret must not be told of one."
  }
}

# ---- What an instance may do ----------------------------------------------------------------------------------------

run "an_instance_may_only_read" {
  command = apply

  module {
    source = "./modules/origin"
  }

  variables {
    origin_secret_arn         = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:updates-origin-AbCdEf"
    origin_secret_kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000002"

    store = {
      bucket_arn  = "arn:aws:s3:::updates-store"
      location    = "s3://updates-store/prod/eu"
      kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000001"
    }
  }

  # Everything that the role may do at all, in both policies.
  assert {
    condition = toset(flatten([
      for policy in [aws_iam_role_policy.read.policy, aws_iam_role_policy.complete_lifecycle.policy] : [
        for statement in jsondecode(policy).Statement : statement.Action
      ]
      ])) == toset([
      "s3:GetObject", "s3:ListBucket", "kms:Decrypt", "secretsmanager:GetSecretValue",
      "autoscaling:CompleteLifecycleAction", "autoscaling:RecordLifecycleActionHeartbeat",
    ])
    error_message = "An instance may read and say that it has drained, nothing else."
  }

  assert {
    condition = (
      jsondecode(aws_iam_role_policy.read.policy).Statement[0].Action == ["s3:GetObject"] &&
      jsondecode(aws_iam_role_policy.read.policy).Statement[0].Resource == [
        "arn:aws:s3:::updates-store/prod/eu/artifacts/*",
        "arn:aws:s3:::updates-store/prod/eu/channels/*",
      ]
    )
    error_message = "Objects must be read below the store's prefix, artifacts and channels alone."
  }

  # Missing artifacts and channels are 404 only when their own keys match; "prod/eu/.headwater/" is what /readyz lists.
  assert {
    condition = (
      jsondecode(aws_iam_role_policy.read.policy).Statement[1].Action == ["s3:ListBucket"] &&
      jsondecode(aws_iam_role_policy.read.policy).Statement[1].Resource == ["arn:aws:s3:::updates-store"] &&
      jsondecode(aws_iam_role_policy.read.policy).Statement[1].Condition.StringLike["s3:prefix"] == ["prod/eu/.headwater/", "prod/eu/artifacts/*", "prod/eu/channels/*"]
    )
    error_message = "Listing must end at the store's prefix, and cover what is missing below it."
  }

  assert {
    condition     = jsondecode(aws_iam_role_policy.read.policy).Statement[2].Resource == ["arn:aws:secretsmanager:eu-central-1:123456789012:secret:updates-origin-AbCdEf"]
    error_message = "The one secret must be readable, no other."
  }

  assert {
    condition = {
      for statement in jsondecode(aws_iam_role_policy.read.policy).Statement :
      statement.Condition.StringEquals["kms:ViaService"] => statement.Resource[0] if statement.Action == ["kms:Decrypt"]
      } == {
      "s3.eu-central-1.amazonaws.com"             = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000001"
      "secretsmanager.eu-central-1.amazonaws.com" = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000002"
    }
    error_message = "Each key must be usable through its own service only."
  }

  assert {
    condition = jsondecode(aws_iam_role_policy.complete_lifecycle.policy).Statement[0].Resource == [
      "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/updates-origin",
    ]
    error_message = "An instance may speak for its own group only."
  }

  assert {
    condition     = jsondecode(aws_iam_role.origin.assume_role_policy).Statement[0].Principal == { Service = "ec2.amazonaws.com" }
    error_message = "Only EC2 may hand the role out."
  }

  assert {
    condition     = length(aws_iam_role_policy_attachment.ssm) == 0
    error_message = "Sessions by Systems Manager must be asked for."
  }
}

run "a_store_at_the_top_of_its_bucket" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    store = { bucket_arn = "arn:aws:s3:::updates-store", location = "s3://updates-store" }
  }

  assert {
    condition = (
      jsondecode(aws_iam_role_policy.read.policy).Statement[0].Resource == ["arn:aws:s3:::updates-store/artifacts/*", "arn:aws:s3:::updates-store/channels/*"] &&
      jsondecode(aws_iam_role_policy.read.policy).Statement[1].Condition.StringLike["s3:prefix"] == [".headwater/", "artifacts/*", "channels/*"]
    )
    error_message = "Without a prefix the folders are at the top of the bucket."
  }

  assert {
    condition     = length(jsondecode(aws_iam_role_policy.read.policy).Statement) == 2
    error_message = "Without keys and secret there is nothing else to read."
  }
}

run "operators_may_be_let_in" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    ssm_enabled          = true
    permissions_boundary = "arn:aws:iam::123456789012:policy/boundary"
  }

  assert {
    condition     = aws_iam_role_policy_attachment.ssm[0].policy_arn == "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
    error_message = "Sessions must come by Systems Manager."
  }

  assert {
    condition     = aws_iam_role.origin.permissions_boundary == "arn:aws:iam::123456789012:policy/boundary"
    error_message = "The boundary must reach the role."
  }
}
