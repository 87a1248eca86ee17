"""Mail to one person, from a template of the organisation."""

from __future__ import annotations

import hashlib
import re
from datetime import date, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import AfterValidator, BeforeValidator, Field

from bptl.clients.access import Kind
from bptl.clients.documenten import DocumentenClient
from bptl.work_units.contract import (
    Attachment,
    FieldFault,
    Inputs,
    InvalidInput,
    Mailbox,
    MailMessage,
    Need,
    Sending,
    Work,
    work_unit,
)

UNIT = "mail.send"

MOST_ATTACHED = 10 * 1024 * 1024
"""Bytes of all attachments together. Many mail servers take no more, and base64 adds a third."""

HANDED_OVER_WITHIN = timedelta(minutes=2)

_LOCAL = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*", re.IGNORECASE)
_DOMAIN = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9][a-z0-9-]{0,61}[a-z0-9]", re.IGNORECASE)
_MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+", re.ASCII)


def _address(text: str) -> str:
    """An address as SMTP takes it everywhere (the dot-string of RFC 5321), with the domain in ASCII (IDNA)."""
    local, _, domain = text.strip().rpartition("@")
    try:
        domain = domain.encode("idna").decode()
    except UnicodeError as error:
        raise ValueError("must be a mail address such as naam@example.nl") from error
    if not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(domain) or len(local) > 64 or len(domain) > 253:
        raise ValueError("must be a mail address such as naam@example.nl")
    return f"{local}@{domain}"


def _one_line(text: str) -> str:
    """Text of a header: a line break would begin another header."""
    if not text.strip():
        raise ValueError("is empty")
    if any(not character.isprintable() for character in text):
        raise ValueError("must be one line, without control characters")
    return text.strip()


def _web_address(text: str) -> str:
    """A link of a mail leads to a page, and to nothing that runs."""
    if text and not re.fullmatch(r"https?://[^\s<>\"]+", text):
        raise ValueError("must be a web address: https://…")
    return text


def _day(value: Any) -> Any:
    """An engine's date is a moment; the day is the one of its own offset."""
    return value.date() if isinstance(value, datetime) else value


Line = Annotated[str, AfterValidator(_one_line)]
MailAddress = Annotated[str, AfterValidator(_address)]
Link = Annotated[str, AfterValidator(_web_address)]


class Person(Inputs):
    """Who writes."""

    name: Line = Field(description="Name, as it is shown.")
    email: MailAddress = Field(description="Mail address.")


class Receiver(Person):
    """Who reads."""

    assignee: str = Field("", description="Who they are in the process; it is added to doReviewUrl.")


class Email(Inputs):
    """What it says."""

    subject: Line = Field(description="Subject.")
    content: str = Field(description="Text of the writer; may be empty.")


class Context(Inputs):
    """What the templates may tell; other fields are not used."""

    vraag: str = Field("", description="The question.")
    zaakIdentificatie: str = Field("", description="Identificatie of the zaak.")
    zaakOmschrijving: str = Field("", description="Omschrijving of the zaak.")
    zaakDetailUrl: Link = Field("", description="Address of the page of the zaak.")
    doReviewUrl: Link = Field("", description="Address of the page where the receiver gives an answer.")
    deadline: Annotated[date | None, BeforeValidator(_day)] = Field(None, description="Day before which to answer.")
    reviewType: str = Field("", description="What is asked for.")


class Letter(Inputs):
    """A mail to one person."""

    sender: Person = Field(description="Who writes: answers go there. The mail comes from the organisation's address.")
    receiver: Receiver = Field(description="Who reads it; nobody else gets it.")
    email: Email = Field(description="Subject and text.")
    template: str = Field(
        min_length=1,
        description="Name of the template: generiek, accordering, advies, nen2580, verzoek_afgehandeld, or one of your "
        "organisation.",
    )
    context: Context = Field(description="What the template tells.")
    attachments: list[Link] = Field(
        default_factory=list,
        description="Addresses of informatieobjecten (documents) to attach; at most 10 MiB together.",
    )


def told(letter: Letter) -> dict[str, Any]:
    """What a template may use, as text: dates as dd-mm-yyyy, what is not given as an empty text."""
    context = letter.context
    return {
        **context.model_dump(exclude={"deadline", "doReviewUrl"}),
        "deadline": f"{context.deadline:%d-%m-%Y}" if context.deadline else "",
        "doReviewUrl": _with_assignee(context.doReviewUrl, letter.receiver.assignee),
        "sender": letter.sender.model_dump(),
        "receiver": letter.receiver.model_dump(),
        "email": letter.email.model_dump(),
    }


