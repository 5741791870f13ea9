// Rule 1: charts of the last hour, minute by minute: answers and fallbacks as bars, the largest
//         share of a deadline as dots against the deadline's line.
// Rule 2: each chart has a sentence that says the same, and a table to be opened.

import { at, h, svg } from "./dom.js";
import { clock, counted, percent, REASONS } from "./words.js";

const WIDE = 600;
const HIGH = 96;

export class Totals {
  constructor(store) {
    this.store = store;
    store.on(["state", "totals"], () => this.render());
  }

  render() {
    const totals = this.store.state?.totals;
    at("totals").hidden = !totals;
    if (!totals) return;
    const { minutes = [], reasons = {}, decisions = {}, lost = 0 } = totals;
    const open = at("totals-body").querySelector("details")?.open;
    at("totals-body").replaceChildren(
      h(
        "div",
        { class: "charts" },
        answers(minutes),
        shares(minutes),
        tally("Why", reasons),
        tally("Decisions", decisions),
      ),
      lost > 0 ? h("p", { class: "lost" }, missed(lost)) : "",
      table(minutes, open),
    );
  }
}

const missed = (n) =>
  `${counted(n, "callback")} answered, but not told of: the console was too slow, or away.`;

const sum = (minutes, key) => minutes.reduce((total, minute) => total + (minute[key] ?? 0), 0);
const slot = (n) => WIDE / Math.max(n, 1);

function chart(title, sentence, ...drawing) {
  return h(
    "figure",
    { class: "chart" },
    h("figcaption", {}, h("b", {}, title), " ", sentence),
    svg(
      "svg",
      { viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", "aria-hidden": "true" },
      ...drawing,
    ),
  );
}

function answers(minutes) {
  const most = Math.max(1, ...minutes.map((minute) => minute.answers));
  const wide = slot(minutes.length);
  const bar = (minute, i) => {
    const high = (minute.answers / most) * (HIGH - 4);
    const fell = (minute.fallbacks / most) * (HIGH - 4);
    const box = { x: i * wide + 1, width: Math.max(1, wide - 2) };
    return [
      svg("rect", { ...box, y: HIGH - high, height: high, class: "bar-answers" }),
      svg("rect", { ...box, y: HIGH - fell, height: fell, class: "bar-fallbacks" }),
    ];
  };
  const sentence = `${sum(minutes, "answers").toLocaleString("en")}, of them ${sum(minutes, "fallbacks").toLocaleString("en")} by the fallback; at most ${most} a minute`;
  return chart("Answers", sentence, minutes.map(bar));
}

function shares(minutes) {
  const worst = Math.max(0, ...minutes.map((minute) => minute.worst ?? 0));
  const scale = (HIGH - 8) / Math.max(1.1, worst);
  const wide = slot(minutes.length);
  const dots = minutes.map(
    (minute, i) =>
      minute.answers > 0 &&
      svg("rect", {
        x: i * wide + wide / 4,
        width: wide / 2,
        y: HIGH - 2 - (minute.worst ?? 0) * scale - 4,
        height: 4,
        class: minute.worst >= 1 ? "dot-late" : "dot",
      }),
  );
  const line = svg("line", {
    x1: 0,
    x2: WIDE,
    y1: HIGH - scale,
    y2: HIGH - scale,
    class: "deadline-line",
  });
  return chart(
    "Time against the deadline",
    `slowest answer of each minute; at worst ${percent(worst)}`,
    line,
    dots,
  );
}

function tally(title, counts) {
  const rows = Object.entries(counts).sort(([, one], [, other]) => other - one);
  const most = Math.max(1, ...rows.map(([, n]) => n));
  return h(
    "div",
    { class: "tally" },
    h("h3", {}, title),
    h(
      "dl",
      {},
      rows.map(([name, n]) =>
        h(
          "div",
          {},
          h("dt", { title: REASONS[name] }, name),
          h(
            "dd",
            {},
            n.toLocaleString("en"),
            svg(
              "svg",
              { viewBox: "0 0 100 4", preserveAspectRatio: "none", "aria-hidden": "true" },
              svg("rect", { width: (n / most) * 100, height: 4, class: "bar-answers" }),
            ),
          ),
        ),
      ),
    ),
  );
}

function table(minutes, open) {
  const rows = minutes
    .filter((minute) => minute.answers)
    .map((minute) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, clock(minute.at)),
        h("td", { class: "number" }, minute.answers),
        h("td", { class: "number" }, minute.fallbacks),
        h("td", { class: "number" }, percent(minute.worst)),
      ),
    );
  return h(
    "details",
    { open },
    h("summary", {}, "As a table"),
    h(
      "table",
      {},
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          ["Minute", "Answers", "Fallbacks", "Slowest"].map((name) =>
            h("th", { scope: "col" }, name),
          ),
        ),
      ),
      h("tbody", {}, rows),
    ),
  );
}
