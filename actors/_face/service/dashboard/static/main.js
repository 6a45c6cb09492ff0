// The page: takes the stream of the service and hands each part what it shows.

import { byId, element, setAttribute, setText, visible } from "./dom.js";
import { Events } from "./events.js";
import * as format from "./format.js";
import { History } from "./history.js";
import { Plugins } from "./plugins.js";
import { Session } from "./session.js";
import { Tiles } from "./tiles.js";

const RETRY_MS = 2000;

const history = new History();
const events = new Events();
const tiles = new Tiles();
const session = new Session(() => shown !== null && show());
const plugins = new Plugins(session);
let version = null;
let enforcement = null;
let shown = null;
let stopped = "";

function show() {
  tiles.show(shown, history);
  plugins.show(shown, history);
  events.name(shown.plugins);
  showFacts();
  showRefused();
  showProcesses();
}

/** A plugin that is down says why, as far as its events have told. */
function explain(plugin) {
  if (!plugin.problem && ["failed", "restarting"].includes(plugin.state)) plugin.problem = events.reasonOf(plugin.plugin_id);
}

function take(snapshot) {
  snapshot.plugins.forEach(explain);
  shown = snapshot;
  history.add(snapshot);
  show();
}

function showFacts() {
  const parts = [`up ${format.duration(shown.uptime_s)}`, `host process ${shown.host_pid}`, `policies enforced: ${enforcement.level}`, `version ${version}`];
  setText(byId("facts"), parts.join(" · "));
  setAttribute(byId("facts"), "title", enforcement.missing.length ? visible(`Not enforced: ${enforcement.missing.join("; ")}`) : null);
}

function fill(body, rows) {
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((texts, index) => {
    const row = body.rows[index] ?? body.insertRow();
    while (row.cells.length < texts.length) row.append(element(row.cells.length === 0 ? "th" : "td"));
    texts.forEach((text, column) => setText(row.cells[column], text));
    row.cells[0].scope = "row";
  });
}

function showRefused() {
  const causes = Object.entries(shown.dispatch.refused).sort(([, a], [, b]) => b - a);
  fill(byId("refused"), causes.map(([cause, number]) => [visible(cause), format.count(number)]));
  byId("refused-empty").hidden = causes.length > 0;
}

function showProcesses() {
  fill(byId("processes"), shown.processes.map((process) => [
    `${visible(process.name)} ${process.pid}`,
    format.percent(process.usage.cpu_percent),
    format.bytes(process.usage.memory_bytes),
  ]));
}

function connection(state, text) {
  setAttribute(byId("connection"), "data-state", state);
  setText(byId("connection"), text);
}

function banner(text) {
  byId("banner").hidden = !text;
  setText(byId("banner"), visible(text));
}

function stop(reason) {
  stopped = reason;
  connection("stopped", "Stopped");
  banner(`The system has stopped: ${reason}. What you see is how it was last.`);
  document.body.classList.add("stale");
}

function trouble(text) {
  if (text) {
    connection("waiting", "No answer");
    banner(`The system does not answer: ${text}.`);
  }
}

function begin(hello) {
  if (version !== null && version !== hello.version) location.reload();
  version = hello.version;
  enforcement = hello.enforcement;
  stopped = "";
  document.body.classList.remove("stale");
  banner("");
  connection("live", "Live");
  history.reset(hello.history);
  events.reset(hello.events);
  session.begin(hello);
  if (hello.snapshot !== null) take(hello.snapshot);
  trouble(hello.trouble);
  if (hello.stopped) stop(hello.stopped);
}

const HANDLERS = {
  hello: begin,
  snapshot: (value) => {
    if (byId("connection").dataset.state === "waiting") {
      connection("live", "Live");
      banner("");
    }
    take(value);
  },
  event: (value) => events.add(value),
  dropped: (value) => events.drop(value),
  trouble,
  stopped: stop,
};

/** Open the stream, and again whenever it has ended: the browser does so itself unless it was refused. */
function connect() {
  const source = new EventSource("/api/stream");
  for (const [kind, handle] of Object.entries(HANDLERS)) {
    source.addEventListener(kind, (event) => handle(JSON.parse(event.data)));
  }
  source.addEventListener("error", () => {
    document.body.classList.add("stale");
    if (!stopped) connection("waiting", "Connection lost, trying again…");
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, RETRY_MS);
  });
}

connect();
