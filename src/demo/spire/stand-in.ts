import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { MeshError } from "../../errors.ts";
import type { Host } from "../../host.ts";
import type { SpireAgent } from "../../spire/spire.ts";
import { StandInAgent } from "./agent.ts";
import type { AgentServer } from "./agent-cache.ts";
import { k8sAgent } from "./agent-service.ts";
import type { AgentSocket } from "./agent-socket.ts";
import { faultyBundle } from "./bundle-faults.ts";
import { Changes } from "./changes.ts";
import { Entries } from "./entries.ts";
import type { Faults } from "./faults.ts";
import type { CallCounts } from "./server-desk.ts";
import { StandInServer } from "./stand-in-server.ts";
import { SpireTrust } from "./trust.ts";

export interface SpireStandInOptions {
  readonly host: Host;
  /** For its sockets and `entries.json`; it is made if it is not there. The system takes socket paths of 107 bytes. */
  readonly folder: string;
  readonly trustDomain: string;
  /** 127.0.0.1 by default. */
  readonly address?: string;
  /** Of the server's TCP port; any by default. */
  readonly port?: number;
  /** A day by default. */
  readonly caTtlSeconds?: number;
  /** An hour by default. */
  readonly svidTtlSeconds?: number;
  /** Path lengths of authorities above SPIRE's own, root first (guide 002 has [2, 1]); none by default. */
  readonly above?: readonly (number | undefined)[];
  /** Nodes that have proven themselves, which can be changed later; one by default. */
  readonly agents?: readonly SpireAgent[];
  /** Identities that are administrators without an entry that says so. */
  readonly adminIds?: readonly string[];
  /** Identities that may ask an agent for those of other workloads. */
  readonly authorizedDelegates?: readonly string[];
}

const DAY_SECONDS = 86_400;
const HOUR_SECONDS = 3_600;
const YEAR_MS = 365 * DAY_SECONDS * 1000;

/**
 * The demo's stand-in for SPIRE: a server and agents that speak SPIRE's messages over real sockets, so that the demo and
 * tests run where SPIRE is not. It attests nobody: who is who is what `entries.json` and whoever opens its sockets say.
 */
export class SpireStandIn implements AsyncDisposable {
  readonly trustDomain: string;
  /** What attestation would find of processes, by their ids: their selectors, as `unix:uid:0`. */
  readonly processes = new Map<number, readonly string[]>();
  readonly #host: Host;
  readonly #options: SpireStandInOptions;
  readonly #server: StandInServer;
  /** By the identity of each agent that has a socket. */
  readonly #agents = new Map<string, StandInAgent>();
  #synced: Promise<unknown> = Promise.resolve();
  #adminSocket = "";

  private constructor(options: SpireStandInOptions, server: StandInServer) {
    this.#host = options.host;
    this.#options = options;
    this.#server = server;
    this.trustDomain = options.trustDomain;
  }

