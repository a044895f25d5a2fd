# What an instance may do: read the store, read one secret, say that it has drained. Owns the role; each policy is named
# for the one thing it grants. Never a write: an origin that is taken over can publish nothing.

locals {
  read_store = [
    {
      Sid    = "ReadObjects"
      Effect = "Allow"
      Action = ["s3:GetObject"]
      Resource = [
        "${var.store.bucket_arn}/${local.store_prefix}artifacts/*",
        "${var.store.bucket_arn}/${local.store_prefix}channels/*",
      ]
    },
    # why: with it S3 answers 404 for what is missing, without it 403, and the origin could not tell "not published"
    # from "not allowed". S3 compares the missing key itself with s3:prefix; the first value is the empty
    # folder that /readyz looks into.
    {
      Sid      = "TellMissingFromForbidden"
      Effect   = "Allow"
      Action   = ["s3:ListBucket"]
      Resource = [var.store.bucket_arn]
      Condition = {
        StringLike = {
          "s3:prefix" = [
            "${local.store_prefix}.headwater/",
            "${local.store_prefix}artifacts/*",
            "${local.store_prefix}channels/*",
          ]
        }
      }
    },
  ]

  read_secret = [
    for secret in var.origin_secret_arn == null ? [] : [var.origin_secret_arn] : {
      Sid      = "ReadTheOneSecret"
      Effect   = "Allow"
      Action   = ["secretsmanager:GetSecretValue"]
      Resource = [secret]
    }
  ]

  # why: each key through its own service only: the role cannot decrypt anything that it did not get from there.
  decrypt = [
    for service, key in { s3 = var.store.kms_key_arn, secretsmanager = var.origin_secret_kms_key_arn } : {
      Sid                    = "DecryptFrom${title(service)}"
      Effect                 = "Allow"
      Action                 = ["kms:Decrypt"]
      Resource               = [key]
      Condition              = { StringEquals = { "kms:ViaService" = "${service}.${local.region}.amazonaws.com" } }
    } if key != null
  ]

  # why: by name, since the group's id is not known before the group is, and its instances need this at once.
  complete_lifecycle = [{
    Sid    = "ReportTheDrain"
    Effect = "Allow"
    Action = ["autoscaling:CompleteLifecycleAction", "autoscaling:RecordLifecycleActionHeartbeat"]
    Resource = [join(":", [
      "arn", local.partition, "autoscaling", local.region, local.account_id, "autoScalingGroup", "*",
      "autoScalingGroupName/${local.autoscaling_group_name}",
    ])]
  }]
}

resource "aws_iam_role" "origin" {
  name                 = local.autoscaling_group_name
  description          = "Instances of the origin ${var.name}: read the store, nothing else"
  permissions_boundary = var.permissions_boundary

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ec2.amazonaws.com" }
    }]
  })

  tags = var.tags
}

resource "aws_iam_instance_profile" "origin" {
  name = local.autoscaling_group_name
  role = aws_iam_role.origin.name

  tags = var.tags
}

# why: one policy for all that is read. Counting a policy of its own for the secret by the secret's ARN would need that
# ARN before the secret is there.
resource "aws_iam_role_policy" "read" {
  name = "read"
  role = aws_iam_role.origin.id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = concat(local.read_store, local.read_secret, local.decrypt)
  })
}

resource "aws_iam_role_policy" "complete_lifecycle" {
  name   = "complete-lifecycle"
  role   = aws_iam_role.origin.id
  policy = jsonencode({ Version = "2012-10-17", Statement = local.complete_lifecycle })
}

# Sessions by Systems Manager instead of ssh: no key, no open port, and each one recorded.
resource "aws_iam_role_policy_attachment" "ssm" {
  count = var.ssm_enabled ? 1 : 0

  role       = aws_iam_role.origin.name
  policy_arn = "arn:${local.partition}:iam::aws:policy/AmazonSSMManagedInstanceCore"
}
