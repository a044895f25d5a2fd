# What others build on. Owns the order too: who uses a private subnet waits until its ways to AWS are there.

output "vpc_id" {
  description = "The VPC. Known when its internet gateway is attached, without which no VPC origin can be made (fact 61)."
  value       = aws_vpc.this.id

  depends_on = [aws_internet_gateway.this]
}

output "vpc_cidr" {
  description = "IPv4 range of the VPC."
  value       = var.cidr
}

# why: an instance that boots before the endpoints answer finds neither its store nor its secret.
output "private_subnet_ids" {
  description = "Subnets for instances and an internal load balancer, in the order of private_availability_zone_ids."
  value       = [for id in local.zone_ids : aws_subnet.private[id].id]

  depends_on = [
    aws_route.nat,
    aws_route_table_association.private,
    aws_vpc_endpoint.interface,
    aws_vpc_endpoint.s3,
    aws_vpc_security_group_ingress_rule.endpoints,
  ]
}

output "public_subnet_ids" {
  description = "Subnets for a load balancer on the internet, in the order of private_availability_zone_ids."
  value       = [for id in local.zone_ids : aws_subnet.public[id].id]

  depends_on = [
    aws_route.internet,
    aws_route_table_association.public,
  ]
}

output "private_availability_zone_ids" {
  description = "Zone ids of the subnets, none of them in excluded_zone_ids."
  value       = local.zone_ids
}

output "private_route_table_ids" {
  description = "Route tables of the private subnets, for further gateway endpoints or peerings."
  value       = [for id in local.zone_ids : aws_route_table.private[id].id]
}

output "s3_prefix_list_id" {
  description = "Prefix list of S3 in this Region, which security groups of instances let traffic out to."
  value       = aws_vpc_endpoint.s3.prefix_list_id
}

output "endpoint_security_group_id" {
  description = "Security group of the interface endpoints, which security groups of instances let traffic out to."
  value       = aws_security_group.endpoints.id
}

output "nat_public_ips" {
  description = "Addresses from which instances are seen on the internet; empty without NAT."
  value       = [for address in aws_eip.nat : address.public_ip]
}
