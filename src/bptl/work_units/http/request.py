"""Any call of any registered service, as a process model says: the unit that saves writing one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from xml.sax.saxutils import escape

from bptl.clients.errors import NotFound, Rejected, Unreadable
from bptl.clients.json import JsonClient
from bptl.work_units.contract import (
    BusinessError,
    FieldFault,
    InvalidInput,
    InvalidOutput,
    Need,
    OpenOutputs,
    Sending,
    Work,
    work_unit,
)
from bptl.work_units.http.inputs import FORM_TYPE, Request, is_json
from bptl.work_units.http.result import Mapped, mapped
from bptl.work_units.http.templates import Filling, names_in

UNIT = "http.request"
SERVICE = "service"


class Answered(OpenOutputs):
    """The variables that ``result`` names."""


@dataclass(frozen=True, slots=True)
class _Filled:
    """The request as it is sent."""

    method: str
    path: str
    query: Mapping[str, Any]
    headers: Mapping[str, str]
    content: bytes | None
    content_type: str

    @property
    def digest(self) -> str:
        """Tells one request from another, where what it says must not be kept."""
        said = [self.method, self.path, self.query, self.headers, self.content_type]
        text = json.dumps(said, sort_keys=True, ensure_ascii=False).encode()
        return hashlib.sha256(text + b"\0" + (self.content or b"")).hexdigest()


@work_unit(
    UNIT,
    needs={SERVICE: Need(None, "the service that is called; any kind")},
    nl="""
    Roep een service aan zoals het procesmodel het zegt, en zet variabelen uit het antwoord.

    Geef de invoer als invoerparameters van de taak: wat u weglaat, wordt uit het proces gelezen, waar een andere stap
    een variabele met die naam gezet kan hebben. path, query, headers en body zijn sjablonen: {naam} is de waarde van
    de procesvariabele naam, {zaak.url} die van een veld daarvan, {{ en }} staan voor de accolades zelf.

    - In path wordt een waarde gecodeerd, dus ze kan geen andere stap van het pad worden. {+zaakUrl} aan het begin van
      path is een adres dat binnen de service ligt.
    - In query en body houdt een tekst die alleen uit een sjabloonvariabele bestaat het type van de waarde: "{bedrag}"
      wordt een getal.
    - Een sjabloonvariabele zonder procesvariabele is een incident dat haar noemt. Variabelen van de taak alleen, zoals
      die van een multi-instance, geeft u mee in variables: de andere worden van de procesinstantie gelezen.

    result bevat JMESPath-expressies (https://jmespath.org) die in het antwoord {"status", "headers", "body"} kijken:
    {"nummer": "body.identificatie", "plek": "headers.location"}. Namen van headers zijn in kleine letters. Wat er niet
    is, wordt null.

    Een GET leest alleen. Elke andere aanroep is een effect en gebeurt een keer: zonder antwoord beslist een mens of het
    gebeurd is, tenzij de service een herhaalde aanroep herkent aan haar idempotencyKey, of repeatable zegt dat een PUT
    of een DELETE herhaald mag worden. readOnly is voor een POST die alleen zoekt.
    """,
)
def request(work: Work, inputs: Request) -> Answered:
    """Call a service as the process model says, and set variables from its answer.

    Give the inputs as input parameters of the task: one that is left out is read from the process, where another step
    may have set a variable of that name. path, query, headers and body are templates: {naam} is the value of the
    process variable naam, {zaak.url} that of a field of it, {{ and }} stand for the braces themselves.

    - In path a value is percent-encoded, so it cannot become another step of the path. {+zaakUrl} at the beginning of
      path is an address that lies within the service.
    - In query and body, a text that is one placeholder only keeps the type of the value: "{bedrag}" becomes a number.
    - A placeholder without variable is an incident that names it. Variables of the task alone, such as those of a
      multi-instance, must be handed over in variables: the others are read from the process instance.

    result holds JMESPath expressions (https://jmespath.org) that look into the answer {"status", "headers", "body"}:
    {"nummer": "body.identificatie", "plek": "headers.location"}. Names of headers are in lower case. What is not there
    becomes null.

    A GET only reads. Every other request is an effect, done once: without an answer a person decides whether it
    happened, unless the service knows a repeated request by its idempotencyKey, or repeatable says that a PUT or a
    DELETE may be repeated. readOnly is for a POST that only searches.
    """
    filled = _fill(work, inputs)
    client = work.connect(JsonClient, SERVICE)
    try:
        outcome = _exchange(client, inputs, filled) if inputs.reads else _once(work, client, inputs, filled)
    except Rejected as rejected:
        if (code := inputs.errorCodes.get(str(rejected.status))) is not None:
            raise BusinessError(code, str(rejected)) from rejected
        if isinstance(rejected, NotFound) and inputs.notFound == "null":
            return Answered(**dict.fromkeys(inputs.result))
        raise
    if outcome.faults:
        raise InvalidOutput(UNIT, [FieldFault(*fault) for fault in outcome.faults])
    return Answered(**outcome.variables)


def _once(work: Work, client: JsonClient, inputs: Request, filled: _Filled) -> Mapped:
    def send(sending: Sending) -> dict[str, Any]:
        key = {inputs.idempotencyKey: sending.idempotency_key} if inputs.idempotencyKey else {}
        sending.check()
        return _exchange(client, inputs, filled, headers=key).to_json()

    recorded = work.once(
        "send-request",
        send,
        # What is sent may be personal data, the path too; the ledger only has to tell whether it is the same.
        arguments={"method": inputs.method, "sha256": filled.digest, "result": inputs.result},
        idempotent=bool(inputs.idempotencyKey) or inputs.repeatable,
        # A call has at most its time for the connection and the request, and that again for the answer.
        gives_up_after=timedelta(seconds=2 * client.access.timeout + 5),
    )
    return Mapped.from_json(recorded)


def _exchange(
    client: JsonClient, inputs: Request, filled: _Filled, *, headers: Mapping[str, str] | None = None
) -> Mapped:
    answer, body = client.exchange(
        filled.method,
        filled.path,
        query=filled.query,
        content=filled.content,
        content_type=filled.content_type,
        headers={**filled.headers, **(headers or {})},
    )
    if inputs.expectedStatus and answer.status not in inputs.expectedStatus:
        expected = " or ".join(map(str, inputs.expectedStatus))
        raise Unreadable(
            f"{client.access.service} answered {answer.status} to {filled.method} {filled.path}, not {expected}",
            service=client.access.service,
            method=filled.method,
            url=filled.path,
            status=answer.status,
        )
    return mapped(inputs.result, status=answer.status, headers=answer.headers, body=body)


def _fill(work: Work, inputs: Request) -> _Filled:
    """Raises InvalidInput with everything that is wrong with templates and values."""
    filling = Filling(_values(work, inputs))
    path = filling.path(inputs.path, at="path")
    query = _flat(filling, inputs.query, at="query")
    headers = {name: filling.text(value, at=f"headers.{name}") for name, value in inputs.headers.items()}
    content = _content(inputs, filling)
    faults = filling.faults + [
        FieldFault(f"headers.{name}", "must be printable ASCII when it is filled")
        for name, value in headers.items()
        if not (value.isascii() and value.isprintable())
    ]
    if faults:
        raise InvalidInput(UNIT, faults)
    content_type = inputs.contentType if content is not None else ""
    return _Filled(inputs.method, path, query, headers, content, content_type)


def _values(work: Work, inputs: Request) -> Mapping[str, Any]:
    wanted = {
        name
        for template in (inputs.path, inputs.query, inputs.headers, inputs.body)
        for name in names_in(template)
        if name not in inputs.variables
    }
    # A call of the REST API has no process: it hands over all values itself.
    if not wanted or not work.task.process_instance_id:
        return inputs.variables
    return {**work.processes.variables(names=sorted(wanted)), **inputs.variables}


def _content(inputs: Request, filling: Filling) -> bytes | None:
    """The body as it is sent; None for none."""
    if inputs.body is None:
        return None
    if is_json(inputs.contentType):
        value = filling.value(inputs.body, at="body")
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    if inputs.contentType == FORM_TYPE:
        return urlencode(_flat(filling, inputs.body, at="body"), doseq=True).encode()
    write = escape if "xml" in inputs.contentType else str
    return filling.text(inputs.body, at="body", write=write).encode()


def _flat(filling: Filling, template: Mapping[str, Any], *, at: str) -> dict[str, list[str]]:
    """Names and their values in a query or a form: null is left out, a list repeats its name."""
    pairs: dict[str, list[str]] = {}
    for name, value in filling.value(template, at=at).items():
        values = [one for one in (value if isinstance(value, list) else [value]) if one is not None]
        if any(isinstance(one, Mapping | list) for one in values):
            fault = FieldFault(f"{at}.{name}", "must be text, a number, true or false, or a list of these")
            filling.faults.append(fault)
        elif values:
            pairs[name] = [one if isinstance(one, str) else json.dumps(one) for one in values]
    return pairs
