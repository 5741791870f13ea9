// Rule 1: the arrows of a call's ladder diagram as plain values; nothing is drawn here.
// Rule 2: a lane is a number: 0 the caller, 1 the PBX, 2 the service, 3 the CRM. An arrow from a
//         lane to itself is a note on it. Without requests to a CRM there is no lane for one.

import { visible } from "./text.js";
import { duration } from "./words.js";

const LANES = ["Caller", "PBX", "Service", "CRM"];

/** The lanes of a call: the one of the CRM only if there were requests to it. */
export const lanesOf = (call) =>
  call.steps.some((step) => step?.callback?.upstream?.length) ? LANES : LANES.slice(0, 3);

export const nameOf = (lane) => LANES[lane];

const BY_TYPE = {
  prompt: [1, 0],
  announcement: [1, 0],
  ivr: [1, 0],
  key: [0, 1],
  gap: [1, 1],
  menu: [1, 1],
  "no input": [1, 1],
  night: [1, 1],
  forward: [1, 0],
  "hang up": [1, 0],
  left: [0, 1],
  fault: [2, 2],
};

/** The arrow of a step that is not a callback: {from, to, text, tone}. */
export function ofStep(step) {
  const [from, to] = BY_TYPE[step.type] ?? [1, 1];
  const tone = { forward: "end", "hang up": "end", left: "end", fault: "bad" }[step.type];
  return { from, to, text: step.text, tone: tone ?? (from === to ? "note" : "voice") };
}

/** The arrows of a callback in their order, as far as they are known. */
export function ofCallback(callback) {
  const exchanges = callback.exchanges ?? [];
  const crm = (callback.upstream ?? []).flatMap(crmArrows);
  if (!exchanges.length) return unseen(callback, crm);
  return exchanges.flatMap((exchange, i) => {
    const last = i === exchanges.length - 1;
    return [request(exchange, i), ...(last ? crm : []), ...answers(exchange, callback, last)];
  });
}

// Production keeps no exchanges: only the action and the decision are known.
function unseen(callback, crm) {
  const ask = { from: 1, to: 2, text: callback.action, tone: "wire" };
  if (!callback.outcome) return [ask, ...crm];
  const tone = callback.outcome.kind === "failed" ? "bad" : "wire";
  return [ask, ...crm, { from: 2, to: 1, text: callback.outcome.text, tone }];
}

function request(exchange, i) {
  const again = i > 0 ? ", with the proof" : "";
  return { from: 1, to: 2, text: `${exchange.method} ${path(exchange.url)}${again}`, tone: "wire" };
}

function answers(exchange, callback, last) {
  const { status, seconds } = exchange;
  const done = !last || callback.outcome;
  if (status === null || status === undefined) {
    if (!done) return [];
    const text = `no answer${seconds ? ` in ${duration(seconds)}` : ""}`;
    return [{ from: 2, to: 1, text, tone: "bad", broken: true }];
  }
  const challenge = status === 401 && !last;
  const tone = challenge || status === 200 ? "wire" : "bad";
  const label = challenge ? "a challenge" : meaning(exchange.response_body);
  return [{ from: 2, to: 1, text: [status, label].filter(Boolean).join(" "), tone }];
}

// "call 222" of the answer's JSON; empty if it is not JSON.
function meaning(body) {
  try {
    const { action, destination } = JSON.parse(body);
    const parts = [action, destination].filter((part) => typeof part === "string" && part);
    return visible(parts.join(" ")); // JSON has escapes too
  } catch {
    return "";
  }
}

function crmArrows(one) {
  const text = `${one.method} ${one.host}${one.path ?? ""}`;
  if (one.from === "circuit") {
    return [
      { from: 2, to: 2, text: `${one.host} is left alone: it failed too often`, tone: "bad" },
    ];
  }
  if (one.from === "cache")
    return [{ from: 2, to: 2, text: `${text}, as found before`, tone: "note" }];
  const failed = !one.status || one.status >= 500;
  const answer = `${one.status ?? "no answer"} in ${duration(one.seconds)}`;
  return [
    { from: 2, to: 3, text, tone: "wire" },
    { from: 3, to: 2, text: answer, tone: failed ? "bad" : "wire", broken: !one.status },
  ];
}

function path(url) {
  try {
    const parsed = new URL(url);
    return parsed.pathname + parsed.search;
  } catch {
    return url;
  }
}
