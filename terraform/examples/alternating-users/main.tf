# Two roles take turns. The master user of an RDS instance creates the second one. RDS manages the master's secret.

module "network" {
  source = "../modules/network"
  name   = "rotation-alternating"
}

resource "aws_db_subnet_group" "this" {
  name_prefix = "rotation-alternating-"
  subnet_ids  = module.network.subnet_ids
}

resource "aws_db_instance" "this" {
  identifier_prefix           = "rotation-alternating-"
  engine                      = "postgres"
  engine_version              = "17"
  instance_class              = "db.t4g.micro"
  allocated_storage           = 20
  storage_encrypted           = true
  db_name                     = var.dbname
  port                        = var.port
  username                    = "master"
  manage_master_user_password = true
  db_subnet_group_name        = aws_db_subnet_group.this.name
  vpc_security_group_ids      = [module.network.database_security_group_id]
  skip_final_snapshot         = true
}

module "secret" {
  source   = "../modules/secret"
  name     = "rotation-alternating"
  password = var.password
  database = {
    host     = coalesce(var.host, aws_db_instance.this.address)
    port     = var.port
    dbname   = var.dbname
    username = var.username
  }
}

module "rotation" {
  source = "../.."

  name         = "rotation-alternating"
  package      = var.package
  architecture = var.architecture
  subnet_ids   = module.network.subnet_ids
  databases    = { shop = { security_group_id = module.network.database_security_group_id, port = var.port } }
  endpoint     = { security_group_ids = [module.network.endpoint_security_group_id] }

  secrets = {
    shop = {
      secret_arn         = module.secret.arn
      strategy           = "alternating-users"
      admin_secret_arn   = aws_db_instance.this.master_user_secret[0].secret_arn
      rotate_immediately = var.rotate_immediately
    }
  }
}
