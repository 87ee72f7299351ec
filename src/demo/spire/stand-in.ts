import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Host } from "../../host.ts";
import type { SpireAgent } from "../../spire/spire.ts";
import { AgentService } from "./agent-service.ts";
import { BundleService } from "./bundle-service.ts";
import { spiffeIdOf } from "./caller.ts";
import { Changes } from "./changes.ts";
import { Door, ShownIdentity, type UnaryRpc } from "./door.ts";
import { Entries } from "./entries.ts";
import { EntryService } from "./entry-service.ts";
import type { Faults } from "./faults.ts";
import { serverId } from "./identity.ts";
import { Minter } from "./minter.ts";
import type { ServerMethod } from "./server-call.ts";
import { type CallCounts, ServerDesk } from "./server-desk.ts";
import { serverContext } from "./server-identity.ts";
import { SvidService } from "./svid-service.ts";
import { SpireTrust } from "./trust.ts";

export interface SpireStandInOptions {
  readonly host: Host;
  /** For its sockets and `entries.json`; it is made if it is not there. Sockets allow for paths of 107 bytes. */
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
  /** Nodes that have proven themselves; `agents` can be changed later. */
  readonly agents?: readonly SpireAgent[];
  /** Identities that are administrators without an entry that says so. */
  readonly adminIds?: readonly string[];
}

const DAY_SECONDS = 86_400;
const HOUR_SECONDS = 3_600;

/**
 * The demo's stand-in for SPIRE: a server and an agent that speak SPIRE's messages over real sockets, so that the demo and
 * tests run where SPIRE is not. It attests nobody: who may be what is what `entries.json` and its caller say.
 */
export class SpireStandIn implements AsyncDisposable {
  readonly trustDomain: string;
  /** Of the server; who can open it may do what administrators may. */
  readonly socketPath: string;
  readonly entries: Entries;
  /** Roots, rotation and federation. */
  readonly trust: SpireTrust;
  readonly #options: SpireStandInOptions;
  readonly #minter: Minter;
  readonly #desk: ServerDesk;
  readonly #methods: readonly ServerMethod[];
  readonly #changes: Changes;
  #agents: readonly SpireAgent[];
  #faults: Faults = {};
  #identity: ShownIdentity | undefined;
  #doors: readonly Door[] = [];
  #tcpPort: number;
  #shown: Promise<void> = Promise.resolve();
  #renewal: Disposable | undefined;
  #closed = false;

  private constructor(options: SpireStandInOptions, entries: Entries, trust: SpireTrust, changes: Changes) {
    const { host, folder, trustDomain, svidTtlSeconds = HOUR_SECONDS, caTtlSeconds = DAY_SECONDS } = options;
    this.#options = options;
    this.trustDomain = trustDomain;
    this.socketPath = join(folder, "server.sock");
    this.entries = entries;
    this.trust = trust;
    this.#changes = changes;
    changes.observe(() => this.#changed());
    this.#agents = options.agents ?? [];
    this.#tcpPort = options.port ?? 0;
    this.#minter = new Minter(host, trust, { trustDomain, svidTtlSeconds });
    const faults = (): Faults => this.#faults;
    const registered = () => ({ entries: entries.valid(), agents: this.agents, adminIds: options.adminIds ?? [] });
    this.#desk = new ServerDesk(host, registered, faults);
    this.#methods = [
      ...new SvidService(host, trust, this.#minter, faults, { trustDomain, caTtlSeconds }).methods(),
      ...new BundleService(host, trust, faults).methods(),
      ...new EntryService(trustDomain, entries, trust, faults).methods(),
      ...new AgentService(() => this.agents, faults).methods(),
    ];
  }

  /** @throws MeshError `unavailable` if it cannot listen. */
  static async start(options: SpireStandInOptions): Promise<SpireStandIn> {
    const { host, folder, trustDomain, caTtlSeconds = DAY_SECONDS, above = [] } = options;
    await mkdir(folder, { recursive: true });
    const changes = new Changes();
    const entries = new Entries(host, trustDomain, join(folder, "entries.json"), changes);
    const trust = await SpireTrust.create(host, { trustDomain, ttlSeconds: caTtlSeconds, above }, changes);
    const standIn = new SpireStandIn(options, entries, trust, changes);
    await entries.follow();
    await standIn.resume();
    host.log.scope("spire").warn("this is the demo's stand-in for SPIRE: it attests nobody", {
      trustDomain,
      socket: standIn.socketPath,
      port: standIn.tcpPort,
    });
    return standIn;
  }

  /** Of the server; the same after it was down. */
  get tcpPort(): number {
    return this.#tcpPort;
  }

  /** Nodes that have proven themselves. */
  get agents(): readonly SpireAgent[] {
    return this.#agents;
  }

  set agents(agents: readonly SpireAgent[]) {
    this.#agents = agents;
    this.#changes.happened();
  }

  /** What the server has seen since it was started. */
  get calls(): CallCounts {
    return this.#desk.counts;
  }

  get faults(): Faults {
    return this.#faults;
  }

  /** For calls from now on; `{}` mends everything. */
  set faults(faults: Faults) {
    this.#faults = faults;
    this.#changes.happened();
  }

  /** Another authority signs from now on; the bundle keeps the old one until `trust.dropOld`. */
  rotate(): Promise<void> {
    return this.trust.rotate();
  }

  /** Resolves when what changed shows on the TCP port, and entries are in their file. */
  async settled(): Promise<void> {
    await this.entries.saved();
    await this.#shown;
  }

  /** Has the server listen nowhere, as one that is down. Calls under way break. */
  async stop(): Promise<void> {
    this.#renewal?.[Symbol.dispose]();
    const doors = this.#doors;
    this.#doors = [];
    this.#identity = undefined;
    for (const door of doors) await door[Symbol.asyncDispose]();
  }

  /** Has it listen again where it did before. */
  async resume(): Promise<void> {
    if (this.#doors.length > 0) return;
    const { address = "127.0.0.1" } = this.#options;
    const identity = new ShownIdentity(await this.#context());
    const tcp = await Door.onPort(address, this.#tcpPort, identity, this.#rpcs(false));
    this.#identity = identity;
    this.#tcpPort = tcp.port;
    this.#doors = [tcp, await Door.onSocket(this.socketPath, 0o770, this.#rpcs(true))];
    this.#renewInTime();
  }

  close(): Promise<void> {
    return this[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.trust.close();
    await this.settled();
    await this.stop();
    await this.entries[Symbol.asyncDispose]();
  }

  #rpcs(local: boolean): readonly UnaryRpc[] {
    return this.#methods.map((method) => ({
      kind: "unary",
      path: method.path,
      call: (request, { certificate, signal }) =>
        this.#desk.answer(method, request, { local, spiffeId: spiffeIdOf(certificate) }, signal),
    }));
  }

  #changed(): void {
    if (this.#closed) return;
    this.#shown = this.#shown.then(async () => this.#identity?.show(await this.#context()));
  }

  #context() {
    return serverContext(this.#minter, this.trust, this.#faults.serverId ?? serverId(this.trustDomain));
  }

  /** The server's own leaf ends with the hour, too. */
  #renewInTime(): void {
    const { host, svidTtlSeconds = HOUR_SECONDS } = this.#options;
    this.#renewal = host.clock.after((svidTtlSeconds * 1000) / 2, () => {
      this.#changed();
      this.#renewInTime();
    });
  }
}
