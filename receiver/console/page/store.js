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
    for (const view of due) {
      try {
        view();
      } catch (error) {
        reportError(error); // one that fails leaves the others as they should be
      }
    }
  }

  /** Takes everything anew, as the server has it now. */
  load(state) {
    this.state = { ivrs: [], ...state };
    this.calls.load(state.calls);
    this.details.clear();
    this.asked.clear();
    this.touch("state", "calls", "open", "mine", ...PARTS);
    for (const id of new Set([this.open, this.mine])) this.find(id);
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
    this.find(id);
  }

  /** Puts a call that was just dialled on the phone, and in the ladder. */
  take(id) {
    this.mine = this.open = id;
    this.trouble = "";
    this.touch("mine", "open", "calls");
    this.fetch(id);
  }

  // A call that the list would have if the server had it; one just dialled may not be there yet.
  find(id) {
    if (!this.calls.lacks(id)) this.fetch(id);
    else if (id === this.open) this.trouble = "The console no longer has this call.";
  }

  async fetch(id) {
    if (!id || this.details.has(id) || this.asked.has(id)) return;
    const missed = [];
    this.asked.set(id, missed);
    try {
      const call = await get(`calls/${encodeURIComponent(id)}`);
      if (this.asked.get(id) !== missed) return; // everything was loaded anew meanwhile
      this.details.set(id, call);
    } catch (error) {
      if (this.asked.get(id) !== missed) return;
      if (id === this.open) this.trouble = reasonOf(error);
    }
    this.asked.delete(id);
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
