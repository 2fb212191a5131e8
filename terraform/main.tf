locals {
  # The role's policy names the function, and the function needs the role. So the ARN is composed.
  function_arn = "arn:${local.partition}:lambda:${local.region}:${local.account}:function:${var.name}"
  log_group    = "/aws/lambda/${var.name}"

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

  # How many characters of each included type a password may have. The function counts in the same way.
  password_excluded = coalesce(var.password_policy.exclude_characters, ":/@\"'\\")
  password_types = [for type in [
    { excluded = var.password_policy.exclude_lowercase, characters = "abcdefghijklmnopqrstuvwxyz" },
    { excluded = var.password_policy.exclude_uppercase, characters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ" },
    { excluded = var.password_policy.exclude_numbers, characters = "0123456789" },
    { excluded = var.password_policy.exclude_punctuation, characters = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~" },
    ] : length(setsubtract(split("", type.characters), split("", local.password_excluded)))
    if !coalesce(type.excluded, false)
  ]
  password_bits = coalesce(var.password_policy.length, 32) * log(max(1, sum(concat([0], local.password_types))), 2)

  # Lambda counts the bytes of the variables as a JSON object.
  environment_size = floor(length(base64encode(jsonencode(local.environment))) * 3 / 4)
}

resource "aws_lambda_function" "this" {
  #checkov:skip=CKV_AWS_50: a trace would show nothing that the log event of each step does not
  #checkov:skip=CKV_AWS_116: Secrets Manager invokes synchronously and repeats failed steps: no dead letters
  #checkov:skip=CKV_AWS_272: the same person builds and deploys the package, so signing it proves nothing
  function_name                  = var.name
  description                    = "Rotates PostgreSQL passwords in Secrets Manager"
  role                           = aws_iam_role.this.arn
  runtime                        = "provided.al2023"
  handler                        = "bootstrap"
  architectures                  = [var.architecture]
  filename                       = var.package
  s3_bucket                      = one(var.package_s3[*].bucket)
  s3_key                         = one(var.package_s3[*].key)
  s3_object_version              = one(var.package_s3[*].version)
  source_code_hash               = local.package_hash
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
      condition     = (var.package == null) != (var.package_s3 == null)
      error_message = <<-EOT
        Set package to the path of the function's zip file, or package_s3 to its place in S3, and not both.
        The zip file is in each release of the project. `make package` builds it from source.
      EOT
    }
    precondition {
      condition     = var.package == null || local.file_hash != ""
      error_message = "There is no package at ${local.path}."
    }
    precondition {
      condition     = var.package_sha256 == null || contains(["", var.package_sha256], local.file_hash)
      error_message = "The package at ${local.path} does not have the hash package_sha256. Do not deploy it."
    }
    precondition {
      condition     = var.package_s3 == null || var.package_sha256 != null
      error_message = "package_s3 needs package_sha256, by which Terraform recognises the code and a change of it."
    }
    precondition {
      condition     = var.package_s3 == null ? true : local.known_hash == local.expected_hash
      error_message = "The object in S3 does not have the hash package_sha256. Do not deploy it."
    }
    precondition {
      condition     = local.password_bits >= 50
      error_message = "password_policy leaves too few characters: passwords could be guessed. Exclude less."
    }
    precondition {
      condition = alltrue([
        for count in local.password_types : count > 0 || var.password_policy.require_each_included_type == false
      ])
      error_message = <<-EOT
        password_policy excludes every character of a type that each password must contain.
        Exclude the type, or set require_each_included_type to false.
      EOT
    }
    precondition {
      condition     = local.environment_size <= 4096
      error_message = <<-EOT
        The function's environment has ${local.environment_size} bytes, and Lambda allows 4096.
        ${length(local.rotation_policy)} of them are ROTATION_POLICY. Share a policy between secrets with policies,
        move grants and probes into the secrets themselves ("rotation": {"grants": [...], "probes": [...]}),
        or use the module again for some of the secrets.
      EOT
    }
    precondition {
      condition     = local.monitor_fits_leases
      error_message = <<-EOT
        The monitor renews a lease when a rotation is late, so it has to run four times in the shortest lease: every
        ${try(floor(min(local.renewed_leases...) / 4), 0)} hours. Set monitor.schedule to such a rate.
      EOT
    }
    precondition {
      condition     = local.permissions_size <= 20480
      error_message = <<-EOT
        The permissions for ${length(local.permissions)} secrets and prefixes have ${local.permissions_size} bytes,
        and Lambda allows 20480. Use secret_prefixes, or use the module again for some of the secrets.
      EOT
    }
  }

  # Lambda needs the network policy to create the function, and the function needs the other one at once.
  depends_on = [aws_iam_role_policy.function, aws_iam_role_policy.network]
}
