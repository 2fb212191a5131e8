# The function's log, and the alarms.

variable "alarms" {
  description = "The alarms to create; default: all but `unreachable`, `disabled`, `never_rotated` and `unknown`."
  type        = list(string)
  default     = null

  validation {
    condition     = length(setsubtract(coalesce(var.alarms, []), keys(local.alarms))) == 0
    error_message = "alarms names an unknown alarm. These exist: ${join(", ", keys(local.alarms))}."
  }
}

variable "runbook_url" {
  description = "Where your copy of RUNBOOK.md is. Each alarm links its row there."
  type        = string
  default     = "RUNBOOK.md"
  nullable    = false
}

resource "aws_cloudwatch_log_group" "this" {
  name              = local.log_group
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
  tags              = var.tags
}

locals {
  namespace = "PostgresSecretRotation"

  worst_first = [
    "mismatch", "expired", "stuck", "overdue", "unreachable", "expiring", "disabled", "never_rotated", "unknown",
  ]

  # What a run of the monitor found. An alarm keeps its state until the next run finds something else.
  states = { for name, text in {
    mismatch      = "The database refuses AWSCURRENT, so applications cannot log in. Run recover for the secret."
    expired       = "The password in AWSCURRENT has expired, so applications cannot log in. Rotate the secret."
    stuck         = "A rotation was broken off over an hour ago. Run recover for the secret."
    overdue       = "A rotation is over 4 hours late. Run preflight for the secret, then rotate it."
    expiring      = "The password in AWSCURRENT expires soon. Rotate the secret before it does."
    unreachable   = "The function cannot log in to a database to look. Run preflight for the secret."
    disabled      = "The rotation of a secret is switched off. Switch it on, or take the secret out of the policy."
    never_rotated = "A secret has never rotated. Rotate it once."
    unknown       = "The function could not find out a secret's state. Its log has the reason."
    } : name => {
    name   = name, namespace = local.namespace, statistic = "Maximum", text = text, missing = "ignore"
    period = local.monitor_period
    # never_rotated is NeverRotated.
    metric = join("", [for word in split("_", name) : title(word)])
  } }

  alarms = merge({ for alarm in [
    {
      # It also counts crashes and time-outs, which write no metric.
      name = "errors", namespace = "AWS/Lambda", metric = "Errors", statistic = "Sum"
      text = "The function failed: a rotation, an operation or a look. Its log names the cause and the next step."
    },
    {
      name = "throttles", namespace = "AWS/Lambda", metric = "Throttles", statistic = "Sum"
      text = "A rotation could not start. Raise reserved_concurrency, or the account's concurrency."
    },
    {
      name = "failed", namespace = local.namespace, metric = "RotationsFailed", statistic = "Sum"
      text = "A rotation failed, and AWS repeats it. The function's log names the secret, the cause and the next step."
    },
    {
      name   = "certificate", namespace = local.namespace, metric = "CertificateDaysLeft", statistic = "Minimum"
      period = local.monitor_period, below = 30, missing = "ignore"
      text   = "A database server's certificate expires within 30 days. Renew it, or applications cannot connect."
    },
    {
      name   = "look", namespace = local.namespace, metric = "MonitorErrors", statistic = "Maximum"
      period = local.monitor_period, missing = "ignore"
      text   = "A look failed, or ended before it saw each secret. Raise monitor.secrets, timeout or memory_size."
    },
    {
      name   = "silent", namespace = local.namespace, metric = "Secrets", statistic = "SampleCount"
      period = 3600, periods = local.monitor_hours, below = 1, missing = "breaching"
      text   = "No look at the secrets has ended in ${local.monitor_hours} hours. Run tools/rotation fleet to see why."
    },
  ] : alarm.name => alarm }, local.states)

  # Without the monitor there is nothing that these could watch.
  of_the_monitor = setunion(keys(local.states), ["certificate", "look", "silent"])
  alarms_created = [
    for name in coalesce(var.alarms, setsubtract(keys(local.alarms), [
      "unreachable", "disabled", "never_rotated", "unknown",
    ])) : name if var.monitor.enabled || !contains(local.of_the_monitor, name)
  ]
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = { for name, alarm in local.alarms : name => alarm if contains(local.alarms_created, name) }

  alarm_name          = "${var.name}-${replace(each.key, "_", "-")}"
  alarm_description   = "${each.value.text} ${var.runbook_url}#alarm-${replace(each.key, "_", "-")}"
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = { FunctionName = aws_lambda_function.this.function_name }
  statistic           = each.value.statistic
  period              = lookup(each.value, "period", 300)
  evaluation_periods  = lookup(each.value, "periods", 1)
  comparison_operator = can(each.value.below) ? "LessThanThreshold" : "GreaterThanOrEqualToThreshold"
  threshold           = lookup(each.value, "below", 1)
  # A function that is not invoked has no data points.
  treat_missing_data = lookup(each.value, "missing", "notBreaching")
  alarm_actions      = var.alarm_actions
  ok_actions         = var.alarm_actions
  tags               = var.tags

  # The first run begins with the schedule, and must not find an alarm that has missed it.
  depends_on = [aws_scheduler_schedule.monitor]
}
