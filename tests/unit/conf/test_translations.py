"""The Dutch texts that are shown are the ones in the source file, and none is missing."""

from __future__ import annotations

import gettext
import re
from pathlib import Path

from django.conf import settings

FOLDER = Path(settings.LOCALE_PATHS[0]) / "nl" / "LC_MESSAGES"


def test_the_compiled_texts_are_those_of_the_source_and_complete() -> None:
    source = (FOLDER / "django.po").read_text(encoding="utf-8")
    found = re.findall(r'^msgid "(.+)"\nmsgstr "(.*)"$', source, flags=re.MULTILINE)
    pairs = [(key.replace('\\"', '"'), text.replace('\\"', '"')) for key, text in found]
    assert len(pairs) > 50
    with (FOLDER / "django.mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    assert [key for key, text in pairs if not text] == []
    assert {key: compiled.gettext(key) for key, _ in pairs} == dict(pairs)
