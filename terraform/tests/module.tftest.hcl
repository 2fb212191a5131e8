# What the module makes of its inputs. AWS is mocked: that it works is shown where the examples are applied.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  package    = "./versions.tf"
  subnet_ids = ["subnet-1", "subnet-2"]
  databases  = { shop = { security_group_id = "sg-database" }, stock = { security_group_id = "sg-stock", port = 5433 } }
  endpoint   = { security_group_ids = ["sg-endpoint"] }
  secrets = {
    app = {
      secret_arn          = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:shop/app-AbCdEf"
      strategy            = "alternating-users"
      admin_secret_arn    = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:rds!db-1-AbCdEf"
      kms_key_arn         = "arn:aws:kms:eu-central-1:111122223333:key/team"
      admin_kms_key_arn   = "arn:aws:kms:eu-central-1:111122223333:key/admin"
      schedule_expression = "cron(0 3 1 * ? *)"
      window              = "3h"
      policy              = { grants = ["SELECT ON TABLE orders"], create_users = false, retire_after = "24h" }
    }
    reports = {
      secret_arn         = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:shop/reports-AbCdEf"
      kms_key_arn        = "arn:aws:kms:eu-central-1:111122223333:key/team"
      rotate_immediately = true
    }
  }
}

run "the_function" {
  command = apply

  assert {
    condition = jsondecode(aws_lambda_function.this.environment[0].variables.ROTATION_POLICY) == {
      secrets = { "arn:aws:secretsmanager:eu-central-1:111122223333:secret:shop/app-AbCdEf" = {
        strategy     = "alternating-users"
        admin_secret = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:rds!db-1-AbCdEf"
        grants       = ["SELECT ON TABLE orders"]
        create_users = false
        retire_after = "24h"
      } }
    }
    error_message = "ROTATION_POLICY has other fields than were set: ${aws_lambda_function.this.environment[0].variables.ROTATION_POLICY}"
  }
  assert {
    condition     = join(" ", keys(aws_lambda_function.this.environment[0].variables)) == "ROTATION_POLICY"
    error_message = "The environment has variables that nobody set."
  }
  assert {
    condition = (
      aws_lambda_function.this.runtime == "provided.al2023" && aws_lambda_function.this.handler == "bootstrap" &&
      aws_lambda_function.this.architectures == tolist(["x86_64"]) && aws_lambda_function.this.reserved_concurrent_executions == 10 &&
      aws_lambda_function.this.memory_size == 128 && aws_lambda_function.this.timeout == 60 &&
      aws_lambda_function.this.logging_config[0].log_format == "JSON"
    )
    error_message = "The function is not as its defaults say."
  }
  assert {
    condition     = aws_cloudwatch_log_group.this.name == "/aws/lambda/postgres-secret-rotation" && aws_cloudwatch_log_group.this.retention_in_days == 365
    error_message = "The log group is not the function's, or keeps logs for another time."
  }
  assert {
    condition     = { for metric, alarm in aws_cloudwatch_metric_alarm.this : metric => alarm.dimensions.FunctionName } == { Errors = var.name, Throttles = var.name }
    error_message = "The alarms watch something else."
  }
}

run "rotations_and_who_may_start_them" {
  command = apply

  assert {
    condition = { for name, p in aws_lambda_permission.secrets_manager : name => [p.principal, p.action, p.source_account, p.source_arn] } == {
      for name, s in var.secrets : name => ["secretsmanager.amazonaws.com", "lambda:InvokeFunction", "111122223333", s.secret_arn]
    }
    error_message = "Secrets Manager has not exactly one permission per secret, for this account and this secret."
  }
  assert {
    condition     = { for name, r in aws_secretsmanager_secret_rotation.this : name => r.rotate_immediately } == { app = false, reports = true }
    error_message = "A rotation starts at once without having been asked to, or does not though it was."
  }
  assert {
    condition = { for name, r in aws_secretsmanager_secret_rotation.this : name => [r.rotation_rules[0].schedule_expression, r.rotation_rules[0].duration] } == {
      app = ["cron(0 3 1 * ? *)", "3h"], reports = ["rate(30 days)", tostring(null)]
    }
    error_message = "A schedule is not as it was set."
  }
}

