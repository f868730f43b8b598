"""Settings handed from a service to a process that it starts."""

from entrypoints.settings.loading import Option, load_settings
from entrypoints.settings.transfer import from_line, to_line

URL = "postgresql+psycopg://ann:s3cr3t@db/postlog"


def test_they_arrive_whole_passwords_included_on_one_line() -> None:
    given = load_settings(
        environ={"POSTLOG__READ_DB__POSTGRES__URL": URL, "POSTLOG__LIMITS__NAME": "77"},
        options=[Option("read_db.adapter", "postgres", "--read-db")],
    )
    line = to_line(given.settings)
    arrived = from_line(line + b"\n")
    assert b"\n" not in line
    assert arrived.settings == given.settings
    assert arrived.settings.read_db.postgres.url.reveal() == URL
    assert "s3cr3t" not in repr(arrived)


def test_every_value_says_where_it_came_from() -> None:
    given = load_settings(environ={})
    assert from_line(to_line(given.settings)).sources["log.level"] == "the service that began this"
