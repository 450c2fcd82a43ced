// What is asked for lives in the address, so that it can be shared, reloaded and gone back to.

import { keptPicture } from "./pictures.js";

const MODES = ["keyword", "hybrid"];

const price = (text) => {
  const number = Number(text);
  return text && Number.isFinite(number) && number >= 0 ? number : null;
};

export function readState(address = location.search) {
  const params = new URLSearchParams(address);
  const picture = Number(params.get("picture"));
  const mode = params.get("mode");
  return {
    query: (params.get("q") ?? "").trim().slice(0, 1000),
    like: params.get("like") ?? "", // a product's id, in the query's place
    picture: keptPicture(picture) ? picture : null, // the same for a picture of one's own
    categories: [...new Set(params.getAll("category").filter(Boolean))].sort(),
    min: price(params.get("min")),
    max: price(params.get("max")),
    mode: MODES.includes(mode) ? mode : "", // "": by meaning
    varied: params.get("varied") === "1",
    compare: params.get("compare") === "1",
  };
}

export function address(state) {
  const params = new URLSearchParams();
  if (state.query) params.set("q", state.query);
  if (state.like) params.set("like", state.like);
  if (state.picture != null) params.set("picture", state.picture);
  for (const name of state.categories) params.append("category", name);
  if (state.min != null) params.set("min", state.min);
  if (state.max != null) params.set("max", state.max);
  if (state.mode) params.set("mode", state.mode);
  if (state.varied) params.set("varied", "1");
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

export const byWords = (state) => !state.like && state.picture == null;
export const isAsking = (state) => Boolean(state.query) || !byWords(state);

export function isFiltered(state) {
  return state.categories.length > 0 || state.min != null || state.max != null;
}

export const NO_FILTERS = { categories: [], min: null, max: null };
export const NO_PICTURE = { like: "", picture: null };
