# The account's one provider for the tokens of GitHub's workflows. Apply it once for each account, not once for each
# product: IAM takes one provider for an issuer. Owns no role; modules/publisher says whose token opens what.

resource "aws_iam_openid_connect_provider" "github" {
  url            = "https://token.actions.githubusercontent.com"
  client_id_list = ["sts.amazonaws.com"]

  # No thumbprints: IAM checks this issuer's certificate against its own list of authorities.
  tags = merge({ Module = "publisher/oidc" }, var.tags)
}