run "what_the_role_may_do" {
  command = apply

  assert {
    condition = jsondecode(aws_iam_role_policy.function.policy).Statement == [
      {
        Sid    = "RotateSecrets", Effect = "Allow"
        Action = [for action in ["DescribeSecret", "GetSecretValue", "ListSecretVersionIds", "PutSecretValue", "UpdateSecretVersionStage"] : "secretsmanager:${action}"]
        Resource = [
          "arn:aws:secretsmanager:eu-central-1:111122223333:secret:shop/app-AbCdEf",
          "arn:aws:secretsmanager:eu-central-1:111122223333:secret:shop/reports-AbCdEf",
        ]
        Condition = { StringEquals = {
          "secretsmanager:resource/AllowRotationLambdaArn" = "arn:aws:lambda:eu-central-1:111122223333:function:postgres-secret-rotation"
        } }
      },
      {
        Sid      = "ReadAdminSecrets", Effect = "Allow", Action = ["secretsmanager:GetSecretValue"]
        Resource = ["arn:aws:secretsmanager:eu-central-1:111122223333:secret:rds!db-1-AbCdEf"]
      },
      {
        Sid      = "EncryptRotatedSecrets0", Effect = "Allow", Action = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource = ["arn:aws:kms:eu-central-1:111122223333:key/team"]
        Condition = { StringEquals = {
          "kms:ViaService" = "secretsmanager.eu-central-1.amazonaws.com"
          "kms:EncryptionContext:SecretARN" = [
            "arn:aws:secretsmanager:eu-central-1:111122223333:secret:shop/app-AbCdEf",
            "arn:aws:secretsmanager:eu-central-1:111122223333:secret:shop/reports-AbCdEf",
          ]
        } }
      },
      {
        Sid      = "DecryptAdminSecrets0", Effect = "Allow", Action = ["kms:Decrypt"]
        Resource = ["arn:aws:kms:eu-central-1:111122223333:key/admin"]
        Condition = { StringEquals = {
          "kms:ViaService"                  = "secretsmanager.eu-central-1.amazonaws.com"
          "kms:EncryptionContext:SecretARN" = ["arn:aws:secretsmanager:eu-central-1:111122223333:secret:rds!db-1-AbCdEf"]
        } }
      },
      {
        Sid      = "WriteLogs", Effect = "Allow", Action = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = ["arn:aws:logs:eu-central-1:111122223333:log-group:/aws/lambda/postgres-secret-rotation:*"]
      },
    ]
    error_message = "The role's policy is another: ${aws_iam_role_policy.function.policy}"
  }
  assert {
    condition = { for s in jsondecode(aws_iam_role_policy.network.policy).Statement : s.Sid => s.Resource if s.Effect == "Allow" } == {
      CreateInterfaces = [
        "arn:aws:ec2:eu-central-1:111122223333:network-interface/*", "arn:aws:ec2:eu-central-1:111122223333:security-group/sg-own",
        "arn:aws:ec2:eu-central-1:*:subnet/subnet-1", "arn:aws:ec2:eu-central-1:*:subnet/subnet-2",
      ]
      ManageInterfaces = ["arn:aws:ec2:eu-central-1:111122223333:network-interface/*"]
      DeleteInterfaces = ["arn:aws:ec2:eu-central-1:111122223333:*/*"]
      DescribeNetwork  = ["*"]
    }
    error_message = "The interfaces' statements allow something else: ${aws_iam_role_policy.network.policy}"
  }
  assert {
    condition = alltrue([
      for s in jsondecode(aws_iam_role_policy.network.policy).Statement : length(setsubtract(s.Action, local.network_statements[4].Action)) == 0
      if s.Effect == "Allow"
      ]) && jsondecode(aws_iam_role_policy.network.policy).Statement[4].Condition == { ArnEquals = {
      "lambda:SourceFunctionArn" = "arn:aws:lambda:eu-central-1:111122223333:function:postgres-secret-rotation"
    } } && jsondecode(aws_iam_role_policy.network.policy).Statement[4].Effect == "Deny"
    error_message = "An action on interfaces is not denied to the function's own code."
  }
}

