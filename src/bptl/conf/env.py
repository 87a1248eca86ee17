"""Typed readers of environment variables: each one is declared with its help text, and all faults are told at once.

A reader never raises: it notes the fault and answers the default (or an empty value of its type), so that the person
who starts BPTL sees everything that is wrong in one go. ``refuse_faults`` ends the reading.

    environment = Environment(os.environ)
    PORT = environment.integer("PORT", default=8000, help="Port of the web pages.")
    environment.refuse_faults()
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from django.core.exceptions import ImproperlyConfigured

T = TypeVar("T")

TRUE = frozenset({"true", "1", "yes", "on"})
FALSE = frozenset({"false", "0", "no", "off"})


@dataclass(frozen=True, slots=True)
class Declared:
    """One environment variable as its reader declared it; ``default`` is text for people, empty when required."""

    name: str
    kind: str
    help: str
    default: str
    required: bool
    secret: bool
    old_names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """One variable that is missing or wrong, with what to do about it. Never holds the value of a secret."""

    name: str
    message: str

    def __str__(self) -> str:
        return f"{self.name}: {self.message}"


class ConfigurationFaults(ImproperlyConfigured):
    """The environment is not fit to start with; ``faults`` names every fault at once."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in faults))


class Environment:
    """Reads one mapping of names to texts. An empty text counts as not set."""

    def __init__(self, source: Mapping[str, str]) -> None:
        self._source = source
        self._declared: list[Declared] = []
        self._faults: list[Fault] = []
        self._secrets: list[str] = []

    @property
    def secret_texts(self) -> tuple[str, ...]:
        """Every secret that somebody set, as it stands there."""
        return tuple(self._secrets)

    @property
    def declared(self) -> tuple[Declared, ...]:
        """Every variable that was read, in order of reading: the source of the reference page."""
        return tuple(self._declared)

    def text(
        self,
        name: str,
        *,
        help: str,
        default: str | None = None,
        choices: Sequence[str] = (),
        old_names: Sequence[str] = (),
    ) -> str:
        """A text; required when there is no default; one of ``choices`` (compared without case) when there are any."""

        def convert(raw: str) -> str:
            if not choices:
                return raw
            for choice in choices:
                if raw.lower() == choice.lower():
                    return choice
            raise ValueError(f"is {raw!r}; use one of {', '.join(choices)}")

        kind = " or ".join(choices) if choices else "text"
        value = self._read(name, convert, kind=kind, help=help, default=default, old_names=old_names)
        return "" if value is None else value

    def secret(self, name: str, *, help: str, default: str | None = None, old_names: Sequence[str] = ()) -> str:
        """A text that is never shown, from ``name`` or from the file that ``name``_FILE names."""
        value = self._read(name, str, kind="secret", help=help, default=default, old_names=old_names, secret=True)
        return "" if value is None else value

    def secrets(self, name: str, *, help: str) -> list[str]:
        """Required texts that are never shown, separated by commas, from ``name`` or the file of ``name``_FILE."""
        return self._read(name, _split, kind="secrets, separated by commas", help=help, default=None, secret=True) or []

    def boolean(self, name: str, *, help: str, default: bool) -> bool:
        """True or False; the word False is false, and a word that is neither is a fault."""

        def convert(raw: str) -> bool:
            if raw.lower() in TRUE:
                return True
            if raw.lower() in FALSE:
                return False
            raise ValueError(f"is {raw!r}; use True or False")

        value = self._read(name, convert, kind="True or False", help=help, default=default)
        return default if value is None else value

    def integer(
        self, name: str, *, help: str, default: int, minimum: int | None = None, maximum: int | None = None
    ) -> int:
        """A whole number within the bounds, both included."""
        value = self.optional_integer(name, help=help, default=default, minimum=minimum, maximum=maximum)
        return default if value is None else value

    def optional_integer(
        self,
        name: str,
        *,
        help: str,
        default: int | None = None,
        minimum: int | None = None,
        maximum: int | None = None,
    ) -> int | None:
        """A whole number within the bounds, both included; the default may be None."""

        def convert(raw: str) -> int:
            try:
                number = int(raw)
            except ValueError:
                raise ValueError(f"is {raw!r}; use a whole number{_bounds(minimum, maximum)}") from None
            _check_bounds(number, minimum, maximum)
            return number

        kind = "whole number" + _bounds(minimum, maximum)
        return self._read(name, convert, kind=kind, help=help, default=default, required=False)

    def port(self, name: str, *, help: str, default: int) -> int:
        """A TCP port. In Kubernetes a service that is called as the process sets NAME_PORT to its own address
        (tcp://…); that is no setting of ours and is passed over.
        """

        def convert(raw: str) -> int:
            if raw.startswith(("tcp://", "udp://")):
                return default
            try:
                number = int(raw)
            except ValueError:
                raise ValueError(f"is {raw!r}; use a whole number{_bounds(1, 65535)}") from None
            _check_bounds(number, 1, 65535)
            return number

        value = self._read(name, convert, kind="whole number" + _bounds(1, 65535), help=help, default=default)
        return default if value is None else value

    def seconds(
        self, name: str, *, help: str, default: float, minimum: float = 0, maximum: float | None = None
    ) -> float:
        """A length of time in seconds, fractions allowed, within the bounds, both included."""

        def convert(raw: str) -> float:
            try:
                number = float(raw)
            except ValueError:
                raise ValueError(f"is {raw!r}; use seconds{_bounds(minimum, maximum)}") from None
            _check_bounds(number, minimum, maximum)
            return number

        kind = "seconds" + _bounds(minimum, maximum)
        value = self._read(name, convert, kind=kind, help=help, default=default)
        return default if value is None else value

    def csv(self, name: str, *, help: str, default: Sequence[str] = ()) -> list[str]:
        """Texts separated by commas; blanks around them and empty ones are dropped."""
        value = self._read(name, _split, kind="texts, separated by commas", help=help, default=list(default))
        return list(default) if value is None else value

    def networks(self, name: str, *, help: str) -> list[str]:
        """Addresses and networks of IP, separated by commas; default none."""

        def convert(raw: str) -> list[str]:
            try:
                return [str(ipaddress.ip_network(part)) for part in _split(raw)]
            except ValueError as error:
                raise ValueError(f"{error}; use addresses or networks, such as 10.0.3.7,10.1.0.0/16") from None

        return self._read(name, convert, kind="addresses or networks, separated by commas", help=help, default=[]) or []

    def roots(self, name: str, *, help: str) -> list[str]:
        """http(s) addresses below which something lies, separated by commas, each ending with a slash; default none."""

        def convert(raw: str) -> list[str]:
            return [_root(part, number) for number, part in enumerate(_split(raw), start=1)]

        return self._read(name, convert, kind="addresses, separated by commas", help=help, default=[]) or []

    def address(self, name: str, *, help: str) -> tuple[str, int] | None:
        """Where to listen, host:port, as (host, port), with port 0 for any that is free; default nowhere."""

        def convert(raw: str) -> tuple[str, int]:
            host, _, port = raw.rpartition(":")
            bare = host.removeprefix("[").removesuffix("]")
            if not bare or (":" in bare) != host.startswith("[") or not port.isdecimal() or int(port) > 65535:
                raise ValueError(f"is {raw!r}; use host:port, such as 127.0.0.1:9808 or [::]:9808")
            return bare, int(port)

        return self._read(name, convert, kind="host:port", help=help, default=None, required=False)

    def fault(self, name: str, message: str) -> None:
        """Note that ``name`` is wrong for a reason that only the caller can see; say what to do."""
        self._faults.append(Fault(name, message))

    def refuse_faults(self) -> None:
        """Raise ConfigurationFaults with every fault noted so far; do nothing when there are none."""
        if self._faults:
            raise ConfigurationFaults(self._faults)

    def _read(
        self,
        name: str,
        convert: Callable[[str], T],
        *,
        kind: str,
        help: str,
        default: T | None,
        old_names: Sequence[str] = (),
        secret: bool = False,
        required: bool = True,
    ) -> T | None:
        required = required and default is None
        self._declared.append(
            Declared(
                name=name,
                kind=kind,
                help=help,
                default=_shown(default),
                required=required,
                secret=secret,
                old_names=tuple(old_names),
            )
        )
        raw = self._raw(name, old_names=old_names, secret=secret)
        if raw is None:
            if required and not any(fault.name == name for fault in self._faults):
                self.fault(name, f"is required: {help}")
            return default
        if secret:
            self._secrets.append(raw)
        try:
            return convert(raw)
        except ValueError as error:
            self.fault(name, str(error))
            return default

    def _raw(self, name: str, *, old_names: Sequence[str], secret: bool) -> str | None:
        given = {
            candidate: value
            for candidate in (name, *old_names)
            if (value := self._given(name, candidate, secret=secret)) is not None
        }
        if len(set(given.values())) > 1:
            self.fault(name, f"{' and '.join(given)} differ; remove all but one of them")
        return next(iter(given.values()), None)

    def _given(self, name: str, candidate: str, *, secret: bool) -> str | None:
        value = self._source.get(candidate, "").strip()
        file_name = self._source.get(f"{candidate}_FILE", "").strip() if secret else ""
        if value and file_name:
            self.fault(name, f"both {candidate} and {candidate}_FILE are set; remove one of them")
        if value:
            return value
        return self._from_file(name, candidate, file_name) if file_name else None

    def _from_file(self, name: str, candidate: str, file_name: str) -> str | None:
        try:
            value = Path(file_name).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            self.fault(name, f"the file of {candidate}_FILE cannot be read ({error}); correct the path or its rights")
            return None
        if not value:
            self.fault(name, f"the file of {candidate}_FILE is empty: {file_name}")
        return value or None


