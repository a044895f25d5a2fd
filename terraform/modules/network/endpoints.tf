# How private subnets reach AWS without the internet: S3 through the route tables, other services by interfaces.
# Owns what may be asked through them, as a second lock beside roles. Never grants anything by itself.

locals {
  # Credentials of another account, brought onto an instance, carry nothing out through these doors.
  own_principals = { StringEquals = { "aws:PrincipalAccount" = local.account_id } }

  s3_read = {
    Sid       = "ReadTheStore"
    Effect    = "Allow"
    Principal = "*"
    Action    = ["s3:GetObject", "s3:ListBucket"]
    Resource = var.s3_bucket_arns == null ? ["*"] : flatten([
      for arn in var.s3_bucket_arns : [arn, "${arn}/*"]
    ])
    Condition = {
      StringEquals = {
        "aws:PrincipalAccount" = local.account_id
        "aws:ResourceAccount"  = local.account_id
      }
    }
  }

  s3_policy = jsonencode({ Version = "2012-10-17", Statement = [local.s3_read] })

  # What instances ask of each service. The SSM agent's own protocol is not worth listing call by call.
  endpoint_actions = {
    autoscaling    = ["autoscaling:CompleteLifecycleAction", "autoscaling:RecordLifecycleActionHeartbeat"]
    ec2messages    = ["ec2messages:*"]
    logs           = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    monitoring     = ["cloudwatch:PutMetricData"]
    secretsmanager = ["secretsmanager:GetSecretValue"]
    ssm            = ["ssm:*"]
    ssmmessages    = ["ssmmessages:*"]
  }

  endpoint_policies = {
    for service in var.interface_endpoints : service => jsonencode({
      Version = "2012-10-17"
      Statement = [{
        Sid       = "OwnPrincipals"
        Effect    = "Allow"
        Principal = "*"
        Action    = local.endpoint_actions[service]
        Resource  = "*"
        Condition = local.own_principals
      }]
    })
  }
}

# why: a gateway endpoint costs nothing, neither by the hour nor by the byte, and every block of a cold cache comes this
# way.
resource "aws_vpc_endpoint" "s3" {
  vpc_id            = aws_vpc.this.id
  service_name      = "com.amazonaws.${local.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [for table in aws_route_table.private : table.id]
  policy            = local.s3_policy

  tags = merge(var.tags, { Name = "${var.name}-s3" })
}

resource "aws_vpc_endpoint" "interface" {
  for_each = var.interface_endpoints

  vpc_id              = aws_vpc.this.id
  service_name        = "com.amazonaws.${local.region}.${each.key}"
  vpc_endpoint_type   = "Interface"
  subnet_ids          = [for subnet in aws_subnet.private : subnet.id]
  security_group_ids  = [aws_security_group.endpoints.id]
  private_dns_enabled = true
  policy              = local.endpoint_policies[each.key]

  tags = merge(var.tags, { Name = "${var.name}-${each.key}" })
}

resource "aws_security_group" "endpoints" {
  name_prefix = "${var.name}-endpoints-"
  description = "Interfaces of AWS services"
  vpc_id      = aws_vpc.this.id

  tags = merge(var.tags, { Name = "${var.name}-endpoints" })

  lifecycle {
    create_before_destroy = true
  }
}

# Private subnets only: what stands in a public one has no business here.
resource "aws_vpc_security_group_ingress_rule" "endpoints" {
  for_each = local.private_cidrs

  security_group_id = aws_security_group.endpoints.id
  description       = "HTTPS from ${each.key}"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443

  tags = var.tags
}
