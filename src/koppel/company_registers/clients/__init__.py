"""The registers that Koppel asks, and which of them answers a question."""

from django.conf import settings

from koppel.company_registers.clients.brreg import Brreg
from koppel.company_registers.clients.kvk import Kvk
from koppel.company_registers.clients.prh import Prh
from koppel.company_registers.clients.vies import Vies
from koppel.company_registers.protocol import Question, Register


def registers() -> list[Register]:
    """Those that the settings switch on, national ones first: the first that can answer is asked."""
    urls, wanted = settings.REGISTER_URLS, settings.REGISTERS
    found: list[Register] = []
    if "kvk" in wanted and settings.KVK_API_KEY:
        found.append(Kvk(urls["kvk"], settings.KVK_API_KEY))
    if "brreg" in wanted:
        found.append(Brreg(urls["brreg"]))
    if "prh" in wanted:
        found.append(Prh(urls["prh"]))
    if "vies" in wanted:
        found.append(Vies(urls["vies"]))
    return found


def register_for(question: Question) -> Register | None:
    """None when no register answers this, or it is switched off."""
    return next((one for one in registers() if one.answers(question)), None)
