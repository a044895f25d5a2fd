# What AWS would answer, for every test: well-formed values where a generated word would not pass for an ARN, a host
# name or a document. Owns the example account (123456789012) and its Region (eu-central-1).
# Never a value that a test is about: such a test overrides it in its own file, where it can be seen.

# ---- Who and where --------------------------------------------------------------------------------------------------

mock_data "aws_caller_identity" {
  defaults = {
    account_id = "123456789012"
    arn        = "arn:aws:iam::123456789012:role/operator"
    user_id    = "AROAEXAMPLE:operator"
  }
}

mock_data "aws_partition" {
  defaults = {
    partition          = "aws"
    dns_suffix         = "amazonaws.com"
    reverse_dns_prefix = "com.amazonaws"
  }
}

mock_data "aws_region" {
  defaults = {
    region      = "eu-central-1"
    name        = "eu-central-1"
    description = "Europe (Frankfurt)"
  }
}

mock_data "aws_availability_zones" {
  defaults = {
    names    = ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
    zone_ids = ["euc1-az2", "euc1-az3", "euc1-az1"]
  }
}

mock_data "aws_iam_policy_document" {
  defaults = {
    json          = "{\"Version\":\"2012-10-17\",\"Statement\":[]}"
    minified_json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}"
  }
}

# ---- Network --------------------------------------------------------------------------------------------------------

mock_data "aws_vpc" {
  defaults = {
    id         = "vpc-0123456789abcdef0"
    arn        = "arn:aws:ec2:eu-central-1:123456789012:vpc/vpc-0123456789abcdef0"
    cidr_block = "10.20.0.0/16"
  }
}

mock_data "aws_subnet" {
  defaults = {
    vpc_id               = "vpc-0123456789abcdef0"
    availability_zone    = "eu-central-1a"
    availability_zone_id = "euc1-az2"
    cidr_block           = "10.20.0.0/24"
  }
}

mock_data "aws_security_group" {
  defaults = {
    id     = "sg-0123456789abcdef0"
    arn    = "arn:aws:ec2:eu-central-1:123456789012:security-group/sg-0123456789abcdef0"
    vpc_id = "vpc-0123456789abcdef0"
    name   = "CloudFront-VPCOrigins-Service-SG"
  }
}

mock_data "aws_ec2_managed_prefix_list" {
  defaults = {
    id   = "pl-0123456789abcdef0"
    arn  = "arn:aws:ec2:eu-central-1:aws:prefix-list/pl-0123456789abcdef0"
    name = "com.amazonaws.global.cloudfront.origin-facing"
  }
}

mock_data "aws_prefix_list" {
  defaults = {
    id = "pl-0fedcba9876543210"
  }
}

mock_resource "aws_vpc" {
  defaults = {
    id                        = "vpc-0123456789abcdef0"
    arn                       = "arn:aws:ec2:eu-central-1:123456789012:vpc/vpc-0123456789abcdef0"
    default_security_group_id = "sg-00000000000000def"
  }
}

mock_resource "aws_security_group" {
  defaults = {
    arn = "arn:aws:ec2:eu-central-1:123456789012:security-group/sg-0123456789abcdef0"
  }
}

mock_resource "aws_subnet" {
  defaults = {
    arn                  = "arn:aws:ec2:eu-central-1:123456789012:subnet/subnet-0123456789abcdef0"
    availability_zone_id = "euc1-az2"
  }
}

mock_resource "aws_flow_log" {
  defaults = {
    arn = "arn:aws:ec2:eu-central-1:123456789012:vpc-flow-log/fl-0123456789abcdef0"
  }
}

mock_resource "aws_vpc_endpoint" {
  defaults = {
    arn            = "arn:aws:ec2:eu-central-1:123456789012:vpc-endpoint/vpce-0123456789abcdef0"
    prefix_list_id = "pl-0fedcba9876543210"
  }
}

# ---- Load balancer and instances --------------------------------------------------------------------------------------

mock_data "aws_ami" {
  defaults = {
    id               = "ami-0123456789abcdef0"
    arn              = "arn:aws:ec2:eu-central-1::image/ami-0123456789abcdef0"
    architecture     = "arm64"
    name             = "headwater-debian-12-arm64-20261122"
    root_device_name = "/dev/xvda"
  }
}

