"""Certificates as text (PEM): what they must be to be stored, and until when they serve."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True, slots=True)
class Facts:
    """Of one certificate: for whom it is (RFC 4514), and until when (UTC)."""

    subject: str
    not_after: datetime


def facts(pem: str) -> list[Facts]:
    """Of every certificate in ``pem``, in its order; raises ValueError when there is none."""
    found = x509.load_pem_x509_certificates(pem.encode())
    return [Facts(one.subject.rfc4514_string(), one.not_valid_after_utc) for one in found]


def check_authorities(pem: str) -> None:
    """Raises ValidationError, by field, unless ``pem`` holds certificates."""
    try:
        facts(pem)
    except ValueError as error:
        text = _("These are no certificates in PEM (-----BEGIN CERTIFICATE-----).")
        raise ValidationError({"authorities": text}) from error


def check_pair(certificate: str, key: str) -> None:
    """Raises ValidationError, by field, unless ``key`` is the unencrypted private key of the first ``certificate``."""
    try:
        first = x509.load_pem_x509_certificates(certificate.encode())[0]
    except ValueError as error:
        text = _("This is no certificate in PEM (-----BEGIN CERTIFICATE-----).")
        raise ValidationError({"certificate": text}) from error
    try:
        private = load_pem_private_key(key.encode(), password=None)
    except (ValueError, TypeError) as error:
        text = _("This is no private key in PEM without a password (-----BEGIN PRIVATE KEY-----).")
        raise ValidationError({"key": text}) from error
    public = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if private.public_key().public_bytes(*public) != first.public_key().public_bytes(*public):
        raise ValidationError({"key": _("This private key does not belong to the first certificate.")})
