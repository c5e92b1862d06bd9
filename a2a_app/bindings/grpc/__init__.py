"""The gRPC binding (section 10). It needs the extra `grpc`, and is loaded by its command only."""
