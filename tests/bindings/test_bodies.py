"""Bodies: gzip is unpacked within the limit, and what is no JSON in UTF-8 is told what it is."""

import asyncio
import gzip
import json
import time
import zlib
from typing import Any

import pytest
from django.http.response import HttpResponseBase

from a2a_app.bindings.calls import SMALL_BYTES
from tests.bindings import authenticators
from tests.clients.http_json import HttpJsonClient, json_of, refusal_of
from tests.clients.json_rpc import JsonRpcClient, body_of, error_of, events_of
from tests.conftest import ChangeSettings
from tests.wire import envelope, load_message

SENT = {"message": load_message(chunks=1)}
PLAIN = json.dumps(SENT).encode()
IN_ENVELOPE = json.dumps(envelope("SendMessage", SENT)).encode()
GZIP = {"Content-Encoding": "gzip"}
BOM = b"\xef\xbb\xbf"


async def ask(
    rpc: JsonRpcClient, path: str, body: bytes, media_type: str, headers: dict[str, str]
) -> HttpResponseBase:
    named = {"A2A-Version": "1.0", **headers}
    return await rpc.http.generic("POST", f"/a2a/load{path}", body, media_type, headers=named)


async def by_json_rpc(
    rpc: JsonRpcClient, body: bytes, media_type: str = "application/json", **headers: str
) -> dict[str, Any]:
    return body_of(await ask(rpc, "/", body, media_type, headers))


async def by_http_json(
    rpc: JsonRpcClient, body: bytes, media_type: str = "application/json", **headers: str
) -> HttpResponseBase:
    return await ask(rpc, "/message:send", body, media_type, headers)


async def is_taken(rpc: JsonRpcClient, pack: Any, *media_type: str, **headers: str) -> None:
    """Check that both bindings take a message whose body is packed somehow."""
    answer = await by_json_rpc(rpc, pack(IN_ENVELOPE), *media_type, **headers)
    assert answer["result"]["task"]["status"]["state"] == "TASK_STATE_COMPLETED"
    response = await by_http_json(rpc, pack(PLAIN), *media_type, **headers)
    assert json_of(response)["task"]["status"]["state"] == "TASK_STATE_COMPLETED"


async def is_refused(
    rpc: JsonRpcClient, pack: Any, word: str, *media_type: str, **headers: str
) -> None:
    """Check that both bindings refuse such a message, and say what it is."""
    answer = await by_json_rpc(rpc, pack(IN_ENVELOPE), *media_type, **headers)
    assert error_of(answer) == (-32600, "INVALID_REQUEST")
    assert word in answer["error"]["message"]
    response = await by_http_json(rpc, pack(PLAIN), *media_type, **headers)
    assert refusal_of(response) == (415, "INVALID_REQUEST")
    assert word in json_of(response)["error"]["message"]


def in_two_members(body: bytes) -> bytes:
    return gzip.compress(body[:20]) + gzip.compress(body[20:])


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZip", " gzip "])
async def test_gzip_is_unpacked(rpc: JsonRpcClient, coding: str) -> None:
    await is_taken(rpc, gzip.compress, **{"Content-Encoding": coding})


async def test_gzip_may_have_several_members(rpc: JsonRpcClient) -> None:
    await is_taken(rpc, in_two_members, **GZIP)


async def test_the_coding_identity_is_none(rpc: JsonRpcClient) -> None:
    await is_taken(rpc, bytes, **{"Content-Encoding": "identity"})


@pytest.mark.parametrize("coding", ["br", "deflate", "zstd", "gzip, gzip", "utf-8"])
async def test_another_coding_is_refused_by_its_name(rpc: JsonRpcClient, coding: str) -> None:
    await is_refused(rpc, zlib.compress, coding, **{"Content-Encoding": coding})


@pytest.mark.slow
async def test_a_body_that_grows_beyond_the_limit_is_too_large(
    rpc: JsonRpcClient, a2a: ChangeSettings
) -> None:
    a2a(MAX_BODY_BYTES=10_000)
    bomb = gzip.compress(b" " * 200_000_000, 9)[:9_000]
    small = gzip.compress(b" " * 10_001)
    for body in (bomb, small):
        response = await ask(rpc, "/", body, "application/json", GZIP)
        assert response.status_code == 413
        assert error_of(body_of(response)) == (-32600, "INVALID_REQUEST")
        assert refusal_of(await by_http_json(rpc, body, **GZIP)) == (413, "INVALID_REQUEST")
    within = PLAIN + b" " * (10_000 - len(PLAIN))
    assert (await by_http_json(rpc, gzip.compress(within), **GZIP)).status_code == 200


@pytest.mark.parametrize(
    "pack",
    [
        bytes,
        lambda body: gzip.compress(body)[:-5],
        lambda body: gzip.compress(body) + b"more",
        lambda body: gzip.compress(b"") * 50_000,
        lambda body: gzip.compress(body)[:10],
    ],
)
async def test_what_is_no_gzip_is_no_internal_error(rpc: JsonRpcClient, pack: Any) -> None:
    answer = await by_json_rpc(rpc, pack(IN_ENVELOPE), **GZIP)
    assert error_of(answer) == (-32600, "INVALID_REQUEST")
    assert "gzip" in answer["error"]["message"]
    response = await by_http_json(rpc, pack(PLAIN), **GZIP)
    assert refusal_of(response) == (400, "INVALID_REQUEST")


