# A secret with its first value. The value is write-only: neither the plan nor the state contains it.

ephemeral "aws_secretsmanager_random_password" "this" {
  password_length     = 32
  exclude_punctuation = true
}

resource "aws_secretsmanager_secret" "this" {
  name_prefix             = "${var.name}-"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = 0
}

# Rotations take AWSCURRENT from this version. Without its own label, Secrets Manager would delete it in time.
# Terraform would then create it again, as AWSCURRENT, with a password that the database does not accept.
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
