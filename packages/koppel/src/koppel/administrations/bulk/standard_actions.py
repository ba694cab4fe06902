"""The bulk actions of this app itself, in the order of the bar."""

from koppel.administrations.bulk.actions_activate import ACTIVATE, DEACTIVATE
from koppel.administrations.bulk.actions_assign import ASSIGN
from koppel.administrations.bulk.actions_favourite import ADD_FAVOURITE, REMOVE_FAVOURITE

STANDARD_ACTIONS = (ASSIGN, ADD_FAVOURITE, REMOVE_FAVOURITE, ACTIVATE, DEACTIVATE)
