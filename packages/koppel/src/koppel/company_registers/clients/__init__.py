"""The clients of registers, and the choice of the client that answers a query."""

from django.conf import settings

from koppel.company_registers.clients.brreg import Brreg
from koppel.company_registers.clients.kvk import Kvk
from koppel.company_registers.clients.prh import Prh
from koppel.company_registers.clients.protocol import Register, RegisterCode, RegisterQuery
from koppel.company_registers.clients.vies import Vies


def registers() -> list[Register]:
    """Return the registers that the settings switch on, national ones first: the first that can answer is
    queried.
    """
    urls, enabled = settings.REGISTER_URLS, settings.REGISTERS
    clients: list[Register] = []
    if RegisterCode.KVK in enabled and settings.KVK_API_KEY:
        clients.append(Kvk(urls[RegisterCode.KVK], settings.KVK_API_KEY))
    if RegisterCode.BRREG in enabled:
        clients.append(Brreg(urls[RegisterCode.BRREG]))
    if RegisterCode.PRH in enabled:
        clients.append(Prh(urls[RegisterCode.PRH]))
    if RegisterCode.VIES in enabled:
        clients.append(Vies(urls[RegisterCode.VIES]))
    return clients


def register_for(query: RegisterQuery) -> Register | None:
    """Return the register for this query; None when there is none, or it is switched off."""
    return next((register for register in registers() if register.supports(query)), None)
