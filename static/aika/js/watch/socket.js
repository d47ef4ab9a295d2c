// A socket that knows when it is cut off. The server says something every second; after 1.7 s of silence nothing that
// came over it may look alive any more, after 5 s a new one is tried, later and later, each time by a different wait.

const SILENT_MS = 1700;
const DEAD_MS = 5000;
const WAIT_MS = 500;
const WAIT_MAX_MS = 15000;
const SIGNED_OUT = 4401;
const NOT_HERE = 4403;
const TOO_MANY = 4429;

export class LiveSocket {
  constructor(path, { onOpen, onMessage, onChange }) {
    this.path = path;
    this.onOpen = onOpen;
    this.onMessage = onMessage;
    this.onChange = onChange;
    this.isCut = true;
    this.heardAt = null; // by this machine's clock, for silence only
    this.since = null; // the last word before it was cut off, as an instant
    this.silentMs = 0; // how long nothing was heard when it was found to be cut off
    this.code = 0;
    this.failures = 0;
    this.tryAt = 0;
    this.timer = null;
    this.socket = null;
    this.connect();
    setInterval(() => this.check(), 150);
  }

  connect() {
    clearTimeout(this.timer);
    this.timer = null;
    this.drop();
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}${this.path}`);
    this.socket = socket;
    this.openedAt = performance.now();
    socket.addEventListener("open", () => socket === this.socket && this.onOpen());
    socket.addEventListener("message", (event) => socket === this.socket && this.heard(event.data));
    socket.addEventListener("close", (event) => socket === this.socket && this.closed(event.code));
  }

  // Forget a socket without waiting for the other side to agree.
  drop() {
    const old = this.socket;
    this.socket = null;
    if (old) old.close();
  }

  heard(data) {
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return;
    }
    this.heardAt = performance.now();
    this.since = Date.now();
    this.failures = 0;
    this.code = 0;
    if (this.isCut) {
      this.isCut = false;
      this.onChange(this);
    }
    this.onMessage(message);
  }

  closed(code) {
    // Who has shown again who they are has a new cookie: asked once more with it, before it is said that they are out.
    this.code = code === SIGNED_OUT && !this.isCut ? 0 : code;
    this.socket = null;
    this.cut();
    if (this.isSignedOut) this.onChange(this);
    if (this.isSignedOut || code === NOT_HERE) return;
    this.later();
  }

  later() {
    const most = Math.min(WAIT_MS * 2 ** this.failures, WAIT_MAX_MS);
    const wait = this.code === TOO_MANY ? WAIT_MAX_MS : most * (0.5 + Math.random() / 2);
    this.failures += 1;
    this.tryAt = Date.now() + wait;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.connect(), wait);
  }

  cut() {
    if (this.isCut) return;
    this.isCut = true;
    this.silentMs = Math.round(performance.now() - this.heardAt);
    this.onChange(this);
  }

  check() {
    if (!this.socket) return;
    const silent = performance.now() - Math.max(this.heardAt || 0, this.openedAt);
    if (performance.now() - (this.heardAt || 0) > SILENT_MS) this.cut();
    if (silent > DEAD_MS) {
      this.drop();
      this.later();
    }
  }

  // Somebody came back to the page, or the network did: no reason to wait any longer.
  now() {
    if (this.isCut && this.timer) {
      this.failures = 0;
      this.connect();
    }
  }

  send(message) {
    if (this.socket && this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  get isSignedOut() {
    return this.code === SIGNED_OUT;
  }
}
