"""Whether a process of this machine has ended, as another one may tell from what it said of itself.

Ids of processes are used again, so that one is named by its id and its `birth`: the boot of the machine, its namespace
of ids, and when it started there. What cannot be looked up has not ended as far as is known: a process of another
machine, of another container, or of a system that tells nothing.
"""

import os
from pathlib import Path
from typing import Final

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_ZOMBIE: Final = "Z"


def birth() -> str:
    """When and where this process began; empty where the system does not tell."""
    place, known = _place(), _known(os.getpid())
    return f"{place}-{known[1]}" if place and known else ""


def has_ended(pid: int, born: str) -> bool:
    """Whether the process of this id, which gave `born` as its birth, is known to have ended."""
    place, _, started = born.rpartition("-")
    if not place or place != _place():
        return False
    known = _known(pid)
    if known is not None:
        return known[0] == _ZOMBIE or known[1] != started
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass  # it is there, and another user's
    return False


def _place() -> str:
    """This boot of this machine, and this namespace of ids on it."""
    try:
        boot, namespace = _BOOT.read_text(encoding="ascii"), os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
    return f"{boot.strip().replace('-', '')[:12]}-{namespace.strip('pid:[]')}"


def _known(pid: int) -> tuple[str, str] | None:
    """State and start of a process that can be looked at. Its name, before both, may hold anything."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return words[0], words[19]
