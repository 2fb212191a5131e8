# What the module creates from its inputs. AWS is mocked. That it works is shown where the examples are applied.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  lambda     = "arn:aws:lambda:eu-central-1:111122223333:function:postgres-secret-rotation"
  secret     = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:"
  package    = "./versions.tf"
  subnet_ids = ["subnet-1", "subnet-2"]
  endpoint   = { security_group_ids = ["sg-endpoint"] }
  databases = {
    shop  = { security_group_id = "sg-database" }
    stock = { security_group_id = "sg-stock", port = 5433 }
  }
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

run "the_policy_has_exactly_the_fields_that_are_set" {
  command = apply

  assert {
    condition = jsondecode(aws_lambda_function.this.environment[0].variables.ROTATION_POLICY) == {
      secrets = { "${var.secret}shop/app-AbCdEf" = {
        strategy     = "alternating-users"
        admin_secret = "${var.secret}rds!db-1-AbCdEf"
        grants       = ["SELECT ON TABLE orders"]
        create_users = false
        retire_after = "24h"
      } }
    }
    error_message = "ROTATION_POLICY is ${aws_lambda_function.this.environment[0].variables.ROTATION_POLICY}"
  }
  assert {
    condition     = join(",", keys(aws_lambda_function.this.environment[0].variables)) == "ROTATION_POLICY"
    error_message = "The function has variables that are not set."
  }
}

run "the_function_and_its_log_have_the_defaults" {
  command = apply

  assert {
    condition = (
      aws_lambda_function.this.runtime == "provided.al2023" &&
      aws_lambda_function.this.handler == "bootstrap" &&
      aws_lambda_function.this.architectures == tolist(["x86_64"]) &&
      aws_lambda_function.this.reserved_concurrent_executions == 10 &&
      aws_lambda_function.this.memory_size == 128 &&
      aws_lambda_function.this.timeout == 60 &&
      aws_lambda_function.this.logging_config[0].log_format == "JSON"
    )
    error_message = "The function differs from its defaults."
  }
  assert {
    condition = (
      aws_cloudwatch_log_group.this.name == "/aws/lambda/postgres-secret-rotation" &&
      aws_cloudwatch_log_group.this.retention_in_days == 365
    )
    error_message = "The log group differs from its defaults."
  }
}

run "secrets_manager_may_invoke_the_function_for_each_secret" {
  command = apply

  assert {
    condition = {
      for name, p in aws_lambda_permission.secrets_manager :
      name => [p.principal, p.action, p.source_account, p.source_arn]
      } == {
      for name, s in var.secrets :
      name => ["secretsmanager.amazonaws.com", "lambda:InvokeFunction", "111122223333", s.secret_arn]
    }
    error_message = "The permissions are not exactly one for each secret, from this account."
  }
}

run "each_secret_rotates_as_it_says" {
  command = apply

  assert {
    condition = {
      for name, r in aws_secretsmanager_secret_rotation.this : name => r.rotate_immediately
    } == { app = false, reports = true }
    error_message = "rotate_immediately differs."
  }
  assert {
    condition = {
      for name, r in aws_secretsmanager_secret_rotation.this :
      name => [r.rotation_rules[0].schedule_expression, r.rotation_rules[0].duration]
      } == {
      app = ["cron(0 3 1 * ? *)", "3h"], reports = ["rate(30 days)", tostring(null)]
    }
    error_message = "A schedule or window differs."
  }
}

run "the_role_may_do_exactly_what_rotations_need" {
  command = apply

  assert {
    condition = jsondecode(aws_iam_role_policy.function.policy).Statement == [
      {
        Sid    = "RotateSecrets"
        Effect = "Allow"
        Action = [
          for action in [
            "DescribeSecret", "GetSecretValue", "ListSecretVersionIds", "PutSecretValue", "UpdateSecretVersionStage"
          ] : "secretsmanager:${action}"
        ]
        Resource  = ["${var.secret}shop/app-AbCdEf", "${var.secret}shop/reports-AbCdEf"]
        Condition = { StringEquals = { "secretsmanager:resource/AllowRotationLambdaArn" = var.lambda } }
      },
      {
        Sid      = "ReadAdminSecrets"
        Effect   = "Allow"
        Action   = ["secretsmanager:GetSecretValue"]
        Resource = ["${var.secret}rds!db-1-AbCdEf"]
      },
      {
        Sid      = "EncryptRotatedSecrets0"
        Effect   = "Allow"
        Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource = ["arn:aws:kms:eu-central-1:111122223333:key/team"]
        Condition = {
          StringEquals = { "kms:ViaService" = "secretsmanager.eu-central-1.amazonaws.com" }
          StringLike = { "kms:EncryptionContext:SecretARN" = [
            "${var.secret}shop/app-AbCdEf", "${var.secret}shop/reports-AbCdEf"
          ] }
        }
      },
      {
        Sid      = "DecryptAdminSecrets0"
        Effect   = "Allow"
        Action   = ["kms:Decrypt"]
        Resource = ["arn:aws:kms:eu-central-1:111122223333:key/admin"]
        Condition = { StringEquals = {
          "kms:ViaService"                  = "secretsmanager.eu-central-1.amazonaws.com"
          "kms:EncryptionContext:SecretARN" = ["${var.secret}rds!db-1-AbCdEf"]
        } }
      },
      { Sid = "FindSecrets", Effect = "Allow", Action = ["secretsmanager:ListSecrets"], Resource = ["*"] },
      {
        Sid      = "WriteLogs"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = ["arn:aws:logs:eu-central-1:111122223333:log-group:/aws/lambda/postgres-secret-rotation:*"]
      },
    ]
    error_message = "The role's policy is ${aws_iam_role_policy.function.policy}"
  }
}

