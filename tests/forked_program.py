"""``trakor-bridge`` for a shell: asks the server of ``forking`` for a fork, waits for it, ends as it ended.

It imports next to nothing, because a script runs it dozens of times. A signal ends the fork too.
"""

import json
import os
import signal
import socket
import sys
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Run one command; arguments: the server's address in hexadecimal digits, then the command's."""
    address, *arguments = sys.argv[1:]
    os.umask(umask := os.umask(0o077))
    where = {"folder": os.getcwd(), "umask": umask}  # noqa: PTH109 - pathlib takes long to import
    body = json.dumps({"arguments": arguments, "environment": dict(os.environ), **where}).encode()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking, asking.makefile("r") as answers:
        asking.connect(bytes.fromhex(address))
        socket.send_fds(asking, [len(body).to_bytes(4, "big")], [0, 1, 2])
        asking.sendall(body)
        pid = int(answers.readline())

        def pass_on(number: int, _: FrameType | None) -> None:
            os.kill(pid, number)

        for number in SIGNALS:
            signal.signal(number, pass_on)
        status = int(answers.readline())
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
