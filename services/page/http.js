// A question to the service. Whatever goes wrong is a Problem whose message can be shown.

const LONGEST_WAIT = 5; // seconds

export class Problem extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status; // 0: there was no answer at all
  }
}

let openDoor = null;

// `open` is called where the service wants a key; what it promises is true once it has one.
export function whenLocked(open) {
  openDoor = open;
}

export async function ask(url, request = {}) {
  try {
    return await askOnce(url, request);
  } catch (problem) {
    if (problem.status === 401 && openDoor && (await openDoor())) {
      return ask(url, request);
    }
    throw problem;
  }
}

// A service that is busy says when to come back; one more try spares a person the button.
export async function askPatiently(url, request) {
  try {
    return await ask(url, request);
  } catch (problem) {
    const isBusy = problem.status === 503 || problem.status === 429;
    if (!isBusy || !(problem.retryAfter <= LONGEST_WAIT)) throw problem;
    await pause(1000 * problem.retryAfter, request.signal);
    return ask(url, request);
  }
}

// A search changes nothing: where it broke off, as with a worker that was killed, it is asked again.
export async function askAgain(url, request) {
  try {
    return await askPatiently(url, request);
  } catch (problem) {
    if (problem.status !== 0) throw problem;
    return askPatiently(url, request);
  }
}

// Without the dialog that asks for a key; null where the answer is empty.
export async function askOnce(url, request = {}) {
  let answer;
  try {
    answer = await fetch(url, { cache: "no-store", ...request });
    if (answer.ok) return answer.status === 204 ? null : await answer.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("The service does not answer. It may be restarting, or the network is down.");
  }
  const { detail } = await answer.json().catch(() => ({})); // a proxy's error need not be JSON
  const problem = new Problem(
    detail || `The service answered ${answer.status} ${answer.statusText}.`,
    answer.status,
  );
  problem.retryAfter = Number(answer.headers.get("Retry-After") ?? NaN);
  throw problem;
}

export function json(method, content, signal) {
  const headers = { "Content-Type": "application/json" };
  return { method, headers, body: JSON.stringify(content), signal };
}

function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
