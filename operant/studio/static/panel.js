// What was learned so far: answers, the reward, the agent.

import { draw, number, short } from "./chart.js";
import { get } from "./talk.js";

const $ = (id) => document.getElementById(id);
const WORDS = { left: "left", right: "right", tie: "as good", unsure: "cannot tell" };

export function showStatus(status) {
  $("statement").textContent = status.statement;
  $("answers").textContent = short(status.answers);
  $("budget").textContent = short(status.budget);
  $("used").max = Math.max(1, status.budget);
  $("used").value = status.answers;
  const done = status.steps ? `${short(status.env_steps)} of ${short(status.steps)} steps` : "";
  const phase = { training: "training", waiting: "waiting for answers", done: "training is done", stopped: "training has stopped" };
  $("phase").textContent = [status.env, phase[status.phase], done].filter(Boolean).join(" · ");
  $("agreement").textContent = status.agreement === null ? "–" : `${Math.round(100 * status.agreement)} %`;
  const last = status.return.at(-1);
  $("return").textContent = last ? number(last[1]) : "–";
  const told = last ? `The agent's return over environment steps: ${number(last[1])} after ${short(last[0])} steps.` : "";
  draw($("returns"), [status.return], told);
}

// What the reward thinks of a pair, after it was answered.
export async function showAfter({ pair, answer }) {
  let after;
  try {
    after = await (await get(`/api/after/${pair}`)).json();
  } catch {
    return; // only an extra: the answer is stored
  }
  $("after").hidden = false;
  $("after").dataset.pair = pair;
  if (after.left === null) {
    $("verdict").textContent = `You: ${WORDS[answer]}. The reward has learned nothing yet.`;
    return draw($("curves"), [], "");
  }
  const sum = (values) => values.reduce((a, b) => a + (b ?? 0), 0);
  const [left, right] = [sum(after.left), sum(after.right)];
  const better = left > right ? "left" : "right";
  const agrees = ["left", "right"].includes(answer) ? (answer === better ? ": it agrees" : ": it does not agree yet") : "";
  $("verdict").textContent = `You: ${WORDS[answer]}. Reward: left ${number(left)}, right ${number(right)}${agrees}.`;
  const line = (values) => values.map((y, x) => [x, y]);
  draw($("curves"), [line(after.left), line(after.right)], `Learned reward a step: left sums to ${number(left)}, right to ${number(right)}.`);
}
