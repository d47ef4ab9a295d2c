// The candle chart: what the API says, our own fills, orders and waiting proposals on it. What it holds can be read as a
// table; where there is nothing to draw it says what would fill it.
import {
  CandlestickSeries,
  createChart,
  createSeriesMarkers,
  CrosshairMode,
  LineStyle,
} from "../../vendor/lightweight-charts-5.2.1/lightweight-charts.standalone.production.mjs";
import { serverNow, setText } from "../words.js";
import { Candles, SHOWN } from "./candles.js";
import { element, number, price } from "./figures.js";
import { showAge, showChange, shown } from "./prices.js";

const AGAIN_MS = 15000;
// So near the oldest candle that is held the ones before it are asked for.
const NEAR = 10;
const RIGHT_OFFSET = 14;
const TABLED_MAX = 1000;
const TABLE_MS = 150;
const NAMES = { "1m": "1-minute", "5m": "5-minute", "15m": "15-minute", "1h": "1-hour", "4h": "4-hour", "1d": "1-day" };

function colours() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(name).trim();
  const panel = getComputedStyle(document.getElementById("chart-panel"));
  return {
    gain: read("--gain"),
    loss: read("--loss"),
    buy: read("--buy"),
    sell: read("--sell"),
    grid: read("--chart-grid"),
    text: read("--chart-text"),
    surface: panel.backgroundColor,
    font: panel.fontFamily,
  };
}

export class Chart {
  constructor(root) {
    this.root = root;
    this.panel = document.getElementById("chart-panel");
    this.hold = document.getElementById("chart");
    this.empty = document.getElementById("chart-empty");
    this.table = document.getElementById("chart-table");
    this.note = document.getElementById("chart-note");
    this.granularity = "5m";
    this.restUntil = 0;
    this.tabling = null;
    this.row = null;
    this.candles = null;
    this.lines = [];
    this.chart = createChart(this.hold, {
      autoSize: true,
      handleScroll: { mouseWheel: false, vertTouchDrag: false },
      handleScale: { mouseWheel: false },
      crosshair: { mode: CrosshairMode.Normal },
      timeScale: { timeVisible: true, secondsVisible: false, rightOffset: RIGHT_OFFSET },
      layout: { attributionLogo: false, fontSize: 12 },
    });
    this.series = this.chart.addSeries(CandlestickSeries, { priceLineStyle: LineStyle.Solid });
    this.markers = createSeriesMarkers(this.series, []);
    this.dress();
    this.table.addEventListener("toggle", () => this.tabulate());
    document.getElementById("chart-earlier").addEventListener("click", () => this.back());
    document.getElementById("chart-newest").addEventListener("click", () => this.forward());
    this.chart.timeScale().subscribeVisibleLogicalRangeChange((range) => this.moved(range));
    setInterval(() => this.read(), AGAIN_MS);
  }

  // In the colours in force now.
  dress() {
    const colour = colours();
    this.colour = colour;
    this.chart.applyOptions({
      layout: { background: { color: colour.surface }, textColor: colour.text, fontFamily: colour.font },
      grid: { vertLines: { visible: false }, horzLines: { color: colour.grid } },
      rightPriceScale: { borderColor: colour.grid },
      timeScale: { borderColor: colour.grid },
    });
    this.series.applyOptions({
      upColor: colour.surface,
      downColor: colour.loss,
      borderUpColor: colour.gain,
      borderDownColor: colour.loss,
      wickUpColor: colour.gain,
      wickDownColor: colour.loss,
      priceLineColor: colour.text,
    });
    this.drawMarks();
  }

  choose(row, granularity) {
    this.row = row;
    this.granularity = granularity;
    this.candles = row
      ? new Candles(this.root.dataset.candlesUrl, row.dataset.connection, row.dataset.instrument, granularity)
      : null;
    if (!row) return;
    const places = Number(row.dataset.places);
    setText(this.panel.querySelector("[data-chart-name]"), row.dataset.instrument);
    this.series.applyOptions({
      priceFormat: { type: "custom", minMove: 10 ** -places, formatter: (value) => price(value, places) },
    });
    this.series.setData([]);
    setText(this.note, "");
    this.restUntil = 0;
    this.show("Candles are being read.", "");
    this.isFresh = false;
    this.read();
  }

