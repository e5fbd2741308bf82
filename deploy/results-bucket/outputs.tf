output "results_store" {
  description = "For results.store in fleet.yaml."
  value       = trimsuffix("s3://${var.name}/${local.prefix}", "/")
}

output "bucket_arn" {
  description = "The bucket."
  value       = local.arn
}

output "writer_policy" {
  description = "An IAM policy for workers, the producer, and whoever makes the report."
  value       = data.aws_iam_policy_document.writer.json
}

output "reader_policy" {
  description = "An IAM policy for people and scripts that read: status, history, results."
  value       = data.aws_iam_policy_document.reader.json
}

data "aws_iam_policy_document" "reader" {
  # Without it what is not there yet is answered with "access denied".
  statement {
    sid       = "SeeWhichThereAre"
    actions   = ["s3:ListBucket"]
    resources = [local.arn]

    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["${local.prefix}*"]
    }
  }

  statement {
    sid       = "ReadResults"
    actions   = ["s3:GetObject"]
    resources = ["${local.arn}/${local.prefix}*"]
  }

  dynamic "statement" {
    for_each = var.kms_key_arn[*]
    content {
      sid       = "ReadWithTheKey"
      actions   = ["kms:Decrypt"]
      resources = [statement.value]
    }
  }
}

data "aws_iam_policy_document" "writer" {
  source_policy_documents = [data.aws_iam_policy_document.reader.json]

  statement {
    sid       = "KeepResults"
    actions   = ["s3:PutObject", "s3:DeleteObject"]
    resources = ["${local.arn}/${local.prefix}*"]
  }

  dynamic "statement" {
    for_each = var.kms_key_arn[*]
    content {
      sid       = "WriteWithTheKey"
      actions   = ["kms:GenerateDataKey"]
      resources = [statement.value]
    }
  }
}
