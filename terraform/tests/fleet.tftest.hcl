# Many secrets with one function: below prefixes, or listed by the hundred.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  lambda     = "arn:aws:lambda:eu-central-1:111122223333:function:postgres-secret-rotation"
  secret     = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:"
  package    = "./versions.tf"
  subnet_ids = ["subnet-1"]
  databases  = { app = { security_group_id = "sg-database" } }
  endpoint   = { security_group_ids = ["sg-endpoint"] }
}

run "a_prefix_is_one_permission_and_one_resource" {
  command = apply

  variables {
    secret_prefixes = ["prod/postgres/", "prod/other-"]
  }

  assert {
    condition = [
      for p in values(aws_lambda_permission.secrets_manager) : [p.principal, p.action, p.source_account]
    ] == [for n in range(2) : ["secretsmanager.amazonaws.com", "lambda:InvokeFunction", "111122223333"]]
    error_message = "A permission is for another principal, action or account."
  }
  assert {
    condition = toset(values(aws_lambda_permission.secrets_manager)[*].source_arn) == toset([
      "${var.secret}prod/postgres/*", "${var.secret}prod/other-*"
    ])
    error_message = "The permissions are not one for each prefix."
  }
  assert {
    condition = alltrue([
      for id in values(aws_lambda_permission.secrets_manager)[*].statement_id : can(regex("^[A-Za-z0-9_-]+$", id))
    ])
    error_message = "A statement has a name that Lambda does not accept."
  }
  assert {
    condition = jsondecode(aws_iam_role_policy.function.policy).Statement[0] == {
      Sid    = "RotateSecrets"
      Effect = "Allow"
      Action = [
        for action in [
          "DescribeSecret", "GetSecretValue", "ListSecretVersionIds", "PutSecretValue", "UpdateSecretVersionStage"
        ] : "secretsmanager:${action}"
      ]
      Resource  = ["${var.secret}prod/postgres/*", "${var.secret}prod/other-*"]
      Condition = { StringEquals = { "secretsmanager:resource/AllowRotationLambdaArn" = var.lambda } }
    }
    error_message = "The role may use other secrets: ${aws_iam_role_policy.function.policy}"
  }
  assert {
    condition     = aws_lambda_function.this.environment[0].variables.ROTATION_POLICY == "{\"secrets\":{}}"
    error_message = "Secrets below a prefix are in the policy."
  }
}

run "the_keys_of_secrets_below_a_prefix" {
  command = apply

  variables {
    secret_prefixes            = ["prod/postgres/"]
    secret_prefix_kms_key_arns = ["arn:aws:kms:eu-central-1:111122223333:key/team"]
  }

  assert {
    condition = [
      for s in jsondecode(aws_iam_role_policy.function.policy).Statement : s if startswith(s.Sid, "Encrypt")
      ] == [{
        Sid      = "EncryptSecretsBelowPrefixes"
        Effect   = "Allow"
        Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource = ["arn:aws:kms:eu-central-1:111122223333:key/team"]
        Condition = {
          StringEquals = { "kms:ViaService" = "secretsmanager.eu-central-1.amazonaws.com" }
          StringLike   = { "kms:EncryptionContext:SecretARN" = ["${var.secret}prod/postgres/*"] }
        }
    }]
    error_message = "The role may use the key for other secrets: ${aws_iam_role_policy.function.policy}"
  }
}

