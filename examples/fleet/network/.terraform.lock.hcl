# This file is maintained automatically by "terraform init".
# Manual edits may be lost in future updates.

provider "registry.terraform.io/driftfleet/demo" {
  version     = "1.0.0"
  constraints = "~> 1.0.0"
  hashes = [
    "h1:0h01OT2hr366CSVn7Ja+sFUyfhrU8nvtvFWtF7L9Zgg=",
  ]
}
