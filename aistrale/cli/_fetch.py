"""One file from the network, because somebody asked for it."""

from __future__ import annotations

from time import monotonic

from aistrale._version import __version__
from aistrale.errors import ConfigurationError, NetworkError

SECONDS = 30.0
_OK = 200


def fetch(url: str) -> bytes:
    """Fetch a file.

    Args:
        url: https; http at this very machine alone.

    Returns:
        Its bytes, at most those of a price book.

    Raises:
        ConfigurationError: The address is none that is fetched, or answers with something else than a file.
        NetworkError: It could not be fetched.
    """
    from urllib.parse import urlsplit

    from aistrale.core.http import HttpError, HttpRequest, SyncHttp
    from aistrale.core.runtime import run_sync
    from aistrale.cost.book.price_book import LARGEST

    try:
        parts = urlsplit(url)
        local = parts.hostname in {"127.0.0.1", "::1", "localhost"}
    except ValueError:
        raise ConfigurationError(f"{url}: not an address.") from None
    if parts.scheme != "https" and not (parts.scheme == "http" and local):
        raise ConfigurationError("only https addresses are fetched.", hint="Give a https address, or a file.")
    http = SyncHttp(max_body=LARGEST)
    until = monotonic() + SECONDS
    request = HttpRequest("GET", url, [("accept", "application/json"), ("user-agent", f"aistrale/{__version__}")])
    try:
        response = run_sync(http.open(request, connect_until=until, until=until))
        if response.status != _OK:
            run_sync(response.close())
            hint = "Redirects are not followed." if 300 <= response.status < 400 else None
            raise ConfigurationError(f"{parts.hostname} answered with HTTP status {response.status}.", hint=hint)
        return run_sync(response.read(until))
    except HttpError as error:
        raise NetworkError(
            f"{parts.hostname}: the price data could not be fetched ({type(error).__name__}).",
            hint="Fetch it in another way and give the file: aistrale prices update --from FILE.",
        ) from None
    except ValueError:
        raise ConfigurationError(f"{parts.hostname}: the address cannot be asked for.") from None
    finally:
        run_sync(http.close())
