import { byAge, titleOf } from "../objects/trust-object-id.ts";
import type { Known, TrustObjects } from "../objects/trust-objects.ts";
import { TRUST_KINDS, type Judgement, type TrustObjectId, type TrustState } from "../policy.ts";

/** From the best to the worst. */
const STATES: readonly TrustState[] = ["ACCEPTED", "WARNING", "PENDING", "FAILED", "INVALID"];

interface Verdict {
  readonly id: TrustObjectId;
  readonly messages: { readonly state: TrustState; readonly message: string }[];
}

/** What is said of each object, from the time that it was read. */
export class Judgements {
  readonly #verdicts = new Map<string, Verdict>();

  constructor(objects: TrustObjects) {
    for (const kind of TRUST_KINDS)
      for (const { id, error } of inOrder<unknown>(objects[kind])) {
        this.#verdicts.set(titleOf(id), { id, messages: [] });
        if (error !== undefined) this.say(id, "INVALID", error);
      }
  }

  say(id: TrustObjectId, state: TrustState, message: string): void {
    this.#verdicts.get(titleOf(id))?.messages.push({ state, message });
  }

  /** One for each object, by kind and age; what is worst is said first. */
  list(): readonly Judgement[] {
    return Array.from(this.#verdicts.values(), ({ id, messages }) => {
      const sorted = messages.toSorted((a, b) => STATES.indexOf(b.state) - STATES.indexOf(a.state));
      return { id, state: sorted[0]?.state ?? "ACCEPTED", messages: sorted.map(({ message }) => message) };
    });
  }
}

/** The oldest first. */
export const inOrder = <Value>(known: ReadonlyMap<string, Known<Value>>): readonly Known<Value>[] =>
  [...known.values()].sort((a, b) => byAge(a.id, b.id));

/** Why of two objects this one counts, after its title. */
export const whyFirst = (first: TrustObjectId, other: TrustObjectId): string =>
  first.createdMs === other.createdMs ? "whose name comes first" : "which is older";
