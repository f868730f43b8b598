"""psycopg, which PostgreSQL is spoken to through: is it on this machine?"""

from application.errors import CannotOpen

SETTING = "read_db.postgres.url"


def require_driver() -> None:
    """A service starts while its server is away, but not without a driver. Raises `CannotOpen`."""
    try:
        import psycopg  # noqa: F401 (only whether it can be)
    except ImportError as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise CannotOpen(
            f"{SETTING} needs the driver psycopg, which can't be loaded: {reason}. Install 'psycopg[binary]'.",
            path=SETTING,
        ) from error
