// Rule 1: the ladder diagram of the open call is an ordered list, readable without the drawing: each
//         item has a time, a sender, a receiver and a text.
// Rule 2: only the item that changed is rendered again, and opened details stay open.
// Rule 3: an arrow has the direction of the message; a failed one does not reach its end.

import { lanesOf, nameOf, ofCallback, ofStep } from "./arrows.js";
import { at, h, swap, vary } from "./dom.js";
import { callbackHead, callbackMore } from "./callback.js";
import { ivrOf } from "./list.js";
import { address } from "./phone.js";
import { callerName, firstStep, moment, standing } from "./words.js";

export class Ladder {
  constructor(store) {
    this.store = store;
    this.box = at("ladder");
    this.drawn = null; // id of the call that is drawn
    store.on(["state", "open"], () => this.render());
    store.on(["ivrs"], () => this.drawn || this.render());
    for (const id of ["ivr", "caller"])
      at(id).addEventListener("input", () => this.drawn || this.render());
  }

  render() {
    const { store } = this;
    const call = store.details.get(store.open);
    if (!call) return this.absent();
    if (this.drawn !== call) this.begin(call);
    at("call-title").replaceChildren(...title(store, call));
    const lanes = lanesOf(call);
    this.heads.replaceChildren(...heads(lanes, store, call));
    this.lanes.replaceChildren(...lanes.map(() => h("i")));
    vary(this.box, "--lanes", lanes.length);
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

  // A call in progress is followed to its end, unless the user has scrolled up.
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
    this.lanes = h("div", { class: "lanes", "aria-hidden": "true" });
    this.heads = h("div", { class: "heads", "aria-hidden": "true" });
    this.box.replaceChildren(this.heads, h("div", { class: "rungs" }, this.lanes, this.list));
    this.box.scrollTop = 0;
  }

  absent() {
    this.drawn = null;
    const { open, trouble, state } = this.store;
    const text = open
      ? trouble || "Loading the call …"
      : state?.mode === "live"
        ? "Choose a call from the list to see its callbacks, step by step."
        : "Each callback is shown here as it was sent, with the time against its deadline.";
    at("call-title").replaceChildren(h("h2", { id: "call-head" }, "Call"));
    const first = !open && firstStep(this.selected, at("caller").value);
    this.box.replaceChildren(
      h(
        "div",
        { class: "empty" },
        first && h("p", { class: "first-step" }, `${first}.`),
        h("p", {}, text),
      ),
    );
  }

  get selected() {
    return this.store.state?.ivrs.find((one) => address(one) === at("ivr").value);
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

function heads(lanes, store, call) {
  const names = [call.caller, call.ivr, store.state.title, crmOf(call)];
  return lanes.map((lane, i) =>
    h("div", {}, h("b", {}, lane), h("span", {}, names[i] || "\u00a0")),
  );
}

function crmOf(call) {
  const requests = call.steps.flatMap((step) => step?.callback?.upstream ?? []);
  return requests[0]?.host;
}

function drawn(step) {
  const time = h(
    "span",
    { class: "time" },
    step.at < 0.0005 ? "0" : `+${step.at.toFixed(2)}`,
    h("span", { class: "sr" }, " seconds: "),
  );
  if (!step.callback)
    return h(
      "li",
      { class: "step", "data-type": step.type },
      time,
      arrow(ofStep(step)),
      step.missing && declaration(step.missing),
    );
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

// What to paste for keys that match nothing.
function declaration({ python, toml, note }) {
  return h(
    "div",
    { class: "missing" },
    h("p", {}, h("b", {}, "No action takes these keys."), " To declare one, add:"),
    h("div", { class: "exchange" }, paste("Python", python), paste("TOML", toml)),
    note && h("p", {}, note),
  );
}

const paste = (language, text) =>
  h("section", { class: "wire" }, h("h4", {}, language), h("pre", {}, text.trimEnd()));

function toneOf(callback) {
  if (!callback.outcome) return "live";
  if (callback.outcome.kind === "failed" || callback.error) return "bad";
  return (callback.reason ?? "handled") === "handled" ? "ok" : "low";
}

function arrow({ from, to, text, tone, broken }) {
  const way = from === to ? `${nameOf(from)}: ` : `${nameOf(from)} to ${nameOf(to)}: `;
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
