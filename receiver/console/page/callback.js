// Rule 1: of a callback first the action, the outcome, and the time compared with the deadline; the
//         details are one click away.
// Rule 2: requests and answers are shown as they were sent, line by line.
// Rule 3: times are drawn to scale, with the deadline as a red line.

import { h, vary } from "./dom.js";
import { duration, percent, REASONS } from "./words.js";

/** The line with the action, and the time compared with the deadline. */
export function callbackHead(callback) {
  const why =
    callback.trigger === "arrival" ? "the call arrived" : `keys ${callback.digits || "not known"}`;
  return h(
    "div",
    { class: "callback-head" },
    h("h3", {}, h("span", { class: "mono" }, callback.action)),
    h("span", { class: "count" }, why),
    callback.handler && h("span", { class: "count mono" }, callback.handler),
    callback.outcome ? timeLine(callback) : waiting(callback),
  );
}

// The bar repeats the text; the table under "Times" has its parts as text.
function timeLine(callback) {
  const { seconds, deadline } = callback;
  const whole = Math.max(deadline, seconds);
  const budget = h(
    "span",
    { class: "budget", "aria-hidden": "true" },
    parts(callback).map((part) => segment(part, whole)),
  );
  return h(
    "span",
    { class: "time-line" },
    h("span", { class: "figure" }, `${duration(seconds)}, deadline ${deadline} s`),
    vary(budget, "--deadline", deadline / whole),
  );
}

function waiting(callback) {
  const line = h(
    "span",
    { class: "time-line" },
    h("span", { class: "figure" }, "asking …"),
    h("span", { class: "budget", "aria-hidden": "true" }, h("i", { class: "running" })),
  );
  return vary(line, "--seconds", `${callback.deadline}s`);
}

const segment = (part, whole) =>
  vary(
    vary(h("i", { "data-part": part.key }), "--start", part.start / whole),
    "--length",
    part.seconds / whole,
  );

// The stages in their order, each with its start: seconds as the PBX measures them.
function parts({ stages, seconds, exchanges = [] }) {
  const first = exchanges.length > 1 ? (exchanges[0].seconds ?? 0) : 0;
  const s = stages ?? { authentication: 0, body: 0, handler: 0, whole: 0 };
  const rest = Math.max(0, s.whole - s.authentication - s.body - s.handler);
  const rows = [
    ["leg", "First leg of digest", first],
    ["authentication", "Authentication", s.authentication],
    ["body", "Reading the body", s.body],
    ["handler", "Handler", s.handler],
    ["rest", "Rest of the service", rest],
    ["way", stages ? "Network" : "Waited", Math.max(0, seconds - first - s.whole)],
  ].filter(
    ([key, , took]) => took > 0 || (stages && ["authentication", "body", "handler"].includes(key)),
  );
  let start = 0;
  return rows.map(([key, name, took]) => {
    const part = { key, name, start, seconds: took };
    start += took;
    return part;
  });
}

/** The outcome, an exception, blocking calls, and the details. */
export function callbackMore(callback) {
  const { outcome, error, id, blocking = [] } = callback;
  return h(
    "div",
    { class: "callback-more" },
    outcome && outcomeOf(callback),
    error && exception(error, id),
    blocking.map(blockingCall),
    outcome &&
      h(
        "details",
        { "data-key": `more-${id}` },
        h("summary", {}, summaryOf(callback)),
        h(
          "div",
          { class: "sheet" },
          times(callback),
          (callback.exchanges ?? []).map((one, i, all) => exchange(one, i, all.length)),
          log(callback),
          upstream(callback),
        ),
      ),
  );
}

function summaryOf({ exchanges = [], log = [], upstream = [] }) {
  const has = ["Times"];
  if (exchanges.length) has.push(exchanges.length > 1 ? "both legs on the wire" : "on the wire");
  if (log.length) has.push(`log (${log.length})`);
  if (upstream.length) has.push(`CRM (${upstream.length})`);
  return has.join(", ");
}

function outcomeOf({ outcome, reason }) {
  const why = ["handled", "failed"].includes(reason) ? "" : (REASONS[reason] ?? reason);
  return h(
    "p",
    { class: "verdict", "data-kind": outcome.kind, "data-reason": reason },
    h("b", {}, outcome.text),
    why && h("span", {}, why),
    outcome.then && h("span", { class: "then" }, `The PBX then: ${outcome.then}`),
  );
}

