"""A server in a process of its own, and raw bytes to and from it."""

import re
import socket
import subprocess
import sys
from pathlib import Path

from asgi import Answer

HERE = Path(__file__).parent


class Server:
    """Started with a command that says on stderr where it listens."""

    def __init__(self, *command):
        self.process = subprocess.Popen([sys.executable, *map(str, command)], stderr=subprocess.PIPE, text=True)
        said, match = "", None
        while match is None:  # runtimes may have their say before
            line = self.process.stderr.readline()
            said += line
            match = re.fullmatch(r"serving (.*) on http://(.*):(\d+)/ - Ctrl-C stops\n", line)
            if not line:
                self.__exit__()
                raise AssertionError(said)
        self.name, self.host, self.port = match[1], match[2].strip("[]"), int(match[3])
        self.url = f"http://{match[2]}:{match[3]}/"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()

    def connect(self, seconds=20.0):
        return Connection(self.host, self.port, seconds)

    def ask(self, method, path, body=b"", **headers):
        with self.connect() as connection:
            connection.send(request(method, path, body, **headers))
            return connection.answer(head=method == "HEAD")

    def ended(self, seconds=20.0):
        """Wait for its end, and return its exit code and what it wrote on stderr after where it listens."""
        code = self.process.wait(seconds)
        return code, self.process.stderr.read()


def lights(**options):
    """Start `served.py`."""
    return Server(HERE / "served.py", *[f"{name}={value}" for name, value in options.items()])


def request(method, path, body=b"", **headers):
    named = {"host": "x", **{name.replace("_", "-"): value for name, value in headers.items()}}
    if body and "content-length" not in named and "transfer-encoding" not in named:
        named["content-length"] = str(len(body))
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


class Connection:
    def __init__(self, host, port, seconds):
        self.socket = socket.create_connection((host, port), timeout=seconds)
        self._rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def answer(self, *, head=False):
        """Return the next answer, or None where the server hangs up instead."""
        while b"\r\n\r\n" not in self._rest:
            if not self._more():
                assert not self._rest, self._rest
                return None
        first, _, self._rest = self._rest.partition(b"\r\n\r\n")
        status, *lines = first.decode("latin-1").split("\r\n")
        version, code, _ = status.split(" ", 2)
        assert version == "HTTP/1.1"
        if code == "100":
            return self.answer(head=head)
        headers = dict(line.lower().split(": ", 1) for line in lines)
        length = 0 if head else int(headers["content-length"])
        while len(self._rest) < length:
            assert self._more(), "the server hung up within an answer"
        body, self._rest = self._rest[:length], self._rest[length:]
        return Answer(int(code), headers, body)

    def _more(self):
        try:
            part = self.socket.recv(1 << 16)
        except ConnectionResetError:
            part = b""
        self._rest += part
        return bool(part)
