"""Durable: the rows by which a turn goes on after its process has died, asked or slept."""
