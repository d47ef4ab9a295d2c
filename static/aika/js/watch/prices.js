// The price board: what was heard of each instrument, drawn with its age; what is late or cut off greys.
import { ageWords, secondsSince, setText } from "../words.js";
import { element, grouped, icon, NOT_KNOWN, number, price, signed } from "./figures.js";

export class Prices {
  constructor(root) {
    this.root = root;
    this.bound = Number(root.dataset.bound);
    this.heard = new Map();
    this.isCut = true;
  }

  rows() {
    return [...this.root.querySelectorAll("[data-price]")];
  }

  row(key) {
    return this.rows().find((row) => row.dataset.price === key) || null;
  }

  items() {
    return this.rows().map((row) => ({ connection: row.dataset.connection, instrument: row.dataset.instrument }));
  }

  take(quotes) {
    for (const quote of quotes) {
      const bid = number(quote.bid);
      const ask = number(quote.ask);
      if (bid === null || ask === null) continue;
      this.heard.set(`${quote.connection}|${quote.instrument}`, {
        bid,
        ask,
        mid: (bid + ask) / 2,
        last: number(quote.last),
        change: number(quote.change_24h),
        occurredAt: quote.occurred_at,
        receivedAt: quote.received_at,
        saidStale: Boolean(quote.stale),
      });
    }
  }

  quote(key) {
    return this.heard.get(key) || null;
  }

  // Seconds since we heard it; Infinity where nothing was heard.
  age(key) {
    const quote = this.quote(key);
    return quote ? Math.max(secondsSince(quote.receivedAt), 0) : Infinity;
  }

  // A price that something may be computed from.
  isFresh(key, bound = this.bound) {
    const quote = this.quote(key);
    if (!quote || this.isCut) return false;
    return this.age(key) <= bound;
  }

  draw() {
    let late = 0;
    for (const row of this.rows()) {
      const key = row.dataset.price;
      const fresh = this.isFresh(key);
      if (!fresh) late += 1;
      row.classList.toggle("is-stale", !fresh);
      this.drawRow(row, this.quote(key), fresh);
      showAge(row.querySelector("[data-age]"), this.age(key), fresh);
    }
    return late;
  }

  drawRow(row, quote, fresh) {
    if (!quote) return;
    const places = Number(row.dataset.places);
    setText(row.querySelector("[data-last]"), price(shown(quote), places));
    setText(row.querySelector("[data-spread]"), `${grouped(((quote.ask - quote.bid) / quote.mid) * 1e4, 1)} bps`);
    showChange(row.querySelector("[data-change]"), quote.change, fresh);
  }
}

export function shown(quote) {
  return quote.last === null ? quote.mid : quote.last;
}

export function showAge(node, seconds, fresh) {
  if (!node) return;
  const old = !fresh && seconds !== Infinity;
  const words = old ? `${ageWords(seconds)} old` : ageWords(seconds);
  if (old !== node.classList.contains("stale-tag")) {
    node.className = old ? "stale-tag" : "age";
    node.replaceChildren(...(old ? [icon("warn"), document.createTextNode("")] : []), document.createTextNode(""));
  }
  const text = node.lastChild || node.appendChild(document.createTextNode(""));
  if (text.textContent !== words) text.textContent = words;
}

export function showChange(node, change, fresh) {
  if (!node) return;
  if (change === null || !fresh) {
    setText(node, "unknown");
    return;
  }
  const words = `${signed(change, 2)} %`;
  if (node.dataset.said === words && node.firstElementChild) return;
  node.dataset.said = words;
  const up = change >= 0;
  const mark = element("span", { className: change === 0 ? "" : up ? "gain" : "loss" });
  if (change !== 0) mark.append(icon(up ? "up" : "down", up ? "up" : "down", "i-fill"), document.createTextNode(" "));
  mark.append(document.createTextNode(words));
  node.replaceChildren(mark);
}

export { NOT_KNOWN };
