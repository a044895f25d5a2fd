mock_provider "aws" {
  source = "./tests/mocks"
}
variables {
  name                     = "headwater"
  region                   = "eu-central-1"
  distribution_id          = "E2QWRUHEXAMPLE"
  load_balancer_arn_suffix = "app/headwater/0123456789abcdef"
  target_group_arn_suffix  = "targetgroup/headwater/0123456789abcdef"
  autoscaling_group_name   = "headwater"
  bucket_name              = "example-updates"
}
run "plans" {
  command = plan
  module { source = "./modules/observability" }
}
