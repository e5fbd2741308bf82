locals {
  plan_policy_arns = var.plan_policy_arns == null ? ["arn:${local.partition}:iam::aws:policy/ReadOnlyAccess"] : var.plan_policy_arns
}

# What plans run as: workers assume it for each check, and plans have its keys (docs/results.md, "Whose keys").
data "aws_iam_policy_document" "plan_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "AWS"
      identifiers = [local.worker_role_arn]
    }

    condition {
      test     = "StringEquals"
      variable = "sts:ExternalId"
      values   = [var.name]
    }
  }
}

resource "aws_iam_role" "plan" {
  name                 = "${var.name}-plan"
  description          = "Plans of the fleet ${var.name}: reads, and changes nothing"
  assume_role_policy   = data.aws_iam_policy_document.plan_trust.json
  max_session_duration = 3600
  tags                 = var.tags

  # AWS takes no principal that isn't there.
  depends_on = [aws_iam_role.task]
}

resource "aws_iam_role_policy_attachment" "plan" {
  count = length(local.plan_policy_arns)

  role       = aws_iam_role.plan.name
  policy_arn = local.plan_policy_arns[count.index]
}

# Whatever the policies above allow: the fleet's own secrets and results are no plan's business. What is around the
# bucket stays readable, for this module may be a root of the fleet itself.
data "aws_iam_policy_document" "plan" {
  statement {
    sid    = "LeaveResultsAlone"
    effect = "Deny"
    actions = [
      "s3:AbortMultipartUpload",
      "s3:DeleteObject*",
      "s3:GetObject*",
      "s3:PutObject*",
      "s3:RestoreObject",
    ]
    resources = ["${module.results.bucket_arn}/*"]
  }

  statement {
    sid       = "LeaveSecretsAlone"
    effect    = "Deny"
    actions   = ["secretsmanager:GetSecretValue", "secretsmanager:BatchGetSecretValue", "secretsmanager:PutSecretValue"]
    resources = values(local.secret_arns)
  }

  statement {
    sid       = "BeNoService"
    effect    = "Deny"
    actions   = ["sts:AssumeRole", "iam:PassRole"]
    resources = [for role in concat(keys(local.roles), ["execution"]) : "arn:${local.partition}:iam::${local.account}:role/${var.name}-${role}"]
  }

  dynamic "statement" {
    for_each = length(var.plan_assume_role_arns) > 0 ? [var.plan_assume_role_arns] : []
    content {
      sid       = "ReadElsewhere"
      actions   = ["sts:AssumeRole"]
      resources = statement.value
    }
  }
}

resource "aws_iam_role_policy" "plan" {
  name   = "plan"
  role   = aws_iam_role.plan.id
  policy = data.aws_iam_policy_document.plan.json
}
