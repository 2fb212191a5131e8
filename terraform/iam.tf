locals {
  rotated_secrets = [for s in var.secrets : s.secret_arn]
  admin_secrets   = distinct([for s in var.secrets : s.admin_secret_arn if s.admin_secret_arn != null])

  rotated_by_key = { for s in var.secrets : s.kms_key_arn => s.secret_arn... if s.kms_key_arn != null }
  admin_by_key   = { for s in var.secrets : s.admin_kms_key_arn => s.admin_secret_arn... if s.admin_kms_key_arn != null }

  # Keys are used through Secrets Manager alone, and for these secrets alone.
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
      Resource = local.rotated_secrets
      # A secret that was given to another function is that one's.
      Condition = { StringEquals = { "secretsmanager:resource/AllowRotationLambdaArn" = local.function_arn } }
    }],
    [for arns in [local.admin_secrets] : {
      Sid      = "ReadAdminSecrets"
      Effect   = "Allow"
      Action   = ["secretsmanager:GetSecretValue"]
      Resource = arns
    } if length(arns) > 0],
    [for key, arns in local.rotated_by_key : {
      Sid      = "EncryptRotatedSecrets${index(keys(local.rotated_by_key), key)}"
      Effect   = "Allow"
      Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource = [key]
      Condition = { StringEquals = {
        "kms:ViaService"                  = local.via_secrets_manager
        "kms:EncryptionContext:SecretARN" = arns
      } }
    }],
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
    [{
      Sid      = "WriteLogs"
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = ["arn:${local.partition}:logs:${local.region}:${local.account}:log-group:${local.log_group}:*"]
    }],
  )

  function_policy_size = length(jsonencode(local.function_statements))

  # What Lambda itself does with the role, to put the function into the VPC.
  network_statements = [
    {
      Sid    = "CreateInterfaces"
      Effect = "Allow"
      Action = ["ec2:CreateNetworkInterface"]
      Resource = concat(
        ["arn:${local.partition}:ec2:${local.region}:${local.account}:network-interface/*"],
        ["arn:${local.partition}:ec2:${local.region}:${local.account}:security-group/${aws_security_group.this.id}"],
        # A shared subnet belongs to another account.
        [for id in var.subnet_ids : "arn:${local.partition}:ec2:${local.region}:*:subnet/${id}"],
      )
    },
    {
      Sid    = "ManageInterfaces"
      Effect = "Allow"
      Action = ["ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"]
      # Interfaces have no name before they exist.
      Resource = ["arn:${local.partition}:ec2:${local.region}:${local.account}:network-interface/*"]
    },
    {
      Sid    = "DeleteInterfaces"
      Effect = "Allow"
      Action = ["ec2:DeleteNetworkInterface"]
      # Lambda asks for this one before there is an interface: AWS takes one by its id, or all that the account has.
      Resource = ["arn:${local.partition}:ec2:${local.region}:${local.account}:*/*"]
    },
    {
      Sid    = "DescribeNetwork"
      Effect = "Allow"
      Action = ["ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"]
      # EC2 knows no resources for these two.
      Resource = ["*"]
    },
    {
      # The role is also that of the function's own code, which needs none of this.
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
  # IAM is one for all regions, and the module may be used in several.
  name_prefix          = "${var.name}-"
  description          = "What the Lambda function ${var.name} may do"
  permissions_boundary = var.permissions_boundary
  tags                 = var.tags

  # Nobody outside the account can pass the role to a function, so the account needs no condition here.
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
      # IAM takes 10,240 characters for all policies of a role; the network's has 2,000 at most.
      condition     = local.function_policy_size <= 8192
      error_message = "The role's policy would have ${local.function_policy_size} of at most 8192 characters. Use the module once more for some of the secrets."
    }
  }
}

resource "aws_iam_role_policy" "network" {
  name   = "network"
  role   = aws_iam_role.this.id
  policy = jsonencode({ Version = "2012-10-17", Statement = local.network_statements })
}
