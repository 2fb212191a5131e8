# One role that changes its own password.

module "network" {
  source = "../modules/network"
  name   = "rotation-single-user"
}

module "secret" {
  source   = "../modules/secret"
  name     = "rotation-single-user"
  database = { host = var.host, port = var.port, dbname = var.dbname, username = var.username }
  password = var.password
}

module "rotation" {
  source = "../.."

  name         = "rotation-single-user"
  package      = var.package
  architecture = var.architecture
  subnet_ids   = module.network.subnet_ids
  databases    = { shop = { security_group_id = module.network.database_security_group_id, port = var.port } }
  endpoint     = { security_group_ids = [module.network.endpoint_security_group_id] }

  secrets = {
    shop = {
      secret_arn          = module.secret.arn
      strategy            = "single-user"
      schedule_expression = "cron(0 3 1 * ? *)"
      window              = "3h"
      rotate_immediately  = var.rotate_immediately
    }
  }
}
