output "arn" {
  description = "The ARN of the secret, known once the secret has a value."
  value       = aws_secretsmanager_secret.this.arn
  depends_on  = [aws_secretsmanager_secret_version.this]
}
