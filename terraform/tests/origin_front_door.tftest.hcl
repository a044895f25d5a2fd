# The front doors of the origin: a VPC origin, a secret behind the prefix list, certificates of both sides, and the
# world without an edge. Never what all of them share: origin.tftest.hcl.

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

override_data {
  target = data.aws_ec2_managed_prefix_list.s3
  values = { id = "pl-00000000000000053" }
}

override_resource {
  target = aws_lb.origin
  values = {
    arn        = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/updates-int/0123456789abcdef"
    arn_suffix = "app/updates-int/0123456789abcdef"
  }
}

override_resource {
  target = aws_lb_target_group.origin
  values = {
    arn        = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/updat-1/fedcba9876543210"
    arn_suffix = "targetgroup/updat-1/fedcba9876543210"
  }
}

override_resource {
  target = aws_launch_template.origin
  values = { id = "lt-00000000000000001", latest_version = 7 }
}

override_resource {
  target = aws_security_group.load_balancer
  values = { id = "sg-00000000000000a1b" }
}

override_resource {
  target = aws_security_group.instances
  values = { id = "sg-00000000000000005" }
}

variables {
  name                     = "updates"
  vpc_id                   = "vpc-00000000000000001"
  load_balancer_subnet_ids = ["subnet-00000000000000001", "subnet-00000000000000002"]
  instance_subnet_ids      = ["subnet-00000000000000003", "subnet-00000000000000004"]
  store                    = { bucket_arn = "arn:aws:s3:::updates-store", location = "s3://updates-store" }
}

# ---- A VPC origin ---------------------------------------------------------------------------------------------------

run "a_vpc_origin_with_a_certificate_is_https" {
  command = apply

  module {
    source = "./modules/origin"
  }

  variables {
    origin_mode     = "vpc"
    certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-0000-0000-000000000001"
  }

  assert {
    condition = (
      aws_lb_listener.origin.port == 443 && aws_lb_listener.origin.protocol == "HTTPS" &&
      aws_lb_listener.origin.certificate_arn == "arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-0000-0000-000000000001" &&
      aws_lb_listener.origin.ssl_policy == "ELBSecurityPolicy-TLS13-1-2-2021-06"
    )
    error_message = "With a certificate the listener must speak TLS, 1.2 included, which is CloudFront's newest (fact 51)."
  }

  assert {
    condition = (
      length(aws_lb_listener.origin.default_action) == 1 &&
      aws_lb_listener.origin.default_action[0].type == "forward" &&
      aws_lb_listener.origin.default_action[0].target_group_arn == aws_lb_target_group.origin.arn
    )
    error_message = "Behind a VPC origin every request goes to the instances."
  }

  assert {
    condition = (
      length(aws_lb_listener_rule.secret) == 0 &&
      length(aws_lb_listener.origin.mutual_authentication) == 0
    )
    error_message = "A VPC origin needs neither secret nor client certificate."
  }

  assert {
    condition     = length(data.aws_secretsmanager_secret_version.origin) == 0
    error_message = "A secret that no rule needs must not come into the state."
  }

  assert {
    condition     = aws_lb_listener.origin.routing_http_response_server_enabled == false
    error_message = "Answers must not say what serves them."
  }
}

run "a_vpc_origin_without_a_certificate_is_http" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    origin_mode = "vpc"
  }

  assert {
    condition = (
      aws_lb_listener.origin.port == 80 &&
      aws_lb_listener.origin.protocol == "HTTP" &&
      output.listener_port == 80
    )
    error_message = "Without a certificate the listener must be plain HTTP, inside the VPC."
  }

  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.public) == 0 && aws_lb.origin.internal
    error_message = "Plain HTTP must never be open to the world."
  }
}

# ---- A secret behind the prefix list --------------------------------------------------------------------------------