run "the_way_to_databases_and_endpoint" {
  command = apply

  assert {
    condition = { for name, r in aws_vpc_security_group_egress_rule.database : name => [r.security_group_id, r.referenced_security_group_id, "${r.from_port}-${r.to_port}", r.ip_protocol] } == {
      shop = ["sg-own", "sg-database", "5432-5432", "tcp"], stock = ["sg-own", "sg-stock", "5433-5433", "tcp"]
    }
    error_message = "The function may reach something else than the databases' ports."
  }
  assert {
    condition = { for name, r in aws_vpc_security_group_ingress_rule.database : name => [r.security_group_id, r.referenced_security_group_id, "${r.from_port}-${r.to_port}"] } == {
      shop = ["sg-database", "sg-own", "5432-5432"], stock = ["sg-stock", "sg-own", "5433-5433"]
    }
    error_message = "The databases let in something else than the function."
  }
  assert {
    condition = (
      [for r in aws_vpc_security_group_egress_rule.endpoint : [r.security_group_id, r.referenced_security_group_id, r.from_port, r.to_port]] == [["sg-own", "sg-endpoint", 443, 443]] &&
      [for r in aws_vpc_security_group_ingress_rule.endpoint : [r.security_group_id, r.referenced_security_group_id, r.from_port, r.to_port]] == [["sg-endpoint", "sg-own", 443, 443]]
    )
    error_message = "The way to the endpoint is not HTTPS between the two groups."
  }
  assert {
    condition     = length(aws_vpc_endpoint.secrets_manager) == 0 && length(aws_vpc_security_group_egress_rule.prefix_list) == 0
    error_message = "There is another way to Secrets Manager than the one that was picked."
  }
}

run "groups_of_others_are_left_alone_where_asked" {
  command = apply

  variables {
    manage_ingress_rules = false
  }

  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.database) == 0 && length(aws_vpc_security_group_ingress_rule.endpoint) == 0
    error_message = "A rule was added to a group of somebody else."
  }
}

run "an_endpoint_behind_a_prefix_list" {
  command = apply

  variables {
    endpoint = { prefix_list_ids = ["pl-1"] }
  }

  assert {
    condition     = aws_vpc_security_group_egress_rule.prefix_list[*].prefix_list_id == ["pl-1"] && length(aws_vpc_security_group_egress_rule.endpoint) == 0
    error_message = "The function may not reach the prefix list, or more than that."
  }
}

run "an_endpoint_of_its_own" {
  command = apply

  variables {
    endpoint             = { create = true }
    manage_ingress_rules = false
  }

  assert {
    condition     = aws_vpc_endpoint.secrets_manager[0].private_dns_enabled == false && aws_vpc_endpoint.secrets_manager[0].service_name == "com.amazonaws.eu-central-1.secretsmanager"
    error_message = "The endpoint would take over everybody's way to Secrets Manager."
  }
  assert {
    condition     = aws_lambda_function.this.environment[0].variables.SECRETS_MANAGER_ENDPOINT == "https://vpce-1.secretsmanager.eu-central-1.vpce.amazonaws.com"
    error_message = "The function does not know its endpoint."
  }
  assert {
    condition     = length(aws_vpc_security_group_egress_rule.endpoint) == 1 && length(aws_vpc_security_group_ingress_rule.endpoint) == 1
    error_message = "The function may not come to its endpoint."
  }
  assert {
    condition     = jsondecode(aws_vpc_endpoint.secrets_manager[0].policy).Statement[0].Condition == { ArnEquals = { "aws:PrincipalArn" = "arn:aws:iam::111122223333:role/rotation" } }
    error_message = "Others may use the endpoint."
  }
}
