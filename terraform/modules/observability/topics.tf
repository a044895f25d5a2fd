# Who is told: a topic for alarms in each Region that has some, one for releases, and the keys they are encrypted with.
#
# Owns their policies. Never a subscription that was not asked for; a mail address has to confirm before it gets
# anything.

locals {
  alarm_topic_names = merge(
    { origin = "${var.name}-alarms" },
    { for word in ["edge"] : word => "${var.name}-edge-alarms" if var.edge_enabled },
  )

  topic_regions = { origin = var.region, edge = local.edge_region }

  # why: AWS's own key for SNS cannot be opened to CloudWatch and EventBridge, so that their messages would be lost
  # without a word. One key for each Region: a key works in its own.
  key_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "TheAccountDecidesByIam"
        Effect    = "Allow"
        Principal = { AWS = "arn:${local.partition}:iam::${local.account_id}:root" }
        Action    = "kms:*"
        Resource  = "*"
      },
      {
        Sid       = "AlarmsEncryptWhatTheyPublish"
        Effect    = "Allow"
        Principal = { Service = "cloudwatch.amazonaws.com" }
        Action    = ["kms:Decrypt", "kms:GenerateDataKey*"]
        Resource  = "*"
        Condition = { StringEquals = { "aws:SourceAccount" = local.account_id } }
      },
      {
        # why: no condition: EventBridge gives none of its keys on this way, so that one would never match.
        Sid       = "RulesEncryptWhatTheyPublish"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = ["kms:Decrypt", "kms:GenerateDataKey*"]
        Resource  = "*"
      },
    ]
  })

  alarms_publish = {
    Sid       = "AlarmsPublish"
    Effect    = "Allow"
    Principal = { Service = "cloudwatch.amazonaws.com" }
    Action    = "sns:Publish"
    Resource  = "*"
    Condition = { StringEquals = { "aws:SourceAccount" = local.account_id } }
  }

  rules_publish = {
    # why: AWS documents that a Condition cannot be used here: the statement would never match, and the event would be
    # lost with nothing but a count of FailedInvocations. Whoever guesses the topic's name from another account can
    # thus send a message to it, and read none.
    Sid       = "RulesPublish"
    Effect    = "Allow"
    Principal = { Service = "events.amazonaws.com" }
    Action    = "sns:Publish"
    Resource  = "*"
  }

  topic_policies = {
    # Alarms of the origin; and the dead-letter queue's.
    origin = [local.alarms_publish]
    # Alarms of the edge, and purges that failed.
    edge = [local.alarms_publish, local.rules_publish]
  }
}

resource "aws_kms_key" "topics" {
  for_each = local.alarm_topic_names

  region              = local.topic_regions[each.key]
  description         = "Messages of ${each.value}"
  policy              = local.key_policy
  enable_key_rotation = true
  tags                = var.tags
}

resource "aws_kms_alias" "topics" {
  for_each = local.alarm_topic_names

  region        = local.topic_regions[each.key]
  name          = "alias/${each.value}"
  target_key_id = aws_kms_key.topics[each.key].key_id
}

resource "aws_sns_topic" "alarms" {
  for_each = local.alarm_topic_names

  region            = local.topic_regions[each.key]
  name              = each.value
  display_name      = each.value
  kms_master_key_id = aws_kms_key.topics[each.key].arn
  tags              = var.tags
}

resource "aws_sns_topic_policy" "alarms" {
  for_each = local.alarm_topic_names

  region = local.topic_regions[each.key]
  arn    = aws_sns_topic.alarms[each.key].arn
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [for statement in local.topic_policies[each.key] : merge(statement, { Resource = aws_sns_topic.alarms[each.key].arn })]
  })
}

resource "aws_sns_topic_subscription" "alarms" {
  for_each = {
    for pair in setproduct(keys(local.alarm_topic_names), var.alarm_emails) : "${pair[0]} ${pair[1]}" => { topic = pair[0], email = pair[1] }
  }

  region    = local.topic_regions[each.value.topic]
  topic_arn = aws_sns_topic.alarms[each.value.topic].arn
  protocol  = "email"
  endpoint  = each.value.email
}

resource "aws_sns_topic" "releases" {
  region            = var.region
  name              = "${var.name}-releases"
  display_name      = "${var.name} releases"
  kms_master_key_id = aws_kms_key.topics["origin"].arn
  tags              = var.tags
}

resource "aws_sns_topic_policy" "releases" {
  region = var.region
  arn    = aws_sns_topic.releases.arn
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [merge(local.rules_publish, { Resource = aws_sns_topic.releases.arn })]
  })
}

resource "aws_sns_topic_subscription" "releases" {
  for_each = var.event_emails

  region    = var.region
  topic_arn = aws_sns_topic.releases.arn
  protocol  = "email"
  endpoint  = each.value
}
