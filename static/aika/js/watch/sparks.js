// Sparklines of the last day: quarter hours as the API says them, the newest price at their end.
import { serverNow } from "../words.js";
import { Candles } from "./candles.js";
import { shown } from "./prices.js";

const AGAIN_MS = 300000;
const FEW = 8;
const FEW_MS = 20000;
const QUARTERS = 96;
const WIDE = 74;
const HIGH = 24;
const EDGE = 2;

export class Sparks {
  constructor(root, prices) {
    this.root = root;
    this.prices = prices;
    this.closes = new Map();
    setInterval(() => this.read(() => true), AGAIN_MS);
    setInterval(() => this.read((key) => (this.closes.get(key) || []).length < FEW), FEW_MS);
  }

  // One after the other: a board of many rows must not crowd out what the reader waits for.
  async read(wanted) {
    if (this.running) return;
    this.running = true;
    const rows = this.prices.rows().map((row) => ({ ...row.dataset }));
    for (const { price: key, connection, instrument } of rows.filter((row) => wanted(row.price))) {
      const candles = new Candles(this.root.dataset.candlesUrl, connection, instrument, "15m");
      try {
        await candles.read(serverNow(), QUARTERS);
        this.closes.set(key, candles.list.map((bar) => bar.close));
      } catch {
        break;
      }
      const row = this.prices.row(key); // the board may have been written anew meanwhile
      if (row) this.draw(row);
    }
    this.running = false;
  }

  drawAll() {
    for (const row of this.prices.rows()) this.draw(row);
  }

  draw(row) {
    const path = row.querySelector(".spark path");
    const closes = [...(this.closes.get(row.dataset.price) || [])];
    const quote = this.prices.quote(row.dataset.price);
    if (quote) closes.push(shown(quote));
    const d = closes.length < 2 ? "" : line(closes);
    if (path.getAttribute("d") !== d) path.setAttribute("d", d);
  }
}

function line(values) {
  const low = Math.min(...values);
  const range = Math.max(...values) - low;
  const step = WIDE / (values.length - 1);
  const points = values.map((value, index) => {
    const share = range ? (value - low) / range : 0.5;
    return `${(index * step).toFixed(1)} ${(HIGH - EDGE - share * (HIGH - 2 * EDGE)).toFixed(1)}`;
  });
  return `M${points.join("L")}`;
}
