// The bar at the head and the count of what waits: what was told last, and grey with its age once it may be so no more.
import { ageWords, setIcon, setText, tellServerTime } from "./words.js";

const POLL_MS = 5000;
const STEP_MS = 500;
const bar = document.getElementById("statusbar");
// When what stands there was told, by this machine's clock: for ages only.
let toldAt = Date.now();
let waitingToldAt = Date.now();
let silence = ""; // in words, why what stands here may be old: nobody answers,
let cut = ""; // or the page's own sockets are cut off
let shown = ""; // for which of the two the bar is grey now

const named = (id) => document.getElementById(id);

export function showTrading(code, words, icon) {
  const state = named("bar-state");
  if (!state) return;
  state.className = `state state-${code.toLowerCase()}`;
  setText(state.querySelector("b"), `Trading ${words}`);
  setIcon(state, icon);
  draw();
}

export function showWaiting(waiting) {
  waitingToldAt = Date.now();
  const count = named("nav-waiting");
  if (!count) return;
  count.hidden = waiting === 0;
  setText(count.querySelector("[data-count]"), String(waiting));
}

function showStatus(status) {
  showTrading(status.state, status.state_words, status.state_icon);
  const feed = named("bar-feed");
  if (feed) {
    feed.classList.toggle("is-warn", status.feed.is_late);
    setIcon(feed, status.feed.is_late ? "warn" : "feed");
    setText(feed.querySelector("[data-feed-words]"), status.feed.words);
    setText(feed.querySelector("[data-feed-age]"), status.feed.age);
  }
  const alarms = named("bar-alarms");
  if (alarms) {
    alarms.classList.toggle("is-warn", status.alarms.is_unseen);
    setText(alarms.querySelector("[data-alarm-words]"), status.alarms.words);
    setText(alarms.querySelector("[data-alarm-age]"), status.alarms.age);
  }
  showWaiting(status.waiting);
}

// A bar that is not told anything must not look alive: every number greys, with its age, and it says why.
function draw() {
  const why = cut || silence;
  if (!why && !shown) return;
  shown = why;
  const age = (instant) => (why ? `${ageWords((Date.now() - instant) / 1000)} old` : "");
  for (const id of ["bar-state", "bar-alarms", "nav-waiting"]) {
    const node = named(id);
    if (node) node.classList.toggle("is-stale", Boolean(why));
  }
  setText(document.querySelector("#nav-waiting [data-count-age]"), why && `, ${age(waitingToldAt)}`);
  if (!why) return; // the words themselves come with the next answer
  setText(document.querySelector("#bar-alarms [data-alarm-age]"), age(toldAt));
  const feed = named("bar-feed");
  if (!feed) return;
  feed.classList.add("is-warn");
  setIcon(feed, "warn");
  setText(feed.querySelector("[data-feed-words]"), why);
  setText(feed.querySelector("[data-feed-age]"), "");
}

// Why the page is cut off, in words; nothing once it is not, and then the bar is asked for at once.
export function tellCut(words) {
  const wasCut = cut !== "";
  cut = words;
  draw();
  if (wasCut && !cut) ask();
}

async function ask() {
  if (!bar || !bar.dataset.statusUrl) return;
  try {
    const signal = AbortSignal.timeout(POLL_MS);
    const answer = await fetch(bar.dataset.statusUrl, { headers: { Accept: "application/json" }, cache: "no-store", signal });
    if (!answer.ok) throw new Error(String(answer.status));
    const status = await answer.json();
    tellServerTime(status.now);
    toldAt = Date.now();
    silence = "";
    draw();
    showStatus(status);
  } catch {
    silence = "Aika does not answer";
  }
  draw();
}

async function askAgain() {
  if (document.visibilityState === "visible") await ask();
  setTimeout(askAgain, POLL_MS);
}

export function keepAsking() {
  setInterval(draw, STEP_MS);
  if (bar.dataset.statusUrl) setTimeout(askAgain, POLL_MS);
}
