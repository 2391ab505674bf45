// The record page: the environment stands still until it is stepped, and is stepped with the keys that are held.

import { number, short } from "./chart.js";
import { key, Lost, post, Refusal, send, tell, twice } from "./talk.js";
import { Who } from "./who.js";

const $ = (id) => document.getElementById(id);
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const PACES = [1, 2, 3, 5, 8, 10, 15, 20, 30, 60]; // steps a second
const REPEAT = 160; // ms a key is held before it counts again, where the environment waits for keys: a tap is one step

let seat = null; // what /api/record/begin gave
let pads = []; // {id, keys, action} or {id, keys, axis, sign}
let [t, total, over] = [0, 0, ""];
let [running, looping, busy] = [false, false, false];
let pace = PACES.indexOf(15);
let last = null; // the latest discrete action
const held = new Map(); // pad -> when it was pressed; the latest is the last
const tapped = new Set(); // pressed since the latest step, and perhaps let go

// --- telling --------------------------------------------------------------------------------------------------------

function say(text) {
  $("live").textContent = "";
  setTimeout(() => ($("live").textContent = text), 30);
}

function banner(text, again = false) {
  $("banner").hidden = !text;
  $("banner-text").textContent = text;
  $("again").hidden = !again;
}

function phase(name) {
  $("main").dataset.phase = name;
  const first = pads.length && pads[0].axis === undefined && $("idle").value === "wait";
  const words = {
    ready: first ? "Press a key: it moves when you do." : "Press a key to begin.",
    paused: "Paused. Space goes on.",
    over: `The episode ${over === "truncated" ? "reached its time limit" : "ended"} after ${t} steps: return ${number(total)}. Enter keeps it, Backspace discards it.`,
    starting: "Starting the environment.",
    ended: "",
  };
  $("veil").textContent = words[name] ?? "";
  $("pause").textContent = running ? "Pause" : "Play";
  $("pause").disabled = $("one").disabled = !seat || Boolean(over);
  $("restart").disabled = !seat;
  $("keep").disabled = $("discard").disabled = !seat || t === 0;
  if (name === "over") say(words.over);
}

const rest = () => phase(!seat ? "ended" : over ? "over" : running ? "running" : t ? "paused" : "ready");

function failed(error) {
  running = false;
  if (error instanceof Lost) banner("The studio does not answer. Nothing is lost as long as it runs: Space tries again.");
  else if (!(error instanceof Refusal)) throw error;
  else if (error.reason === "name") who.ask();
  else if (error.reason === "session") {
    seat = null;
    banner("This session has ended: it was opened again elsewhere, or left alone too long.", true);
  } else if (error.reason === "order") return look();
  else banner(error.message, !seat);
  return rest();
}

// --- the environment ------------------------------------------------------------------------------------------------

async function begin() {
  banner("");
  phase("starting");
  try {
    seat = await post("record/begin");
    furnish(seat.controls);
    counted(seat);
    await look();
  } catch (error) {
    failed(error);
  }
}

function counted({ episodes, steps }) {
  $("episodes").textContent = episodes;
  $("steps").textContent = steps ? `${short(steps)} steps` : "";
}

async function show(response) {
  const image = await createImageBitmap(await response.blob());
  const screen = $("screen");
  if (screen.width !== image.width || screen.height !== image.height) [screen.width, screen.height] = [image.width, image.height];
  screen.getContext("2d").drawImage(image, 0, 0);
  image.close();
  [t, total] = ["steps", "return"].map((x) => Number(response.headers.get(`play-${x}`)));
  over = response.headers.get("play-over");
  $("t").textContent = t;
  $("total").textContent = number(total);
  $("main").dataset.t = t;
  if (over) running = false;
}

async function ask(name, body = {}) {
  await show(await twice(`record/${name}`, { session: seat.session, ...body }, send));
  banner("");
  rest();
}

const look = () => ask("look").catch(failed);

