"""What a training has cost, without what is measured beside it."""

import time
from dataclasses import dataclass, field


@dataclass
class Clock:
    """Wall and processor time of a training, without what is measured beside it."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    _since: float = field(default_factory=time.perf_counter)
    _cpu_since: float = field(default_factory=time.process_time)

    def stop(self) -> None:
        """Count what has passed since :meth:`go`."""
        self.seconds += time.perf_counter() - self._since
        self.cpu_seconds += time.process_time() - self._cpu_since
        self.go()

    def go(self) -> None:
        """Count from now on."""
        self._since, self._cpu_since = time.perf_counter(), time.process_time()
