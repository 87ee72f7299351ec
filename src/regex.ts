import { LRUCache } from "lru-cache";
import { RE2JS, RE2JSException } from "re2js";
import { messageOf } from "./errors.ts";

/** Longer ones are refused: each costs the proxies memory, and time for each request. */
export const REGEX_CHARS_MAX = 1_024;
/** In instructions; each is up to ten of a proxy's, which takes 32,768 (src/gateway/bootstrap.ts). */
const PROGRAM_MAX = 1_000;
/** What proxies do not know, though RE2 does: they read bytes, not letters. */
const UNKNOWN = /\\x\{0*[1-9a-f][0-9a-f]{2,}\}|\\[pP]\{\^?(?:LC|Cn)\}|\p{Surrogate}/iu;

/** Verdicts; the empty one is good. Tens of thousands of routes say the same few things. */
const known = new LRUCache<string, string>({ max: 10_000 });

/**
 * Why proxies could not take `text` for a regular expression, as what follows the name of its field; undefined if they
 * can. Theirs are RE2's, which knows neither look-around nor references back, so that each match takes linear time.
 */
export function regexProblem(text: string): string | undefined {
  if (text === "") return "is empty; give a regular expression";
  if (text.length > REGEX_CHARS_MAX)
    return `is a regular expression of ${text.length} characters; at most ${REGEX_CHARS_MAX} are allowed`;
  let problem = known.get(text);
  if (problem === undefined) known.set(text, (problem = examine(text)));
  return problem === "" ? undefined : problem;
}

function examine(text: string): string {
  const shown = JSON.stringify(text.slice(0, 80));
  const [unknown] = UNKNOWN.exec(text) ?? [];
  if (unknown !== undefined) return `is ${shown}, of which proxies do not know ${JSON.stringify(unknown)}`;
  try {
    if (RE2JS.compile(text).programSize() <= PROGRAM_MAX) return "";
    return `is ${shown}, which is too complex a regular expression for a proxy; repeat less in it`;
  } catch (thrown) {
    if (!(thrown instanceof RE2JSException)) throw thrown;
    return `is ${shown}, which is no RE2 regular expression: ${messageOf(thrown).slice(0, 200)}`;
  }
}
