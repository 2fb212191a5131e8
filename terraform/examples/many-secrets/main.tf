# Several roles of one database, each with a secret and rules of its own, encrypted by a key of the team's own.

terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7.0"
    }
  }
}

locals {
  roles = {
    orders = {
      schedule = "rate(7 days)"
      policy   = { grants = ["SELECT, INSERT ON TABLE orders"], probes = ["SELECT id FROM orders WHERE id = $1"] }
    }
    billing = { schedule = "cron(0 4 ? * SUN *)", policy = { grants = ["SELECT ON TABLE orders"] } }
    reports = { schedule = "rate(30 days)", policy = {} }
  }
}

module "network" {
  source = "../network"
  name   = "rotation-many"
}

resource "aws_kms_key" "team" {
  description             = "Secrets of the team"
  enable_key_rotation     = true
  deletion_window_in_days = 7
}

module "secret" {
  source   = "../secret"
  for_each = local.roles

  name     = "rotation-many-${each.key}"
  database = { host = var.host, port = var.port, dbname = var.dbname, username = each.key }
  password = var.password
  key_arn  = aws_kms_key.team.arn
}

module "rotation" {
  source = "../.."

  name         = "rotation-many"
  architecture = var.architecture
  subnet_ids   = module.network.subnet_ids
  databases    = { shop = { security_group_id = module.network.database_security_group_id, port = var.port } }
  endpoint     = { security_group_ids = [module.network.endpoint_security_group_id] }

  secrets = { for name, role in local.roles : name => {
    secret_arn          = module.secret[name].arn
    kms_key_arn         = aws_kms_key.team.arn
    schedule_expression = role.schedule
    policy              = role.policy
    rotate_immediately  = var.rotate_immediately
  } }
}

output "function_name" {
  value = module.rotation.function_name
}

output "secret_arns" {
  value = { for name, secret in module.secret : name => secret.arn }
}
