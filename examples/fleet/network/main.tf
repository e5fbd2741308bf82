# clean: code, state and the real world agree. Its lock file is committed, as it should be.
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

resource "demo_file" "routes" {
  path    = "${var.world}/network/routes.txt"
  content = "10.0.0.0/16 local\n0.0.0.0/0 gateway\n"
  labels  = { team = "core" }
}
