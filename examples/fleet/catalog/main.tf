# clean: this API answers "" and {} where nothing was set. Terraform reports that as drift; it is none.
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

provider "demo" {
  empty_for_null = true
}

resource "demo_file" "index" {
  path    = "${var.world}/catalog/index.txt"
  content = "books\nmusic\n"
}