function exception(error, id) {
  return h(
    "div",
    { class: "exception" },
    h("p", {}, h("b", {}, error.type), error.text && `: ${error.text}`),
    h(
      "p",
      { class: "mono place" },
      `${error.file}:${error.line}`,
      error.function && ` in ${error.function}`,
    ),
    error.code && h("pre", { class: "code" }, error.code.trim()),
    error.trace &&
      h(
        "details",
        { "data-key": `trace-${id}` },
        h("summary", {}, "Traceback"),
        h("pre", {}, error.trace),
      ),
  );
}

// A synchronous call in an async handler blocks all other callers.
function blockingCall({ file, line, problem }) {
  return h(
    "div",
    { class: "blocking-call" },
    h("p", {}, h("b", {}, "Blocking call"), `: ${problem}`),
    h("p", { class: "mono place" }, `${file}:${line}`),
  );
}

function times(callback) {
  const pieces = parts(callback);
  const whole = Math.max(callback.deadline, callback.seconds);
  const rows = pieces.map((part) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, part.name),
      h("td", { class: "number" }, duration(part.seconds)),
      h("td", { class: "scale", "aria-hidden": "true" }, segment(part, whole)),
    ),
  );
  const sum = h(
    "tr",
    { class: "sum" },
    h("th", { scope: "row" }, "As the PBX measures"),
    h("td", { class: "number" }, duration(callback.seconds)),
    h("td", {}, `${percent(callback.seconds / callback.deadline)} of ${callback.deadline} s`),
  );
  const table = h(
    "table",
    { class: "times" },
    h("caption", {}, "Times, to scale; the red line is the deadline"),
    h(
      "thead",
      { class: "sr" },
      h(
        "tr",
        {},
        ["Stage", "Took", "Share"].map((name) => h("th", { scope: "col" }, name)),
      ),
    ),
    h("tbody", {}, rows, sum),
  );
  return vary(table, "--deadline", callback.deadline / whole);
}

function exchange(one, i, n) {
  const names =
    n > 1
      ? [
          ["Leg 1: request", "Leg 1: challenge"],
          ["Leg 2: request with the proof", "Leg 2: answer"],
        ]
      : [];
  const [requestTitle, answerTitle] = names[i] ?? ["Request", "Answer"];
  const status = one.status ? `HTTP/1.1 ${one.status}` : "no answer";
  return h(
    "div",
    { class: "exchange" },
    wire(requestTitle, `${one.method} ${one.url}`, one.request_headers, one.request_body),
    wire(
      `${answerTitle}, after ${duration(one.seconds)}`,
      status,
      one.response_headers,
      one.response_body,
    ),
  );
}

function wire(name, first, headers, body) {
  return h(
    "section",
    { class: "wire" },
    h("h4", {}, name),
    h(
      "pre",
      {},
      h("b", {}, first),
      "\n",
      (headers ?? []).map(([key, value]) => [
        h("span", { class: "header" }, `${key}:`),
        ` ${value}\n`,
      ]),
      body && `\n${body}`,
    ),
  );
}

function log({ log: lines = [] }) {
  return entryList("Log", lines, (line) => [line.level, line.level, line.logger, line.message]);
}

const FROM = { network: "request", cache: "from the cache", circuit: "circuit open" };

function upstream({ upstream: requests = [] }) {
  return entryList("CRM", requests, (one) => [
    one.status && one.status < 500 ? "INFO" : "ERROR",
    one.status ?? "none",
    FROM[one.from] ?? one.from,
    `${one.method} ${one.host}${one.path ?? ""}`,
    one.from === "network" && `, ${duration(one.seconds)}`,
  ]);
}

function entryList(title, entries, parts) {
  if (!entries.length) return null;
  const rows = entries.map((one) => {
    const [level, word, source, ...text] = parts(one);
    return h(
      "li",
      { "data-level": level },
      h("span", { class: "time" }, `+${one.at.toFixed(3)}`),
      h("b", {}, word),
      h("span", { class: "logger" }, source),
      h("span", {}, ...text),
    );
  });
  return h("div", { class: "log" }, h("h4", {}, title), h("ul", {}, rows));
}
