"""The clients of the tests. Take the first of these that shows what your test is about.

- `operations.OperationsClient` calls the operations, without HTTP. It is for what agents, runners
  and operations do. `client_of(agent)` registers an agent for one test.
- `json_rpc.JsonRpcClient` and `http_json.HttpJsonClient` send HTTP requests to the project inside
  the test's own process, without a socket. They are for what a binding reads and writes, and for
  callers. The fixture `rpc` is the first of them. `ways.WAYS` has each binding in each version,
  for what must be the same in all.
- `grpc.GrpcClient` calls a gRPC server, which tests have within their own process too.
- `sockets.SocketClient` speaks JSON-RPC to a server in another process, and has each event with
  its id. It is for what needs a real server.
- `cluster.ClusterClient` has a `SocketClient` for each server of a site. It sends again, and
  resumes, where a server is gone. It is for what must survive crashes.
- `a2a_app.testing.Client` and `AsyncClient` are what projects have for their own tests, which
  ours show. `agent_for_test` is of use to all of these clients.
- `sdk.SdkClient` is the client of the official SDK. It is for what other people's clients make of
  our answers.
"""
