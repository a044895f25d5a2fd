# The function that sees every request before the cache. Owns its publication; the code is in terraform/functions, with
# tests of its own.

locals {
  function_hashes = {
    for variant, settings in local.variants : variant => substr(sha256(settings.function_code), 0, 8)
  }
}

resource "aws_cloudfront_function" "viewer_request" {
  for_each = local.variants

  # why: a function is replaced when its name changes, so that a new version starts with the distribution that names it.
  name    = "${var.name}-${each.key}-viewer-request-${local.function_hashes[each.key]}"
  comment = "Strips query strings, answers /, refuses what has no URL"
  runtime = "cloudfront-js-2.0"
  code    = each.value.function_code

  # Fact 72: only a published function can be associated.
  publish = true

  lifecycle {
    create_before_destroy = true

    precondition {
      # Fact 72. In bytes, which Terraform counts by way of base64 only: 10,240 of them are 13,656 characters.
      condition     = length(base64encode(each.value.function_code)) <= 13656
      error_message = "The function of the ${each.key} distribution is longer than CloudFront's limit of 10,240 bytes."
    }
  }
}
