// Numbers as a person reads them. The language is the page's own, not the browser's: mixed would
// read oddly.

const COUNT = new Intl.NumberFormat("en");
const MONEY = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const CHANGE = new Intl.NumberFormat("en", { signDisplay: "exceptZero", minimumFractionDigits: 3 });
const DAY = new Intl.DateTimeFormat("en", { dateStyle: "long", timeZone: "UTC" });

export const count = (number, one, many = `${one}s`) =>
  `${COUNT.format(number)} ${number === 1 ? one : many}`;
export const money = (price) => MONEY.format(price); // in the catalogue's own currency
export const day = (iso) => DAY.format(new Date(iso));
export const duration = (ms) => (ms < 1 ? "under 1 ms" : `${COUNT.format(Math.round(ms))} ms`);
export const change = (number) => CHANGE.format(number);
export const sentence = (words) => `${words[0].toUpperCase()}${words.slice(1)}.`;
export const percent = (share) => `${(100 * share).toFixed(1)} %`;