  async read() {
    const candles = this.candles;
    if (!candles || this.reading === candles) return;
    this.reading = candles;
    try {
      const any = await candles.read(serverNow());
      if (candles !== this.candles) return;
      if (any) this.draw();
      else this.show(...this.nothing());
    } catch {
      if (candles === this.candles && !candles.bars.size) {
        this.show("Candles cannot be read now.", "It is tried again every 15 seconds.");
      }
    } finally {
      if (this.reading === candles) this.reading = null;
    }
  }

  // The page of candles before the oldest one that is held; one question at a time. Says whether there were any.
  more() {
    const { candles } = this;
    if (!candles || !candles.hasEarlier) return Promise.resolve(false);
    candles.asked ||= this.readEarlier(candles).finally(() => {
      candles.asked = null;
    });
    return candles.asked;
  }

  async readEarlier(candles) {
    try {
      const any = await candles.readEarlier();
      if (candles !== this.candles) return false;
      if (any) this.draw();
      setText(this.note, candles.hasEarlier ? "" : `No candle before ${said(candles.oldest)} UTC is shown.`);
      return any;
    } catch {
      if (candles === this.candles) setText(this.note, "Earlier candles cannot be read now.");
      this.restUntil = Date.now() + AGAIN_MS;
      return false;
    }
  }

  // Dragged near its beginning the chart reads on; of many candles the table has those in sight.
  moved(range) {
    if (!range || !this.candles) return;
    const held = this.candles.bars.size;
    if (range.from < NEAR && held >= SHOWN && Date.now() >= this.restUntil) this.more();
    if (held > TABLED_MAX && this.table.open) this.tabling ||= setTimeout(() => this.tabulate(), TABLE_MS);
  }

  // A screen further back, reading what it takes.
  async back() {
    const scale = this.chart.timeScale();
    const seen = scale.getVisibleLogicalRange();
    if (!seen) return;
    const wide = seen.to - seen.from;
    if (seen.from < wide) await this.more();
    const now = scale.getVisibleLogicalRange();
    if (!now) return;
    const from = Math.max(now.from - wide, 0);
    scale.setVisibleLogicalRange({ from, to: from + wide });
  }

  forward() {
    this.chart.timeScale().scrollToPosition(RIGHT_OFFSET, false);
  }

  nothing() {
    const { connection, instrument, granularity } = this.candles;
    return [
      `No ${NAMES[granularity]} candle of ${instrument} yet.`,
      `The feed makes one every minute from now on. An operator fetches earlier ones: manage.py backfill_candles --connection ${connection} --instrument ${instrument}`,
    ];
  }

  draw() {
    const list = this.candles.list;
    this.series.setData(list.map(({ time, open, high, low, close }) => ({ time, open, high, low, close })));
    this.hold.dataset.drawn = `${this.candles.connection}|${this.candles.instrument}|${this.candles.granularity}`;
    this.hold.dataset.count = String(list.length);
    this.empty.hidden = true;
    this.drawMarks();
    this.tabulate();
  }

  describe(list) {
    const places = Number(this.row.dataset.places);
    const first = list[0];
    const last = list[list.length - 1];
    const moved = last.close >= first.open ? "up" : "down";
    const marks = this.marks().map((node) => node.dataset.mark);
    const count = (kind) => marks.filter((mark) => mark === kind).length;
    this.hold.setAttribute(
      "aria-label",
      `${this.row.dataset.instrument}, ${list.length} ${NAMES[this.granularity]} candles: from ${price(first.open, places)} ` +
        `${moved} to ${price(last.close, places)}. Our own: ${count("fill")} fills, ${count("order")} orders, ` +
        `${count("waiting")} waiting proposals, listed below.`,
    );
  }

  show(sentence, help) {
    this.empty.hidden = false;
    delete this.hold.dataset.drawn;
    setText(this.empty.querySelector("[data-empty-sentence]"), sentence);
    setText(this.empty.querySelector("[data-empty-help]"), help);
    this.hold.setAttribute("aria-label", sentence);
  }

