// One dialog for everything that needs a second thought: it says what will happen, and what came of it where it failed.

import { byId, el, field, values } from "/admin/parts.js";

/**
 * Ask, and do it when confirmed; the dialog stays open, and says why, while that fails.
 * @param fields of `field`, or elements to be shown
 * @param act (values) => Promise; what it gives is given back, undefined where it was called off
 */
export function ask({ title, text = "", fields = [], confirm, danger = false, act }) {
  const dialog = byId("ask");
  const form = byId("ask-form");
  const wrong = byId("ask-wrong");
  const confirmButton = byId("ask-confirm");
  byId("ask-title").textContent = title;
  byId("ask-body").replaceChildren(...(text ? [el("p", { text })] : []), ...fields.map((one) => (one instanceof Node ? one : field(one))));
  confirmButton.textContent = confirm;
  confirmButton.className = danger ? "danger" : "primary";
  wrong.textContent = "";
  return new Promise((resolve) => {
    let result;
    form.onsubmit = async (event) => {
      event.preventDefault();
      confirmButton.disabled = true;
      wrong.textContent = "";
      try {
        result = (await act(values(form))) ?? true;
        dialog.close();
      } catch (error) {
        wrong.textContent = error.message;
      } finally {
        confirmButton.disabled = false;
      }
    };
    byId("ask-cancel").onclick = () => dialog.close();
    // The word that a dialog was closed comes later, perhaps when the next question stands in it already.
    dialog.onclose = () => dialog.open || resolve(result);
    dialog.showModal();
    (byId("ask-body").querySelector("input, select") ?? byId("ask-cancel")).focus();
  });
}
