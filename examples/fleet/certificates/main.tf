# drifted: somebody deleted the certificate. The plan would create it again; that is no news in the code.
terraform {
  required_version = ">= 1.5"

  required_providers {
    demo = {
      source  = "driftfleet/demo"
      version = "~> 1.0.0"
    }
  }
}

variable "world" {
  type        = string
  description = "The folder that stands for the real world."
}

resource "demo_file" "certificate" {
  path    = "${var.world}/certificates/www.pem"
  content = "a certificate\n"
}