mock_data "aws_lb" {
  defaults = {
    arn             = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/application/0123456789abcdef"
    arn_suffix      = "app/application/0123456789abcdef"
    dns_name        = "application-0123456789.eu-central-1.elb.amazonaws.com"
    zone_id         = "Z215JYRZR1TBD5"
    vpc_id          = "vpc-0123456789abcdef0"
    internal        = true
    idle_timeout    = 60
    security_groups = ["sg-0123456789abcdef0"]
    subnets         = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
  }
}

mock_data "aws_lb_listener" {
  defaults = {
    arn      = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:listener/app/application/0123456789abcdef/0123456789abcdef"
    port     = 443
    protocol = "HTTPS"
  }
}

mock_resource "aws_lb" {
  defaults = {
    id         = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/headwater/0123456789abcdef"
    arn        = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/headwater/0123456789abcdef"
    arn_suffix = "app/headwater/0123456789abcdef"
    dns_name   = "headwater-0123456789.eu-central-1.elb.amazonaws.com"
    zone_id    = "Z215JYRZR1TBD5"
  }
}

mock_resource "aws_lb_target_group" {
  defaults = {
    id         = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/headwater/0123456789abcdef"
    arn        = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/headwater/0123456789abcdef"
    arn_suffix = "targetgroup/headwater/0123456789abcdef"
  }
}

mock_resource "aws_lb_listener" {
  defaults = {
    id  = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:listener/app/headwater/0123456789abcdef/0123456789abcdef"
    arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:listener/app/headwater/0123456789abcdef/0123456789abcdef"
  }
}

mock_resource "aws_lb_listener_rule" {
  defaults = {
    arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:listener-rule/app/headwater/0123456789abcdef/0123456789abcdef/0123456789abcdef"
  }
}

mock_resource "aws_lb_trust_store" {
  defaults = {
    arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:truststore/headwater/0123456789abcdef"
  }
}

mock_resource "aws_launch_template" {
  defaults = {
    id             = "lt-0123456789abcdef0"
    arn            = "arn:aws:ec2:eu-central-1:123456789012:launch-template/lt-0123456789abcdef0"
    latest_version = 7
  }
}

mock_resource "aws_autoscaling_group" {
  defaults = {
    arn = "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:00000000-0000-0000-0000-000000000000:autoScalingGroupName/headwater"
  }
}

mock_resource "aws_autoscaling_policy" {
  defaults = {
    arn = "arn:aws:autoscaling:eu-central-1:123456789012:scalingPolicy:00000000-0000-0000-0000-000000000000:autoScalingGroupName/headwater:policyName/headwater"
  }
}

# ---- Identities and keys ----------------------------------------------------------------------------------------------

mock_resource "aws_iam_role" {
  defaults = {
    arn       = "arn:aws:iam::123456789012:role/headwater"
    unique_id = "AROAEXAMPLE"
  }
}

mock_resource "aws_iam_policy" {
  defaults = {
    arn = "arn:aws:iam::123456789012:policy/headwater"
  }
}

mock_resource "aws_iam_instance_profile" {
  defaults = {
    arn = "arn:aws:iam::123456789012:instance-profile/headwater"
  }
}

mock_resource "aws_iam_openid_connect_provider" {
  defaults = {
    arn = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
  }
}

mock_data "aws_iam_openid_connect_provider" {
  defaults = {
    arn = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
  }
}

mock_resource "aws_kms_key" {
  defaults = {
    arn    = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
    key_id = "00000000-0000-0000-0000-000000000000"
  }
}

mock_data "aws_kms_key" {
  defaults = {
    arn = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
  }
}

mock_data "aws_kms_alias" {
  defaults = {
    target_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
  }
}

mock_resource "aws_secretsmanager_secret" {
  defaults = {
    id  = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:headwater-origin-AbCdEf"
    arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:headwater-origin-AbCdEf"
  }
}

