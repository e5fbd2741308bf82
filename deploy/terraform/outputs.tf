output "secret_arns" {
  description = "The secrets: put a value into those that this module made (README.md)."
  value       = local.secret_arns
}

output "redis_user_id" {
  description = "The fleet's user in ElastiCache, whose password you set; null with an own Redis."
  value       = one(aws_elasticache_user.fleet[*].user_id)
}

output "results_store" {
  description = "Where results are: for the settings of whoever reads them."
  value       = module.results.results_store
}

output "reader_policy" {
  description = "An IAM policy for people and scripts that read results."
  value       = module.results.reader_policy
}

output "cluster_arn" {
  description = "The ECS cluster."
  value       = local.cluster_arn
}

output "security_group_id" {
  description = "That of all tasks: let it into an own Redis, and into what plans ask inside of your network."
  value       = aws_security_group.tasks.id
}

output "plan_role_arn" {
  description = "What plans run as: for the trust policies of roles in other accounts."
  value       = local.plan_role_arn
}

output "task_role_arns" {
  description = "What the services run as: for the policy of a KMS key."
  value       = { for role, made in aws_iam_role.task : role => made.arn }
}

output "log_groups" {
  description = "Where each service's log is."
  value       = { for role, group in aws_cloudwatch_log_group.role : role => group.name }
}
