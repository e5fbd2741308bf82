# drifted_unapplied: the limits were changed by hand, and the new route was never applied.
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

variable "routes" {
  type    = list(string)
  default = ["shop", "search"]
}

resource "demo_file" "limits" {
  path    = "${var.world}/gateway/limits.txt"
  content = "100 requests a second\n"
}

resource "demo_file" "route" {
  for_each = toset(var.routes)

  path    = "${var.world}/gateway/${each.key}.txt"
  content = "/${each.key}\n"
}
