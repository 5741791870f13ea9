// Rule 1: the open call as an ordered list, so that it reads well without the drawing: each item
//         says when, from whom to whom, and what.
// Rule 2: only the item that changed is made anew, and what the reader opened stays open.
// Rule 3: an arrow points the way it goes, and a broken one does not arrive.

import { LANES, ofCallback, ofStep } from "./arrows.js";
import { at, h, swap, vary } from "./dom.js";
import { callbackHead, callbackMore } from "./callback.js";
import { ivrOf } from "./list.js";
import { callerName, moment, standing } from "./words.js";

export class Ladder {
  constructor(store) {
    this.store = store;
    this.box = at("ladder");
    this.drawn = null; // id of the call that is drawn
    store.on(["state", "open"], () => this.render());
  }

  render() {
    const { store } = this;
    const call = store.details.get(store.open);
    if (!call) return this.absent();
    if (this.drawn !== call) this.begin(call);
    at("call-title").replaceChildren(...title(store, call));
    this.heads.replaceChildren(...heads(store, call));
    call.steps.forEach((step, i) => {
      if (!step || this.steps[i] === step) return;
      this.steps[i] = step;
      const item = drawn(step);
      if (this.items[i]) swap(this.items[i], item);
      else this.list.append(item);
      this.items[i] = item;
      if (this.stuck) item.scrollIntoView({ block: "nearest" });
    });
  }

  // A call that goes on is followed to its end, unless the reader has scrolled up.
  get stuck() {
    const { scrollHeight, scrollTop, clientHeight } = this.box;
    return (
      this.following && scrollHeight > clientHeight && scrollHeight - scrollTop - clientHeight < 400
    );
  }

  begin(call) {
    this.drawn = call;
    this.following = !call.end;
    this.steps = [];
    this.items = [];
    this.list = h("ol", { class: "steps", "aria-label": "What happened on the call" });
    const lanes = h(
      "div",
      { class: "lanes", "aria-hidden": "true" },
      LANES.map(() => h("i")),
    );
    this.heads = h("div", { class: "heads", "aria-hidden": "true" });
    this.box.replaceChildren(this.heads, h("div", { class: "rungs" }, lanes, this.list));
    this.box.scrollTop = 0;
  }

  absent() {
    this.drawn = null;
    const { open, trouble, state } = this.store;
    const text = open
      ? trouble || "Loading the call …"
      : state?.mode === "live"
        ? "Choose a call from the list: what it asked the service stands here, step by step."
        : "Dial from the phone, or choose a call from the list. Each callback stands here as it went over the wire, against its deadline.";
    at("call-title").replaceChildren(h("h2", { id: "call-head" }, "Call"));
    this.box.replaceChildren(h("p", { class: "empty" }, text));
  }
}

function title(store, call) {
  const kind = call.end?.kind ?? "live";
  return [
    h(
      "h2",
      { id: "call-head" },
      callerName(call),
      h("span", { class: "arrow-word" }, " to "),
      ivrOf(store, call),
    ),
    h("p", { class: "standing", "data-kind": kind }, standing(call)),
    h("p", { class: "count" }, moment(call.begun)),
  ];
}

function heads(store, call) {
  const names = [call.caller, call.ivr, store.state.title, crmOf(call)];
  return LANES.map((lane, i) =>
    h("div", {}, h("b", {}, lane), h("span", {}, names[i] || "\u00a0")),
  );
}

function crmOf(call) {
  const asked = call.steps.flatMap((step) => step?.callback?.upstream ?? []);
  return asked[0]?.host;
}

function drawn(step) {
  const time = h(
    "span",
    { class: "time" },
    step.at < 0.0005 ? "0" : `+${step.at.toFixed(2)}`,
    h("span", { class: "sr" }, " seconds: "),
  );
  if (!step.callback)
    return h("li", { class: "step", "data-type": step.type }, time, arrow(ofStep(step)));
  const { callback } = step;
  const tone = toneOf(callback);
  return h(
    "li",
    { class: "step callback", "data-tone": tone },
    time,
    callbackHead(callback),
    h(
      "ol",
      { class: "arrows" },
      ofCallback(callback).map((one) => h("li", {}, arrow(one))),
    ),
    callbackMore(callback),
  );
}

function toneOf(callback) {
  if (!callback.outcome) return "live";
  if (callback.outcome.kind === "failed" || callback.error) return "bad";
  return (callback.reason ?? "handled") === "handled" ? "ok" : "low";
}

function arrow({ from, to, text, tone, broken }) {
  const way = from === to ? `${LANES[from]}: ` : `${LANES[from]} to ${LANES[to]}: `;
  const low = Math.min(from, to);
  const shaft = h("span", {
    class: "shaft",
    "data-way": from === to ? "note" : from < to ? "right" : "left",
    "data-broken": broken ? "true" : null,
    "aria-hidden": "true",
  });
  const row = h(
    "div",
    { class: "arrow", "data-tone": tone, "data-lane": low, "data-note": from === to && "true" },
    h("span", { class: "sr" }, way),
    h("span", { class: "label" }, text),
    shaft,
  );
  return vary(vary(row, "--from", low), "--span", Math.abs(to - from));
}
