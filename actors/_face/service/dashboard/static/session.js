// The token, and what can be done with it. It is kept for as long as the tab is open, and sent to this page's own service only.

import { byId, setText } from "./dom.js";

const KEY = "nyx-plugins token";

async function post(path, token, body = {}) {
  try {
    const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
    const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body), credentials: "omit" });
    if (answer.ok) return { status: answer.status, error: "" };
    const said = await answer.json().catch(() => ({}));
    return { status: answer.status, error: said.error ?? `The service answered ${answer.status}.` };
  } catch {
    return { status: 0, error: "The service does not answer." };
  }
}

export class Session {
  permissions = [];
  #readOnly = true;
  #token = sessionStorage.getItem(KEY);
  #onChange;

  constructor(onChange) {
    this.#onChange = onChange;
    byId("unlock").addEventListener("click", () => (this.unlocked ? this.#lock() : this.#ask()));
    byId("token-form").addEventListener("submit", (event) => this.#submit(event));
    byId("token-dialog").querySelector("[data-close]").addEventListener("click", () => byId("token-dialog").close());
    byId("token-dialog").addEventListener("close", () => (byId("token").value = ""));
  }

  /** Whether the buttons are to be shown. The service asks for the token each time even so. */
  get unlocked() {
    return !this.#readOnly && this.#token !== null;
  }

  /** What the service has said about itself. */
  begin(hello) {
    this.permissions = hello.permissions;
    this.#readOnly = hello.read_only;
    this.#show();
  }

  /** Show what is known again. */
  refresh() {
    this.#onChange();
  }

  /** Do something to a plugin; returns why it was not done, or nothing. */
  async act(pluginId, action, body) {
    const { status, error } = await post(`/api/plugins/${pluginId}/${action}`, this.#token, body);
    if (status === 401) this.#lock();
    return error;
  }

  /** Ask the user; resolves to whether the answer is yes. */
  confirm(title, text, yes) {
    const dialog = byId("confirm-dialog");
    setText(byId("confirm-title"), title);
    setText(byId("confirm-text"), text);
    setText(byId("confirm-yes"), yes);
    dialog.returnValue = "no";
    dialog.showModal();
    return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
  }

  #ask() {
    byId("token-error").hidden = true;
    byId("token-dialog").showModal();
    byId("token").focus();
  }

  async #submit(event) {
    event.preventDefault();
    const token = byId("token").value.trim();
    const isHeader = /^[\x20-\x7e]+$/.test(token);
    const { error } = isHeader ? await post("/api/token", token) : { error: "This is not the token." };
    byId("token-error").hidden = !error;
    setText(byId("token-error"), error);
    if (error) return;
    this.#token = token;
    sessionStorage.setItem(KEY, token);
    byId("token-dialog").close();
    this.#show();
  }

  #lock() {
    this.#token = null;
    sessionStorage.removeItem(KEY);
    this.#show();
  }

  #show() {
    byId("unlock").hidden = this.#readOnly;
    setText(byId("unlock"), this.unlocked ? "Lock actions" : "Unlock actions");
    this.#onChange();
  }
}
