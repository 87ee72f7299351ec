import type { CommandCall } from "../command.ts";
import { MeshError } from "../errors.ts";
import type { ClusterAccess, PodPort } from "../inspect/cluster-access.ts";
import { systemClock } from "../system-host.ts";
import { timeLimit } from "../time-limit.ts";
import { adminUrl, fetchText, goesThroughClusters } from "./admin-client.ts";
import { controlPlanePods, nameOf, requireOneContext } from "./admin-pods.ts";
import { openContexts } from "./contexts.ts";

/** One control plane, of which something is asked again and again. */
export interface PlanePages {
  /** As `context east`, or a URL. */
  readonly where: string;
  /** What it answers to `path`. @throws MeshError; of what it answered itself the detail has `status` and `said`. */
  text(path: string): Promise<string>;
  close(): Promise<void>;
}

/** One that is silent is said to be, however long it is asked. A page of a pod has a limit of its own. */
const PAGE_MS = 30_000;

/** @throws UsageError, or MeshError if it is known without a question that nothing can be asked. */
export async function openPlanePages(call: CommandCall): Promise<PlanePages> {
  if (!goesThroughClusters(call)) {
    // One that was started again may have other ports, and says so in its state folder.
    const text = async (path: string): Promise<string> => {
      using limit = timeLimit(systemClock, PAGE_MS, call.signal);
      return await fetchText(await adminUrl(call), path, limit.signal).catch((thrown: unknown) => {
        if (!limit.signal.aborted || call.signal.aborted) throw thrown;
        throw new MeshError("timeout", `the control plane did not answer ${path} in ${PAGE_MS / 1_000} s`);
      });
    };
    return { where: await adminUrl(call), text, close: () => Promise.resolve() };
  }
  requireOneContext(call);
  const [access] = await openContexts(call);
  return new ReplicaPages(access!, call.signal);
}

/**
 * By port-forward. The same replica is asked for as long as it answers, as each has links of its own; then the next, also one
 * that was started since.
 */
class ReplicaPages implements PlanePages {
  readonly #access: ClusterAccess;
  readonly #signal: AbortSignal;
  #pod: PodPort | undefined;

  constructor(access: ClusterAccess, signal: AbortSignal) {
    this.#access = access;
    this.#signal = signal;
  }

  get where(): string {
    return nameOf(this.#access);
  }

  async text(path: string): Promise<string> {
    const known = this.#pod;
    const text = known && (await this.#ask(known, path).catch((thrown: unknown) => this.#passOver(thrown)));
    return typeof text === "string" ? text : this.#search(path);
  }

  close(): Promise<void> {
    return this.#access.close();
  }

  async #search(path: string): Promise<string> {
    let last: Error | undefined;
    for (const pod of await controlPlanePods({ signal: this.#signal, progress: () => {} }, this.#access)) {
      const text = await this.#ask(pod, path).catch((thrown: unknown) => this.#passOver(thrown));
      if (typeof text === "string") return text;
      last = text;
    }
    throw last ?? new MeshError("unavailable", `${this.where} has no control plane that answers`);
  }

  async #ask(pod: PodPort, path: string): Promise<string> {
    const text = await this.#access.page(pod, path, this.#signal);
    this.#pod = pod;
    return text;
  }

  /** Why a replica was not heard. @throws it if another one would say the same. */
  #passOver(thrown: unknown): Error {
    if (this.#signal.aborted || refusalIn(thrown) !== undefined) throw thrown;
    this.#pod = undefined;
    return MeshError.from(thrown, "unavailable");
  }
}

/** What a control plane answered to a question that it does not take; undefined if that was not it. */
export function refusalIn(thrown: unknown): { readonly status: number; readonly said: string } | undefined {
  if (!(thrown instanceof MeshError)) return undefined;
  const { status, said } = thrown.detail;
  return typeof status === "number" && status >= 400 && status < 500 ? { status, said: String(said) } : undefined;
}
