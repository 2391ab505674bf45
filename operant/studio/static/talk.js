// Requests to the studio. What it refuses becomes a Refusal; what never arrives, a Lost.

export class Refusal extends Error {
  constructor(status, problem) {
    super(problem.detail || "The studio refused.");
    this.status = status;
    this.reason = problem.reason || "server";
  }
}

export class Lost extends Error {}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, { ...options, signal: AbortSignal.timeout(15000) });
  } catch {
    throw new Lost("The studio does not answer.");
  }
  if (response.ok) return response;
  let problem = {};
  try {
    problem = await response.json();
  } catch {
    // something between here and the studio answered
  }
  if (response.status >= 500 || response.status === 408) throw new Lost(problem.detail || "The studio is in trouble.");
  throw new Refusal(response.status, problem);
}

export const get = (path) => ask(path, {});

// The whole response, for what is no JSON.
export const send = (name, body = {}) => ask(`/api/${name}`, {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify(body),
  keepalive: true, // an answer given just before the page closes still goes out
});

export async function post(name, body = {}) {
  const response = await send(name, body);
  return response.status === 204 ? null : response.json();
}

// A name for what is sent, so that it counts once however often it arrives.
export const key = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");

// Once more where the reply was lost: only for what counts once.
export async function twice(name, body, how = post) {
  try {
    return await how(name, body);
  } catch (error) {
    if (!(error instanceof Lost)) throw error;
    return how(name, body);
  }
}

// For a page that is closing: nobody waits for the reply.
export function tell(name, body) {
  navigator.sendBeacon(`/api/${name}`, new Blob([JSON.stringify(body)], { type: "application/json" }));
}
