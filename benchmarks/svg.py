"""A line chart as SVG text."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

Points = Sequence[tuple[float, float]]

_WIDTH, _HEIGHT = 720, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 16, 64, 52
_COLOURS = ("#1f6fb4", "#c2410c", "#15803d", "#7c3aed", "#a16207", "#be123c", "#0e7490")
_FONT = "font-family='system-ui, sans-serif' font-size='12' fill='#333'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """`lines` are points by name. On a logarithmic axis all values are above 0. `marks` are vertical lines, by where
    they stand."""

    title: str
    x: str
    y: str
    lines: Mapping[str, Points]
    log_x: bool = False
    log_y: bool = False
    marks: Mapping[float, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Axis:
    """From values to pixels, between `begin` and `end`."""

    ticks: Sequence[float]
    is_log: bool
    begin: float
    end: float

    def at(self, value: float) -> float:
        low, high, here = (math.log10(v) if self.is_log else v for v in (self.ticks[0], self.ticks[-1], value))
        return round(self.begin + (here - low) / (high - low) * (self.end - self.begin), 1)


def svg(chart: Chart) -> str:
    xs = [x for points in chart.lines.values() for x, _ in points]
    ys = [y for points in chart.lines.values() for _, y in points]
    x_axis = _Axis(ticks(xs, is_log=chart.log_x), chart.log_x, _LEFT, _WIDTH - _RIGHT)
    y_axis = _Axis(ticks(ys, is_log=chart.log_y), chart.log_y, _HEIGHT - _BOTTOM, _TOP)
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {_WIDTH} {_HEIGHT}' role='img' {_FONT}>",
        f"<title>{escape(chart.title)}</title><rect width='100%' height='100%' fill='white'/>",
        f"<text x='{_LEFT}' y='20' font-size='14' font-weight='600'>{escape(chart.title)}</text>",
        *_grid(x_axis, y_axis),
        f"<text x='{middle:.0f}' y='{_HEIGHT - 10}' text-anchor='middle'>{escape(chart.x)}</text>",
        f"<text x='{_LEFT - 60}' y='{_TOP - 10}'>{escape(chart.y)}</text>",
        *_marks(chart.marks, x_axis),
        *_lines(chart.lines, x_axis, y_axis),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def ticks(values: Sequence[float], *, is_log: bool) -> list[float]:
    """Round numbers around all values: powers of ten, or some steps from 0."""
    if is_log:
        low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
        return [10.0**power for power in range(low, max(high, low + 1) + 1)]
    most = max(*values, 1e-9)
    power = 10.0 ** math.floor(math.log10(most / 4))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power * 6 >= most)
    return [step * number for number in range(math.ceil(most / step - 1e-9) + 1)]


def _grid(x_axis: _Axis, y_axis: _Axis) -> list[str]:
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    lines = [f"M{_LEFT} {y_axis.at(tick)}H{right}" for tick in y_axis.ticks]
    lines += [f"M{x_axis.at(tick)} {_TOP}V{bottom}" for tick in x_axis.ticks]
    return [
        f"<path d='{''.join(lines)}' stroke='#ddd' fill='none'/>",
        *(f"<text x='{_LEFT - 6}' y='{y_axis.at(t) + 4}' text-anchor='end'>{_number(t)}</text>" for t in y_axis.ticks),
        *(f"<text x='{x_axis.at(t)}' y='{bottom + 18}' text-anchor='middle'>{_number(t)}</text>" for t in x_axis.ticks),
    ]


def _marks(marks: Mapping[float, str], x_axis: _Axis) -> list[str]:
    return [
        f"<path d='M{x_axis.at(x)} {_TOP}V{_HEIGHT - _BOTTOM}' stroke='#888' stroke-dasharray='4 3'/>"
        f"<text x='{x_axis.at(x) + 4}' y='{_TOP + 14}' fill='#666'>{escape(text)}</text>"
        for x, text in marks.items()
    ]


def _lines(lines: Mapping[str, Points], x_axis: _Axis, y_axis: _Axis) -> list[str]:
    parts: list[str] = []
    legend = float(_LEFT)
    for (name, points), colour in zip(lines.items(), _COLOURS, strict=False):
        pixels = [(x_axis.at(x), y_axis.at(y)) for x, y in points]
        path = " ".join(f"{x},{y}" for x, y in pixels)
        parts.append(f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='2'/>")
        if len(points) <= 20:
            parts += [f"<circle cx='{x}' cy='{y}' r='3' fill='{colour}'/>" for x, y in pixels]
        parts.append(f"<rect x='{legend:.0f}' y='30' width='10' height='10' fill='{colour}'/>")
        parts.append(f"<text x='{legend + 14:.0f}' y='39'>{escape(name)}</text>")
        legend += 30 + 6.6 * len(name)
    return parts


def _number(value: float) -> str:
    if value >= 1_000_000:
        return f"{value / 1_000_000:g}M"
    return f"{value / 1_000:g}k" if value >= 10_000 else f"{value:g}"
