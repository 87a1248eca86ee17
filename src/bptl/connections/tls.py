"""Columns of whatever is reached with TLS: whom we trust and who we are."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from bptl.connections import certificates
from bptl.connections.encrypted import Clear, EncryptedField
from bptl.connections.secrets import Undecryptable


class Tls(models.Model):
    """Whom we trust and who we are where TLS is spoken, as PEM. Empty: the authorities of the system, and nobody."""

    encrypted_certificate = EncryptedField(_("client certificate (encrypted)"))
    encrypted_key = EncryptedField(_("private key (encrypted)"))
    encrypted_authorities = EncryptedField(_("own certificate authorities (encrypted)"))

    certificate = Clear("encrypted_certificate")
    key = Clear("encrypted_key")
    authorities = Clear("encrypted_authorities")

    class Meta:
        abstract = True

    def clean(self) -> None:
        """Refuse what no TLS library could use."""
        super().clean()
        if bool(self.encrypted_certificate) != bool(self.encrypted_key):
            missing = "key" if self.encrypted_certificate else "certificate"
            raise ValidationError({missing: _("A client certificate and its private key need each other.")})
        try:
            if self.encrypted_authorities:
                certificates.check_authorities(self.authorities)
            if self.encrypted_certificate:
                certificates.check_pair(self.certificate, self.key)
        except Undecryptable as error:
            raise ValidationError(str(error)) from error


def whole_pair(name: str) -> models.CheckConstraint:
    """The constraint that a table with these columns needs."""
    return models.CheckConstraint(
        name=name,
        condition=models.Q(encrypted_certificate="", encrypted_key="")
        | ~models.Q(encrypted_certificate="") & ~models.Q(encrypted_key=""),
        violation_error_message=_("A client certificate and its private key need each other."),
    )
