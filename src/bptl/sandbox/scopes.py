"""Process variables of one instance: a scope for the process, each subprocess, activity and multi-instance."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from bptl.sandbox.store import Store
from bptl.sandbox.variables import Typed

_Scope = dict[str, Typed]


class Scopes:
    """Variables by scope id; the instance's own id is the scope of the process. Changes are written by ``save``."""

    def __init__(self, instance_id: str) -> None:
        self.instance_id = instance_id
        self._scopes: dict[str, _Scope] = {}
        self._changed: set[tuple[str, str]] = set()
        self._left: set[str] = set()

    @classmethod
    def load(cls, store: Store, instance_id: str) -> Scopes:
        """What is stored of an instance."""
        scopes = cls(instance_id)
        for row in store.rows("SELECT * FROM variable WHERE instanceId = ? AND live = 1", [instance_id]):
            scopes._scopes.setdefault(row["scopeId"], {})[row["name"]] = json.loads(row["typedJson"])
        return scopes

    def find(self, chain: Iterable[str], name: str) -> Typed:
        """The variable that is seen from the innermost scope of ``chain``. Raises KeyError."""
        for scope in chain:
            if name in (here := self._scopes.get(scope, {})):
                return here[name]
        raise KeyError(name)

    def visible(self, chain: Sequence[str]) -> dict[str, Typed]:
        """All variables that are seen from the innermost scope of ``chain``."""
        seen: dict[str, Typed] = {}
        for scope in reversed(chain):
            seen |= self._scopes.get(scope, {})
        return seen

    def set(self, chain: Iterable[str], variables: Mapping[str, Typed]) -> None:
        """Set each variable where it lives, else in the process."""
        found = [*chain]
        for name, typed in variables.items():
            home = next((scope for scope in found if name in self._scopes.get(scope, {})), self.instance_id)
            self.set_local(home, {name: typed})

    def set_local(self, scope: str, variables: Mapping[str, Typed]) -> None:
        """Set variables in exactly this scope."""
        self._scopes.setdefault(scope, {}).update(variables)
        self._changed.update((scope, name) for name in variables)

    def delete(self, scope: str, names: Iterable[str]) -> None:
        """Delete variables of exactly this scope."""
        for name in names:
            if self._scopes.get(scope, {}).pop(name, None) is not None:
                self._changed.add((scope, name))

    def leave(self, scope: str) -> None:
        """A scope has ended; the history keeps its variables."""
        if self._scopes.get(scope):
            self._left.add(scope)

    def save(self, store: Store) -> None:
        """Write what has changed. Transient variables end here."""
        for scope, name in self._changed:
            typed = self._scopes.get(scope, {}).get(name)
            key = f"{self.instance_id}/{scope}/{name}"
            if typed is None:
                store.run("DELETE FROM variable WHERE id = ?", [key])
            elif typed["valueInfo"].get("transient"):
                del self._scopes[scope][name]
            else:
                text = json.dumps(typed["value"])
                row = {"id": key, "instanceId": self.instance_id, "scopeId": scope, "name": name, "text": text}
                store.put("variable", row | {"typedJson": json.dumps(typed), "live": 1})
        for scope in self._left:
            store.run("UPDATE variable SET live = 0 WHERE instanceId = ? AND scopeId = ?", [self.instance_id, scope])
            del self._scopes[scope]
        self._changed, self._left = set(), set()
