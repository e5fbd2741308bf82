# error, version: written for a Terraform that nobody should run any more.
terraform {
  required_version = "< 1.0"
}

resource "terraform_data" "archive" {
  input = "tape"
}
