locals {
  # The role uses keys only through Secrets Manager, and only for these secrets.
  via_secrets_manager = "secretsmanager.${local.region}.${data.aws_partition.current.dns_suffix}"

  function_statements = concat(
    [{
      Sid    = "RotateSecrets"
      Effect = "Allow"
      Action = [
        "secretsmanager:DescribeSecret",
        "secretsmanager:GetSecretValue",
        "secretsmanager:ListSecretVersionIds",
        "secretsmanager:PutSecretValue",
        "secretsmanager:UpdateSecretVersionStage",
      ]
      Resource = local.rotated_patterns
      # Only while this function rotates the secret.
      Condition = { StringEquals = { "secretsmanager:resource/AllowRotationLambdaArn" = local.function_arn } }
    }],
    [for arns in [local.admin_secrets] : {
      Sid      = "ReadAdminSecrets"
      Effect   = "Allow"
      Action   = ["secretsmanager:GetSecretValue"]
      Resource = arns
    } if length(arns) > 0],
    [for key, patterns in local.patterns_by_key : {
      Sid      = "EncryptRotatedSecrets${index(keys(local.patterns_by_key), key)}"
      Effect   = "Allow"
      Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource = [key]
      Condition = {
        StringEquals = { "kms:ViaService" = local.via_secrets_manager }
        StringLike   = { "kms:EncryptionContext:SecretARN" = patterns }
      }
    }],
    [for keys in [var.secret_prefix_kms_key_arns] : {
      Sid      = "EncryptSecretsBelowPrefixes"
      Effect   = "Allow"
      Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource = keys
      Condition = {
        StringEquals = { "kms:ViaService" = local.via_secrets_manager }
        StringLike   = { "kms:EncryptionContext:SecretARN" = local.prefix_patterns }
      }
    } if length(keys) > 0],
    [for key, arns in local.admin_by_key : {
      Sid      = "DecryptAdminSecrets${index(keys(local.admin_by_key), key)}"
      Effect   = "Allow"
      Action   = ["kms:Decrypt"]
      Resource = [key]
      Condition = { StringEquals = {
        "kms:ViaService"                  = local.via_secrets_manager
        "kms:EncryptionContext:SecretARN" = distinct(arns)
      } }
    }],
    [for enabled in [var.monitor.enabled] : {
      Sid    = "FindSecrets"
      Effect = "Allow"
      Action = ["secretsmanager:ListSecrets"]
      # Secrets Manager has no resource-level permission for this one. It shows names, and no value.
      Resource = ["*"]
    } if enabled],
    [{
      Sid      = "WriteLogs"
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = ["arn:${local.partition}:logs:${local.region}:${local.account}:log-group:${local.log_group}:*"]
    }],
  )

  function_policy_size = length(jsonencode(local.function_statements))

  # Lambda uses the role to connect the function to the VPC.
  network_statements = [
    {
      Sid    = "CreateInterfaces"
      Effect = "Allow"
      Action = ["ec2:CreateNetworkInterface"]
      Resource = concat(
        ["arn:${local.partition}:ec2:${local.region}:${local.account}:network-interface/*"],
        ["arn:${local.partition}:ec2:${local.region}:${local.account}:security-group/${aws_security_group.this.id}"],
        # The subnet may be shared by another account.
        [for id in var.subnet_ids : "arn:${local.partition}:ec2:${local.region}:*:subnet/${id}"],
      )
    },
    {
      Sid    = "ManageInterfaces"
      Effect = "Allow"
      Action = ["ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"]
      # The interfaces are not known yet.
      Resource = ["arn:${local.partition}:ec2:${local.region}:${local.account}:network-interface/*"]
    },
    {
      Sid    = "DeleteInterfaces"
      Effect = "Allow"
      Action = ["ec2:DeleteNetworkInterface"]
      # Lambda checks this permission before there is an interface, so it has to cover all of the account.
      Resource = ["arn:${local.partition}:ec2:${local.region}:${local.account}:*/*"]
    },
    {
      Sid    = "DescribeNetwork"
      Effect = "Allow"
      Action = ["ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"]
      # EC2 has no resource-level permissions for these two.
      Resource = ["*"]
    },
    {
      # The function's own code has the same role and needs none of this.
      Sid    = "DenyInterfacesToTheFunction"
      Effect = "Deny"
      Action = [
        "ec2:AssignPrivateIpAddresses",
        "ec2:CreateNetworkInterface",
        "ec2:DeleteNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "ec2:DetachNetworkInterface",
        "ec2:UnassignPrivateIpAddresses",
      ]
      Resource  = ["*"]
      Condition = { ArnEquals = { "lambda:SourceFunctionArn" = local.function_arn } }
    },
  ]
}

data "aws_partition" "current" {}

resource "aws_iam_role" "this" {
  # Role names are global, and the module may be used in several regions.
  name_prefix          = "${var.name}-"
  description          = "The role of the Lambda function ${var.name}"
  permissions_boundary = var.permissions_boundary
  tags                 = var.tags

  # No condition on the account: a role can only be passed to a function within its own account.
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "Lambda"
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "lambda.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy" "function" {
  name   = "function"
  role   = aws_iam_role.this.id
  policy = jsonencode({ Version = "2012-10-17", Statement = local.function_statements })

  lifecycle {
    precondition {
      # All inline policies of a role have at most 10,240 characters. The network policy needs up to 2,000 of them.
      condition     = local.function_policy_size <= 8192
      error_message = <<-EOT
        The role's policy has ${local.function_policy_size} characters, and at most 8192 fit.
        Use secret_prefixes, or use the module again for some of the secrets.
      EOT
    }
  }
}

resource "aws_iam_role_policy" "network" {
  name   = "network"
  role   = aws_iam_role.this.id
  policy = jsonencode({ Version = "2012-10-17", Statement = local.network_statements })
}
