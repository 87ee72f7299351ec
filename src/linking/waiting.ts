import type { Clock } from "../host.ts";
import { MeshError } from "../errors.ts";
import type { KubeApi } from "../kube/api.ts";
import { isFields, type Fields } from "../kube/fields.ts";
import { getObject } from "../kube/objects-api.ts";
import { GATEWAYS } from "../kube/resource-types.ts";

const EVERY_MS = 1_000;

/**
 * Asks again each second until there is nothing left to wait for.
 * @param lacking what is, as a sentence; undefined once all is well.
 * @param onLack hears each sentence once, for as long as it stays the same.
 * @throws MeshError `timeout` when `signal` ends the wait.
 */
export async function waitUntil(
  clock: Clock,
  lacking: () => Promise<string | undefined>,
  onLack: (lack: string) => void,
  signal: AbortSignal,
): Promise<void> {
  for (let said: string | undefined; ;) {
    const lack = await lacking();
    if (lack === undefined) return;
    if (lack !== said) onLack(lack);
    said = lack;
    await pause(clock, signal);
    if (signal.aborted) throw new MeshError("timeout", lack);
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
