// Numbers as people read them, in step with apps/common/words.py.

export function span(seconds) {
  if (seconds < 10 && !Number.isInteger(seconds)) {
    return `${(Math.floor(seconds * 10) / 10).toFixed(1)} s`;
  }
  const whole = Math.max(Math.floor(seconds), 0);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 172800) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} days`;
}

// Whole minutes and hours: beside a number there is room for no more.
export function ageWords(seconds) {
  if (seconds === Infinity) return "no price yet";
  if (seconds < 10) return `${(Math.floor(seconds * 10) / 10).toFixed(1)} s`;
  if (seconds < 60) return span(Math.floor(seconds));
  if (seconds < 5400) return `${Math.floor(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.floor(seconds / 3600)} h` : span(Math.floor(seconds));
}

// The server's clock: the page says what time it was there, the difference to ours is kept. Ages never go by our clock alone.
let ahead = 0;

export function tellServerTime(instant) {
  const server = Date.parse(instant);
  if (!Number.isNaN(server)) ahead = server - Date.now();
}

export function serverNow() {
  return Date.now() + ahead;
}

export function secondsSince(instant) {
  return (serverNow() - Date.parse(instant)) / 1000;
}

export function setText(node, text) {
  if (node && node.textContent !== text) node.textContent = text;
}

export function setIcon(node, name) {
  const use = node && node.querySelector("use");
  if (use && use.getAttribute("href") !== `#i-${name}`) use.setAttribute("href", `#i-${name}`);
}