run "policies_by_prefix_and_by_name" {
  command = apply

  variables {
    secret_prefixes = ["prod/postgres/"]
    policies = {
      "prod/postgres/*" = {
        strategy          = "alternating-users"
        admin_secret_arn  = "${var.secret}rds!db-1-AbCdEf"
        admin_kms_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/admin"
        policy            = { retire_after = "2d" }
      }
      "prod/postgres/legacy" = { strategy = "single-user" }
    }
  }

  assert {
    condition = jsondecode(aws_lambda_function.this.environment[0].variables.ROTATION_POLICY) == { secrets = {
      "prod/postgres/*" = {
        strategy = "alternating-users", admin_secret = "${var.secret}rds!db-1-AbCdEf", retire_after = "2d"
      }
      "prod/postgres/legacy" = { strategy = "single-user" }
    } }
    error_message = "ROTATION_POLICY is ${aws_lambda_function.this.environment[0].variables.ROTATION_POLICY}"
  }
  assert {
    condition = {
      for s in jsondecode(aws_iam_role_policy.function.policy).Statement : s.Sid => s.Resource
      if strcontains(s.Sid, "Admin")
      } == {
      ReadAdminSecrets     = ["${var.secret}rds!db-1-AbCdEf"]
      DecryptAdminSecrets0 = ["arn:aws:kms:eu-central-1:111122223333:key/admin"]
    }
    error_message = "The role may not use the admin secret: ${aws_iam_role_policy.function.policy}"
  }
}

