// Rule 1: charts of the last hour, minute by minute: answers and fallbacks as bars, the largest
//         share of a deadline as dots against the deadline's line.
// Rule 2: each chart has axes, and a sentence with the same content; a table has all of it.

import { at, h, svg, vary } from "./dom.js";
import { CAUSES, clock, percent, REASONS } from "./words.js";

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
  `Callbacks and events that are not shown: ${n.toLocaleString("en")}. ` +
  "The console was too slow, or not running.";

const sum = (minutes, key) => minutes.reduce((total, minute) => total + (minute[key] ?? 0), 0);
const slot = (n) => WIDE / Math.max(n, 1);

// `marks` are the labels of the vertical axis: [text, height from 0 to 1].
function chart(title, sentence, minutes, marks, ...drawing) {
  const ends = [minutes[0], minutes[minutes.length >> 1], minutes[minutes.length - 1]];
  const label = ([text, height]) => vary(h("span", {}, text), "--height", height);
  return h(
    "figure",
    { class: "chart" },
    h("figcaption", {}, h("b", {}, title), " ", sentence),
    h(
      "div",
      { class: "plot", "aria-hidden": "true" },
      h("div", { class: "axis-y" }, marks.map(label)),
      svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none" }, ...drawing),
      h(
        "div",
        { class: "axis-x" },
        ends.map((minute) => h("span", {}, clock(minute?.at).slice(0, 5))),
      ),
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
  const number = (key) => sum(minutes, key).toLocaleString("en");
  const sentence = sum(minutes, "answers")
    ? `${number("answers")}, of them ${number("fallbacks")} by the fallback (amber); ` +
      `at most ${most} a minute`
    : "none yet";
  const marks = [
    [most, (HIGH - 4) / HIGH],
    [0, 0],
  ];
  return chart("Answers", sentence, minutes, marks, minutes.map(bar));
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
  const sentence = sum(minutes, "answers")
    ? `slowest answer of each minute, against its deadline (red); at worst ${percent(worst)}`
    : "none yet";
  const marks = [
    [percent(1), scale / HIGH],
    [percent(0.5), scale / 2 / HIGH],
    [percent(0), 0],
  ];
  return chart("Time and deadline", sentence, minutes, marks, line, dots);
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
          h("dt", { title: REASONS[name] }, CAUSES[name] ?? name),
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
