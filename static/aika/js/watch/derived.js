// What follows from prices: unrealised results, worths, drift. From a price that is late or cut off nothing follows.
import { ageWords, setText } from "../words.js";
import { grouped, icon, NOT_KNOWN, number, price, result, resultClass, signed } from "./figures.js";

export function drawPositions(root, prices) {
  const totals = new Map();
  for (const row of root.querySelectorAll("[data-position]")) {
    const quantity = number(row.dataset.quantity);
    if (!quantity) continue;
    const entry = number(row.dataset.entry);
    const fresh = prices.isFresh(row.dataset.key);
    const quote = fresh ? prices.quote(row.dataset.key) : null;
    const unrealised = quote && entry !== null ? quantity * (quote.mid - entry) : null;
    const currency = row.dataset.currency;
    setText(row.querySelector("[data-worth]"), quote ? `${grouped(quantity * quote.mid, 2)} ${currency}` : "worth not known");
    showResult(row.querySelector("[data-unrealised]"), unrealised);
    setText(row.querySelector("[data-unrealised-note]"), note(prices, row.dataset.key, fresh, quote, entry));
    row.classList.toggle("is-stale", !fresh);
    const sofar = totals.get(currency);
    totals.set(currency, unrealised === null || sofar === null ? null : (sofar || 0) + unrealised);
  }
  const total = root.querySelector("[data-total]");
  if (total) {
    const value = totals.get(total.dataset.currency);
    showResult(total, value === undefined ? null : value, ` ${total.dataset.currency}`);
  }
}

function note(prices, key, fresh, quote, entry) {
  if (!fresh) {
    const age = prices.age(key);
    return age === Infinity ? "no price yet" : `price ${ageWords(age)} old`;
  }
  if (entry === null) return "cost not known";
  return entry > 0 ? `${signed(((quote.mid - entry) / entry) * 100, 1)} %` : "";
}

function showResult(node, value, unit = "") {
  if (!node) return;
  setText(node, value === null ? NOT_KNOWN : `${result(value)}${unit}`);
  const className = value === null ? "quiet" : resultClass(value);
  if (node.className !== className) node.className = className;
}

export function drawDrift(root, prices) {
  for (const row of root.querySelectorAll("[data-waiting]")) {
    const node = row.querySelector("[data-drift]");
    const bound = number(row.dataset.driftBound);
    const reference = number(row.dataset.reference);
    const key = row.dataset.key;
    const fresh = prices.isFresh(key, Number(row.dataset.ageBound));
    let className = "";
    let words;
    if (!fresh) {
      const age = prices.age(key);
      className = "stale-tag";
      words = age === Infinity ? "drift not known: no price yet" : `drift not known: price ${ageWords(age)} old`;
    } else if (!reference) {
      words = "drift not known: no price when it was asked";
    } else {
      const drift = ((prices.quote(key).mid - reference) / reference) * 1e4;
      const used = bound ? Math.abs(drift) / bound : 0;
      words = `drift ${signed(drift, 1)} of ${bound} bps`;
      if (used > 1) words += ", beyond its bound";
      className = used >= 0.75 ? "age-late" : "";
    }
    if (node.className !== className) node.className = className;
    if (node.dataset.said !== words) {
      node.dataset.said = words;
      node.replaceChildren(...(className ? [icon("warn")] : []), document.createTextNode(words));
    }
  }
}

// The board in one sentence, for the head of the page.
export function boardSays(late, all, isCut) {
  if (!all) return "";
  if (isCut) return "Prices are cut off.";
  if (!late) return "All prices are live.";
  if (late === all) return "No price is live.";
  return `${late} of ${all} prices ${late === 1 ? "is" : "are"} late.`;
}

export { price };
