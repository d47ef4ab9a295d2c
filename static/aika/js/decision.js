// The decision page: numbers age in sight, Approve follows their age, and after the vote the page moves by itself.
// The server refuses whatever this page would refuse; nothing here is a safeguard, all of it is sight.
import { secondsSince, setIcon, setText, span, tellServerTime } from "./words.js";

const POLL_MS = 1000;
const root = () => document.getElementById("decision");
const LOST = {
  sentence: "Approve is off: Aika does not answer.",
  help: "It comes back by itself when this page reaches the server again.",
};
let off = null;
let reached = true;
let sending = false;

function stepTime() {
  const page = root();
  if (!page || page.dataset.open !== "yes") return;
  const left = -secondsSince(page.dataset.expiresAt);
  for (const node of document.querySelectorAll("[data-left]")) {
    setText(node, left > 0 ? span(Math.floor(left)) : "none");
    node.classList.toggle("left-soon", left < 60);
  }
  const holder = document.querySelector("[data-left-bar]");
  if (holder) {
    const share = Math.max(0, Math.min(100, (100 * left) / Number(holder.dataset.lasts || 1)));
    holder.querySelector("rect").setAttribute("width", String(Math.floor(share)));
  }
  stepAge(left);
}

function stepAge(left) {
  const price = document.getElementById("price");
  if (!price) return;
  const known = Boolean(price.dataset.receivedAt);
  const age = known ? Math.max(secondsSince(price.dataset.receivedAt), 0) : Infinity;
  const bound = Number(price.dataset.bound);
  const stale = age > bound;
  price.classList.toggle("is-stale", stale);
  document.querySelector("[data-age-fresh]").hidden = stale;
  document.querySelector("[data-age-stale]").hidden = !stale;
  setText(document.querySelector("[data-age]"), `${age < 10 ? `${age.toFixed(1)} s` : span(Math.floor(age))} old`);
  setText(
    document.querySelector("[data-age-late]"),
    known ? `${span(Math.floor(age))} old, the bound is ${bound} s` : "no price yet",
  );
  showOff(reason(left, stale, known, age));
  if (stale) greyPrice(known, age);
}

// Why Approve is off now: what the server said, or what has grown old since.
function reason(left, stale, known, age) {
  if (left <= 0) return { sentence: "Approve is off: the time has run out.", help: "Nothing is sent. The proposer may ask again." };
  if (!reached) return LOST;
  if (off && off.code !== "QUOTE_STALE") return off;
  if (stale) {
    return {
      sentence: known ? `Approve is off: the price is ${span(Math.floor(age))} old.` : "Approve is off: no price is known.",
      help: "It comes back by itself with the next price. You may decline now.",
    };
  }
  return null;
}

function showOff(why) {
  const approve = document.getElementById("approve");
  const callout = document.getElementById("why-off");
  if (!approve || !callout) return;
  approve.disabled = Boolean(why) || sending;
  callout.hidden = !why;
  if (why) {
    approve.setAttribute("aria-describedby", "why-off");
    setText(callout.querySelector("[data-why]"), why.sentence);
    setText(callout.querySelector("[data-why-help]"), why.help);
  } else {
    approve.removeAttribute("aria-describedby");
  }
  setText(document.querySelector("[data-gobar-link]"), why ? "Why not yet" : "To the decision");
}

function greyPrice(known, age) {
  const tile = document.querySelector('[data-tile="price"]');
  if (!tile || tile.classList.contains("is-stale")) return;
  const was = tile.querySelector("[data-answer]").textContent;
  const unit = tile.querySelector("[data-unit]").textContent;
  tile.className = "tile is-stale";
  setIcon(tile.querySelector(".answer"), "unsure");
  setText(tile.querySelector("[data-answer]"), "Not known");
  setText(tile.querySelector("[data-unit]"), "");
  setText(tile.querySelector("[data-note]"), known ? `It was ${was} ${unit}, ${span(Math.floor(age))} ago.` : "No price is known.");
  tile.querySelector("svg.bar rect").setAttribute("width", "0");
  setText(document.querySelector("[data-gobar-price]"), known ? `price ${span(Math.floor(age))} old` : "no price");
}

