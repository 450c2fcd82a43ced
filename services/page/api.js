// The calls of the service that the page makes.

import { ask, askAgain, askOnce, askPatiently, json } from "./http.js";
import { keptPicture } from "./pictures.js";

export const PAGE = 24; // hits that come at a time
const VARIED = 0.5; // of what `diversify` can be, 0 to 1

export const getModel = (signal) => ask("/v1/model", { signal });

// `model` is "champion" or "base". A field that is not wanted is not sent.
export function search(state, { model, k = PAGE, offset = 0, explain = false }, signal) {
  const wanted = { k, filter: conditions(state), model };
  if (offset) wanted.offset = offset;
  if (explain) wanted.explain = true;
  if (state.varied) wanted.diversify = VARIED;
  const picture = keptPicture(state.picture);
  if (picture) {
    const body = new FormData();
    body.set("picture", picture);
    body.set("search", JSON.stringify(wanted));
    return askAgain("/v1/search/image", { method: "POST", body, signal });
  }
  if (state.like) wanted.like = state.like;
  else wanted.query = state.query;
  if (state.mode && !state.like) wanted.mode = state.mode;
  return askAgain("/v1/search", json("POST", wanted, signal));
}

function conditions({ categories, min, max }) {
  const price = {};
  if (min != null) price.gte = min;
  if (max != null) price.lte = max;
  return { category: categories, price };
}

export const listConcepts = async () => (await ask("/v1/concepts")).concepts;

export function teach(name, noun, photos, signal) {
  const body = withPhotos(photos);
  body.set("name", name);
  body.set("noun", noun);
  return askPatiently("/v1/concepts", { method: "POST", body, signal });
}

export function addPhotos(name, photos, signal) {
  const request = { method: "POST", body: withPhotos(photos), signal };
  return askPatiently(`${concept(name)}/photos`, request);
}

export const forget = (name) => ask(concept(name), { method: "DELETE" });

const concept = (name) => `/v1/concepts/${encodeURIComponent(name)}`;

function withPhotos(photos) {
  const body = new FormData();
  for (const photo of photos) body.append("photos", photo);
  return body;
}

// What a person meant: `chosen` is a product's id or null, `rejected` a list of them.
export const giveFeedback = (said) => ask("/v1/feedback", json("POST", said));

export const signIn = (key) => askOnce("/v1/session", json("POST", { key }));
export const signOut = () => askOnce("/v1/session", { method: "DELETE" });
