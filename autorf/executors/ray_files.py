"""Files of trials for nodes that do not see the study's folder, brought there and back in pieces through Ray."""

import os
import uuid
from pathlib import Path
from typing import Any

from autorf.files import flush_folder

PIECE = 64 * 2**20
"""Bytes that are sent at once."""


class TrialFileServer:
    """An actor on the driver's node: reads and writes the files of trials.

    Args:
        folder: of the study; nothing outside it is touched.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @staticmethod
    def start(folder: Path) -> Any:
        """The handle of a file server on this node."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        return ray.remote(num_cpus=0)(TrialFileServer).options(scheduling_strategy=here).remote(folder)

    def names(self, key: str) -> list[str]:
        """The files of a trial."""
        return sorted(path.name for path in (self._folder / "trials" / key).glob("[!.]*") if path.is_file())

    def read(self, key: str, name: str, start: int) -> bytes:
        """A piece of a file from byte ``start`` on; empty behind its end."""
        with self._place(key, name).open("rb") as file:
            file.seek(start)
            return file.read(PIECE)

    def begin(self, key: str, name: str) -> str:
        """Begin to write a file; the name that its pieces are sent under."""
        place = self._place(key, name)
        place.parent.mkdir(parents=True, exist_ok=True)
        for left in place.parent.glob(f".{place.name}.arriving.*"):
            left.unlink(missing_ok=True)
        part = place.parent / f".{place.name}.arriving.{uuid.uuid4().hex}"
        part.touch(exist_ok=False)
        return part.name

    def add(self, key: str, part: str, piece: bytes) -> None:
        """Append the next piece."""
        # Without creating it: another process may have begun the file anew.
        with self._place(key, part).open("r+b") as file:
            file.seek(0, os.SEEK_END)
            file.write(piece)

    def finish(self, key: str, part: str, name: str) -> None:
        """Make the file, now whole, the trial's."""
        arrived, place = self._place(key, part), self._place(key, name)
        with arrived.open("rb") as file:
            os.fsync(file.fileno())
        arrived.replace(place)
        flush_folder(place.parent)

    def _place(self, key: str, name: str) -> Path:
        return self._folder / "trials" / Path(key).name / Path(name).name


class TrialFileTransfer:
    """Keeps a trial's folder on this node and its files at the file server alike.

    Args:
        file_server: its handle.
        key: of the trial.
        folder: on this node.
    """

    def __init__(self, file_server: Any, key: str, folder: Path) -> None:
        self._server, self._key, self._folder = file_server, key, folder
        self._sent: dict[str, tuple[int, int]] = {}

    def fetch(self) -> None:
        """Bring the trial's files here."""
        import ray

        for name in ray.get(self._server.names.remote(self._key)):
            with (self._folder / name).open("wb") as file:
                while piece := ray.get(self._server.read.remote(self._key, name, file.tell())):
                    file.write(piece)
            self._sent[name] = _state(self._folder / name)

    def send(self) -> None:
        """Bring what changed since the last time to the file server, each file whole or not at all."""
        for path in sorted(self._folder.glob("[!.]*")):
            if path.is_file() and self._sent.get(path.name) != _state(path):
                self._sent[path.name] = _state(path)
                self._send(path)

    def _send(self, path: Path) -> None:
        import ray

        part = ray.get(self._server.begin.remote(self._key, path.name))
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                ray.get(self._server.add.remote(self._key, part, piece))
        ray.get(self._server.finish.remote(self._key, part, path.name))


def _state(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size
