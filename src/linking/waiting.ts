import type { Clock } from "../host.ts";
import { MeshError, messageOf } from "../errors.ts";
import { inTurns } from "../inspect/in-turns.ts";
import type { KubeApi } from "../kube/api.ts";
import { isFields, type Fields } from "../kube/fields.ts";
import { getObject } from "../kube/objects-api.ts";
import { GATEWAYS } from "../kube/resource-types.ts";
import { timeLimit } from "../time-limit.ts";

/** Between looks, in milliseconds. */
const EVERY_MS = 1_000;
/** How long one look may take, in milliseconds: an API server that is silent is something to wait for, too. */
const LOOK_MS = 5_000;
/** Nobody wonders for longer whether anything is going on. */
const SAY_EVERY_MS = 10_000;

/**
 * Looks again each second until there is nothing left to wait for.
 * @param lacking what is, as a sentence without a full stop; undefined once all is well. An API server that does not
 * answer, or asks to come again, is no failure here.
 * @param say hears each sentence as it changes, and every ten seconds while it does not.
 * @throws MeshError `timeout` when `signal` ends the wait, with what was lacking.
 */
export async function waitUntil(
  clock: Clock,
  lacking: (signal: AbortSignal) => Promise<string | undefined>,
  say: (text: string) => void,
  signal: AbortSignal,
  lookMs = LOOK_MS,
): Promise<void> {
  const teller = new Teller(clock, say);
  try {
    for (;;) {
      const lack = await look(clock, lacking, lookMs, signal);
      if (lack === undefined) return;
      teller.heard(lack);
      await pause(clock, signal);
      if (signal.aborted) throw timeout(lack);
    }
  } catch (thrown) {
    throw signal.aborted && teller.lack !== undefined ? timeout(teller.lack) : thrown;
  } finally {
    teller[Symbol.dispose]();
  }
}

const timeout = (lack: string): MeshError => new MeshError("timeout", lack, { waitedFor: lack });

async function look(
  clock: Clock,
  lacking: (signal: AbortSignal) => Promise<string | undefined>,
  lookMs: number,
  signal: AbortSignal,
): Promise<string | undefined> {
  using limit = timeLimit(clock, lookMs, signal);
  try {
    return await lacking(limit.signal);
  } catch (thrown) {
    if (signal.aborted || !(limit.signal.aborted || isPassing(thrown))) throw thrown;
    return `no answer to go by: ${messageOf(thrown).replace(/\.$/, "")}`;
  }
}

/** No answer, or one that asks to come again. */
const isPassing = (thrown: unknown): boolean =>
  thrown instanceof MeshError && (thrown.code === "unavailable" || thrown.code === "exhausted");

/** Says a sentence at once, and again while it still holds. */
class Teller implements Disposable {
  readonly #clock: Clock;
  readonly #say: (text: string) => void;
  readonly #since: number;
  #next: Disposable | undefined;
  lack: string | undefined;

  constructor(clock: Clock, say: (text: string) => void) {
    this.#clock = clock;
    this.#say = say;
    this.#since = clock.elapsedMs();
  }

  heard(lack: string): void {
    if (lack === this.lack) return;
    this.lack = lack;
    this.#say(`waiting: ${lack}\n`);
    this.#again();
  }

  #again(): void {
    this.#next?.[Symbol.dispose]();
    this.#next = this.#clock.after(SAY_EVERY_MS, () => {
      const seconds = Math.round((this.#clock.elapsedMs() - this.#since) / 1_000);
      this.#say(`still waiting after ${seconds} s: ${this.lack}\n`);
      this.#again();
    });
  }

  [Symbol.dispose](): void {
    this.#next?.[Symbol.dispose]();
  }
}

function pause(clock: Clock, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      timer[Symbol.dispose]();
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = clock.after(EVERY_MS, done);
    signal.addEventListener("abort", done);
    if (signal.aborted) done();
  });
}

export interface Awaited {
  readonly api: KubeApi;
  readonly where: string;
  readonly namespace: string;
  readonly name: string;
  /** Ends of condition types, as `PeerConnected`: whose they are is configured. */
  readonly conditions: readonly string[];
  /** Whether its status must have an address, too. */
  readonly address: boolean;
}

const AT_ONCE = 6;

/** Waits for all of them at once; each that is as it is to be is told as soon as it is. @throws MeshError as `waitUntil`. */
export async function waitForAll(
  clock: Clock,
  all: readonly Awaited[],
  onDone: (done: Awaited) => void,
  say: (text: string) => void,
  signal: AbortSignal,
): Promise<void> {
  let open = all;
  const lacking = async (limit: AbortSignal): Promise<string | undefined> => {
    const lacks = await inTurns(open, AT_ONCE, (awaited) => lackOf(awaited, limit));
    for (const [at, awaited] of open.entries()) if (lacks[at] === undefined) onDone(awaited);
    open = open.filter((_, at) => lacks[at] !== undefined);
    const left = lacks.filter((lack) => lack !== undefined);
    return left.length === 0 ? undefined : joined(left, all.length);
  };
  await waitUntil(clock, lacking, say, signal);
}

/** The first is what to look at; of a hundred nobody reads the rest. */
const NAMED_MAX = 4;

function joined(lacks: readonly string[], of: number): string {
  const more = lacks.length > NAMED_MAX ? `; and ${lacks.length - NAMED_MAX} more` : "";
  const text = lacks.slice(0, NAMED_MAX).join("; ") + more;
  return of === 1 ? text : `${lacks.length} of ${of} Gateways: ${text}`;
}

/** What a Gateway still lacks, and what its control plane says of that. @throws ApiError */
export async function lackOf(awaited: Awaited, signal: AbortSignal): Promise<string | undefined> {
  const { api, where, namespace, name, conditions, address } = awaited;
  const at = { type: GATEWAYS, version: "v1", namespace, name };
  const found = await getObject(api, at, signal);
  const object = `Gateway ${namespace}/${name} of ${where}`;
  if (found === undefined) return `${object} is not there any more`;
  const status = isFields(found["status"]) ? found["status"] : {};
  const known = itemsOf(status["conditions"]);
  for (const wanted of conditions) {
    const condition = known.find(({ type }) => String(type) === wanted || String(type).endsWith(`/${wanted}`));
    if (condition === undefined) return `${object} has no condition ${wanted} yet: no control plane has taken it up`;
    if (condition["status"] !== "True") return `${object} is not ${wanted} yet: ${saidIn(condition)}`;
    // What was said of an earlier spec says nothing of this one.
    if (Number(condition["observedGeneration"] ?? 0) < Number(found.metadata["generation"] ?? 0))
      return `${object} was changed, and its control plane has yet to see that`;
  }
  if (address && itemsOf(status["addresses"]).length === 0) return `${object} has no address yet`;
  return undefined;
}

const saidIn = ({ reason, message }: Fields): string => [reason, message].filter((text) => text !== "").join(": ");
const itemsOf = (value: unknown): readonly Fields[] => (Array.isArray(value) ? value.filter(isFields) : []);
