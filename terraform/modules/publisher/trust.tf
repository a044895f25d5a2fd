# Who may publish: workflows of one repository on GitHub, roles of AWS, and nobody by a key.
#
# Owns the trust policy. Never trusts a whole account, organisation or repository: the subject names a branch, a tag or
# an environment, whose own rules say who may run there.

locals {
  issuer = "token.actions.githubusercontent.com"

  subjects = var.github == null ? [] : concat(
    [for ref in var.github.refs : "repo:${var.github.repository}:ref:${ref}"],
    [for environment in var.github.environments : "repo:${var.github.repository}:environment:${environment}"],
  )

  # The audience too: a token that the workflow asked for to show to somebody else must not open this.
  github_statements = [
    for provider in [var.oidc_provider_arn] : {
      Sid       = "WorkflowsOfOneRepository"
      Effect    = "Allow"
      Principal = { Federated = provider }
      Action    = "sts:AssumeRoleWithWebIdentity"
      Condition = {
        StringEquals = { "${local.issuer}:aud" = "sts.amazonaws.com" }
        StringLike   = { "${local.issuer}:sub" = local.subjects }
      }
    } if var.github != null
  ]

  role_statements = [
    for roles in [var.trusted_role_arns] : {
      Sid       = "RolesOfAws"
      Effect    = "Allow"
      Principal = { AWS = roles }
      Action    = "sts:AssumeRole"
    } if length(roles) > 0
  ]

  trust = {
    Version   = "2012-10-17"
    Statement = concat(local.github_statements, local.role_statements)
  }
}
