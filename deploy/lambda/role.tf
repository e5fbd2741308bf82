locals {
  # Not the function's own attribute: the function waits for this policy.
  function_arn = "arn:${data.aws_partition.current.partition}:lambda:${data.aws_region.current.id}:${data.aws_caller_identity.current.account_id}:function:${var.name}"

  s3_place  = startswith(var.results_store, "s3://") ? split("/", trimprefix(var.results_store, "s3://")) : []
  s3_bucket = one(slice(local.s3_place, 0, min(1, length(local.s3_place))))
  s3_prefix = join("", [for part in slice(local.s3_place, min(1, length(local.s3_place)), length(local.s3_place)) : "${part}/" if part != ""])
}

data "aws_partition" "current" {}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "function" {
  name               = var.name
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

data "aws_iam_policy_document" "function" {
  statement {
    sid       = "Log"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.function.arn}:*"]
  }

  statement {
    sid       = "ReadTheToken"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [var.github_token_secret_arn]
  }

  statement {
    sid       = "HandOverWhatFailed"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.failed.arn]
  }

  dynamic "statement" {
    for_each = var.plan_role_arn[*]
    content {
      sid       = "PlanAsAnother"
      actions   = ["sts:AssumeRole"]
      resources = [statement.value]
    }
  }

  dynamic "statement" {
    for_each = local.s3_bucket[*]
    content {
      sid       = "KeepResults"
      actions   = ["s3:GetObject", "s3:PutObject"]
      resources = ["arn:${data.aws_partition.current.partition}:s3:::${statement.value}/${local.s3_prefix}*"]
    }
  }

  # Without it what is not there yet is answered with "access denied".
  dynamic "statement" {
    for_each = local.s3_bucket[*]
    content {
      sid       = "SeeWhichThereAre"
      actions   = ["s3:ListBucket"]
      resources = ["arn:${data.aws_partition.current.partition}:s3:::${statement.value}"]

      condition {
        test     = "StringLike"
        variable = "s3:prefix"
        values   = ["${local.s3_prefix}*"]
      }
    }
  }

  dynamic "statement" {
    for_each = var.results_kms_key_arn[*]
    content {
      sid       = "EncryptResults"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [statement.value]
    }
  }

  dynamic "statement" {
    for_each = var.file_system[*]
    content {
      sid       = "UseTheFileSystem"
      actions   = ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"]
      resources = ["*"]

      condition {
        test     = "StringEquals"
        variable = "elasticfilesystem:AccessPointArn"
        values   = [statement.value.access_point_arn]
      }
    }
  }
}

resource "aws_iam_role_policy" "function" {
  name   = "check"
  role   = aws_iam_role.function.id
  policy = data.aws_iam_policy_document.function.json
}

resource "aws_iam_role_policy_attachment" "network" {
  count = var.file_system == null ? 0 : 1

  role       = aws_iam_role.function.name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole"
}

# Lambda needs these for the function's network; a plan, which has the same role, does not.
# docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html, "Required IAM permissions"
data "aws_iam_policy_document" "network" {
  statement {
    sid    = "LeaveTheNetworkToLambda"
    effect = "Deny"
    actions = [
      "ec2:AssignPrivateIpAddresses",
      "ec2:CreateNetworkInterface",
      "ec2:DeleteNetworkInterface",
      "ec2:DetachNetworkInterface",
      "ec2:UnassignPrivateIpAddresses",
    ]
    resources = ["*"]

    condition {
      test     = "ArnEquals"
      variable = "lambda:SourceFunctionArn"
      values   = [local.function_arn]
    }
  }
}

resource "aws_iam_role_policy" "network" {
  count = var.file_system == null ? 0 : 1

  name   = "network"
  role   = aws_iam_role.function.id
  policy = data.aws_iam_policy_document.network.json
}

resource "aws_iam_role_policy_attachment" "plan" {
  for_each = toset(var.plan_policy_arns)

  role       = aws_iam_role.function.name
  policy_arn = each.value
}
