output "function_name" {
  description = "The name of the function, for `aws lambda invoke`."
  value       = aws_lambda_function.this.function_name
}

output "function_arn" {
  description = "The ARN of the function, known once secrets can be attached to it."
  value       = aws_lambda_function.this.arn

  # Attaching a secret has Secrets Manager test the rotation at once.
  depends_on = [
    aws_lambda_permission.secrets_manager,
    aws_vpc_security_group_egress_rule.database,
    aws_vpc_security_group_egress_rule.endpoint,
    aws_vpc_security_group_egress_rule.prefix_list,
    aws_vpc_security_group_ingress_rule.database,
    aws_vpc_security_group_ingress_rule.endpoint,
  ]
}

output "role_name" {
  description = "The name of the function's role."
  value       = aws_iam_role.this.name
}

output "role_arn" {
  description = "The ARN of the function's role, for the policy of a key in another account."
  value       = aws_iam_role.this.arn
}

output "security_group_id" {
  description = "The function's security group. Databases and the endpoint must let it in."
  value       = aws_security_group.this.id
}

output "log_group_name" {
  description = "The name of the function's log group."
  value       = aws_cloudwatch_log_group.this.name
}

output "alarm_arns" {
  description = "The ARNs of the alarms, by their names in `alarms`."
  value       = { for name, alarm in aws_cloudwatch_metric_alarm.this : name => alarm.arn }
}

output "dashboard_name" {
  description = "The name of the dashboard; null without one."
  value       = one(aws_cloudwatch_dashboard.this[*].dashboard_name)
}
