"""Answers one job at a time."""
