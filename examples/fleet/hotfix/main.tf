# clean, with a note: fixed by hand in the night, and the code followed in the morning.
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

variable "replicas" {
  type    = number
  default = 5
}

resource "demo_file" "scale" {
  path    = "${var.world}/hotfix/scale.txt"
  content = "replicas ${var.replicas}\n"
}
