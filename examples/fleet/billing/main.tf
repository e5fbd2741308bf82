# unapplied: the code says 0.22; what was applied last is 0.20.
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

variable "rate" {
  type    = string
  default = "0.22"
}

resource "demo_file" "tariff" {
  path    = "${var.world}/billing/tariff.txt"
  content = "rate ${var.rate}\n"
}
