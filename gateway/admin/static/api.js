// What the page asks over HTTP. Whatever acts carries the session's own word, which no other page can know.

export class ApiError extends Error {
  constructor(status, { code = status, message = "no answer" } = {}) {
    super(message);
    Object.assign(this, { status, code });
  }
}

const NOBODY = { name: "", role: "", csrf: "", ends_at: 0 };

export class Api {
  session = NOBODY;
  methods = new Set();
  onEnded = () => {};

  get isOperator() {
    return this.session.role === "operator";
  }

  /** Whether all of these methods are there for this role. */
  has(...methods) {
    return methods.every((method) => this.methods.has(method));
  }

  async resume() {
    this.session = { ...NOBODY, ...(await this.#ask("/admin/session")) };
    return this.#learn();
  }

  async login(name, password) {
    this.session = { ...NOBODY, ...(await this.#ask("/admin/login", { name, password })) };
    return this.#learn();
  }

  async logout() {
    await this.#ask("/admin/logout", {});
    this.session = NOBODY;
  }

  livePass() {
    return this.#ask("/admin/live", {});
  }

  figures() {
    return this.#ask("/admin/figures");
  }

  /** Call a method of the API; gives its result, and raises what it answers instead. */
  async call(method, request = {}) {
    const answer = await this.#ask(`/admin/api/${method}`, request);
    if (answer.error) throw new ApiError(200, answer.error);
    return answer.result;
  }

  async #learn() {
    this.methods = new Set(this.session.name ? (await this.#ask("/admin/api/methods")).methods : []);
    return Boolean(this.session.name);
  }

  async #ask(path, body) {
    const headers = { "Content-Type": "application/json", "X-CSRF-Token": this.session.csrf };
    const options = body === undefined ? {} : { method: "POST", headers, body: JSON.stringify(body) };
    let response;
    try {
      response = await fetch(path, { ...options, cache: "no-store", credentials: "same-origin" });
    } catch {
      throw new ApiError(0, { message: "The server does not answer." });
    }
    const answer = await response.json().catch(() => ({}));
    if (response.status === 401 && this.session.name) {
      this.session = NOBODY;
      this.onEnded();
    }
    if (!response.ok) throw new ApiError(response.status, answer.error);
    return answer;
  }
}
