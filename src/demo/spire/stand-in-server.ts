import { join } from "node:path";
import type { Host } from "../../host.ts";
import type { SpireAgent } from "../../spire/spire.ts";
import { AgentService } from "./agent-service.ts";
import { BundleService } from "./bundle-service.ts";
import { spiffeIdOf } from "./caller.ts";
import type { Changes } from "./changes.ts";
import { Door, ShownIdentity, type UnaryRpc } from "./door.ts";
import type { Entries } from "./entries.ts";
import { EntryService } from "./entry-service.ts";
import type { Faults } from "./faults.ts";
import { serverId } from "./identity.ts";
import { Minter } from "./minter.ts";
import type { ServerMethod } from "./server-call.ts";
import { type CallCounts, ServerDesk } from "./server-desk.ts";
import { serverContext } from "./server-identity.ts";
import { SvidService } from "./svid-service.ts";
import type { SpireTrust } from "./trust.ts";

export interface StandInServerOptions {
  readonly folder: string;
  readonly trustDomain: string;
  readonly address: string;
  /** 0 for any. */
  readonly port: number;
  readonly caTtlSeconds: number;
  readonly svidTtlSeconds: number;
  readonly agents: readonly SpireAgent[];
  readonly adminIds: readonly string[];
}

/** Where the server of a stand-in with this folder listens. */
export const serverSocketIn = (folder: string): string => join(folder, "server.sock");

/** The server of the stand-in: its API on a socket, for those who can open it, and over TLS by who they are. */
export class StandInServer implements AsyncDisposable {
  readonly socketPath: string;
  readonly entries: Entries;
  readonly trust: SpireTrust;
  readonly minter: Minter;
  readonly #host: Host;
  readonly #options: StandInServerOptions;
  readonly #changes: Changes;
  readonly #desk: ServerDesk;
  readonly #methods: readonly ServerMethod[];
  #agents: readonly SpireAgent[];
  #faults: Faults = {};
  #identity: ShownIdentity | undefined;
  #doors: readonly Door[] = [];
  #tcpPort: number;
  #shown: Promise<void> = Promise.resolve();
  /** By what the TCP port's certificate and roots were made. */
  #shownOf = "";
  #renewal: Disposable | undefined;
  #closed = false;

  constructor(host: Host, options: StandInServerOptions, entries: Entries, trust: SpireTrust, changes: Changes) {
    const { folder, trustDomain, svidTtlSeconds, caTtlSeconds, adminIds } = options;
    this.#host = host;
    this.#options = options;
    this.#changes = changes;
    this.socketPath = serverSocketIn(folder);
    this.entries = entries;
    this.trust = trust;
    this.#agents = options.agents;
    this.#tcpPort = options.port;
    this.minter = new Minter(host, trust, { trustDomain, svidTtlSeconds });
    const faults = (): Faults => this.#faults;
    this.#desk = new ServerDesk(host, () => ({ entries: entries.valid(), agents: this.#agents, adminIds }), faults);
    this.#methods = [
      ...new SvidService(host, trust, this.minter, faults, { trustDomain, caTtlSeconds }).methods(),
      ...new BundleService(host, trust, faults).methods(),
      ...new EntryService(trustDomain, entries, trust, faults).methods(),
      ...new AgentService(() => this.#agents, faults).methods(),
    ];
    changes.observe(() => this.#showIfOther());
  }

  get tcpPort(): number {
    return this.#tcpPort;
  }

  get calls(): CallCounts {
    return this.#desk.counts;
  }

  get listening(): boolean {
    return this.#doors.length > 0;
  }

  get agents(): readonly SpireAgent[] {
    return this.#agents;
  }

  set agents(agents: readonly SpireAgent[]) {
    this.#agents = agents;
    this.#changes.happened();
  }

  get faults(): Faults {
    return this.#faults;
  }

  set faults(faults: Faults) {
    this.#faults = faults;
    this.#changes.happened();
  }

  /** Resolves when what changed shows on the TCP port, and entries are in their file. */
  async settled(): Promise<void> {
    await this.entries.saved();
    await this.#shown;
  }

  async stop(): Promise<void> {
    this.#renewal?.[Symbol.dispose]();
    const doors = this.#doors;
    this.#doors = [];
    this.#identity = undefined;
    for (const door of doors) await door[Symbol.asyncDispose]();
  }

  /** @throws MeshError `unavailable` if it cannot listen. */
  async resume(): Promise<void> {
    if (this.listening) return;
    const identity = new ShownIdentity(await this.#context());
    const tcp = await Door.onPort(this.#options.address, this.#tcpPort, identity, this.#rpcs(false));
    this.#identity = identity;
    this.#tcpPort = tcp.port;
    this.#doors = [tcp, await Door.onSocket(this.socketPath, 0o770, this.#rpcs(true))];
    this.#renewInTime();
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
        this.#desk.answer(method, request, { local, spiffeId: this.#idOf(certificate) }, signal),
    }));
  }

  #idOf(certificate: Uint8Array | undefined): string | undefined {
    const authorities = this.trust.published.map((authority) => authority.certificate);
    return spiffeIdOf(certificate, { trustDomain: this.#options.trustDomain, authorities });
  }

  /** Most changes are of entries, and none of them shows in the handshake. */
  #showIfOther(): void {
    const what = `${this.trust.version} ${this.#faults.serverId ?? ""}`;
    if (what === this.#shownOf) return;
    this.#shownOf = what;
    this.#show();
  }

  #show(): void {
    if (this.#closed) return;
    this.#shown = this.#shown.then(async () => this.#identity?.show(await this.#context()));
  }

  #context() {
    return serverContext(this.minter, this.trust, this.#faults.serverId ?? serverId(this.#options.trustDomain));
  }

  /** The server's own leaf ends with the hour, too. */
  #renewInTime(): void {
    this.#renewal = this.#host.clock.after((this.#options.svidTtlSeconds * 1000) / 2, () => {
      this.#show();
      this.#renewInTime();
    });
  }
}
