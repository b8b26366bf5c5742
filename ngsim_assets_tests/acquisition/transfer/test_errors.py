"""Every failure of a transfer says where, what and what to do, and nothing secret."""

import pickle
from pathlib import Path

import pytest

from ngsim_assets.acquisition.transfer import errors
from ngsim_assets.acquisition.transfer.errors import TransferError

SECRET = "s3cr3t"  # noqa: S105 - of nobody
URL = f"https://a.example/file.zip?id=7&access_token={SECRET}"
FAILURES = [
    errors.BadAddress(URL, "it holds a password"),
    errors.HostUnreachable(URL, "Connection refused"),
    errors.UntrustedCertificate(URL, "certificate has expired"),
    errors.ConnectTimedOut(URL, 20.0),
    errors.Stalled(URL, 12, 30.0),
    errors.UnreadableReply(URL, "its head cannot be read"),
    errors.BodyCutShort(URL, 12, 40, "Connection reset by peer"),
    errors.BodyTooLong(URL, 1000),
    errors.WrongLength(URL, 12, 40),
    errors.WrongHash(URL, "ab", "cd"),
    errors.NotTheFile(URL, "an HTML page"),
    errors.UnreadableEncoding(URL, "br"),
    errors.NotWhatWasAsked(URL, "the body is not JSON"),
    errors.TooManyRedirects(URL, 5),
    errors.UnsafeRedirect(URL, f"http://b.example/?sig={SECRET}"),
    errors.UnexpectedStatus(URL, 204),
    errors.NotFound(URL, 404),
    errors.AccessRefused(URL, 403, "no"),
    errors.RequestRefused(URL, 408),
    errors.TooManyRequests(URL, 429, retry_after=7.0),
    errors.ServerFailed(URL, 503, "busy"),
    errors.ChangedMeanwhile(URL, '"1"', '"2"'),
    errors.DeadlineExceeded(URL, 60.0, "busy"),
    errors.HostLeftAlone(URL, "a.example", retry_in=40.0, reason="busy", worth_waiting=True),
]


def test_no_failure_is_missing_here() -> None:
    kinds = {
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, TransferError)
    }
    assert {type(one) for one in FAILURES} == kinds - {TransferError, errors.RefusedByStatus}


@pytest.mark.parametrize("failure", FAILURES, ids=lambda one: type(one).__name__)
def test_a_failure_says_where_what_and_what_to_do(failure: TransferError) -> None:
    text = str(failure)
    assert text.startswith("https://a.example/file.zip?id=7&access_token=REDACTED: ")
    assert failure.problem != failure.url
    assert failure.fix
    assert SECRET not in f"{text} {failure!r} {vars(failure)}"


@pytest.mark.parametrize("failure", FAILURES, ids=lambda one: type(one).__name__)
def test_a_failure_crosses_processes(failure: TransferError) -> None:
    again = pickle.loads(pickle.dumps(failure))  # noqa: S301 - written here
    assert type(again) is type(failure)
    assert vars(again) == vars(failure)
    assert (str(again), again.transient) == (str(failure), failure.transient)


def test_who_is_second_at_a_download_is_told_who_is_first() -> None:
    error = errors.AlreadyUnderWay(Path("parts/ab"), "process 7")
    assert "parts/ab" in error.problem
    assert "process 7" in error.problem
