"use strict";

// The plots of the operations page. The page has the first samples, and receives one more each second:
// [seconds since 1970, position of the log, position of the rows, seconds that the rows are behind].
(() => {
  const MOST = 1800; // as many as the server keeps
  const place = document.getElementById("plots");
  place.hidden = false;
  const samples = JSON.parse(place.dataset.samples);
  const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // Positions passed in a second, between each sample and the one before it.
  const rates = (column) =>
    samples.map((sample, index) => {
      const before = samples[index - 1];
      if (!before || sample[column] === null || before[column] === null || sample[0] <= before[0]) return null;
      return Math.max(0, (sample[column] - before[column]) / (sample[0] - before[0]));
    });

  const times = () => samples.map((sample) => sample[0]);
  const lag = () => [times(), samples.map((sample) => sample[3])];
  const rate = () => [times(), rates(1), rates(2)];

  const axis = (more) => ({
    stroke: token("--quiet"),
    font: `12px ${token("--sans")}`,
    grid: { stroke: token("--line"), width: 1 },
    ticks: { show: false },
    ...more,
  });
  const line = (color, fill) => ({ stroke: token(color), width: 2, fill: fill && `${token(color)}22`, points: { show: false } });
  const figure = (value) => (value === null ? "" : value.toLocaleString("en", { maximumFractionDigits: 1 }));

  const make = (id, data, series) => {
    const at = document.getElementById(id);
    const options = {
      width: at.clientWidth,
      height: 150,
      legend: { show: false },
      cursor: { show: false },
      scales: { y: { range: (_, __, max) => [0, Math.max(1, (max || 0) * 1.1)] } },
      axes: [
        axis({ space: 70, size: 30, values: [[1, "{HH}:{mm}:{ss}", null, null, null, null, null, null, 0]] }),
        axis({ size: 48, space: 34, values: (_, ticks) => ticks.map(figure) }),
      ],
      series: [{}, ...series],
    };
    at.replaceChildren();
    return { plot: new uPlot(options, data(), at), data, at };
  };

  let plots = [];
  const draw = () => {
    plots = [
      make("plot-lag", lag, [line("--accent", true)]),
      make("plot-rate", rate, [line("--accent", true), line("--warn", false)]),
    ];
  };

  document.addEventListener("live:arrived", (event) => {
    const sample = event.target.dataset.sample && JSON.parse(event.target.dataset.sample);
    if (!sample || (samples.length && sample[0] <= samples[samples.length - 1][0])) return;
    samples.push(sample);
    if (samples.length > MOST) samples.shift();
    for (const { plot, data } of plots) plot.setData(data());
  });

  new ResizeObserver(() => {
    for (const { plot, at } of plots) if (at.clientWidth && at.clientWidth !== plot.width) plot.setSize({ width: at.clientWidth, height: 150 });
  }).observe(place);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
})();
