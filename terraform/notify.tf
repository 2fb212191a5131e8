# Tells others when AWSCURRENT has moved, or a rotation has failed. Secrets Manager itself sends an event when a label
# moves. The events of failed rotations come from CloudTrail, and only where the region has a trail.

variable "notify" {
  description = "Who is told when AWSCURRENT has moved, or a rotation has failed, under names of your choice."
  default     = {}
  nullable    = false
  type = map(object({
    type         = string                      # `sns`, `sqs`, `lambda`, or `other`: any target of EventBridge
    arn          = string                      # the topic, queue, function (or its alias) or other target
    on           = optional(string, "rotated") # `rotated`, or `failed`, which needs a trail in CloudTrail
    secrets      = optional(list(string))      # names in `secrets`; default: all, and those below `secret_prefixes`
    role_arn     = optional(string)            # `other`: the role with which EventBridge reaches the target
    write_policy = optional(bool)              # `sns`, `sqs`: `true` replaces the policy, else add `notify_policies`
  }))

  validation {
    condition     = alltrue([for name, _ in var.notify : can(regex("^[A-Za-z0-9_-]{1,22}$", name))])
    error_message = "A name in notify has 1 to 22 letters, digits, \"-\" and \"_\"."
  }
  validation {
    condition     = alltrue([for t in var.notify : contains(["sns", "sqs", "lambda", "other"], t.type)])
    error_message = "type is \"sns\", \"sqs\", \"lambda\" or \"other\"."
  }
  validation {
    condition     = alltrue([for t in var.notify : t.type == "other" || split(":", "${t.arn}:::")[2] == t.type])
    error_message = "arn belongs to another service than type."
  }
  validation {
    condition     = alltrue([for t in var.notify : (t.type == "other") == (t.role_arn != null)])
    error_message = "role_arn belongs to type \"other\", and to no other type."
  }
  validation {
    condition     = alltrue([for t in var.notify : contains(["sns", "sqs"], t.type) == (t.write_policy != null)])
    error_message = "A topic and a queue need write_policy, and no other target has it: true replaces their policy."
  }
  validation {
    condition     = alltrue([for t in var.notify : contains(["rotated", "failed"], t.on)])
    error_message = "on is \"rotated\" or \"failed\"."
  }
  validation {
    condition     = alltrue([for t in var.notify : t.secrets == null ? true : length(t.secrets) > 0])
    error_message = "secrets is empty. Leave it out for all secrets."
  }
}

locals {
  # The common start of all ARNs, for when there are too many to name each.
  notify_starts = [
    for pattern in concat(local.by_common_start ? [local.common_starts.all] : [], local.prefix_patterns) :
    trimsuffix(pattern, "*")
  ]
  # ARNs may be unknown before the first apply, so the number of rules depends on names alone.
  notify_rules = merge(flatten([for name, target in var.notify : [
    { for number, secrets in chunklist(coalesce(target.secrets, local.by_common_start ? [] : keys(var.secrets)), 8) :
    "${name}-${number}" => { target = name, type = target.type, secrets = secrets, starts = [] } },
    { for number, starts in chunklist(target.secrets == null ? range(length(local.notify_starts)) : [], 3) :
    "${name}-p${number}" => { target = name, type = target.type, secrets = [], starts = starts } },
  ]])...)
  notify_patterns = { for key, rule in local.notify_rules : key => concat(
    [for name in rule.secrets : var.secrets[name].secret_arn],
    [for number in rule.starts : { prefix = local.notify_starts[number] }],
  ) }
  # What Secrets Manager says in each case, with the secret's ARN at another place.
  notify_events = { for key, rule in local.notify_rules : key => {
    rotated = jsonencode({
      source      = ["aws.secretsmanager"]
      detail-type = ["Secret Label Updated"]
      resources   = local.notify_patterns[key]
      detail      = { labelUpdated = ["AWSCURRENT"] }
    })
    failed = jsonencode({
      source      = ["aws.secretsmanager"]
      detail-type = ["AWS Service Event via CloudTrail"]
      detail = {
        eventName           = ["RotationFailed", "RotationAbandoned"]
        additionalEventData = { SecretId = local.notify_patterns[key] }
      }
    })
  }[var.notify[rule.target].on] }
  notify_rule_arns = { for name, _ in var.notify : name => [
    for key, rule in local.notify_rules : aws_cloudwatch_event_rule.notify[key].arn if rule.target == name
  ] }
  notify_functions = { for name, t in var.notify : name => split(":", t.arn) if t.type == "lambda" }

  # What a topic or a queue has to allow.
  notify_statements = { for name, target in var.notify : name => {
    Sid       = "RotationNotifies"
    Effect    = "Allow"
    Action    = { sns = "sns:Publish", sqs = "sqs:SendMessage" }[target.type]
    Resource  = target.arn
    Principal = { Service = "events.amazonaws.com" }
    Condition = { ArnEquals = { "aws:SourceArn" = local.notify_rule_arns[name] } }
  } if contains(["sns", "sqs"], target.type) }
}

