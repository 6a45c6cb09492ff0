// The table of plugins: one row for each, which opens to its details.

import { Sparkline } from "./chart.js";
import { Details } from "./details.js";
import { byId, element, setAttribute, setText, visible } from "./dom.js";
import * as format from "./format.js";

const STATES = ["quarantined", "failed", "restarting", "starting", "draining", "paused", "ready", "registered"];

const positive = (value) => (value > 0 ? "warn" : null);

// Title, what it is sorted by, what is shown, and whether that wants attention.
const COLUMNS = [
  { key: "name", title: "Plugin", by: (p) => p.name },
  { key: "state", title: "State", by: (p) => STATES.indexOf(p.state) },
  { key: "rate", title: "Accepted/s", by: (p) => p.rates?.accepted_per_s, text: (p) => format.rate(p.rates?.accepted_per_s) },
  { key: "mailbox", title: "Mailbox", by: (p) => p.stats?.in_mailbox },
  { key: "latency", title: "p95", hint: "95 of 100 frames have their outcome within this time", by: (p) => p.stats?.latency.quantiles_s["0.95"], text: (p) => format.latency(p.stats?.latency.quantiles_s["0.95"]) },
  { key: "restarts", title: "Restarts", by: (p) => p.stats?.restarts, text: (p) => format.count(p.stats?.restarts), tone: (p) => positive(p.stats?.restarts) },
  { key: "violations", title: "Violations", by: (p) => p.stats?.permission_violations, text: (p) => format.count(p.stats?.permission_violations), tone: (p) => positive(p.stats?.permission_violations) },
  { key: "failed", title: "Failed", hint: "Frames whose handler has raised", by: (p) => p.stats?.failed, text: (p) => format.count(p.stats?.failed), tone: (p) => positive(p.stats?.failed) },
  { key: "dead", title: "Dead letters", by: (p) => p.stats?.dead_lettered, text: (p) => format.count(p.stats?.dead_lettered), tone: (p) => positive(p.stats?.dead_lettered) },
  { key: "cpu", title: "CPU", by: (p) => p.usage?.cpu_percent, text: (p) => format.percent(p.usage?.cpu_percent) },
  { key: "memory", title: "Memory", by: (p) => p.usage?.memory_bytes, text: (p) => format.bytes(p.usage?.memory_bytes) },
];

class Row {
  #cells = new Map();
  #name = element("bdi", { className: "name" });
  #toggle;
  #id = element("span", { className: "note" });
  #state = element("span", { className: "state" });
  #fill = element("span", { className: "fill" });
  #depth = element("span", { className: "depth" });
  #line = new Sparkline(120, 22);
  #details = null;
  #session;

  constructor(pluginId, session) {
    this.#session = session;
    this.#toggle = element("button", { type: "button", className: "toggle", "aria-expanded": "false" }, this.#name);
    this.#toggle.addEventListener("click", () => this.#open(this.#details === null));
    this.node = element("tr", { "data-plugin": pluginId });
    for (const column of COLUMNS) {
      const cell = element(column.key === "name" ? "th" : "td", { "data-label": column.title, "data-column": column.key });
      if (column.key === "name") cell.scope = "row";
      this.#cells.set(column.key, cell);
      this.node.append(cell);
    }
    this.#cells.get("name").append(this.#toggle, this.#id);
    this.#cells.get("state").append(this.#state);
    this.#cells.get("mailbox").append(element("span", { className: "mailbox" }, this.#line.node, element("span", { className: "meter" }, this.#fill), this.#depth));
  }

  /** The rows of the table: this one, and that of its details while it is open. */
  get nodes() {
    return this.#details === null ? [this.node] : [this.node, this.#details.node];
  }

