"""Commands to try first, for the page at / and for `make run`."""

import json


def streaming_curl(base: str) -> str:
    """Return a command that streams from the echo agent."""
    request = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "SendStreamingMessage",
        "params": {
            "message": {
                "messageId": "1",
                "role": "ROLE_USER",
                "parts": [{"text": "Hello from the command line"}],
            }
        },
    }
    return (
        f"curl -N {base}/a2a/echo/ -H 'A2A-Version: 1.0' -H 'Content-Type: application/json' "
        f"-d '{json.dumps(request)}'"
    )
