"""UUIDs of version 7."""

import uuid_utils


class UuidIds:
    def new(self) -> str:
        return str(uuid_utils.uuid7())
