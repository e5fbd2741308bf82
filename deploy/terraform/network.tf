resource "aws_security_group" "tasks" {
  name        = "${var.name}-tasks"
  description = "The services of the fleet ${var.name}"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-tasks" })
}

locals {
  egress = merge([
    for rule in var.egress : { for block in rule.cidr_blocks : "${block}:${rule.port}" => { port = rule.port, block = block } }
  ]...)
}

resource "aws_vpc_security_group_egress_rule" "out" {
  for_each = local.egress

  security_group_id = aws_security_group.tasks.id
  description       = "What producers, workers and plans ask"
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
  cidr_ipv4         = each.value.block
}

resource "aws_vpc_security_group_egress_rule" "redis" {
  count = length(local.redis_groups)

  security_group_id            = aws_security_group.tasks.id
  description                  = "Redis"
  ip_protocol                  = "tcp"
  from_port                    = local.redis_port
  to_port                      = local.redis_port
  referenced_security_group_id = local.redis_groups[count.index]
}

resource "aws_vpc_security_group_egress_rule" "own_redis" {
  for_each = toset(try(var.redis.cidr_blocks, []))

  security_group_id = aws_security_group.tasks.id
  description       = "Redis"
  ip_protocol       = "tcp"
  from_port         = local.redis_port
  to_port           = local.redis_port
  cidr_ipv4         = each.value
}

resource "aws_vpc_security_group_egress_rule" "mirror" {
  count = var.mirror.file_system == null ? 0 : 1

  security_group_id            = aws_security_group.tasks.id
  description                  = "The provider mirror's file system"
  ip_protocol                  = "tcp"
  from_port                    = 2049
  to_port                      = 2049
  referenced_security_group_id = var.mirror.file_system.security_group_id
}

# Nobody but a load balancer reaches a task, and that only Flower.
resource "aws_security_group" "flower" {
  count = var.flower == null ? 0 : 1

  name        = "${var.name}-flower"
  description = "Who reaches Flower of the fleet ${var.name}"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-flower" })
}

resource "aws_vpc_security_group_ingress_rule" "flower" {
  count = length(try(var.flower.security_group_ids, []))

  security_group_id            = aws_security_group.flower[0].id
  description                  = "Flower"
  ip_protocol                  = "tcp"
  from_port                    = 5555
  to_port                      = 5555
  referenced_security_group_id = var.flower.security_group_ids[count.index]
}
