"""The two ways this package fails on purpose."""


class UserError(Exception):
    """A mistake that the user can mend: place, value and remedy in one message, exit status 2."""


class DivergedError(RuntimeError):
    """A loss term is no longer finite; the message names the term and the step."""