async function play() {
  if (looping) return;
  looping = true;
  let due = performance.now();
  try {
    while (running && !over && seat) {
      const action = choose();
      if (action === null) {
        await wait(15);
        due = performance.now();
        continue;
      }
      await ask("step", { t, action });
      due = Math.max(due + 1000 / PACES[pace], performance.now());
      await wait(due - performance.now());
    }
  } catch (error) {
    failed(error);
  }
  looping = false;
}

function run(now) {
  if (!seat || over || busy) return;
  running = now;
  rest();
  if (now) play();
}

// One thing at a time, and none while a step is on its way.
async function alone(work) {
  if (busy || !seat) return;
  busy = true;
  running = false;
  try {
    while (looping) await wait(5);
    await work();
  } catch (error) {
    failed(error);
  }
  busy = false;
  rest();
}

const one = () => alone(async () => {
  const action = choose() ?? (pads[0]?.axis === undefined ? null : neutral());
  if (action === null) return say("Hold the key of an action, then step.");
  if (!over) await ask("step", { t, action });
});

const restart = (word) => alone(async () => {
  await ask("restart");
  last = null;
  say(word);
});

const keep = () => alone(async () => {
  if (!t) return;
  const told = await twice("record/keep", { session: seat.session, key: key() });
  counted(told);
  $("main").dataset.kept = told.episodes;
  const words = `Episode ${told.episodes} kept: ${t} steps, return ${number(total)}.`;
  await ask("restart");
  last = null;
  say(words);
});

// --- actions --------------------------------------------------------------------------------------------------------

const neutral = () => seat.controls.axes.map(({ low, high }) => Math.min(high, Math.max(low, 0)));

// The action of this moment; null: none, so that the environment waits.
function choose() {
  const now = performance.now();
  const waits = $("idle").value === "wait";
  const counts = ([pad, since]) => !waits || tapped.has(pad) || now - since > REPEAT;
  const on = [...held].filter(counts).map(([pad]) => pad);
  for (const pad of tapped) if (!on.includes(pad)) on.push(pad);
  tapped.clear();
  if (seat.controls.kind === "discrete") {
    const pad = on.at(-1);
    const idle = $("idle").value;
    last = pad ? pad.action : idle === "wait" ? null : idle === "last" ? last : Number(idle);
    return last === null ? null : [last];
  }
  if (!on.length && waits) return null;
  const strength = $("strength").value / 100;
  const action = neutral();
  const middle = neutral();
  for (const { axis, sign } of on) {
    const { low, high } = seat.controls.axes[axis];
    action[axis] += strength * ((sign > 0 ? high : low) - middle[axis]);
  }
  return action.map((x, k) => Math.min(seat.controls.axes[k].high, Math.max(seat.controls.axes[k].low, x)));
}

function press(pad) {
  if (!seat || over || busy) return;
  held.delete(pad);
  held.set(pad, performance.now());
  tapped.add(pad);
  pad.button.classList.add("held");
  if (!running && $("main").dataset.phase === "ready") run(true);
}

function letGo(pad) {
  held.delete(pad);
  pad.button.classList.remove("held");
}

const letAllGo = () => pads.forEach(letGo);

const SIGNS = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓" };

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  for (const [k, v] of Object.entries(attributes)) made.setAttribute(k, v);
  return made;
}

function furnish(controls) {
  letAllGo();
  const box = controls.kind === "box";
  pads = box
    ? controls.axes.flatMap(({ name, minus, plus }, axis) => [{ axis, sign: 1, keys: plus, name: `${name} +` }, { axis, sign: -1, keys: minus, name: `${name} −` }])
    : controls.actions.map(({ name, keys }, action) => ({ action, keys, name }));
  $("pads").replaceChildren(...pads.map(buttonOf));
  $("pads").classList.toggle("pairs", box);
  $("pads").dataset.n = pads.length;
  $("strength-row").hidden = !box;
  for (const row of document.querySelectorAll(".box-only")) row.hidden = !box;
  const idle = box
    ? [["0", "push nothing"], ["wait", "wait"]]
    : [["wait", "wait"], ["last", "go on with the last action"], ...controls.actions.slice(0, 12).map((a, k) => [String(k), a.name])];
  $("idle").replaceChildren(...idle.map(([value, word]) => element("option", word, { value })));
  $("idle").value = box ? "0" : controls.idle === null ? "wait" : String(controls.idle);
  $("keys").replaceChildren(...pads.filter((pad) => pad.keys.length).map((pad) => {
    const row = element("div");
    const dt = element("dt");
    dt.append(...pad.keys.flatMap((k) => [element("kbd", SIGNS[k] ?? k), " "]));
    row.append(dt, element("dd", pad.name));
    return row;
  }));
}

