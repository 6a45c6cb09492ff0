// The log of events, newest first.

import { byId, element, setText, visible } from "./dom.js";
import * as format from "./format.js";

const KEPT = 200;

export class Events {
  #names = new Map();
  #reasons = new Map();
  #dropped = 0;

  /** Begin with what the service has kept. */
  reset(events) {
    this.#dropped = 0;
    this.#reasons.clear();
    byId("events").replaceChildren();
    for (const event of events) this.add(event);
    this.#note();
  }

  /** The plugins' names, for events to come. */
  name(plugins) {
    for (const plugin of plugins) this.#names.set(plugin.plugin_id, plugin.name);
    for (const node of byId("events").querySelectorAll("[data-unnamed]")) this.#setName(node, Number(node.dataset.unnamed));
  }

  /** Why a plugin crashed or failed last; nothing if it has not, or has been loaded again since. */
  reasonOf(pluginId) {
    return this.#reasons.get(pluginId) ?? "";
  }

  /** Show one more. */
  add(event) {
    if (["crashed", "failed"].includes(event.kind)) this.#reasons.set(event.plugin_id, event.reason);
    else if (["loaded", "unloaded"].includes(event.kind)) this.#reasons.delete(event.plugin_id);
    const list = byId("events");
    const who = element("bdi", { className: "who" });
    this.#setName(who, event.plugin_id);
    const time = element("time", { text: format.clock(event.time_s), datetime: new Date(event.time_s * 1000).toISOString() });
    const kind = element("span", { className: "kind", text: event.kind, "data-kind": event.kind });
    const item = element("li", { "data-event": event.kind }, time, kind, who);
    if (event.reason) item.append(element("span", { className: "reason", text: visible(event.reason) }));
    list.prepend(item);
    while (list.children.length > KEPT) list.lastChild.remove();
    byId("events-empty").hidden = true;
  }

  /** Some have not reached this browser. */
  drop(number) {
    this.#dropped += number;
    this.#note();
  }

  #note() {
    byId("events-empty").hidden = byId("events").children.length > 0;
    setText(byId("events-note"), this.#dropped ? `${format.count(this.#dropped)} missed: they came too fast` : "");
  }

  #setName(node, pluginId) {
    const name = this.#names.get(pluginId);
    if (name === undefined && pluginId !== null) node.dataset.unnamed = pluginId;
    else delete node.dataset.unnamed;
    setText(node, pluginId === null ? "system" : name === undefined ? `plugin ${pluginId}` : `${visible(name)} (${pluginId})`);
  }
}
