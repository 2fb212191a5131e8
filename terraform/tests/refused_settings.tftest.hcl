# Settings that the module refuses. Each run breaks one rule.

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

run "one_subnet_twice" {
  command = plan
  variables {
    subnet_ids = ["subnet-1", "subnet-1"]
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

run "two_databases_with_one_security_group" {
  command = plan
  variables {
    databases = { a = { security_group_id = "sg-database" }, b = { security_group_id = "sg-database" } }
  }
  expect_failures = [var.databases]
}

run "a_name_of_a_database_that_no_rule_can_describe" {
  command = plan
  variables {
    databases = { "Bücher" = { security_group_id = "sg-database" } }
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

run "one_endpoint_group_twice" {
  command = plan
  variables {
    endpoint = { security_group_ids = ["sg-endpoint", "sg-endpoint"] }
  }
  expect_failures = [var.endpoint]
}

run "one_prefix_list_twice" {
  command = plan
  variables {
    endpoint = { prefix_list_ids = ["pl-1", "pl-1"] }
  }
  expect_failures = [var.endpoint]
}

run "a_database_and_the_endpoint_with_one_group_and_port" {
  command = plan
  variables {
    databases = { app = { security_group_id = "sg-endpoint", port = 443 } }
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

run "a_name_like_the_id_of_a_security_group" {
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
    timeout = 29
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

run "passwords_of_no_characters" {
  command = plan
  variables {
    password_policy = {
      exclude_lowercase   = true
      exclude_uppercase   = true
      exclude_numbers     = true
      exclude_punctuation = true
    }
  }
  expect_failures = [aws_lambda_function.this]
}

run "passwords_of_few_characters" {
  command = plan
  variables {
    password_policy = { length = 8, exclude_lowercase = true, exclude_uppercase = true, exclude_punctuation = true }
  }
  expect_failures = [aws_lambda_function.this]
}

run "a_required_type_without_characters" {
  command = plan
  variables {
    password_policy = { exclude_characters = "0123456789" }
  }
  expect_failures = [aws_lambda_function.this]
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

run "a_boundary_by_its_name" {
  command = plan
  variables {
    permissions_boundary = "boundary"
  }
  expect_failures = [var.permissions_boundary]
}

run "six_alarm_actions" {
  command = plan
  variables {
    alarm_actions = [for n in range(6) : "arn:aws:sns:eu-central-1:111122223333:alarms-${n}"]
  }
  expect_failures = [var.alarm_actions]
}

run "tags_of_aws" {
  command = plan
  variables {
    tags = { "aws:owner" = "team" }
  }
  expect_failures = [var.tags]
}

run "too_many_tags" {
  command = plan
  variables {
    tags = { for n in range(50) : "tag-${n}" => "x" }
  }
  expect_failures = [var.tags]
}

run "a_type_without_characters_that_is_not_required" {
  command = plan
  variables {
    password_policy = { exclude_characters = "0123456789", require_each_included_type = false }
  }
  assert {
    condition     = aws_lambda_function.this.environment[0].variables.REQUIRE_EACH_INCLUDED_TYPE == "false"
    error_message = "The function has another password policy."
  }
}
