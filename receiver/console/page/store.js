// Rule 1: the server's state is kept only here; views read it and never change it.
// Rule 2: views are updated by topic, once per animation frame.
// Rule 3: steps are kept for open calls only; other calls are summaries.

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
    this.trouble = ""; // why the open call cannot be shown
    this.details = new Map(); // id -> call with its steps
    this.loading = new Map(); // id -> events that arrived while its details were loaded
    this.views = new Map();
    this.changed = new Set();
  }

  /** Calls ``view`` when one of the topics changed, at most once per animation frame. */
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
        reportError(error); // an error in one view does not affect the others
      }
    }
  }

  /** Replaces everything by the server's state. */
  load(state) {
    this.state = { ivrs: [], ...state };
    this.calls.load(state.calls);
    this.details.clear();
    this.loading.clear();
    this.touch("state", "calls", "open", "mine", ...PARTS);
    for (const id of new Set([this.open, this.mine])) this.find(id);
  }

  /** Applies an event of the server. */
  apply(event) {
    if (PARTS.includes(event.type)) {
      this.state[event.type] = event[event.type];
      this.touch(event.type);
    } else if (event.type === "call") {
      this.calls.put(event.call);
      this.touch("calls");
    }
    const id = event.type === "call" ? event.call.id : event.id;
    if (this.loading.has(id)) this.loading.get(id).push(event);
    else this.grow(id, event);
  }

  // Applies a change of a call whose steps are kept.
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

  // A call that is not listed does not exist on the server, unless it was just dialled.
  find(id) {
    if (!this.calls.lacks(id)) this.fetch(id);
    else if (id === this.open) this.trouble = "The console no longer has this call.";
  }

  async fetch(id) {
    if (!id || this.details.has(id) || this.loading.has(id)) return;
    const missed = [];
    this.loading.set(id, missed);
    try {
      const call = await get(`calls/${encodeURIComponent(id)}`);
      if (this.loading.get(id) !== missed) return; // everything was reloaded in between
      this.details.set(id, call);
    } catch (error) {
      if (this.loading.get(id) !== missed) return;
      if (id === this.open) this.trouble = reasonOf(error);
    }
    this.loading.delete(id);
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