mock_resource "aws_secretsmanager_secret_version" {
  defaults = {
    arn        = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:headwater-origin-AbCdEf"
    secret_arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:headwater-origin-AbCdEf"
    version_id = "00000000-0000-0000-0000-000000000000"
  }
}

mock_data "aws_secretsmanager_secret" {
  defaults = {
    arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:headwater-origin-AbCdEf"
  }
}

mock_data "aws_secretsmanager_secret_version" {
  defaults = {
    secret_string = "{\"current\":\"example-value-that-is-current\",\"previous\":\"example-value-that-is-previous\"}"
    version_id    = "00000000-0000-0000-0000-000000000000"
  }
}

mock_data "aws_secretsmanager_random_password" {
  defaults = {
    random_password = "example-value-that-is-current"
  }
}

# ---- Store --------------------------------------------------------------------------------------------------------------

mock_resource "aws_s3_bucket" {
  defaults = {
    arn                         = "arn:aws:s3:::headwater-example"
    bucket_domain_name          = "headwater-example.s3.amazonaws.com"
    bucket_regional_domain_name = "headwater-example.s3.eu-central-1.amazonaws.com"
    hosted_zone_id              = "Z21DNDUVLTQW6Q"
  }
}

mock_data "aws_s3_bucket" {
  defaults = {
    arn                         = "arn:aws:s3:::headwater-example"
    bucket_regional_domain_name = "headwater-example.s3.eu-central-1.amazonaws.com"
  }
}

mock_data "aws_canonical_user_id" {
  defaults = {
    id = "0000000000000000000000000000000000000000000000000000000000000000"
  }
}

mock_data "aws_cloudfront_log_delivery_canonical_user_id" {
  defaults = {
    id = "c4c1ede66af53448b93c283ce9448c4ba468c9432aa01d700d3878632f77d2d0"
  }
}

# ---- Edge ---------------------------------------------------------------------------------------------------------------

mock_resource "aws_cloudfront_distribution" {
  defaults = {
    id             = "E2EXAMPLE"
    arn            = "arn:aws:cloudfront::123456789012:distribution/E2EXAMPLE"
    domain_name    = "d111111abcdef8.cloudfront.net"
    hosted_zone_id = "Z2FDTNDATAQYW2"
    etag           = "E1EXAMPLE"
  }
}

mock_resource "aws_cloudfront_vpc_origin" {
  defaults = {
    id  = "vo_example"
    arn = "arn:aws:cloudfront::123456789012:vpcorigin/vo_example"
  }
}

mock_resource "aws_cloudfront_function" {
  defaults = {
    arn = "arn:aws:cloudfront::123456789012:function/headwater"
  }
}

mock_resource "aws_cloudfront_cache_policy" {
  defaults = {
    arn = "arn:aws:cloudfront::123456789012:cache-policy/00000000-0000-0000-0000-000000000000"
  }
}

mock_resource "aws_cloudfront_origin_request_policy" {
  defaults = {
    arn = "arn:aws:cloudfront::123456789012:origin-request-policy/00000000-0000-0000-0000-000000000000"
  }
}

mock_resource "aws_cloudfront_response_headers_policy" {
  defaults = {
    arn = "arn:aws:cloudfront::123456789012:response-headers-policy/00000000-0000-0000-0000-000000000000"
  }
}

mock_resource "aws_cloudfront_origin_access_control" {
  defaults = {
    arn = "arn:aws:cloudfront::123456789012:origin-access-control/E3EXAMPLE"
  }
}

mock_resource "aws_cloudfront_key_value_store" {
  defaults = {
    arn = "arn:aws:cloudfront::123456789012:key-value-store/00000000-0000-0000-0000-000000000000"
  }
}

mock_resource "aws_cloudfront_continuous_deployment_policy" {
  defaults = {
    arn = "arn:aws:cloudfront::123456789012:continuous-deployment-policy/00000000-0000-0000-0000-000000000000"
  }
}

# A policy that CloudFront manages, found by its name: no test may depend on its id.
mock_data "aws_cloudfront_cache_policy" {
  defaults = {
    id = "managed-cache-policy-found-by-name"
  }
}

