"""Headers are read strictly, and no text makes reading fail."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from multidict import CIMultiDict

from ngsim_assets.acquisition.transfer import responses

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
TEXT = st.text(max_size=60)
COUNT = st.integers(0, 10**15)


def headers(**values: str) -> CIMultiDict[str]:
    return CIMultiDict({name.replace("_", "-"): value for name, value in values.items()})


def date(seconds: float = 0) -> str:
    return format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)


@given(TEXT)
@example("²")
@example("Fri, 31 Dec 9999 23:59:59 -1200")
@example("Mon, 01 Jan 0001 00:00:00 +1400")
@example("9" * 5000)
@example("bytes ٣-٤/٥")
def test_any_text_in_any_header_is_a_value_or_nothing(text: str) -> None:
    every = headers(
        Content_Length=text,
        Content_Range=text,
        ETag=text,
        Last_Modified=text,
        Date=text,
        Accept_Ranges=text,
        Content_Type=text,
        Content_Encoding=text,
        Retry_After=text,
    )
    length = responses.content_length(every)
    assert length is None or (text.strip().isascii() and int(text) == length)
    span = responses.content_range(every)
    assert span is None or 0 <= span.first <= span.last
    whole = responses.whole_length(every)
    assert whole is None or whole >= 0
    wait = responses.retry_after(every, NOW)
    assert wait is None or 0 <= wait <= responses.LONGEST_RETRY_AFTER
    tag = responses.entity_tag(every)
    assert tag is None or str(tag) == text.strip()
    # a date is not a second older than itself
    assert responses.resumable_by(every) == (None if tag is None or tag.weak else str(tag))
    assert responses.accepts_ranges(every) in {True, False, None}
    assert ";" not in responses.content_kind(every)
    assert responses.content_encoding(every) != "identity"


@given(COUNT, COUNT, st.none() | COUNT)
def test_a_range_is_read_as_it_was_written_unless_it_contradicts_itself(
    first: int, length: int, beyond: int | None
) -> None:
    last = first + length
    total = None if beyond is None else last + beyond
    said = f"bytes {first}-{last}/{'*' if total is None else total}"
    span = responses.content_range(headers(Content_Range=said))
    if beyond == 0:
        assert span is None
    else:
        assert span == responses.ContentRange(first, last, total)
        assert span.length == length + 1


@pytest.mark.parametrize(
    "said", ["bytes 5-4/9", "bytes */9", "bytes=0-4/9", "items 0-4/9", "bytes 0-4", "0-4/9", ""]
)
def test_what_is_no_range_is_none(said: str) -> None:
    assert responses.content_range(headers(Content_Range=said)) is None


def test_the_length_of_the_whole_is_read_off_an_unsatisfied_range() -> None:
    assert responses.whole_length(headers(Content_Range="bytes */1234")) == 1234
    assert responses.whole_length(headers(Content_Range="bytes 0-1/1234")) is None


@given(st.integers(-(10**7), 10**7), st.integers(-(10**6), 10**6))
def test_a_date_to_retry_after_is_measured_by_the_clock_of_the_server(
    wait: int, wrong: int
) -> None:
    said = headers(Retry_After=date(wrong + wait), Date=date(wrong))
    expected = min(max(wait, 0), responses.LONGEST_RETRY_AFTER)
    assert responses.retry_after(said, NOW) == expected
    del said["Date"]
    assert responses.retry_after(said, NOW + timedelta(seconds=wrong)) == expected


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        ("86401", 86_400.0),
        ("9" * 400, 86_400.0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30.0),
        ("Sunday, 01-Mar-26 12:00:30 GMT", 30.0),
        ("Sun Mar  1 12:00:30 2026", 30.0),
        ("Sat, 28 Feb 1998 00:00:00 GMT", 0.0),
        ("Sun, 01 Mar 2099 00:00:00 GMT", 86_400.0),
    ],
)
def test_seconds_and_all_three_forms_of_dates_are_understood(
    said: str, seconds: float | None
) -> None:
    assert responses.retry_after(headers(Retry_After=said), NOW) == seconds


@pytest.mark.parametrize(
    ("said", "validator"),
    [
        ({"ETag": '"abc"'}, '"abc"'),
        ({"ETag": '""'}, '""'),
        ({"ETag": 'W/"abc"'}, None),
        ({"ETag": "abc"}, None),
        ({"ETag": '"a"b"'}, None),
        ({"Last-Modified": date(-1), "Date": date()}, date(-1)),
        ({"Last-Modified": date(), "Date": date()}, None),
        ({"Last-Modified": date(5), "Date": date()}, None),
        ({"Last-Modified": date(-9)}, None),
        ({"Last-Modified": "long ago", "Date": date()}, None),
        ({"ETag": 'W/"abc"', "Last-Modified": date(-60), "Date": date()}, date(-60)),
        ({"ETag": '"abc"', "Last-Modified": date(-60), "Date": date()}, '"abc"'),
        ({}, None),
    ],
)
def test_only_strong_validators_may_continue_a_body(
    said: dict[str, str], validator: str | None
) -> None:
    assert responses.resumable_by(CIMultiDict(said)) == validator


def test_a_weak_tag_is_told_from_a_strong_one() -> None:
    weak, strong = (responses.entity_tag(headers(ETag=tag)) for tag in ('W/"a"', '"a"'))
    assert weak is not None
    assert strong is not None
    assert (weak.weak, strong.weak) == (True, False)
    assert weak.opaque == strong.opaque
    assert responses.entity_tag(headers(ETag='w/"a"')) is None


@pytest.mark.parametrize(
    ("said", "meant"),
    [("bytes", True), ("Bytes, x", True), ("none", False), ("items", None), ("", None)],
)
def test_ranges_are_accepted_refused_or_not_spoken_of(said: str, meant: bool | None) -> None:
    assert responses.accepts_ranges(headers(Accept_Ranges=said)) is meant


def test_the_kind_of_a_body_comes_without_parameters() -> None:
    said = headers(Content_Type="Text/CSV; charset=utf-8", Content_Encoding="Identity")
    assert responses.content_kind(said) == "text/csv"
    assert responses.content_encoding(said) == ""


@pytest.mark.parametrize(
    "page",
    [
        b"<!DOCTYPE html><html>",
        b"\n\n  <!doctype HTML PUBLIC>",
        b"\xef\xbb\xbf<html lang='en'>",
        b"<HTML>",
        b"<!-- main-\ntenance -->\n<!-- since noon --><html>",
        b'<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC>',
        b"<head><title>Error",
    ],
)
def test_pages_for_people_are_known_by_how_they_begin(page: bytes) -> None:
    assert responses.looks_like_html(page)


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"PK\x03\x04",
        b"Vehicle_ID,Frame_ID\n",
        b'{"html": 1}',
        b'<?xml version="1.0"?><gpx>',
        b"html,body\n",
        b"<htmlish>",
        b"a,<html>",
    ],
)
def test_files_are_no_pages(file: bytes) -> None:
    assert not responses.looks_like_html(file)


def test_unclosed_comments_cost_no_more_than_a_look() -> None:
    assert not responses.looks_like_html(b"<!--" * 200_000)
    assert not responses.looks_like_html(b"<!---->" * 140 + b"<")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Data.Transportation.gov/x", "data.transportation.gov"),
        ("https://a.example:443/", "a.example"),
        ("http://a.example:443/", "a.example:443"),
        ("http://[::1]:8080/x", "[::1]:8080"),
        ("http://[::1]/x", "[::1]"),
    ],
)
def test_a_host_has_one_name(url: str, host: str) -> None:
    assert responses.host_of(url) == host


SECRET = "s3cr3t"  # noqa: S105 - of nobody


@pytest.mark.parametrize(
    "name",
    [
        "$$app_token",
        "token",
        "access_token",
        "api_key",
        "apikey",
        "X-Amz-Signature",
        "X-Amz-Credential",
        "X-Amz-Security-Token",
        "sig",
        "key",
        "Password",
        "client_secret",
        "code",
        "auth",
        "appid",
    ],
)
def test_values_of_secret_names_are_not_shown(name: str) -> None:
    shown = responses.redacted(f"https://u:{SECRET}@a.example/x?{name}={SECRET}&n=1#{SECRET}")
    assert SECRET not in shown
    assert shown.startswith("https://a.example/x?")
    assert "n=1" in shown


@given(st.sampled_from(["location", "session_key", "$where", "$limit", "keyword"]), TEXT)
def test_other_values_are_shown(name: str, value: str) -> None:
    from yarl import URL

    url = URL("https://a.example/x").with_query([(name, value)])
    assert responses.redacted(url) == str(url)
    assert responses.redacted(str(url)) == str(url)


@given(TEXT)
@example("http://[")
@example("http://a:99999999/")
@example("mailto:a@b")
def test_any_text_can_be_shown(text: str) -> None:
    assert isinstance(responses.redacted(text), str)
