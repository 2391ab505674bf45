// How training stands, as it changes.

const AGAIN = 1500; // ms

export class Live {
  // status(object) · connected(bool)
  constructor({ status, connected }) {
    Object.assign(this, { status, connected });
    this.open();
  }

  open() {
    const source = new EventSource("/api/events");
    source.addEventListener("status", (event) => this.status(JSON.parse(event.data)));
    source.addEventListener("open", () => this.connected(true));
    source.addEventListener("error", () => {
      this.connected(false);
      if (source.readyState === EventSource.CLOSED) setTimeout(() => this.open(), AGAIN); // it gave up; we do not
    });
  }
}
