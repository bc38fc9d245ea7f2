"""Requests as bytes, as no well-behaved client writes them."""

import contextlib
import http.client
import io
import socket


class _Bytes:
    """What http.client reads an answer from."""

    def __init__(self, data):
        self._data = data

    def makefile(self, mode):
        return io.BytesIO(self._data)


def connect(aws):
    host, port = aws.address.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=10)


def request(body=b"{}", method="POST", path="/", length=None, **headers):
    """A request, its headers' names with _ for -; `length` is what it says of the body's."""
    lines = [f"{method} {path} HTTP/1.1".encode("latin-1"), b"host: localhost", b"connection: close"]
    lines.append(b"content-length: %d" % (len(body) if length is None else length))
    for name, value in headers.items():
        lines.append(name.replace("_", "-").encode() + b": " + (value if isinstance(value, bytes) else value.encode()))
    return b"\r\n".join([*lines, b"", body])


def send(aws, data, leave=False):
    """Send bytes, and leave then or wait; the status and the body of the answer, (0, b"") if there is none."""
    out = b""
    with connect(aws) as client, contextlib.suppress(ConnectionError):  # it may answer and close before all is sent
        client.sendall(data)
        if leave:
            client.shutdown(socket.SHUT_WR)
        while part := client.recv(1 << 16):
            out += part
    if not out:
        return 0, b""
    answer = http.client.HTTPResponse(_Bytes(out))
    answer.begin()
    return answer.status, answer.read()
