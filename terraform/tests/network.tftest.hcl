# The network: who can reach what, and which zones are used. Every promise of modules/network/README.md and every
# refusal. Never a real Region: zones are those of us-east-1, where one is excluded (fact 61).

mock_provider "aws" {
  source = "./tests/mocks"
}

override_data {
  target = data.aws_availability_zones.offered
  values = {
    zone_ids = ["use1-az6", "use1-az4", "use1-az3", "use1-az2", "use1-az1", "use1-az5"]
  }
}

override_data {
  target = data.aws_region.current
  values = { region = "us-east-1" }
}

override_data {
  target = data.aws_caller_identity.current
  values = { account_id = "123456789012" }
}

variables {
  name = "updates"
  tags = { team = "releases" }
}

run "defaults_are_two_closed_zones" {
  command = apply

  module {
    source = "./modules/network"
  }

  assert {
    condition     = output.private_availability_zone_ids == tolist(["use1-az1", "use1-az2"])
    error_message = "Zones must be the first two by id, not as AWS happens to list them."
  }

  assert {
    condition = (
      aws_subnet.private["use1-az1"].cidr_block == "10.20.0.0/20" &&
      aws_subnet.private["use1-az2"].cidr_block == "10.20.16.0/20" &&
      aws_subnet.public["use1-az1"].cidr_block == "10.20.128.0/20"
    )
    error_message = "Private subnets must be sixteenths from the first, public ones from the ninth."
  }

  assert {
    condition = alltrue([
      for subnet in concat(values(aws_subnet.private), values(aws_subnet.public)) : !subnet.map_public_ip_on_launch
    ])
    error_message = "No subnet may hand out public addresses."
  }

  assert {
    condition     = aws_internet_gateway.this.vpc_id == aws_vpc.this.id
    error_message = "A VPC origin needs an internet gateway on the VPC, also where nothing routes to it (fact 61)."
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 0 && length(aws_route.nat) == 0 && length(aws_eip.nat) == 0
    error_message = "By default private subnets must have no way to the internet."
  }

  assert {
    condition = (
      length(aws_default_security_group.closed.ingress) == 0 &&
      length(aws_default_security_group.closed.egress) == 0
    )
    error_message = "The default security group must have no rule."
  }

  assert {
    condition     = length(aws_default_route_table.closed.route) == 0
    error_message = "The default route table must lead nowhere."
  }

  assert {
    condition     = length(aws_flow_log.this) == 0
    error_message = "Flow logs are made only where a bucket is named."
  }

  assert {
    condition     = aws_vpc.this.enable_dns_support && aws_vpc.this.enable_dns_hostnames
    error_message = "Private DNS of the endpoints needs both DNS attributes."
  }

  assert {
    condition     = aws_vpc.this.tags["team"] == "releases" && aws_vpc.this.tags["Name"] == "updates"
    error_message = "Tags must reach the VPC, with a Name."
  }

  assert {
    condition = (
      length(output.private_subnet_ids) == 2 &&
      length(output.public_subnet_ids) == 2 &&
      length(setintersection(output.private_subnet_ids, output.public_subnet_ids)) == 0
    )
    error_message = "There must be two private and two public subnets, none both."
  }
}

