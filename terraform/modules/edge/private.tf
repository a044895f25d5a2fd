# Who may read private channels: signed URLs or cookies, checked by CloudFront against public keys (fact 70).
# Owns the keys and their group. Never holds a private key: whoever signs keeps it.

resource "aws_cloudfront_public_key" "this" {
  for_each = var.private_channel_public_keys

  # why: a key cannot be changed, only replaced, and its name is unique in the account.
  name    = "${var.name}-${each.key}-${substr(sha256(trimspace(each.value)), 0, 8)}"
  comment = "Verifies signatures for private channels of ${var.name}"

  # why: AWS stores the key with a final line feed; without one here every plan would show a change.
  encoded_key = "${trimspace(each.value)}\n"

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_cloudfront_key_group" "private" {
  count = length(var.private_channel_public_keys) == 0 ? 0 : 1

  name    = "${var.name}-private"
  comment = "Whose signatures open private channels of ${var.name}"
  items   = [for key in aws_cloudfront_public_key.this : key.id]

  lifecycle {
    create_before_destroy = true
  }
}

locals {
  key_group_ids = aws_cloudfront_key_group.private[*].id

  # Without patterns of their own, keys close both kinds of paths.
  is_all_private = length(var.private_channel_public_keys) > 0 && length(var.private_path_patterns) == 0
}
