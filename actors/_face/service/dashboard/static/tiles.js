// The overview: what an operator wants to know first.

import { Sparkline } from "./chart.js";
import { byId, element, setAttribute, setText } from "./dom.js";
import * as format from "./format.js";

const sum = (plugins, read) => plugins.reduce((total, plugin) => total + (read(plugin) ?? 0), 0);

class Tile {
  #value = element("p", { className: "tile-value" });
  #note = element("p", { className: "tile-note" });
  #line = new Sparkline(200, 30);

  constructor(title, key) {
    const text = element("div", {}, element("h2", { text: title }), this.#value, this.#note);
    this.node = element("div", { className: "tile", "data-tile": key }, text);
  }

  show(value, note, tone = null) {
    setText(this.#value, value);
    setText(this.#note, note);
    setAttribute(this.node, "data-tone", tone);
  }

  draw(points) {
    if (!this.#line.node.isConnected) this.node.append(this.#line.node);
    this.#line.draw(points);
  }
}

/** The tiles at the top of the page. */
export class Tiles {
  #plugins = new Tile("Plugins", "plugins");
  #rate = new Tile("Accepted", "rate");
  #depth = new Tile("In mailboxes", "depth");
  #lost = new Tile("Failed or dead", "lost");
  #violations = new Tile("Violations", "violations");
  #usage = new Tile("CPU and memory", "usage");

  constructor() {
    const all = [this.#plugins, this.#rate, this.#depth, this.#lost, this.#violations, this.#usage];
    byId("tiles").append(...all.map((tile) => tile.node));
  }

  /** Show a snapshot. */
  show(snapshot, history) {
    const plugins = snapshot.plugins;
    this.#showStates(plugins);
    this.#rate.show(`${format.rate(sum(plugins, (p) => p.rates?.accepted_per_s))}/s`, `${format.count(snapshot.dispatch.frames_dispatched)} since the start`);
    this.#rate.draw(history.total(1));
    const capacity = sum(plugins, (p) => p.stats?.capacity);
    this.#depth.show(format.count(sum(plugins, (p) => p.stats?.in_mailbox)), `room for ${format.count(capacity)} frames`);
    this.#depth.draw(history.total(0));
    const [failed, dead] = [sum(plugins, (p) => p.stats?.failed), sum(plugins, (p) => p.stats?.dead_lettered)];
    this.#lost.show(format.count(failed + dead), `${format.count(failed)} failed, ${format.plural(dead, "dead letter")}`, failed + dead > 0 ? "warn" : null);
    const violations = sum(plugins, (p) => p.stats?.permission_violations);
    this.#violations.show(format.count(violations), `${format.plural(snapshot.dispatch.dispatch_errors, "frame")} refused`, violations > 0 ? "warn" : null);
    this.#showUsage([...plugins, ...snapshot.processes]);
  }

  #showStates(plugins) {
    const states = new Map();
    for (const { state } of plugins) states.set(state, (states.get(state) ?? 0) + 1);
    const others = [...states].filter(([state]) => state !== "ready").map(([state, number]) => `${format.count(number)} ${state}`);
    const note = plugins.length === 0 ? "none loaded" : others.length === 0 ? "all ready" : others.join(", ");
    this.#plugins.show(format.count(plugins.length), note, states.has("failed") || states.has("quarantined") ? "bad" : states.has("restarting") ? "warn" : null);
  }

  #showUsage(users) {
    const used = users.filter((user) => user.usage);
    const known = used.some((user) => user.usage.cpu_percent !== null);
    const cpu = known ? sum(used, (user) => user.usage.cpu_percent) : null;
    this.#usage.show(format.percent(cpu), `${format.bytes(sum(used, (user) => user.usage.memory_bytes))} in all processes`);
  }
}