resource "aws_cloudwatch_event_rule" "notify" {
  for_each = local.notify_rules

  name = "${var.name}-${each.key}"
  description = join(" ", [{
    rotated = "AWSCURRENT of a rotated secret has moved:"
    failed  = "The rotation of a secret has failed:"
  }[var.notify[each.value.target].on], "tell", each.value.target])
  event_pattern = local.notify_events[each.key]
  tags          = var.tags

  lifecycle {
    precondition {
      condition     = length(jsonencode(local.notify_patterns[each.key])) <= 1850
      error_message = <<-EOT
        The ARNs of ${join(", ", concat(each.value.secrets, [for n in each.value.starts : local.notify_starts[n]]))}
        do not fit into an event pattern, which has 2048 characters.
        Replace ${each.value.target} in notify by two entries, each with some of the secrets.
      EOT
    }
  }
}

resource "aws_cloudwatch_event_target" "notify" {
  for_each = local.notify_rules

  rule      = aws_cloudwatch_event_rule.notify[each.key].name
  target_id = each.value.target
  arn       = var.notify[each.value.target].arn
  role_arn  = var.notify[each.value.target].role_arn

  # After a day it is no longer news.
  retry_policy {
    maximum_event_age_in_seconds = 86400
    maximum_retry_attempts       = 185
  }

  dead_letter_config {
    arn = aws_sqs_queue.undelivered[0].arn
  }

  # Without these permissions the first events would not arrive.
  depends_on = [
    aws_lambda_permission.notify,
    aws_sns_topic_policy.notify,
    aws_sqs_queue_policy.notify,
    aws_sqs_queue_policy.undelivered,
  ]
}

resource "aws_lambda_permission" "notify" {
  for_each = { for key, rule in local.notify_rules : key => rule.target if rule.type == "lambda" }

  statement_id   = "${var.name}-${each.key}"
  function_name  = local.notify_functions[each.value][6]
  qualifier      = try(local.notify_functions[each.value][7], null)
  action         = "lambda:InvokeFunction"
  principal      = "events.amazonaws.com"
  source_account = local.account
  source_arn     = aws_cloudwatch_event_rule.notify[each.key].arn
}

resource "aws_sns_topic_policy" "notify" {
  for_each = { for name, t in var.notify : name => t.arn if t.type == "sns" && t.write_policy == true }

  arn    = each.value
  policy = jsonencode({ Version = "2012-10-17", Statement = [local.notify_statements[each.key]] })
}

resource "aws_sqs_queue_policy" "notify" {
  for_each = { for name, t in var.notify : name => split(":", t.arn) if t.type == "sqs" && t.write_policy == true }

  queue_url = "https://sqs.${each.value[3]}.${data.aws_partition.current.dns_suffix}/${each.value[4]}/${each.value[5]}"
  policy    = jsonencode({ Version = "2012-10-17", Statement = [local.notify_statements[each.key]] })
}

# The events that no target took, each with the cause.
resource "aws_sqs_queue" "undelivered" {
  count = length(var.notify) > 0 ? 1 : 0

  name                      = "${var.name}-undelivered"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
  tags                      = var.tags
}

resource "aws_sqs_queue_policy" "undelivered" {
  count = length(aws_sqs_queue.undelivered)

  queue_url = aws_sqs_queue.undelivered[0].url
  policy = jsonencode({ Version = "2012-10-17", Statement = [{
    Sid       = "DeadLetters"
    Effect    = "Allow"
    Action    = "sqs:SendMessage"
    Resource  = aws_sqs_queue.undelivered[0].arn
    Principal = { Service = "events.amazonaws.com" }
    Condition = { ArnEquals = { "aws:SourceArn" = flatten(values(local.notify_rule_arns)) } }
  }] })
}

resource "aws_cloudwatch_metric_alarm" "undelivered" {
  count = length(aws_sqs_queue.undelivered)

  alarm_name          = "${var.name}-undelivered"
  alarm_description   = "A target of notify was not told of a rotation. The queue holds the event and the cause."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.undelivered[0].name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 1
  # An idle queue publishes nothing.
  treat_missing_data = "notBreaching"
  alarm_actions      = var.alarm_actions
  ok_actions         = var.alarm_actions
  tags               = var.tags
}

output "notify_policies" {
  description = "The statement that the policy of each topic and queue in `notify` needs, as JSON, by its name there."
  value       = { for name, statement in local.notify_statements : name => jsonencode(statement) }
}

output "undelivered_queue_arn" {
  description = "The queue of the events that no target of `notify` took; null without `notify`."
  value       = one(aws_sqs_queue.undelivered[*].arn)
}