mock_data "aws_cloudfront_origin_request_policy" {
  defaults = {
    id = "managed-origin-request-policy-found-by-name"
  }
}

mock_data "aws_cloudfront_response_headers_policy" {
  defaults = {
    id = "managed-response-headers-policy-found-by-name"
  }
}

mock_resource "aws_wafv2_web_acl" {
  defaults = {
    arn = "arn:aws:wafv2:us-east-1:123456789012:global/webacl/headwater/00000000-0000-0000-0000-000000000000"
  }
}

mock_resource "aws_acm_certificate" {
  defaults = {
    id  = "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"
    arn = "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"

    # Of every name that a test asks a certificate for: AWS answers with those that were asked.
    domain_validation_options = [
      {
        domain_name           = "updates.example.com"
        resource_record_name  = "_0123456789abcdef.updates.example.com."
        resource_record_type  = "CNAME"
        resource_record_value = "_fedcba9876543210.acm-validations.aws."
      },
      {
        domain_name           = "origin.example.com"
        resource_record_name  = "_0123456789abcdef.origin.example.com."
        resource_record_type  = "CNAME"
        resource_record_value = "_fedcba9876543210.acm-validations.aws."
      },
      {
        domain_name           = "origin.updates.example.com"
        resource_record_name  = "_0123456789abcdef.origin.updates.example.com."
        resource_record_type  = "CNAME"
        resource_record_value = "_fedcba9876543210.acm-validations.aws."
      },
    ]
  }
}

mock_resource "aws_acm_certificate_validation" {
  defaults = {
    certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"
  }
}

mock_data "aws_acm_certificate" {
  defaults = {
    arn = "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"
  }
}

mock_data "aws_route53_zone" {
  defaults = {
    zone_id = "Z0123456789EXAMPLE"
    name    = "example.com"
    arn     = "arn:aws:route53:::hostedzone/Z0123456789EXAMPLE"
  }
}

# ---- Observation --------------------------------------------------------------------------------------------------------

mock_resource "aws_cloudwatch_log_group" {
  defaults = {
    arn = "arn:aws:logs:eu-central-1:123456789012:log-group:headwater"
  }
}

mock_resource "aws_cloudwatch_log_delivery_source" {
  defaults = {
    arn = "arn:aws:logs:us-east-1:123456789012:delivery-source:headwater"
  }
}

mock_resource "aws_cloudwatch_log_delivery_destination" {
  defaults = {
    arn = "arn:aws:logs:us-east-1:123456789012:delivery-destination:headwater"
  }
}

mock_resource "aws_cloudwatch_log_delivery" {
  defaults = {
    id  = "EXAMPLEdelivery01"
    arn = "arn:aws:logs:us-east-1:123456789012:delivery:EXAMPLEdelivery01"
  }
}

mock_resource "aws_cloudwatch_metric_alarm" {
  defaults = {
    arn = "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:headwater"
  }
}

mock_resource "aws_cloudwatch_composite_alarm" {
  defaults = {
    arn = "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:headwater"
  }
}

mock_resource "aws_cloudwatch_dashboard" {
  defaults = {
    dashboard_arn = "arn:aws:cloudwatch::123456789012:dashboard/headwater"
  }
}

mock_resource "aws_cloudwatch_event_rule" {
  defaults = {
    arn = "arn:aws:events:eu-central-1:123456789012:rule/headwater"
  }
}

mock_resource "aws_cloudwatch_event_target" {
  defaults = {
    arn = "arn:aws:sns:eu-central-1:123456789012:headwater"
  }
}

mock_resource "aws_sns_topic" {
  defaults = {
    id  = "arn:aws:sns:eu-central-1:123456789012:headwater"
    arn = "arn:aws:sns:eu-central-1:123456789012:headwater"
  }
}

mock_resource "aws_sqs_queue" {
  defaults = {
    arn = "arn:aws:sqs:eu-central-1:123456789012:headwater"
    url = "https://sqs.eu-central-1.amazonaws.com/123456789012/headwater"
  }
}

mock_resource "aws_budgets_budget" {
  defaults = {
    arn = "arn:aws:budgets::123456789012:budget/headwater"
  }
}
