"""Exact versions of terraform and OpenTofu, installed once and safely for a host's checks."""
