# One secret that needs neither an admin nor a key, in another partition; and the inputs that are only handed through.

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

run "the_least" {
  command = apply

  assert {
    condition     = [for s in jsondecode(aws_iam_role_policy.function.policy).Statement : s.Sid] == ["RotateSecrets", "WriteLogs"]
    error_message = "Without an admin secret and keys the role may do more than rotate and log."
  }
  assert {
    condition     = length(regexall("arn:aws:|eu-central-1", "${aws_iam_role_policy.function.policy}${aws_iam_role_policy.network.policy}")) == 0
    error_message = "An ARN is that of another partition or region."
  }
  assert {
    condition = aws_lambda_function.this.environment[0].variables == tomap({
      ROTATION_POLICY = "{\"secrets\":{}}", PASSWORD_LENGTH = "40", EXCLUDE_PUNCTUATION = "true", CA_BUNDLE_FILE = "/opt/roots.pem"
    })
    error_message = "The environment is another."
  }
  assert {
    condition = (
      aws_lambda_function.this.vpc_config[0].subnet_ids == toset(["subnet-1"]) && aws_lambda_function.this.vpc_config[0].security_group_ids == toset(["sg-own"]) &&
      aws_lambda_function.this.layers == tolist([var.ca_bundle.layer_arn]) && aws_lambda_function.this.kms_key_arn == var.kms_key_arn &&
      aws_cloudwatch_log_group.this.kms_key_id == var.kms_key_arn && aws_cloudwatch_log_group.this.retention_in_days == 30 &&
      aws_iam_role.this.permissions_boundary == var.permissions_boundary &&
      alltrue([for alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_actions == toset(var.alarm_actions)])
    )
    error_message = "An input does not come to where it belongs."
  }
  assert {
    condition     = jsondecode(aws_iam_role.this.assume_role_policy).Statement == [{ Sid = "Lambda", Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "lambda.amazonaws.com" } }]
    error_message = "Somebody else than Lambda may take the role."
  }
}
