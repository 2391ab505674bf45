// The coach page: the agent acts, a person says plus or minus. Looking at it is what lets it go on.

import { draw, number, short } from "./chart.js";
import { get, key, Lost, post, Refusal, twice } from "./talk.js";
import { Who } from "./who.js";

const $ = (id) => document.getElementById(id);
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const PACES = [0.5, 1, 2, 3, 5, 8, 10, 15, 20, 30]; // steps a second

let status = JSON.parse($("main").dataset.status);
let frame = 0; // the picture on screen
let painted = 0; // when it came up
let looking = false;
let online = true;

function say(text) {
  $("live").textContent = "";
  setTimeout(() => ($("live").textContent = text), 30);
}

function banner(text) {
  $("banner").hidden = !text;
  $("banner-text").textContent = text;
}

function failed(error) {
  if (error instanceof Lost) {
    online = false;
    banner("The training does not answer. It has ended, or it comes back.");
  } else if (!(error instanceof Refusal)) throw error;
  else if (error.reason === "name") who.ask();
  else banner(error.message);
}

// --- watching -------------------------------------------------------------------------------------------------------

async function watch() {
  if (looking) return;
  looking = true;
  while (who.name && !document.hidden && status.phase !== "ended") {
    try {
      const response = await get(`/api/coach/look/${frame}`);
      if (!online) banner("");
      online = true;
      if (response.status === 204) continue;
      const image = await createImageBitmap(await response.blob());
      const screen = $("screen");
      if (screen.width !== image.width || screen.height !== image.height) [screen.width, screen.height] = [image.width, image.height];
      screen.getContext("2d").drawImage(image, 0, 0);
      image.close();
      frame = Number(response.headers.get("coach-frame"));
      painted = performance.now();
      $("main").dataset.frame = frame;
    } catch (error) {
      failed(error);
      await wait(1000);
    }
  }
  looking = false;
}

function show(now) {
  const before = status.phase;
  status = now;
  const words = {
    paused: "Paused. Space goes on.",
    waiting: "It begins as soon as it is ready.",
    listening: "What do you say?",
    learning: "It learns.",
    ended: "The training has ended. Thank you.",
  };
  $("veil").textContent = words[now.phase] ?? "";
  if (now.phase !== before && ["paused", "ended"].includes(now.phase)) say(words[now.phase]);
  $("main").dataset.phase = now.phase;
  $("pause").textContent = now.phase === "paused" ? "Go on" : "Pause";
  $("pace").textContent = `${number(now.pace)} ${now.pace === 1 ? "step" : "steps"}/s`;
  $("said-plus").textContent = now.plus;
  $("said-minus").textContent = now.minus;
  $("late").textContent = now.late ? `${now.late} came too late to count` : "";
  $("total").textContent = number(now.total);
  $("steps").textContent = `${short(now.steps)} of ${short(Number($("main").dataset.budget))} steps, ${now.episodes} ${now.episodes === 1 ? "episode" : "episodes"}`;
  const last = now.returns.at(-1);
  draw($("returns"), [now.returns], last ? `Return of each episode: ${number(last[1])} in episode ${last[0]}.` : "");
  for (const id of ["plus", "minus", "pause"]) $(id).disabled = now.phase === "ended";
  if (now.phase !== "ended") watch();
}

// --- judging --------------------------------------------------------------------------------------------------------

async function judge(value) {
  if (!frame || status.phase === "ended") return;
  const word = { value, frame, since: Math.min(3600, (performance.now() - painted) / 1000), key: key() };
  $("stage").classList.remove("plus", "minus");
  void $("stage").offsetWidth; // so that the same flash begins again
  $("stage").classList.add(value);
  try {
    const { counted } = await twice("coach/say", word);
    $("main").dataset.said = Number($("main").dataset.said) + 1;
    if (!counted) $("veil").textContent = "That came too late to count.";
  } catch (error) {
    failed(error);
  }
}

async function tell(name, body) {
  try {
    await post(name, body);
  } catch (error) {
    failed(error);
  }
}

const pause = () => tell("coach/pause", { paused: status.phase === "paused" ? "no" : "yes" });

function setPace(by) {
  const near = PACES.reduce((a, b, k) => (Math.abs(b - status.pace) < Math.abs(PACES[a] - status.pace) ? k : a), 0);
  const pace = PACES[Math.min(PACES.length - 1, Math.max(0, near + by))];
  status.pace = pace; // two presses in a row are two steps
  return tell("coach/pace", { pace });
}

const KEYS = {
  ArrowUp: () => judge("plus"),
  "+": () => judge("plus"),
  "=": () => judge("plus"),
  ArrowDown: () => judge("minus"),
  "-": () => judge("minus"),
  _: () => judge("minus"),
  " ": pause,
  ",": () => setPace(-1),
  ".": () => setPace(1),
  "?": () => $("help").showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.matches("input, select, textarea")) return;
  if (event.key === " " && event.target.matches("button, a")) return; // it presses what has the focus
  const act = KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  if (!event.repeat) act();
});
document.addEventListener("click", (event) => {
  if (event.detail > 0) event.target.closest("button")?.blur();
});
for (const [id, act] of [
  ["plus", KEYS.ArrowUp], ["minus", KEYS.ArrowDown], ["pause", pause], ["slower", KEYS[","]], ["faster", KEYS["."]], ["help-open", KEYS["?"]],
]) $(id).addEventListener("click", act);
document.addEventListener("visibilitychange", watch);
addEventListener("pageshow", (event) => event.persisted && location.reload());

// --- begin ----------------------------------------------------------------------------------------------------------

const who = new Who({ told: () => watch() });

function open() {
  const source = new EventSource("/api/coach/events");
  source.addEventListener("status", (event) => {
    if (!online) banner("");
    online = true;
    show(JSON.parse(event.data));
  });
  source.addEventListener("error", () => {
    if (status.phase === "ended") return source.close();
    failed(new Lost());
    if (source.readyState === EventSource.CLOSED) setTimeout(open, 1500);
  });
}

show(status);
open();
if (!who.name) who.ask();
