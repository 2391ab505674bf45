// The teach page: one pair on screen, the next in memory, every answer kept until it is acknowledged.

import { Live } from "./live.js";
import { Outbox } from "./outbox.js";
import { showAfter, showStatus } from "./panel.js";
import { Player, prepare } from "./player.js";
import { key, Lost, post, Refusal, tell, twice } from "./talk.js";
import { Who } from "./who.js";

const $ = (id) => document.getElementById(id);
const SIDES = { left: $("left"), right: $("right") };
const WORDS = { left: "Left is better", right: "Right is better", tie: "As good", unsure: "Cannot tell" };
const SETTLE = 250; // ms in which a new pair cannot be answered: the key was meant for the last one
const IDLE = 5 * 60 * 1000; // a page left alone for so long gives its pairs back

let status = JSON.parse($("main").dataset.status);
let current = null; // the question on screen
let ahead = null; // the next one, leased and loaded
let filling = null; // the promise of the next one
let busy = false; // undoing or skipping
let online = true;
let shownAt = 0;
let lastUse = Date.now();
let asked = 0; // when a pair was last asked for in vain
let notice = "";

// --- telling --------------------------------------------------------------------------------------------------------

function say(text) {
  $("live").textContent = "";
  setTimeout(() => ($("live").textContent = text), 30); // the same words twice are read twice
}

function banner() {
  const waiting = outbox.entries.length;
  let text = notice;
  if (!online) text = `The studio does not answer. ${waiting ? `${waiting === 1 ? "Your answer is" : `${waiting} answers are`} kept here and sent` : "Nothing is lost: your next answers are kept here and sent"} as soon as it is back.`;
  else if (status.phase === "stopped") text = `Training has stopped${status.error ? `: ${status.error.replace(/\.?$/, ".")}` : "."} Your answers are still stored; “operant resume” will use them.`;
  else if (status.error) text = status.error;
  $("banner").hidden = !text;
  if ($("banner-text").textContent !== text) $("banner-text").textContent = text;
}

function connected(now) {
  const back = now && !online;
  online = now;
  banner();
  if (back) {
    say("The studio is back.");
    outbox.flush().then(fill);
  }
}

// Anything that failed on its way; true where it was the connection.
function failed(error) {
  if (error instanceof Lost) {
    connected(false);
    return true;
  }
  if (!(error instanceof Refusal)) throw error;
  if (error.reason === "name") who.ask();
  else {
    notice = error.message;
    banner();
  }
  return false;
}

// --- questions ------------------------------------------------------------------------------------------------------

const held = () => [current?.id, ahead?.id, ...outbox.pairs].filter(Boolean).slice(0, 8);

// Have a question on screen and one more in memory.
function fill() {
  if (busy) return null; // what is under way fills afterwards
  filling ??= more().finally(() => (filling = null));
  return filling;
}

async function more() {
  try {
    while (!current || !ahead) {
      const { question } = await post("next", { besides: held() });
      if (!online) connected(true);
      if (!question) {
        asked = Date.now();
        break;
      }
      if (outbox.again(question)) continue;
      question.until = Date.now() + 1000 * question.seconds;
      question.clips = prepare(question);
      question.clips.catch(() => {});
      if (current) ahead = question;
      else await show(question);
    }
  } catch (error) {
    failed(error);
  }
  rest();
}

async function show(question) {
  current = question;
  $("main").dataset.pair = "";
  const clips = await question.clips.catch(() => ({ left: null, right: null }));
  if (current !== question) return;
  player.show(clips);
  $("main").dataset.pair = question.id;
  shownAt = performance.now();
  rest();
}

// What stands in place of the clips where there are none.
function rest() {
  const none = !current;
  $("stage").classList.toggle("idle", none);
  $("empty").hidden = !none;
  for (const button of document.querySelectorAll("[data-answer], #skip, #replay, #play, #slow, #seek")) button.disabled = none;
  $("asked").textContent = none && asked ? "No question just now" : "Which is better?";
  if (!none) {
    asked = 0;
    return;
  }
  player.show(null);
  $("main").dataset.pair = "";
  const full = status.budget && status.answers >= status.budget;
  if (!asked) $("empty").textContent = "The next pair is on its way.";
  else if (full || status.phase === "done") $("empty").textContent = full ? "Every question is answered. Thank you." : "Training is done. Thank you.";
  else if (status.phase === "stopped") $("empty").textContent = "Training has stopped, and every pair it asked about is answered.";
  else if (status.waiting) $("empty").textContent = "The pairs left are with others, or were skipped by you. They come here if they are given back.";
  else $("empty").textContent = "The agent is practising with what you told it. The next pairs come by themselves.";
}

function next() {
  const question = ahead;
  current = ahead = null;
  const shown = question ? show(question) : rest();
  fill();
  return shown;
}

// --- answers --------------------------------------------------------------------------------------------------------

function answer(word) {
  if (!current || busy || Number($("main").dataset.pair) !== current.id || performance.now() - shownAt < SETTLE) return;
  const { id, lease, mark } = current;
  notice = "";
  outbox.add({ pair: id, answer: word, lease, mark, key: key(), seconds: Math.round(performance.now() - shownAt) / 1000 });
  next();
}

