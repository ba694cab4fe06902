"""The bulk actions of this app itself."""

from koppel.administrations.bulk import actions_activate, actions_assign, actions_favourite

STANDARD_ACTIONS = {
    action.key: action
    for action in (*actions_activate.ACTIONS, *actions_assign.ACTIONS, *actions_favourite.ACTIONS)
}