function buttonOf(pad) {
  pad.button = element("button", "", { type: "button", "aria-label": pad.name });
  pad.button.append(...pad.keys.flatMap((k) => [element("kbd", SIGNS[k] ?? k, { "aria-hidden": "true" }), " "]), element("span", pad.name));
  if (pad.keys.length) pad.button.setAttribute("aria-keyshortcuts", pad.keys.join(" "));
  pad.button.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    pad.button.setPointerCapture(event.pointerId);
    press(pad);
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) pad.button.addEventListener(end, () => letGo(pad));
  pad.button.addEventListener("click", (event) => {
    if (event.detail !== 0) return; // a pointer: already pressed
    press(pad); // by keyboard or screen reader: once
    letGo(pad);
  });
  pad.button.addEventListener("contextmenu", (event) => event.preventDefault());
  return pad.button;
}

// --- controls -------------------------------------------------------------------------------------------------------

function setPace(by) {
  pace = Math.min(PACES.length - 1, Math.max(0, pace + by));
  $("pace").textContent = `${PACES[pace]} ${PACES[pace] === 1 ? "step" : "steps"} a second`;
}

function setStrength(by) {
  $("strength").value = Number($("strength").value) + by;
  $("strength-told").textContent = `${$("strength").value} %`;
}

const KEYS = {
  " ": () => run(!running),
  n: one,
  r: () => restart("Another episode."),
  ",": () => setPace(-1),
  ".": () => setPace(1),
  "[": () => setStrength(-5),
  "]": () => setStrength(5),
  Enter: keep,
  Backspace: () => t && restart("Discarded. Another episode."),
  "?": () => $("help").showModal(),
};

const named = (event) => (event.key.length === 1 ? event.key.toLowerCase() : event.key);
const padOf = (event) => pads.find((pad) => pad.keys.includes(named(event)));

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const target = event.target;
  if (target.matches("input, select, textarea")) return;
  if (["Enter", " "].includes(event.key) && target.matches("button, a")) return; // it presses what has the focus
  const pad = padOf(event);
  const act = KEYS[named(event)];
  if (!pad && !act) return;
  event.preventDefault();
  if (event.repeat) return;
  if (pad) press(pad);
  else act();
});
document.addEventListener("keyup", (event) => {
  const pad = padOf(event);
  if (pad) letGo(pad);
});
addEventListener("blur", letAllGo); // keys let go elsewhere are not heard
document.addEventListener("visibilitychange", () => {
  if (document.hidden && running) run(false);
});
document.addEventListener("click", (event) => {
  if (event.detail > 0) event.target.closest("button")?.blur();
});
for (const [id, act] of [
  ["pause", KEYS[" "]], ["one", one], ["restart", KEYS.r], ["slower", KEYS[","]], ["faster", KEYS["."]],
  ["keep", keep], ["discard", KEYS.Backspace], ["help-open", KEYS["?"]], ["again", begin],
]) $(id).addEventListener("click", act);
$("strength").addEventListener("input", () => setStrength(0));
$("strength").addEventListener("change", () => $("strength").blur());
$("idle").addEventListener("change", () => {
  $("idle").blur();
  rest();
});

const leave = () => seat && tell("record/leave", { session: seat.session });
addEventListener("pagehide", leave);
addEventListener("pageshow", (event) => event.persisted && location.reload());

// --- begin ----------------------------------------------------------------------------------------------------------

const who = new Who({
  told(name, changed) {
    if (changed) leave(); // a seat belongs to a name
    if (changed || !seat) begin();
  },
});
if (who.name) begin();
else {
  phase("starting");
  $("veil").textContent = "";
  who.ask();
}