run "without_the_secret_the_answer_is_403" {
  command = apply

  module {
    source = "./modules/origin"
  }

  override_data {
    target = data.aws_secretsmanager_secret_version.origin
    values = { secret_string = "{\"current\":\"0123456789abcdef-current\",\"previous\":\"0123456789abcdef-previous\"}" }
  }

  variables {
    origin_mode       = "prefix_list_secret"
    internal          = false
    certificate_arn   = "arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-0000-0000-000000000001"
    origin_secret_arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:updates-origin-AbCdEf"
  }

  assert {
    condition = (
      length(aws_lb_listener.origin.default_action) == 1 &&
      aws_lb_listener.origin.default_action[0].type == "fixed-response" &&
      aws_lb_listener.origin.default_action[0].fixed_response[0].status_code == "403"
    )
    error_message = "A request without the secret must be answered 403 by the load balancer (fact 66)."
  }

  assert {
    condition = (
      aws_lb_listener_rule.secret[0].action[0].type == "forward" &&
      aws_lb_listener_rule.secret[0].action[0].target_group_arn == aws_lb_target_group.origin.arn
    )
    error_message = "A request with the secret must reach the instances."
  }

  assert {
    condition = alltrue([
      for condition in aws_lb_listener_rule.secret[0].condition :
      condition.http_header[0].http_header_name == "x-origin-secret" &&
      nonsensitive(toset(condition.http_header[0].values)) == toset(["0123456789abcdef-current", "0123456789abcdef-previous"])
    ]) && length(aws_lb_listener_rule.secret[0].condition) == 1
    error_message = "Both values of the secret must be accepted while it rotates, and nothing else."
  }

  assert {
    condition = (
      aws_lb.origin.internal == false &&
      aws_lb.origin.name == "updates-pub" &&
      length(aws_vpc_security_group_ingress_rule.public) == 0
    )
    error_message = "The load balancer has public addresses, but only the edge module opens it, to CloudFront's prefix list."
  }

  assert {
    condition     = aws_lb_listener.origin.protocol == "HTTPS"
    error_message = "A secret must not travel in the clear."
  }

  assert {
    condition = (
      strcontains(output.user_data, "HEADWATER_SECRET_ARN=arn:aws:secretsmanager:eu-central-1:123456789012:secret:updates-origin-AbCdEf\n") &&
      !strcontains(output.user_data, "0123456789abcdef")
    )
    error_message = "Instances get the name of the secret, never its value."
  }
}

run "one_value_before_the_first_rotation" {
  command = apply

  module {
    source = "./modules/origin"
  }

  override_data {
    target = data.aws_secretsmanager_secret_version.origin
    values = { secret_string = "{\"current\":\"0123456789abcdef-current\",\"previous\":\"\"}" }
  }

  variables {
    origin_mode          = "prefix_list_secret"
    internal             = false
    certificate_arn      = "arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-0000-0000-000000000001"
    origin_secret_arn    = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:updates-origin-AbCdEf"
    origin_secret_header = "x-edge-key"
  }

  assert {
    condition = alltrue([
      for condition in aws_lb_listener_rule.secret[0].condition :
      condition.http_header[0].http_header_name == "x-edge-key" &&
      nonsensitive(toset(condition.http_header[0].values)) == toset(["0123456789abcdef-current"])
    ])
    error_message = "An empty previous value must not be accepted, and the header must be the one that was named."
  }

  assert {
    condition     = strcontains(output.user_data, "\nHEADWATER_ORIGIN_SECRET_HEADER=x-edge-key\n")
    error_message = "Instances must look into the header that the edge sends, or they answer everybody 403."
  }
}

run "a_secret_that_is_not_json_is_refused" {
  command = plan

  module {
    source = "./modules/origin"
  }

  override_data {
    target = data.aws_secretsmanager_secret_version.origin
    values = { secret_string = "0123456789abcdef-current" }
  }

  variables {
    origin_mode       = "prefix_list_secret"
    internal          = false
    certificate_arn   = "arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-0000-0000-000000000001"
    origin_secret_arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:updates-origin-AbCdEf"
  }

  expect_failures = [aws_lb_listener_rule.secret]
}

run "a_secret_with_a_wildcard_is_refused" {
  command = plan

  module {
    source = "./modules/origin"
  }

  override_data {
    target = data.aws_secretsmanager_secret_version.origin
    values = { secret_string = "{\"current\":\"0123456789abcdef*\",\"previous\":\"\"}" }
  }

  variables {
    origin_mode       = "prefix_list_secret"
    internal          = false
    certificate_arn   = "arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-0000-0000-000000000001"
    origin_secret_arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:updates-origin-AbCdEf"
  }

  expect_failures = [aws_lb_listener_rule.secret]
}

