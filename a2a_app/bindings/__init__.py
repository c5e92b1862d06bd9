"""Layer 3, the bindings (sections 5, 9 and 11): operations over HTTP."""
