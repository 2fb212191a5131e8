# Secrets that the module refuses. Each run breaks one rule.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  secret     = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:"
  package    = "./versions.tf"
  subnet_ids = ["subnet-1"]
  databases  = { app = { security_group_id = "sg-database" } }
  endpoint   = { security_group_ids = ["sg-endpoint"] }
}

run "a_name_that_no_permission_can_have" {
  command = plan
  variables {
    secrets = { "shop/app" = { secret_arn = "${var.secret}shop/app-AbCdEf" } }
  }
  expect_failures = [var.secrets]
}

run "a_name_in_place_of_an_arn" {
  command = plan
  variables {
    secrets = { app = { secret_arn = "shop/app" } }
  }
  expect_failures = [var.secrets]
}

run "an_arn_without_its_end" {
  command = plan
  variables {
    secrets = { app = { secret_arn = "${var.secret}shop/app" } }
  }
  expect_failures = [var.secrets]
}

run "an_arn_with_a_wildcard" {
  command = plan
  variables {
    secrets = { app = { secret_arn = "${var.secret}shop/*-AbCdEf" } }
  }
  expect_failures = [var.secrets]
}

run "a_secret_that_a_service_manages" {
  command = plan
  variables {
    secrets = { app = { secret_arn = "${var.secret}rds!db-1-AbCdEf" } }
  }
  expect_failures = [var.secrets]
}

run "one_secret_twice" {
  command = plan
  variables {
    secrets = {
      a = { secret_arn = "${var.secret}shop/app-AbCdEf" }
      b = { secret_arn = "${var.secret}shop/app-AbCdEf" }
    }
  }
  expect_failures = [var.secrets]
}