def _root(address: str, number: int) -> str:
    if not re.fullmatch(r"https?://[^/?#@\s\\]+(/[^?#\s\\]*)?", address, re.IGNORECASE):
        # Not its text: there may be a login in it.
        raise ValueError(f"address {number} is no http(s) address without login, ? and #; write https://host/hooks/")
    scheme, _, rest = address.partition("://")
    host, _, path = rest.partition("/")
    return f"{scheme.lower()}://{host.lower()}/{path}".rstrip("/") + "/"


def _split(raw: str) -> list[str]:
    return [part.strip() for part in raw.split(",") if part.strip()]


def _bounds(minimum: float | None, maximum: float | None) -> str:
    if minimum is not None and maximum is not None:
        return f" from {minimum} to {maximum}"
    if minimum is not None:
        return f" of at least {minimum}"
    return f" of at most {maximum}" if maximum is not None else ""


def _check_bounds(number: float, minimum: float | None, maximum: float | None) -> None:
    # Written so that NaN, which compares false with everything, is refused too.
    if not (minimum is None or number >= minimum) or not (maximum is None or number <= maximum):
        raise ValueError(f"is {number}; use a value{_bounds(minimum, maximum)}")


def _shown(default: object) -> str:
    if default is None:
        return ""
    if isinstance(default, list):
        return ",".join(str(part) for part in default)
    return str(default)
