# The ways out: one for public subnets, none or a NAT gateway for private ones. Owns route tables.
# Never a route from the internet to an instance.

# why: always, also where nothing routes through it: CloudFront reaches a VPC origin only in a VPC that has an internet
# gateway attached; no route changes (fact 61).
resource "aws_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id

  tags = merge(var.tags, { Name = var.name })
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.this.id

  tags = merge(var.tags, { Name = "${var.name}-public" })
}

resource "aws_route" "internet" {
  route_table_id         = aws_route_table.public.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this.id
}

resource "aws_route_table_association" "public" {
  for_each = aws_subnet.public

  subnet_id      = each.value.id
  route_table_id = aws_route_table.public.id
}

# One for each zone whatever `nat` says, so that changing it moves no subnet from table to table.
resource "aws_route_table" "private" {
  for_each = aws_subnet.private

  vpc_id = aws_vpc.this.id

  tags = merge(var.tags, { Name = "${var.name}-private-${each.key}" })
}

resource "aws_route_table_association" "private" {
  for_each = aws_subnet.private

  subnet_id      = each.value.id
  route_table_id = aws_route_table.private[each.key].id
}

# why: a subnet that is made later and given no table gets this one, and with it no way out.
resource "aws_default_route_table" "closed" {
  default_route_table_id = aws_vpc.this.default_route_table_id

  route = []

  tags = merge(var.tags, { Name = "${var.name}-closed" })
}

locals {
  nat_zone_ids = {
    none   = []
    single = slice(local.zone_ids, 0, 1)
    per_az = local.zone_ids
  }[var.nat]
}

resource "aws_eip" "nat" {
  for_each = toset(local.nat_zone_ids)

  domain = "vpc"

  tags = merge(var.tags, { Name = "${var.name}-nat-${each.key}" })
}

resource "aws_nat_gateway" "this" {
  for_each = toset(local.nat_zone_ids)

  subnet_id     = aws_subnet.public[each.key].id
  allocation_id = aws_eip.nat[each.key].id

  tags = merge(var.tags, { Name = "${var.name}-${each.key}" })

  # The gateway cannot work before the way to the internet is there, and nothing else of it says so.
  depends_on = [aws_route.internet]
}

resource "aws_route" "nat" {
  for_each = var.nat == "none" ? toset([]) : toset(local.zone_ids)

  route_table_id         = aws_route_table.private[each.key].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.this[var.nat == "per_az" ? each.key : local.nat_zone_ids[0]].id
}
