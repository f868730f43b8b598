"""Ids, in storage and on the wire: a UUID as lower-case text with hyphens, 36 characters."""

from typing import NewType

PostId = NewType("PostId", str)
CommentId = NewType("CommentId", str)
