// What is asked for lives in the address, so that it can be shared, reloaded and gone back to.

const price = (text) => {
  const number = Number(text);
  return text && Number.isFinite(number) && number >= 0 ? number : null;
};

export function readState(address = location.search) {
  const params = new URLSearchParams(address);
  return {
    query: (params.get("q") ?? "").trim().slice(0, 1000),
    categories: [...new Set(params.getAll("category").filter(Boolean))].sort(),
    min: price(params.get("min")),
    max: price(params.get("max")),
    compare: params.get("compare") === "1",
  };
}

export function address(state) {
  const params = new URLSearchParams();
  if (state.query) params.set("q", state.query);
  for (const name of state.categories) params.append("category", name);
  if (state.min != null) params.set("min", state.min);
  if (state.max != null) params.set("max", state.max);
  if (state.compare) params.set("compare", "1");
  const text = params.toString();
  return text ? `?${text}` : location.pathname;
}

// The same question asked twice is one step back, not two.
export function writeState(state, { replace = false } = {}) {
  const to = address(state);
  if (address(readState()) === to) return;
  history[replace ? "replaceState" : "pushState"](null, "", to);
}

export function isFiltered(state) {
  return state.categories.length > 0 || state.min != null || state.max != null;
}

export const NO_FILTERS = { categories: [], min: null, max: null };
