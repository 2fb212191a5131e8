# One function for every secret below a prefix. Each team attaches its own secrets to it.

module "network" {
  source = "../modules/network"
  name   = "rotation-fleet"
}

# The platform team applies this once.
module "rotation" {
  source = "../.."

  name            = "rotation-fleet"
  package         = var.package
  architecture    = var.architecture
  subnet_ids      = module.network.subnet_ids
  databases       = { shop = { security_group_id = module.network.database_security_group_id, port = var.port } }
  endpoint        = { security_group_ids = [module.network.endpoint_security_group_id] }
  secret_prefixes = ["rotation-fleet/"]

  policies = {
    "rotation-fleet/*" = { strategy = "single-user", policy = { retire_after = "2d" } }
  }
}

# A team has this in its own configuration. It knows the ARN of the function and nothing else.
module "secret" {
  source   = "../modules/secret"
  for_each = var.usernames

  name     = "rotation-fleet/${each.key}"
  database = { host = var.host, port = var.port, dbname = var.dbname, username = each.key }
  password = var.password
}

resource "aws_secretsmanager_secret_rotation" "this" {
  for_each = var.usernames

  secret_id           = module.secret[each.key].arn
  rotation_lambda_arn = module.rotation.function_arn
  rotate_immediately  = var.rotate_immediately

  rotation_rules {
    schedule_expression = "rate(30 days)"
  }
}
