import { RE2JS, RE2JSException } from "re2js";
import { LRUCache } from "lru-cache";
import { messageOf } from "./errors.ts";

/** Longer ones are refused: each costs the proxies memory, and time for each request. */
export const REGEX_CHARS_MAX = 1_024;
/** In instructions of a compiled expression: proxies refuse what is larger than they have room for. */
const PROGRAM_MAX = 1_000;
/** Of classes of letters: each stands for hundreds of byte sequences in a proxy. */
const CLASSES_MAX = 32;

/** Verdicts; the empty one is good. Tens of thousands of routes say the same few things. */
const known = new LRUCache<string, string>({ max: 10_000 });

/**
 * Why proxies could not take `text` for a regular expression, as what follows the name of its field; undefined if they
 * can. Theirs are RE2's, which knows neither look-around nor references back, so that each match takes linear time.
 */
export function regexProblem(text: string): string | undefined {
  if (text.length > REGEX_CHARS_MAX)
    return `is a regular expression of ${text.length} characters; at most ${REGEX_CHARS_MAX} are allowed`;
  let problem = known.get(text);
  if (problem === undefined) known.set(text, (problem = examine(text)));
  return problem === "" ? undefined : problem;
}

function examine(text: string): string {
  const shown = JSON.stringify(text.slice(0, 80));
  try {
    const size = RE2JS.compile(text).programSize();
    const classes = text.match(/\\[pP]/g)?.length ?? 0;
    if (size <= PROGRAM_MAX && (classes === 0 || (size <= 10 * CLASSES_MAX && classes <= CLASSES_MAX))) return "";
    return `is ${shown}, which is too complex a regular expression for a proxy; repeat less in it`;
  } catch (thrown) {
    if (!(thrown instanceof RE2JSException)) throw thrown;
    return `is ${shown}, which is no RE2 regular expression: ${messageOf(thrown).slice(0, 200)}`;
  }
}
