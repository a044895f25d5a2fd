# Owns the tags; everything else of the provider is GitHub's.

variable "tags" {
  description = "Tags of the provider."
  type        = map(string)
  default     = {}
  nullable    = false
}
