# EventBridge takes at most five targets a rule. So a repository has a rule for each five of its checks: nearly
# always one, and what changes in it changes no other repository's.
locals {
  targets_of_a_rule = 5

  checks = {
    for repo, roots in var.roots : repo => flatten([
      for root in distinct(roots) : [
        for variant in distinct(try(var.variants[repo][root], [""])) :
        merge({ repo = repo, root = root }, variant == "" ? {} : { variant = variant })
      ]
    ])
  }

  rules = merge([
    for repo, checks in local.checks : {
      for number, chunk in chunklist(checks, local.targets_of_a_rule) :
      "${repo}#${number + 1}" => { repo = repo, number = number + 1, checks = chunk }
    }
  ]...)

  targets = merge([
    for key, rule in local.rules : {
      for check in rule.checks :
      "${key} ${check.root}${try(" ${check.variant}", "")}" => { rule = key, check = check }
    }
  ]...)

  # The same repository at the same time each day, and not all of them at once.
  spread = { for repo in keys(var.roots) : repo => parseint(substr(sha1(repo), 0, 6), 16) }
  times = {
    for repo, number in local.spread :
    repo => "cron(${number % 60} ${var.hours[floor(number / 60) % length(var.hours)]} * * ? *)"
  }
}

resource "aws_cloudwatch_event_rule" "repository" {
  for_each = local.rules

  name = format(
    "%s-%s-%s-%d",
    var.name,
    substr(replace(each.value.repo, "/", "-"), 0, 24),
    substr(sha1(each.value.repo), 0, 8),
    each.value.number
  )
  description         = "Checks root modules of ${each.value.repo}"
  schedule_expression = coalesce(var.schedule, local.times[each.value.repo])
}

resource "aws_cloudwatch_event_target" "check" {
  for_each = local.targets

  rule      = aws_cloudwatch_event_rule.repository[each.value.rule].name
  target_id = substr(sha1(each.key), 0, 16)
  arn       = aws_lambda_function.check.arn
  input     = jsonencode(each.value.check)

  dead_letter_config {
    arn = aws_sqs_queue.failed.arn
  }
}

# One for all rules, by their names' beginning: a function's policy holds 20 KB, which is some fifty rules.
resource "aws_lambda_permission" "rules" {
  statement_id  = "rules"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.check.function_name
  principal     = "events.amazonaws.com"
  source_arn    = "arn:${data.aws_partition.current.partition}:events:${data.aws_region.current.id}:${data.aws_caller_identity.current.account_id}:rule/${var.name}-*"
}

data "aws_region" "current" {}

data "aws_caller_identity" "current" {}
