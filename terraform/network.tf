data "aws_subnet" "first" {
  id = var.subnet_ids[0]
}

# DNS needs no rule: security groups do not filter the VPC's resolver.
resource "aws_security_group" "this" {
  name_prefix = "${var.name}-"
  description = "The Lambda function ${var.name}"
  vpc_id      = data.aws_subnet.first.vpc_id
  tags        = merge({ Name = var.name }, var.tags)

  # AWS does not delete a group that the function still uses.
  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_egress_rule" "database" {
  for_each = var.databases

  security_group_id            = aws_security_group.this.id
  referenced_security_group_id = each.value.security_group_id
  description                  = "PostgreSQL of ${each.key}"
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
  tags                         = var.tags
}

resource "aws_vpc_security_group_ingress_rule" "database" {
  for_each = var.manage_ingress_rules ? var.databases : {}

  security_group_id            = each.value.security_group_id
  referenced_security_group_id = aws_security_group.this.id
  description                  = "Password rotation by ${var.name}"
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
  tags                         = var.tags
}

locals {
  endpoint_groups = var.endpoint.create ? aws_security_group.endpoint[*].id : var.endpoint.security_group_ids
}

resource "aws_vpc_security_group_egress_rule" "endpoint" {
  count = length(local.endpoint_groups)

  security_group_id            = aws_security_group.this.id
  referenced_security_group_id = local.endpoint_groups[count.index]
  description                  = "Secrets Manager"
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
  tags                         = var.tags
}

resource "aws_vpc_security_group_egress_rule" "prefix_list" {
  count = length(var.endpoint.prefix_list_ids)

  security_group_id = aws_security_group.this.id
  prefix_list_id    = var.endpoint.prefix_list_ids[count.index]
  description       = "Secrets Manager"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  tags              = var.tags
}

resource "aws_vpc_security_group_ingress_rule" "endpoint" {
  count = var.endpoint.create || var.manage_ingress_rules ? length(local.endpoint_groups) : 0

  security_group_id            = local.endpoint_groups[count.index]
  referenced_security_group_id = aws_security_group.this.id
  description                  = "Secrets Manager for ${var.name}"
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
  tags                         = var.tags
}

resource "aws_security_group" "endpoint" {
  count = var.endpoint.create ? 1 : 0

  name_prefix = "${var.name}-endpoint-"
  description = "The Secrets Manager endpoint of the Lambda function ${var.name}"
  vpc_id      = data.aws_subnet.first.vpc_id
  tags        = merge({ Name = "${var.name}-endpoint" }, var.tags)

  lifecycle {
    create_before_destroy = true
  }
}

# Private DNS would send the whole VPC through this endpoint, whose security group and policy admit only the function.
# So the function gets the endpoint's own name instead.
resource "aws_vpc_endpoint" "secrets_manager" {
  count = var.endpoint.create ? 1 : 0

  vpc_id              = data.aws_subnet.first.vpc_id
  service_name        = "com.amazonaws.${local.region}.secretsmanager"
  vpc_endpoint_type   = "Interface"
  subnet_ids          = var.subnet_ids
  security_group_ids  = aws_security_group.endpoint[*].id
  private_dns_enabled = false
  tags                = merge({ Name = var.name }, var.tags)

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [for action, resources in {
      "secretsmanager:*" = concat(local.rotated_patterns, local.admin_secrets)
      # This action has no resource-level permission.
      "secretsmanager:ListSecrets" = var.monitor.enabled ? ["*"] : []
      } : {
      Sid       = action == "secretsmanager:*" ? "OnlyTheFunction" : "FindSecrets"
      Effect    = "Allow"
      Principal = "*"
      Action    = action
      Resource  = resources
      Condition = { ArnEquals = { "aws:PrincipalArn" = aws_iam_role.this.arn } }
    } if length(resources) > 0]
  })
}
