# unapplied, and only an output: no resource would change, but whoever reads this state would.
# Needs no provider at all: terraform_data is built in.
terraform {
  required_version = ">= 1.5"
}

variable "format" {
  type    = string
  default = "parquet"
}

resource "terraform_data" "weekly" {
  input = "every monday"
}

output "format" {
  value = var.format
}
