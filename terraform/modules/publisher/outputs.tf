# What a workflow and a reviewer need to know.

output "role_arn" {
  description = "The role, for `role-to-assume` of a workflow or AWS_ROLE_ARN."
  value       = aws_iam_role.publisher.arn
}

output "role_name" {
  description = "The role's name."
  value       = aws_iam_role.publisher.name
}

output "policy_json" {
  description = "What the role may do."
  value       = aws_iam_role_policy.publisher.policy
}

output "trust_json" {
  description = "Who may take the role on."
  value       = aws_iam_role.publisher.assume_role_policy
}
