// Answers that the studio has not acknowledged. They outlive the page, and go out again under the same key.

import { Lost, post, Refusal } from "./talk.js";

const PLACE = "operant.outbox";
const LONGEST = 15 * 60 * 1000; // an answer older than this is not sent on its own

export class Outbox {
  // stored(entry, id) · kept(reason): nothing can be sent now · refused(entry, refusal)
  constructor({ stored, kept, refused }) {
    Object.assign(this, { stored, kept, refused });
    this.entries = this.read();
    this.lapsed = []; // answers whose lease ended before they arrived
    this.sending = null;
  }

  get pairs() {
    return this.entries.map((entry) => entry.pair);
  }

  add(entry) {
    this.entries.push({ ...entry, at: Date.now() });
    this.write();
    return this.flush();
  }

  // Send all, in order, one at a time; ends early where the studio cannot be reached.
  flush() {
    this.sending ??= this.send().finally(() => {
      this.sending = null;
    });
    return this.sending;
  }

  async send() {
    while (this.entries.length) {
      const entry = this.entries[0];
      const { pair, answer, lease, key, seconds } = entry;
      try {
        const { id } = await post("answer", { pair, answer, lease, key, seconds });
        this.drop(entry);
        this.stored(entry, id);
      } catch (error) {
        if (error instanceof Lost || (error instanceof Refusal && error.status === 401)) {
          this.kept(error);
          return;
        }
        this.drop(entry);
        if (error.reason === "lease") this.lapsed.push(entry);
        this.refused(entry, error);
      }
    }
  }

  // The same pair was leased to us again after its lease had ended: what was answered then is what is answered now.
  again(question) {
    const at = this.lapsed.findIndex((entry) => entry.pair === question.id && entry.mark === question.mark);
    if (at < 0) return false;
    const [entry] = this.lapsed.splice(at, 1);
    if (Date.now() - entry.at > LONGEST) return false;
    this.add({ ...entry, lease: question.lease });
    return true;
  }

  drop(entry) {
    this.entries = this.entries.filter((other) => other.key !== entry.key);
    this.write();
  }

  read() {
    try {
      const found = JSON.parse(localStorage.getItem(PLACE) || "[]");
      return found.filter((entry) => Date.now() - entry.at < LONGEST);
    } catch {
      return [];
    }
  }

  write() {
    try {
      localStorage.setItem(PLACE, JSON.stringify(this.entries));
    } catch {
      // no storage in this browser: they last as long as the page
    }
  }
}
