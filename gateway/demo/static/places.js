// The three places where a notification can reach Bob: a notice on his open page, his phone, his mailbox.

import { byId, clockTime, el } from "/demo/dom.js";

const MOST_SHOWN = 3;

/** A notice on Bob's page with the button that acknowledges it, and a fuse that burns while it waits. */
export function showNotice({ id, title, body = "" }, wait_s, onAck) {
  if (document.querySelector(`#notices [data-id="${CSS.escape(id)}"]`)) return;
  const button = el("button", { type: "button", class: "primary", text: "Acknowledge", on: { click: onAck } });
  const fuse = el("span", { class: "fuse", "aria-hidden": "true" });
  fuse.style.setProperty("--wait", `${wait_s ?? 0}s`);
  const notice = el("div", { class: "notice", "data-id": id }, el("b", { text: title }), el("p", { text: body }), button, fuse);
  byId("notices").prepend(notice);
  shorten(byId("notices"));
}

/** Show what the simulators received, once each. @param items of the outbox, all of one notification */
export function showOutbox(items, onTap) {
  for (const item of items) {
    if (item.provider === "email") showMail(item);
    else if (item.provider !== "webpush") showPush(item, onTap); // a browser shows its own
  }
}

/** Mark a notification as seen wherever it lies. */
export function markSeen(id) {
  for (const shown of document.querySelectorAll(`[data-id="${CSS.escape(id)}"]`)) {
    shown.dataset.seen = "";
    for (const button of shown.matches("button") ? [shown] : shown.querySelectorAll("button")) button.disabled = true;
    const action = shown.querySelector("button, .action");
    if (action) action.textContent = "Seen ✓";
  }
}

export function showPhoneTime(now) {
  byId("phone-time").textContent = clockTime(now.getTime() / 1000);
  byId("phone-date").textContent = now.toLocaleDateString([], { weekday: "long", day: "numeric", month: "long" });
}

function showPush({ notification_id: id, title, body, address }, onTap) {
  if (document.querySelector(`#pushes [data-id="${CSS.escape(id)}"]`)) return; // the same id replaces, it never doubles
  byId("phone-hint").hidden = true;
  const push = el(
    "button",
    { type: "button", class: "push", "data-id": id, "data-address": address, on: { click: onTap } },
    el("img", { src: "/demo/mark.svg", alt: "", width: 20, height: 20 }),
    el("span", { class: "app", text: "Your app · now" }),
    el("b", { text: title }),
    el("span", { class: "text", text: body }),
    el("span", { class: "action", text: "Tap to acknowledge" }),
  );
  byId("pushes").prepend(push);
  shorten(byId("pushes"));
}

function showMail(item) {
  const mails = byId("mails");
  if (mails.querySelector(`[data-mail="${CSS.escape(item.notification_id)}"]`)) return;
  const open = el(
    "button",
    { type: "button", on: { click: () => openLetter(item, row) } },
    el("img", { src: "/demo/mark.svg", alt: "", width: 26, height: 26 }),
    el("b", { text: item.title }),
    el("time", { text: clockTime(item.at) }),
    el("span", { class: "preview", text: previewOf(item) }),
  );
  const row = el("li", { "data-mail": item.notification_id }, open);
  mails.prepend(row);
  shorten(mails);
  byId("mail-count").textContent = `${mails.children.length} new`;
  openLetter(item, row);
}

function openLetter({ title, body, address, at }, row) {
  for (const other of byId("mails").children) other.toggleAttribute("data-open", other === row);
  byId("letter").replaceChildren(
    el("h3", { text: title }),
    el("p", { class: "from" }, el("span", { text: `to ${address}` }), el("time", { text: clockTime(at) })),
    el("p", { class: "text", text: body.trim() }),
  );
}

/** A mail often repeats its subject on top: a list of mails shows what follows. */
function previewOf({ title, body }) {
  const text = body.trim();
  return (text.startsWith(title) ? text.slice(title.length).trim() : "") || text;
}

function shorten(list) {
  while (list.children.length > MOST_SHOWN) list.lastElementChild.remove();
}
