"""Forms are taken from this site's own pages only. The browser itself says where a form was sent from, so no token has
to be kept: `Sec-Fetch-Site` (all current browsers), else `Origin` (all others since 2020), which pages can't forge.
"""

from urllib.parse import urlsplit

from domain.errors import NotAllowed
from entrypoints.serving.exchange import Exchange


def require_same_origin(exchange: Exchange) -> None:
    """Raises `NotAllowed`. Another port of this machine is another site, though browsers call it the same one."""
    fetched_from = exchange.header(b"sec-fetch-site")
    allowed = fetched_from == "same-origin" if fetched_from is not None else _origin_is_host(exchange)
    if not allowed:
        raise NotAllowed(
            "This form was not sent from a page of this service, so it was not taken. Open the page here, and send it "
            "again. Programs use the API under /api/v1."
        )


def _origin_is_host(exchange: Exchange) -> bool:
    origin, host = exchange.header(b"origin"), exchange.header(b"host")
    if origin is None or host is None:
        return False
    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:  # such as "http://[": no browser sends it
        return False
