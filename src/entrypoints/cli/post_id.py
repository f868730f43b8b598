"""A post's id as an argument."""

from typing import Any
from uuid import UUID

import click

from domain.ids import PostId


class PostIdParameter(click.ParamType[PostId]):
    """A UUID in any spelling; as the log spells it."""

    name = "post id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> PostId:
        try:
            return PostId(str(UUID(str(value))))
        except ValueError:
            self.fail(f"{value!r} is not a post id, which is a UUID.", param, ctx)
