locals {
  # Versions 5 and 6 of the provider name the region differently. An ARN is the same in both.
  arn       = split(":", values(var.secrets)[0].secret_arn)
  partition = local.arn[1]
  region    = local.arn[3]
  account   = local.arn[4]

  # The role's policy names the function, and the function needs the role. So the ARN is composed.
  function_arn = "arn:${local.partition}:lambda:${local.region}:${local.account}:function:${var.name}"
  log_group    = "/aws/lambda/${var.name}"
  package      = coalesce(var.package, "${path.module}/../target/lambda/postgres-secret-rotation/bootstrap.zip")

  # The function rejects null, and an empty entry takes room for nothing.
  policies = { for s in var.secrets : s.secret_arn => {
    for field, value in merge({ strategy = s.strategy, admin_secret = s.admin_secret_arn }, s.policy) :
    field => value if value != null
  } }
  rotation_policy = jsonencode({
    secrets = { for arn, policy in local.policies : arn => policy if length(policy) > 0 }
  })

  own_endpoint = one(formatlist("https://%s", aws_vpc_endpoint.secrets_manager[*].dns_entry[0].dns_name))
  environment = { for name, value in {
    ROTATION_POLICY            = local.rotation_policy
    PASSWORD_LENGTH            = var.password_policy.length
    EXCLUDE_CHARACTERS         = var.password_policy.exclude_characters
    EXCLUDE_LOWERCASE          = var.password_policy.exclude_lowercase
    EXCLUDE_UPPERCASE          = var.password_policy.exclude_uppercase
    EXCLUDE_NUMBERS            = var.password_policy.exclude_numbers
    EXCLUDE_PUNCTUATION        = var.password_policy.exclude_punctuation
    REQUIRE_EACH_INCLUDED_TYPE = var.password_policy.require_each_included_type
    CA_BUNDLE_FILE             = one(var.ca_bundle[*].file)
    SECRETS_MANAGER_ENDPOINT   = local.own_endpoint
  } : name => tostring(value) if value != null }

  # Lambda counts the bytes of the variables as a JSON object.
  environment_size = floor(length(base64encode(jsonencode(local.environment))) * 3 / 4)
}

resource "aws_lambda_function" "this" {
  #checkov:skip=CKV_AWS_50: a trace shows no more than the log event of each step
  #checkov:skip=CKV_AWS_116: Secrets Manager invokes synchronously and repeats what fails, so there are no dead letters
  #checkov:skip=CKV_AWS_272: the same person builds and deploys the package, so signing it proves nothing
  function_name                  = var.name
  description                    = "Rotates PostgreSQL passwords in Secrets Manager"
  role                           = aws_iam_role.this.arn
  runtime                        = "provided.al2023"
  handler                        = "bootstrap"
  architectures                  = [var.architecture]
  filename                       = local.package
  source_code_hash               = try(filebase64sha256(local.package), null)
  memory_size                    = var.memory_size
  timeout                        = var.timeout
  reserved_concurrent_executions = var.reserved_concurrency
  kms_key_arn                    = var.kms_key_arn
  layers                         = var.ca_bundle[*].layer_arn
  tags                           = var.tags

  vpc_config {
    subnet_ids         = var.subnet_ids
    security_group_ids = [aws_security_group.this.id]
  }

  environment {
    variables = local.environment
  }

  # The log contains the function's metrics, which need JSON.
  logging_config {
    log_format            = "JSON"
    application_log_level = var.log_level
    log_group             = aws_cloudwatch_log_group.this.name
  }

  lifecycle {
    postcondition {
      condition     = self.arn == local.function_arn
      error_message = <<-EOT
        The secrets are in region ${local.region} of account ${local.account}, but the provider created ${self.arn}.
        Both must be in the same region and account.
      EOT
    }
    precondition {
      condition     = fileexists(local.package)
      error_message = "There is no package at ${local.package}. Run make package, or set package."
    }
    precondition {
      condition     = local.environment_size <= 4096
      error_message = <<-EOT
        The function's environment has ${local.environment_size} bytes, and Lambda allows 4096.
        ${length(local.rotation_policy)} of them are ROTATION_POLICY. Move grants and probes into the secrets themselves
        ("rotation": {"grants": [...], "probes": [...]}), or use the module again for some of the secrets.
      EOT
    }
  }

  # Lambda needs the network policy to create the function, and the function needs the other one at once.
  depends_on = [aws_iam_role_policy.function, aws_iam_role_policy.network]
}

resource "aws_lambda_permission" "secrets_manager" {
  for_each = var.secrets

  statement_id   = each.key
  function_name  = aws_lambda_function.this.function_name
  action         = "lambda:InvokeFunction"
  principal      = "secretsmanager.amazonaws.com"
  source_account = local.account
  source_arn     = each.value.secret_arn
}

resource "aws_secretsmanager_secret_rotation" "this" {
  #checkov:skip=CKV_AWS_304: the schedule is an input. Its default is 30 days
  for_each = var.secrets

  secret_id           = each.value.secret_arn
  rotation_lambda_arn = aws_lambda_function.this.arn
  rotate_immediately  = each.value.rotate_immediately

  rotation_rules {
    schedule_expression = each.value.schedule_expression
    duration            = each.value.window
  }

  # Secrets Manager tests a new rotation at once, so the function must reach it and the database by then.
  depends_on = [
    aws_lambda_permission.secrets_manager,
    aws_vpc_security_group_egress_rule.database,
    aws_vpc_security_group_egress_rule.endpoint,
    aws_vpc_security_group_egress_rule.prefix_list,
    aws_vpc_security_group_ingress_rule.database,
    aws_vpc_security_group_ingress_rule.endpoint,
  ]
}
