locals {
  cluster_arn  = var.cluster == null ? aws_ecs_cluster.fleet[0].arn : var.cluster.arn
  cluster_name = var.cluster == null ? var.name : var.cluster.name
}

resource "aws_ecs_cluster" "fleet" {
  count = var.cluster == null ? 1 : 0

  name = var.name
  tags = var.tags

  setting {
    name  = "containerInsights"
    value = var.container_insights ? "enabled" : "disabled"
  }
}

resource "aws_ecs_cluster_capacity_providers" "fleet" {
  count = var.cluster == null ? 1 : 0

  cluster_name       = aws_ecs_cluster.fleet[0].name
  capacity_providers = ["FARGATE", "FARGATE_SPOT"]
}

# In the order of an upgrade (docs/operations.md): who reads goes before who writes.
resource "aws_ecs_service" "worker" {
  name                               = "worker"
  cluster                            = local.cluster_arn
  task_definition                    = aws_ecs_task_definition.role["worker"].arn
  desired_count                      = var.running ? var.worker.min : 0
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  enable_execute_command             = false
  propagate_tags                     = "SERVICE"
  wait_for_steady_state              = var.wait_for_steady_state
  tags                               = var.tags

  # By default ECS ends tasks of the fuller zone once others run elsewhere, and with them their plans.
  availability_zone_rebalancing = "DISABLED"

  # Without it another share of Spot would be another service.
  force_new_deployment = true

  # The first is never on Spot: a heartbeat goes through it. Of those with weight 0 ECS places none, so it has one at least.
  capacity_provider_strategy {
    capacity_provider = "FARGATE"
    base              = 1
    weight            = max(1, 100 - var.worker.spot_percent)
  }

  dynamic "capacity_provider_strategy" {
    for_each = var.worker.spot_percent > 0 ? [var.worker.spot_percent] : []
    content {
      capacity_provider = "FARGATE_SPOT"
      weight            = capacity_provider_strategy.value
    }
  }

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [aws_security_group.tasks.id]
    assign_public_ip = false
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  lifecycle {
    # Autoscaling's.
    ignore_changes = [desired_count]
  }

  depends_on = [
    aws_ecs_cluster_capacity_providers.fleet,
    aws_iam_role_policy.execution,
    aws_iam_role_policy.plan,
    aws_iam_role_policy.task,
    aws_cloudwatch_log_group.role,
    aws_vpc_security_group_egress_rule.out,
    aws_vpc_security_group_egress_rule.redis,
    aws_vpc_security_group_egress_rule.own_redis,
    aws_vpc_security_group_egress_rule.mirror,
    aws_vpc_security_group_ingress_rule.redis,
  ]
}

resource "aws_ecs_service" "producer" {
  name                               = "producer"
  cluster                            = local.cluster_arn
  task_definition                    = aws_ecs_task_definition.role["producer"].arn
  desired_count                      = var.running ? var.producer.count : 0
  launch_type                        = "FARGATE"
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  enable_execute_command             = false
  propagate_tags                     = "SERVICE"
  wait_for_steady_state              = var.wait_for_steady_state
  tags                               = var.tags

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [aws_security_group.tasks.id]
    assign_public_ip = false
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  depends_on = [aws_ecs_service.worker]
}

resource "aws_ecs_service" "beat" {
  name                               = "beat"
  cluster                            = local.cluster_arn
  task_definition                    = aws_ecs_task_definition.role["beat"].arn
  desired_count                      = var.running ? var.beat.count : 0
  launch_type                        = "FARGATE"
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  enable_execute_command             = false
  propagate_tags                     = "SERVICE"
  wait_for_steady_state              = var.wait_for_steady_state
  tags                               = var.tags

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [aws_security_group.tasks.id]
    assign_public_ip = false
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  depends_on = [aws_ecs_service.producer]
}

resource "aws_ecs_service" "flower" {
  count = var.flower == null ? 0 : 1

  name                               = "flower"
  cluster                            = local.cluster_arn
  task_definition                    = aws_ecs_task_definition.role["flower"].arn
  desired_count                      = var.running ? 1 : 0
  launch_type                        = "FARGATE"
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  enable_execute_command             = false
  propagate_tags                     = "SERVICE"
  tags                               = var.tags

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [aws_security_group.tasks.id, aws_security_group.flower[0].id]
    assign_public_ip = false
  }

  dynamic "load_balancer" {
    for_each = var.flower.target_group_arn[*]
    content {
      target_group_arn = load_balancer.value
      container_name   = "flower"
      container_port   = 5555
    }
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  depends_on = [aws_ecs_service.worker]
}
