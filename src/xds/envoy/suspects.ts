import { printable } from "../../printable.ts";

/** More are no slip of one resource: the rest of what was rejected with them is then not tried any more. */
const BAD_MAX = 32;

/**
 * Which resources Envoy does not take. One that it cannot read has it reject the whole response, the good ones with it;
 * so those are sent again in halves, until each bad one was sent alone. Those are not sent again before they change.
 */
export class Suspects {
  /** In the response that waits for its answer. */
  #sent: string[] = [];
  /** What was rejected together, to be tried next at the end. */
  #groups: (readonly string[])[] = [];
  readonly #bad = new Map<string, string>();

  /** By name, why each is not taken; an empty name for a response of none. */
  get bad(): ReadonlyMap<string, string> {
    return this.#bad;
  }

  sending(name: string): void {
    this.#sent.push(name);
  }

  /** The response was answered; with why not, if it was rejected. */
  answered(rejection: string | undefined): void {
    const names = this.#sent;
    this.#sent = [];
    if (rejection === undefined) for (const name of ["", ...names]) this.#bad.delete(name);
    else if (names.length < 2) this.#bad.set(names[0] ?? "", printable(rejection, 512));
    else this.#split(names);
    if (this.#bad.size >= BAD_MAX) this.#groups = [];
  }

  /** What to send next, alone; none is given twice. */
  next(): readonly string[] | undefined {
    return this.#groups.pop();
  }

  /** Forgets those that are gone. */
  keep(isThere: (name: string) => boolean): void {
    for (const name of this.#bad.keys()) if (name !== "" && !isThere(name)) this.#bad.delete(name);
  }

  #split(names: readonly string[]): void {
    const middle = Math.ceil(names.length / 2);
    this.#groups.push(names.slice(middle), names.slice(0, middle));
  }
}
