locals {
  # By names, not by attributes: so a plan shows the policies, and none waits for another.
  plan_role_arn   = "arn:${local.partition}:iam::${local.account}:role/${var.name}-plan"
  worker_role_arn = "arn:${local.partition}:iam::${local.account}:role/${var.name}-worker"

  secrets_of = {
    for role, names in {
      beat     = ["redis"]
      producer = ["redis", "github"]
      worker   = ["redis", "github"]
      flower   = ["redis", "flower"]
    } : role => [for name in names : local.secret_arns[name] if contains(keys(local.secret_arns), name)]
  }

  # Who asks nothing of AWS has a role without a policy.
  with_policy = [for role in keys(local.roles) : role if local.roles[role].keeps || length(local.secrets_of[role]) > 0]

  efs = "arn:${local.partition}:elasticfilesystem:${local.region}:${local.account}"

  # Of images that are in ECR, whichever of its two addresses they have; of others everybody may pull.
  # docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-requests.html
  in_ecr   = "^([0-9]{12})\\.dkr[.-]ecr\\.([a-z0-9-]+)\\.(?:amazonaws\\.com(?:\\.cn)?|on\\.aws)/([^:@]+)"
  ecr      = [for image in distinct(concat([var.image], values(var.images))) : regex(local.in_ecr, image) if can(regex(local.in_ecr, image))]
  ecr_arns = distinct([for one in local.ecr : "arn:${local.partition}:ecr:${one[1]}:${one[0]}:repository/${one[2]}"])
}

# docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html: the conditions keep other accounts' tasks out.
data "aws_iam_policy_document" "tasks" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }

    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = ["arn:${local.partition}:ecs:${local.region}:${local.account}:*"]
    }
  }
}

# What ECS itself does for a task: pull the image, write the log. No container has it.
resource "aws_iam_role" "execution" {
  name               = "${var.name}-execution"
  assume_role_policy = data.aws_iam_policy_document.tasks.json
  tags               = var.tags
}

data "aws_iam_policy_document" "execution" {
  statement {
    sid       = "Log"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = [for role in keys(local.roles) : "arn:${local.partition}:logs:${local.region}:${local.account}:log-group:/${var.name}/${role}:*"]
  }

  dynamic "statement" {
    for_each = length(local.ecr_arns) > 0 ? [local.ecr_arns] : []
    content {
      sid       = "PullTheImage"
      actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
      resources = statement.value
    }
  }

  # AWS knows no resource for it.
  dynamic "statement" {
    for_each = length(local.ecr_arns) > 0 ? [1] : []
    content {
      sid       = "LogInToEcr"
      actions   = ["ecr:GetAuthorizationToken"]
      resources = ["*"]
    }
  }
}

resource "aws_iam_role_policy" "execution" {
  name   = "execution"
  role   = aws_iam_role.execution.id
  policy = data.aws_iam_policy_document.execution.json
}

resource "aws_iam_role" "task" {
  for_each = local.roles

  name               = "${var.name}-${each.key}"
  assume_role_policy = data.aws_iam_policy_document.tasks.json
  tags               = var.tags
}

data "aws_iam_policy_document" "task" {
  for_each = toset(local.with_policy)

  source_policy_documents = local.roles[each.key].keeps ? [module.results.writer_policy] : []

  dynamic "statement" {
    for_each = length(local.secrets_of[each.key]) > 0 ? [local.secrets_of[each.key]] : []
    content {
      sid       = "ReadSecrets"
      actions   = ["secretsmanager:GetSecretValue"]
      resources = statement.value
    }
  }

  # Of their secrets; what the bucket wants of the key is in the bucket's policy.
  dynamic "statement" {
    for_each = var.kms_key_arn[*]
    content {
      sid       = "ReadSecretsWithTheKey"
      actions   = ["kms:Decrypt"]
      resources = [statement.value]
    }
  }

  # AWS knows no resource for it: the namespace is the bound.
  dynamic "statement" {
    for_each = local.roles[each.key].keeps ? [1] : []
    content {
      sid       = "PublishMetrics"
      actions   = ["cloudwatch:PutMetricData"]
      resources = ["*"]

      condition {
        test     = "StringEquals"
        variable = "cloudwatch:namespace"
        values   = [local.namespace]
      }
    }
  }

  dynamic "statement" {
    for_each = each.key == "worker" ? [1] : []
    content {
      sid       = "PlanAsAnother"
      actions   = ["sts:AssumeRole"]
      resources = [local.plan_role_arn]
    }
  }

  dynamic "statement" {
    for_each = local.on_file_system[each.key] ? var.mirror.file_system[*] : []
    content {
      sid       = "UseTheMirror"
      actions   = each.key == "producer" ? ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"] : ["elasticfilesystem:ClientMount"]
      resources = ["${local.efs}:file-system/${statement.value.id}"]

      condition {
        test     = "StringEquals"
        variable = "elasticfilesystem:AccessPointArn"
        values   = ["${local.efs}:access-point/${statement.value.access_point_id}"]
      }
    }
  }
}

resource "aws_iam_role_policy" "task" {
  for_each = toset(local.with_policy)

  name   = "fleet"
  role   = aws_iam_role.task[each.key].id
  policy = data.aws_iam_policy_document.task[each.key].json
}
