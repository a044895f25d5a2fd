# What modules/publisher is given.

output "provider_arn" {
  description = "The provider, for `oidc_provider_arn` of modules/publisher."
  value       = aws_iam_openid_connect_provider.github.arn
}