  show(plugin, history) {
    setText(this.#name, visible(plugin.name));
    setText(this.#id, `${plugin.plugin_id} · ${visible(plugin.version)}`);
    setText(this.#state, plugin.state);
    setAttribute(this.#state, "data-state", plugin.state);
    setAttribute(this.#state, "title", plugin.problem ? visible(plugin.problem) : null);
    for (const column of COLUMNS) this.#showCell(column, plugin);
    this.#showMailbox(plugin, history);
    this.#details?.show(plugin, history);
  }

  #showCell(column, plugin) {
    const cell = this.#cells.get(column.key);
    if (column.text) setText(cell, column.text(plugin));
    if (column.tone) setAttribute(cell, "data-tone", column.tone(plugin));
  }

  #showMailbox(plugin, history) {
    const stats = plugin.stats;
    const share = stats ? stats.in_mailbox / Math.max(stats.capacity, 1) : 0;
    setText(this.#depth, stats ? `${format.count(stats.in_mailbox)} / ${format.count(stats.capacity)}` : "–");
    this.#fill.style.width = `${Math.min(100 * share, 100).toFixed(1)}%`;
    setAttribute(this.#fill, "data-tone", share > 0.9 ? "bad" : share > 0.6 ? "warn" : null);
    this.#line.draw(history.of(plugin.plugin_id, 0), Math.max((stats?.capacity ?? 1) / 10, 1));
  }

  #open(wanted) {
    this.#toggle.setAttribute("aria-expanded", String(wanted));
    this.node.classList.toggle("open", wanted);
    if (!wanted) {
      this.#details.node.remove();
      this.#details = null;
      return;
    }
    this.#details = new Details(COLUMNS.length, this.#session);
    this.node.after(this.#details.node);
    this.#session.refresh();
  }
}

/** The whole table, in the order and with the filter that the user wants. */
export class Plugins {
  #rows = new Map();
  #session;
  #order = { key: "", descending: false };
  #last = null;

  constructor(session) {
    this.#session = session;
    byId("columns").append(...COLUMNS.map((column) => this.#heading(column)));
    byId("filter").addEventListener("input", () => this.#again());
  }

  /** Show a snapshot. */
  show(snapshot, history) {
    this.#last = [snapshot, history];
    const plugins = snapshot.plugins;
    this.#forgetAllBut(new Set(plugins.map((plugin) => plugin.plugin_id)));
    for (const plugin of plugins) {
      if (!this.#rows.has(plugin.plugin_id)) this.#rows.set(plugin.plugin_id, new Row(plugin.plugin_id, this.#session));
      this.#rows.get(plugin.plugin_id).show(plugin, history);
    }
    const shown = this.#sorted(plugins.filter((plugin) => this.#matches(plugin)));
    this.#place(shown.flatMap((plugin) => this.#rows.get(plugin.plugin_id).nodes));
    byId("empty").hidden = plugins.length > 0;
    byId("plugins").hidden = plugins.length === 0;
    byId("filter").hidden = plugins.length === 0;
    byId("nothing").hidden = plugins.length === 0 || shown.length > 0;
    setText(byId("plugins-count"), shown.length === plugins.length ? "" : `${shown.length} of ${plugins.length}`);
  }

  #again() {
    if (this.#last !== null) this.show(...this.#last);
  }

  #forgetAllBut(ids) {
    for (const [id, row] of this.#rows) {
      if (ids.has(id)) continue;
      for (const node of row.nodes) node.remove();
      this.#rows.delete(id);
    }
  }

  /** Bring the rows into this order; those that stand right are not touched, so that they keep the focus. */
  #place(nodes) {
    const body = byId("rows");
    const wanted = new Set(nodes);
    for (const node of [...body.children]) if (!wanted.has(node)) node.remove();
    nodes.forEach((node, index) => {
      if (body.children[index] !== node) body.insertBefore(node, body.children[index] ?? null);
    });
  }

  #matches(plugin) {
    const wanted = byId("filter").value.trim().toLowerCase();
    return [plugin.name, String(plugin.plugin_id), plugin.state].some((text) => text.toLowerCase().includes(wanted));
  }

  #sorted(plugins) {
    const column = COLUMNS.find(({ key }) => key === this.#order.key);
    if (!column) return plugins;
    const sign = this.#order.descending ? -1 : 1;
    const value = (plugin) => column.by(plugin) ?? -1;
    return plugins.toSorted((a, b) => sign * (value(a) > value(b) ? 1 : value(a) < value(b) ? -1 : 0) || a.plugin_id - b.plugin_id);
  }

  #heading(column) {
    const button = element("button", { type: "button", text: column.title });
    if (column.hint) button.title = column.hint;
    const heading = element("th", { scope: "col", "data-column": column.key }, button);
    button.addEventListener("click", () => this.#sort(column, heading));
    return heading;
  }

  /** First click: what is most interesting on top; second: the other way round; third: by id again. */
  #sort(column, heading) {
    const first = column.text !== undefined || column.key === "mailbox";
    if (this.#order.key !== column.key) this.#order = { key: column.key, descending: first };
    else if (this.#order.descending === first) this.#order.descending = !first;
    else this.#order = { key: "", descending: false };
    for (const other of byId("columns").children) other.removeAttribute("aria-sort");
    if (this.#order.key) heading.setAttribute("aria-sort", this.#order.descending ? "descending" : "ascending");
    this.#again();
  }
}