run "services_are_reached_without_the_internet" {
  command = apply

  module {
    source = "./modules/network"
  }

  assert {
    condition = (
      aws_vpc_endpoint.s3.vpc_endpoint_type == "Gateway" &&
      aws_vpc_endpoint.s3.service_name == "com.amazonaws.us-east-1.s3" &&
      toset(aws_vpc_endpoint.s3.route_table_ids) == toset([for table in aws_route_table.private : table.id])
    )
    error_message = "S3 must be reached through the route tables of all private subnets."
  }

  assert {
    condition     = toset(keys(aws_vpc_endpoint.interface)) == toset(["secretsmanager", "autoscaling"])
    error_message = "Instances need Secrets Manager and Auto Scaling."
  }

  assert {
    condition = alltrue([
      for service, endpoint in aws_vpc_endpoint.interface :
      endpoint.private_dns_enabled &&
      endpoint.service_name == "com.amazonaws.us-east-1.${service}" &&
      endpoint.vpc_endpoint_type == "Interface" &&
      toset(endpoint.subnet_ids) == toset(output.private_subnet_ids) &&
      toset(endpoint.security_group_ids) == toset([output.endpoint_security_group_id])
    ])
    error_message = "Interface endpoints must answer to the services' own names in every private subnet."
  }

  assert {
    condition = alltrue([
      for rule in aws_vpc_security_group_ingress_rule.endpoints :
      rule.from_port == 443 && rule.to_port == 443 && rule.ip_protocol == "tcp" &&
      contains([for subnet in aws_subnet.private : subnet.cidr_block], rule.cidr_ipv4)
    ])
    error_message = "Endpoints must take HTTPS from private subnets, and nothing else."
  }
}

run "endpoints_carry_nothing_out" {
  command = apply

  module {
    source = "./modules/network"
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(aws_vpc_endpoint.s3.policy).Statement :
      toset(statement.Action) == toset(["s3:GetObject", "s3:ListBucket"]) &&
      statement.Condition.StringEquals["aws:PrincipalAccount"] == "123456789012" &&
      statement.Condition.StringEquals["aws:ResourceAccount"] == "123456789012"
    ])
    error_message = "Through the S3 endpoint principals of the account may read buckets of the account, and nothing else."
  }

  assert {
    condition = alltrue(flatten([
      for endpoint in aws_vpc_endpoint.interface : [
        for statement in jsondecode(endpoint.policy).Statement :
        statement.Condition.StringEquals["aws:PrincipalAccount"] == "123456789012"
      ]
    ]))
    error_message = "Endpoints must refuse principals of other accounts."
  }

  assert {
    condition     = jsondecode(aws_vpc_endpoint.interface["secretsmanager"].policy).Statement[0].Action == ["secretsmanager:GetSecretValue"]
    error_message = "Through the endpoint of Secrets Manager secrets are read, nothing else."
  }

  assert {
    condition = toset(jsondecode(aws_vpc_endpoint.interface["autoscaling"].policy).Statement[0].Action) == toset([
      "autoscaling:CompleteLifecycleAction", "autoscaling:RecordLifecycleActionHeartbeat",
    ])
    error_message = "Through the endpoint of Auto Scaling a drain is reported, nothing else."
  }
}

run "named_buckets_are_the_only_ones" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    s3_bucket_arns = ["arn:aws:s3:::updates-store"]
  }

  assert {
    condition     = jsondecode(aws_vpc_endpoint.s3.policy).Statement[0].Resource == ["arn:aws:s3:::updates-store", "arn:aws:s3:::updates-store/*"]
    error_message = "With s3_bucket_arns the endpoint must lead to these buckets alone."
  }
}

run "zones_without_vpc_origins_are_skipped" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    az_count = 4
  }

  assert {
    condition     = output.private_availability_zone_ids == tolist(["use1-az1", "use1-az2", "use1-az4", "use1-az5"])
    error_message = "use1-az3 offers no VPC origins and must be skipped (fact 61)."
  }

  assert {
    condition     = aws_subnet.private["use1-az1"].cidr_block == "10.20.0.0/20"
    error_message = "More zones must not move the subnets of the first ones."
  }
}

run "zones_can_be_pinned" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    zone_ids = ["use1-az6", "use1-az4"]
  }

  assert {
    condition     = output.private_availability_zone_ids == tolist(["use1-az6", "use1-az4"])
    error_message = "zone_ids must decide, in their order."
  }
}

