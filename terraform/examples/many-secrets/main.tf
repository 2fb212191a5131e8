# Three roles of one database, each with its own secret, schedule and grants. The team's key encrypts the secrets.

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
  source = "../modules/network"
  name   = "rotation-many"
}

resource "aws_kms_key" "team" {
  description             = "Secrets of the team"
  enable_key_rotation     = true
  deletion_window_in_days = 7
}

module "secret" {
  source   = "../modules/secret"
  for_each = local.roles

  name        = "rotation-many-${each.key}"
  database    = { host = var.host, port = var.port, dbname = var.dbname, username = each.key }
  password    = var.password
  kms_key_arn = aws_kms_key.team.arn
}

module "rotation" {
  source = "../.."

  name         = "rotation-many"
  package      = var.package
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
