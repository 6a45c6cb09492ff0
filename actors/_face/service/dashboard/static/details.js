// What a row opens to: charts of ten minutes, facts, permissions, and the actions for whoever has the token.

import { Chart } from "./chart.js";
import { element, setAttribute, setText, visible } from "./dom.js";
import * as format from "./format.js";

const FACTS = [
  ["Accepted", (p) => format.count(p.stats?.accepted)],
  ["Processed", (p) => format.count(p.stats?.processed)],
  ["Processed/s", (p) => format.rate(p.rates?.processed_per_s)],
  ["Bytes processed", (p) => format.bytes(p.stats?.bytes_processed)],
  ["Peak of the mailbox", (p) => (p.stats ? `${format.count(p.stats.peak)} of ${format.count(p.stats.capacity)} frames` : "–")],
  ["Bytes in the mailbox", (p) => (p.stats ? `${format.bytes(p.stats.bytes_held)} of ${format.bytes(p.stats.capacity_bytes)}` : "–")],
  ["Latency p50, p95, p99", (p) => ["0.5", "0.95", "0.99"].map((q) => format.latency(p.stats?.latency.quantiles_s[q])).join(", ")],
  ["CPU time", (p) => (p.usage ? `${p.usage.cpu_s.toFixed(1)} s` : "–")],
  ["Process of the plugin actor", (p) => String(p.stats?.actor_pid ?? "–")],
  ["Process of the worker", (p) => String(p.stats?.worker_pid ?? "–")],
  ["Digest", (p) => visible(p.digest).slice(0, 19)],
  ["Signed by", (p) => visible(p.signed_by) || "–"],
];

export class Details {
  #session;
  #plugin = null;
  #depth = new Chart("Frames in the mailbox", format.count);
  #rate = new Chart("Frames accepted per second", format.rate);
  #problem = element("p", { className: "problem", hidden: "" });
  #facts = FACTS.map(([title]) => [element("dt", { text: title }), element("dd")]);
  #permissions = element("div", { className: "permissions" });
  #buttons = element("div", { className: "buttons" });
  #error = element("p", { className: "error", role: "alert", hidden: "" });
  #drawn = "";

  constructor(columns, session) {
    this.#session = session;
    const facts = element("dl", {}, ...this.#facts.map((pair) => element("div", {}, ...pair)));
    const charts = element("div", { className: "charts" }, this.#depth.node, this.#rate.node);
    const rights = element("div", { className: "rights" }, element("h3", { text: "Permissions" }), this.#permissions, this.#buttons, this.#error);
    const content = element("div", { className: "details" }, this.#problem, charts, element("div", { className: "columns" }, facts, rights));
    this.node = element("tr", { className: "details-row" }, element("td", { colspan: String(columns) }, content));
  }

  show(plugin, history) {
    this.#plugin = plugin;
    this.#depth.draw(history.of(plugin.plugin_id, 0));
    this.#rate.draw(history.of(plugin.plugin_id, 1));
    this.#problem.hidden = !plugin.problem;
    setText(this.#problem, visible(plugin.problem));
    FACTS.forEach(([, read], index) => setText(this.#facts[index][1], read(plugin)));
    this.#showRights(plugin);
  }

  /** Buttons are made anew only when others are needed, so that they keep the focus. */
  #showRights(plugin) {
    const held = new Set(plugin.permissions);
    const wanted = JSON.stringify([plugin.permissions, plugin.state, this.#session.unlocked]);
    if (wanted === this.#drawn) return;
    this.#drawn = wanted;
    const focused = this.node.contains(document.activeElement) ? document.activeElement.dataset.action : undefined;
    this.#permissions.replaceChildren(...this.#session.permissions.map((name) => this.#permission(name, held.has(name))));
    this.#buttons.replaceChildren(...(this.#session.unlocked ? this.#actions(plugin) : []));
    if (focused) this.node.querySelector(`[data-action="${CSS.escape(focused)}"]`)?.focus();
  }

  #permission(name, isHeld) {
    if (!this.#session.unlocked) {
      const chip = element("span", { className: "chip", text: name });
      setAttribute(chip, "data-held", isHeld);
      chip.append(element("span", { className: "hidden", text: isHeld ? " (granted)" : " (not granted)" }));
      return chip;
    }
    const button = element("button", { type: "button", className: "chip", text: name, "data-held": String(isHeld), "aria-pressed": String(isHeld), "data-action": `permission ${name}` });
    button.title = isHeld ? "Revoke" : "Grant";
    button.addEventListener("click", () => this.#act(isHeld ? "revoke" : "grant", { permission: name }));
    return button;
  }

  #actions(plugin) {
    const isPaused = plugin.state === "paused";
    const isGivenUp = ["failed", "quarantined"].includes(plugin.state);
    const action = isGivenUp ? "reset" : isPaused ? "resume" : "pause";
    const text = { reset: "Reset", resume: "Resume", pause: "Pause" }[action];
    const toggle = element("button", { type: "button", text, "data-action": "pause" });
    toggle.disabled = !isGivenUp && !["ready", "paused"].includes(plugin.state);
    toggle.addEventListener("click", () => this.#act(action));
    const unload = element("button", { type: "button", className: "danger", text: "Unload…", "data-action": "unload" });
    unload.addEventListener("click", () => this.#unload());
    return [toggle, unload];
  }

  async #unload() {
    const name = `${visible(this.#plugin.name)} (${this.#plugin.plugin_id})`;
    const text = "It takes no more frames, finishes those that it has, and is removed.";
    if (await this.#session.confirm(`Unload ${name}?`, text, "Unload")) await this.#act("unload");
  }

  async #act(action, body = {}) {
    this.node.setAttribute("aria-busy", "true");
    const error = await this.#session.act(this.#plugin.plugin_id, action, body);
    this.node.removeAttribute("aria-busy");
    this.#error.hidden = !error;
    setText(this.#error, visible(error));
  }
}
