# A child module: only ever called by others, so it is not checked by itself.
terraform {
  required_providers {
    demo = {
      source = "driftfleet/demo"
    }
  }
}

variable "folder" {
  type = string
}

variable "title" {
  type = string
}

resource "demo_file" "page" {
  path    = "${var.folder}/index.html"
  content = "<h1>${var.title}</h1>\n"
}
