"""Put a mutant into this process: every live function made from the changed code gets the changed code.

Nothing is written to the source tree, and no module is imported again: decorators, registries and names that other
modules have imported keep pointing at the same function objects.
"""

import gc
import importlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from types import CodeType, FunctionType

from tests.mutants.operators import ROOT, Mutant, mutated_code, original_code

# (name with the classes around it, first line, which of several with both the same): where a function stands.
_Place = tuple[str, int, int]


class Patcher:
    """The live functions of some files, found once: after that a mutant is put in within a millisecond."""

    def __init__(self, paths: list[str]) -> None:
        for path in paths:
            importlib.import_module(path.removesuffix(".py").replace("/", ".").removesuffix(".__init__"))
        gc.unfreeze()  # the tests' conftest freezes what is loaded, which hides it from the search
        live: defaultdict[tuple[str, str], list[FunctionType]] = defaultdict(list)
        for thing in gc.get_objects():
            if type(thing) is FunctionType:  # and not isinstance, which asks lazy objects to be made
                live[thing.__code__.co_filename, thing.__code__.co_qualname].append(thing)
        gc.freeze()
        self.live = live

    def put(self, mutant: Mutant) -> int:
        """Change the functions, and answer how many. Raises LookupError where nothing can be changed."""
        before, after = _functions(original_code(mutant.path)), _functions(mutated_code(mutant))
        changed = 0
        for place, code in before.items():
            if after[place] == code:
                continue
            for function in self.live[str(ROOT / mutant.path), code.co_qualname]:
                if function.__code__ == code:
                    function.__code__ = after[place]
                    changed += 1
        if not changed:
            raise LookupError(f"No live function has the code of {mutant.key}")
        return changed


def _functions(module: CodeType) -> dict[_Place, CodeType]:
    """Every function of a module, nested ones too: a closure that was made before keeps its own code."""
    seen: Counter[tuple[str, int]] = Counter()
    places = {}
    for code in _nested(module):
        name = (code.co_qualname, code.co_firstlineno)
        seen[name] += 1
        places[*name, seen[name]] = code
    return places


def _nested(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _nested(constant)
