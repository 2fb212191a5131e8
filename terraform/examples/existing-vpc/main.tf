# A VPC that exists already, without NAT and without an endpoint of Secrets Manager. The module creates an endpoint
# that only the function uses.

data "aws_vpc" "this" {
  id      = var.vpc_id
  default = var.vpc_id == null
}

data "aws_subnets" "this" {
  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.this.id]
  }
}

data "aws_security_group" "database" {
  id     = var.database_security_group_id
  name   = var.database_security_group_id == null ? "default" : null
  vpc_id = data.aws_vpc.this.id
}

module "secret" {
  source   = "../modules/secret"
  name     = "rotation-existing-vpc"
  database = { host = var.host, port = var.port, dbname = var.dbname, username = var.username }
  password = var.password
}

module "rotation" {
  source = "../.."

  name         = "rotation-existing-vpc"
  package      = var.package
  architecture = var.architecture
  subnet_ids   = data.aws_subnets.this.ids
  databases    = { shop = { security_group_id = data.aws_security_group.database.id, port = var.port } }
  endpoint     = { create = true }

  secrets = {
    shop = { secret_arn = module.secret.arn, rotate_immediately = var.rotate_immediately }
  }
}
