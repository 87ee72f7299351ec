import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import { Claims } from "./claims.ts";
import type { Collection, Lookup } from "./collection.ts";
import { CollectionNode, type Graph, rankAbove } from "./graph.ts";
import { purely } from "./purely.ts";
import { Askers, type Questions } from "./questions.ts";

type Lookups = Record<string, Lookup<string, unknown>>;
type Tracked<W extends Lookups> = {
  readonly [N in keyof W]: W[N] extends Lookup<infer Q, infer R> ? { get(query: Q): R } : never;
};

export interface Derivation<K extends string, V, W extends Lookups, K2 extends string, V2> {
  readonly name: string;
  readonly from: Collection<K, V>;
  /** What `to` may look up. A lookup it makes is remembered, and reruns it when the answer changes. */
  readonly reads: W;
  /**
   * Pure: the same value and answers give the same outputs. It must not throw; if it does, the flush ends with an
   * AssertionError. If several inputs write one output key, the smallest input key wins while it is there.
   */
  readonly to: (value: V, reads: Tracked<W>, key: K) => Iterable<readonly [K2, V2]>;
  readonly equals?: (a: V2, b: V2) => boolean;
  /** True if no two inputs ever write one output: who owns which then needs no memory. */
  readonly distinct?: boolean;
}

/** A collection computed from another, one key at a time. */
export function derive<K extends string, V, W extends Lookups, K2 extends string, V2>(
  graph: Graph,
  derivation: Derivation<K, V, W, K2, V2>,
): Collection<K2, V2> {
  const node = new Derived(derivation);
  graph.add(node);
  return node;
}

/**
 * What one input's last run wrote, and then what it asked: one array, for there are as many as there are pods. One
 * output, the usual number, costs no array of its own.
 */
type Run<K2> = readonly [outputs: K2 | readonly K2[], ...questions: Questions];
const NOTHING_WRITTEN: readonly never[] = [];

/** A slice has room for what it holds, and no more; an array that grew has room for 16 more. */
function runOf<K2>(outputs: K2 | readonly K2[], asked: Questions): Run<K2> {
  const run: [K2 | readonly K2[], ...(number | string)[]] = [outputs, ...asked];
  return run.slice() as unknown as Run<K2>;
}

class Derived<K extends string, V, W extends Lookups, K2 extends string, V2> extends CollectionNode<K2, V2> {
  readonly #derivation: Derivation<K, V, W, K2, V2>;
  readonly #askers: readonly Askers<K>[];
  readonly #reads: Tracked<W>;
  readonly #runs = new Map<K, Run<K2>>();
  /** Undefined if nothing is ever contested. */
  readonly #claims: Claims<K, K2, V2> | undefined;
  /** What the run now under way has asked. */
  #asking: (number | string)[] | undefined;

  constructor(derivation: Derivation<K, V, W, K2, V2>) {
    const lookups = Object.entries(derivation.reads);
    const inputs = [derivation.from, ...lookups.map(([, lookup]) => lookup)];
    super(derivation.name, rankAbove(inputs), derivation.equals ?? isDeepStrictEqual);
    this.#derivation = derivation;
    this.#claims = derivation.distinct === true ? undefined : new Claims();
    this.#askers = lookups.map(([, lookup]) => new Askers(lookup));
    // The types of the lookups are in W; no loop over them can say so.
    this.#reads = Object.fromEntries(
      lookups.map(([label, lookup], number) => [label, { get: (query: string) => this.#ask(lookup, number, query) }]),
    ) as unknown as Tracked<W>;
  }

  override settle(): void {
    const stale = new Set<K>();
    for (const { key } of this.#derivation.from.batch) stale.add(key);
    for (const askers of this.#askers) askers.collectStale(stale);
    for (const key of stale) this.#rerun(key);
  }

  #ask(lookup: Lookup<string, unknown>, number: number, query: string): unknown {
    assert(
      this.#asking !== undefined,
      `${this.name}: a lookup of ${lookup.name} outside of the derivation that made it`,
    );
    this.#asking.push(number, query);
    return lookup.get(query);
  }

  #rerun(key: K): void {
    const { from, to } = this.#derivation;
    const before = this.#runs.get(key);
    const value = from.get(key);
    this.#asking = [];
    const outputs = value === undefined ? [] : purely(this.name, key, () => [...to(value, this.#reads, key)]);
    const asked = this.#asking;
    this.#asking = undefined;
    const keys = outputs.length === 1 ? outputs[0]![0] : outputs.map(([output]) => output);
    const written = before === undefined ? NOTHING_WRITTEN : before[0];
    for (const output of missingFrom(keys, written)) this.#retract(output, key);
    for (const [output, result] of outputs)
      if (this.#claims?.claim(output, key, result, this.values.get(output)) ?? true) this.write(output, result);
    const askedAnew = !sameQuestions(before, asked);
    if (askedAnew) this.#askOthers(key, before, asked);
    if (value === undefined) this.#runs.delete(key);
    else if (before === undefined || askedAnew || !sameOutputs(written, keys)) this.#runs.set(key, runOf(keys, asked));
  }

  #retract(output: K2, key: K): void {
    this.write(output, this.#claims?.release(output, key, this.values.get(output)));
  }

  #askOthers(key: K, before: Run<K2> | undefined, asked: Questions): void {
    for (let at = 1; at < (before?.length ?? 0); at += 2)
      this.#askers[before![at] as number]!.remove(before![at + 1] as string, key);
    for (let at = 0; at < asked.length; at += 2) this.#askers[asked[at] as number]!.add(asked[at + 1] as string, key);
  }
}

/** If nothing else is asked than in the run before, nothing moves in the askers. */
function sameQuestions(before: Run<string> | undefined, asked: Questions): boolean {
  if (before === undefined || before.length !== asked.length + 1) return before === undefined && asked.length === 0;
  for (let at = 0; at < asked.length; at++) if (before[at + 1] !== asked[at]) return false;
  return true;
}

/** Those of `before` that are not in `after`. */
function missingFrom<K2 extends string>(after: K2 | readonly K2[], before: K2 | readonly K2[]): readonly K2[] {
  if (sameOutputs(before, after)) return [];
  const kept = new Set(listed(after));
  return listed(before).filter((output) => !kept.has(output));
}

function listed<K2 extends string>(outputs: K2 | readonly K2[]): readonly K2[] {
  return typeof outputs === "string" ? [outputs] : outputs;
}

function sameOutputs<K2 extends string>(a: K2 | readonly K2[], b: K2 | readonly K2[]): boolean {
  if (typeof a === "string" || typeof b === "string") return a === b;
  return a.length === b.length && a.every((key, at) => key === b[at]);
}