run "admins_that_the_secrets_name_themselves" {
  command = apply

  variables {
    secret_prefixes = ["prod/postgres/"]
    policies = { "prod/postgres/*" = {
      strategy = "alternating-users", policy = { lease = "60d", role = "app" }
    } }
    trusted_admin_secrets = [
      { secret_arn = "${var.secret}rds!db-1-AbCdEf", kms_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/admin" },
      { secret_arn = "${var.secret}rds!db-2-AbCdEf" },
    ]
  }

  assert {
    condition = jsondecode(aws_lambda_function.this.environment[0].variables.ROTATION_POLICY) == {
      secrets  = { "prod/postgres/*" = { strategy = "alternating-users", lease = "60d", role = "app" } }
      defaults = { trust_masterarn = true }
    }
    error_message = "ROTATION_POLICY is ${aws_lambda_function.this.environment[0].variables.ROTATION_POLICY}"
  }
  assert {
    condition = [
      for s in jsondecode(aws_iam_role_policy.function.policy).Statement :
      [s.Resource, try(s.Condition.StringEquals, {})]
      if strcontains(s.Sid, "Admin")
      ] == [
      [["${var.secret}rds!db-1-AbCdEf", "${var.secret}rds!db-2-AbCdEf"], {}],
      [["arn:aws:kms:eu-central-1:111122223333:key/admin"], {
        "kms:ViaService"                  = "secretsmanager.eu-central-1.amazonaws.com"
        "kms:EncryptionContext:SecretARN" = ["${var.secret}rds!db-1-AbCdEf"]
      }],
    ]
    error_message = "The role may not read exactly these admin secrets: ${aws_iam_role_policy.function.policy}"
  }
}

run "one_policy_for_many_listed_secrets" {
  command = apply

  variables {
    secrets  = { for i in range(30) : "s${i}" => { secret_arn = "${var.secret}shop/${i}-AbCdEf" } }
    policies = { "shop/*" = { policy = { rotation_host = "writer.internal" } } }
  }

  assert {
    condition = jsondecode(aws_lambda_function.this.environment[0].variables.ROTATION_POLICY) == {
      secrets = { "shop/*" = { rotation_host = "writer.internal" } }
    }
    error_message = "ROTATION_POLICY is ${aws_lambda_function.this.environment[0].variables.ROTATION_POLICY}"
  }
}

run "hundreds_of_listed_secrets_share_the_start_of_their_arns" {
  command = plan

  variables {
    secrets = { for i in range(200) : "s${i}" => {
      secret_arn  = "${var.secret}prod/${i % 2 == 0 ? "orders" : "billing"}/a-rather-long-name-${i}-AbCdEf"
      kms_key_arn = i % 2 == 0 ? "arn:aws:kms:eu-central-1:111122223333:key/orders" : null
    } }
  }

  assert {
    condition = [for p in values(aws_lambda_permission.secrets_manager) : [p.source_arn, p.source_account]] == [
      ["${var.secret}prod/*", "111122223333"]
    ]
    error_message = "The permissions are not one for the common start."
  }
  assert {
    condition = {
      for s in jsondecode(aws_iam_role_policy.function.policy).Statement : s.Sid => s.Resource
      if !contains(["FindSecrets", "WriteLogs"], s.Sid)
      } == {
      RotateSecrets          = ["${var.secret}prod/*"]
      EncryptRotatedSecrets0 = ["arn:aws:kms:eu-central-1:111122223333:key/orders"]
    }
    error_message = "The role may use other secrets: ${aws_iam_role_policy.function.policy}"
  }
  assert {
    condition = (
      jsondecode(aws_iam_role_policy.function.policy).Statement[1].Condition.StringLike ==
      { "kms:EncryptionContext:SecretARN" = ["${var.secret}prod/orders/a-rather-long-name-*"] }
    )
    error_message = "The role may use the key for other secrets: ${aws_iam_role_policy.function.policy}"
  }
  assert {
    condition     = length(aws_secretsmanager_secret_rotation.this) == 200
    error_message = "Some secrets are not rotated."
  }
}

run "a_thousand_secrets_below_one_prefix" {
  command = plan

  module {
    source = "./tests/fleet"
  }
  variables {
    secrets = 1000
  }

  assert {
    condition     = output.rotations == 1000
    error_message = "The plan has ${output.rotations} rotations."
  }
}

run "neither_secrets_nor_prefixes" {
  command         = plan
  expect_failures = [var.secret_prefixes]
}

run "an_empty_prefix" {
  command = plan
  variables {
    secret_prefixes = [""]
  }
  expect_failures = [var.secret_prefixes]
}

run "a_prefix_with_a_wildcard" {
  command = plan
  variables {
    secret_prefixes = ["prod/*"]
  }
  expect_failures = [var.secret_prefixes]
}

run "a_prefix_below_another" {
  command = plan
  variables {
    secret_prefixes = ["prod/", "prod/postgres/"]
  }
  expect_failures = [var.secret_prefixes]
}

run "a_prefix_twice" {
  command = plan
  variables {
    secret_prefixes = ["prod/", "prod/"]
  }
  expect_failures = [var.secret_prefixes]
}

run "an_alias_of_a_key_for_a_prefix" {
  command = plan
  variables {
    secret_prefixes            = ["prod/"]
    secret_prefix_kms_key_arns = ["arn:aws:kms:eu-central-1:111122223333:alias/team"]
  }
  expect_failures = [var.secret_prefix_kms_key_arns]
}

run "a_policy_that_fits_no_secret" {
  command = plan
  variables {
    secret_prefixes = ["prod/"]
    policies        = { "test/*" = { strategy = "single-user" } }
  }
  expect_failures = [var.policies]
}

run "a_policy_with_a_wildcard_in_the_middle" {
  command = plan
  variables {
    secret_prefixes = ["prod/"]
    policies        = { "prod/*/app" = { strategy = "single-user" } }
  }
  expect_failures = [var.policies]
}

run "a_policy_for_two_users_without_an_admin" {
  command = plan
  variables {
    secret_prefixes = ["prod/"]
    policies        = { "prod/*" = { strategy = "alternating-users" } }
  }
  expect_failures = [var.policies]
}

run "an_admin_secret_by_its_name" {
  command = plan
  variables {
    secret_prefixes = ["prod/"]
    policies        = { "prod/*" = { admin_secret_arn = "prod/admin" } }
  }
  expect_failures = [var.policies]
}

run "more_policies_than_the_environment_holds" {
  command = plan
  variables {
    secret_prefixes = ["prod/"]
    policies = { for i in range(80) : "prod/team-${i}/*" => {
      policy = { rotation_host = "writer-${i}.internal" }
    } }
  }
  expect_failures = [aws_lambda_function.this]
}

run "more_prefixes_than_lambda_holds" {
  command = plan
  variables {
    secret_prefixes = [for i in range(60) : "prod/team-${i}/"]
  }
  expect_failures = [aws_lambda_function.this]
}
