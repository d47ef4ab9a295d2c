// The page of those who watch. Two sockets: prices, and what happens at the desk. What is cut off greys within two
// seconds and says so; when the socket is back, everything is read anew by itself.
import { showTrading, showWaiting, tellCut } from "../bar.js";
import { ageWords, secondsSince, serverNow, setText, tellServerTime } from "../words.js";
import { Chart } from "./chart.js";
import { boardSays, drawDrift, drawPositions } from "./derived.js";
import { Feeds } from "./feed.js";
import { Parts } from "./parts.js";
import { Prices } from "./prices.js";
import { LiveSocket } from "./socket.js";
import { Sparks } from "./sparks.js";
import { Told } from "./told.js";

const STEP_MS = 500;
const FAST_MS = 150;
const root = document.getElementById("watch");
const title = document.title;
const prices = new Prices(root);
const chart = new Chart(root);
const sparks = new Sparks(root, prices);
const feeds = new Feeds(root);
const told = new Told(root, feeds);
let chosen = firstChoice();
let granularity = chosen.granularity;
let subscribed = "";
let oneByOne = false;
let signedOut = false;
let trading = "";

// What the address asks for (#connection/BTC-USD/5m), else what the server has chosen.
function firstChoice() {
  const [connection, instrument, wanted] = location.hash.slice(1).split("/");
  const buttons = [...document.querySelectorAll("[data-granularity]")].map((button) => button.dataset.granularity);
  const pressed = document.querySelector('[data-choose][aria-pressed="true"]');
  const key = prices.row(`${connection}|${instrument}`) ? `${connection}|${instrument}` : "";
  return {
    key: key || (pressed ? pressed.closest("[data-price]").dataset.price : ""),
    granularity: buttons.includes(wanted) ? wanted : "5m",
  };
}

const parts = new Parts(root, {
  chosen: () => chosen.key,
  onReplaced: (names) => {
    if (names.includes("prices")) {
      markChosen();
      subscribe();
      sparks.drawAll();
      chart.row = prices.row(chosen.key) || chart.row;
    }
    if (names.includes("marks")) chart.drawMarks();
    draw();
  },
  onSignedOut: () => {
    if (!signedOut) announce("You are signed out. No number on this page is live.");
    signedOut = true;
    prices.isCut = true;
    showCut();
    draw();
  },
});

function subscribe() {
  const items = prices.items();
  const wanted = JSON.stringify(items);
  if (wanted === subscribed) return;
  const old = subscribed ? JSON.parse(subscribed) : [];
  const gone = old.filter((one) => !items.some((item) => item.connection === one.connection && item.instrument === one.instrument));
  if (gone.length) quotes.send({ action: "unsubscribe", items: gone });
  if (items.length) quotes.send({ action: "subscribe", items });
  subscribed = wanted;
  oneByOne = false;
}

// All of a message holds or nothing of it: what the server does not know must not keep the others from the board.
function subscribeOneByOne() {
  if (oneByOne) return;
  oneByOne = true;
  for (const item of prices.items()) quotes.send({ action: "subscribe", items: [item] });
}

const quotes = new LiveSocket(root.dataset.quotesUrl, {
  onOpen: () => {
    subscribed = "";
    subscribe();
  },
  onMessage: (message) => {
    if (message.at) tellServerTime(message.at);
    if (message.type === "heartbeat") feeds.take(message.feeds);
    if (message.type === "error") subscribeOneByOne();
    if (message.type !== "quotes") return;
    prices.take(message.quotes);
    drawSoon();
  },
  onChange: cutChanged,
});

const desk = new LiveSocket(root.dataset.deskUrl, {
  onOpen: () => parts.soon(),
  onMessage: (message) => {
    if (message.at) tellServerTime(message.at);
    if (message.type === "events") parts.soon();
    if (message.type !== "heartbeat") return;
    parts.confirm(message.at);
    feeds.take(message.feeds);
    takeTrading(message.trading_state);
    if (Number.isInteger(message.waiting)) showWaiting(message.waiting);
  },
  onChange: cutChanged,
});

// The bar at the head hears it at once; what is announced is the change, never a number.
function takeTrading(said) {
  if (!said || !said.code) return;
  showTrading(said.code, said.words, { ACTIVE: "ok", REDUCING: "warn" }[said.code] || "halt");
  if (trading && trading !== said.words) {
    announce(`Trading is ${said.words}.`);
    parts.soon();
  }
  trading = said.words;
}

function announce(words) {
  setText(document.getElementById("watch-said"), words);
}

function cutChanged(socket) {
  prices.isCut = quotes.isCut || signedOut;
  if (!socket.isCut) {
    parts.soon();
    chart.read();
  }
  const any = quotes.isCut || desk.isCut;
  if (socket.isSignedOut) parts.onSignedOut();
  // Once they are out, the other socket's end says nothing new.
  else if (!signedOut) announce(any ? "Cut off from Aika. No number on this page is live." : "Back. Every number is live again.");
  showCut();
  draw();
}

