// Candles as the API says them, kept by their beginning; the newest one follows prices until the next answer.
import { number } from "./figures.js";

export const SECONDS = { "1m": 60, "5m": 300, "15m": 900, "1h": 3600, "4h": 14400, "1d": 86400 };
export const SHOWN = 300;
const PAGE = 1000;
const HELD_MAX = 50000;
const TAIL = 3;
const WHOLE_MS_MIN = 60000;
const WHOLE_MS_MAX = 300000;

export class Candles {
  constructor(url, connection, instrument, granularity) {
    this.url = url;
    this.connection = connection;
    this.instrument = instrument;
    this.granularity = granularity;
    this.bars = new Map();
    this.wholeAt = 0;
    this.isPaged = false;
    this.hasEarlier = true;
  }

  get step() {
    return SECONDS[this.granularity];
  }

  get list() {
    return [...this.bars.values()].sort((one, other) => one.time - other.time);
  }

  get newest() {
    let found = 0;
    for (const time of this.bars.keys()) if (time > found) found = time;
    return found;
  }

  get oldest() {
    let found = Infinity;
    for (const time of this.bars.keys()) if (time < found) found = time;
    return found;
  }

  // How often all are asked for: the venue corrects minutes within minutes, and what is longer more seldom.
  get wholeMs() {
    return Math.min(Math.max(this.step * 1000, WHOLE_MS_MIN), WHOLE_MS_MAX);
  }

  // All of them until there are as many as fit, and now and then, for a past that was filled in or corrected; else the
  // last few: what was still forming is final now. A candle of prices in whose time nothing traded is none, and what
  // is older than all of them would stand before a gap, unless it was asked for and goes on where they begin. Says
  // whether there are any.
  async read(serverNow, shown = SHOWN) {
    const missed = Math.ceil((serverNow / 1000 - this.newest) / this.step) + TAIL;
    const whole = this.bars.size < shown || serverNow - this.wholeAt > this.wholeMs;
    const items = await this.ask({ limit: String(whole ? shown : Math.min(missed, shown)) });
    if (whole) this.wholeAt = serverNow;
    const told = new Set(items.map(begins));
    const first = Math.min(...told);
    const last = Math.max(...told);
    const goesOn = this.isPaged && this.bars.has(first);
    for (const time of [...this.bars.keys()]) {
      if (time < last && !told.has(time) && (time > first || (whole && !goesOn))) this.bars.delete(time);
    }
    if (whole && !goesOn) {
      this.isPaged = false;
      this.hasEarlier = true;
    }
    for (const item of items) this.keep(item);
    return this.bars.size > 0;
  }

  // A page of candles before the oldest one that is held. Says whether there were any.
  async readEarlier() {
    const { oldest } = this;
    if (!this.hasEarlier || oldest === Infinity) return false;
    const items = await this.ask({ limit: String(PAGE), until: new Date(oldest * 1000).toISOString() });
    if (this.oldest !== oldest) return false; // all were read anew meanwhile
    this.isPaged = true;
    for (const item of items) this.keep(item);
    this.hasEarlier = items.length === PAGE && this.bars.size + PAGE <= HELD_MAX;
    return items.length > 0;
  }

  async ask(wanted) {
    const { connection, instrument, granularity } = this;
    const query = new URLSearchParams({ connection, instrument, granularity, ...wanted });
    const answer = await fetch(`${this.url}?${query}`, { headers: { Accept: "application/json" }, cache: "no-store" });
    if (!answer.ok) throw new Error(`candles: ${answer.status}`);
    return (await answer.json()).items;
  }

  keep(item) {
    const time = begins(item);
    this.bars.set(time, {
      time,
      open: number(item.open),
      high: number(item.high),
      low: number(item.low),
      close: number(item.close),
      volume: item.volume,
      final: Boolean(item.final),
    });
  }

  // A price moves the candle it falls into; returns that candle, or null where there is nothing to go on.
  follow(value, occurredAt) {
    if (!this.bars.size) return null;
    const time = Math.floor(Date.parse(occurredAt) / 1000 / this.step) * this.step;
    if (!Number.isFinite(time) || time < this.newest) return null;
    const known = this.bars.get(time);
    if (known && known.final) return null;
    const bar = known
      ? { ...known, high: Math.max(known.high, value), low: Math.min(known.low, value), close: value }
      : { time, open: value, high: value, low: value, close: value, volume: "", final: false };
    this.bars.set(time, bar);
    return bar;
  }
}

function begins(item) {
  return Math.floor(Date.parse(item.start) / 1000);
}
