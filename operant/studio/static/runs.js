// Runs that change while somebody looks: the page asks for itself again and puts in what is new, where it was.

const $ = (id) => document.getElementById(id);
const LEAST = 2000; // ms between two askings
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const only = $("main").dataset.runs; // one run's page; "": the list

let marks = null; // what the page was drawn from
let asking = false;
let stale = false;

function pulse(text) {
  $("pulse").hidden = !text;
  $("pulse").textContent = text;
}

// Elements with data-live take the new content; rows come and go; what somebody ticked or opened stays.
function put(fresh) {
  const rows = $("rows");
  const news = fresh.getElementById("rows");
  if (Boolean(rows) !== Boolean(news)) return location.reload(); // the first run, or the last one is gone
  if (rows) {
    const there = new Set([...news.children].map((row) => row.id));
    for (const row of [...rows.children]) if (!there.has(row.id)) row.remove();
    let before = null;
    for (const row of [...news.children]) {
      if (!document.getElementById(row.id)) {
        if (before) before.after(document.adoptNode(row));
        else rows.prepend(document.adoptNode(row));
      }
      before = document.getElementById(row.id);
    }
  }
  for (const part of document.querySelectorAll("[data-live]")) {
    const now = fresh.getElementById(part.id);
    if (now && now.innerHTML !== part.innerHTML) part.replaceChildren(...[...now.childNodes].map((node) => document.adoptNode(node)));
  }
  const metric = $("metric");
  const known = fresh.getElementById("metric");
  if (metric && known && known.options.length !== metric.options.length) {
    const chosen = metric.value;
    metric.replaceChildren(...[...known.options].map((o) => document.adoptNode(o)));
    metric.value = chosen;
  }
}

async function ask() {
  if (asking) return;
  asking = true;
  while (stale) {
    stale = false;
    try {
      const response = await fetch(location.href, { headers: { accept: "text/html" }, signal: AbortSignal.timeout(15000) });
      if (response.ok) {
        put(new DOMParser().parseFromString(await response.text(), "text/html"));
        pulse(`Live. Changed ${new Date().toLocaleTimeString("en-GB")}.`);
        $("main").dataset.changes = Number($("main").dataset.changes || 0) + 1;
      }
    } catch {
      // the stream says when the studio is back
    }
    await wait(LEAST);
  }
  asking = false;
}

function open() {
  const source = new EventSource("/api/runs/events");
  source.addEventListener("runs", (event) => {
    const told = JSON.parse(event.data);
    const now = only ? JSON.stringify(told[only] ?? null) : JSON.stringify(told);
    if (marks !== null && now !== marks) {
      stale = true;
      ask();
    }
    marks = now;
  });
  source.addEventListener("open", () => pulse("Live: this page follows runs that train."));
  source.addEventListener("error", () => {
    pulse("The studio does not answer. This is how it was.");
    if (source.readyState === EventSource.CLOSED) setTimeout(open, 1500);
  });
}

open();
addEventListener("pageshow", (event) => event.persisted && location.reload());
