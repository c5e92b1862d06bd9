"""Writes: `append`, the one way to change a task, and what goes into its transaction."""
