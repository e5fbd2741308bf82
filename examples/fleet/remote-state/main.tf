# error, backend_unreachable: nobody listens there, so there is no state to compare with.
terraform {
  backend "http" {
    address   = "http://127.0.0.1:1/state"
    retry_max = 0
  }
}

resource "terraform_data" "queue" {
  input = "orders"
}
