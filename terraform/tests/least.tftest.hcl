# One secret without an admin and without a key, in another partition, and inputs that are only passed on.

mock_provider "aws" {
  source = "./tests/mocks"

  override_resource {
    target = aws_lambda_function.this
    values = { arn = "arn:aws-cn:lambda:cn-north-1:111122223333:function:postgres-secret-rotation" }
  }
}

variables {
  package         = "./versions.tf"
  subnet_ids      = ["subnet-1"]
  databases       = { app = { security_group_id = "sg-database" } }
  endpoint        = { security_group_ids = ["sg-endpoint"] }
  secrets         = { app = { secret_arn = "arn:aws-cn:secretsmanager:cn-north-1:111122223333:secret:app-AbCdEf" } }
  ca_bundle       = { layer_arn = "arn:aws-cn:lambda:cn-north-1:111122223333:layer:roots:1", file = "/opt/roots.pem" }
  password_policy = { length = 40, exclude_punctuation = true }

  kms_key_arn          = "arn:aws-cn:kms:cn-north-1:111122223333:key/logs"
  permissions_boundary = "arn:aws-cn:iam::111122223333:policy/boundary"
  alarm_actions        = ["arn:aws-cn:sns:cn-north-1:111122223333:alarms"]
  log_retention_days   = 30
}

run "the_role_may_only_rotate_find_secrets_and_log" {
  command = apply

  assert {
    condition = [for s in jsondecode(aws_iam_role_policy.function.policy).Statement : s.Sid] == [
      "RotateSecrets", "FindSecrets", "WriteLogs"
    ]
    error_message = "The role has other statements than RotateSecrets, FindSecrets and WriteLogs."
  }
  assert {
    condition = jsondecode(aws_iam_role.this.assume_role_policy).Statement == [{
      Sid       = "Lambda", Effect = "Allow", Action = "sts:AssumeRole",
      Principal = { Service = "lambda.amazonaws.com" }
    }]
    error_message = "Others than Lambda may assume the role."
  }
  assert {
    condition     = aws_iam_role.this.permissions_boundary == var.permissions_boundary
    error_message = "The role has no permissions boundary."
  }
}

run "every_arn_is_of_the_partition_and_region" {
  command = apply

  assert {
    condition = length(regexall("arn:aws:|eu-central-1", join("", [
      aws_iam_role_policy.function.policy, aws_iam_role_policy.network.policy
    ]))) == 0
    error_message = "An ARN has another partition or region."
  }
}

run "inputs_reach_the_function_log_and_alarms" {
  command = apply

  assert {
    condition = aws_lambda_function.this.environment[0].variables == tomap({
      ROTATION_POLICY     = "{\"secrets\":{}}"
      PASSWORD_LENGTH     = "40"
      EXCLUDE_PUNCTUATION = "true"
      CA_BUNDLE_FILE      = "/opt/roots.pem"
    })
    error_message = "The function has other variables than expected."
  }
  assert {
    condition = (
      aws_lambda_function.this.vpc_config[0].subnet_ids == toset(["subnet-1"]) &&
      aws_lambda_function.this.vpc_config[0].security_group_ids == toset(["sg-own"])
    )
    error_message = "The function is in other subnets or has another security group."
  }
  assert {
    condition = (
      aws_lambda_function.this.layers == tolist([var.ca_bundle.layer_arn]) &&
      aws_lambda_function.this.kms_key_arn == var.kms_key_arn
    )
    error_message = "The function has another layer or key."
  }
  assert {
    condition = (
      aws_cloudwatch_log_group.this.kms_key_id == var.kms_key_arn &&
      aws_cloudwatch_log_group.this.retention_in_days == 30
    )
    error_message = "The log group has another key or retention."
  }
  assert {
    condition = alltrue([
      for alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_actions == toset(var.alarm_actions)
    ])
    error_message = "An alarm has other actions."
  }
}
