"""Columns that hold secrets: encrypted in the row, in clear only while somebody reads the attribute beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, overload

from django.db import models

from bptl.connections import secrets

if TYPE_CHECKING:
    Text = models.TextField[str, str]
else:
    Text = models.TextField


class EncryptedField(Text):
    """A token of ``secrets.encrypt``, or nothing. No form shows it; ``bptl secrets rotate`` finds it by its class."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"blank": True, "default": "", "editable": False, **kwargs})


class Clear:
    """The clear text of an EncryptedField; reading it raises secrets.Undecryptable when no key fits."""

    def __init__(self, column: str) -> None:
        self._column = column

    @overload
    def __get__(self, row: None, owner: type[models.Model]) -> Self: ...
    @overload
    def __get__(self, row: models.Model, owner: type[models.Model]) -> str: ...
    def __get__(self, row: models.Model | None, owner: type[models.Model]) -> Self | str:
        if row is None:
            return self
        token: str = getattr(row, self._column)
        return secrets.decrypt(token) if token else ""

    def __set__(self, row: models.Model, value: str) -> None:
        setattr(row, self._column, secrets.encrypt(value) if value else "")
