// The HTTP API as a backend would call it. Here the page plays the backend, with the key of development mode.

export class ApiError extends Error {}

export class Api {
  #key = "";
  #onCall;

  /** @param onCall told of every call when its answer is there: { method, body, answer, isRoutine } */
  constructor(onCall) {
    this.#onCall = onCall;
  }

  get key() {
    return this.#key;
  }

  async open() {
    this.#key = (await readJson(await fetch("/dev/session"))).api_key;
  }

  /** Call POST /api/<method>. @param isRoutine a question asked over and over, kept out of the list of calls */
  async call(method, body, { isRoutine = false } = {}) {
    const response = await fetch(`/api/${method}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-API-Key": this.#key },
      body: JSON.stringify(body),
    });
    const answer = await readJson(response);
    this.#onCall({ method, body, answer, isRoutine });
    if (answer.error) throw new ApiError(`${method}: ${answer.error.message}`);
    return answer.result;
  }

  /** The same call for a terminal. */
  curl(method, body) {
    const json = JSON.stringify(body).replaceAll("'", "'\\''");
    return [`curl ${location.origin}/api/${method}`, `-H 'X-API-Key: ${this.#key}'`, `-d '${json}'`].join(" \\\n  ");
  }
}

/** Development mode's own questions: no key needed, but they answer only to this machine. */
export const development = {
  async token(user) {
    const response = await fetch("/dev/token", { method: "POST", body: JSON.stringify({ user }) });
    return (await readJson(response)).token;
  },
  /** What `pushManager.subscribe()` would give, of a simulated push service. */
  async subscription() {
    return readJson(await fetch("/dev/webpush", { method: "POST" }));
  },
  async outbox(id) {
    return (await readJson(await fetch(`/dev/outbox?notification_id=${encodeURIComponent(id)}`))).items;
  },
};

async function readJson(response) {
  if (!response.ok) throw new ApiError(`${new URL(response.url).pathname} answered ${response.status}`);
  return response.json();
}
