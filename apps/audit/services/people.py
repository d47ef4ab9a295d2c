"""Whom a command acts for, as well as a machine can say."""

import getpass

from apps.audit.types import Actor, ActorKind


def at_this_machine(command: str) -> Actor:
    """The command, and the person whose account on this machine ran it."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container's user often has no name
        name = "somebody"
    return Actor(ActorKind.SYSTEM, command, f"{command}, run by {name}")