run "lambda_may_manage_the_interfaces_and_the_function_may_not" {
  command = apply

  assert {
    condition = {
      for s in jsondecode(aws_iam_role_policy.network.policy).Statement : s.Sid => s.Resource if s.Effect == "Allow"
      } == {
      CreateInterfaces = [
        "arn:aws:ec2:eu-central-1:111122223333:network-interface/*",
        "arn:aws:ec2:eu-central-1:111122223333:security-group/sg-own",
        "arn:aws:ec2:eu-central-1:*:subnet/subnet-1",
        "arn:aws:ec2:eu-central-1:*:subnet/subnet-2",
      ]
      ManageInterfaces = ["arn:aws:ec2:eu-central-1:111122223333:network-interface/*"]
      DeleteInterfaces = ["arn:aws:ec2:eu-central-1:111122223333:*/*"]
      DescribeNetwork  = ["*"]
    }
    error_message = "The network policy is ${aws_iam_role_policy.network.policy}"
  }
  assert {
    condition = (
      jsondecode(aws_iam_role_policy.network.policy).Statement[4].Effect == "Deny" &&
      jsondecode(aws_iam_role_policy.network.policy).Statement[4].Condition == {
        ArnEquals = { "lambda:SourceFunctionArn" = var.lambda }
      }
    )
    error_message = "The network policy denies nothing to the function's own code."
  }
  assert {
    condition = alltrue([
      for s in jsondecode(aws_iam_role_policy.network.policy).Statement :
      length(setsubtract(s.Action, local.network_statements[4].Action)) == 0 if s.Effect == "Allow"
    ])
    error_message = "The function's own code may use an action on interfaces."
  }
}

run "the_function_reaches_the_databases_and_the_endpoint_only" {
  command = apply

  assert {
    condition = {
      for name, r in aws_vpc_security_group_egress_rule.database :
      name => [r.security_group_id, r.referenced_security_group_id, "${r.from_port}-${r.to_port}", r.ip_protocol]
      } == {
      shop  = ["sg-own", "sg-database", "5432-5432", "tcp"],
      stock = ["sg-own", "sg-stock", "5433-5433", "tcp"]
    }
    error_message = "The function may reach something else than the databases' ports."
  }
  assert {
    condition = {
      for name, r in aws_vpc_security_group_ingress_rule.database :
      name => [r.security_group_id, r.referenced_security_group_id, "${r.from_port}-${r.to_port}"]
    } == { shop = ["sg-database", "sg-own", "5432-5432"], stock = ["sg-stock", "sg-own", "5433-5433"] }
    error_message = "The databases let in something else than the function."
  }
  assert {
    condition = [
      for r in aws_vpc_security_group_egress_rule.endpoint :
      [r.security_group_id, r.referenced_security_group_id, r.from_port, r.to_port]
    ] == [["sg-own", "sg-endpoint", 443, 443]]
    error_message = "The function may reach something else than HTTPS at the endpoint."
  }
  assert {
    condition = [
      for r in aws_vpc_security_group_ingress_rule.endpoint :
      [r.security_group_id, r.referenced_security_group_id, r.from_port, r.to_port]
    ] == [["sg-endpoint", "sg-own", 443, 443]]
    error_message = "The endpoint lets in something else than the function."
  }
  assert {
    condition = (
      length(aws_vpc_endpoint.secrets_manager) == 0 &&
      length(aws_vpc_security_group_egress_rule.prefix_list) == 0
    )
    error_message = "There is another way to Secrets Manager."
  }
}

run "without_ingress_rules_other_security_groups_stay_unchanged" {
  command = apply

  variables {
    manage_ingress_rules = false
  }

  assert {
    condition = (
      length(aws_vpc_security_group_ingress_rule.database) == 0 &&
      length(aws_vpc_security_group_ingress_rule.endpoint) == 0
    )
    error_message = "A security group that is not the module's has a new rule."
  }
}

run "an_endpoint_behind_a_prefix_list" {
  command = apply

  variables {
    endpoint = { prefix_list_ids = ["pl-1"] }
  }

  assert {
    condition = (
      aws_vpc_security_group_egress_rule.prefix_list[*].prefix_list_id == ["pl-1"] &&
      length(aws_vpc_security_group_egress_rule.endpoint) == 0
    )
    error_message = "The function may reach something else than the prefix list."
  }
}

run "an_endpoint_for_the_function_alone" {
  command = apply

  variables {
    endpoint             = { create = true }
    manage_ingress_rules = false
  }

  assert {
    condition = (
      aws_vpc_endpoint.secrets_manager[0].private_dns_enabled == false &&
      aws_vpc_endpoint.secrets_manager[0].service_name == "com.amazonaws.eu-central-1.secretsmanager"
    )
    error_message = "The endpoint has private DNS, or is of another service."
  }
  assert {
    condition = (
      aws_lambda_function.this.environment[0].variables.SECRETS_MANAGER_ENDPOINT ==
      "https://vpce-1.secretsmanager.eu-central-1.vpce.amazonaws.com"
    )
    error_message = "The function does not use the endpoint."
  }
  assert {
    condition = (
      length(aws_vpc_security_group_egress_rule.endpoint) == 1 &&
      length(aws_vpc_security_group_ingress_rule.endpoint) == 1
    )
    error_message = "The function does not reach the endpoint."
  }
  assert {
    condition = jsondecode(aws_vpc_endpoint.secrets_manager[0].policy).Statement[0].Condition == {
      ArnEquals = { "aws:PrincipalArn" = "arn:aws:iam::111122223333:role/rotation" }
    }
    error_message = "Others may use the endpoint."
  }
}