function showCut() {
  const cut = [quotes, desk].filter((socket) => socket.isCut);
  const box = document.getElementById("watch-cut");
  const out = signedOut || cut.some((socket) => socket.isSignedOut);
  // On arrival nothing was heard yet: that is no cut, unless it lasts.
  const began = cut.some((socket) => socket.since !== null || socket.failures > 1) || out;
  box.hidden = !(cut.length && began) && !out;
  for (const part of root.querySelectorAll("[data-source]")) {
    const socket = part.dataset.source === "quotes" ? quotes : desk;
    part.classList.toggle("is-cut", (socket.isCut && (socket.since !== null || socket.failures > 1)) || out);
  }
  const isCut = !box.hidden;
  document.title = isCut ? title.replace(" · ", " · CUT OFF · ") : title;
  root.dataset.silentMs = String(Math.max(...cut.map((socket) => socket.silentMs), 0));
  tellCut(isCut ? barSays(cut, out) : "");
  if (!isCut) return;
  const since = Math.min(...cut.map((socket) => socket.since).filter((instant) => instant !== null));
  const what = cut.length === 1 ? (cut[0] === quotes ? "Prices are" : "What happens at the desk is") : "This page is";
  const from = Number.isFinite(since) ? ` since ${new Date(since + serverNow() - Date.now()).toISOString().slice(11, 19)} UTC` : "";
  if (out) {
    setText(box.querySelector("[data-cut-sentence]"), "You are signed out: nothing on this page is live.");
    setText(box.querySelector("[data-cut-help]"), "It goes on once you are back:");
    box.querySelector("[data-sign-in]").hidden = false;
    return;
  }
  setText(box.querySelector("[data-cut-sentence]"), `${what} cut off from Aika${from}. Grey numbers are as of then.`);
  const wait = Math.max(...cut.map((socket) => Math.ceil((socket.tryAt - Date.now()) / 1000)));
  setText(box.querySelector("[data-cut-help]"), wait > 0 ? `It is tried again in ${wait} s, and comes back by itself.` : "It is being tried, and comes back by itself.");
}

// Cut off, the bar must not look alive either.
function barSays(cut, out) {
  if (out) return "Signed out";
  if (cut.length > 1) return "Cut off from Aika";
  return cut[0] === quotes ? "Prices are cut off" : "The desk is cut off";
}

function drawAges() {
  const seconds = Math.max(secondsSince(parts.confirmedAt), 0);
  for (const node of root.querySelectorAll("[data-part-age]")) {
    const cut = desk.isCut && seconds >= 1;
    const className = cut ? "stale-tag" : "age";
    if (node.className !== className) node.className = className;
    setText(node, cut ? `${ageWords(seconds)} old` : ageWords(seconds));
  }
}

let drawing = null;
function drawSoon() {
  if (drawing === null) drawing = setTimeout(draw, FAST_MS);
}

function draw() {
  clearTimeout(drawing);
  drawing = null;
  const late = prices.draw();
  drawPositions(root, prices);
  drawDrift(root, prices);
  chart.tick(prices);
  setText(root.querySelector("[data-board-says]"), boardSays(late, prices.rows().length, quotes.isCut));
  drawAges();
}

function step() {
  draw();
  showCut();
  feeds.draw(quotes.isCut && desk.isCut);
  told.drawAges();
}

function markChosen() {
  for (const button of root.querySelectorAll("[data-choose]")) {
    button.setAttribute("aria-pressed", String(button.closest("[data-price]").dataset.price === chosen.key));
  }
  for (const button of root.querySelectorAll("[data-granularity]")) {
    button.setAttribute("aria-pressed", String(button.dataset.granularity === granularity));
  }
}

function choose(key, length) {
  const moved = key !== chosen.key;
  chosen = { key, granularity: length };
  granularity = length;
  markChosen();
  chart.choose(prices.row(key), length);
  if (key) history.replaceState(null, "", `#${key.replace("|", "/")}/${length}`);
  if (moved) parts.soon();
  draw();
}

root.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.choose !== undefined) choose(button.closest("[data-price]").dataset.price, granularity);
  else if (button.dataset.granularity) choose(chosen.key, button.dataset.granularity);
});

// j and k walk the board; Enter draws the chart, as it does for every button.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
  if (event.key !== "j" && event.key !== "k") return;
  const buttons = [...root.querySelectorAll("[data-choose]")];
  const here = buttons.indexOf(document.activeElement);
  const next = buttons[Math.min(Math.max(here + (event.key === "j" ? 1 : -1), 0), buttons.length - 1)];
  if (next) next.focus();
});

const dress = () => requestAnimationFrame(() => chart.dress());
new MutationObserver(dress).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", dress);
for (const moment of ["online", "focus"]) window.addEventListener(moment, () => [quotes, desk].forEach((socket) => socket.now()));
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") [quotes, desk].forEach((socket) => socket.now());
});

tellServerTime(root.dataset.now);
markChosen();
chart.choose(prices.row(chosen.key), granularity);
sparks.read(() => true);
setInterval(step, STEP_MS);
step();

// What the page draws with, for who looks into it.
export { chart };