run "one_nat_gateway_serves_all_zones" {
  command = apply

  module {
    source = "./modules/network"
  }

  variables {
    nat      = "single"
    az_count = 3
  }

  assert {
    condition = (
      length(aws_nat_gateway.this) == 1 &&
      length(aws_route.nat) == 3 &&
      length(output.nat_public_ips) == 1
    )
    error_message = "\"single\" must be one gateway that all private subnets lead to."
  }

  assert {
    condition     = alltrue([for gateway in aws_nat_gateway.this : contains(output.public_subnet_ids, gateway.subnet_id)])
    error_message = "NAT gateways must stand in public subnets."
  }
}

run "a_nat_gateway_for_each_zone" {
  command = apply

  module {
    source = "./modules/network"
  }

  variables {
    nat      = "per_az"
    az_count = 3
  }

  assert {
    condition = (
      length(aws_nat_gateway.this) == 3 &&
      alltrue([for id, route in aws_route.nat : route.nat_gateway_id == aws_nat_gateway.this[id].id])
    )
    error_message = "\"per_az\" must give each private subnet the gateway of its own zone."
  }
}

run "flow_logs_go_to_the_bucket" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    flow_logs = { bucket_arn = "arn:aws:s3:::updates-logs/vpc/" }
  }

  assert {
    condition = (
      aws_flow_log.this[0].log_destination == "arn:aws:s3:::updates-logs/vpc/" &&
      aws_flow_log.this[0].log_destination_type == "s3" &&
      aws_flow_log.this[0].traffic_type == "REJECT"
    )
    error_message = "Flow logs must go to the named bucket, refused traffic only unless told otherwise."
  }
}

# ---- What is refused ------------------------------------------------------------------------------------------------

run "a_name_with_capitals_is_refused" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    name = "Updates"
  }

  expect_failures = [var.name]
}

run "a_range_that_is_too_small_is_refused" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    cidr = "10.20.0.0/24"
  }

  expect_failures = [var.cidr]
}

run "a_range_that_starts_elsewhere_is_refused" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    cidr = "10.20.1.0/16"
  }

  expect_failures = [var.cidr]
}

run "one_zone_is_refused" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    az_count = 1
  }

  expect_failures = [var.az_count]
}

run "zone_ids_of_another_number_are_refused" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    zone_ids = ["use1-az1", "use1-az2", "use1-az4"]
  }

  expect_failures = [var.zone_ids]
}

run "zone_names_are_refused" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    zone_ids = ["us-east-1a", "us-east-1b"]
  }

  expect_failures = [var.zone_ids]
}

run "a_pinned_zone_without_vpc_origins_is_refused" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    zone_ids = ["use1-az1", "use1-az3"]
  }

  expect_failures = [var.zone_ids]
}

run "an_excluded_zone_by_name_is_refused" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    excluded_zone_ids = ["us-east-1e"]
  }

  expect_failures = [var.excluded_zone_ids]
}

run "too_few_zones_are_refused" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    az_count          = 4
    excluded_zone_ids = ["use1-az1", "use1-az2", "use1-az3"]
  }

  expect_failures = [data.aws_availability_zones.offered]
}

run "an_unknown_kind_of_nat_is_refused" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    nat = "instance"
  }

  expect_failures = [var.nat]
}

run "an_endpoint_that_no_instance_needs_is_refused" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    interface_endpoints = ["secretsmanager", "iam"]
  }

  expect_failures = [var.interface_endpoints]
}

run "objects_instead_of_buckets_are_refused" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    s3_bucket_arns = ["arn:aws:s3:::updates-store/*"]
  }

  expect_failures = [var.s3_bucket_arns]
}

run "flow_logs_without_a_bucket_are_refused" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    flow_logs = { bucket_arn = "updates-logs" }
  }

  expect_failures = [var.flow_logs]
}

run "flow_logs_of_an_unknown_kind_are_refused" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    flow_logs = { bucket_arn = "arn:aws:s3:::updates-logs", traffic_type = "DENY" }
  }

  expect_failures = [var.flow_logs]
}
