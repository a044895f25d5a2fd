# What differs between companies. Owns no rule: the composition refuses what is wrong, with its reason.

variable "region" {
  description = "Where the store and the origin are. The edge is everywhere."
  type        = string
  nullable    = false
}

variable "name" {
  description = "The beginning of every resource's name."
  type        = string
  default     = "headwater"
  nullable    = false
}

variable "domain" {
  description = "The Route 53 zone, the public name, and the name under which the edge asks the origin."
  type = object({
    zone_id     = string
    name        = string
    origin_name = string
  })
  nullable = false
}

variable "edge_enabled" {
  description = "Whether CloudFront stands in front."
  type        = bool
  default     = true
  nullable    = false
}

variable "restrict_to_service_security_group" {
  description = "False for the first apply, true for every later one (fact 62)."
  type        = bool
  default     = false
  nullable    = false
}

variable "ami_id" {
  description = "The image that Packer has made."
  type        = string
  nullable    = false
}

variable "products" {
  description = "The products, and who publishes each."
  type = map(object({
    github = optional(object({
      repository   = string
      refs         = optional(list(string), [])
      environments = optional(list(string), [])
    }))
    trusted_role_arns    = optional(list(string), [])
    max_session_duration = optional(number, 3600)
  }))
  nullable = false
}

variable "alarm_emails" {
  description = "Who is told when something is wrong."
  type        = list(string)
  nullable    = false
}

variable "event_emails" {
  description = "Who is told when a channel moves."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "budget_usd" {
  description = "Dollars a month above which somebody is told."
  type        = number
  nullable    = false
}
