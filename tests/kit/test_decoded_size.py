"""A JSON body of many small values is refused before it is decoded to many times its size.

The memory is that of a process of its own, which fetches such a body over HTTP and decodes what it gets.
"""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, gzip, json, re, sys
from pathlib import Path
import msgspec
from django.conf import settings

settings.configure(USE_I18N=False)

from koppel.kit.http import client

async def is_open(): pass

async def main(value, count, content_type):
    body = gzip.compress(b"[" + (value + b",") * (count - 1) + value + b"]", 1)
    head = b"HTTP/1.1 200 OK\\r\\nContent-Type: %s\\r\\nContent-Encoding: gzip\\r\\n" % content_type
    async def respond(reader, writer):
        await reader.readuntil(b"\\r\\n\\r\\n")
        writer.write(head + b"Content-Length: %d\\r\\n\\r\\n" % len(body) + body)
        await writer.drain()
        writer.close()
    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, client.HttpClient() as http:
        try:
            answer = await http.send("GET", origin + "/", allowed_origins=[origin])
        except client.NetworkFailure as failure:
            return failure.code
    return len(msgspec.json.decode(answer.body))

client.quarantine.refuse_async = is_open
result = asyncio.run(main(sys.argv[1].encode(), int(sys.argv[2]), sys.argv[3].encode()))
# Not of getrusage, which counts what the process had before it began this program.
megabytes = int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024
print(json.dumps([result, megabytes]))
"""


def fetch(value: str, count: int, content_type: str = "application/json") -> tuple[object, int]:
    """Return the length of the decoded list or the code of the refusal, and the megabytes that it took."""
    command = [sys.executable, "-c", PROGRAM, value, str(count), content_type]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result, megabytes = json.loads(done.stdout)
    return result, megabytes


@pytest.mark.parametrize("value", ["{}", "[]", '{"a":{}}', '"a"', "[[[[1]]]]"])
def test_a_body_of_many_small_values_takes_little_memory(value: str) -> None:
    result, megabytes = fetch(value, 60_000_000 // (len(value) + 1))
    assert result == "too_large"
    assert megabytes < 500


def test_another_content_type_makes_no_difference() -> None:
    assert fetch("{}", 15_000_000, "text/plain")[0] == "too_large"


def test_what_is_decoded_has_a_bounded_size() -> None:
    """The most expensive values within the limit."""
    result, megabytes = fetch('{"ab":"cd"}', 1_300_000)
    assert result == 1_300_000
    assert megabytes < 800


def test_a_large_body_of_texts_is_read() -> None:
    result, _megabytes = fetch(json.dumps("a" * 1000), 50_000)
    assert result == 50_000
