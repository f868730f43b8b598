"""Whether queries can be answered: a read database may answer while it is being filled for the first time."""

from application.ports.post_views import PostViews
from application.ports.provisioning import ProbeResult
from domain.errors import PostlogError


class RowsReady:
    name = "rows"

    def __init__(self, views: PostViews) -> None:
        self._views = views

    async def probe(self) -> ProbeResult:
        try:
            stamp = await self._views.stamp()
        except PostlogError as error:
            return ProbeResult(self.name, False, error.message)
        if not stamp.ready:
            return ProbeResult(
                self.name, False, f"They are being filled from the log, up to position {stamp.position:,}."
            )
        return ProbeResult(self.name, True, f"They stand at position {stamp.position:,}.")
