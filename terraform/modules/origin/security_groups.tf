# Who may talk to whom: everybody or nobody to the load balancer, it alone to the instances, they to AWS alone.
# Never a rule for CloudFront: the edge module makes that one, so that it can do so for any load balancer.

resource "aws_security_group" "load_balancer" {
  name_prefix = "${var.name}-load-balancer-"
  description = "Load balancer of the origin"
  vpc_id      = var.vpc_id

  tags = merge(var.tags, { Name = "${var.name}-load-balancer" })

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_security_group" "instances" {
  name_prefix = "${var.name}-origin-"
  description = "Instances of the origin"
  vpc_id      = var.vpc_id

  tags = merge(var.tags, { Name = local.autoscaling_group_name })

  lifecycle {
    create_before_destroy = true
  }
}

# ---- To and from the load balancer ----------------------------------------------------------------------------------

# The world without an edge: every device comes directly.
resource "aws_vpc_security_group_ingress_rule" "public" {
  count = var.public_ingress ? 1 : 0

  security_group_id = aws_security_group.load_balancer.id
  description       = "Devices, without an edge"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = local.listener_port
  to_port           = local.listener_port

  tags = var.tags
}

# Bytes on one port, health on the other. Nobody but the load balancer reaches either, and nobody at all ssh.
resource "aws_vpc_security_group_egress_rule" "load_balancer" {
  for_each = local.instance_ports

  security_group_id            = aws_security_group.load_balancer.id
  description                  = "Instances, ${each.key}"
  referenced_security_group_id = aws_security_group.instances.id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value

  tags = var.tags
}

resource "aws_vpc_security_group_ingress_rule" "instances" {
  for_each = local.instance_ports

  security_group_id            = aws_security_group.instances.id
  description                  = "Load balancer, ${each.key}"
  referenced_security_group_id = aws_security_group.load_balancer.id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value

  tags = var.tags
}

locals {
  instance_ports = { data = local.data_port, admin = local.admin_port }
}

# ---- From the instances ---------------------------------------------------------------------------------------------
# Names, time and metadata need no rule: the resolver, the clock and IMDS of a VPC are not subject to security groups.

data "aws_ec2_managed_prefix_list" "s3" {
  name = "com.amazonaws.${local.region}.s3"
}

resource "aws_vpc_security_group_egress_rule" "s3" {
  security_group_id = aws_security_group.instances.id
  description       = "The store"
  prefix_list_id    = data.aws_ec2_managed_prefix_list.s3.id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443

  tags = var.tags
}

# why: by position, since the ids of groups that are made in the same apply are not known when resources are counted.
resource "aws_vpc_security_group_egress_rule" "endpoints" {
  count = length(var.egress_security_group_ids)

  security_group_id            = aws_security_group.instances.id
  description                  = "Endpoints of AWS services"
  referenced_security_group_id = var.egress_security_group_ids[count.index]
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443

  tags = var.tags
}

resource "aws_vpc_security_group_egress_rule" "ranges" {
  for_each = toset(var.egress_cidr_blocks)

  security_group_id = aws_security_group.instances.id
  description       = "AWS services without an endpoint"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443

  tags = var.tags
}
