// Every page: the bar at its head stays true, the clock steps, "/" searches, j and k walk a queue or a list.
import { secondsSince, serverNow, setIcon, setText, span, tellServerTime } from "./words.js";

const POLL_MS = 5000;
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

function showStatus(status) {
  tellServerTime(status.now);
  const state = document.getElementById("bar-state");
  if (state) {
    state.className = `state state-${status.state.toLowerCase()}`;
    setText(state.querySelector("b"), `Trading ${status.state_words}`);
    setIcon(state, status.state_icon);
  }
  const feed = document.getElementById("bar-feed");
  if (feed) {
    feed.classList.toggle("is-warn", status.feed.is_late);
    setIcon(feed, status.feed.is_late ? "warn" : "feed");
    setText(feed.querySelector("[data-feed-words]"), status.feed.words);
    setText(feed.querySelector("[data-feed-age]"), status.feed.age);
  }
  const alarms = document.getElementById("bar-alarms");
  if (alarms) {
    alarms.classList.toggle("is-warn", status.alarms.is_unseen);
    setText(alarms.querySelector("[data-alarm-words]"), status.alarms.words);
    setText(alarms.querySelector("[data-alarm-age]"), status.alarms.age);
  }
  const count = document.getElementById("nav-waiting");
  if (count) {
    count.hidden = status.waiting === 0;
    setText(count.querySelector("[data-count]"), String(status.waiting));
  }
}

// A bar that cannot be asked must not look alive: it says so.
function showSilence() {
  const feed = document.getElementById("bar-feed");
  if (!feed) return;
  feed.classList.add("is-warn");
  setIcon(feed, "warn");
  setText(feed.querySelector("[data-feed-words]"), "Aika does not answer");
  setText(feed.querySelector("[data-feed-age]"), "");
}

async function poll() {
  if (document.visibilityState === "visible") {
    try {
      const answer = await fetch(bar.dataset.statusUrl, { headers: { Accept: "application/json" }, cache: "no-store" });
      if (answer.ok) showStatus(await answer.json());
      else showSilence();
    } catch {
      showSilence();
    }
  }
  setTimeout(poll, POLL_MS);
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
  if (bar.dataset.statusUrl) setTimeout(poll, POLL_MS);
}
