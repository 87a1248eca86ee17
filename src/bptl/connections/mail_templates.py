"""Mail templates: Django's language cut down to what a mail needs, the defaults, and what is wrong with one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.template import Context, Engine, TemplateSyntaxError
from django.template import Template as Compiled
from django.template.base import FilterExpression, NodeList, VariableNode
from django.template.defaulttags import IfNode
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _

from bptl.work_units.contract import Rendered
from bptl.work_units.mail import Letter, told

NAMES = ("generiek", "accordering", "advies", "nen2580", "verzoek_afgehandeld")
"""The templates that the existing BPTL has, and process models name."""

_FOLDER = Path(__file__).resolve().parent / "mail_texts"


class _Engine(Engine):
    default_builtins = ["bptl.connections.mail_language"]


_TEXT = _Engine(autoescape=False, loaders=[])
_HTML = _Engine(autoescape=True, loaders=[])


@dataclass(frozen=True, slots=True)
class Template:
    """The sources of one mail. ``html`` is what stands between the head and the foot that all mails share."""

    subject: str
    text: str
    html: str

    def render(self, context: Mapping[str, Any]) -> Rendered:
        """Fill it. Raises TemplateSyntaxError, and ValueError for a subject of more than one line."""
        subject = _filled(_TEXT, self.subject, context).strip()
        if not subject.isprintable():
            raise ValueError(_("The subject must be one line."))
        content = mark_safe(_filled(_HTML, self.html, context))  # noqa: S308 - the engine has escaped every value
        return Rendered(
            subject=subject,
            text=re.sub(r"\n{3,}", "\n\n", _filled(_TEXT, self.text, context)).strip() + "\n",
            html=_filled(_HTML, _layout(), {"subject": subject, "content": content}),
        )

    def faults(self) -> dict[str, list[str]]:
        """What is wrong with each source, in words with the number of the line; empty when all can be used."""
        found = {
            "subject": list(_faults(_TEXT, self.subject)),
            "text": list(_faults(_TEXT, self.text)),
            "html": list(_faults(_HTML, self.html)),
        }
        if not any(found.values()):
            try:
                self.render(example())
            except ValueError as error:
                found["subject"] = [str(error)]
        return {name: faults for name, faults in found.items() if faults}


def default(name: str) -> Template:
    """The template that ships under one of NAMES."""
    text, html = ((_FOLDER / f"{name}.{kind}").read_text(encoding="utf-8") for kind in ("txt", "html"))
    return Template(subject="{{ email.subject }}", text=text, html=html)


def example() -> dict[str, Any]:
    """A letter as a template gets it, with everything filled in: for previews, and for the names that are known."""
    return told(
        Letter.from_variables(
            {
                "sender": {"name": "Sanne de Vries", "email": "s.devries@example.nl"},
                "receiver": {"name": "Jan Jansen", "email": "j.jansen@example.nl", "assignee": "user:jansenj"},
                "email": {
                    "subject": "Dakkapel Dorpsstraat 1",
                    "content": "Graag uw oordeel over de bijgevoegde tekening.\nAlvast dank!",
                },
                "template": "generiek",
                "context": {
                    "vraag": "Past de dakkapel in het straatbeeld?",
                    "zaakIdentificatie": "ZAAK-2026-0000000001",
                    "zaakOmschrijving": "Dakkapel & dakraam",
                    "zaakDetailUrl": "https://zaken.example.nl/zaken/ZAAK-2026-0000000001?tab=1&open=ja",
                    "doReviewUrl": "https://zaken.example.nl/beoordelen/1?soort=advies",
                    "deadline": "2026-01-31",
                    "reviewType": "advies",
                },
            }
        )
    )


def known_names() -> tuple[str, ...]:
    """What a template may show, such as ``zaakIdentificatie`` and ``receiver.name``."""
    return tuple(
        name if not isinstance(value, Mapping) else f"{name}.{inner}"
        for name, value in example().items()
        for inner in (value if isinstance(value, Mapping) else [""])
    )


def _layout() -> str:
    return (_FOLDER / "layout.html").read_text(encoding="utf-8")


def _filled(engine: Engine, source: str, context: Mapping[str, Any]) -> str:
    return Compiled(source, engine=engine).render(Context(dict(context), autoescape=engine.autoescape))


def _faults(engine: Engine, source: str) -> Iterator[str]:
    try:
        compiled = Compiled(source, engine=engine)
    except TemplateSyntaxError as error:
        yield _line(error, str(error))
        return
    known = set(known_names())
    for node, expression in _expressions(compiled.nodelist):
        for name in _names(expression):
            # An unknown name would be an empty place in the mail that nobody notices.
            if name not in known:
                yield _line(
                    node,
                    _("%(name)s is not known; there are %(known)s") % {"name": name, "known": ", ".join(sorted(known))},
                )


def _line(holder: Any, reason: str) -> str:
    token = getattr(holder, "token", None)
    number = getattr(token, "lineno", None) or 1
    return _("Line %(number)s: %(reason)s") % {"number": number, "reason": reason}


def _expressions(nodes: NodeList) -> Iterator[tuple[Any, FilterExpression]]:
    """Every expression, with the node in whose line it stands."""
    for node in nodes:
        if isinstance(node, VariableNode):
            yield node, node.filter_expression
        elif isinstance(node, IfNode):
            for condition, inner in node.conditions_nodelists:
                for expression in _operands(condition):
                    yield node, expression
                yield from _expressions(inner)


def _operands(condition: Any) -> Iterator[FilterExpression]:
    value = getattr(condition, "value", None)
    if isinstance(value, FilterExpression):
        yield value
    for part in ("first", "second"):
        if (operand := getattr(condition, part, None)) is not None:
            yield from _operands(operand)


def _names(expression: FilterExpression) -> Iterator[str]:
    variables = [expression.var, *(value for _, given in expression.filters for is_name, value in given if is_name)]
    for variable in variables:
        lookups = getattr(variable, "lookups", None)
        if lookups:
            yield ".".join(lookups)
