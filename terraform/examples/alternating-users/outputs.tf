output "function_name" {
  description = "The name of the function."
  value       = module.rotation.function_name
}

output "secret_arn" {
  description = "The ARN of the rotated secret."
  value       = module.secret.arn
}

output "admin_secret_arn" {
  description = "The ARN of the secret that RDS manages for the master user."
  value       = aws_db_instance.this.master_user_secret[0].secret_arn
}
