# A secret that is there already, made for the examples. The seed is write-only: neither plan nor state ever hold it.

terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7.0"
    }
  }
}

variable "name" {
  type = string
}

variable "database" {
  type = object({ host = string, port = number, dbname = string, username = string })
}

variable "password" {
  description = "The password that the role has now; left out, a random one."
  type        = string
  default     = null
  ephemeral   = true
}

variable "key_arn" {
  description = "The key that encrypts it; left out, the one that AWS manages."
  type        = string
  default     = null
}

ephemeral "aws_secretsmanager_random_password" "this" {
  password_length     = 32
  exclude_punctuation = true
}

resource "aws_secretsmanager_secret" "this" {
  name_prefix             = "${var.name}-"
  kms_key_id              = var.key_arn
  recovery_window_in_days = 0
}

# The label of its own keeps this version after rotations have taken AWS's labels from it. Without one, AWS would delete the version in time,
# and Terraform would then make it anew: as AWSCURRENT, with a password that the database does not have.
resource "aws_secretsmanager_secret_version" "this" {
  secret_id                = aws_secretsmanager_secret.this.id
  version_stages           = ["AWSCURRENT", "SEED"]
  secret_string_wo_version = 1
  secret_string_wo = jsonencode(merge(var.database, {
    engine   = "postgres"
    password = coalesce(var.password, ephemeral.aws_secretsmanager_random_password.this.random_password)
  }))

  lifecycle {
    ignore_changes = [version_stages]
  }
}

output "arn" {
  # Not before there is a value to rotate.
  value      = aws_secretsmanager_secret.this.arn
  depends_on = [aws_secretsmanager_secret_version.this]
}
