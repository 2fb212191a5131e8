output "function_name" {
  description = "The name of the function."
  value       = module.rotation.function_name
}

output "secret_arn" {
  description = "The ARN of the rotated secret."
  value       = module.secret.arn
}

output "state_machine_name" {
  description = "The name of the state machine that restarts the service."
  value       = aws_sfn_state_machine.restart.name
}
