"""`driftfleet doctor`: everything that a fleet needs, checked one by one; see `examination`."""
