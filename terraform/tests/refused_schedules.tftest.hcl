# Schedules and windows that the module refuses, as Secrets Manager would in the apply, and some that it accepts.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  secret     = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:app-AbCdEf"
  package    = "./versions.tf"
  subnet_ids = ["subnet-1"]
  databases  = { app = { security_group_id = "sg-database" } }
  endpoint   = { security_group_ids = ["sg-endpoint"] }
}

run "schedules_that_fit" {
  command = plan
  variables {
    secrets = { for n, s in [
      { schedule = "rate(4 hours)", window = "4h" },
      { schedule = "rate(1 day)", window = "24h" },
      { schedule = "rate(400 days)" },
      { schedule = "cron(0 3 1 * ? *)", window = "3h" },
      { schedule = "cron(0 22 ? * SUN#2 *)", window = "2h" },
      { schedule = "cron(0 8 L JAN,JUL ? *)", window = "16h" },
      { schedule = "cron(0 0,12 * * ? *)", window = "12h" },
      { schedule = "cron(0 /8 * * ? *)", window = "8h" },
      { schedule = "cron(0 */4 ? * MON-FRI *)", window = "4h" },
      { schedule = "cron(0 8-20/6 15W * ? *)", window = "4h" },
      ] : "s${n}" => {
      secret_arn          = replace(var.secret, "app", "app${n}")
      schedule_expression = s.schedule
      window              = try(s.window, null)
    } }
  }
  assert {
    condition     = length(aws_secretsmanager_secret_rotation.this) == 10
    error_message = "Some secrets are not rotated."
  }
}

run "every_three_hours" {
  command = plan
  variables {
    secrets = { app = { secret_arn = var.secret, schedule_expression = "rate(3 hours)" } }
  }
  expect_failures = [aws_secretsmanager_secret_rotation.this]
}

run "a_day_in_the_plural" {
  command = plan
  variables {
    secrets = { app = { secret_arn = var.secret, schedule_expression = "rate(1 days)" } }
  }
  expect_failures = [aws_secretsmanager_secret_rotation.this]
}

run "weeks" {
  command = plan
  variables {
    secrets = { app = { secret_arn = var.secret, schedule_expression = "rate(2 weeks)" } }
  }
  expect_failures = [aws_secretsmanager_secret_rotation.this]
}

run "five_fields" {
  command = plan
  variables {
    secrets = { app = { secret_arn = var.secret, schedule_expression = "cron(0 3 * * ?)" } }
  }
  expect_failures = [aws_secretsmanager_secret_rotation.this]
}

run "a_minute" {
  command = plan
  variables {
    secrets = { app = { secret_arn = var.secret, schedule_expression = "cron(30 3 * * ? *)" } }
  }
  expect_failures = [aws_secretsmanager_secret_rotation.this]
}

run "a_year" {
  command = plan
  variables {
    secrets = { app = { secret_arn = var.secret, schedule_expression = "cron(0 3 * * ? 2027)" } }
  }
  expect_failures = [aws_secretsmanager_secret_rotation.this]
}

run "a_day_and_a_weekday" {
  command = plan
  variables {
    secrets = { app = { secret_arn = var.secret, schedule_expression = "cron(0 3 1 * SUN *)" } }
  }
  expect_failures = [aws_secretsmanager_secret_rotation.this]
}

run "neither_a_day_nor_a_weekday" {
  command = plan
  variables {
    secrets = { app = { secret_arn = var.secret, schedule_expression = "cron(0 3 ? * ? *)" } }
  }
  expect_failures = [aws_secretsmanager_secret_rotation.this]
}

run "every_hour" {
  command = plan
  variables {
    secrets = { app = { secret_arn = var.secret, schedule_expression = "cron(0 * * * ? *)" } }
  }
  expect_failures = [aws_secretsmanager_secret_rotation.this]
}

run "every_two_hours" {
  command = plan
  variables {
    secrets = { app = { secret_arn = var.secret, schedule_expression = "cron(0 */2 * * ? *)" } }
  }
  expect_failures = [aws_secretsmanager_secret_rotation.this]
}

run "two_hours_apart" {
  command = plan
  variables {
    secrets = { app = { secret_arn = var.secret, schedule_expression = "cron(0 3,5 * * ? *)" } }
  }
  expect_failures = [aws_secretsmanager_secret_rotation.this]
}

run "a_range_of_hours" {
  command = plan
  variables {
    secrets = { app = { secret_arn = var.secret, schedule_expression = "cron(0 8-11 * * ? *)" } }
  }
  expect_failures = [aws_secretsmanager_secret_rotation.this]
}

run "the_25th_hour" {
  command = plan
  variables {
    secrets = { app = { secret_arn = var.secret, schedule_expression = "cron(0 24 * * ? *)" } }
  }
  expect_failures = [aws_secretsmanager_secret_rotation.this]
}

run "a_window_in_days" {
  command = plan
  variables {
    secrets = { app = { secret_arn = var.secret, schedule_expression = "rate(30 days)", window = "1d" } }
  }
  expect_failures = [aws_secretsmanager_secret_rotation.this]
}

run "a_window_of_25_hours" {
  command = plan
  variables {
    secrets = { app = { secret_arn = var.secret, schedule_expression = "rate(30 days)", window = "25h" } }
  }
  expect_failures = [aws_secretsmanager_secret_rotation.this]
}

run "a_window_until_after_midnight" {
  command = plan
  variables {
    secrets = { app = { secret_arn = var.secret, schedule_expression = "cron(0 22 * * ? *)", window = "3h" } }
  }
  expect_failures = [aws_secretsmanager_secret_rotation.this]
}

run "a_window_until_after_the_next_rotation" {
  command = plan
  variables {
    secrets = { app = { secret_arn = var.secret, schedule_expression = "cron(0 0,6 * * ? *)", window = "8h" } }
  }
  expect_failures = [aws_secretsmanager_secret_rotation.this]
}

run "a_window_longer_than_the_rate" {
  command = plan
  variables {
    secrets = { app = { secret_arn = var.secret, schedule_expression = "rate(6 hours)", window = "8h" } }
  }
  expect_failures = [aws_secretsmanager_secret_rotation.this]
}
