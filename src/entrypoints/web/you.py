"""`/you`: the name that a visitor writes under."""

from litestar.types import ASGIApp

from domain.rules import check_name
from entrypoints.web.routes import Route
from entrypoints.web.visit import Visit, see_other
from entrypoints.web.whoami import name_cookie


class You:
    def routes(self) -> list[Route]:
        return [Route("/you", submit=self.choose_name)]

    async def choose_name(self, visit: Visit) -> ASGIApp:
        """An empty name forgets the one that was chosen."""
        form = await visit.form()
        name = form.name("name")
        if name:
            check_name(name, "name", visit.services.limits)
        return see_other(form.text("back"), [name_cookie(name or None)])
