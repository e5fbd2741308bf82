locals {
  token_key = var.github_token_secret_key == "" ? "" : "#${var.github_token_secret_key}"
}

resource "aws_lambda_function" "check" {
  function_name = var.name
  description   = "Answers one event with one check of one Terraform root module"
  role          = aws_iam_role.function.arn
  package_type  = "Image"
  image_uri     = var.image_uri
  architectures = [var.architecture]
  memory_size   = var.memory_mb
  timeout       = var.timeout_seconds

  reserved_concurrent_executions = var.reserved_concurrency

  image_config {
    entry_point = ["/opt/driftfleet/bin/python", "-m", "awslambdaric"]
    command     = ["worker.aws_lambda.handler"]
  }

  ephemeral_storage {
    size = var.disk_mb
  }

  environment {
    variables = merge({
      DRIFTFLEET_GITHUB__URL    = var.github_url
      DRIFTFLEET_GITHUB__TOKEN  = "secretsmanager://${var.github_token_secret_arn}${local.token_key}"
      DRIFTFLEET_RESULTS__STORE = var.results_store
      }, var.plan_role_arn == null ? {} : {
      DRIFTFLEET_WORKER__PLAN_ROLE = var.plan_role_arn
      }, var.results_kms_key_arn == null ? {} : {
      DRIFTFLEET_RESULTS__S3 = jsonencode({ encryption = "aws:kms", kms_key = var.results_kms_key_arn })
    }, var.environment)
  }

  dynamic "vpc_config" {
    for_each = var.file_system[*]
    content {
      subnet_ids         = vpc_config.value.subnet_ids
      security_group_ids = vpc_config.value.security_group_ids
    }
  }

  dynamic "file_system_config" {
    for_each = var.file_system[*]
    content {
      arn              = file_system_config.value.access_point_arn
      local_mount_path = file_system_config.value.mount
    }
  }

  # While there is a function in a network, Lambda needs the right to it: it goes last.
  depends_on = [
    aws_cloudwatch_log_group.function,
    aws_iam_role_policy.function,
    aws_iam_role_policy_attachment.network,
  ]

  lifecycle {
    precondition {
      condition     = startswith(var.results_store, "s3://") || var.file_system != null
      error_message = "results_store is a folder below /mnt: name the file_system that is mounted there."
    }
  }
}

resource "aws_cloudwatch_log_group" "function" {
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_retention_days
}

# A check that fails for GitHub's or the store's sake is tried again after one minute and after two more.
resource "aws_lambda_function_event_invoke_config" "check" {
  function_name                = aws_lambda_function.check.function_name
  maximum_retry_attempts       = 2
  maximum_event_age_in_seconds = 21600

  destination_config {
    on_failure {
      destination = aws_sqs_queue.failed.arn
    }
  }
}
