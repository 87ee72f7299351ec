import type { Logger } from "../host.ts";
import type { Problem } from "./model/problem.ts";

/** Says each problem once when it comes, and once when it goes. */
export class ProblemLog {
  readonly #log: Logger;
  readonly #known = new Map<string, Problem>();

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Takes all that there are now. */
  note(problems: readonly Problem[]): void {
    const now = new Map(problems.map((problem) => [keyOf(problem), problem]));
    // What is over first, so that the last word on an object is what holds.
    for (const [key, { object, field }] of this.#known) {
      if (now.has(key)) continue;
      this.#known.delete(key);
      this.#log.info("no longer a problem", { object, field: field || undefined });
    }
    for (const [key, problem] of now) {
      if (this.#known.has(key)) continue;
      this.#known.set(key, problem);
      const { object, field, origin, message, severity } = problem;
      this.#log[severity === "info" ? "info" : "warn"](message, {
        object,
        field: field || undefined,
        origin: origin || undefined,
      });
    }
  }
}

/** Not by where it is: a file that is renamed makes no new problem. */
const keyOf = ({ object, field, message }: Problem): string => JSON.stringify([object, field, message]);
