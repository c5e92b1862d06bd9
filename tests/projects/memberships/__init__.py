"""An app with users of its own, and an agent for them."""
