# The schedule that looks at every secret, its role, the alarms and the dashboard.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  lambda     = "arn:aws:lambda:eu-central-1:111122223333:function:postgres-secret-rotation"
  package    = "./versions.tf"
  subnet_ids = ["subnet-1"]
  databases  = { app = { security_group_id = "sg-database" } }
  endpoint   = { security_group_ids = ["sg-endpoint"] }
  secrets    = { app = { secret_arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:shop/app-AbCdEf" } }
}

run "it_looks_once_a_day_in_one_part" {
  command = apply

  assert {
    condition     = join(",", aws_scheduler_schedule.monitor[*].schedule_expression) == "rate(1 day)"
    error_message = "The schedule is not one a day."
  }
  assert {
    condition = (
      jsondecode(aws_scheduler_schedule.monitor[0].target[0].input) == { Operation = "monitor", Part = [1, 1] } &&
      aws_scheduler_schedule.monitor[0].target[0].arn == var.lambda
    )
    error_message = "The schedule sends ${aws_scheduler_schedule.monitor[0].target[0].input}"
  }
}

run "the_schedule_may_invoke_this_function_alone" {
  command = apply

  assert {
    condition = jsondecode(aws_iam_role_policy.monitor[0].policy).Statement == [{
      Sid = "InvokeTheFunction", Effect = "Allow", Action = ["lambda:InvokeFunction"], Resource = [var.lambda]
    }]
    error_message = "The schedule's role may do something else: ${aws_iam_role_policy.monitor[0].policy}"
  }
  assert {
    condition = jsondecode(aws_iam_role.monitor[0].assume_role_policy).Statement[0].Condition == {
      StringEquals = {
        "aws:SourceAccount" = "111122223333"
        "aws:SourceArn"     = "arn:aws:scheduler:eu-central-1:111122223333:schedule-group/postgres-secret-rotation"
      }
    }
    error_message = "Other schedules may use the role."
  }
}

run "more_secrets_are_looked_at_in_parts_that_end_in_one_hour" {
  command = apply

  variables {
    monitor = { secrets = 2000, retire = true }
  }

  assert {
    condition = [for s in aws_scheduler_schedule.monitor : jsondecode(s.target[0].input)] == [
      for n in range(7) : { Operation = "monitor", Part = [n + 1, 7], Retire = true }
    ]
    error_message = "The parts are ${join(", ", aws_scheduler_schedule.monitor[*].target[0].input)}"
  }
  assert {
    condition     = join(",", distinct(aws_scheduler_schedule.monitor[*].schedule_expression)) == "cron(10 5 * * ? *)"
    error_message = "The parts do not run in the same hour."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["mismatch"].period == 3600
    error_message = "A part that is in order ends the alarm of another."
  }
}

run "more_memory_and_time_need_fewer_parts" {
  command = apply

  variables {
    monitor     = { secrets = 2000 }
    memory_size = 512
    timeout     = 120
  }

  assert {
    condition     = length(aws_scheduler_schedule.monitor) == 1
    error_message = "There are ${length(aws_scheduler_schedule.monitor)} parts."
  }
}

run "each_alarm_says_what_to_do_and_where_that_stands" {
  command = apply

  variables {
    runbook_url = "https://git.example.com/rotation/RUNBOOK.md"
  }

  assert {
    condition = alltrue([
      for name, alarm in aws_cloudwatch_metric_alarm.this :
      endswith(alarm.alarm_description, " ${var.runbook_url}#alarm-${name}") &&
      alarm.dimensions.FunctionName == var.name && alarm.alarm_name == "${var.name}-${name}"
    ])
    error_message = "An alarm has no link to the runbook, or watches another function."
  }
  assert {
    condition = { for name, a in aws_cloudwatch_metric_alarm.this : name => join(" ", [
      a.namespace, a.statistic, a.metric_name, a.comparison_operator == "LessThanThreshold" ? "<" : ">=", a.threshold,
      "in", a.evaluation_periods, "x", a.period, a.treat_missing_data
      ]) } == {
      errors      = "AWS/Lambda Sum Errors >= 1 in 1 x 300 notBreaching"
      throttles   = "AWS/Lambda Sum Throttles >= 1 in 1 x 300 notBreaching"
      failed      = "PostgresSecretRotation Sum RotationsFailed >= 1 in 1 x 300 notBreaching"
      mismatch    = "PostgresSecretRotation Maximum Mismatch >= 1 in 1 x 300 ignore"
      expired     = "PostgresSecretRotation Maximum Expired >= 1 in 1 x 300 ignore"
      stuck       = "PostgresSecretRotation Maximum Stuck >= 1 in 1 x 300 ignore"
      overdue     = "PostgresSecretRotation Maximum Overdue >= 1 in 1 x 300 ignore"
      expiring    = "PostgresSecretRotation Maximum Expiring >= 1 in 1 x 300 ignore"
      certificate = "PostgresSecretRotation Minimum CertificateDaysLeft < 30 in 1 x 300 ignore"
      look        = "PostgresSecretRotation Maximum MonitorErrors >= 1 in 1 x 300 ignore"
      silent      = "PostgresSecretRotation SampleCount Secrets < 1 in 25 x 3600 breaching"
    }
    error_message = "The alarms are others."
  }
}

run "other_states_may_have_an_alarm_too" {
  command = apply

  variables {
    alarms  = ["never_rotated", "silent"]
    monitor = { schedule = "rate(6 hours)" }
  }

  assert {
    condition = {
      for name, a in aws_cloudwatch_metric_alarm.this : a.alarm_name => "${a.metric_name} ${a.evaluation_periods}"
      } == {
      "${var.name}-never-rotated" = "NeverRotated 1", "${var.name}-silent" = "Secrets 7"
    }
    error_message = "The alarms are not these two."
  }
}

run "the_dashboard_is_filled_and_no_widget_lies_on_another" {
  command = apply

  assert {
    condition = jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets[*].properties.title == [
      "Alarms of ${var.name}", "Not in order, worst first (last 25 hours)", "Secrets by state",
      "Oldest password, in days", "Shortest time left", "Rotations by outcome", "Duration by step, in milliseconds",
      "Failures by kind", "Activity: what was rotated, when, by which door, with which outcome",
    ]
    error_message = "The dashboard has other widgets."
  }
  assert {
    condition = length(distinct(flatten([
      for w in jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets : [
        for x in range(w.width) : [for y in range(w.height) : "${w.x + x}-${w.y + y}"]
      ]
    ]))) == sum([for w in jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets : w.width * w.height])
    error_message = "Two widgets lie on each other."
  }
  assert {
    condition     = output.dashboard_name == var.name
    error_message = "The dashboard's name is ${output.dashboard_name}"
  }
}

run "switched_off_nothing_of_it_is_left" {
  command = apply

  variables {
    monitor  = { enabled = false }
    endpoint = { create = true }
  }

  assert {
    condition = length(concat(
      aws_scheduler_schedule.monitor[*].name, aws_scheduler_schedule_group.monitor[*].name,
      aws_iam_role.monitor[*].name, aws_cloudwatch_dashboard.this[*].dashboard_name,
    )) == 0
    error_message = "A part of the monitor is left."
  }
  assert {
    condition     = keys(aws_cloudwatch_metric_alarm.this) == ["errors", "failed", "throttles"]
    error_message = "An alarm watches what nobody writes: ${join(", ", keys(aws_cloudwatch_metric_alarm.this))}"
  }
  assert {
    condition     = !strcontains(aws_iam_role_policy.function.policy, "ListSecrets")
    error_message = "The role may list secrets."
  }
  assert {
    condition     = length(jsondecode(aws_vpc_endpoint.secrets_manager[0].policy).Statement) == 1
    error_message = "The endpoint lets the function list secrets."
  }
}

run "without_the_dashboard_alone" {
  command = apply

  variables {
    monitor  = { dashboard = false }
    endpoint = { create = true }
  }

  assert {
    condition     = length(aws_cloudwatch_dashboard.this) == 0 && length(aws_scheduler_schedule.monitor) == 1
    error_message = "There is a dashboard, or no schedule."
  }
  assert {
    condition     = strcontains(aws_vpc_endpoint.secrets_manager[0].policy, "secretsmanager:ListSecrets")
    error_message = "The endpoint does not let the function list secrets."
  }
}

run "a_schedule_that_the_silence_could_not_be_told_from" {
  command = plan
  variables {
    monitor = { schedule = "rate(7 days)" }
  }
  expect_failures = [var.monitor]
}

run "half_a_secret" {
  command = plan
  variables {
    monitor = { secrets = 0.5 }
  }
  expect_failures = [var.monitor]
}

run "parts_that_begin_in_one_hour_and_end_in_the_next" {
  command = plan
  variables {
    monitor = { secrets = 2000, schedule = "cron(50 5 * * ? *)" }
  }
  expect_failures = [aws_scheduler_schedule.monitor]
}

run "an_alarm_that_there_is_not" {
  command = plan
  variables {
    alarms = ["errors", "typo"]
  }
  expect_failures = [var.alarms]
}
