import { join } from "node:path";
import type { Host } from "../../host.ts";
import { AgentCache, type AgentServer } from "./agent-cache.ts";
import { AgentSocket } from "./agent-socket.ts";
import { delegatedIdentity } from "./delegated-identity.ts";
import type { StreamRpc } from "./door.ts";
import { workloadApi } from "./workload-api.ts";

export interface StandInAgentOptions {
  readonly folder: string;
  /** SPIFFE IDs of those who may ask for other workloads' identities. */
  readonly authorizedDelegates: readonly string[];
  /** What attestation would find of processes, by their ids; it may change. */
  readonly processes: ReadonlyMap<number, readonly string[]>;
}

/**
 * The agent of one node. Node cannot see which process is at the other end of a socket: so each workload has a socket of
 * its own, and what attestation would find is what its opener says.
 */
export class StandInAgent implements AsyncDisposable {
  readonly #server: AgentServer;
  readonly #options: StandInAgentOptions;
  readonly #cache: AgentCache;
  readonly #sockets = new Set<AgentSocket>();
  readonly #name: string;

  /** @param name in the names of its sockets, as `node-1`. */
  constructor(host: Host, name: string, server: AgentServer, options: StandInAgentOptions) {
    this.#name = name;
    this.#server = server;
    this.#options = options;
    this.#cache = new AgentCache(host, server);
  }

  /** Learns from the server what is new, and tells those whom it concerns. */
  sync(): Promise<void> {
    return this.#cache.sync();
  }

  /** The Workload API for one workload. */
  workloadSocket(selectors: readonly string[]): Promise<AgentSocket> {
    return this.#open("workload", 0o777, workloadApi(this.#cache, this.#server.trustDomain, selectors));
  }

  /** The DelegatedIdentity API for one caller. @param caller its selectors; undefined for one that is trusted without. */
  adminSocket(caller: readonly string[] | undefined): Promise<AgentSocket> {
    const { authorizedDelegates: authorized, processes } = this.#options;
    return this.#open("admin", 0o770, delegatedIdentity(this.#cache, { caller, authorized, processes }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) await socket.stop();
    await this.#cache[Symbol.asyncDispose]();
  }

  async #open(kind: string, mode: number, rpcs: readonly StreamRpc[]): Promise<AgentSocket> {
    await this.sync();
    const path = join(this.#options.folder, `${this.#name}-${kind}-${this.#sockets.size}.sock`);
    const socket = await AgentSocket.open(path, mode, rpcs);
    this.#sockets.add(socket);
    return socket;
  }
}
