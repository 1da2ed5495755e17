"""Starting an image's Jupyter with ``ocibuild run`` and asking it, here and (as a program) in an imitated place.

As a program it reads ``[{"name", "folder", "options"}, ...]`` from the file that it is given, builds each repository,
starts its image, and prints ``{"name", "digest", "answer", "seconds"}`` in a line.
"""

import contextlib
import http.client
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.support.program import program_command

__all__ = ["asked", "serving"]

_STEP_SECONDS = 0.05
_MOST_STEPS = 2400


@contextlib.contextmanager
def serving(image: str, environment: Mapping[str, str] | None = None) -> Iterator[int]:
    """The port of the image's Jupyter, started on a free one with the image's own command but for address and port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["jupyter", "notebook", "--ip", "127.0.0.1", "--port", str(port), "--no-browser"]
    process = subprocess.Popen(
        program_command("run", image, *command),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        assert process.stdout is not None
        try:
            said = []
            for line in process.stdout:
                said.append(line)
                if f":{port}/" in line:
                    break
            else:
                raise AssertionError("".join(said))
            yield port
        finally:
            process.terminate()
            process.stdout.read()


def asked(port: int) -> bytes:
    """What the server answers to ``GET /api``. It names its address a moment before it listens."""
    for _ in range(_MOST_STEPS):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        with contextlib.suppress(ConnectionRefusedError), contextlib.closing(connection):
            connection.request("GET", "/api")
            return connection.getresponse().read()
        time.sleep(_STEP_SECONDS)
    raise AssertionError(f"nothing listens at port {port}")


def main() -> None:
    """Build and ask all of them."""
    for case in json.loads(Path(sys.argv[1]).read_text("utf-8")):
        begun = time.monotonic()
        image = f"localhost/{case['name']}"
        command = program_command("build", case["folder"], "-t", image, *case["options"])
        built = subprocess.run(command, capture_output=True, text=True, check=False)
        if built.returncode:
            sys.exit(f"{case['name']}: {built.stderr}")
        with serving(image) as port:
            answer = json.loads(asked(port))
        told = {"name": case["name"], "digest": built.stdout.strip(), "answer": answer}
        print(json.dumps({**told, "seconds": round(time.monotonic() - begun, 1)}), flush=True)


if __name__ == "__main__":
    main()
