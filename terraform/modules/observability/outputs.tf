# What others need of watching. Names and ARNs of the log bucket are handed on only with its policy in place: a
# delivery that is set up before it is refused.

output "alarm_topic_arns" {
  description = "Topics of alarms by where they come from: `origin`, and with an edge `edge` (us-east-1)."
  value       = { for key, topic in aws_sns_topic.alarms : key => topic.arn }

  depends_on = [aws_sns_topic_policy.alarms]
}

output "release_topic_arn" {
  description = "The topic to subscribe to for moves of channels."
  value       = aws_sns_topic.releases.arn

  depends_on = [aws_sns_topic_policy.releases]
}

output "event_queue_arn" {
  description = "The queue of moves of channels, for programs; null without `event_queue`."
  value       = one(aws_sqs_queue.releases[*].arn)
}

output "event_queue_url" {
  description = "The same queue as its readers call it."
  value       = one(aws_sqs_queue.releases[*].url)
}

output "undelivered_queue_arn" {
  description = "Where messages are that could not be delivered or handled."
  value       = aws_sqs_queue.undelivered.arn
}

output "release_event_pattern" {
  description = "The event pattern of a channel's move, to build more rules on."
  value       = jsonencode(local.release_pattern)
}

output "purge_failure_event_pattern" {
  description = "The event pattern of a purge that CloudFront refused."
  value       = jsonencode(local.purge_pattern)
}

output "log_bucket_name" {
  description = "The bucket of access logs."
  value       = local.log_bucket_name

  depends_on = [aws_s3_bucket_policy.logs, aws_s3_bucket_ownership_controls.logs]
}

output "log_bucket_arn" {
  description = "The bucket of access logs, as an ARN."
  value       = local.log_bucket_arn

  depends_on = [aws_s3_bucket_policy.logs, aws_s3_bucket_ownership_controls.logs]
}

output "rollback_alarm_names" {
  description = "Alarms on which an instance refresh rolls back; plain names, so that the group need not wait for them."
  value       = local.rollback_alarm_names
}

output "dashboard_name" {
  description = "The dashboard."
  value       = aws_cloudwatch_dashboard.this.dashboard_name
}

output "dashboard_url" {
  description = "Where the dashboard is seen."
  value       = "https://${var.region}.console.aws.amazon.com/cloudwatch/home?region=${var.region}#dashboards/dashboard/${var.name}"
}

output "key_arns" {
  description = "The keys that topics are encrypted with, by topic; one more publisher needs to be let in there."
  value       = { for key, kms in aws_kms_key.topics : key => kms.arn }
}
