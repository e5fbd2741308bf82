# Secrets without a value: who may know them puts them in (README.md). So none is in a state.
locals {
  made_secrets = merge(
    var.github.token_secret == null ? { github = "The fleet's token for ${var.github.url}" } : {},
    var.redis == null ? { redis = "The password of the fleet's user in ElastiCache" } : {},
    var.flower != null && try(var.flower.password_secret, null) == null ? { flower = "The password of Flower" } : {},
  )

  secret_arns = merge(
    { for key, secret in aws_secretsmanager_secret.made : key => secret.arn },
    var.github.token_secret == null ? {} : { github = var.github.token_secret.arn },
    try(var.redis.password_secret, null) == null ? {} : { redis = var.redis.password_secret.arn },
    try(var.flower.password_secret, null) == null ? {} : { flower = var.flower.password_secret.arn },
  )

  token_key = try(var.github.token_secret.key, "") == "" ? "" : "#${var.github.token_secret.key}"
}

resource "aws_secretsmanager_secret" "made" {
  for_each = local.made_secrets

  name                    = "${var.name}/${each.key}"
  description             = each.value
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.secret_recovery_days
  tags                    = var.tags
}
