# Leases and overlaps that fit the schedules of the secrets and of the monitor, and some that do not.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  secret     = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:app-AbCdEf"
  admin      = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:admin-AbCdEf"
  package    = "./versions.tf"
  subnet_ids = ["subnet-1"]
  databases  = { app = { security_group_id = "sg-database" } }
  endpoint   = { security_group_ids = ["sg-endpoint"] }
  monitor    = { schedule = "rate(1 hour)" }
}

run "leases_that_fit" {
  command = plan
  variables {
    secrets = { for n, s in [
      { schedule = "rate(4 hours)", policy = { role = "app", lease = "6h", overlap = "79m" } },
      { schedule = "rate(1 day)", policy = { role = "app", lease = "54h", on_overdue = "expire", overlap = "7h" } },
      { schedule = "rate(1 day)", window = "3h", policy = { role = "app", lease = "33h", terminate_on_retire = true } },
      { schedule = "rate(30 days)", policy = { role = "app", lease = "39d" } },
      { schedule = "cron(0 3 * * ? *)", policy = { role = "app", lease = "6h" } },
      ] : "s${n}" => {
      secret_arn          = replace(var.secret, "app", "app${n}")
      admin_secret_arn    = var.admin
      schedule_expression = s.schedule
      window              = try(s.window, null)
      policy              = s.policy
    } }
  }
  assert {
    condition = jsondecode(aws_scheduler_schedule.monitor[0].target[0].input) == {
      Operation = "monitor", Part = [1, 1], EveryHours = 1
    }
    error_message = "The monitor does not know how often it runs."
  }
  assert {
    condition = jsondecode(aws_lambda_function.this.environment[0].variables.ROTATION_POLICY).secrets[
      replace(var.secret, "app", "app2")
    ] == { admin_secret = var.admin, role = "app", lease = "33h", terminate_on_retire = true }
    error_message = "ROTATION_POLICY is ${aws_lambda_function.this.environment[0].variables.ROTATION_POLICY}"
  }
}

run "a_lease_that_ends_before_the_next_rotation" {
  command = plan
  variables {
    secrets = { app = {
      secret_arn = var.secret, admin_secret_arn = var.admin, schedule_expression = "rate(5 hours)"
      policy     = { role = "app", lease = "7h" }
    } }
  }
  expect_failures = [aws_secretsmanager_secret_rotation.this]
}

run "a_lease_that_leaves_no_time_for_the_window_of_a_day" {
  command = plan
  variables {
    secrets = { app = {
      secret_arn = var.secret, admin_secret_arn = var.admin, schedule_expression = "rate(1 day)"
      policy     = { role = "app", lease = "53h" }
    } }
  }
  expect_failures = [aws_secretsmanager_secret_rotation.this]
}

run "an_overlap_of_a_third" {
  command = plan
  variables {
    secrets = { app = {
      secret_arn = var.secret, admin_secret_arn = var.admin, schedule_expression = "rate(6 hours)"
      policy     = { overlap = "2h" }
    } }
  }
  expect_failures = [aws_secretsmanager_secret_rotation.this]
}

run "a_lease_of_a_single_user" {
  command = plan
  variables {
    secrets = { app = { secret_arn = var.secret, policy = { role = "app", lease = "60d" } } }
  }
  expect_failures = [var.policies]
}

run "a_lease_of_any_role" {
  command = plan
  variables {
    secrets = { app = { secret_arn = var.secret, admin_secret_arn = var.admin, policy = { lease = "60d" } } }
  }
  expect_failures = [var.policies]
}

run "a_lease_of_minutes" {
  command = plan
  variables {
    secrets = { app = {
      secret_arn = var.secret, admin_secret_arn = var.admin
      policy     = { role = "app", lease = "600m" }
    } }
  }
  expect_failures = [var.policies]
}

run "a_lease_of_five_hours" {
  command = plan
  variables {
    secrets = { app = {
      secret_arn = var.secret, admin_secret_arn = var.admin
      policy     = { role = "app", lease = "5h" }
    } }
  }
  expect_failures = [var.policies]
}

run "an_end_without_a_lease" {
  command = plan
  variables {
    secrets = { app = { secret_arn = var.secret, policy = { on_overdue = "expire" } } }
  }
  expect_failures = [var.policies]
}

run "an_overlap_in_words" {
  command = plan
  variables {
    secrets = { app = { secret_arn = var.secret, policy = { overlap = "short" } } }
  }
  expect_failures = [var.policies]
}

run "a_monitor_that_comes_too_late" {
  command = plan
  variables {
    monitor = { schedule = "rate(2 hours)" }
    secrets = { app = {
      secret_arn = var.secret, admin_secret_arn = var.admin, schedule_expression = "rate(4 hours)"
      policy     = { role = "app", lease = "6h" }
    } }
  }
  expect_failures = [aws_lambda_function.this]
}

run "a_lease_below_a_prefix_with_the_usual_monitor" {
  command = plan
  variables {
    monitor         = {}
    secret_prefixes = ["shop/"]
    policies        = { "shop/*" = { admin_secret_arn = var.admin, policy = { role = "app", lease = "3d" } } }
  }
  expect_failures = [aws_lambda_function.this]
}

run "a_lease_without_a_monitor" {
  command = plan
  variables {
    monitor = { enabled = false }
    secrets = { app = {
      secret_arn = var.secret, admin_secret_arn = var.admin
      policy     = { role = "app", lease = "60d" }
    } }
  }
  expect_failures = [aws_lambda_function.this]
}

run "a_lease_that_may_end_needs_none" {
  command = plan
  variables {
    monitor = { enabled = false }
    secrets = { app = {
      secret_arn = var.secret, admin_secret_arn = var.admin
      policy     = { role = "app", lease = "60d", on_overdue = "expire" }
    } }
  }
}
