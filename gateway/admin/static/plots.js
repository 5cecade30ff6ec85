// Small plots by hand: a line and the ground beneath it, over the last few minutes.

const NAMESPACE = "http://www.w3.org/2000/svg";
const WIDTH = 240;
const HEIGHT = 56;
const KEPT = 90;

export class Series {
  #points = [];

  add(value) {
    this.#points.push(value);
    if (this.#points.length > KEPT) this.#points.shift();
  }

  get points() {
    return this.#points;
  }

  get last() {
    return this.#points.at(-1) ?? 0;
  }
}

export class Plot {
  #area = shape("path", { class: "area" });
  #line = shape("path", { class: "line" });
  #dot = shape("path", { class: "dot" });
  #name;

  constructor(name) {
    this.#name = name;
    this.element = shape("svg", { class: "plot", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": name });
    this.element.append(this.#area, this.#line, this.#dot);
  }

  draw({ points, last }, write) {
    const most = Math.max(...points, 1e-9) * 1.15;
    const x = (index) => WIDTH - 4 - (points.length - 1 - index) * (WIDTH / (KEPT - 1));
    const y = (value) => HEIGHT - 3 - (value / most) * (HEIGHT - 8);
    const path = points.map((value, index) => `${index ? "L" : "M"}${x(index).toFixed(1)} ${y(value).toFixed(1)}`).join("");
    this.#line.setAttribute("d", path);
    this.#area.setAttribute("d", points.length ? `${path}L${x(points.length - 1)} ${HEIGHT}L${x(0).toFixed(1)} ${HEIGHT}Z` : "");
    this.#dot.setAttribute("d", `M${x(points.length - 1)} ${y(last).toFixed(1)}h0.01`); // a cap alone: it keeps its shape
    this.element.setAttribute("aria-label", `${this.#name}: ${write(last)} now, ${write(Math.max(...points))} at most lately`);
  }
}

function shape(name, attributes) {
  const element = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}
