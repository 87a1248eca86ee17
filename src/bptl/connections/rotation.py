"""Every secret of every row under the first key, so that the others can be retired."""

from __future__ import annotations

from django.apps import apps
from django.db import models, transaction

from bptl.connections import secrets
from bptl.connections.encrypted import EncryptedField
from bptl.connections.secrets import Undecryptable


class Unreadable(Exception):
    """A secret that none of the keys opens; nothing was changed."""

    def __init__(self, row: models.Model, column: str) -> None:
        self.row = row
        self.column = column
        super().__init__(
            f"{row._meta.verbose_name} {row}: {column.removeprefix('encrypted_')} cannot be read with any of "
            "BPTL_ENCRYPTION_KEYS; add the key that encrypted it, or enter the secret again"
        )


@transaction.atomic
def rotate() -> int:
    """Encrypt everything anew, all or nothing; answers how many secrets there are. Raises Unreadable.

    Rows do not count as changed: their secrets are the same, and nobody has to connect anew.
    """
    count = 0
    for model in apps.get_models():
        columns = [field.attname for field in model._meta.concrete_fields if isinstance(field, EncryptedField)]
        if not columns:
            continue
        # By the key: in the order of a list some would be joined to what need not be locked.
        some = model._default_manager.exclude(**dict.fromkeys(columns, ""))
        for row in some.order_by("pk").select_for_update():
            held = [column for column in columns if getattr(row, column)]
            for column in held:
                try:
                    setattr(row, column, secrets.reencrypt(getattr(row, column)))
                except Undecryptable as error:
                    raise Unreadable(row, column) from error
            if held:
                row.save(update_fields=held)
            count += len(held)
    return count
