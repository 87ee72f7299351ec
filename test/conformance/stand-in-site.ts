import { k8sAgent } from "../../src/demo/spire/agent-service.ts";
import type { AgentSocket } from "../../src/demo/spire/agent-socket.ts";
import { SpireStandIn } from "../../src/demo/spire/stand-in.ts";
import { toPem } from "../../src/pem.ts";
import { realHost } from "../kits/real-host.ts";
import { manyEntries, type SiteEntry, type SpireSite } from "./spire-site.ts";

const DAY_MS = 86_400_000;

export interface StandInSiteOptions {
  readonly folder: string;
  readonly trustDomain: string;
  readonly cluster: string;
  readonly node: string;
}

/** The demo's stand-in for SPIRE, with an agent on one node. */
export class StandInSite implements SpireSite {
  readonly name = "the stand-in";
  readonly standIn: SpireStandIn;
  readonly agentId: string;
  readonly #socket: AgentSocket;

  private constructor(standIn: SpireStandIn, socket: AgentSocket) {
    this.standIn = standIn;
    this.agentId = standIn.agents[0]!.id;
    this.#socket = socket;
  }

  static async start({ folder, trustDomain, cluster, node }: StandInSiteOptions): Promise<StandInSite> {
    const host = realHost();
    const agents = [k8sAgent(trustDomain, cluster, node, host.clock.now() + DAY_MS)];
    const standIn = await SpireStandIn.start({ host, folder, trustDomain, agents });
    // What a real agent finds of a process of ours.
    return new StandInSite(standIn, await standIn.agentSocket([`unix:uid:${process.getuid!()}`]));
  }

  get trustDomain(): string {
    return this.standIn.trustDomain;
  }
  get server(): string {
    return `127.0.0.1:${this.standIn.tcpPort}`;
  }
  get serverSocket(): string {
    return `unix://${this.standIn.socketPath}`;
  }
  get agent(): string {
    return `unix://${this.#socket.path}`;
  }
  get adminSocket(): string {
    return this.standIn.adminSocket;
  }

  async addEntry(entry: SiteEntry): Promise<string> {
    const [held] = this.standIn.entries.put({ parentId: this.agentId, ...entry });
    await this.standIn.settled();
    return held!.id;
  }
  async addMany(): Promise<number> {
    this.standIn.entries.put(...manyEntries(this, 10_000));
    await this.standIn.settled();
    return 10_000;
  }
  async removeEntry(id: string): Promise<void> {
    this.standIn.entries.remove(id);
    await this.standIn.settled();
  }
  countEntries(): Promise<number> {
    return Promise.resolve(this.standIn.entries.all().length);
  }
  roots(): Promise<string> {
    return Promise.resolve(this.standIn.trust.own.roots.map((root) => toPem("CERTIFICATE", root)).join(""));
  }
  async rotate(): Promise<void> {
    await this.standIn.rotate();
    await this.standIn.settled();
  }
  stopServer(): Promise<void> {
    return this.standIn.stop();
  }
  startServer(): Promise<void> {
    return this.standIn.resume();
  }
  stopAgent(): Promise<void> {
    return this.#socket.stop();
  }
  startAgent(): Promise<void> {
    return this.#socket.resume();
  }
  close(): Promise<void> {
    return this.standIn.close();
  }
}
