"""The user's own code that a study began with: remembered, and compared whenever it goes on."""

import difflib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from autorf.errors import InputError, shown
from autorf.own_code.code import OwnCode
from autorf.store.reader import StudyReader
from autorf.store.store import Store

NOTE = "own_code"
"""The note of a study that holds the digests and texts of the code its trials ran."""

_KINDS = {"folder": str, "digest": str, "digests": dict, "texts": dict}
"""What it holds."""

_MOST = 2
"""Differences that are named."""


def check_code(
    store: StudyReader, code: OwnCode | None, *, accept: bool = False, option: str = "--accept-code-change"
) -> str | None:
    """Compare the code of today with that of the study; nothing is written.

    Args:
        store: of the study.
        code: of today.
        accept: go on with other code than the study's.
        option: by which that is asked for, for the message.

    Returns:
        What changed and is accepted; None for nothing.

    Raises:
        InputError: naming the first differences, unless they are accepted.
    """
    remembered = _remembered(store.notes())
    if code is None or remembered is None:
        return None
    differences = list(_differences(remembered, code))
    if not differences:
        return None
    more = f" and {len(differences) - _MOST} more" if len(differences) > _MOST else ""
    named = f"{'; '.join(differences[:_MOST])}{more}"
    if not accept:
        raise InputError(
            f"study {store.name!r} began with other code: {named}; restore it, or keep the trials with {option}"
        )
    return f"the study's code changed from {remembered['digest']} to {code.digest}, accepted: {named}"


def remember_code(store: Store, code: OwnCode | None, *, accept: bool = False) -> None:
    """Remember the code that trials run from now on, and that it changed where it did.

    Raises:
        InputError: where another process has begun the study with other code meanwhile, unless that is accepted.
    """
    if code is None:
        return
    facts, before = _facts(code), _remembered(store.notes())
    if before is None and NOTE in store.notes():
        # It is damaged.
        store.note(NOTE, facts)
        return
    if before is None:
        store.note_once(NOTE, facts)
        check_code(store, code, accept=accept)
        return
    check_code(store, code, accept=accept)
    accepted = list(before.get("accepted", ()))
    if before["digest"] != code.digest:
        now = datetime.now(UTC).isoformat("T", "seconds")
        accepted.append({"before": before["digest"], "after": code.digest, "at": now})
    store.note(NOTE, {**facts, **({"accepted": accepted} if accepted else {})})


def _remembered(notes: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a study remembers of its code; None where that is nothing, or nothing that can be read."""
    stored = notes.get(NOTE)
    if not isinstance(stored, dict) or not all(isinstance(stored.get(name), kind) for name, kind in _KINDS.items()):
        return None
    return stored


def _facts(code: OwnCode) -> dict[str, Any]:
    texts = {name: file.text for name, file in code.modules.items()}
    return {"folder": str(code.folder), "digest": code.digest, "digests": code.digests, "texts": texts}


def code_folder(store: StudyReader) -> Path | None:
    """The folder of the study file whose code the trials ran; None for a study without code."""
    remembered = _remembered(store.notes())
    return None if remembered is None else Path(remembered["folder"])


def accepted_changes(notes: Mapping[str, Any]) -> list[str]:
    """A sentence for every change of code that was accepted while the study ran."""
    changes = (_remembered(notes) or {}).get("accepted", ())
    return [
        f"The study's own code changed on {change['at'][:10]} from {change['before']} to {change['after']}, and its "
        "trials were kept: those from before and after are of different code."
        for change in changes
    ]


def _differences(remembered: Mapping[str, Any], code: OwnCode) -> Iterator[str]:
    before, now = remembered["digests"], code.digests
    for name in sorted(before.keys() | now.keys()):
        if name not in now:
            yield f"{name} is gone"
        elif name not in before:
            yield f"{name} is new"
        elif before[name] != now[name]:
            old = remembered["texts"].get(name)
            line = "" if old is None or name not in code.modules else _first_line(old, code.modules[name].text)
            yield f"{name} changed{line}"


def _first_line(before: str, now: str) -> str:
    """The first line that differs, as it was and as it is."""
    old, new = before.splitlines(), now.splitlines()
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for kind, i, j, k, m in matcher.get_opcodes():
        if kind != "equal":
            was = shown(old[i].strip()) if i < j else "nothing"
            is_now = shown(new[k].strip()) if k < m else "nothing"
            return f" in line {k + 1} (was {was}, is {is_now})"
    return ""
