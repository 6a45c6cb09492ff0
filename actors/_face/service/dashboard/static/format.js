// Numbers as people read them. What is not known is a dash.

const DASH = "–";
const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const COMPACT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

const given = (value) => value !== null && value !== undefined && !Number.isNaN(value);

/** 1,234 or, from a hundred thousand on, 123.4K. */
export function count(value) {
  if (!given(value)) return DASH;
  return Math.abs(value) < 100_000 ? WHOLE.format(value) : COMPACT.format(value);
}

/** 0, 0.4, 12, 1,234. */
export function rate(value) {
  if (!given(value)) return DASH;
  return value > 0 && value < 9.95 ? value.toFixed(1) : count(Math.round(value));
}

/** 0.3 %, 12 %. */
export function percent(value) {
  if (!given(value)) return DASH;
  return `${value > 0 && value < 9.95 ? value.toFixed(1) : WHOLE.format(value)} %`;
}

/** 640 B, 13.2 MiB. */
export function bytes(value) {
  if (!given(value)) return DASH;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit > 0 && value < 99.95 ? value.toFixed(1) : WHOLE.format(value)} ${units[unit]}`;
}

/** A latency: 0.25 ms, 10 ms, 2.5 s. */
export function latency(seconds) {
  if (!given(seconds)) return DASH;
  return seconds < 1 ? `${Number((seconds * 1000).toPrecision(3))} ms` : `${Number(seconds.toPrecision(3))} s`;
}

/** A time that has passed: 12 s, 3 min 4 s, 2 h 5 min, 3 d 4 h. */
export function duration(seconds) {
  if (!given(seconds)) return DASH;
  const units = [["d", 86_400], ["h", 3600], ["min", 60], ["s", 1]];
  let left = Math.floor(seconds);
  const parts = [];
  for (const [name, size] of units) {
    const amount = Math.floor(left / size);
    left -= amount * size;
    if (amount > 0 || parts.length > 0 || name === "s") parts.push(`${amount} ${name}`);
  }
  return parts.slice(0, 2).filter((part, index) => index === 0 || !part.startsWith("0 ")).join(" ");
}

/** The time of day of a moment. */
export function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString("en-GB");
}

/** "1 plugin", "2 plugins". */
export function plural(number, word) {
  return `${count(number)} ${word}${number === 1 ? "" : "s"}`;
}
