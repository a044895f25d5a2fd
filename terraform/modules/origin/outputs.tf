# What others build on: the edge and the names in front, the alarms beside, and what an instance is told.

# why: an edge that sends a new secret before the rule accepts it would be answered 403; whoever needs the load balancer
# waits until it listens as it should.
output "load_balancer_arn" {
  description = "The load balancer, for a VPC origin. Known when it listens, with the rule of the mode."
  value       = aws_lb.origin.arn

  depends_on = [
    aws_lb_listener.origin,
    aws_lb_listener_rule.secret,
  ]
}

output "load_balancer_arn_suffix" {
  description = "The load balancer as CloudWatch names it, app/NAME/ID."
  value       = aws_lb.origin.arn_suffix
}

output "load_balancer_dns_name" {
  description = "Host name of the load balancer."
  value       = aws_lb.origin.dns_name
}

output "load_balancer_zone_id" {
  description = "Hosted zone of that name, for alias records."
  value       = aws_lb.origin.zone_id
}

output "security_group_id" {
  description = "Security group of the load balancer, to which the edge adds its rule."
  value       = aws_security_group.load_balancer.id
}

output "instance_security_group_id" {
  description = "Security group of the instances."
  value       = aws_security_group.instances.id
}

output "target_group_arn" {
  description = "The target group."
  value       = aws_lb_target_group.origin.arn
}

output "target_group_arn_suffix" {
  description = "The target group as CloudWatch names it, targetgroup/NAME/ID."
  value       = aws_lb_target_group.origin.arn_suffix
}

output "listener_arn" {
  description = "The listener, for rules of others."
  value       = aws_lb_listener.origin.arn
}

output "listener_port" {
  description = "Port of the listener: 443, or 80 without a certificate."
  value       = local.listener_port
}

output "listener_protocol" {
  description = "\"HTTPS\" or \"HTTP\"."
  value       = local.listener_protocol
}

output "autoscaling_group_name" {
  description = "The Auto Scaling group."
  value       = aws_autoscaling_group.origin.name
}

output "lifecycle_hook_name" {
  description = "The hook that waits for a drain."
  value       = aws_autoscaling_lifecycle_hook.drain.name
}

output "lifecycle_heartbeat" {
  description = "Seconds that the hook waits between two signs of life."
  value       = aws_autoscaling_lifecycle_hook.drain.heartbeat_timeout
}

output "launch_template_id" {
  description = "The launch template."
  value       = aws_launch_template.origin.id
}

output "instance_role_arn" {
  description = "Role of the instances, for policies of buckets and keys."
  value       = aws_iam_role.origin.arn
}

output "instance_role_name" {
  description = "Name of that role."
  value       = aws_iam_role.origin.name
}

output "network_out_target_bytes" {
  description = "Bytes that an instance sends in a minute at which the group grows."
  value       = local.network_out_target_bytes
}

output "user_data" {
  description = "What an instance is told at boot, as text. No secret is in it."
  value       = local.user_data
}
