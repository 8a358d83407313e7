"""The ways this package stops on purpose."""


class UserError(Exception):
    """A mistake that the user can mend: place, value and remedy in one message, exit status 2."""


class DivergedError(RuntimeError):
    """A loss term is no longer finite; the message names the term and the step."""


class Interrupted(Exception):  # noqa: N818 - no error: the user asked for it
    """The work was asked to stop; done again, it goes on from its last checkpoint."""


class Pruned(Exception):  # noqa: N818 - no error: a search does not need the rest
    """A tuning trial was stopped early; the message says why."""
