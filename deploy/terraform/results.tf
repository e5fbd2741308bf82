module "results" {
  source = "../results-bucket"

  name            = var.results.bucket
  prefix          = var.results.prefix
  history_days    = var.results.history_days
  noncurrent_days = var.results.noncurrent_days
  kms_key_arn     = var.kms_key_arn
}
