# Has the function look at every secret on a schedule, and say what is not in order.

variable "monitor" {
  description = "Looks at every secret on a schedule. The alarms and the dashboard show what is not in order."
  default     = {}
  nullable    = false
  type = object({
    enabled   = optional(bool, true)  # `false`: no schedule, no alarm on what it finds, no dashboard
    schedule  = optional(string)      # `rate(...)`, or a `cron(...)` that runs daily, in UTC; default: once a day
    secrets   = optional(number, 0)   # how many secrets to expect, if others attach more than `secrets` names
    retire    = optional(bool, false) # end previous credentials whose `retire_after` is over and that no session uses
    dashboard = optional(bool, true)  # a CloudWatch dashboard
  })

  validation {
    condition = can(regex(join("|", [
      "^rate\\((1 hour|([2-9]|[1-9][0-9]|1[0-5][0-9]) hours|1 day|[2-6] days)\\)$",
      "^cron\\([0-9]{1,2} [^ ]+ [^ ]+ [^ ]+ [^ ]+ [^ ]+\\)$",
    ]), coalesce(var.monitor.schedule, "rate(1 day)")))
    error_message = <<-EOT
      monitor.schedule is rate(1 hour) to rate(6 days), or cron(<minute> <hours> <day> <month> <weekday> <year>).
    EOT
  }
  validation {
    condition     = var.monitor.secrets == floor(var.monitor.secrets) && var.monitor.secrets >= 0
    error_message = "monitor.secrets is a whole number."
  }
}

locals {
  # A look takes 10 ms of a whole core, which a function has with 1,769 MB. 15 s are left for the rest.
  monitor_per_part = max(1, floor((var.timeout - 15) * var.memory_size / 1769 / 0.010))
  monitor_parts    = ceil(max(1, length(var.secrets), var.monitor.secrets) / local.monitor_per_part)
  # Each part writes one line, and all lines must fall into one period of the alarms. With a short period, a person
  # who looks again soon sees the alarm end.
  monitor_period   = local.monitor_parts == 1 ? 300 : 3600
  monitor_schedule = coalesce(var.monitor.schedule, local.monitor_parts == 1 ? "rate(1 day)" : "cron(10 5 * * ? *)")

  monitor_group = "arn:${local.partition}:scheduler:${local.region}:${local.account}:schedule-group/${var.name}"

  # There must be a run within these hours: the interval of a rate, or a day, and one hour more.
  monitor_rate     = try(regex("^rate\\(([0-9]+) (hour|day)s?\\)$", local.monitor_schedule), ["1", "day"])
  monitor_interval = tonumber(local.monitor_rate[0]) * (local.monitor_rate[1] == "day" ? 24 : 1)
  monitor_hours    = local.monitor_interval + 1
}

resource "aws_scheduler_schedule_group" "monitor" {
  count = var.monitor.enabled ? 1 : 0

  name = var.name
  tags = var.tags
}

resource "aws_scheduler_schedule" "monitor" {
  #checkov:skip=CKV_AWS_297: a schedule holds no secret: it names the function and the part of the secrets
  count = var.monitor.enabled ? local.monitor_parts : 0

  name                = "${var.name}-monitor-${count.index + 1}"
  description         = "${var.name} looks at part ${count.index + 1} of ${local.monitor_parts} of the secrets"
  group_name          = aws_scheduler_schedule_group.monitor[0].name
  schedule_expression = local.monitor_schedule

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = aws_lambda_function.this.arn
    role_arn = aws_iam_role.monitor[0].arn
    input = jsonencode(merge(
      { Operation = "monitor", Part = [count.index + 1, local.monitor_parts] },
      var.monitor.retire ? { Retire = true } : {},
      length(local.renewed_leases) > 0 ? { EveryHours = local.monitor_interval } : {},
    ))

    retry_policy {
      maximum_event_age_in_seconds = 3600
      maximum_retry_attempts       = 5
    }
  }

  lifecycle {
    precondition {
      condition = local.monitor_parts == 1 ? true : can(regex(
        "^cron\\(([0-9]|[1-3][0-9]|4[0-4]) ", local.monitor_schedule
      ))
      error_message = <<-EOT
        monitor.schedule: ${local.monitor_parts} parts run at the same time and must end in the same hour.
        Use cron(<minute> ...) with a minute from 0 to 44. Or raise memory_size or timeout until one part is enough.
      EOT
    }
  }

  depends_on = [aws_iam_role_policy.monitor]
}

resource "aws_iam_role" "monitor" {
  count = var.monitor.enabled ? 1 : 0

  name_prefix          = "${var.name}-"
  description          = "The schedule that has ${var.name} look at the secrets"
  permissions_boundary = var.permissions_boundary
  tags                 = var.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "Scheduler"
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "scheduler.amazonaws.com" }
      Condition = { StringEquals = {
        "aws:SourceAccount" = local.account
        "aws:SourceArn"     = local.monitor_group
      } }
    }]
  })
}

resource "aws_iam_role_policy" "monitor" {
  count = var.monitor.enabled ? 1 : 0

  name = "monitor"
  role = aws_iam_role.monitor[0].id
  policy = jsonencode({ Version = "2012-10-17", Statement = [{
    Sid      = "InvokeTheFunction"
    Effect   = "Allow"
    Action   = ["lambda:InvokeFunction"]
    Resource = [local.function_arn]
  }] })
}
