"""Renders the Jinja templates of the pages."""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from msgspec import json

from domain.names import name_key
from entrypoints.serving.formats import instant_text
from entrypoints.web import formatting
from entrypoints.web.static_files import file_address

_HTMX = json.encode(
    {
        "allowEval": False,  # the content security policy forbids it too
        "allowScriptTags": False,
        "includeIndicatorStyles": False,
        "historyCacheSize": 0,  # pages have personal data, which the browser should not keep
        "scrollIntoViewOnBoost": False,
        "timeout": 30_000,
        "responseHandling": [
            {"code": "204", "swap": False},
            {"code": "[23]..", "swap": True},
            {
                "code": "[45]..",
                "swap": True,
                "target": "#notice",
                "select": "#problem > *",
                "swapOverride": "innerHTML",
            },
        ],
    }
).decode()
_TEMPLATES = Path(__file__).parent / "templates"


def render(name: str, context: dict[str, Any]) -> bytes:
    """Values are escaped. A name that `context` lacks is an error."""
    return _environment().get_template(name).render(context).encode()


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        "counted": formatting.counted,
        "initial": formatting.initial,
        "instant": instant_text,
        "moment": formatting.moment_text,
        "name_key": name_key,
        "number": "{:,}".format,
        "shortened": formatting.shortened,
        "title_of": formatting.title_of,
        "tone": formatting.tone,
        "ago": formatting.ago,
        "clock_time": formatting.clock_time,
        "lasting": formatting.lasting,
        "minute": formatting.minute,
        "pretty": formatting.pretty,
    }
    environment.globals |= {"file": file_address, "htmx_config": _HTMX}
    return environment
