"""What both sides of the fleet share: the job, the result, the settings and the adapters."""
