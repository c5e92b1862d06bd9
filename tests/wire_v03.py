"""The JSON of A2A 0.3: messages as its JSON schema writes them, and as its proto does."""

from typing import Any

FILES = [
    {"kind": "text", "text": "see these", "metadata": {"a": 1}},
    {"kind": "file", "file": {"bytes": "aGVsbG8=", "name": "a.txt", "mimeType": "text/plain"}},
    {"kind": "file", "file": {"uri": "https://example.com/a"}, "metadata": {"b": 2}},
    {"kind": "data", "data": {"deep": [1, None, {"x": True}]}},
]
PLAIN_FILES = [
    {"text": "see these", "metadata": {"a": 1}},
    {"file": {"fileWithBytes": "aGVsbG8=", "name": "a.txt", "mimeType": "text/plain"}},
    {"file": {"fileWithUri": "https://example.com/a"}, "metadata": {"b": 2}},
    {"data": {"data": {"deep": [1, None, {"x": True}]}}},
]


def message(text: str = "{}", **more: Any) -> dict[str, Any]:
    parts = [{"kind": "text", "text": text}]
    return {"kind": "message", "messageId": "1", "role": "user", "parts": parts, **more}


def plain_message(text: str = "{}", **more: Any) -> dict[str, Any]:
    return {"messageId": "1", "role": "ROLE_USER", "content": [{"text": text}], **more}
