# What is recorded of every request, and which metrics are measured. Owns neither the bucket nor what becomes of the
# records in it. Nothing here ran against AWS.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name          = "headwater"
  origin_region = "eu-central-1"

  origin = {
    load_balancer_arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/headwater/0123456789abcdef"
    domain_name       = "origin.example.com"
    security_group_id = "sg-0123456789abcdef0"
    vpc_id            = "vpc-0123456789abcdef0"
  }
}

run "every_request_is_recorded_in_columns" {
  command = apply

  module {
    source = "./modules/edge"
  }

  variables {
    access_logs = {
      bucket_arn = "arn:aws:s3:::headwater-example-logs"
      prefix     = "edge"
    }
  }

  assert {
    condition = (
      aws_cloudwatch_log_delivery_source.access["primary"].region == "us-east-1" &&
      aws_cloudwatch_log_delivery_destination.access[0].region == "us-east-1" &&
      aws_cloudwatch_log_delivery.access["primary"].region == "us-east-1"
    )
    error_message = "The delivery is not in us-east-1, where CloudFront's is (fact 82)."
  }

  assert {
    condition = (
      aws_cloudwatch_log_delivery_source.access["primary"].log_type == "ACCESS_LOGS" &&
      aws_cloudwatch_log_delivery_source.access["primary"].resource_arn == output.distribution_arn
    )
    error_message = "The distribution's access is not what is recorded."
  }

  assert {
    condition = (
      aws_cloudwatch_log_delivery_destination.access[0].output_format == "parquet" &&
      output.log_destination == "arn:aws:s3:::headwater-example-logs/edge"
    )
    error_message = "Records are not Parquet below the prefix of the bucket."
  }

  assert {
    condition = (
      aws_cloudwatch_log_delivery.access["primary"].delivery_source_name == aws_cloudwatch_log_delivery_source.access["primary"].name &&
      aws_cloudwatch_log_delivery.access["primary"].delivery_destination_arn == aws_cloudwatch_log_delivery_destination.access[0].arn
    )
    error_message = "Source and destination are not connected."
  }

  assert {
    condition = (
      aws_cloudwatch_log_delivery.access["primary"].s3_delivery_configuration[0].enable_hive_compatible_path &&
      aws_cloudwatch_log_delivery.access["primary"].s3_delivery_configuration[0].suffix_path == "{DistributionId}/{yyyy}/{MM}/{dd}/{HH}"
    )
    error_message = "Records are not partitioned by distribution and hour."
  }

  assert {
    condition = (
      length(setintersection(aws_cloudwatch_log_delivery.access["primary"].record_fields, ["c-ip", "x-forwarded-for", "cs(Cookie)", "cs-uri-query"])) == 0
    )
    error_message = "Devices can be told apart by their address, or signatures of private channels are recorded."
  }

  assert {
    condition = length(setsubtract([
      "cs-uri-stem", "sc-status", "sc-bytes", "x-edge-result-type", "x-edge-response-result-type", "sc-range-start", "sc-range-end",
      "time-to-first-byte", "x-edge-location", "cs(User-Agent)", "DistributionId",
    ], aws_cloudwatch_log_delivery.access["primary"].record_fields)) == 0
    error_message = "A field is missing that the runbook's questions need (fact 52)."
  }
}

run "metrics_can_be_left_out" {
  command = plan

  module {
    source = "./modules/edge"
  }

  variables {
    monitoring_subscription = false
  }

  assert {
    condition     = length(aws_cloudfront_monitoring_subscription.this) == 0
    error_message = "The paid metrics are on though switched off."
  }
}
