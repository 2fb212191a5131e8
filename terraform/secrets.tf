# Which secrets the function may rotate, and the rotation of those that the module sets up.

data "aws_caller_identity" "current" {}

locals {
  # Versions 5 and 6 of the provider name the region differently. An ARN is the same in both.
  arn       = split(":", length(var.secrets) > 0 ? values(var.secrets)[0].secret_arn : data.aws_subnet.first.arn)
  partition = local.arn[1]
  region    = local.arn[3]
  # A shared subnet belongs to another account.
  account = length(var.secrets) > 0 ? local.arn[4] : data.aws_caller_identity.current.account_id

  prefix_patterns = [
    for p in var.secret_prefixes : "arn:${local.partition}:secretsmanager:${local.region}:${local.account}:secret:${p}*"
  ]

  # Lambda has room for some 40 permissions. For more secrets, one permission covers the common start of their ARNs.
  by_common_start = length(var.secrets) > 40
  rotated         = { for name, s in var.secrets : name => s.secret_arn }
  secrets_by_key  = { for s in var.secrets : s.kms_key_arn => s.secret_arn... if s.kms_key_arn != null }
  groups          = local.by_common_start ? merge({ all = values(local.rotated) }, local.secrets_by_key) : {}
  common_starts = { for group, arns in local.groups : group => "${substr(arns[0], 0, max([
    for length in range(length(arns[0]) + 1) : length if alltrue([
      for arn in arns : startswith(arn, substr(arns[0], 0, length))
    ])
    ]...))}*"
  }

  rotated_patterns = concat(
    local.by_common_start ? [local.common_starts.all] : values(local.rotated), local.prefix_patterns
  )
  patterns_by_key = {
    for key, arns in local.secrets_by_key : key => local.by_common_start ? [local.common_starts[key]] : arns
  }

  permissions = merge(
    local.by_common_start ? { secrets = local.common_starts.all } : local.rotated,
    { for n, p in var.secret_prefixes : "prefix-${substr(sha256(p), 0, 16)}" => local.prefix_patterns[n] },
  )
  # What each permission adds to the function's policy.
  permissions_size = sum(concat([0], [for id, pattern in local.permissions : length(jsonencode({
    Sid       = id
    Effect    = "Allow"
    Principal = { Service = "secretsmanager.amazonaws.com" }
    Action    = "lambda:InvokeFunction"
    Resource  = local.function_arn
    Condition = {
      StringEquals = { "AWS:SourceAccount" = local.account }
      ArnLike      = { "AWS:SourceArn" = pattern }
    }
  })) + 1]))

  # The hours in a cron expression: 3, 0,12, 8-20/6 or */8.
  hours = { for name, s in var.secrets : name => try(flatten([
    for part in split(",", split(" ", s.schedule_expression)[1]) : [
      for field in [regex("^(?:[*]|([0-9]+)(?:-([0-9]+))?)?(?:/([0-9]+))?$", part)] : range(
        field[0] == null ? 0 : tonumber(field[0]),
        1 + (field[1] != null ? tonumber(field[1]) : field[0] == null || field[2] != null ? 23 : tonumber(field[0])),
        field[2] == null ? 1 : tonumber(field[2]),
      )
    ]
  ]), []) if startswith(s.schedule_expression, "cron(") }
}

resource "aws_lambda_permission" "secrets_manager" {
  for_each = local.permissions

  statement_id   = each.key
  function_name  = aws_lambda_function.this.function_name
  action         = "lambda:InvokeFunction"
  principal      = "secretsmanager.amazonaws.com"
  source_account = local.account
  source_arn     = each.value
}

resource "aws_secretsmanager_secret_rotation" "this" {
  #checkov:skip=CKV_AWS_304: the schedule is an input. Its default is 30 days
  for_each = var.secrets

  secret_id           = each.value.secret_arn
  rotation_lambda_arn = aws_lambda_function.this.arn
  rotate_immediately  = each.value.rotate_immediately

  rotation_rules {
    schedule_expression = each.value.schedule_expression
    duration            = each.value.window
  }

  lifecycle {
    precondition {
      condition = can(regex(join("|", [
        "^rate\\((1 day|([2-9]|[1-9][0-9]{1,2}) days|([4-9]|[1-9][0-9]{1,2}) hours)\\)$",
        "^cron\\(0 [0-9*,/-]+ ([0-9LW*,/-]+ [0-9A-Z*,/-]+ [?]|[?] [0-9A-Z*,/-]+ [0-9A-Z*,/#-]+) \\*\\)$",
      ]), each.value.schedule_expression))
      error_message = <<-EOT
        secrets["${each.key}"]: schedule_expression is rate(<n> hours) from 4 hours on, rate(<n> days),
        or cron(0 <hours> <day> <month> <weekday> *). In cron, either <day> or <weekday> is "?".
      EOT
    }
    precondition {
      condition = alltrue(flatten([
        for hour in lookup(local.hours, each.key, []) : [
          for other in local.hours[each.key] : hour <= 23 && (hour == other || abs(hour - other) >= 4)
        ]
      ]))
      error_message = "secrets[\"${each.key}\"]: the schedule's hours are 0 to 23 and at least 4 hours apart."
    }
    precondition {
      condition     = each.value.window == null ? true : can(regex("^([1-9]|1[0-9]|2[0-4])h$", each.value.window))
      error_message = "secrets[\"${each.key}\"]: window is 1h to 24h."
    }
    precondition {
      condition = try(
        tonumber(trimsuffix(each.value.window, "h")) <= min(concat(
          [for hour in lookup(local.hours, each.key, []) : 24 - hour],
          [for hour in regexall("^rate\\(([0-9]+) hours", each.value.schedule_expression) : tonumber(hour[0])],
          flatten([for hour in lookup(local.hours, each.key, []) : [
            for other in local.hours[each.key] : other - hour if other > hour
          ]]),
          [24],
        )...), true
      )
      error_message = "secrets[\"${each.key}\"]: the window must end before midnight UTC and before the next rotation."
    }
    precondition {
      condition     = try(local.leases[each.key] >= local.shortest_leases[each.key], true)
      error_message = <<-EOT
        secrets["${each.key}"]: its schedule needs a lease of ${try(ceil(local.shortest_leases[each.key]), 0)}h or more:
        the interval, the window, and a quarter of the interval in case a rotation is late.
      EOT
    }
    precondition {
      condition     = try(local.overlaps[each.key] < local.intervals[each.key] / 3, true)
      error_message = "secrets[\"${each.key}\"]: overlap must be less than a third of the schedule's interval."
    }
  }

  # Secrets Manager tests a new rotation at once, so the function must reach it and the database by then.
  depends_on = [
    aws_lambda_permission.secrets_manager,
    aws_vpc_security_group_egress_rule.database,
    aws_vpc_security_group_egress_rule.endpoint,
    aws_vpc_security_group_egress_rule.prefix_list,
    aws_vpc_security_group_ingress_rule.database,
    aws_vpc_security_group_ingress_rule.endpoint,
  ]
}
