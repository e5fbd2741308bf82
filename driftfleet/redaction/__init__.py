"""Secrets in text that leaves the process: what is one, and how it is masked."""