@work_unit(
    UNIT,
    needs={"drc": Need(Kind.DOCUMENTEN, "the documents of attachments", optional=True)},
    replaces=("bptl.work_units.email.tasks.SendEmailTask", "bptl.work_units.mail.tasks.SendEmailTask"),
    nl="""
    Stuur een persoon een mail volgens een sjabloon van de organisatie.

    De mail gaat als tekst en als HTML naar receiver, van het afzenderadres van de organisatie (DEFAULT_FROM_EMAIL);
    antwoorden gaan naar sender. Een ongeldig adres, een regeleinde in een naam of onderwerp, een datum die er geen is
    of een link die geen webadres is, wordt geweigerd voordat er iets verstuurd is. assignee van receiver wordt aan
    doReviewUrl toegevoegd. Beheerders kunnen sjablonen wijzigen en toevoegen.

    Een mail gaat een keer uit. Antwoordt de mailserver niet nadat hij de inhoud gekregen heeft, dan beslist een mens:
    niemand kan navragen of de mail verstuurd is. Het Message-ID is bij elke poging hetzelfde.

    Bijlagen worden uit de Documenten API gelezen, met de rechten van de applicatie (bptlAppId), samen hoogstens 10 MiB.
    """,
)
def send(work: Work, inputs: Letter) -> None:
    """Send one person a mail, from a template of the organisation.

    It goes to receiver as text and as HTML, from the address of the organisation (DEFAULT_FROM_EMAIL); answers go to
    sender. An invalid address, a line break in a name or the subject, a date that is none or a link that is no web
    address is refused before anything is sent. The assignee of receiver is added to doReviewUrl. Administrators can
    change and add templates.

    A mail is sent once. When the mail server does not answer after it got the content, a person decides: nobody can be
    asked whether the mail went out. Its Message-ID is the same at every try.

    Attachments are read from the Documenten API, with the rights of the application (bptlAppId), at most 10 MiB
    together.
    """
    rendered = work.mail.render(inputs.template, told(inputs))
    message = MailMessage(
        recipient=Mailbox(inputs.receiver.name, inputs.receiver.email),
        reply_to=Mailbox(inputs.sender.name, inputs.sender.email),
        subject=rendered.subject,
        text=rendered.text,
        html=rendered.html,
        attachments=_attachments(work, inputs.attachments),
    )
    # What was asked for, not what was rendered: a template that is changed between two tries is no other mail. Whom it
    # goes to and what it says are personal data, so the ledger keeps a digest.
    asked = hashlib.sha256(inputs.model_dump_json().encode()).hexdigest()

    def hand_over(sending: Sending) -> str:
        return work.mail.send(message, sending)

    message_id = work.once(
        "send-mail",
        hand_over,
        arguments={"template": inputs.template, "sha256": asked},
        gives_up_after=HANDED_OVER_WITHIN,
    )
    work.log.info("mail.sent", message_id=message_id, template=inputs.template)


def _with_assignee(address: str, assignee: str) -> str:
    if not address or not assignee:
        return address
    parts = urlsplit(address)
    added = f"assignee={quote(assignee, safe='')}"
    return urlunsplit(parts._replace(query=f"{parts.query}&{added}" if parts.query else added))


def _attachments(work: Work, addresses: list[str]) -> tuple[Attachment, ...]:
    """The documents. What is too large is refused before it is read, where its size is known."""
    clients = [work.connect(DocumentenClient, "drc", url=address) for address in addresses]
    documents = [client.informatieobject(address) for client, address in zip(clients, addresses, strict=True)]
    _check_size(sum(document.get("bestandsomvang") or 0 for document in documents))
    attached: list[Attachment] = []
    for client, address, document in zip(clients, addresses, documents, strict=True):
        content = client.content(address)
        media_type = str(document.get("formaat") or "")
        name = str(document.get("bestandsnaam") or document.get("titel") or "document")
        attached.append(
            Attachment(
                name="".join(character for character in name if character.isprintable()),
                media_type=media_type if _MEDIA_TYPE.fullmatch(media_type) else "application/octet-stream",
                content=content,
            )
        )
        _check_size(sum(len(attachment.content) for attachment in attached))
    return tuple(attached)


def _check_size(size: int) -> None:
    if size > MOST_ATTACHED:
        reason = f"are {size} bytes together, and at most {MOST_ATTACHED} can be sent"
        raise InvalidInput(UNIT, [FieldFault("attachments", reason)])
