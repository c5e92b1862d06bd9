"""The WebSocket binding: JSON-RPC in frames, of many calls over one connection.

`handshake` lets a client in, `connection` reads its frames, and `exchange` answers one of them. The
specification is docs/websocket.md.
"""
