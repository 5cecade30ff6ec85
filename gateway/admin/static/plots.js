// Small plots by hand: a line and the ground beneath it over the last three minutes, with what its edges stand for.

import { el } from "/admin/dom.js";

const NAMESPACE = "http://www.w3.org/2000/svg";
const WIDTH = 240;
const HEIGHT = 56;
const KEPT_S = 180;

export class Series {
  #points = []; // [moment in Unix seconds, value]

  add(at, value) {
    this.#points.push([at, value]);
    while (this.#points[0][0] < at - KEPT_S) this.#points.shift();
  }

  get points() {
    return this.#points;
  }

  get last() {
    return this.#points.at(-1)?.[1] ?? 0;
  }

  get most() {
    return Math.max(0, ...this.#points.map(([, value]) => value));
  }
}

export class Plot {
  #area = shape("path", { class: "area" });
  #line = shape("path", { class: "line" });
  #dot = shape("path", { class: "dot" });
  #most = el("span");
  #svg;
  #name;

  constructor(name) {
    this.#name = name;
    this.#svg = shape("svg", { class: "plot", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": name });
    this.#svg.append(shape("path", { class: "ground", d: `M0 ${HEIGHT}H${WIDTH}` }), this.#area, this.#line, this.#dot);
    // The picture's own name says the same.
    const edges = el("p", { class: "edges", "aria-hidden": "true" }, el("span", { text: `${KEPT_S / 60} min ago` }), this.#most, el("span", { class: "now", text: "now" }));
    this.element = el("div", { class: "plotted" }, this.#svg, edges);
  }

  /** `write` puts a value into words, with its unit. */
  draw({ points, last, most }, write) {
    const [now] = points.at(-1);
    const top = Math.max(most, 1e-9) * 1.15;
    const x = (at) => (WIDTH - 4 - ((now - at) / KEPT_S) * (WIDTH - 4)).toFixed(1);
    const y = (value) => (HEIGHT - 3 - (value / top) * (HEIGHT - 8)).toFixed(1);
    const path = points.map(([at, value], index) => `${index ? "L" : "M"}${x(at)} ${y(value)}`).join("");
    this.#line.setAttribute("d", path);
    this.#area.setAttribute("d", `${path}L${x(now)} ${HEIGHT}L${x(points[0][0])} ${HEIGHT}Z`);
    this.#dot.setAttribute("d", `M${x(now)} ${y(last)}h0.01`); // a cap alone: it keeps its shape
    this.#most.textContent = `most ${write(most)}`;
    this.#svg.setAttribute("aria-label", `${this.#name}: ${write(last)} now, ${write(most)} at most in the last ${KEPT_S / 60} minutes`);
  }
}

function shape(name, attributes) {
  const element = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}
