// The parts of the page that the server writes: taken anew when something happened, many events at once, never more than
// one question at a time. What the reader has focused keeps its focus.
import { tellServerTime } from "../words.js";

const GATHER_MS = 200;
const GAP_MS = 1000;
const EVERY_MS = 30000;
const AGAIN_MS = 3000;

export class Parts {
  constructor(root, { chosen, onReplaced, onSignedOut }) {
    this.root = root;
    this.chosen = chosen;
    this.onReplaced = onReplaced;
    this.onSignedOut = onSignedOut;
    this.said = new Map();
    this.asked = false; // something happened that the page does not show yet
    this.running = false;
    this.lastEnd = -Infinity;
    this.timer = null;
    this.confirmedAt = root.dataset.now; // up to when what stands here is known to be so
    setInterval(() => this.soon(), EVERY_MS);
  }

  soon() {
    this.asked = true;
    if (this.isOver || this.timer || this.running) return;
    const wait = Math.max(GATHER_MS, this.lastEnd + GAP_MS - performance.now());
    this.timer = setTimeout(() => {
      this.timer = null;
      this.refresh();
    }, wait);
  }

  // The server says each second that nothing else happened.
  confirm(instant) {
    if (!this.asked && !this.running && instant > this.confirmedAt) this.confirmedAt = instant;
  }

  async refresh() {
    this.running = true;
    this.asked = false;
    let done = false;
    try {
      const query = new URLSearchParams({ chart: this.chosen() });
      const answer = await fetch(`${this.root.dataset.partsUrl}?${query}`, {
        headers: { Accept: "text/html" },
        cache: "no-store",
      });
      if (answer.redirected || answer.status === 401 || answer.status === 403) {
        this.isOver = true;
        this.onSignedOut();
      }
      if (answer.ok && !this.isOver) {
        this.take(new DOMParser().parseFromString(await answer.text(), "text/html"));
        done = true;
      }
    } catch {
      done = false;
    }
    this.running = false;
    this.lastEnd = performance.now();
    if (!done) {
      this.asked = true;
      setTimeout(() => this.soon(), AGAIN_MS);
    } else if (this.asked) this.soon();
  }

  take(fresh) {
    const instant = fresh.getElementById("parts").dataset.now;
    tellServerTime(instant);
    this.confirmedAt = instant;
    const focused = document.activeElement;
    const place = focused && (focused.dataset.focus || (focused.dataset.choose !== undefined && focused.textContent));
    const replaced = [];
    for (const next of fresh.querySelectorAll("[data-part]")) {
      const name = next.dataset.part;
      const html = next.outerHTML;
      if (this.said.get(name) === html) continue;
      this.said.set(name, html);
      const here = this.root.querySelector(`[data-part="${name}"]`);
      const adopted = document.adoptNode(next);
      if (here.classList.contains("is-cut")) adopted.classList.add("is-cut");
      here.replaceWith(adopted);
      replaced.push(name);
    }
    if (place && !document.contains(focused)) this.focus(place);
    this.onReplaced(replaced);
  }

  focus(place) {
    const nodes = this.root.querySelectorAll("[data-focus], [data-choose]");
    const again = [...nodes].find((node) => node.dataset.focus === place || node.textContent === place);
    if (again) again.focus({ preventScroll: true });
  }
}
