output "function_name" {
  description = "The name of the function."
  value       = module.rotation.function_name
}

output "secret_arns" {
  description = "The ARNs of the rotated secrets, by role."
  value       = { for name, secret in module.secret : name => secret.arn }
}
