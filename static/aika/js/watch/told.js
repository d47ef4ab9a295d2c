// When a price of each instrument last came, the one told longest ago first: asked for while somebody has it open.
import { ageWords, secondsSince, setText } from "../words.js";
import { element } from "./figures.js";

const AGAIN_MS = 5000;
const MOST = 1000;

export class Told {
  constructor(root, feeds) {
    this.url = root.dataset.feedUrl;
    this.feeds = feeds;
    this.details = document.getElementById("told");
    this.body = this.details.querySelector("tbody");
    this.note = document.getElementById("told-note");
    this.running = false;
    this.details.addEventListener("toggle", () => this.read());
    setInterval(() => this.read(), AGAIN_MS);
  }

  get isOpen() {
    return this.details.open && document.visibilityState === "visible";
  }

  // One feed after the other, each by one of the connections that it brings prices of.
  async read() {
    if (!this.isOpen || this.running) return;
    this.running = true;
    try {
      const told = [];
      let leftOut = 0;
      for (const feed of this.feeds.known || []) {
        const query = new URLSearchParams({ connection: feed.connections[0], limit: MOST });
        const answer = await fetch(`${this.url}?${query}`, { headers: { Accept: "application/json" }, cache: "no-store" });
        if (!answer.ok) throw new Error(String(answer.status));
        const said = await answer.json();
        told.push(...said.items);
        leftOut += said.left_out;
      }
      this.show(told, leftOut);
    } catch {
      setText(this.note, "Not known now: what stands here ages until it can be asked again.");
    }
    this.running = false;
  }

  show(told, leftOut) {
    told.sort((one, other) => (one.heard_at || "9").localeCompare(other.heard_at || "9"));
    const silent = told.filter((one) => one.heard_at === null).length;
    this.body.replaceChildren(...told.slice(0, MOST).map(row));
    const more = leftOut + Math.max(told.length - MOST, 0);
    setText(this.note, `${told.length - silent} told, ${silent} not yet${more ? `, ${more} more left out` : ""}. The one told longest ago first.`);
    this.drawAges();
  }

  drawAges() {
    if (!this.isOpen) return;
    for (const node of this.body.querySelectorAll("[data-heard]")) {
      setText(node, `${ageWords(Math.max(secondsSince(node.dataset.heard), 0))} ago`);
    }
  }
}

function row(one) {
  const when = one.heard_at === null ? { text: "not yet" } : { attributes: { "data-heard": one.heard_at } };
  const cell = element("td", { className: "num", ...when });
  return element("tr", {}, element("th", { attributes: { scope: "row" }, text: one.instrument }), cell);
}