  /** @throws MeshError `unavailable` if it cannot listen. */
  static async start(options: SpireStandInOptions): Promise<SpireStandIn> {
    const { host, folder, trustDomain, caTtlSeconds = DAY_SECONDS, above = [], ...given } = options;
    await mkdir(folder, { recursive: true });
    const changes = new Changes();
    const entries = new Entries(host, trustDomain, join(folder, "entries.json"), changes);
    const trust = await SpireTrust.create(host, { trustDomain, ttlSeconds: caTtlSeconds, above }, changes);
    const { address = "127.0.0.1", port = 0, svidTtlSeconds = HOUR_SECONDS, adminIds = [] } = given;
    const { agents = [k8sAgent(trustDomain, "demo", "node-1", host.clock.now() + YEAR_MS)] } = given;
    const shape = { folder, trustDomain, address, port, caTtlSeconds, svidTtlSeconds, agents, adminIds };
    const standIn = new SpireStandIn(options, new StandInServer(host, shape, entries, trust, changes));
    await entries.follow();
    changes.observe(() => standIn.#sync());
    await standIn.resume();
    standIn.#adminSocket = (await standIn.#agent().adminSocket(undefined)).path;
    host.log.scope("spire").warn("this is the demo's stand-in for SPIRE: it attests nobody", {
      trustDomain,
      socket: standIn.socketPath,
      port: standIn.tcpPort,
    });
    return standIn;
  }

  /** Of the server; who can open it may do what administrators may. */
  get socketPath(): string {
    return this.#server.socketPath;
  }

  /** Of the server; the same after it was down. */
  get tcpPort(): number {
    return this.#server.tcpPort;
  }

  /** Of the first agent: the DelegatedIdentity API, for a caller that is trusted without proof. */
  get adminSocket(): string {
    return this.#adminSocket;
  }

  get entries(): Entries {
    return this.#server.entries;
  }

  /** Roots, rotation and federation. */
  get trust(): SpireTrust {
    return this.#server.trust;
  }

  /** Nodes that have proven themselves. */
  get agents(): readonly SpireAgent[] {
    return this.#server.agents;
  }

  set agents(agents: readonly SpireAgent[]) {
    this.#server.agents = agents;
  }

  /** What the server has seen since it was started. */
  get calls(): CallCounts {
    return this.#server.calls;
  }

  get faults(): Faults {
    return this.#server.faults;
  }

  /** For calls from now on, and for what agents learn; `{}` mends everything. */
  set faults(faults: Faults) {
    this.#server.faults = faults;
  }

  /**
   * The Workload API for one workload: Node cannot see who opens a socket, so each has its own.
   * @param selectors what attestation would find, as `k8s:ns:shop`.
   * @param agentId on whose node it runs; the first agent's by default.
   */
  agentSocket(selectors: readonly string[], agentId?: string): Promise<AgentSocket> {
    return this.#agent(agentId).workloadSocket(selectors);
  }

  /** The DelegatedIdentity API for a caller with these selectors, whose identity `authorizedDelegates` has to name. */
  adminSocketFor(selectors: readonly string[], agentId?: string): Promise<AgentSocket> {
    return this.#agent(agentId).adminSocket(selectors);
  }

  /** Another authority signs from now on; the bundle keeps the old one until `trust.dropOld`. */
  rotate(): Promise<void> {
    return this.trust.rotate();
  }

  /** Resolves when what changed shows on the TCP port, entries are in their file, and agents have said what is new. */
  async settled(): Promise<void> {
    await this.#server.settled();
    await this.#synced;
  }

  /** Has the server listen nowhere, as one that is down. Calls under way break; agents go on with what they have. */
  stop(): Promise<void> {
    return this.#server.stop();
  }

  /** Has it listen again where it did before. @throws MeshError `unavailable` */
  async resume(): Promise<void> {
    await this.#server.resume();
    this.#sync();
  }

  close(): Promise<void> {
    return this[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const agent of this.#agents.values()) await agent[Symbol.asyncDispose]();
    await this.#server[Symbol.asyncDispose]();
  }

  #sync(): void {
    this.#synced = Promise.all([...this.#agents.values()].map((agent) => agent.sync()));
  }

  #agent(id = this.agents[0]?.id): StandInAgent {
    if (id === undefined) throw new MeshError("absent", "the stand-in has no agents; give it some, or the id of one");
    const running = this.#agents.get(id);
    if (running !== undefined) return running;
    const { folder, authorizedDelegates = [] } = this.#options;
    const options = { folder, authorizedDelegates, processes: this.processes };
    const agent = new StandInAgent(this.#host, `agent-${this.#agents.size}`, this.#serverFor(id), options);
    this.#agents.set(id, agent);
    return agent;
  }

  #serverFor(agentId: string): AgentServer {
    const server = this.#server;
    return {
      trustDomain: this.trustDomain,
      minter: server.minter,
      listening: () => server.listening,
      agent: () => server.agents.find(({ id }) => id === agentId),
      entries: () => server.entries.valid(),
      faults: () => server.faults,
      generation: () => server.trust.generation,
      bundles: async () => {
        const own = await faultyBundle(this.#host, server.faults, server.trust.own);
        return new Map([own, ...server.trust.federated.values()].map(({ trustDomain, roots }) => [trustDomain, roots]));
      },
    };
  }
}
