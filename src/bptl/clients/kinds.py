"""What kinds of API there are, and of data: words alone, for rows that import no client."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """What API a service speaks: the words that zgw-consumers and the existing BPTL use for it (``api_type``)."""

    ZAKEN = "zrc"
    CATALOGI = "ztc"
    DOCUMENTEN = "drc"
    BESLUITEN = "brc"
    AUTORISATIES = "ac"
    NOTIFICATIES = "nrc"
    CONTACTMOMENTEN = "cmc"
    KLANTEN = "kc"
    VERZOEKEN = "vrc"
    OTHER = "orc"


class DataClass(StrEnum):
    """How much of what is said to and by a service may be kept with a task."""

    ORDINARY = "ordinary"
    """Bodies, without secrets and BSNs."""
    PERSONAL = "personal"
    """Bodies, without secrets, BSNs and what says who somebody is or where they live."""
    SECRET = "secret"  # noqa: S105 - the name of a class
    """No bodies."""
