// Small charts of one value over the last minutes, ten at most, drawn as SVG.

import { element, setAttribute, setText, shape } from "./dom.js";
import { clock, duration } from "./format.js";

const [LEAST_S, MOST_S] = [60, 600];

/** The seconds that a chart of these points covers. */
function spanOf(points) {
  const known = points.length > 0 ? points.at(-1)[0] - points[0][0] : 0;
  return Math.min(Math.max(known, LEAST_S), MOST_S);
}

/** The path of a line through points [time, value or null]; a gap where a value is missing. */
function path(points, width, height, top) {
  const [end, span] = [points.at(-1)?.[0], spanOf(points)];
  let line = "";
  let pen = "M";
  for (const [time, value] of points) {
    if (value === null) {
      pen = "M";
      continue;
    }
    const x = width * (1 - (end - time) / span);
    const y = height - (height * Math.min(value, top)) / top;
    line += `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;
    pen = "L";
  }
  return line;
}

/** The same line closed along the bottom, for filling; only where nothing is missing in between. */
function area(points, line, width, height) {
  const [end, span] = [points.at(-1)?.[0], spanOf(points)];
  const known = points.filter(([, value]) => value !== null);
  if (known.length < 2 || line.lastIndexOf("M") > 0) return "";
  const x = (time) => (width * (1 - (end - time) / span)).toFixed(1);
  return `${line}L${x(known.at(-1)[0])} ${height}L${x(known[0][0])} ${height}Z`;
}

/** The least round number that is not below value: 1, 2, 5, 10, 20, ... */
export function roundUp(value) {
  if (value <= 1) return 1;
  const size = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((factor) => factor * size).find((top) => top >= value);
}

/** A line without axes. */
export class Sparkline {
  #width;
  #height;
  #area = shape("path", { class: "area" });
  #line = shape("path", { class: "line" });

  constructor(width, height) {
    this.#width = width;
    this.#height = height;
    const box = { viewBox: `0 -1.5 ${width} ${height + 3}`, preserveAspectRatio: "none", "aria-hidden": "true" };
    this.node = shape("svg", { class: "sparkline", ...box }, this.#area, this.#line);
  }

  /** Draw the points, with at least this value at the top. */
  draw(points, atLeast = 1) {
    const top = Math.max(atLeast, ...points.map(([, value]) => value ?? 0));
    const line = path(points, this.#width, this.#height, top);
    setAttribute(this.#line, "d", line);
    setAttribute(this.#area, "d", area(points, line, this.#width, this.#height));
  }
}

/** A line with a scale, and the value at the pointer. */
export class Chart {
  #format;
  #points = [];
  #sparkline = new Sparkline(600, 120);
  #top = element("span", { className: "scale-top" });
  #cursor = element("span", { className: "cursor", hidden: "" });
  #now = element("span", { className: "now" });
  #since = element("span");

  constructor(title, format) {
    this.#format = format;
    const plot = element("div", { className: "plot" }, this.#sparkline.node, this.#top, this.#cursor);
    const times = element("div", { className: "times" }, this.#since, element("span", { text: "now" }));
    const caption = element("figcaption", {}, element("span", { text: title }), this.#now);
    this.node = element("figure", { className: "chart" }, caption, plot, times);
    plot.addEventListener("pointermove", (event) => this.#point(event, plot));
    plot.addEventListener("pointerleave", () => (this.#cursor.hidden = true));
  }

  /** Draw the points. */
  draw(points) {
    this.#points = points;
    const top = roundUp(Math.max(0, ...points.map(([, value]) => value ?? 0)));
    this.#sparkline.draw(points, top);
    setText(this.#top, this.#format(top));
    setText(this.#now, this.#format(points.at(-1)?.[1] ?? null));
    setText(this.#since, `${duration(spanOf(points))} ago`);
  }

  #point(event, plot) {
    const end = this.#points.at(-1)?.[0];
    if (end === undefined) return;
    const box = plot.getBoundingClientRect();
    const span = spanOf(this.#points);
    const time = end - span * (1 - (event.clientX - box.left) / box.width);
    const near = this.#points.reduce((best, point) => (Math.abs(point[0] - time) < Math.abs(best[0] - time) ? point : best));
    this.#cursor.hidden = false;
    this.#cursor.style.left = `${Math.min(Math.max(100 * (1 - (end - near[0]) / span), 0), 100)}%`;
    setText(this.#cursor, `${this.#format(near[1])} at ${clock(near[0])}`);
  }
}