run "two_regions" {
  command = plan
  variables {
    secrets = {
      a = { secret_arn = "${var.secret}shop/app-AbCdEf" }
      b = { secret_arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:shop/app-AbCdEf" }
    }
  }
  expect_failures = [var.secrets]
}

run "an_unknown_strategy" {
  command = plan
  variables {
    secrets = { app = { secret_arn = "${var.secret}shop/app-AbCdEf", strategy = "both" } }
  }
  expect_failures = [var.policies]
}

run "two_users_without_an_admin" {
  command = plan
  variables {
    secrets = { app = { secret_arn = "${var.secret}shop/app-AbCdEf", strategy = "alternating-users" } }
  }
  expect_failures = [var.policies]
}

run "an_admin_secret_without_its_end" {
  command = plan
  variables {
    secrets = { app = { secret_arn = "${var.secret}shop/app-AbCdEf", admin_secret_arn = "${var.secret}shop/admin" } }
  }
  expect_failures = [var.policies]
}

run "an_admin_that_is_the_rotated_secret" {
  command = plan
  variables {
    secrets = { app = {
      secret_arn       = "${var.secret}shop/app-AbCdEf"
      admin_secret_arn = "${var.secret}shop/app-AbCdEf"
    } }
  }
  expect_failures = [var.secrets]
}

run "a_trusted_admin_that_is_the_rotated_secret" {
  command = plan
  variables {
    secrets               = { app = { secret_arn = "${var.secret}shop/app-AbCdEf" } }
    trusted_admin_secrets = [{ secret_arn = "${var.secret}shop/app-AbCdEf" }]
  }
  expect_failures = [var.trusted_admin_secrets]
}

run "a_trusted_admin_with_a_wildcard" {
  command = plan
  variables {
    secrets               = { app = { secret_arn = "${var.secret}shop/app-AbCdEf" } }
    trusted_admin_secrets = [{ secret_arn = "${var.secret}rds!*-AbCdEf" }]
  }
  expect_failures = [var.policies]
}

run "an_alias_of_a_trusted_admins_key" {
  command = plan
  variables {
    secrets = { app = { secret_arn = "${var.secret}shop/app-AbCdEf" } }
    trusted_admin_secrets = [{
      secret_arn = "${var.secret}rds!db-1-AbCdEf", kms_key_arn = "arn:aws:kms:eu-central-1:111122223333:alias/admin"
    }]
  }
  expect_failures = [var.policies]
}

run "a_key_without_an_admin_secret" {
  command = plan
  variables {
    secrets = { app = {
      secret_arn        = "${var.secret}shop/app-AbCdEf"
      admin_kms_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/1"
    } }
  }
  expect_failures = [var.policies]
}

run "an_alias_of_a_key" {
  command = plan
  variables {
    secrets = { app = {
      secret_arn  = "${var.secret}shop/app-AbCdEf"
      kms_key_arn = "arn:aws:kms:eu-central-1:111122223333:alias/team"
    } }
  }
  expect_failures = [var.secrets]
}

run "an_alias_of_the_admins_key" {
  command = plan
  variables {
    secrets = { app = {
      secret_arn        = "${var.secret}shop/app-AbCdEf"
      admin_secret_arn  = "${var.secret}rds!db-1-AbCdEf"
      admin_kms_key_arn = "arn:aws:kms:eu-central-1:111122223333:alias/team"
    } }
  }
  expect_failures = [var.policies]
}

run "an_unknown_storage" {
  command = plan
  variables {
    secrets = { app = { secret_arn = "${var.secret}shop/app-AbCdEf", policy = { password_storage = "plain" } } }
  }
  expect_failures = [var.policies]
}

run "a_retirement_without_a_unit" {
  command = plan
  variables {
    secrets = { app = { secret_arn = "${var.secret}shop/app-AbCdEf", policy = { retire_after = "24" } } }
  }
  expect_failures = [var.policies]
}

run "an_owner_role_that_postgresql_would_cut" {
  command = plan
  variables {
    secrets = { app = {
      secret_arn = "${var.secret}shop/app-AbCdEf"
      policy     = { owner_role = join("", [for i in range(32) : "ü"]) }
    } }
  }
  expect_failures = [var.policies]
}

run "a_url_in_the_password" {
  command = plan
  variables {
    secrets = { app = {
      secret_arn = "${var.secret}shop/app-AbCdEf"
      policy     = { connection_strings = ["DATABASE_URL", "password"] }
    } }
  }
  expect_failures = [var.policies]
}

run "a_port_without_a_host" {
  command = plan
  variables {
    secrets = { app = { secret_arn = "${var.secret}shop/app-AbCdEf", policy = { rotation_port = 5433 } } }
  }
  expect_failures = [var.policies]
}

run "a_port_that_does_not_exist" {
  command = plan
  variables {
    secrets = { app = {
      secret_arn = "${var.secret}shop/app-AbCdEf"
      policy     = { rotation_host = "db", rotation_port = 65536 }
    } }
  }
  expect_failures = [var.policies]
}

run "no_refused_login" {
  command = plan
  variables {
    secrets = { app = { secret_arn = "${var.secret}shop/app-AbCdEf", policy = { max_refused_logins = 0 } } }
  }
  expect_failures = [var.policies]
}

run "half_a_refused_login" {
  command = plan
  variables {
    secrets = { app = { secret_arn = "${var.secret}shop/app-AbCdEf", policy = { max_refused_logins = 1.5 } } }
  }
  expect_failures = [var.policies]
}

run "a_reset_of_any_role" {
  command = plan
  variables {
    secrets = { app = { secret_arn = "${var.secret}shop/app-AbCdEf", policy = { admin_reset = true } } }
  }
  expect_failures = [var.policies]
}

run "a_role_without_a_name" {
  command = plan
  variables {
    secrets = { app = { secret_arn = "${var.secret}shop/app-AbCdEf", policy = { role = "" } } }
  }
  expect_failures = [var.policies]
}

run "two_policies_for_one_secret" {
  command = plan
  variables {
    secrets  = { app = { secret_arn = "${var.secret}shop/app-AbCdEf", policy = { role = "app" } } }
    policies = { "shop/app" = { policy = { role = "app" } } }
  }
  expect_failures = [var.policies]
}

run "a_policy_with_every_field_that_has_a_rule" {
  command = plan
  variables {
    secrets = { app = { secret_arn = "${var.secret}shop/app-AbCdEf", policy = {
      role               = "app"
      owner_role         = "app_owner"
      databases          = ["shop", "stock"]
      connection_strings = ["DATABASE_URL"]
      former_hosts       = ["old.internal"]
      rotation_host      = "writer.internal"
      rotation_port      = 65535
      max_refused_logins = 255
      admin_reset        = true
      password_storage   = "scram-sha-256"
      retire_after       = "7d"
    } } }
    policies = { "shop/*" = { strategy = "single-user" } }
  }
  assert {
    condition = jsonencode(jsondecode(local.rotation_policy).secrets["${var.secret}shop/app-AbCdEf"]) == jsonencode({
      for field, value in var.secrets.app.policy : field => value if value != null
    })
    error_message = "ROTATION_POLICY is ${local.rotation_policy}"
  }
}

run "a_policy_beyond_the_environment" {
  command = plan
  variables {
    secrets = { app = { secret_arn = "${var.secret}shop/app-AbCdEf", policy = {
      probes = [for i in range(60) : "SELECT a, b, c, d FROM app.orders WHERE id = $1 AND total > ${i}"]
    } } }
  }
  expect_failures = [aws_lambda_function.this]
}

run "a_role_beyond_what_iam_takes" {
  command = plan
  variables {
    secrets = { for i in range(40) : "s${i}" => {
      secret_arn  = "${var.secret}a-rather-long-name-of-a-secret-${i}-AbCdEf"
      kms_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/team"
    } }
  }
  expect_failures = [aws_iam_role_policy.function]
}