const outbox = new Outbox({
  stored(entry) {
    if (!online) connected(true);
    say(`${WORDS[entry.answer]}: stored.`);
    $("main").dataset.stored = entry.pair;
    showAfter(entry);
    banner();
  },
  kept(error) {
    if (!failed(error)) return;
    say("Not sent yet: the answer is kept.");
  },
  refused(entry, refusal) {
    if (refusal.reason === "lease") return retry(entry);
    notice = `Pair ${entry.pair} was not taken: ${refusal.message}`;
    banner();
  },
});

// A lease ended before its answer arrived: the pair is free, or somebody else has it.
async function retry(entry) {
  try {
    const { question } = await post("next", { besides: held() });
    if (question && outbox.again(question)) return;
    if (question) tell("release", { pair: question.id, lease: question.lease });
    notice = `Your answer to pair ${entry.pair} came after its lease had ended. It is used if the pair comes back to you.`;
    banner();
  } catch (error) {
    failed(error);
  }
}

async function alone(work) {
  if (busy) return;
  busy = true;
  try {
    await filling;
    await work();
  } catch (error) {
    failed(error);
  } finally {
    busy = false;
    fill();
  }
}

const skip = () => alone(async () => {
  if (!current) return;
  await post("skip", { pair: current.id, lease: current.lease });
  say("Skipped.");
  next();
});

const undo = () => alone(async () => {
  await outbox.flush();
  if (outbox.entries.length) return say("The latest answer is not sent yet, so it cannot be withdrawn.");
  const { pair, question } = await twice("undo", { key: key() });
  if (pair === null) return say("There is no answer to undo.");
  ahead = null; // the store gave back what this page held besides
  $("after").hidden = true;
  if (question) {
    question.until = Date.now() + 1000 * question.seconds;
    question.clips = prepare(question);
    await show(question);
  } else current = null;
  say("Withdrawn. Answer this pair again.");
});

// Hold the pairs while somebody is there; otherwise let them go to others.
setInterval(async () => {
  if (Date.now() - lastUse > IDLE || !online) return;
  for (const question of [current, ahead].filter(Boolean)) {
    if (question.until - Date.now() > 500 * question.seconds) continue;
    try {
      const { seconds } = await post("renew", { pair: question.id, lease: question.lease });
      question.until = Date.now() + 1000 * seconds;
    } catch (error) {
      if (error instanceof Lost) return connected(false);
      if (question === ahead) ahead = null;
      else if (question === current) {
        say("This pair went to somebody else; here is another.");
        next();
      }
      fill();
    }
  }
}, 5000);

// --- controls -------------------------------------------------------------------------------------------------------

const player = new Player(SIDES, {
  moved: (part) => ($("seek").value = Math.round(1000 * part)),
  changed({ playing, slow }) {
    $("play").textContent = playing ? "Pause" : "Play";
    $("play").setAttribute("aria-pressed", playing);
    $("slow").setAttribute("aria-pressed", slow);
  },
});

const KEYS = {
  ArrowLeft: () => answer("left"),
  ArrowRight: () => answer("right"),
  ArrowDown: () => answer("tie"),
  c: () => answer("unsure"),
  s: skip,
  z: undo,
  m: () => player.set(player.playing, !player.slow),
  " ": () => player.replay(),
  "?": () => $("help").showModal(),
};

document.addEventListener("keydown", (event) => {
  lastUse = Date.now();
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const target = event.target;
  if (target.matches("input, select, textarea")) return; // arrows move the slider there
  if (event.key === " " && target.matches("button, a")) return; // it presses what has the focus
  const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act) return;
  event.preventDefault();
  if (!event.repeat) act(); // a key held down answers once
});
document.addEventListener("pointerdown", () => (lastUse = Date.now()));
document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.answer) answer(button.dataset.answer);
  if (event.detail > 0) button.blur(); // so that space replays after a click instead of answering again
});
$("skip").addEventListener("click", skip);
$("undo").addEventListener("click", undo);
$("replay").addEventListener("click", () => player.replay());
$("play").addEventListener("click", () => (player.playing ? player.set(false) : player.t >= player.seconds ? player.replay() : player.set(true)));
$("slow").addEventListener("click", () => player.set(player.playing, !player.slow));
$("seek").addEventListener("input", () => player.seek($("seek").value / 1000));
$("help-open").addEventListener("click", () => $("help").showModal());

// --- who ------------------------------------------------------------------------------------------------------------

const who = new Who({
  before: () => outbox.flush(),
  told(name, changed) {
    if (changed) giveBack(); // pairs are leased to a name
    fill();
  },
});

function giveBack() {
  for (const question of [current, ahead].filter(Boolean)) tell("release", { pair: question.id, lease: question.lease });
  current = ahead = null;
}

addEventListener("pagehide", giveBack);
addEventListener("pageshow", (event) => event.persisted && location.reload());

// --- begin ----------------------------------------------------------------------------------------------------------

new Live({
  connected,
  status(now) {
    status = now;
    showStatus(now);
    banner();
    if (outbox.entries.length) outbox.flush();
    if (!current) rest();
    if ((!current || !ahead) && now.waiting && Date.now() - asked > 1500 && who.name) fill();
  },
});
setInterval(() => {
  if (!online || !who.name) return;
  if ((!current || !ahead) && Date.now() - asked > 3000 && status.waiting) fill();
}, 1000);
showStatus(status);
rest();
if (who.name) outbox.flush().then(fill);
else who.ask();
