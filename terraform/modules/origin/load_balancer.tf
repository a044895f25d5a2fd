# The load balancer, the group of targets behind it, and the listener with the rule of the mode. Owns which requests
# reach an instance. Never lets anybody in: that is security_groups.tf, and for CloudFront the edge module.

locals {
  # why: a load balancer cannot change between internal and public, it is replaced, and for a moment there are two:
  # their names differ. 32 characters are allowed.
  load_balancer_name = "${trimsuffix(substr(var.name, 0, 28), "-")}-${var.internal ? "int" : "pub"}"

  # Six characters are allowed for a prefix, the rest is AWS's.
  target_group_name_prefix = "${trimsuffix(substr(var.name, 0, 5), "-")}-"

  # The two values that are accepted while the secret rotates (fact 66). Before the first rotation there is one.
  accepted_secrets = local.wants_secret_rule ? try(compact([
    jsondecode(data.aws_secretsmanager_secret_version.origin[0].secret_string).current,
    try(jsondecode(data.aws_secretsmanager_secret_version.origin[0].secret_string).previous, ""),
  ]), []) : []
}

resource "aws_lb" "origin" {
  name               = local.load_balancer_name
  load_balancer_type = "application"
  internal           = var.internal
  ip_address_type    = "ipv4"
  subnets            = var.load_balancer_subnet_ids
  security_groups    = [aws_security_group.load_balancer.id]

  # why: edge's keep-alive (60) <= this < origin's limits.idle_timeout (75): nobody writes into a connection that the
  # other side is closing (fact 85).
  idle_timeout      = var.idle_timeout
  client_keep_alive = var.client_keep_alive

  # why: what is not a header does not reach the origin, and requests that two servers would read in two ways are
  # refused or closed: no smuggling through the balancer (fact 84).
  drop_invalid_header_fields = true
  desync_mitigation_mode     = "defensive"
  xff_header_processing_mode = "append"

  enable_deletion_protection = var.deletion_protection

  # A zone in trouble can be taken out by an operator, without a plan.
  enable_zonal_shift = true

  # why: a balancer grows over minutes, a crowd comes in seconds (fact 87). Billed by the hour while it is reserved.
  dynamic "minimum_load_balancer_capacity" {
    for_each = var.load_balancer_capacity_units == null ? [] : [var.load_balancer_capacity_units]

    content {
      capacity_units = minimum_load_balancer_capacity.value
    }
  }

  dynamic "access_logs" {
    for_each = var.access_log_bucket == null ? [] : [var.access_log_bucket]

    content {
      enabled = true
      bucket  = access_logs.value
      prefix  = var.access_log_prefix
    }
  }

  tags = merge(var.tags, { Name = local.load_balancer_name })

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_lb_target_group" "origin" {
  name_prefix      = local.target_group_name_prefix
  vpc_id           = var.vpc_id
  target_type      = "instance"
  protocol         = "HTTP"
  protocol_version = "HTTP1"
  port             = local.data_port

  deregistration_delay          = var.deregistration_delay
  slow_start                    = var.slow_start
  load_balancing_algorithm_type = var.load_balancing_algorithm

  # why: readiness, on the listener that the world cannot reach. Two failures ten seconds apart take an instance out
  # within 20 s, which is how long a stopping process says 503 and still answers (server.drain_delay): it closes its
  # door after the balancer has looked away. The time-out is above the 1.5 s that /readyz itself gives the store.
  health_check {
    enabled             = true
    protocol            = "HTTP"
    port                = tostring(local.admin_port)
    path                = "/readyz"
    matcher             = "200"
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }

  # why: any instance serves any device; a cookie would also end collapsing at the edge (fact 26).
  stickiness {
    enabled = false
    type    = "lb_cookie"
  }

  # why: while S3 is away every instance says 503 and still serves what it has. With none healthy the balancer sends to
  # all of them; a higher number here would turn the loss of a few into that.
  target_group_health {
    unhealthy_state_routing {
      minimum_healthy_targets_count      = 1
      minimum_healthy_targets_percentage = "off"
    }

    dns_failover {
      minimum_healthy_targets_count      = "1"
      minimum_healthy_targets_percentage = "off"
    }
  }

  tags = merge(var.tags, { Name = local.autoscaling_group_name })

  lifecycle {
    create_before_destroy = true
    # why: a target group belongs to one load balancer; a new one gets a new group while the old pair still serves.
    replace_triggered_by = [aws_lb.origin.id]
  }
}

resource "aws_lb_listener" "origin" {
  load_balancer_arn = aws_lb.origin.arn
  protocol          = local.listener_protocol
  port              = local.listener_port
  certificate_arn   = local.is_https ? var.certificate_arn : null
  ssl_policy        = local.is_https ? var.ssl_policy : null

  # why: no need to tell the world what answers.
  routing_http_response_server_enabled = false

  # Whoever asks without the secret learns nothing, not even whether the origin runs (fact 66).
  dynamic "default_action" {
    for_each = local.wants_secret_rule ? [403] : []

    content {
      type = "fixed-response"

      fixed_response {
        content_type = "text/plain"
        message_body = "Forbidden"
        status_code  = tostring(default_action.value)
      }
    }
  }

  dynamic "default_action" {
    for_each = local.wants_secret_rule ? [] : [aws_lb_target_group.origin.arn]

    content {
      type             = "forward"
      target_group_arn = default_action.value
    }
  }

  # why: it is the origin's side that verifies the edge's certificate (fact 67); an expired one is refused too.
  dynamic "mutual_authentication" {
    for_each = local.verifies_clients ? [var.mtls_trust_store_arn] : []

    content {
      mode                             = "verify"
      trust_store_arn                  = mutual_authentication.value
      ignore_client_certificate_expiry = false
    }
  }

  tags = merge(var.tags, { Name = local.autoscaling_group_name })

  # The new load balancer of a changed mode listens before the old one stops.
  lifecycle {
    create_before_destroy = true
  }
}

# why: a rule compares with a value, so the value is in the state: keep the state where the secret may be (README).
data "aws_secretsmanager_secret_version" "origin" {
  count = local.wants_secret_rule ? 1 : 0

  secret_id = var.origin_secret_arn
}

resource "aws_lb_listener_rule" "secret" {
  count = local.wants_secret_rule ? 1 : 0

  listener_arn = aws_lb_listener.origin.arn
  priority     = 10

  action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.origin.arn
  }

  condition {
    http_header {
      http_header_name = var.origin_secret_header
      values           = local.accepted_secrets
    }
  }

  tags = merge(var.tags, { Name = "${var.name}-secret" })

  lifecycle {
    create_before_destroy = true

    precondition {
      condition     = length(local.accepted_secrets) > 0
      error_message = "The secret must be JSON {\"current\": \"…\", \"previous\": \"…\"} with a current value."
    }

    # why: in a rule * and ? stand for any characters; a secret with one of them would let others in.
    precondition {
      condition     = alltrue([for value in local.accepted_secrets : can(regex("^[A-Za-z0-9._~+/=-]{16,128}$", value))])
      error_message = "Both values of the secret must be 16 to 128 letters, digits and . _ ~ + / = - (no * or ?)."
    }
  }
}
