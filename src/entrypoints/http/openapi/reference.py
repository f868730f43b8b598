"""The OpenAPI document as HTML for people: one page that needs neither JavaScript nor another server."""

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

Schema = Mapping[str, Any]

_METHODS = ("get", "post", "put", "delete")
_SHOWN_LIMITS = ("minimum", "maximum", "minLength", "maxLength", "default")


def reference_page(document: Schema, try_it_at: str) -> str:
    """The content of a page's `<main>`. `try_it_at` is the path of the page that sends requests."""
    operations = [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in _METHODS
    ]
    by_tag = {tag["name"]: [each for each in operations if tag["name"] in each[2]["tags"]] for tag in document["tags"]}
    links = (
        f'<a href="{try_it_at}">Try it in the browser</a> (needs JavaScript) · '
        '<a href="/openapi.json">OpenAPI document</a> · <a href="/problems">All problems</a>'
    )
    parts = [f"<h1>{escape(document['info']['title'])} API</h1>"]
    parts += [f"<p>{_text(part)}</p>" for part in document["info"]["description"].strip().split("\n\n")]
    parts += [f"<p>{links}</p>", '<nav aria-label="Operations">']
    parts += [_contents(tag, tagged) for tag, tagged in by_tag.items()]
    parts.append("</nav>")
    for tag, tagged in by_tag.items():
        parts += [f"<h2>{escape(tag)}</h2>", *(_operation(*each) for each in tagged)]
    parts += ["<h2>Schemas</h2>", *(_schema(*each) for each in document["components"]["schemas"].items())]
    return "\n".join(parts)


def _contents(tag: str, operations: Sequence[tuple[str, str, Schema]]) -> str:
    items = "\n".join(
        f'<li><a href="#{operation["operationId"]}">{escape(operation["summary"])}</a> '
        f"<code>{method.upper()} {escape(path)}</code></li>"
        for method, path, operation in operations
    )
    return f"<p>{escape(tag)}</p>\n<ul>\n{items}\n</ul>"


def _operation(method: str, path: str, operation: Schema) -> str:
    parts = [
        f'<section id="{operation["operationId"]}">',
        f"<h3>{escape(operation['summary'])}</h3>",
        f"<p><code>{method.upper()} {escape(path)}</code></p>",
    ]
    if "description" in operation:
        parts.append(f"<p>{_text(operation['description'])}</p>")
    if "requestBody" in operation:
        body = "; ".join(_type(each["schema"]) for each in operation["requestBody"]["content"].values())
        parts.append(f"<p>Body: {body}{'' if operation['requestBody'].get('required') else ', optional'}</p>")
    parameters = (
        (
            f"<code>{escape(each['name'])}</code>{', required' if each.get('required') else ''}",
            escape(each["in"]),
            f"{_text(each.get('description', ''))} {_limits(each['schema'])}",
        )
        for each in operation["parameters"]
    )
    parts.append(_table("Parameters", ("name", "in", "meaning"), parameters))
    responses = ((escape(status), _response(response)) for status, response in operation["responses"].items())
    parts.append(_table("Responses", ("status", "meaning"), responses))
    return "\n".join([*parts, "</section>"])


def _response(response: Schema) -> str:
    bodies = (_type(each["schema"]) for each in response.get("content", {}).values())
    return f"{_text(response['description'])} {', '.join(dict.fromkeys(bodies))}"


def _schema(name: str, schema: Schema) -> str:
    required = schema.get("required", ())
    fields = [
        (
            f"<code>{escape(field)}</code>{', required' if field in required else ''}",
            _type(described),
            f"{_text(described.get('description', ''))} {_limits(described)}",
        )
        for field, described in schema.get("properties", {}).items()
    ]
    head = f'<section id="{_anchor(name)}">\n<h3>{escape(name)}</h3>'
    about = f"<p>{_text(schema['description'])}</p>" if "description" in schema else ""
    body = _table("Fields", ("name", "type", "meaning"), fields) if fields else f"<p>{_type(schema)}</p>"
    return f"{head}\n{about}\n{body}\n</section>"


def _type(schema: Schema) -> str:
    """HTML: a link to a named schema, or the name of a JSON type."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#{_anchor(name)}">{escape(name)}</a>'
    for union in ("oneOf", "anyOf"):
        if union in schema:
            return " or ".join(_type(each) for each in schema[union])
    match schema.get("type"):
        case "array":
            return f"array of {_type(schema.get('items', {}))}"
        case str(name):
            return escape(f"{name} ({schema['format']})" if "format" in schema else name)
        case [*names]:
            return escape(" or ".join(str(name) for name in names))
        case _:
            return ", ".join(f"<code>{escape(str(value))}</code>" for value in schema.get("enum", ())) or "any value"


def _limits(schema: Schema) -> str:
    found = [f"{name} {schema[name]}" for name in _SHOWN_LIMITS if name in schema]
    return f"<small>{escape(', '.join(found))}</small>" if found else ""


def _anchor(name: str) -> str:
    return f"shape-{re.sub(r'[^A-Za-z0-9_.-]', '-', name)}"


def _table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """`rows` are HTML."""
    titles = "".join(f'<th scope="col">{escape(title)}</th>' for title in head)
    body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table>\n<caption>{escape(caption)}</caption>\n<tr>{titles}</tr>\n{body}\n</table>"


def _text(markdown: str) -> str:
    """HTML of the Markdown that the document uses: code and strong text."""
    html = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(markdown, quote=False))
    return re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", html)
