// Every page: the bar at its head stays true, the clock steps, "/" searches, j and k walk a queue or a list.
import { keepAsking } from "./bar.js";
import { secondsSince, serverNow, setText, span, tellServerTime } from "./words.js";

const bar = document.getElementById("statusbar");

function stepClock() {
  const clock = document.getElementById("bar-clock");
  if (!clock) return;
  const now = new Date(serverNow());
  const [, month, day] = now.toISOString().match(/^\d+-(\d+)-(\d+)T/);
  const name = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][Number(month) - 1];
  setText(clock.querySelector("[data-day]"), `${Number(day)} ${name} `);
  setText(clock.querySelector("[data-time]"), `${now.toISOString().slice(11, 19)} UTC`);
  clock.setAttribute("datetime", now.toISOString());
  for (const node of document.querySelectorAll("[data-ago]")) {
    const seconds = secondsSince(node.dataset.ago);
    const words = span(Math.floor(seconds));
    // In a narrow column the first unit says enough: `2 min`, not `2 min 13 s`.
    const shown = node.dataset.coarse === undefined ? words : words.split(" ").slice(0, 2).join(" ");
    setText(node, seconds < 1 ? "just now" : `${shown} ago`);
  }
  for (const node of document.querySelectorAll("[data-until]")) {
    const left = -secondsSince(node.dataset.until);
    setText(node.querySelector("[data-until-words]") || node, left > 0 ? span(Math.floor(left)) : "run out");
    node.classList.toggle("left-soon", left < Number(node.dataset.soon || 60));
  }
}

// The queue of decisions, and every list of the console: one way to walk them.
const ROWS = ":is(.queue, #result_list) tbody tr";

function isTyping(target) {
  return target.closest("input, textarea, select, [contenteditable]") !== null;
}

function walk(step) {
  const rows = [...document.querySelectorAll(ROWS)];
  if (!rows.length) return;
  const here = rows.findIndex((row) => row.classList.contains("is-here"));
  const next = Math.min(Math.max(here + step, 0), rows.length - 1);
  rows.forEach((row, index) => row.classList.toggle("is-here", index === next));
  const link = rows[next].querySelector("th a");
  if (link) link.focus({ preventScroll: false });
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  if (event.key === "/") {
    const search = document.querySelector(".search input, #searchbar");
    if (search) {
      event.preventDefault();
      search.focus();
    }
  } else if (event.key === "j") walk(1);
  else if (event.key === "k") walk(-1);
});

document.addEventListener("focusin", (event) => {
  const row = event.target.closest(ROWS);
  if (!row) return;
  for (const other of document.querySelectorAll(ROWS)) other.classList.toggle("is-here", other === row);
});

if (bar) {
  tellServerTime(bar.dataset.now);
  setInterval(stepClock, 1000);
  keepAsking();
}