# ---- Certificates of both sides -------------------------------------------------------------------------------------

run "the_origin_verifies_the_edge" {
  command = apply

  module {
    source = "./modules/origin"
  }

  variables {
    origin_mode          = "mtls"
    internal             = false
    certificate_arn      = "arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-0000-0000-000000000001"
    mtls_trust_store_arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:truststore/edge/0123456789abcdef"
  }

  assert {
    condition = (
      aws_lb_listener.origin.mutual_authentication[0].mode == "verify" &&
      aws_lb_listener.origin.mutual_authentication[0].trust_store_arn == "arn:aws:elasticloadbalancing:eu-central-1:123456789012:truststore/edge/0123456789abcdef" &&
      aws_lb_listener.origin.mutual_authentication[0].ignore_client_certificate_expiry == false
    )
    error_message = "The listener must verify the edge's certificate against the trust store, its expiry included (fact 67)."
  }

  assert {
    condition = (
      aws_lb_listener.origin.protocol == "HTTPS" &&
      aws_lb_listener.origin.default_action[0].type == "forward" &&
      length(aws_lb_listener_rule.secret) == 0
    )
    error_message = "Who has shown the certificate needs no secret."
  }

  assert {
    condition     = aws_lb.origin.internal == false && length(aws_vpc_security_group_ingress_rule.public) == 0
    error_message = "Only the edge module opens the load balancer."
  }
}

# ---- Without an edge ------------------------------------------------------------------------------------------------

run "without_an_edge_devices_come_directly" {
  command = apply

  module {
    source = "./modules/origin"
  }

  variables {
    internal        = false
    public_ingress  = true
    certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-0000-0000-000000000001"
    instance_type   = "c7gn.2xlarge"
    block_cache     = { kind = "gp3", size_gib = 200, iops = 6000, throughput = 1000 }
    min_size        = 6
    max_size        = 12
  }

  assert {
    condition = (
      aws_vpc_security_group_ingress_rule.public[0].cidr_ipv4 == "0.0.0.0/0" &&
      aws_vpc_security_group_ingress_rule.public[0].from_port == 443 &&
      aws_vpc_security_group_ingress_rule.public[0].to_port == 443 &&
      aws_vpc_security_group_ingress_rule.public[0].security_group_id == aws_security_group.load_balancer.id
    )
    error_message = "Without an edge everybody reaches the load balancer, by HTTPS alone."
  }

  assert {
    condition = alltrue([
      for rule in aws_vpc_security_group_ingress_rule.instances :
      rule.cidr_ipv4 == null && rule.referenced_security_group_id == aws_security_group.load_balancer.id
    ])
    error_message = "Instances stay closed to the world in every world."
  }

  assert {
    condition = (
      aws_lb.origin.internal == false &&
      aws_lb_listener.origin.default_action[0].type == "forward" &&
      aws_lb_listener.origin.port == 443
    )
    error_message = "Devices must reach the instances through the public load balancer."
  }

  assert {
    condition = (
      aws_autoscaling_group.origin.min_size == 6 &&
      aws_autoscaling_group.origin.max_size == 12 &&
      aws_autoscaling_group.origin.min_elb_capacity == 6
    )
    error_message = "The sizes must be the caller's."
  }

  assert {
    condition = (
      toset(aws_autoscaling_group.origin.vpc_zone_identifier) == toset(["subnet-00000000000000003", "subnet-00000000000000004"]) &&
      toset(aws_lb.origin.subnets) == toset(["subnet-00000000000000001", "subnet-00000000000000002"])
    )
    error_message = "Instances must stay in their private subnets."
  }
}

run "the_protocol_can_be_told_before_the_certificate_is_there" {
  command = plan

  module {
    source = "./modules/origin"
  }

  variables {
    origin_mode       = "vpc"
    listener_protocol = "HTTP"
    certificate_arn   = "arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-0000-0000-000000000001"
  }

  assert {
    condition = (
      aws_lb_listener.origin.protocol == "HTTP" &&
      aws_lb_listener.origin.port == 80 &&
      output.listener_protocol == "HTTP"
    )
    error_message = "listener_protocol must decide."
  }
}
