// The last ten minutes of every plugin, collected from what the service has kept and from each look since.

const SPAN_S = 600;

/** Points [time, {plugin id: [frames in the mailbox, frames accepted per second]}], oldest first. */
export class History {
  #points = [];

  /** Begin with what the service has kept. */
  reset(points) {
    this.#points = points;
  }

  /** Add a look, and forget what is too old. */
  add(snapshot) {
    const plugins = {};
    for (const plugin of snapshot.plugins) {
      if (plugin.stats) plugins[plugin.plugin_id] = [plugin.stats.in_mailbox, plugin.rates?.accepted_per_s ?? 0];
    }
    if (this.#points.length > 0 && this.#points.at(-1)[0] >= snapshot.time_s) this.#points.pop();
    this.#points.push([snapshot.time_s, plugins]);
    const oldest = snapshot.time_s - SPAN_S;
    const first = this.#points.findIndex(([time]) => time >= oldest);
    this.#points.splice(0, Math.max(first, 0));
  }

  /** One value of one plugin over time (0: mailbox, 1: rate); gaps are null. */
  of(pluginId, index) {
    return this.#points.map(([time, plugins]) => [time, plugins[pluginId]?.[index] ?? null]);
  }

  /** One value of all plugins together over time. */
  total(index) {
    return this.#points.map(([time, plugins]) => [time, Object.values(plugins).reduce((sum, item) => sum + item[index], 0)]);
  }
}
