# How an instance leaves without cutting a download. Owns the hook; the image does what it waits for.
#
# In order: the group takes the instance out of the target group, which waits for requests under way (at most
# deregistration_delay); the hook holds it; the image sees that, stops the process, which finishes what is left (at most
# drain_seconds), and tells the group to go on. None for launching: an instance gets requests when /readyz says so.

locals {
  drain_hook = {
    lifecycle_transition = "autoscaling:EC2_INSTANCE_TERMINATING"
    heartbeat_timeout    = coalesce(var.lifecycle_heartbeat, max(var.deregistration_delay, var.drain_seconds) + 60)

    # why: an instance that can no longer say that it is done goes all the same. ABANDON would end it too, and skip the
    # hooks that others have added.
    default_result = "CONTINUE"
  }
}

# The same hook as initial_lifecycle_hook in scaling.tf: writing it again is a change of it, not a second one.
resource "aws_autoscaling_lifecycle_hook" "drain" {
  name                   = local.lifecycle_hook_name
  autoscaling_group_name = aws_autoscaling_group.origin.name
  lifecycle_transition   = local.drain_hook.lifecycle_transition
  heartbeat_timeout      = local.drain_hook.heartbeat_timeout
  default_result         = local.drain_hook.default_result
}
