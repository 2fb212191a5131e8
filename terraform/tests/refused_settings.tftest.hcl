# Settings that the module refuses; each run breaks one rule.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  package    = "./versions.tf"
  subnet_ids = ["subnet-1"]
  databases  = { app = { security_group_id = "sg-database" } }
  endpoint   = { security_group_ids = ["sg-endpoint"] }
  secrets    = { app = { secret_arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:shop/app-AbCdEf" } }
}

run "no_subnet" {
  command = plan
  variables {
    subnet_ids = []
  }
  expect_failures = [var.subnet_ids]
}

run "no_database" {
  command = plan
  variables {
    databases = {}
  }
  expect_failures = [var.databases]
}

run "no_port" {
  command = plan
  variables {
    databases = { app = { security_group_id = "sg-database", port = 0 } }
  }
  expect_failures = [var.databases]
}

run "no_way_to_secrets_manager" {
  command = plan
  variables {
    endpoint = {}
  }
  expect_failures = [var.endpoint]
}

run "two_ways_to_secrets_manager" {
  command = plan
  variables {
    endpoint = { security_group_ids = ["sg-endpoint"], create = true }
  }
  expect_failures = [var.endpoint]
}

run "a_name_that_is_too_long" {
  command = plan
  variables {
    name = "a-name-that-is-longer-than-iam-permits"
  }
  expect_failures = [var.name]
}

run "a_name_like_a_security_groups_id" {
  command = plan
  variables {
    name = "sg-rotation"
  }
  expect_failures = [var.name]
}

run "an_unknown_architecture" {
  command = plan
  variables {
    architecture = "arm"
  }
  expect_failures = [var.architecture]
}

run "too_little_time" {
  command = plan
  variables {
    timeout = 5
  }
  expect_failures = [var.timeout]
}

run "no_concurrency" {
  command = plan
  variables {
    reserved_concurrency = 0
  }
  expect_failures = [var.reserved_concurrency]
}

run "a_short_password" {
  command = plan
  variables {
    password_policy = { length = 7 }
  }
  expect_failures = [var.password_policy]
}

run "a_bundle_where_no_layer_is" {
  command = plan
  variables {
    ca_bundle = { layer_arn = "arn:aws:lambda:eu-central-1:111122223333:layer:roots:1", file = "roots.pem" }
  }
  expect_failures = [var.ca_bundle]
}

run "a_layer_without_a_version" {
  command = plan
  variables {
    ca_bundle = { layer_arn = "arn:aws:lambda:eu-central-1:111122223333:layer:roots", file = "/opt/roots.pem" }
  }
  expect_failures = [var.ca_bundle]
}

run "an_unknown_level" {
  command = plan
  variables {
    log_level = "info"
  }
  expect_failures = [var.log_level]
}

run "an_alias_for_logs" {
  command = plan
  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:111122223333:alias/team"
  }
  expect_failures = [var.kms_key_arn]
}

run "no_package" {
  command = plan
  variables {
    package = "./nowhere.zip"
  }
  expect_failures = [aws_lambda_function.this]
}
