"""Acting on a module right after somebody else has imported it."""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType


class AfterImport:
    """A finder of `sys.meta_path` that finds nothing itself; for a few modules it calls a function after their import.

    Every other import costs a look into a set.

    Args:
        names: Full names of modules.
        done: Is called with the name of a module that has been imported, or imported again. What it raises is raised by
            the import.
    """

    def __init__(self, names: frozenset[str], done: Callable[[str], None]) -> None:
        self._names = names
        self._done = done

    def install(self) -> None:
        """Watch what is imported from now on."""
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def remove(self) -> None:
        """Watch no longer."""
        if self in sys.meta_path:
            # A new list: an import in another thread that goes through the old one would miss a finder.
            sys.meta_path = [finder for finder in sys.meta_path if finder is not self]

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """What the other finders find, with our loader around theirs; None for modules that are not watched."""
        if fullname not in self._names:
            return None
        for finder in list(sys.meta_path):
            find = None if finder is self else getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = None if find is None else find(fullname, path, target)
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = _Loader(spec.loader, fullname, self._done)  # type: ignore[assignment]  # duck-typed
                return spec
        return None


def wait_for(name: str) -> None:
    """Wait until another thread has imported a module that it is importing; nothing is imported that is not there."""
    spec = getattr(sys.modules.get(name), "__spec__", None)
    if getattr(spec, "_initializing", False):
        # The import fails for the thread that wants the module, and is told there.
        with suppress(ImportError):
            import_module(name)


class _Loader:
    """Stands in for a loader until the module is executed, when it leaves the module and its spec to the real one."""

    def __init__(self, inner: Any, name: str, done: Callable[[str], None]) -> None:  # noqa: ANN401 - any loader
        self._inner = inner
        self._name = name
        self._done = done

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        create = getattr(self._inner, "create_module", None)
        made: ModuleType | None = None if create is None else create(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        spec = module.__spec__
        if spec is not None and getattr(spec, "loader", None) is self:
            spec.loader = self._inner
        if getattr(module, "__loader__", None) is self:
            module.__loader__ = self._inner
        self._inner.exec_module(module)
        self._done(self._name)

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)
