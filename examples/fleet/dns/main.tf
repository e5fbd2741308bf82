# drifted: somebody edited the zone by hand.
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

resource "demo_file" "zone" {
  path    = "${var.world}/dns/zone.txt"
  content = "www 300 A 192.0.2.10\n"
}

resource "demo_file" "reverse_zone" {
  path    = "${var.world}/dns/reverse.txt"
  content = "10.2.0.192 300 PTR www\n"
}
