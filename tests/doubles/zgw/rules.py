"""Rules that several APIs share."""

from __future__ import annotations

from tests.doubles.zgw.messages import Json, Refusal, invalid
from tests.doubles.zgw.routing import Asked


def check_eleven(number: str, *, field: str, code: str = "invalid") -> None:
    """An RSIN or BSN: nine digits that pass the eleven test; empty is allowed. Raises Refusal (400)."""
    if not number:
        return
    if len(number) != 9 or not number.isdigit():
        raise invalid(field, "invalid-length", "Waarde moet 9 cijfers lang zijn.")
    weights = (9, 8, 7, 6, 5, 4, 3, 2, -1)
    if sum(weight * int(digit) for weight, digit in zip(weights, number, strict=True)) % 11:
        raise invalid(field, code, "Onjuist nummer: voldoet niet aan de elfproef.")


def check_rsin(record: Json, *fields: str) -> None:
    """The RSINs of a record."""
    for field in fields:
        check_eleven(record.get(field) or "", field=field)


def may(asked: Asked, scope: str) -> None:
    """Raises Refusal (403) when the application lacks a right."""
    if not asked.application.may(scope):
        raise Refusal(403, "permission_denied", "Je hebt geen toestemming om deze actie uit te voeren.")


def zaak_may_change(asked: Asked, zaak: Json) -> None:
    """What hangs below a closed zaak is changed by an application with all rights only."""
    if zaak["einddatum"] is not None:
        may(asked, "zaken.geforceerd-bijwerken")


def unchanged(record: Json, body: Json, *fields: str) -> None:
    """Fields that keep the value they were made with."""
    for field in fields:
        if field in body and body[field] != record[field]:
            raise invalid(field, "wijzigen-niet-toegelaten", "Dit veld mag niet gewijzigd worden.")


def chosen(body: Json, defaults: Json) -> Json:
    """The fields that are known, from what was sent or else by default: unknown ones are ignored."""
    return {field: body.get(field, default) for field, default in defaults.items()}


def changed(record: Json, body: Json, fields: Json) -> Json:
    """What a PATCH or PUT changes of the fields that are known."""
    return {field: body[field] for field in fields if field in body and field in record}
