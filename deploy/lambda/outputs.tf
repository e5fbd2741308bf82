output "function_name" {
  description = "To invoke by hand: aws lambda invoke --function-name ..."
  value       = aws_lambda_function.check.function_name
}

output "role_arn" {
  description = "The function's role: for the trust policy of plan_role_arn."
  value       = aws_iam_role.function.arn
}

output "failed_queue_url" {
  description = "Where events go whose checks were not answered."
  value       = aws_sqs_queue.failed.url
}

output "rules" {
  description = "What each rule checks, and when."
  value = {
    for key, rule in local.rules :
    key => { schedule = aws_cloudwatch_event_rule.repository[key].schedule_expression, checks = rule.checks }
  }
}
