# What others need of the secret. Owns references; never a value of the secret.

output "secret_arn" {
  description = "The secret; its value is JSON with `current` and `previous`. Known once a first value is in it."
  value       = aws_secretsmanager_secret.this.arn

  # why: whoever reads the value by this ARN must find one.
  depends_on = [aws_secretsmanager_secret_version.first]
}

output "header" {
  description = "The header in which the edge sends the secret."
  value       = var.header
}

output "policy_json" {
  description = "The resource policy of the secret, for review."
  value       = local.policy
}
