# error, provider_missing: the mirror does not hold this provider.
terraform {
  required_providers {
    mainframe = {
      source  = "driftfleet/mainframe"
      version = "~> 3.1"
    }
  }
}

resource "mainframe_job" "nightly" {
  name = "nightly"
}
