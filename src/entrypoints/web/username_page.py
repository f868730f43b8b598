"""`/you`: the name that a visitor writes under."""

from litestar.types import ASGIApp

from domain.rules import check_name
from entrypoints.web.page_request import PageRequest, Route, see_other
from entrypoints.web.username_cookie import username_cookie


class UsernamePage:
    def routes(self) -> list[Route]:
        return [Route("/you", submit=self.choose_name)]

    async def choose_name(self, visit: PageRequest) -> ASGIApp:
        """An empty name forgets the one that was chosen."""
        form = await visit.form()
        name = form.name("name")
        if name:
            check_name(name, "name", visit.services.limits)
        return see_other(form.text("back"), [username_cookie(name or None)])
