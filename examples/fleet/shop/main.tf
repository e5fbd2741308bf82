# Two variants (../fleet.yaml): staging is clean, production has drifted. Uses a local child module.
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

variable "title" {
  type = string
}

module "website" {
  source = "../modules/website"

  folder = "${var.world}/shop/${terraform.workspace}"
  title  = var.title
}
