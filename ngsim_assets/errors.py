"""Errors that name the fix. Every failure a user can cause or repair is one of these.

A subclass takes data and builds its message; the command line prints that message as one
line and exits with `exit_code`, without a traceback.
"""

from __future__ import annotations


class NgsimAssetsError(Exception):
    """Base of every error this package raises on purpose.

    `problem` says what is wrong and where; `fix` says what the user can do about it.
    """

    exit_code = 1

    def __init__(self, problem: str, fix: str) -> None:
        self.problem = problem
        self.fix = fix
        super().__init__(f"{problem} ({fix})" if fix else problem)

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.problem, self.fix, dict(self.__dict__)))


def _rebuild(
    kind: type[NgsimAssetsError], problem: str, fix: str, state: dict[str, object]
) -> NgsimAssetsError:
    """Restore a subclass without its own constructor, so errors cross process borders."""
    error = kind.__new__(kind)
    NgsimAssetsError.__init__(error, problem, fix)
    error.__dict__.update(state)
    return error
