locals {
  # `keeps`: it writes results and metrics; `mirror`: it sees the provider mirror; `stop`: seconds from TERM to KILL, of
  # which a worker's plans, and what a producer does, have worker.drain_seconds. Fargate's most is 120.
  roles = merge(
    {
      beat     = { cpu = var.beat.cpu, memory = var.beat.memory, disk = null, keeps = false, mirror = false, stop = 30 }
      producer = { cpu = var.producer.cpu, memory = var.producer.memory, disk = var.producer.disk_gib, keeps = true, mirror = true, stop = 120 }
      worker   = { cpu = var.worker.cpu, memory = var.worker.memory, disk = var.worker.disk_gib, keeps = true, mirror = true, stop = 120 }
    },
    var.flower == null ? {} : {
      flower = { cpu = var.flower.cpu, memory = var.flower.memory, disk = null, keeps = false, mirror = false, stop = 30 }
    },
  )

  # docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html, "Task size": MiB by CPU units.
  fargate_memory = {
    256   = [512, 1024, 2048]
    512   = range(1024, 4097, 1024)
    1024  = range(2048, 8193, 1024)
    2048  = range(4096, 16385, 1024)
    4096  = range(8192, 30721, 1024)
    8192  = range(16384, 61441, 4096)
    16384 = range(32768, 122881, 8192)
  }

  # What Docker gives every container, less CHOWN.
  all_but_chown = [
    "AUDIT_WRITE", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW", "SETFCAP",
    "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
  ]

  log = {
    for role in keys(local.roles) : role => {
      logDriver = "awslogs"
      options = {
        awslogs-group         = "/${var.name}/${role}"
        awslogs-region        = local.region
        awslogs-stream-prefix = var.name
        # No plan waits for CloudWatch.
        mode            = "non-blocking"
        max-buffer-size = "25m"
      }
    }
  }

  on_file_system = { for role, of in local.roles : role => of.mirror && var.mirror.file_system != null }
}

resource "aws_cloudwatch_log_group" "role" {
  for_each = local.roles

  name              = "/${var.name}/${each.key}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
  tags              = var.tags
}

resource "aws_ecs_task_definition" "role" {
  for_each = local.roles

  family                   = "${var.name}-${each.key}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = each.value.cpu
  memory                   = each.value.memory
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task[each.key].arn
  tags                     = var.tags

  # Fargate's volumes are root's, unless the image says VOLUME: the first container gives it to the fleet's user, and ends.
  # It has a command, too: the image's own is --help, with which chown would do nothing and be content.
  container_definitions = jsonencode([{
    name                   = "volume"
    image                  = lookup(var.images, each.key, var.image)
    entryPoint             = ["chown"]
    command                = ["10001:10001", local.work]
    essential              = false
    user                   = "0"
    readonlyRootFilesystem = true
    environment            = []
    portMappings           = []
    linuxParameters        = { capabilities = { drop = local.all_but_chown }, initProcessEnabled = false }
    mountPoints            = [{ sourceVolume = "work", containerPath = local.work, readOnly = false }]
    logConfiguration       = local.log[each.key]
    }, {
    name                   = each.key
    image                  = lookup(var.images, each.key, var.image)
    command                = [each.key]
    essential              = true
    user                   = "10001:10001"
    readonlyRootFilesystem = true
    stopTimeout            = each.value.stop
    environment            = [for name in sort(keys(local.variables[each.key])) : { name = name, value = local.variables[each.key][name] }]
    portMappings           = each.key == "flower" ? [{ containerPort = 5555, hostPort = 5555, protocol = "tcp" }] : []
    # The image has an init of its own.
    linuxParameters = { capabilities = { drop = ["ALL"] }, initProcessEnabled = false }
    mountPoints = concat(
      [{ sourceVolume = "work", containerPath = local.work, readOnly = false }],
      local.on_file_system[each.key] ? [{ sourceVolume = "mirror", containerPath = dirname(var.mirror.folder), readOnly = each.key != "producer" }] : [],
    )
    healthCheck = {
      command     = ["CMD", "driftfleet-health", each.key]
      interval    = 30
      timeout     = 5
      retries     = 3
      startPeriod = 60
    }
    dependsOn        = [{ containerName = "volume", condition = "SUCCESS" }]
    logConfiguration = local.log[each.key]
  }])

  # Of the task's own disk, and empty at its start.
  volume {
    name = "work"
  }

  dynamic "volume" {
    for_each = local.on_file_system[each.key] ? var.mirror.file_system[*] : []
    content {
      name = "mirror"

      efs_volume_configuration {
        file_system_id     = volume.value.id
        transit_encryption = "ENABLED"

        authorization_config {
          access_point_id = volume.value.access_point_id
          iam             = "ENABLED"
        }
      }
    }
  }

  dynamic "ephemeral_storage" {
    for_each = each.value.disk[*]
    content {
      size_in_gib = ephemeral_storage.value
    }
  }

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.architecture
  }

  lifecycle {
    precondition {
      condition     = contains(try(local.fargate_memory[each.value.cpu], []), each.value.memory)
      error_message = "${each.key}: Fargate has no ${each.value.cpu} CPU units with ${each.value.memory} MiB. With ${each.value.cpu} it has: ${join(", ", try(local.fargate_memory[each.value.cpu], ["nothing; CPU units are 256, 512, 1024, 2048, 4096, 8192 or 16384"]))}."
    }

    precondition {
      condition     = length(local.taken) == 0
      error_message = "settings has what this module sets itself by variables of its own: ${join(", ", local.taken)}."
    }

    precondition {
      condition     = each.key != "worker" || var.worker.disk_gib * 1073741824 >= local.worker_disk_bytes
      error_message = "worker.disk_gib is too small: worker.concurrency x limits.workspace_bytes, the caches' limits and what stays free come to ${ceil(local.worker_disk_bytes / 1073741824)} GiB."
    }

    precondition {
      condition     = each.key != "worker" || try(var.settings.worker.drain_seconds, 60) <= 100
      error_message = "worker.drain_seconds is 100 at most here: Fargate kills after 120 s, and what is left has to be put back."
    }
  }
}
