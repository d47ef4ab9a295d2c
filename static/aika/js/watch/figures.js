// Figures as people read them, in step with apps/common/words.py: grouped, a true minus, results rounded against us.

export const NOT_KNOWN = "Not known";
const MINUS = "\u2212";
const formats = new Map();

function formatted(value, places) {
  if (!formats.has(places)) {
    formats.set(places, new Intl.NumberFormat("en-US", { minimumFractionDigits: places, maximumFractionDigits: places }));
  }
  return formats.get(places).format(value);
}

export function grouped(value, places) {
  const text = formatted(Math.abs(value), places);
  return value < 0 && /[1-9]/.test(text) ? `${MINUS}${text}` : text;
}

// A price with the decimals of its instrument, never fewer than two.
export function price(value, places) {
  return grouped(value, Math.max(places, 2));
}

// Rounded down, with its sign first. The small numbers take back what binary fractions lose.
export function result(value) {
  const rounded = Math.floor(value * 100 + 1e-6) / 100;
  const text = formatted(Math.abs(rounded), 2);
  if (rounded < 0) return `${MINUS}${text}`;
  return value > 1e-8 ? `+${text}` : text;
}

export function signed(value, places) {
  const text = formatted(Math.abs(value), places);
  if (!/[1-9]/.test(text)) return text;
  return value > 0 ? `+${text}` : `${MINUS}${text}`;
}

export function resultClass(value) {
  const text = result(value);
  if (text.startsWith("+")) return "gain";
  return text.startsWith(MINUS) ? "loss" : "";
}

// A number of a data attribute or a message; null where there is none.
export function number(text) {
  if (text === null || text === undefined || text === "") return null;
  const value = Number(text);
  return Number.isFinite(value) ? value : null;
}

export function element(name, { className, text, attributes } = {}, ...children) {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

const SVG = "http://www.w3.org/2000/svg";

export function icon(name, label, extra) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", extra ? `i ${extra}` : "i");
  svg.setAttribute("viewBox", "0 0 24 24");
  if (label) {
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", label);
  } else {
    svg.setAttribute("aria-hidden", "true");
  }
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}
