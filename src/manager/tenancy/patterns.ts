import { byCodeUnit } from "../../registry/collection/collection.ts";
import { matchesPattern } from "../../registry/model/peer-grant.ts";

/** What a list of patterns takes in is what any of them does. */
export type Patterns = readonly string[];

/** Of what two patterns have in common; more are not said, and so not shared. */
const COMMON_MAX = 64;
/** Patterns with stars that others are held against. */
const WIDE_MAX = 256;
/** No text that is matched is longer. */
const CHARACTERS_MAX = 253;

/** The same for lists that take in the same names, sorted: as far as that shows pattern by pattern. */
export function simplified(patterns: Iterable<string>): Patterns {
  const all = [...new Set(Array.from(patterns, (pattern) => pattern.replaceAll(/\*+/g, "*")))].sort(byCodeUnit);
  const wide = all.filter(isWide).slice(0, WIDE_MAX);
  return all.filter((pattern) => !wide.some((other) => other !== pattern && matchesPattern(other, pattern)));
}

/** What both lists take in; undefined if that takes more patterns than are said. */
export function common(some: Patterns, others: Patterns): Patterns | undefined {
  const found = new Set([...namesAmong(some, others), ...namesAmong(others, some)]);
  for (const one of some.filter(isWide))
    for (const other of others.filter(isWide)) {
      const both = commonOf(one, other);
      if (both === undefined) return undefined;
      for (const pattern of both) found.add(pattern);
    }
  return simplified(found);
}

const isWide = (pattern: string): boolean => pattern.includes("*");

/** Names, as most lists have nothing else, are looked up. */
function namesAmong(some: Patterns, others: Patterns): Patterns {
  const [names, wide] = [new Set(others), others.filter(isWide)];
  return some.filter((one) => !isWide(one) && (names.has(one) || wide.some((pattern) => matchesPattern(pattern, one))));
}

/** A star of a pattern that takes in another pattern takes in all that the other's stars stand for. */
function commonOf(one: string, other: string): Patterns | undefined {
  if (matchesPattern(one, other)) return [other];
  if (matchesPattern(other, one)) return [one];
  return new Meeting(one, other).patterns();
}

/** All texts that two patterns match, as patterns: walks both from the left, with each place that the two reach met once. */
class Meeting {
  readonly #one: string;
  readonly #other: string;
  readonly #met = new Map<number, Patterns>();
  #tooMany = false;

  constructor(one: string, other: string) {
    this.#one = one;
    this.#other = other;
  }

  patterns(): Patterns | undefined {
    const all = this.#from(0, 0).filter(({ length }) => length <= CHARACTERS_MAX);
    return this.#tooMany ? undefined : all;
  }

  #from(at: number, otherAt: number): Patterns {
    const key = at * (this.#other.length + 1) + otherAt;
    const known = this.#met.get(key);
    if (known !== undefined) return known;
    const found = this.#tooMany ? [] : simplified(this.#step(at, otherAt));
    if (found.length > COMMON_MAX) this.#tooMany = true;
    this.#met.set(key, found);
    return found;
  }

  #step(at: number, otherAt: number): Patterns {
    const [next, otherNext] = [this.#one[at], this.#other[otherAt]];
    if (next === undefined || otherNext === undefined)
      return /^\**$/.test(this.#one.slice(at) + this.#other.slice(otherAt)) ? [""] : [];
    // The star that begins later stands within what the other one stands for.
    if (next === "*" && otherNext === "*")
      return [...this.#from(at + 1, otherAt), ...this.#from(at, otherAt + 1)].map((rest) => `*${rest}`);
    if (next === "*")
      return [...this.#from(at + 1, otherAt), ...this.#from(at, otherAt + 1).map((rest) => otherNext + rest)];
    if (otherNext === "*")
      return [...this.#from(at, otherAt + 1), ...this.#from(at + 1, otherAt).map((rest) => next + rest)];
    return next === otherNext ? this.#from(at + 1, otherAt + 1).map((rest) => next + rest) : [];
  }
}
