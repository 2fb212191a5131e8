# A thousand secrets below one prefix, which their own configuration attaches to the function.

terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

variable "secrets" {
  type = number
}

module "rotation" {
  source = "../.."

  package         = "./versions.tf"
  subnet_ids      = ["subnet-1"]
  databases       = { shared = { security_group_id = "sg-database" } }
  endpoint        = { security_group_ids = ["sg-endpoint"] }
  secret_prefixes = ["prod/postgres/"]
}

resource "aws_secretsmanager_secret" "this" {
  count = var.secrets

  name = "prod/postgres/${count.index}"
}

resource "aws_secretsmanager_secret_rotation" "this" {
  count = var.secrets

  secret_id           = aws_secretsmanager_secret.this[count.index].id
  rotation_lambda_arn = module.rotation.function_arn
  rotate_immediately  = false

  rotation_rules {
    schedule_expression = "rate(30 days)"
  }
}

output "rotations" {
  value = length(aws_secretsmanager_secret_rotation.this)
}
