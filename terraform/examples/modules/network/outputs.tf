output "subnet_ids" {
  description = "The subnets for the function."
  value       = aws_subnet.this[*].id
}

output "database_security_group_id" {
  description = "The security group for the database."
  value       = aws_security_group.database.id
}

output "endpoint_security_group_id" {
  description = "The security group of the Secrets Manager endpoint."
  value       = aws_security_group.endpoint.id
}
