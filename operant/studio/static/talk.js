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

export async function post(name, body = {}) {
  const response = await ask(`/api/${name}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    keepalive: true, // an answer given just before the page closes still goes out
  });
  return response.status === 204 ? null : response.json();
}

// For a page that is closing: nobody waits for the reply.
export function tell(name, body) {
  navigator.sendBeacon(`/api/${name}`, new Blob([JSON.stringify(body)], { type: "application/json" }));
}
