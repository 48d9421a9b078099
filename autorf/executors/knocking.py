"""Whether a Ray cluster answers at an address, found out without loading Ray."""

import os
import socket
from urllib.parse import urlsplit

from autorf.errors import InputError

ANSWER_SECONDS = 10
"""How long a cluster may take to answer."""


def knock(address: str) -> None:
    """Find out whether a Ray cluster listens.

    Raises:
        InputError: within seconds when nobody answers, or another server does.
    """
    try:
        parts = urlsplit(f"//{address.removeprefix('ray://')}")
        with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=ANSWER_SECONDS) as line:
            spoken = "RAY_USE_TLS" in os.environ or _speaks_grpc(line)
        problem = None if spoken else "what listens there is not Ray"
    except (OSError, ValueError) as error:
        problem = f"nobody answers ({getattr(error, 'strerror', None) or error})"
    if problem:
        raise InputError(
            f"executor.address {address!r}: {problem}; give the host:port that 'ray start --head' printed, or leave "
            "the address out for a cluster on this machine"
        )


def _speaks_grpc(line: socket.socket) -> bool:
    """Whether a server greets as HTTP/2 does, with a frame of its settings; Ray would try others for minutes."""
    line.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
    return line.recv(9)[3:4] == b"\x04"
