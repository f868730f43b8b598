"""How a reader sees one moment of the database. It depends on two options of the database: with
READ_COMMITTED_SNAPSHOT every statement does; with ALLOW_SNAPSHOT_ISOLATION alone, a statement that is a transaction of
that kind; with neither, none."""

from enum import Enum

from sqlalchemy import Connection

OPTIONS = (
    "SELECT is_read_committed_snapshot_on, snapshot_isolation_state FROM sys.databases WHERE database_id = DB_ID()"
)

_KEY = "postlog.moments"


class Moments(Enum):
    EVERY_STATEMENT = "every statement sees one"
    SNAPSHOT = "a statement that is a snapshot transaction sees one"
    NONE = "an answer is believed when it is given twice"

    @classmethod
    def of(cls, read_committed_snapshot: bool, snapshot_isolation_state: int) -> "Moments":
        """`snapshot_isolation_state` is 1 when it is on, and neither off nor on the way there."""
        if read_committed_snapshot:
            return cls.EVERY_STATEMENT
        return cls.SNAPSHOT if snapshot_isolation_state == 1 else cls.NONE


def remember(info: dict[str, object], moments: Moments) -> None:
    """The options can't change while a connection is open, but for snapshots that are switched off."""
    info[_KEY] = moments


def one_moment(connection: Connection) -> bool:
    """Whether each of the statements that follow will see one moment."""
    moments = connection.info[_KEY]
    if moments is Moments.SNAPSHOT:
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL SNAPSHOT")
    return moments is not Moments.NONE