function showTile(tile) {
  const node = document.querySelector(`[data-tile="${tile.key}"]`);
  if (!node) return;
  node.className = tile.kind ? `tile is-${tile.kind}` : "tile";
  if (tile.icon) setIcon(node.querySelector(".answer"), tile.icon);
  setText(node.querySelector("[data-answer]"), tile.answer);
  setText(node.querySelector("[data-unit]"), tile.unit);
  setText(node.querySelector("[data-note]"), tile.note);
  const bars = node.querySelectorAll("svg.bar rect");
  if (bars[0]) {
    bars[0].setAttribute("class", tile.bar_kind || "now");
    bars[0].setAttribute("width", tile.now);
  }
  if (bars[1]) {
    bars[1].setAttribute("x", tile.now);
    bars[1].setAttribute("width", tile.add);
  }
}

function showLive(live) {
  tellServerTime(live.now);
  off = live.off;
  const price = document.getElementById("price");
  if (price) {
    price.dataset.receivedAt = live.price.received_at || "";
    setText(document.querySelector("[data-bid]"), live.price.bid || "not known");
    setText(document.querySelector("[data-ask]"), live.price.ask || "not known");
    setText(document.querySelector("[data-spread]"), live.price.spread);
  }
  const token = document.querySelector("[data-signed-quote]");
  if (token && !sending) token.value = live.price.signed;
  const consequence = document.querySelector("[data-consequence]");
  if (consequence && live.consequence !== undefined) {
    setText(consequence.querySelector("[data-lead]"), live.consequence_lead);
    setText(consequence.querySelector("[data-rest]"), live.consequence);
  }
  setText(document.querySelector("[data-gobar-price]"), live.gobar);
  for (const tile of live.tiles) showTile(tile);
}

// Something was decided, sent or filled: take the page as it is now, keep what the person was writing.
async function renew(page) {
  const answer = await fetch(location.pathname, { headers: { Accept: "text/html" }, cache: "no-store" });
  if (answer.ok) await show(page, answer);
}

async function show(page, answer) {
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const next = fresh.getElementById("decision");
  if (!next) return false;
  const texts = ["comment", "difference", "code"].map((id) => [id, document.getElementById(id)?.value]);
  const focused = document.activeElement ? document.activeElement.id : "";
  page.replaceWith(document.adoptNode(next));
  const gobar = document.querySelector(".gobar");
  const nextGobar = fresh.querySelector(".gobar");
  if (gobar && nextGobar) gobar.replaceWith(document.adoptNode(nextGobar));
  else if (gobar) gobar.remove();
  document.title = fresh.title;
  for (const [id, written] of texts) {
    const field = document.getElementById(id);
    if (field && written) field.value = written;
  }
  const again = focused && document.getElementById(focused);
  if (again) again.focus({ preventScroll: true });
  return true;
}

async function poll() {
  const page = root();
  if (!page) return;
  const watching = page.dataset.open === "yes" || page.dataset.moving === "yes";
  if (watching && document.visibilityState === "visible" && !sending) {
    try {
      const answer = await fetch(page.dataset.liveUrl, { headers: { Accept: "application/json" }, cache: "no-store" });
      reached = answer.ok;
      if (answer.ok) {
        const live = await answer.json();
        if (live.version !== page.dataset.version) await renew(page);
        else if (page.dataset.open === "yes") showLive(live);
      }
    } catch {
      reached = false;
    }
    stepTime();
  }
  setTimeout(poll, POLL_MS);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select")) return;
  const id = { a: "approve", d: "decline" }[event.key];
  const button = id && document.getElementById(id);
  if (!button) return;
  event.preventDefault();
  if (button.disabled) document.getElementById("why-off").scrollIntoView({ block: "nearest" });
  else button.focus();
});

document.addEventListener("submit", (event) => {
  if (event.target.id !== "vote") return;
  const decline = !event.submitter || event.submitter.id === "decline";
  const id = decline ? "comment" : "difference";
  const needed = document.getElementById(id);
  if (needed && !needed.value.trim()) {
    event.preventDefault();
    needed.setAttribute("aria-invalid", "true");
    document.getElementById(`${id}-missing`).hidden = false;
    needed.focus();
    return;
  }
  if (sending) {
    event.preventDefault();
    return;
  }
  sending = true;
  for (const button of event.target.querySelectorAll("button")) {
    setTimeout(() => {
      button.disabled = true;
    }, 0);
  }
});

// What is said of a lesson is sent apart from the vote, so that nothing written so far is lost.
document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.matches("[data-rate]")) return;
  event.preventDefault();
  try {
    const answer = await fetch(form.action, { method: "POST", body: new FormData(form, event.submitter) });
    if (!(await show(root(), answer))) location.reload();
  } catch {
    setText(form.querySelector("[role=status]"), "That could not be sent. Try again.");
  }
});

// Coming back by the browser's own memory shows an old page: take a new one.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

setInterval(stepTime, 1000);
setTimeout(poll, POLL_MS);
