"""The official conformance suite, a2a-tck, against a server of this project: `make tck`."""
