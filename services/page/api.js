// The service, over HTTP. Whatever goes wrong is a Problem whose message can be shown.

const K = 24;
const LONGEST_WAIT = 5; // seconds

export class Problem extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status; // 0: there was no answer at all
  }
}

export const getModel = (signal) => ask("/v1/model", { signal });

export async function search(state, model, signal) {
  const body = JSON.stringify({ query: state.query, k: K, filter: conditions(state), model });
  const headers = { "Content-Type": "application/json" };
  const request = { method: "POST", headers, body, signal };
  try {
    return await ask("/v1/search", request);
  } catch (problem) {
    // A service that is busy says when to come back; one more try spares a person the button.
    if (problem.status !== 503 || !(problem.retryAfter <= LONGEST_WAIT)) throw problem;
    await pause(1000 * problem.retryAfter, signal);
    return ask("/v1/search", request);
  }
}

function conditions({ categories, min, max }) {
  const price = {};
  if (min != null) price.gte = min;
  if (max != null) price.lte = max;
  return { category: categories, price };
}

async function ask(url, request) {
  let answer;
  try {
    answer = await fetch(url, { cache: "no-store", ...request });
    if (answer.ok) return await answer.json();
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

function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
