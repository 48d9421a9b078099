"""A driver in a process of its own, whose trials only sleep: ``python driving.py STUDY.json ROOT SECONDS``."""

import json
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any


class Silent:
    """A mirror that mirrors nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


def main(study: str, root: str, seconds: str) -> None:
    from autorf.driver import search as module
    from autorf.executors.local import LocalExecutor
    from autorf.study.spec import parse_study
    from tests.executors.fake_trials import sleeping_trial

    spec = parse_study(json.loads(Path(study).read_text()), "driving")
    trial = partial(sleeping_trial, seconds=float(seconds))
    module.take_first_steps = lambda *_: []
    module.make = lambda *_: LocalExecutor(spec.executor.workers or 1, trial)  # type: ignore[assignment]
    module.open_mirror = lambda *_: nullcontext(Silent())  # type: ignore[assignment, return-value]
    module.search(spec, "driving", Path(root))


if __name__ == "__main__":
    main(*sys.argv[1:])
