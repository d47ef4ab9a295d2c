// The state of each market's feed, in words, with the numbers behind it.
import { ageWords, secondsSince } from "../words.js";
import { element, grouped, icon, number } from "./figures.js";

const KNOWN_MS = 2000;
const STATES = {
  LIVE: ["ok", "ok", "Live"],
  CONNECTING: ["warn", "wait", "Connecting"],
  STALE: ["warn", "warn", "Stale"],
  DOWN: ["stop", "stop", "Down"],
};

// Names of the connections whose prices come over the same feed, as the page calls them.
function name(feed, root) {
  const known = new Map(
    [...root.querySelectorAll("[data-connection][data-name]")].map((node) => [node.dataset.connection, node.dataset.name]),
  );
  const names = (feed.connections || []).filter((slug) => known.has(slug)).map((slug) => known.get(slug));
  return names.length ? names.join(", ") : String(feed.market || "").split("|")[0];
}

function count(value, word) {
  const many = number(value) || 0;
  return `${many} ${word}${many === 1 ? "" : "s"}`;
}

function facts(feed) {
  const words = [];
  const heard = feed.heard_at ? Math.max(secondsSince(feed.heard_at), 0) : Infinity;
  words.push(heard === Infinity ? "nothing heard yet" : `heard ${ageWords(heard)} ago`);
  const rate = number(feed.messages_per_s);
  if (rate !== null) words.push(`${grouped(rate, rate < 10 ? 1 : 0)} messages/s`);
  const lag = number(feed.lag_ms);
  if (lag !== null) words.push(`lag ${grouped(lag, 0)} ms`);
  words.push(count(feed.gaps, "gap"), count(feed.reconnects, "reconnect"));
  return words;
}

function line(feed, root, isKnown) {
  const [kind, image, word] = isKnown ? STATES[feed.state] || ["unsure", "unsure", String(feed.state)] : ["warn", "warn", "Not known"];
  const chip = element("span", { className: `chip chip-${kind}` }, icon(image), document.createTextNode(word));
  const head = element("div", { className: "row" }, element("b", { text: name(feed, root) }), chip);
  const below = element("div", { className: "row" });
  below.append(element("span", { text: facts(feed).join(", ") }));
  const item = element("li", { attributes: { "data-feed": String(feed.market), "data-state": String(feed.state) } }, head, below);
  if (feed.detail) item.append(element("div", { className: "row" }, element("span", { text: String(feed.detail) })));
  return item;
}

// What either socket told last of the feeds. Null is no answer: the server could not learn it in time.
export class Feeds {
  constructor(root) {
    this.root = root;
    this.known = null;
    this.knownAt = 0;
    this.wasTold = true;
    this.hasHeard = false;
  }

  take(told) {
    if (told === undefined) return;
    this.hasHeard = true;
    this.wasTold = Array.isArray(told);
    if (!this.wasTold) return;
    this.known = told;
    this.knownAt = Date.now();
  }

  // One beat without an answer leaves what another has just said; then it is not known any more.
  isKnown() {
    return this.known !== null && (this.wasTold || Date.now() - this.knownAt <= KNOWN_MS);
  }

  draw(isCut) {
    if (!this.hasHeard) return;
    const isKnown = this.isKnown() && !isCut;
    const items = (this.known || []).map((feed) => line(feed, this.root, isKnown));
    if (!items.length) items.push(element("li", { className: "quiet", text: isKnown ? "No connection has a feed." : "Not known: Aika does not hear how the feeds are." }));
    document.getElementById("feeds").replaceChildren(...items);
  }
}
