"""Charts of the curves: every point is in the picture, at its place."""

import re
from xml.etree import ElementTree as ET

from benchmarks.svg import Chart, svg, ticks

_SVG = "{http://www.w3.org/2000/svg}"


def test_ticks_are_round_numbers_around_all_values() -> None:
    assert ticks([3.0, 47.0], is_log=False) == [0, 10, 20, 30, 40, 50]
    assert ticks([0.0], is_log=False)[0] == 0
    assert ticks([12.0, 1_000_000.0], is_log=True) == [10, 100, 1_000, 10_000, 100_000, 1_000_000]
    assert ticks([5.0], is_log=True) == [1, 10]


def test_each_line_has_its_points_in_the_plot_and_its_name_in_the_legend() -> None:
    chart = Chart(
        title="a < b", x="events", y="ms", log_x=True, marks={100.0: "rebuild"},
        lines={"one": [(10, 0), (100, 50), (1_000, 100)], "two & more": [(10, 7)]},
    )  # fmt: skip
    root = ET.fromstring(svg(chart))
    one, two = ([tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split(" ")]
                for line in root.iter(f"{_SVG}polyline"))  # fmt: skip
    assert [y for _, y in one] == [328.0, 196.0, 64.0]
    assert one[1][0] - one[0][0] == one[2][0] - one[1][0] == 314.0
    assert two[0][0] == one[0][0]
    texts = [text.text for text in root.iter(f"{_SVG}text")]
    assert {"a < b", "events", "ms", "one", "two & more", "rebuild"} <= set(texts)
    assert re.search(r"M390\.0 64V328", svg(chart))
