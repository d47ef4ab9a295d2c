// Candles as the API says them, kept by their beginning; the newest one follows prices until the next answer.
import { number } from "./figures.js";

export const SECONDS = { "1m": 60, "5m": 300, "15m": 900, "1h": 3600, "4h": 14400, "1d": 86400 };
const SHOWN = 300;
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
  }

  get step() {
    return SECONDS[this.granularity];
  }

  get list() {
    return [...this.bars.values()].sort((one, other) => one.time - other.time);
  }

  // How often all are asked for: the venue corrects minutes within minutes, and what is longer more seldom.
  get wholeMs() {
    return Math.min(Math.max(this.step * 1000, WHOLE_MS_MIN), WHOLE_MS_MAX);
  }

  // All of them until there are as many as fit, and now and then, for a past that was filled in or corrected; else the
  // last few: what was still forming is final now. A candle of prices in whose time nothing traded is none, and what
  // is older than all of them would stand before a gap. Says whether there are any.
  async read(serverNow, shown = SHOWN) {
    const sofar = this.bars.size ? Math.max(...this.bars.keys()) : 0;
    const missed = Math.ceil((serverNow / 1000 - sofar) / this.step) + TAIL;
    const whole = this.bars.size < shown || serverNow - this.wholeAt > this.wholeMs;
    const query = new URLSearchParams({
      connection: this.connection,
      instrument: this.instrument,
      granularity: this.granularity,
      limit: String(whole ? shown : Math.min(missed, shown)),
    });
    const answer = await fetch(`${this.url}?${query}`, { headers: { Accept: "application/json" }, cache: "no-store" });
    if (!answer.ok) throw new Error(`candles: ${answer.status}`);
    const { items } = await answer.json();
    if (whole) this.wholeAt = serverNow;
    const told = new Set(items.map((item) => Math.floor(Date.parse(item.start) / 1000)));
    const first = Math.min(...told);
    const last = Math.max(...told);
    for (const time of [...this.bars.keys()]) {
      if (time < last && !told.has(time) && (whole || time > first)) this.bars.delete(time);
    }
    for (const item of items) {
      const time = Math.floor(Date.parse(item.start) / 1000);
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
    return this.bars.size > 0;
  }

  // A price moves the candle it falls into; returns that candle, or null where there is nothing to go on.
  follow(value, occurredAt) {
    if (!this.bars.size) return null;
    const time = Math.floor(Date.parse(occurredAt) / 1000 / this.step) * this.step;
    const newest = Math.max(...this.bars.keys());
    if (!Number.isFinite(time) || time < newest) return null;
    const known = this.bars.get(time);
    if (known && known.final) return null;
    const bar = known
      ? { ...known, high: Math.max(known.high, value), low: Math.min(known.low, value), close: value }
      : { time, open: value, high: value, low: value, close: value, volume: "", final: false };
    this.bars.set(time, bar);
    return bar;
  }
}
