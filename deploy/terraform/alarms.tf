locals {
  namespace      = "driftfleet"
  dimensions     = { fleet = var.name }
  worker_service = { ClusterName = local.cluster_name, ServiceName = "worker" }
  what_to_do     = "What it means and what to do: docs/operations.md, \"When an alarm rings\"."

  # docs/metrics.md, "Alarms". `missing`: what no data mean; where the producer is away the heartbeat tells of it.
  alarms = {
    heartbeat = {
      about = "No heartbeat came through queue, worker and store for ${var.alarms.heartbeat_seconds} s, so nothing is checked."
      name  = "HeartbeatAge", statistic = "Maximum", above = true, threshold = var.alarms.heartbeat_seconds
      of    = {}, period = 60, periods = 5, missing = "breaching"
    }
    backlog = {
      about = "The oldest check has waited for more than ${var.alarms.backlog_seconds} s."
      name  = "QueueAge", statistic = "Maximum", above = true, threshold = var.alarms.backlog_seconds
      of    = {}, period = 300, periods = 3, missing = "notBreaching"
    }
    disk = {
      about = "Some worker has little disk left, and will start nothing below worker.min_free_bytes."
      name  = "DiskFree", statistic = "Minimum", above = false, threshold = var.alarms.disk_free_bytes
      of    = {}, period = 60, periods = 5, missing = "notBreaching"
    }
    staleness = {
      about = "Some root was not checked for ${var.alarms.stale_seconds} s."
      name  = "Staleness", statistic = "Maximum", above = true, threshold = var.alarms.stale_seconds
      of    = {}, period = 300, periods = 3, missing = "notBreaching"
    }
    overdue = {
      about = "A sweep is past its deadline, and nobody closes it."
      name  = "SweepsOverdue", statistic = "Maximum", above = true, threshold = 0
      of    = {}, period = 300, periods = 2, missing = "notBreaching"
    }
    incomplete = {
      about = "A sweep was closed by its deadline: some root was never answered."
      name  = "SweepsClosed", statistic = "Sum", above = true, threshold = 0
      of    = { ClosedBy = "deadline" }, period = 300, periods = 1, missing = "notBreaching"
    }
    losses = {
      about = "Checks vanish from the queue and are put back: workers die, or Redis forgets."
      name  = "ChecksPutBack", statistic = "Sum", above = true, threshold = 10
      of    = {}, period = 3600, periods = 1, missing = "notBreaching"
    }
    metrics = {
      about = "Metrics are lost: look for metrics_not_published in the logs."
      name  = "MetricsLost", statistic = "Sum", above = true, threshold = 0
      of    = {}, period = 3600, periods = 1, missing = "notBreaching"
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "fleet" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = "${each.value.about} ${local.what_to_do}"
  namespace           = local.namespace
  metric_name         = each.value.name
  dimensions          = merge(local.dimensions, each.value.of)
  statistic           = each.value.statistic
  comparison_operator = each.value.above ? "GreaterThanThreshold" : "LessThanThreshold"
  threshold           = each.value.threshold
  period              = each.value.period
  evaluation_periods  = each.value.periods
  treat_missing_data  = each.value.missing
  actions_enabled     = var.running
  alarm_actions       = var.alarm_actions
  ok_actions          = var.ok_actions
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "errors" {
  alarm_name          = "${var.name}-errors"
  alarm_description   = "More than ${var.alarms.error_percent} % of an hour's checks could not be judged. ${local.what_to_do}"
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.alarms.error_percent
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  actions_enabled     = var.running
  alarm_actions       = var.alarm_actions
  ok_actions          = var.ok_actions
  tags                = var.tags

  metric_query {
    id          = "percent"
    label       = "Checks in error, in percent"
    expression  = "100 * e / c"
    return_data = true
  }

  metric_query {
    id = "e"

    metric {
      namespace   = local.namespace
      metric_name = "Checks"
      dimensions  = merge(local.dimensions, { Verdict = "error" })
      stat        = "Sum"
      period      = 3600
    }
  }

  metric_query {
    id = "c"

    metric {
      namespace   = local.namespace
      metric_name = "Checks"
      dimensions  = local.dimensions
      stat        = "Sum"
      period      = 3600
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "redis" {
  count = var.redis == null ? 1 : 0

  alarm_name          = "${var.name}-redis"
  alarm_description   = "Redis' memory is 80 % full, and a full one takes no more checks: a larger elasticache.node_type, or see why so many wait. ${local.what_to_do}"
  namespace           = "AWS/ElastiCache"
  metric_name         = "DatabaseMemoryUsagePercentage"
  dimensions          = { CacheClusterId = "${aws_elasticache_replication_group.redis[0].replication_group_id}-001" }
  statistic           = "Maximum"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 80
  period              = 300
  evaluation_periods  = 3
  treat_missing_data  = "notBreaching"
  actions_enabled     = var.running
  alarm_actions       = var.alarm_actions
  ok_actions          = var.ok_actions
  tags                = var.tags
}

# Each running task tells of its CPU once a minute: that costs nothing, and needs nothing that the fleet publishes.
resource "aws_cloudwatch_metric_alarm" "workers" {
  alarm_name          = "${var.name}-workers"
  alarm_description   = "Fewer than ${var.worker.min} workers run. Look at the service's events in ECS, and at why tasks stopped. ${local.what_to_do}"
  namespace           = "AWS/ECS"
  metric_name         = "CPUUtilization"
  dimensions          = local.worker_service
  statistic           = "SampleCount"
  comparison_operator = "LessThanThreshold"
  threshold           = var.worker.min
  period              = 60
  evaluation_periods  = 10
  datapoints_to_alarm = 10
  treat_missing_data  = "breaching"
  actions_enabled     = var.running
  alarm_actions       = var.alarm_actions
  ok_actions          = var.ok_actions
  tags                = var.tags
}