  // What the server wrote of our own on this instrument; until it did, nothing: never another's.
  marks() {
    const here = this.root.querySelector('[data-part="marks"]');
    return this.row && here.dataset.chart === this.row.dataset.price ? [...here.querySelectorAll("[data-mark]")] : [];
  }

  // Fills as arrows at their candle; what may still trade as a line at its limit.
  drawMarks() {
    for (const line of this.lines) this.series.removePriceLine(line);
    this.lines = [];
    const list = this.candles ? this.candles.list : [];
    const marks = list.length ? this.marks() : [];
    const arrows = [];
    for (const node of marks) {
      const { mark, side, label } = node.dataset;
      const buys = side === "BUY";
      const color = buys ? this.colour.buy : this.colour.sell;
      if (mark === "fill") {
        const time = beginning(Math.floor(Date.parse(node.dataset.at) / 1000), list);
        if (time === null) continue;
        arrows.push({ time, position: buys ? "belowBar" : "aboveBar", shape: buys ? "arrowUp" : "arrowDown", color });
      } else {
        const lineStyle = mark === "waiting" ? LineStyle.Dotted : LineStyle.Dashed;
        this.lines.push(
          this.series.createPriceLine({ price: number(node.dataset.level), color, lineStyle, lineWidth: 2, title: label }),
        );
      }
    }
    arrows.sort((one, other) => one.time - other.time);
    this.markers.setMarkers(arrows);
    if (list.length) this.describe(list);
    this.hold.dataset.arrows = String(arrows.length);
    this.hold.dataset.lines = String(this.lines.length);
  }

  // A price of the instrument that is drawn.
  tick(prices) {
    if (!this.row) return;
    const key = this.row.dataset.price;
    const quote = prices.quote(key);
    const fresh = prices.isFresh(key);
    const last = this.panel.querySelector("[data-chart-last]");
    setText(last, quote ? price(shown(quote), Number(this.row.dataset.places)) : "Not known");
    showChange(this.panel.querySelector("[data-chart-change]"), quote ? quote.change : null, fresh);
    showAge(this.panel.querySelector("[data-chart-age]"), prices.age(key), fresh);
    this.panel.classList.toggle("is-stale", !fresh);
    if (!quote || !fresh || this.followed === quote.receivedAt) return;
    this.followed = quote.receivedAt;
    const known = this.candles.bars.size;
    const bar = this.candles.follow(shown(quote), quote.occurredAt);
    if (!bar) return;
    this.series.update({ time: bar.time, open: bar.open, high: bar.high, low: bar.low, close: bar.close });
    if (this.candles.bars.size !== known) this.read();
  }

  // What the chart holds, as a table: newest first.
  tabulate() {
    clearTimeout(this.tabling);
    this.tabling = null;
    if (!this.table.open || !this.row) return;
    const places = Number(this.row.dataset.places);
    const rows = this.tabled()
      .map((bar) => {
        const known = this.candles.bars.get(bar.time);
        const start = new Date(bar.time * 1000).toISOString();
        const forming = known && !known.final;
        const head = element("th", { attributes: { scope: "row" }, text: `${said(bar.time)}${forming ? " (forming)" : ""}` });
        const cells = [bar.open, bar.high, bar.low, bar.close].map((value) => element("td", { className: "num", text: price(value, places) }));
        cells.push(element("td", { className: "num", text: known ? String(known.volume) : "" }));
        return element("tr", { attributes: { "data-candle": start, ...(forming ? { "data-forming": "" } : {}) } }, head, ...cells);
      })
      .reverse();
    this.table.querySelector("tbody").replaceChildren(...rows);
  }

  // Of more than fit, those up to the last one in sight.
  tabled() {
    const all = this.series.data();
    const range = this.chart.timeScale().getVisibleLogicalRange();
    const end = range ? Math.min(Math.max(Math.floor(range.to) + 1, TABLED_MAX), all.length) : all.length;
    return all.slice(Math.max(end - TABLED_MAX, 0), end);
  }
}

// An instant as the table says it.
function said(time) {
  return new Date(time * 1000).toISOString().slice(0, 16).replace("T", " ");
}

// The beginning of the last candle that began at or before an instant; null before the first.
function beginning(instant, list) {
  let found = null;
  for (const bar of list) {
    if (bar.time > instant) break;
    found = bar.time;
  }
  return found;
}
