"""Finds what is to be checked and asks for it."""
