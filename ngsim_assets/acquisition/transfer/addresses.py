"""Where requests may go: addresses, redirects, proxies.

Belongs here: which address is asked, and by which way. Does not belong here: requests
(client.py), how an address is shown (responses.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from ngsim_assets.acquisition.transfer import responses
from ngsim_assets.acquisition.transfer.errors import BadAddress, UnsafeRedirect

_SCHEMES = {"http", "https"}
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_WELL_FORMED = re.compile(r"[!-~]+")


def asked(url: str, params: Mapping[str, str] | None) -> URL:
    """`url` with `params` added; BadAddress if it cannot be asked, or holds a password."""
    try:
        target = URL(url)
        has_host = _has_host(target)
    except ValueError:
        raise BadAddress(url, "it cannot be read") from None
    if target.scheme not in _SCHEMES or not has_host:
        raise BadAddress(url, "it is not an http(s) address")
    if target.user is not None or target.password is not None:
        raise BadAddress(url, "it holds a user or a password")
    return (target.extend_query(params) if params else target).with_fragment(None)


def origin(url: URL) -> tuple[str, str]:
    """Whom `url` asks, and how: what headers for one must not be sent to another."""
    return url.scheme, responses.host_of(url)


def is_private(url: URL) -> bool:
    """Whether nobody on the way reads what is sent to `url`."""
    return url.scheme == "https" or url.host in _LOOPBACK


def onward(response: aiohttp.ClientResponse) -> URL:
    """Where a redirect leads; UnsafeRedirect if it may not be followed."""
    here, location = response.url, response.headers["Location"]
    try:
        # a well-formed address is asked for as it was written: it may be signed
        said = URL(location, encoded=_WELL_FORMED.fullmatch(location) is not None)
        target = here.join(said).with_fragment(None)
        has_host = _has_host(target) and (bool(said.host) or not said.scheme)
    except ValueError:
        raise UnsafeRedirect(str(here), location) from None
    if (
        target.scheme not in _SCHEMES
        or not has_host
        or (here.scheme == "https" and target.scheme == "http")
        or target.user is not None
    ):
        raise UnsafeRedirect(str(here), str(target))
    return target


def _has_host(url: URL) -> bool:
    """Whether `url` has a host; ValueError if that is no name that can be looked up."""
    host = url.host or ""
    host.encode("idna")
    return bool(host)


def proxy_for(target: URL) -> str | None:
    """The proxy of the environment for `target`, none for this machine itself.

    aiohttp's `trust_env` would find it too, and with it a password for the host in ~/.netrc,
    which nobody asked to be sent.
    """
    if target.host is None or target.host in _LOOPBACK or proxy_bypass(target.host):
        return None
    proxy = getproxies().get(target.scheme)
    if proxy is None:
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if not proxy.startswith(("http://", "https://")):
        raise BadAddress(proxy, "only http(s) proxies can be used")
    return proxy
