// What the sections are built of. Text is always set as text, so nothing that arrives can become markup.

import { byId, el } from "/admin/dom.js";

export { byId, el };

const NUMBER = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const COMPACT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const number = (value) => (value === undefined || value === null ? "–" : Math.abs(value) >= 100_000 ? COMPACT.format(value) : NUMBER.format(value));

/** A rate, to be followed by its unit. */
export const perSecond = (value) => number(value < 10 ? Math.round(value * 10) / 10 : Math.round(value));

export function bytes(value) {
  if (value === undefined) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, value)) / 10));
  return `${NUMBER.format(value / 1024 ** power)} ${units[power]}`;
}

/** Write seconds as people say them: 40 ms, 1.4 s, 38 s, 12 min, 3 h, 2 d. */
export function duration(seconds) {
  if (seconds > 0 && seconds < 0.95) return `${Math.max(1, Math.round(seconds * 1000))} ms`;
  if (seconds < 10) return `${NUMBER.format(seconds)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

/** A moment in Unix seconds: the day is left out today; the whole of it stands in the title. */
export function moment(seconds) {
  if (!seconds) return document.createTextNode("–");
  const at = new Date(seconds * 1000);
  const isToday = at.toDateString() === new Date().toDateString();
  const day = isToday ? "" : `${at.toLocaleDateString("en-GB", { day: "2-digit", month: "short", year: "numeric" })}, `;
  return el("time", { datetime: at.toISOString(), title: at.toISOString(), text: day + at.toLocaleTimeString("en-GB") });
}

export const code = (text) => el("code", { text });
export const badge = (text, kind = "") => el("span", { class: "badge", "data-kind": kind, text });
export const button = (text, onClick, { kind = "plain", key = "", label = false } = {}) =>
  el("button", { type: "button", class: kind, text, "data-key": key || false, "aria-label": label, on: { click: onClick } });

export const card = (title, ...children) => el("section", { class: "card" }, el("h2", { text: title }), ...children);
export const empty = (text) => el("p", { class: "empty", text });

/** A list of pairs, name and value; a value is a text or an element. */
export function facts(pairs) {
  const list = el("dl", { class: "facts" });
  for (const [name, value] of pairs) list.append(el("div", {}, el("dt", { text: name }), el("dd", {}, node(value))));
  return list;
}

/** A table that becomes a list of cards where there is no room; columns: {title, cell(row), numeric, long}; `long` for what others have written. */
export function table(caption, columns, rows, nothing) {
  if (!rows.length) return empty(nothing);
  const head = el("tr", {}, ...columns.map(({ title, numeric }) => el("th", { scope: "col", text: title, class: numeric ? "numeric" : false })));
  const body = rows.map((row) =>
    el("tr", {}, ...columns.map(({ title, cell, numeric, long }) => el("td", { "data-title": title, class: numeric ? "numeric" : long ? "long" : false }, node(cell(row))))),
  );
  return el(
    "div",
    { class: "table", role: "region", "aria-label": caption, tabindex: "0", "data-key": `table:${caption}` },
    el("table", {}, el("caption", { class: "hidden", text: caption }), el("thead", {}, head), el("tbody", {}, ...body)),
  );
}

const node = (value) => (value instanceof Node ? value : document.createTextNode(String(value ?? "–")));

/** A row of fields that asks something; fields: {name, label, type, options, value, placeholder}. */
export function searchForm(fields, verb, onSearch) {
  const form = el("form", { class: "search", role: "search" }, ...fields.map(field));
  form.append(el("button", { type: "submit", class: "primary", text: verb }));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    onSearch(values(form));
  });
  return form;
}

let fieldCount = 0;

export function field({ name, label, type = "text", options, value = "", ...more }) {
  const id = `field-${++fieldCount}`;
  if (type === "checkbox") {
    const box = el("input", { id, name, type, checked: Boolean(value) && "" });
    return el("label", { class: "field check", for: id }, box, el("span", { text: label }));
  }
  const control = options
    ? el("select", { id, name }, ...options.map(([key, text]) => el("option", { value: key, text, selected: key === value && "" })))
    : el("input", { id, name, type, value, autocomplete: "off", spellcheck: "false", ...more });
  return el("div", { class: "field" }, el("label", { for: id, text: label }), control);
}

/** What stands in a form: texts trimmed, boxes as true or false. */
export function values(form) {
  const told = {};
  for (const control of form.querySelectorAll("input, select")) told[control.name] = control.type === "checkbox" ? control.checked : control.value.trim();
  return told;
}

/** Leave out what is empty, so that the API takes its default. */
export const given = (request) => Object.fromEntries(Object.entries(request).filter(([, value]) => value !== "" && value !== false && value !== undefined));

/** Put something else in place, and leave the focus where it was if it is still there. */
export function renew(place, ...children) {
  const key = document.activeElement?.dataset?.key;
  const isInside = place.contains(document.activeElement);
  place.replaceChildren(...children);
  if (isInside && key) [...place.querySelectorAll("[data-key]")].find((element) => element.dataset.key === key)?.focus();
}

/** The same, but only when `told` is not what it was: buttons are not pulled from under a finger. */
export function renewIfChanged(place, told, make) {
  const text = JSON.stringify(told);
  if (place.dataset.told === text) return;
  place.dataset.told = text;
  renew(place, ...[make()].flat());
}

/** Show that something is under way, then what came of it, or what was wrong. */
export async function fill(place, make) {
  place.setAttribute("aria-busy", "true");
  try {
    const made = await make();
    renew(place, ...[made].flat());
  } catch (error) {
    renew(place, el("p", { class: "wrong", role: "alert", text: error.message }));
  } finally {
    place.removeAttribute("aria-busy");
  }
}

let toastTimer = 0;

export function toast(text) {
  const place = byId("toast");
  place.hidden = false;
  place.textContent = text;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => (place.hidden = true), 6_000);
}
