"""The converters of docs/importing.md, as they stand there, on small exports in the form of the real ones."""

import json
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from running import postlog

PAGE = Path(__file__).parents[3] / "docs/importing.md"

PUBLIC = "https://www.w3.org/ns/activitystreams#Public"
ANN = "https://mastodon.example/users/ann"


def status(number: int, content: str, to: list[str], **more: Any) -> dict[str, Any]:
    published = f"2023-01-02T03:04:0{number}Z"
    note = {
        "id": f"{ANN}/statuses/{number}",
        "type": "Note",
        "summary": None,
        "inReplyTo": None,
        "published": published,
        "url": f"https://mastodon.example/@ann/{number}",
        "attributedTo": ANN,
        "to": to,
        "cc": [f"{ANN}/followers"],
        "sensitive": False,
        "content": content,
        "contentMap": {"en": content},
        "attachment": [],
        "tag": [],
        **more,
    }
    common = {"actor": ANN, "published": published, "to": to, "cc": [f"{ANN}/followers"]}
    return {"id": f"{ANN}/statuses/{number}/activity", "type": "Create", **common, "object": note}


def mastodon(folder: Path) -> str:
    boost = {"id": "x", "type": "Announce", "actor": ANN, "published": "2023-01-02T03:04:05Z", "to": [PUBLIC], "cc": []}
    items = [
        status(1, "<p>Hello &amp; good<br />morning</p><p>Zoë 🙂</p>", [PUBLIC]),
        status(2, "<p>Liked</p>", [PUBLIC], likes={"id": "x", "type": "Collection", "totalItems": 3}),
        status(3, "<p>For my eyes only</p>", [f"{ANN}/followers"]),
        boost | {"object": "https://mastodon.example/users/bob/statuses/9"},
    ]
    outbox = {"@context": "https://www.w3.org/ns/activitystreams", "id": "outbox.json", "type": "OrderedCollection"}
    file = folder / "outbox.json"
    file.write_text(json.dumps(outbox | {"totalItems": len(items), "orderedItems": items}, ensure_ascii=False))
    return str(file)


def twitter(folder: Path) -> str:
    def tweet(number: int, text: str, likes: str) -> dict[str, Any]:
        return {
            "tweet": {
                "edit_info": {"initial": {"editTweetIds": [str(number)]}},
                "retweeted": False,
                "source": '<a href="https://mobile.twitter.com">Twitter Web App</a>',
                "entities": {"hashtags": [], "user_mentions": [], "urls": []},
                "favorite_count": likes,
                "id_str": str(number),
                "truncated": False,
                "retweet_count": "0",
                "created_at": f"Wed Jan 05 12:00:0{number} +0000 2022",
                "full_text": text,
                "lang": "en",
            }
        }

    tweets = [tweet(1, "Hello &amp; good\nmorning, Zoë 🙂", "0"), tweet(2, "Liked", "3"), tweet(3, "RT @bob: x", "0")]
    account = [{"account": {"email": "ann@example.com", "createdVia": "web", "username": "ann", "accountId": "7"}}]
    for name, content in (("tweets", tweets), ("account", account)):
        text = json.dumps(content, ensure_ascii=False, indent=2)
        (folder / f"{name}.js").write_text(f"window.YTD.{name}.part0 = {text}\n", encoding="utf-8")
    return str(folder)


def reddit(folder: Path) -> str:
    (folder / "statistics.csv").write_text("statistic,value\naccount name,ann\nexport time,2024-01-01 00:00:00 UTC\n")
    (folder / "posts.csv").write_text(
        "id,permalink,date,ip,subreddit,gildings,title,url,body\n"
        "abc,https://www.reddit.com/r/x/comments/abc/hello/,2020-01-02 03:04:05 UTC,,x,0,"
        'Hello,https://example.com/,"Good\nmorning, ""Zoë"" 🙂"\n'
        "abd,https://www.reddit.com/r/x/comments/abd/liked/,2020-01-02 03:04:06 UTC,,x,0,Only a title,,\n",
        encoding="utf-8",
    )
    return str(folder)


EXPECTED = {
    "Mastodon": [
        ("ann", "Hello & good\nmorning\nZoë 🙂", "2023-01-02T03:04:01.000Z", 0),
        ("ann", "Liked", "2023-01-02T03:04:02.000Z", 3),
    ],
    "Twitter": [
        ("ann", "Hello & good\nmorning, Zoë 🙂", "2022-01-05T12:00:01.000Z", 0),
        ("ann", "Liked", "2022-01-05T12:00:02.000Z", 3),
    ],
    "Reddit": [
        ("ann", 'Hello\n\nhttps://example.com/\n\nGood\nmorning, "Zoë" 🙂', "2020-01-02T03:04:05.000Z", 0),
        ("ann", "Only a title", "2020-01-02T03:04:06.000Z", 0),
    ],
}


def converter(system: str) -> str:
    section = PAGE.read_text(encoding="utf-8").partition(f"## From {system}\n")[2].partition("\n## ")[0]
    [code] = re.findall(r"```python\n(.+?)```", section, re.DOTALL)
    return str(code)


def posts_in(log: Path) -> list[tuple[str, str, str, int]]:
    with closing(sqlite3.connect(log)) as connection:
        commits = [json.loads(events) for (events,) in connection.execute("SELECT events FROM commits")]
    made = [(commit[0]["data"], len(commit) - 1) for commit in commits]
    return sorted((data["author"], data["message"], data["datePosted"], likes) for data, likes in made)


@pytest.mark.parametrize("export", [mastodon, twitter, reddit], ids=EXPECTED)
def test_an_export_is_converted_and_imported(export: Any, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    system = request.node.callspec.id
    script, lines = tmp_path / "convert.py", tmp_path / "posts.ndjson"
    script.write_text(converter(system), encoding="utf-8")
    assert len([line for line in converter(system).splitlines() if line]) <= 12
    with lines.open("wb") as output:
        subprocess.run([sys.executable, script, export(tmp_path)], stdout=output, check=True, timeout=30)

    env = {"POSTLOG_DATA": str(tmp_path / "data")}
    done = postlog("import", str(lines), env=env)

    assert (done.returncode, done.stderr) == (0, "")
    assert posts_in(tmp_path / "data/log.sqlite") == EXPECTED[system]


@pytest.mark.parametrize("export", [mastodon, twitter, reddit], ids=EXPECTED)
def test_an_export_itself_is_refused_with_a_hint_to_the_converter(export: Any, tmp_path: Path) -> None:
    path = Path(export(tmp_path))
    file = path if path.is_file() else next(path.glob("tweets.js"), path / "posts.csv")
    done = postlog("import", str(file), env={"POSTLOG_DATA": str(tmp_path / "data")})
    assert done.returncode == 2
    assert "docs/importing.md has converters for exports of Mastodon, Twitter and Reddit" in done.stderr
    assert not (tmp_path / "data").exists()


def test_the_line_on_the_page_is_imported(tmp_path: Path) -> None:
    [example] = re.findall(r"```json\n(.+?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    file = tmp_path / "posts.ndjson"
    file.write_text(example)
    assert postlog("import", str(file), env={"POSTLOG_DATA": str(tmp_path / "data")}).returncode == 0
    assert posts_in(tmp_path / "data/log.sqlite") == [("Ann", "Hello", "2020-01-31T09:30:00.000Z", 3)]
