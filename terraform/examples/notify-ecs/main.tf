# Restarts an ECS service when its secret has rotated.

module "network" {
  source = "../modules/network"
  name   = local.name
}

module "secret" {
  source   = "../modules/secret"
  name     = local.name
  database = { host = var.host, port = var.port, dbname = var.dbname, username = var.username }
  password = var.password
}

module "rotation" {
  source = "../.."

  name         = local.name
  package      = var.package
  architecture = var.architecture
  subnet_ids   = module.network.subnet_ids
  databases    = { shop = { security_group_id = module.network.database_security_group_id, port = var.port } }
  endpoint     = { security_group_ids = [module.network.endpoint_security_group_id] }

  secrets = {
    shop = {
      secret_arn         = module.secret.arn
      rotate_immediately = var.rotate_immediately
    }
  }

  notify = {
    restart = { type = "other", arn = aws_sfn_state_machine.restart.arn, role_arn = aws_iam_role.start.arn }
  }
}

locals {
  name      = "rotation-notify-ecs"
  partition = data.aws_partition.current.partition
  region    = split(":", module.secret.arn)[3]
  account   = split(":", module.secret.arn)[4]
}

data "aws_partition" "current" {}

# EventBridge cannot restart a service; a state machine of one call can, without any code.
resource "aws_sfn_state_machine" "restart" {
  name     = "${local.name}-restart"
  role_arn = aws_iam_role.restart.arn

  definition = jsonencode({
    Comment = "Restarts the ECS service ${var.service}, whose tasks read the secret only when they start"
    StartAt = "Restart"
    States = {
      Restart = {
        Type       = "Task"
        Resource   = "arn:${local.partition}:states:::aws-sdk:ecs:updateService"
        Parameters = { Cluster = var.cluster, Service = var.service, ForceNewDeployment = true }
        Retry      = [{ ErrorEquals = ["States.ALL"], IntervalSeconds = 10, MaxAttempts = 5, BackoffRate = 2 }]
        End        = true
      }
    }
  })
}

resource "aws_iam_role" "restart" {
  name_prefix = "${local.name}-restart-"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "states.amazonaws.com" }
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

resource "aws_iam_role_policy" "restart" {
  role = aws_iam_role.restart.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = "ecs:UpdateService"
      Resource = "arn:${local.partition}:ecs:${local.region}:${local.account}:service/${var.cluster}/${var.service}"
    }]
  })
}

# What EventBridge starts the state machine with.
resource "aws_iam_role" "start" {
  name_prefix = "${local.name}-start-"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "events.amazonaws.com" }
      # Composed, because the rules need the role first.
      Condition = { ArnLike = {
        "aws:SourceArn" = "arn:${local.partition}:events:${local.region}:${local.account}:rule/${local.name}-restart-*"
      } }
    }]
  })
}

resource "aws_iam_role_policy" "start" {
  role = aws_iam_role.start.id

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "states:StartExecution", Resource = aws_sfn_state_machine.restart.arn }]
  })
}
