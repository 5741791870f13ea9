// Rule 1: what the server said is kept here and nowhere else; views read it and never change it.
// Rule 2: views are told by topic, once a picture, however many events came.
// Rule 3: steps are kept of the calls that somebody looks at, the others are summaries.

import { soon } from "./dom.js";
import { Calls } from "./calls.js";
import { get, reasonOf } from "./wire.js";

// Parts of the state that an event of the same name replaces.
const PARTS = ["ivrs", "clock", "faults", "service", "totals", "registration", "flow"];

export class Store {
  constructor() {
    this.state = null;
    this.calls = new Calls();
    this.open = null; // the id of the call in the ladder
    this.mine = null; // the id of the call on this page's phone
    this.dialled = null; // the same, if this page has dialled it
    this.trouble = ""; // why the open call is not there
    this.details = new Map(); // id -> call with its steps
    this.asked = new Map(); // id -> events that came while its details were on their way
    this.views = new Map();
    this.changed = new Set();
  }

  /** Calls ``view`` whenever one of the topics changed, at most once a picture. */
  on(topics, view) {
    for (const topic of topics) this.views.set(topic, [...(this.views.get(topic) ?? []), view]);
  }

  touch(...topics) {
    if (!this.changed.size) soon(() => this.show());
    for (const topic of topics) this.changed.add(topic);
  }

  show() {
    const due = new Set([...this.changed].flatMap((topic) => this.views.get(topic) ?? []));
    this.changed.clear();
    for (const view of due) view();
  }

  /** Takes everything anew, as the server has it now. */
  load(state) {
    this.state = state;
    this.calls.load(state.calls);
    this.details.clear();
    this.asked.clear();
    this.touch("state", "calls", "open", "mine", ...PARTS);
    for (const id of new Set([this.open, this.mine])) this.fetch(id);
  }

  /** One event of the server's. */
  apply(event) {
    if (PARTS.includes(event.type)) {
      this.state[event.type] = event[event.type];
      this.touch(event.type);
    } else if (event.type === "call") {
      this.calls.put(event.call);
      this.touch("calls");
    }
    const id = event.type === "call" ? event.call.id : event.id;
    if (this.asked.has(id)) this.asked.get(id).push(event);
    else this.grow(id, event);
  }

  // One change of a call whose steps are kept.
  grow(id, event) {
    const call = this.details.get(id);
    if (!call) return;
    if (event.type === "call") Object.assign(call, event.call);
    else if (event.type === "now") call.now = event.now;
    else if (event.type === "step") call.steps[event.index] = event.step;
    this.tell(id);
  }

  tell(id) {
    if (id === this.open) this.touch("open");
    if (id === this.mine) this.touch("mine");
  }

  /** Shows a call in the ladder. */
  select(id) {
    if (id === this.open) return;
    this.open = id;
    this.trouble = "";
    this.touch("open", "calls");
    this.fetch(id);
  }

  /** Puts a call on the phone, and in the ladder. */
  take(id) {
    this.mine = this.dialled = id; // its events may still be on their way
    this.touch("mine");
    this.select(id);
    this.fetch(id);
  }

  async fetch(id) {
    if (!id || this.details.has(id) || this.asked.has(id)) return;
    const missed = [];
    this.asked.set(id, missed);
    try {
      const lacks = id !== this.dialled && this.calls.lacks(id);
      const call = lacks ? null : await get(`calls/${encodeURIComponent(id)}`);
      if (this.asked.get(id) !== missed) return; // everything was loaded anew meanwhile
      if (call) this.details.set(id, call);
      else this.trouble = "The console no longer has this call.";
    } catch (error) {
      if (this.asked.get(id) === missed) this.trouble = reasonOf(error);
    }
    if (this.asked.get(id) === missed) this.asked.delete(id);
    for (const event of missed) this.grow(id, event);
    this.prune();
    this.tell(id);
  }

  prune() {
    for (const id of this.details.keys()) {
      if (id !== this.open && id !== this.mine) this.details.delete(id);
    }
  }
}
