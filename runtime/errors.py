"""The one tree of errors; an error's class decides what is done about it.

    BahiError                 every error that Bahi raises on purpose
    +-- SettingError          a setting, argument or file given by the user is wrong: stop, exit 2
    +-- Unreachable           a server, disk or network does not answer: retry for ever, capped and jittered
    +-- TokenRefused          the broker refuses the access token: wait for a new one, say so
    +-- BadInput              a client's request is wrong: refuse it, nothing stops
    +-- BadEvent              one event cannot be read or applied: park it (ticks) or stop (money)
    +-- TakeoverDue           the log refuses this writer: it ends, and its next start takes the stream over
    +-- Halt                  going on would lose or double something: stop, exit 3
        +-- LogRefused        the log holds other content under this n: two writers, or a disk that forgot
        +-- SpoolMismatch     spool, Redis and archive disagree at a writer's start
        +-- HoleInLog         neither Redis nor archive has the next n
        +-- LogRotten         an entry of the log is not what was written
        +-- UnknownEvent      an event's type or version is newer than this code
        +-- LeaseLost         another owner took over this projector
        +-- ArchiveConflict   the archive holds other content under this name
        +-- ArchiveRotten     a segment is not what was put there, or is missing
        +-- ArchiveUnsafe     the archive's server does not refuse a name that is taken

Every message says what was wanted, what was found and what to do.
"""


class BahiError(Exception):
    """An error with its three answers: what was wanted, what was found, what to do."""

    def __init__(self, wanted: str, found: str, remedy: str) -> None:
        super().__init__(f"wanted {wanted}; found {found}; {remedy}")
        self.wanted = wanted
        self.found = found
        self.remedy = remedy


class SettingError(BahiError):
    """A setting, argument or file that the user gave is wrong."""


class Unreachable(BahiError):
    """A server, disk or network does not answer for now; the same call may work later."""


class TokenRefused(BahiError):
    """The broker refuses the access token."""


class BadInput(BahiError):
    """A client's request cannot be served as it stands."""


class BadEvent(BahiError):
    """One event cannot be decoded or applied; the events around it can."""


class TakeoverDue(BahiError):
    """The log holds something else than this writer has; a new start makes it whole."""


class Halt(BahiError):
    """Going on would lose or double something."""


class LogRefused(Halt):
    """The log holds other content under the same n."""


class SpoolMismatch(Halt):
    """Spool, Redis and archive disagree about a stream."""


class HoleInLog(Halt):
    """Neither Redis nor the archive has the n that must come next."""


class UnknownEvent(Halt):
    """An event's type or version is not known to this code."""


class LeaseLost(Halt):
    """Another owner holds the projector now."""


class ArchiveConflict(Halt):
    """The archive holds other content under the name of a segment."""


class ArchiveRotten(Halt):
    """A segment of the archive is cut short, has a wrong checksum, or is missing between two others."""


class ArchiveUnsafe(Halt):
    """The archive's server overwrites what it should refuse, or cannot put create-only."""


class LogRotten(Halt):
    """An entry of the log is not what was written."""
