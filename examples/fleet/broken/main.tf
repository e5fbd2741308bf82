# error, hcl: the block is never closed.
resource "terraform_data" "release" {
  input = "2.0"
