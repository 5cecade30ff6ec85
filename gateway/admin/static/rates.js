// Rates per second, made of counters that stand at moments of their own: whoever counts elsewhere is heard of less often.

export class Rates {
  #before = new Map(); // key → { at, count, rate }

  /**
   * Hear what a counter stood at.
   * @param at in Unix seconds; the same moment again tells nothing new
   * @return the rate since the moment before, null as long as there is none
   */
  of(key, at, count) {
    const before = this.#before.get(key);
    if (before && at <= before.at) return before.rate;
    const rate = before && count >= before.count ? (count - before.count) / (at - before.at) : null;
    this.#before.set(key, { at, count, rate });
    return rate;
  }
}

/** Add up what is known; null where nothing is. */
export function sumOf(rates) {
  const known = rates.filter((rate) => rate !== null);
  return known.length ? known.reduce((total, rate) => total + rate, 0) : null;
}
