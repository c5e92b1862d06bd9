"""The bindings, which serve the operations over HTTP (sections 5, 9 and 11)."""