async def test_a_byte_order_mark_of_utf_8_is_skipped(rpc: JsonRpcClient) -> None:
    await is_taken(rpc, lambda body: BOM + body)
    await is_taken(rpc, lambda body: gzip.compress(BOM + body), **GZIP)


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", "utf8", '"utf-8"', "us-ascii"])
async def test_a_charset_that_is_utf_8_is_taken(rpc: JsonRpcClient, charset: str) -> None:
    await is_taken(rpc, bytes, f"application/json; charset={charset}")


@pytest.mark.parametrize("charset", ["iso-8859-1", "utf-16", "no-such-charset", "x" * 500])
async def test_another_charset_is_refused_by_its_name(rpc: JsonRpcClient, charset: str) -> None:
    await is_refused(rpc, bytes, charset[:50], f"application/json; charset={charset}")


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
async def test_a_body_in_utf_16_or_32_is_told_so(rpc: JsonRpcClient, codec: str) -> None:
    await is_refused(rpc, lambda body: body.decode().encode(codec), "UTF-8")


@pytest.mark.parametrize("body", [b"null", b" null ", b"", BOM])
async def test_null_is_no_body_over_http_json(rest: HttpJsonClient, body: bytes) -> None:
    task = await rest.task(end="input-required")
    response = await rest.post(f"/tasks/{task['id']}:cancel", body)
    assert json_of(response)["status"]["state"] == "TASK_STATE_CANCELED"
    response = await rest.post(f"/tasks/{task['id']}:subscribe", body)
    assert refusal_of(response) == (400, "UNSUPPORTED_OPERATION")


@pytest.mark.parametrize(
    "media_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "x"],
)
async def test_a_body_that_is_not_said_to_be_json_is_refused(
    rpc: JsonRpcClient, a2a: ChangeSettings, media_type: str
) -> None:
    await is_refused(rpc, bytes, "application/json", media_type)
    a2a(BODY_MEDIA_TYPES=[media_type.partition(";")[0]])
    await is_taken(rpc, bytes, media_type)


@pytest.mark.parametrize("media_type", ["application/vnd.example+json", "Application/JSON", ""])
async def test_every_media_type_of_json_is_taken_and_so_is_none(
    rpc: JsonRpcClient, media_type: str
) -> None:
    await is_taken(rpc, bytes, media_type)


# Padded, so that the body is no small one.
LARGE = b" " * SMALL_BYTES


async def test_whoever_is_refused_has_no_large_body_parsed(
    rpc: JsonRpcClient, a2a: ChangeSettings
) -> None:
    a2a(ANONYMOUS="refuse")
    for body, request_id in ((IN_ENVELOPE, "test"), (IN_ENVELOPE + LARGE, None), (b"{", None)):
        answer = await by_json_rpc(rpc, body)
        assert (error_of(answer), answer["id"]) == ((-32050, "UNAUTHENTICATED"), request_id)
    for body in (PLAIN + LARGE, b"{"):
        assert refusal_of(await by_http_json(rpc, body)) == (401, "UNAUTHENTICATED")


async def test_a_refusal_of_03_is_a_stream_where_the_method_has_one(
    rpc: JsonRpcClient, a2a: ChangeSettings
) -> None:
    a2a(ANONYMOUS="refuse", AUTHENTICATION=[f"{authenticators.__name__}.Broken"])
    sent = envelope("message/stream", {})
    response = await rpc.post(sent, A2A_Version="0.3")
    [event] = await events_of(response)
    assert (event["error"]["code"], event["id"]) == (-32052, "test")


MANY = 10 * 1024 * 1024 // 3
# A few megabytes, which would be millions of objects.
HEAVY = {
    "arrays": b"[" + b"[]," * MANY,
    "objects": b"[" + b"{}," * MANY,
    "strings": b"[" + b'"",' * MANY,
    "keys": b"{" + b'"":1,' * (MANY // 2),
    "escapes": b"[" + b'"\\\\",' * (MANY // 2),
    "quotes": b"[" + b'"\\"",' * (MANY // 2),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", HEAVY)
async def test_a_body_of_too_many_values_is_refused_while_others_are_served(
    rpc: JsonRpcClient, kind: str
) -> None:
    gaps: list[float] = []

    async def others() -> None:
        """Note for how long each thing that others wanted had to wait, on an idle machine."""
        while True:
            before = time.thread_time()
            await asyncio.sleep(0)
            gaps.append(time.thread_time() - before)

    ticking = asyncio.create_task(others())
    response = await ask(rpc, "/", HEAVY[kind], "application/json", {})
    ticking.cancel()
    assert (response.status_code, max(gaps) < 0.5) == (413, True), max(gaps)
    assert "100000 values" in body_of(response)["error"]["message"]


def valued(count: int, text: str) -> dict[str, Any]:
    """Make parameters whose JSON has this many values."""
    data = {"data": [1], "mediaType": "text/plain"}
    params = {"message": {**load_message(), "parts": [data, {"text": text}]}}
    # Each object, array, string and number.
    around = 1 + 1 + len(params["message"]) + 2 + len(data) + 1
    data["data"] = [1] * (count - around)
    return params


async def test_the_values_are_counted_without_what_only_looks_like_some(
    rpc: JsonRpcClient, a2a: ChangeSettings
) -> None:
    a2a(MAX_JSON_VALUES=1_000)
    text = '{"a": [1, 2], "b": "\\", "c": "\\\\"},[{' * 1_000
    for count, status in ((1_001, 413), (1_000, 200)):
        body = json.dumps(valued(count, text)).encode()
        assert (await by_http_json(rpc, body)).status_code == status, count
