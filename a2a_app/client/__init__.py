"""The client's side of the protocol: agents elsewhere, and what comes of a message."""
