resource "aws_appautoscaling_target" "worker" {
  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = "service/${local.cluster_name}/${aws_ecs_service.worker.name}"
  min_capacity       = var.running ? var.worker.min : 0
  max_capacity       = var.running ? var.worker.max : 0
}

# As many workers as there are checks for. The larger of the two policies' numbers counts, and fewer are only made
# where both agree.
resource "aws_appautoscaling_policy" "queue" {
  name               = "${var.name}-queue"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.worker.service_namespace
  scalable_dimension = aws_appautoscaling_target.worker.scalable_dimension
  resource_id        = aws_appautoscaling_target.worker.resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = var.scaling.checks_per_worker
    scale_out_cooldown = var.scaling.scale_out_cooldown
    scale_in_cooldown  = var.scaling.scale_in_cooldown

    customized_metric_specification {
      metrics {
        id          = "each"
        label       = "Checks that wait or run, for each worker"
        expression  = "(waiting + running) / workers"
        return_data = true
      }

      # Not those that are put off: most of them wait for GitHub or a cap, which more workers don't help.
      dynamic "metrics" {
        for_each = toset(["waiting", "running"])
        content {
          id          = metrics.value
          return_data = false

          metric_stat {
            stat = "Maximum"

            metric {
              namespace   = local.namespace
              metric_name = "QueueJobs"

              dynamic "dimensions" {
                for_each = merge(local.dimensions, { State = metrics.value })
                content {
                  name  = dimensions.key
                  value = dimensions.value
                }
              }
            }
          }
        }
      }

      # Each task tells of its CPU once a minute, so that is how many there are; it costs nothing.
      # docs.aws.amazon.com/AmazonECS/latest/developerguide/cloudwatch-metrics.html
      metrics {
        id          = "workers"
        return_data = false

        metric_stat {
          stat = "SampleCount"

          metric {
            namespace   = "AWS/ECS"
            metric_name = "CPUUtilization"

            dynamic "dimensions" {
              for_each = local.worker_service
              content {
                name  = dimensions.key
                value = dimensions.value
              }
            }
          }
        }
      }
    }
  }
}

# A worker whose memory is taken starts no more plans, however many slots are free (docs/configuration.md, "Room").
resource "aws_appautoscaling_policy" "memory" {
  name               = "${var.name}-memory"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.worker.service_namespace
  scalable_dimension = aws_appautoscaling_target.worker.scalable_dimension
  resource_id        = aws_appautoscaling_target.worker.resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = var.scaling.memory_percent
    scale_out_cooldown = var.scaling.scale_out_cooldown
    scale_in_cooldown  = var.scaling.scale_in_cooldown

    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageMemoryUtilization"
    }
  }
}
