"""The corpus that the redactor is measured on: planted secrets, and lines that hold none."""
